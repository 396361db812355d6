//! `highwater record` and `highwater play`: the screen as an asciicast, and back.

use super::{Failure, Outcome};
use crate::tui::cast;
use clap::Args;
use std::{
    fs::{File, OpenOptions},
    io::{IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// `play`.
#[derive(Debug, Args)]
pub struct Play {
    /// The recording.
    pub file: PathBuf,
    /// How much faster than it was recorded.
    #[arg(long, default_value_t = 1.0, value_parser = super::args::positive)]
    pub speed: f64,
    /// Longest pause.
    #[arg(long, default_value = "2s", value_name = "DURATION", value_parser = super::series::seconds)]
    pub idle: f64,
}

/// The file that a recording goes to; it must not be there yet.
pub(super) fn create(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|e| Failure::usage(format!("cannot record to {}: {e}", path.display())))
}

/// Plays a recording on this terminal.
pub(super) fn play(args: &Play) -> Outcome {
    let path = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|e| Failure::usage(format!("cannot read {path}: {e}")))?;
    let ((columns, lines), events) = cast::read(&text).map_err(|e| Failure::usage(format!("{path}: {e}")))?;
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage("standard output is no terminal to play on"));
    }
    if let Ok((have_columns, have_lines)) = crossterm::terminal::size()
        && (have_columns < columns || have_lines < lines)
    {
        let need = format!("it was recorded at {columns}x{lines}, this terminal has {have_columns}x{have_lines}");
        return Err(Failure::usage(format!("{path}: {need}: make it larger")));
    }
    let runtime = super::common::runtime()?;
    let code = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::select! {
            played = frames(&events, args) => played.map(|()| 0),
            _ = interrupt.recv() => Ok(130),
            _ = terminate.recv() => Ok(143),
            _ = hangup.recv() => Ok(129),
        }
    });
    let _ = send("\x1b[0m\x1b[?25h\x1b[?1049l"); // the terminal may be gone with the one who looked
    code.map_err(|e| Failure::failed(format!("cannot write to the terminal: {e}")))
}

async fn frames(events: &[cast::Event], args: &Play) -> std::io::Result<()> {
    send("\x1b[?1049h\x1b[2J\x1b[H")?;
    let mut last = 0.0;
    for event in events {
        let wait = (event.at - last).clamp(0.0, args.idle) / args.speed;
        last = event.at;
        tokio::time::sleep(Duration::from_secs_f64(wait)).await;
        send(&cast::harmless(&event.text))?;
    }
    tokio::time::sleep(Duration::from_secs_f64(args.idle.min(2.0) / args.speed)).await;
    Ok(())
}

fn send(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
