//! The command line. The doc comments are its help.

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
    /// Every source, permission, target and pack, one line each, with the mend; exit 0 all good, 1 something is not.
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
    Packs,
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

/// `sample`.
#[derive(Debug, ClapArgs)]
pub struct Sample {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset [default: the newest record].
    #[arg(long, value_name = "N")]
    pub offset: Option<i64>,
    /// The cluster, as in `[kafka.NAME]` [default: the first].
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// `watch`.
#[derive(Debug, Default, ClapArgs)]
pub struct Watch {
    /// Print what changes as lines: for screen readers, logs and terminals that cannot be drawn on.
    #[arg(long)]
    pub accessible: bool,
}

/// `init`.
#[derive(Debug, ClapArgs)]
pub struct Init {
    /// Write over a configuration that is there.
    #[arg(long)]
    pub force: bool,
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

/// `play`.
#[derive(Debug, ClapArgs)]
pub struct Play {
    /// The recording.
    pub file: PathBuf,
    /// How much faster than it was recorded.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    pub speed: f64,
    /// Longest pause.
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = super::series::seconds)]
    pub idle: f64,
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

/// `snapshot`.
#[derive(Debug, ClapArgs)]
pub struct Snapshot {
    /// The view to draw.
    #[arg(long, default_value = "overview")]
    pub view: String,
    /// Columns and rows.
    #[arg(long, default_value = "120x40")]
    pub size: String,
    /// What to print.
    #[arg(long, value_enum, default_value_t = SnapshotFormat::Text)]
    pub format: SnapshotFormat,
    /// The workload to select, for the workload view and the card.
    #[arg(long)]
    pub workload: Option<String>,
    /// Of the simulated world instead of yours: fraud, quiet or incident.
    #[arg(long, value_name = "SCENARIO")]
    pub demo: Option<String>,
    /// Seed of the simulated world.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// How long to look before drawing: two refreshes are needed for rates.
    #[arg(long, default_value = "5s", value_parser = settle, value_name = "DURATION")]
    pub settle: f64,
}

/// Seconds of `--settle`: a duration, or a bare number of seconds.
fn settle(text: &str) -> Result<f64, String> {
    let seconds = crate::config::parse_duration(text).or_else(|| text.parse().ok());
    seconds
        .filter(|s| (0.0..=600.0).contains(s))
        .ok_or_else(|| "write a duration from 0s to 10m, such as 5s".to_owned())
}

/// What `snapshot` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SnapshotFormat {
    /// Characters.
    Text,
    /// Characters with colours.
    Ansi,
    /// A picture.
    Svg,
    /// The data behind it.
    Json,
}

/// `recommend`.
#[derive(Debug, ClapArgs)]
pub struct Recommend {
    /// Workloads; all when none is named.
    pub workloads: Vec<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
    /// Also the plan of the next 24 hours: when how many, and what that costs. It needs two days of demand.
    #[arg(long)]
    pub day: bool,
    /// How long to look before answering: two refreshes are needed for rates.
    #[arg(long, default_value = "5s", value_parser = settle, value_name = "DURATION")]
    pub settle: f64,
}

/// `forecast`.
#[derive(Debug, ClapArgs)]
pub struct Forecast {
    /// The series: a file with the columns ts,value.
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
    /// How far to look ahead.
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = super::series::seconds)]
    pub horizon: f64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// `backtest`.
#[derive(Debug, ClapArgs)]
pub struct Backtest {
    /// The series: a file with the columns ts,value.
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
    /// How far ahead to score.
    #[arg(long, value_name = "DURATION[,…]", default_value = "5m,15m,60m", value_delimiter = ',', value_parser = super::series::seconds)]
    pub horizons: Vec<f64>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// `simulate`.
#[derive(Debug, ClapArgs)]
pub struct Simulate {
    /// The scenario: a TOML file.
    #[arg(long, value_name = "FILE")]
    pub scenario: PathBuf,
    /// Who plays: planner, planner-cold, hpa, hpa-unstabilised, hpa-cpu, keda, keda-tuned, threshold, threshold-70-50,
    /// fixed, oracle [default: planner,hpa,keda,threshold,fixed,oracle].
    #[arg(long, value_name = "NAME[,…]")]
    pub policy: Option<String>,
    /// Seeds to play, from the scenario's on; the table shows their means.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seeds: u64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// `replay`.
#[derive(Debug, ClapArgs)]
pub struct Replay {
    /// A HorizontalPodAutoscaler (autoscaling/v2) or a ScaledObject (keda.sh/v1alpha1).
    #[arg(long, value_name = "FILE.yaml")]
    pub spec: PathBuf,
    /// Its metric: ts,value; further metrics in value2 to value4, in the object's order; with replicas (and status, ready)
    /// each row is one sync with that state.
    #[arg(long, value_name = "FILE")]
    pub csv: PathBuf,
    /// Partitions of a Kafka trigger's topic, over which the lag is taken as evenly spread; without it no cap.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: Option<u32>,
    /// Count at the beginning, where the file has none [default: the lower bound].
    #[arg(long, value_name = "N")]
    pub start: Option<u32>,
    /// Time between syncs, where the file has no counts.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = super::series::seconds)]
    pub sync: f64,
    /// Time until a pod is ready, where the file has no counts.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::series::seconds_or_zero)]
    pub start_up: f64,
    /// The controller's --horizontal-pod-autoscaler-downscale-stabilization.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::series::seconds_or_zero)]
    pub downscale_stabilization: f64,
    /// The controller's --horizontal-pod-autoscaler-tolerance.
    #[arg(long, value_name = "RATIO", default_value_t = 0.1)]
    pub tolerance: f64,
    /// The controller's --horizontal-pod-autoscaler-initial-readiness-delay.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = super::series::seconds_or_zero)]
    pub initial_readiness_delay: f64,
    /// The controller's --horizontal-pod-autoscaler-cpu-initialization-period.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = super::series::seconds_or_zero)]
    pub cpu_initialization: f64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub format: RowFormat,
}

/// `lint`. What is not told here, by annotations (highwater/rate and so on) or by a scenario is taken for granted, and
/// said.
#[derive(Debug, ClapArgs)]
pub struct Lint {
    /// YAML files: several documents and lists may stand in one; objects of other kinds are passed over.
    #[arg(value_name = "FILE.yaml", required_unless_present_any = ["live", "rules"])]
    pub files: Vec<PathBuf>,
    /// The objects of the cluster instead.
    #[arg(long, conflicts_with = "files")]
    pub live: bool,
    /// List the rules, and the annotations that tell what no manifest holds.
    #[arg(long, conflicts_with_all = ["files", "live"])]
    pub rules: bool,
    /// Partitions of what the group reads.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: Option<u32>,
    /// Records per second, on the average.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub rate: Option<f64>,
    /// Records per second that one consumer can process.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub consumer_rate: Option<f64>,
    /// Time between two commits of a consumer [taken for granted: 5s].
    #[arg(long, value_name = "DURATION", value_parser = super::series::seconds)]
    pub commit: Option<f64>,
    /// How the group hands partitions over: eager, cooperative or consumer [taken for granted: eager].
    #[arg(long, value_name = "NAME")]
    pub protocol: Option<crate::lint::Protocol>,
    /// Most time behind [taken for granted: 30s].
    #[arg(long, value_name = "DURATION", value_parser = super::series::seconds)]
    pub slo: Option<f64>,
    /// Demand that was seen, records per second: ts,value. Prices every finding; needs --partitions and --consumer-rate.
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub history: Option<PathBuf>,
    /// The same by a scenario, as of `simulate`; it tells all of the above as well.
    #[arg(long, value_name = "FILE",
        conflicts_with_all = ["partitions", "rate", "consumer_rate", "commit", "protocol", "slo"])]
    pub scenario: Option<PathBuf>,
    /// Days that are played for a price, from the scenario's seed on.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub seeds: u64,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// A number above zero.
fn positive(text: &str) -> Result<f64, String> {
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
    },
    /// A JSON schema of the file, for editors.
    Schema,
}
