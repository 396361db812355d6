//! One file per subcommand: wires the rooms. Exit codes: 0 done · 1 the answer is "no" or something asked for failed ·
//! 2 the command line or the configuration is wrong · 3 a source could not be reached at all · 128+n ended by a signal.

mod args;
mod backtest;
mod check;
mod common;
mod dashboard;
mod demo;
mod forecast;
mod from_live;
mod init;
mod json;
mod ledger;
mod lines;
mod lint;
mod lists;
mod once;
mod play;
mod recommend;
mod replay;
mod sample;
mod series;
mod simulate;
mod snapshot;

pub use args::{Args, Command, command};
pub use series::series_rows;

use clap::Parser;
use std::{ffi::OsString, process::ExitCode};

/// Why a command ended without doing what it was asked for: a sentence and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// Something asked for failed, or the answer is "no".
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }

    /// The command line or the configuration is wrong.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    /// A source could not be reached at all.
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self { code: 3, text: text.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a subcommand answers: an exit code, or why not.
pub(crate) type Outcome = Result<u8, Failure>;

/// Runs the program: argv in, exit code out.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(argv) {
        Ok(args) => args,
        Err(e) => {
            // clap prints help and version on stdout with 0, everything else on stderr with 2.
            let code = u8::try_from(e.exit_code()).unwrap_or(2);
            let _ = e.print(); // the reader of a closed pipe wants no more
            return ExitCode::from(code);
        }
    };
    match run(args) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            use std::io::Write;
            // stderr may be gone with the terminal: then nobody is left to be told.
            let _ = writeln!(std::io::stderr(), "highwater: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

fn run(args: Args) -> Outcome {
    // One crypto provider for every TLS connection. A second call finds it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let common = &args.common;
    match args.command.unwrap_or_else(|| Command::Watch(args::Watch::default())) {
        Command::Watch(watch) if watch.accessible => lines::run(common),
        Command::Watch(_) => dashboard::watch(common),
        Command::Operate => dashboard::operate(common),
        Command::Demo(demo) => demo::run(common, &demo, None),
        Command::Init(init) => init::run(common, &init),
        Command::Record(record) => dashboard::record(common, &record),
        Command::Play(play) => play::play(&play),
        Command::Check { format } => check::run(common, format),
        Command::Snapshot(snapshot) => snapshot::run(common, &snapshot),
        Command::Sample(sample) => sample::run(common, &sample),
        Command::Recommend(recommend) => recommend::run(common, &recommend),
        Command::Forecast(args) => forecast::run(common, &args),
        Command::Backtest(args) => backtest::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Lint(args) => lint::run(common, &args),
        Command::Ledger { command } => ledger::run(common, command),
        Command::Keys { format } => lists::keys(common, format),
        Command::Themes { slots } => lists::themes(slots),
        Command::Packs { command: None } => lists::packs(),
        Command::Packs { command: Some(args::PacksCommand::Lint { files }) } => lists::lint_packs(&files),
        Command::Config { command } => lists::config(common, &command),
        Command::Info => lists::info(common),
        Command::Completions { shell } => lists::completions(shell),
        Command::Man => lists::man(),
    }
}

/// Prints to stdout; a closed pipe (`| head`) is a wish to stop, not an error.
pub(crate) fn print(text: &str) -> Outcome {
    is_read(text).map(|_| 0)
}

/// Prints to stdout; whether somebody is still there to read it.
fn is_read(text: &str) -> Result<bool, Failure> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::failed(format!("cannot write to standard output: {e}"))),
    }
}
