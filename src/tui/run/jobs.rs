//! Work that the screen asks for and does not wait for, on disk and in programs of the operator's own: each runs by itself
//! and comes back as what was done.

use crate::{
    history,
    model::{Grid, Label, Picture, SignalKey, Time},
    process,
    tui::{
        backtest::{Answer, Question},
        command::Said,
        state::Compare,
        theme::{Shelf, Theme},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{sync::mpsc, task::JoinSet};

/// Seconds between the points of a series that is looked up.
const STEP: f64 = 60.0;

/// How far jobs have come is kept for the screen up to so many times.
const MEANWHILE: usize = 4;

/// What was done.
#[derive(Debug)]
pub(super) enum Done {
    /// A theme was read: by name, or because its file changed.
    Theme(Result<Box<Theme>, String>),
    /// When the theme's files were last written.
    Written(Option<SystemTime>),
    /// Of a backtest so many games were played, of so many.
    Playing(u64, (usize, usize)),
    /// A backtest was played.
    Backtested(u64, Result<Arc<Answer>, String>),
    /// A command of the operator's own ended.
    Ran(u64, Result<Arc<Said>, String>),
    /// A series of the stored history was looked up.
    Recalled(SignalKey, Compare, Result<Option<Grid>, String>),
    /// Something was saved; a sentence, or why not.
    Saved(Result<String, String>),
}

/// What is being done.
#[derive(Debug)]
pub(super) struct Jobs {
    running: JoinSet<Done>,
    /// What a job says before it is done.
    meanwhile: (mpsc::Sender<Done>, mpsc::Receiver<Done>),
    /// The number of the backtest that somebody waits for; 0: nobody does.
    asked: Arc<AtomicU64>,
}

impl Default for Jobs {
    fn default() -> Self {
        Self { running: JoinSet::new(), meanwhile: mpsc::channel(MEANWHILE), asked: Arc::default() }
    }
}

impl Jobs {
    /// Starts one.
    pub(super) fn start(&mut self, work: impl FnOnce() -> Done + Send + 'static) {
        self.running.spawn_blocking(work);
    }

    /// The next one that is done, or how far it has come; pending while there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Done {
        tokio::select! {
            biased; // what was said before the end comes before it
            Some(said) = self.meanwhile.1.recv() => said,
            Some(done) = self.running.join_next() => {
                done.unwrap_or_else(|e| Done::Saved(Err(format!("it broke, see the log: {e}"))))
            }
        }
    }

    /// Reads a theme.
    pub(super) fn theme(&mut self, shelf: &Shelf, name: String) {
        let shelf = shelf.clone();
        self.start(move || Done::Theme(shelf.load(&name).map(Box::new)));
    }

    /// Looks when a theme's files were written, if it has any.
    pub(super) fn look_at(&mut self, theme: &Theme) {
        if theme.is_file() && self.running.is_empty() {
            let theme = theme.clone();
            self.start(move || Done::Written(theme.written()));
        }
    }

    /// Looks a series up in the history file of the state directory.
    pub(super) fn recall(&mut self, home: Option<PathBuf>, key: SignalKey, compare: Compare, span: (Time, Time)) {
        self.start(move || {
            let found = home.map_or(Ok(None), |home| history::recall(&home, &key, span, STEP));
            Done::Recalled(key, compare, found)
        });
    }

    /// Plays a backtest until somebody asks for another one.
    pub(super) fn backtest(&mut self, number: u64, picture: Arc<Picture>, workload: Label) {
        self.asked.store(number, Ordering::Relaxed);
        let (asked, meanwhile) = (self.asked.clone(), self.meanwhile.0.clone());
        self.start(move || {
            let played = Question::of(&picture, workload.as_str()).and_then(|question| {
                let answer = question.answer(&|played| {
                    // Where the screen is busy one is not told; the next one is.
                    let _ = meanwhile.try_send(Done::Playing(number, (played, question.games())));
                    asked.load(Ordering::Relaxed) == number
                });
                answer.map(Arc::new).ok_or_else(|| "it was left".to_owned())
            });
            Done::Backtested(number, played)
        });
    }

    /// Gives up the backtest that is being played.
    pub(super) fn leave_backtest(&self) {
        self.asked.store(0, Ordering::Relaxed);
    }

    /// Runs a program of the operator's own until it ends or its deadline passes. Left when the screen is left: its process
    /// group is ended then.
    pub(super) fn command(&mut self, number: u64, argv: Vec<String>, env: Vec<String>, deadline: Duration) {
        self.running.spawn(async move {
            let env: Vec<(&str, String)> =
                env.iter().filter_map(|name| Some((name.as_str(), std::env::var(name).ok()?))).collect();
            let ended = process::run(&argv, &env, deadline).await;
            Done::Ran(number, ended.map(|output| Arc::new(Said::of(&output))).map_err(|e| e.to_string()))
        });
    }

    /// Writes files into a folder that is made when it is absent, for the owner only.
    pub(super) fn save(&mut self, folder: Option<PathBuf>, files: Vec<(String, String)>) {
        self.start(move || Done::Saved(save(folder, &files)));
    }
}

fn save(folder: Option<PathBuf>, files: &[(String, String)]) -> Result<String, String> {
    use std::{fs::DirBuilder, io::ErrorKind, os::unix::fs::DirBuilderExt};
    let folder = folder.ok_or("nothing can be saved: there is no state directory; set $XDG_STATE_HOME")?;
    let cannot = |e: std::io::Error| format!("cannot save to {}: {e}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(cannot)?;
    let mut number = 1;
    loop {
        let files: Vec<_> = files.iter().map(|(name, text)| (numbered(name, number), text.clone())).collect();
        match write_new(&folder, &files) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && number < MOST => number += 1,
            written => {
                return written.map_err(cannot).map(|()| format!("saved {} in {}", in_short(&files), folder.display()));
            }
        }
    }
}

/// Files of one name that are kept: what was saved within one second, by however many programs.
const MOST: u32 = 99;

/// `kafka-20260312T140732Z-2.svg`.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) if number > 1 => format!("{stem}-{number}.{ending}"),
        _ => name.to_owned(),
    }
}

/// Writes files that were not there; where the first is, another program has its name.
fn write_new(folder: &Path, files: &[(String, String)]) -> std::io::Result<()> {
    use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt};
    files.iter().try_for_each(|(name, text)| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
        file.write_all(text.as_bytes())
    })
}

/// `kafka.svg, .ans, .txt`: what differs in its ending only is named once.
fn in_short(files: &[(String, String)]) -> String {
    let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.len());
    let first = files.first().map_or("", |(name, _)| name.as_str());
    let short = |(i, (name, _)): (usize, &(String, String))| match stem(first) {
        Some(length) if i > 0 && stem(name) == Some(length) && name[..length] == first[..length] => {
            name[length..].to_owned()
        }
        _ => name.clone(),
    };
    files.iter().enumerate().map(short).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stem_is_told_once() {
        let named =
            |names: &[&str]| in_short(&names.iter().map(|n| ((*n).to_owned(), String::new())).collect::<Vec<_>>());
        assert_eq!(named(&["kafka-1.svg", "kafka-1.ans", "kafka-1.txt"]), "kafka-1.svg, .ans, .txt");
        assert_eq!(named(&["a.md", "b.md", "c"]), "a.md, b.md, c");
    }

    #[test]
    fn files_are_for_the_owner_and_failures_are_told() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("notes");
        let said = save(Some(folder.clone()), &[("a.md".into(), "text".into())]).unwrap();
        assert!(said.starts_with("saved a.md in "), "{said}");
        let file = folder.join("a.md");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // Another program that saves within the same second takes nothing away.
        let said = save(Some(folder.clone()), &[("a.md".into(), "another".into())]).unwrap();
        assert!(said.starts_with("saved a-2.md in "), "{said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
        assert_eq!(std::fs::read_to_string(folder.join("a-2.md")).unwrap(), "another");
        let why = save(Some(file), &[("b".into(), String::new())]).unwrap_err();
        assert!(why.contains("cannot save to"), "{why}");
        assert!(save(None, &[]).unwrap_err().contains("XDG_STATE_HOME"));
    }
}
