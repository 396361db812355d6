//! What several subcommands need: configuration, state directory, log, runtime.

use super::{
    Failure,
    args::{ColorChoice, Common},
};
use crate::{
    config::{Config, Overrides, is_kafka_secret},
    model::{KafkaSettings, Property, Secret, SecretSource},
    source,
    tui::keymap::Keymap,
};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

/// The configuration in force: file, then command line.
pub(super) fn config(common: &Common) -> Result<Config, Failure> {
    let file = common.config.clone().or_else(Config::find);
    let mut config = match &file {
        Some(path) => Config::load(path).map_err(|e| Failure::usage(e.to_string()))?,
        None => Config::default(),
    };
    let kafka_properties = match &common.kafka_config {
        Some(path) => kafka_properties(path)?,
        None => BTreeMap::new(),
    };
    if let Some(problem) = common.prometheus.as_deref().and_then(crate::config::url_problem) {
        return Err(Failure::usage(format!("--prometheus: {problem}")));
    }
    config.apply(Overrides {
        kafka: common.kafka.clone(),
        kafka_properties,
        prometheus: common.prometheus.as_ref().map(|u| u.trim_end_matches('/').to_owned()),
        kube_context: common.kube_context.clone(),
        namespaces: common.namespace.clone(),
        theme: common.theme.clone(),
        ascii: common.ascii,
        low_bandwidth: common.low_bandwidth,
    });
    Ok(config)
}

/// The configuration, which must name something to read.
pub(super) fn config_with_sources(common: &Common) -> Result<Config, Failure> {
    let config = config(common)?;
    if config.has_sources() {
        properties_understood(&config)?;
        return Ok(config);
    }
    let looked = match (&config.file, crate::config::Config::find()) {
        (Some(file), _) => format!("{} names no source", file.display()),
        (None, _) => "there is no configuration file".to_owned(),
    };
    Err(Failure::usage(format!(
        "nothing to look at: {looked}.\n  Name sources:  highwater --kafka HOST:PORT --prometheus URL\n  \
         or a file:     highwater config example > highwater.toml; highwater --config highwater.toml\n  \
         or try:        highwater demo"
    )))
}

/// Kafka properties are checked by the reader that honours them: one that it cannot honour is said before anything
/// starts. A file that is not there may come, and holds no other source up.
fn properties_understood(config: &Config) -> Result<(), Failure> {
    let problem =
        |k: &KafkaSettings| Some((k.name.clone(), source::kafka::properties::understood(&k.properties).err()?));
    let wrong: Vec<String> = config
        .kafka
        .iter()
        .filter_map(problem)
        .map(|(name, why)| format!("{}: kafka.{name}: {why}", config.origin()))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(Failure::usage(wrong.join("\n  "))) }
}

/// The keymap in force, with the keys of the operator's own commands; every problem with its file, line and key.
pub(super) fn keymap(config: &Config) -> Result<Keymap, Failure> {
    patched(config)?.with_commands(&config.user_commands).map_err(|errors| {
        let told = errors.iter().map(|(name, why)| match config.user_commands_at.get(name) {
            Some(line) => format!("{}:{line}: command {name}: {why}", config.origin()),
            None => format!("{}: command {name}: {why}", config.origin()),
        });
        Failure::usage(told.collect::<Vec<_>>().join("\n  "))
    })
}

fn patched(config: &Config) -> Result<Keymap, Failure> {
    Keymap::patched(&config.keys).map_err(|errors| {
        // What is wrong with one entry alone stands on its line; what two of them do to each other on none.
        let alone = |name: &String, keys: &Vec<String>| Keymap::patched(&[(name.clone(), keys.clone())].into()).err();
        let line_of = |error: &String| {
            let of = config.keys.iter().find(|(n, k)| alone(n, k).is_some_and(|found| found.contains(error)))?.0;
            config.keys_at.get(of)
        };
        let told = errors.iter().map(|error| match line_of(error) {
            Some(line) => format!("{}:{line}: {error}", config.origin()),
            None => format!("{}: keys: {error}", config.origin()),
        });
        Failure::usage(told.collect::<Vec<_>>().join("\n  "))
    })
}

fn kafka_properties(path: &Path) -> Result<BTreeMap<String, Property>, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read --kafka-config {}: {e}", path.display())))?;
    let parsed = source::kafka::properties::parse_java(&text);
    let mut properties = parsed.map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    for (key, value) in &mut properties {
        if let (true, Property::Text(text)) = (is_kafka_secret(key), &*value) {
            *value = Property::Secret(SecretSource::Value(Secret::new(text.clone())));
        }
    }
    Ok(properties)
}

/// Where history, ledger and log are kept; made when absent, for the owner only.
pub(super) fn state_dir() -> Result<PathBuf, Failure> {
    let dir = state_path().ok_or_else(|| Failure::failed("no home directory: set $XDG_STATE_HOME"))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(|e| Failure::failed(format!("cannot make the state directory {}: {e}", dir.display())))?;
    Ok(dir)
}

/// The state directory, whether it exists or not.
pub(super) fn state_path() -> Option<PathBuf> {
    let dirs = directories::ProjectDirs::from("", "", "highwater")?;
    Some(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned())
}

/// Starts the log. A dashboard owns the terminal, so its log goes to a file; other commands log to standard error.
pub(super) fn log(common: &Common, dashboard: Option<&Path>) -> Result<(), Failure> {
    let level = match common.verbose {
        0 if dashboard.is_some() => "highwater=info,warn",
        0 => "error",
        1 => "highwater=debug,info",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    let file = common.log_file.clone().or_else(|| dashboard.map(|d| d.join("highwater.log")));
    // A second subscriber in one process happens in tests only; the first one stays.
    match file {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|e| {
                Failure::usage(format!("cannot write the log {}: {e}; name another with --log-file", path.display()))
            })?;
            let _ = builder.with_writer(Mutex::new(file)).try_init();
        }
        None => {
            let _ = builder.with_writer(std::io::stderr).try_init();
        }
    }
    Ok(())
}

/// The async runtime: two threads do all I/O of a dashboard, the blocking pool does the sums.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(16)
        .enable_all()
        .build()
        .map_err(|e| Failure::failed(format!("cannot start the runtime: {e}")))
}

/// Whether to use colour on standard output for text that is printed once.
pub(super) fn color(common: &Common) -> bool {
    use std::io::IsTerminal;
    match common.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stdout().is_terminal()
        }
    }
}
