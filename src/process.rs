//! What every edge needs from the operating system: a child process with a deadline, a secret read where it lives.
//!
//! Children get no shell, no terminal (a prompt would garble the screen and steal keys), an environment of few named
//! variables, a process group of their own, and bounded output.

use crate::model::{Label, Secret, SecretSource, Time};
use std::{
    pin::pin,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

/// Bytes kept of each output stream; the rest is read and dropped, so that the child is never blocked.
pub const OUTPUT_LIMIT: usize = 64 * 1024;
/// How long a child that has ended is read on, for the streams that something it left behind holds open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Time between SIGTERM and SIGKILL when a deadline passes.
const GRACE: Duration = Duration::from_secs(5);
/// Variables of our own environment that a child gets.
const PASSED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// Deadline of a command that prints a secret.
const SECRET_DEADLINE: Duration = Duration::from_secs(15);

/// Target of the trace events before and behind every sync of the ledger and every request of an action. A trace shows
/// the order of things; a test ends its process at the one it wants.
pub const BOUNDARY: &str = "highwater::boundary";

/// The time that observations are stamped with: the machine's own, or a simulated world's that runs faster.
///
/// It is advanced by the monotonic clock, so it never jumps; [`Clock::wall`] alone follows the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Option<(Instant, Time)>,
    speed: f64,
}

impl Clock {
    /// The machine's clock.
    pub fn wall() -> Self {
        Self { base: None, speed: 1.0 }
    }

    /// A clock that shows `start` now and runs `speed` times as fast as the machine's.
    pub fn scaled(start: Time, speed: f64) -> Self {
        Self { base: Some((Instant::now(), start)), speed }
    }

    /// The instant.
    pub fn now(&self) -> Time {
        match self.base {
            None => Time::now(),
            Some((then, start)) => start.plus(then.elapsed().as_secs_f64() * self.speed),
        }
    }

    /// Seconds of this clock per second of the machine's: multiply a refresh interval by it to get a cadence.
    pub fn speed(&self) -> f64 {
        self.speed
    }
}

/// How a child ended.
#[derive(Debug)]
pub struct Output {
    /// Exit code; `None`: ended by a signal.
    pub code: Option<i32>,
    /// Standard output, at most 64 KiB.
    pub stdout: Vec<u8>,
    /// Standard error, at most 64 KiB.
    pub stderr: Vec<u8>,
}

/// Why there is no [`Output`].
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The program could not be started: nothing was done.
    #[error("cannot start {program}: {error}")]
    Start {
        /// First element of argv.
        program: Label,
        /// The system's word.
        error: std::io::Error,
    },
    /// The deadline passed; the process group was ended. What it did is unknown.
    #[error("{program} did not end within {seconds} s and was stopped")]
    Deadline {
        /// First element of argv.
        program: Label,
        /// The deadline.
        seconds: f64,
    },
    /// The program ran but its end could not be observed.
    #[error("lost track of {program}: {error}")]
    Lost {
        /// First element of argv.
        program: Label,
        /// The system's word.
        error: std::io::Error,
    },
}

/// Runs `argv` (never a shell) with extra environment variables, until it ends or `deadline` passes. What it leaves in the
/// background is not waited for and lives on: its own end says how it went.
///
/// Cancelling the future kills the child and what it has started.
pub async fn run(argv: &[String], env: &[(&str, String)], deadline: Duration) -> Result<Output, RunError> {
    let program = Label::new(argv.first().map_or("", String::as_str));
    let mut command = Command::new(argv.first().map_or("", String::as_str));
    command.args(argv.iter().skip(1)).env_clear();
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(env.iter().map(|(k, v)| (k, v)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| RunError::Start { program: program.clone(), error })?;
    let pid = child.id();
    let mut group = Group::of(pid);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ended = timeout(deadline, async {
        let mut reading = pin!(async { tokio::join!(read_bounded(out, &mut stdout), read_bounded(err, &mut stderr)) });
        tokio::select! {
            status = child.wait() => {
                let _ = timeout(LAST_WORDS, reading).await; // what came until then is what it said
                status
            }
            _ = &mut reading => child.wait().await,
        }
    });
    let ended = ended.await;
    group.forget(); // what is left of it is ended below, or may live on
    match ended {
        Ok(Ok(status)) => Ok(Output { code: status.code(), stdout, stderr }),
        Ok(Err(error)) => Err(RunError::Lost { program, error }),
        Err(_) => {
            end_group(&mut child, pid).await;
            Err(RunError::Deadline { program, seconds: deadline.as_secs_f64() })
        }
    }
}

/// A process group that is killed when nobody waits for it any more.
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn of(pid: Option<u32>) -> Self {
        Self(pid.and_then(|p| rustix::process::Pid::from_raw(p.cast_signed())))
    }

    fn forget(&mut self) {
        self.0 = None; // its number may soon be another's
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL); // gone already: nothing to end
        }
    }
}

/// SIGTERM to the whole group, then SIGKILL.
async fn end_group(child: &mut tokio::process::Child, pid: Option<u32>) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let group = pid.and_then(|p| Pid::from_raw(p.cast_signed()));
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::TERM); // gone already: nothing to end
    }
    let _ = timeout(GRACE, child.wait()).await;
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill().await;
}

async fn read_bounded<R: tokio::io::AsyncRead + Unpin>(stream: Option<R>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0_u8; 4096];
    while let Ok(n @ 1..) = stream.read(&mut chunk).await {
        let room = OUTPUT_LIMIT.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..n.min(room)]);
    }
}

/// Reads a secret where it lives. The error names the place and the mend, never the secret.
pub async fn read_secret(source: &SecretSource) -> Result<Secret, String> {
    let text = match source {
        SecretSource::Value(secret) => return Ok(secret.clone()),
        SecretSource::Env(name) => std::env::var(name).map_err(|_| {
            format!("the environment variable {name} is not set (or is not UTF-8): set it before starting")
        })?,
        SecretSource::File(path) => tokio::fs::read_to_string(path)
            .await
            .map_err(|e| format!("cannot read the secret in {}: {e}", path.display()))?,
        SecretSource::Command(argv) => {
            let output = run(argv, &[], SECRET_DEADLINE).await.map_err(|e| e.to_string())?;
            if output.code != Some(0) {
                let program = Label::new(argv.first().map_or("", String::as_str));
                return Err(format!("{program} exited with {:?} instead of printing the secret", output.code));
            }
            String::from_utf8(output.stdout).map_err(|_| "the command printed a secret that is not UTF-8".to_owned())?
        }
    };
    Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_child_has_neither_terminal_nor_our_environment() {
        let out = run(&argv(&["env"]), &[("SCALE_TO", "4".into())], Duration::from_secs(10)).await.unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        assert!(text.contains("SCALE_TO=4"));
        assert!(!text.contains("CARGO_MANIFEST_DIR"), "{text}");
    }

    #[tokio::test]
    async fn a_deadline_ends_the_whole_group() {
        let words = argv(&["sh", "-c", "sleep 600 & wait"]);
        let error = run(&words, &[], Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(error, RunError::Deadline { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_child_that_leaves_something_behind_has_ended_all_the_same() {
        let words = argv(&["sh", "-c", "echo done; sleep 20 & exit 3"]);
        let began = Instant::now();
        let out = run(&words, &[], Duration::from_secs(10)).await.unwrap();
        assert_eq!((out.code, out.stdout.as_slice()), (Some(3), &b"done\n"[..]));
        assert!(began.elapsed() < Duration::from_secs(8), "its streams are still open: {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn who_stops_waiting_ends_the_whole_group() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let words = argv(&["sh", "-c", "sleep 600 & echo $! > \"$1\"; wait", "sh", file.to_str().unwrap()]);
        let waiting = tokio::spawn(async move { run(&words, &[], Duration::from_secs(600)).await });
        let pid = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Ok(pid) = text.trim().parse::<u32>() {
                break pid;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        waiting.abort();
        // Nobody may have taken note of its death yet: then it is a zombie.
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        for _ in 0..2_000 {
            if !lives() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{pid} lives on");
    }

    #[tokio::test]
    async fn secrets_lose_their_newline_and_never_show() {
        let secret = read_secret(&SecretSource::Command(argv(&["echo", "hunter2"]))).await.unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        let error = read_secret(&SecretSource::Env("HIGHWATER_NO_SUCH".into())).await.unwrap_err();
        assert!(error.contains("HIGHWATER_NO_SUCH"));
    }
}
