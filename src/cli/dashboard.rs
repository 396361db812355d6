//! `highwater watch` and `highwater operate`.

use super::{
    Failure, Outcome,
    args::{ColorChoice, Common, Demo, Record},
    common, demo, play, print,
};
use crate::{
    config::Config,
    engine::{self, Options},
    model::{Mode, Zone},
    process::Clock,
    tui::{
        self, State,
        cast::Cast,
        clipboard::Between,
        command::Commands,
        keymap::Keymap,
        run::Context,
        theme::{Charset, Depth, Shelf, Theme},
        view::overview,
    },
};
use std::{
    io::{IsTerminal, Write as _},
    sync::Arc,
};

pub(super) fn watch(common: &Common) -> Outcome {
    start(common, Mode::Watch)
}

pub(super) fn operate(common: &Common) -> Outcome {
    start(common, Mode::Operate)
}

/// `highwater record`: watching, with everything that is drawn in a file too.
pub(super) fn record(common: &Common, args: &Record) -> Outcome {
    need_terminal("highwater snapshot draws one screen without a terminal")?;
    if let Some(scenario) = &args.demo {
        let demo = Demo { operate: false, watch: true, seed: args.seed, scenario: scenario.clone(), speed: 1.0 };
        return demo::run(common, &demo, Some(&args.file));
    }
    let config = common::config_with_sources(common)?;
    let cast = Cast::new(play::create(&args.file)?);
    let state = common::state_dir()?;
    common::log(common, Some(&state))?;
    let settings = Options { config, clock: Clock::wall(), state: Some(state), past: None, days: false };
    run(common, Show { record: Some(cast), ..Show::new(Mode::Watch, settings) })
}

fn start(common: &Common, mode: Mode) -> Outcome {
    let config = match common::config_with_sources(common) {
        Err(failure) if mode == Mode::Watch && offers_demo(common, &failure)? => {
            return demo::run(common, &Demo::default(), None);
        }
        config => config?,
    };
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
    let settings = Options { config, clock: Clock::wall(), state: Some(state), past: None, days: false };
    run(common, Show::new(mode, settings))
}

/// Where nothing says what to look at, the demo can be had at once: says what was looked for and asks.
fn offers_demo(common: &Common, failure: &Failure) -> Result<bool, Failure> {
    let nothing = common::config(common).is_ok_and(|c| !c.has_sources());
    if !nothing || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Ok(false);
    }
    print(&format!("highwater: {failure}\n\nStart the demo now? It needs nothing. [y/N] "))?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|e| Failure::failed(format!("cannot read the answer: {e}")))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// A dashboard needs a terminal on both ends; `instead` says what works without one.
pub(super) fn need_terminal(instead: &str) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("standard input and output are not a terminal; {instead}")));
    }
    if std::env::var("TERM").is_ok_and(|t| t == "dumb") {
        return Err(Failure::usage(
            "this terminal cannot be drawn on (TERM=dumb): `highwater watch --accessible` prints what changes as lines",
        ));
    }
    Ok(())
}

/// How a dashboard is shown.
pub(super) struct Show {
    /// Whether anything can be changed.
    pub(super) mode: Mode,
    /// What the engine is started with.
    pub(super) settings: Options,
    /// Whether it is the demo.
    pub(super) demo: bool,
    /// Where the screen is recorded to.
    pub(super) record: Option<Cast>,
}

impl Show {
    /// A dashboard of the real world that is not recorded.
    pub(super) fn new(mode: Mode, settings: Options) -> Self {
        Self { mode, settings, demo: false, record: None }
    }
}

/// What is said to who leaves in the middle of a write.
const LEFT: &str = "what was begun did not end in time: a write may be under way, or be cut off; look at its target, as the \
                    next `highwater operate` does before anything else";

/// Runs engine and screen until the operator leaves or a signal comes.
pub(super) fn run(common: &Common, show: Show) -> Outcome {
    let Show { mode, settings, record, demo } = show;
    let (config, clock, home) = (settings.config.clone(), settings.clock, settings.state.clone());
    let (theme, shelf, keymap) = looks(common, &config, None)?;
    let commands = Arc::new(Commands::of(&config.user_commands, mode));
    let state = State { commands, demo, ..screen(&config, keymap, &shelf)? };
    let between = Between::detect(|name| std::env::var(name).ok());
    let (mouse, alarm) = (config.ui.mouse, config.ui.alarm);
    let mut options = tui::run::Options { mouse, alarm, between, ..tui::run::Options::default() };
    if config.ui.low_bandwidth {
        options = options.low_bandwidth();
    }
    let runtime = common::runtime()?;
    // The demo's own folder goes away with it; a note of it does not.
    let saves = if demo { common::state_path() } else { home.clone() };
    let result = runtime.block_on(async {
        let show = |pictures, intents| {
            tui::run::run(Context { pictures, intents, theme, shelf, state, home, saves, record, options, clock })
        };
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
                if !handle.stop().await {
                    let _ = writeln!(std::io::stderr(), "highwater: {LEFT}"); // the terminal may be gone
                }
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

/// What a screen begins with.
pub(super) fn screen(config: &Config, keymap: Keymap, shelf: &Shelf) -> Result<State, Failure> {
    let columns: Vec<String> = overview::columns().map(|(name, _)| name).collect();
    if let Some(unknown) = config.ui.hide.iter().find(|h| !columns.contains(h)) {
        let known = columns.join(", ");
        return Err(Failure::usage(format!(
            "{}: ui.hide: there is no column {unknown:?}; there are {known}",
            config.origin()
        )));
    }
    Ok(State {
        hidden: config.ui.hide.iter().cloned().collect(),
        links: Arc::new(config.links.clone()),
        themes: shelf.names(),
        theme: config.ui.theme.clone(),
        local: Zone::system(),
        ..State::new(keymap)
    })
}

/// Theme, where others come from, and keymap in force; `auto`: the colours of what is drawn on, when it is not this terminal.
pub(super) fn looks(common: &Common, config: &Config, auto: Option<Depth>) -> Result<(Theme, Shelf, Keymap), Failure> {
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
    let shelf = Shelf { folder, depth, charset };
    let theme = shelf.load(&config.ui.theme).map_err(Failure::usage)?;
    Ok((theme, shelf, common::keymap(config)?))
}
