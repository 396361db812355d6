//! `highwater watch` and `highwater operate`.

use super::{
    Failure, Outcome,
    args::{ColorChoice, Common},
    common,
};
use crate::{
    config::Config,
    engine::{self, Options},
    model::Mode,
    process::Clock,
    tui::{
        self,
        keymap::Keymap,
        run::Context,
        theme::{Charset, Depth, Theme},
    },
};
use std::io::IsTerminal;

pub(super) fn watch(common: &Common) -> Outcome {
    start(common, Mode::Watch)
}

pub(super) fn operate(common: &Common) -> Outcome {
    start(common, Mode::Operate)
}

fn start(common: &Common, mode: Mode) -> Outcome {
    let config = common::config_with_sources(common)?;
    need_terminal(match mode {
        Mode::Watch => "highwater snapshot draws one screen without a terminal",
        Mode::Operate => "highwater recommend prints what should be done",
    })?;
    if mode == Mode::Operate
        && let Some(k) = &config.kubernetes
        && k.context.is_none()
        && std::env::var_os("KUBERNETES_SERVICE_HOST").is_none()
    {
        return Err(Failure::usage(
            "operate never uses whatever context is current: set [kubernetes] context or --kube-context NAME",
        ));
    }
    let state = common::state_dir()?;
    common::log(common, Some(&state))?;
    run(common, mode, Options { config, clock: Clock::wall(), state: Some(state), past: None, days: false })
}

/// A dashboard needs a terminal on both ends; `instead` says what works without one.
pub(super) fn need_terminal(instead: &str) -> Result<(), Failure> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::usage(format!("standard input and output are not a terminal; {instead}")))
}

/// Runs engine and screen until the operator leaves or a signal comes.
pub(super) fn run(common: &Common, mode: Mode, settings: Options) -> Outcome {
    let (config, clock) = (settings.config.clone(), settings.clock);
    let (theme, keymap) = looks(common, &config, None)?;
    let mut options = tui::run::Options { mouse: config.ui.mouse, ..tui::run::Options::default() };
    if config.ui.low_bandwidth {
        options = options.low_bandwidth();
    }
    let runtime = common::runtime()?;
    let result = runtime.block_on(async {
        let show = |pictures, intents| tui::run::run(Context { pictures, intents, theme, keymap, options, clock });
        match mode {
            Mode::Watch => {
                let handle = engine::watch(settings);
                let exit = show(handle.pictures.clone(), None).await;
                handle.stop().await;
                exit
            }
            Mode::Operate => {
                let handle = engine::operate(settings);
                let exit = show(handle.pictures.clone(), Some(handle.intents())).await;
                handle.stop().await;
                exit
            }
        }
    });
    // A stuck DNS look-up or disk must not keep the shell waiting.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match result {
        Ok(exit) => Ok(exit.code),
        Err(why) => Err(Failure::failed(why)),
    }
}

/// Theme and keymap in force; `auto`: the colours of what is drawn on, when it is not this terminal.
pub(super) fn looks(common: &Common, config: &Config, auto: Option<Depth>) -> Result<(Theme, Keymap), Failure> {
    let variable = |name: &str| std::env::var(name).ok();
    let depth = match common.color {
        ColorChoice::Auto => auto.unwrap_or_else(|| Depth::detect(variable)),
        ColorChoice::Always => Depth::detect(|name| variable(name).filter(|_| name != "NO_COLOR")).max(Depth::Ansi16),
        ColorChoice::Never => Depth::None,
    };
    let charset = match config.ui.ascii {
        Some(true) => Charset::Ascii,
        _ => Charset::detect(variable),
    };
    let folder = config.file.as_ref().and_then(|f| f.parent()).map(|d| d.join("themes"));
    let theme = Theme::named(&config.ui.theme, folder.as_deref(), depth, charset).map_err(Failure::usage)?;
    Ok((theme, common::keymap(config)?))
}
