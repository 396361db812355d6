//! The command line. The doc comments are its help.

use super::{
    backtest::Backtest, forecast::Forecast, init::Init, lint::Lint, play::Play, recommend::Recommend, replay::Replay,
    sample::Sample, simulate::Simulate, snapshot::Snapshot,
};
use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Kafka lag and ML load on one terminal screen, with forecasts and scale actions that an operator approves.
///
/// Without a command: `watch`, the read-only dashboard. Try `highwater demo` first: it needs no set-up.
#[derive(Debug, Parser)]
#[command(name = "highwater", version, about, max_term_width = 100)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

/// The command line as clap knows it, for completions and the manual.
pub fn command() -> clap::Command {
    Args::command()
}

/// Options of every command.
#[derive(Debug, Default, ClapArgs)]
pub struct Common {
    /// Configuration file [default: $HIGHWATER_CONFIG, then highwater.toml in the platform's configuration folder].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Brokers to ask first; goes over the file's.
    #[arg(long, global = true, value_name = "HOST:PORT[,…]")]
    pub kafka: Option<String>,
    /// Kafka client properties: Java's client.properties or librdkafka's names.
    #[arg(long, global = true, value_name = "FILE")]
    pub kafka_config: Option<PathBuf>,
    /// Prometheus base URL; goes over the file's.
    #[arg(long, global = true, value_name = "URL")]
    pub prometheus: Option<String>,
    /// Context of the kubeconfig; pinned for the whole session.
    #[arg(long, global = true, value_name = "NAME")]
    pub kube_context: Option<String>,
    /// Namespace to watch; may be given several times [default: all].
    #[arg(long, global = true, value_name = "NS")]
    pub namespace: Vec<String>,
    /// Theme: a name of `highwater themes` or the path of a theme file.
    #[arg(long, global = true, value_name = "NAME")]
    pub theme: Option<String>,
    /// Draw with ASCII characters only.
    #[arg(long, global = true)]
    pub ascii: bool,
    /// When to use colour; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// At most one frame a second.
    #[arg(long, global = true)]
    pub low_bandwidth: bool,
    /// Where the log goes [default: highwater.log in the state directory while a dashboard runs, else standard error].
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Log more; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// As the terminal can.
    #[default]
    Auto,
    /// Even where the terminal does not say that it can.
    Always,
    /// Never.
    Never,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The dashboard, read-only: nothing that could change a system is constructed in this process.
    Watch(Watch),
    /// The dashboard with approvals; refuses to start without a terminal.
    Operate,
    /// The dashboard on a simulated world with real protocols on loopback: no set-up.
    Demo(Demo),
    /// Asks three questions and writes a commented configuration.
    Init(Init),
    /// The dashboard, read-only, recorded as an asciicast (version 2).
    Record(Record),
    /// Plays a recording on this terminal.
    Play(Play),
    /// Every source, permission, target and pack, one line each, with the mend; exit 0 all good, 1 something is not, 3 a
    /// source does not answer at all.
    Check {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// One refresh, drawn once, then ends.
    Snapshot(Snapshot),
    /// One record of a topic: the one that a stuck partition stands at, or the newest. Needs Read on the topic.
    Sample(Sample),
    /// One pass: what every workload should have, and why.
    Recommend(Recommend),
    /// Quantile paths for one series.
    Forecast(Forecast),
    /// How good those forecasts were on that series.
    Backtest(Backtest),
    /// A day of a workload under each policy, priced.
    Simulate(Simulate),
    /// What this HPA or ScaledObject would have done on these samples.
    Replay(Replay),
    /// What is wrong with these HPAs and ScaledObjects, with the reason and the mend; exit 0 nothing but notes, 1 something.
    Lint(Lint),
    /// The record of decisions and actions.
    Ledger {
        /// What to do with it.
        #[command(subcommand)]
        command: Ledger,
    },
    /// Every key and what it does, with your own bindings.
    Keys {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
    },
    /// The themes there are.
    Themes {
        /// List the uses of colour that a theme file can name instead, with what each is for.
        #[arg(long)]
        slots: bool,
    },
    /// The metric packs there are, and what each is detected by.
    Packs {
        /// What else to do with packs.
        #[command(subcommand)]
        command: Option<PacksCommand>,
    },
    /// The configuration: what is in force, or an example to start from.
    Config {
        /// Which.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Version, and every path that is read or written.
    Info,
    /// Completions for a shell, on standard output.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The manual page, on standard output.
    Man,
}

/// `watch`.
#[derive(Debug, Default, ClapArgs)]
pub struct Watch {
    /// Print what changes as lines: for screen readers, logs and terminals that cannot be drawn on.
    #[arg(long)]
    pub accessible: bool,
}

/// `record`.
#[derive(Debug, ClapArgs)]
pub struct Record {
    /// The file to make.
    pub file: PathBuf,
    /// Of the simulated world instead of yours: fraud, quiet or incident.
    #[arg(long, value_name = "SCENARIO")]
    pub demo: Option<String>,
    /// Seed of the simulated world.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
}

/// `demo`.
#[derive(Debug, ClapArgs)]
pub struct Demo {
    /// With approvals (the default).
    #[arg(long, conflicts_with = "watch")]
    pub operate: bool,
    /// Read-only.
    #[arg(long)]
    pub watch: bool,
    /// The same seed shows the same world.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// What happens in it: fraud, quiet or incident.
    #[arg(long, default_value = "fraud")]
    pub scenario: String,
    /// How much faster than life it runs.
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
}

impl Default for Demo {
    fn default() -> Self {
        Self { operate: false, watch: false, seed: 7, scenario: "fraud".to_owned(), speed: 1.0 }
    }
}

/// Seconds of `--settle`: a duration, or a bare number of seconds.
pub(super) fn settle(text: &str) -> Result<f64, String> {
    let seconds = crate::config::parse_duration(text).or_else(|| text.parse().ok());
    seconds
        .filter(|s| (0.0..=600.0).contains(s))
        .ok_or_else(|| "write a duration from 0s to 10m, such as 5s".to_owned())
}

/// A number above zero.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
    number.ok_or_else(|| format!("{text:?}: a number above zero belongs here"))
}

/// What `replay` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// For people.
    Table,
    /// For scripts.
    Json,
    /// For spreadsheets.
    Csv,
}

/// Table for people, JSON for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// `ledger`.
#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Every entry, oldest first.
    List {
        /// How to print it.
        #[arg(long, value_enum, default_value_t = ListFormat::Table)]
        format: ListFormat,
        /// What all operators have written on the shared ledger's topic, not this machine's own.
        #[arg(long)]
        shared: bool,
    },
    /// One action with its whole story.
    Show {
        /// What all operators have written on the shared ledger's topic, not this machine's own.
        #[arg(long)]
        shared: bool,
        /// Action, or the beginning of one.
        id: String,
    },
    /// Checks the chain: every entry holds the hash of the one before it.
    Verify {
        /// What all operators have written on the shared ledger's topic, not this machine's own.
        #[arg(long)]
        shared: bool,
    },
    /// Every entry, for another program.
    Export {
        /// How to write it.
        #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
        format: ExportFormat,
        /// What all operators have written on the shared ledger's topic, not this machine's own.
        #[arg(long)]
        shared: bool,
    },
}

/// What `ledger export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// As `ledger list --format json`.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// `packs`.
#[derive(Debug, Subcommand)]
pub enum PacksCommand {
    /// What is wrong with packs of your own, each with its line; exit 1 when one cannot be used.
    Lint {
        /// Pack files (TOML).
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// What is in force, file and command line together; secrets are named, never shown.
    Show,
    /// A commented example to start from.
    Example {
        /// The roles that Kubernetes needs instead, to hand to an administrator.
        #[arg(long)]
        rbac: bool,
        /// What is found on the sources instead: targets and pipelines, with what speaks for each; guesses as comments.
        #[arg(long, conflicts_with = "rbac")]
        from_live: bool,
        /// How long to look for `--from-live`.
        #[arg(long, default_value = "10s", value_parser = settle, value_name = "DURATION", requires = "from_live")]
        settle: f64,
    },
    /// A JSON schema of the file, for editors.
    Schema,
}
