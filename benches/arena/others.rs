//! Services and queues: what `highwater simulate` prints of the scenarios that the program comes with.

use std::{fmt::Write, fs, path::Path, process::Command};

/// Scenarios of `config/scenarios`, in the order of the report.
const SCENARIOS: [&str; 3] = ["fraud", "chat", "training"];

/// The tables as Markdown. One that this very binary (`program`) has already played is read from `kept`.
pub fn section(root: &Path, kept: &Path, program: u64, seeds: u64) -> Result<String, String> {
    let mut out = "## Services and queues\n\n\
        What `highwater simulate --scenario config/scenarios/NAME.toml` prints: a group and the model behind it, a model with\n\
        clients of its own, and a queue of jobs on a pool of GPUs.\n\n"
        .to_owned();
    for name in SCENARIOS {
        let file = kept.join(format!("{name}-{seeds}-{program:x}.txt"));
        let table = fs::read_to_string(&file).or_else(|_| play(root, name, seeds, &file))?;
        let _ = write!(out, "```text\n{}\n```\n\n", table.trim_end());
    }
    Ok(out)
}

/// Plays a scenario by the command that a user would give, and keeps what it prints.
fn play(root: &Path, name: &str, seeds: u64, file: &Path) -> Result<String, String> {
    let scenario = root.join("config/scenarios").join(format!("{name}.toml"));
    eprintln!("{name}: {seeds} seeds");
    let output = Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["simulate", "--seeds", &seeds.to_string(), "--scenario"])
        .arg(&scenario)
        .output()
        .map_err(|e| format!("highwater simulate: {e}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    crate::write(file, &table)?;
    Ok(table)
}
