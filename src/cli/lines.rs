//! `highwater watch --accessible`: what changes, as lines. For screen readers, logs and terminals that cannot be drawn on.

use super::{Failure, Outcome, args::Common, common, is_read};
use crate::{
    engine::{self, Options},
    model::{Picture, Severity},
    process::Clock,
    tui::{alerts, format, log},
};
use std::{fmt::Write, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

pub(super) fn run(common: &Common) -> Outcome {
    let config = common::config_with_sources(common)?;
    let state = common::state_dir()?;
    common::log(common, Some(&state))?;
    let runtime = common::runtime()?;
    let outcome =
        runtime.block_on(follow(Options { config, clock: Clock::wall(), state: Some(state), past: None, days: false }));
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    outcome
}

/// Prints until somebody ends it or nobody reads it any more.
async fn follow(options: Options) -> Outcome {
    let cannot = |e: std::io::Error| Failure::failed(format!("cannot listen for signals: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
    let mut handle = engine::watch(options);
    let mut before: Option<Arc<Picture>> = None;
    let code = loop {
        tokio::select! {
            _ = interrupt.recv() => break 130,
            _ = terminate.recv() => break 143,
            _ = hangup.recv() => break 129,
            changed = handle.pictures.changed() => {
                if changed.is_err() {
                    return Err(Failure::failed("the engine stopped, so that nothing new can be told"));
                }
            }
        }
        let picture = handle.pictures.borrow_and_update().clone();
        let text = told(&mut before, &picture);
        if !text.is_empty() && !is_read(&text)? {
            break 0; // `| head` has what it wanted
        }
    };
    handle.stop().await;
    Ok(code)
}

/// What is new in a picture, which the next one is compared with.
fn told(before: &mut Option<Arc<Picture>>, picture: &Arc<Picture>) -> String {
    match before.replace(picture.clone()) {
        // Before anything was seen there is nothing to compare with.
        None if picture.workloads.is_empty() => changes(&Picture::empty(picture.mode, "", picture.at), picture),
        None => summary(picture),
        Some(before) => changes(&before, picture),
    }
}

/// Everything once, the worst first.
fn summary(picture: &Picture) -> String {
    let mut out = String::new();
    let bad = picture.workloads.iter().filter(|w| w.severity == Severity::Act).count();
    let clock = format::clock_seconds(picture.at);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{clock} UTC: {} workloads, {bad} need you.", picture.workloads.len());
    for alert in alerts::alerts(picture) {
        let trouble = alert.trouble(picture);
        let mend = if trouble.mend.is_empty() { String::new() } else { format!(" To do: {}.", trouble.mend) };
        let word = alerts::word(alert.severity).to_lowercase();
        let _ = writeln!(out, "{clock} {word}: {}: {}.{mend}", alert.subject(), trouble.text);
    }
    out
}

/// One line for each change.
fn changes(before: &Picture, after: &Picture) -> String {
    let line = |e: log::Entry| {
        let word = alerts::word(e.severity).to_lowercase();
        format!("{} {word}: {}.\n", format::clock_seconds(e.at), e.text)
    };
    log::changes(before, after).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mode, tui::fixture};

    #[test]
    fn a_summary_and_then_only_what_changes() {
        let picture = fixture::picture(Mode::Watch);
        let text = summary(&picture);
        assert!(text.starts_with("14:07:32 UTC: 8 workloads, 2 need you.\n"), "{text}");
        assert!(text.lines().all(|l| l.ends_with('.') && l.starts_with("14:07:32 ")), "{text}");
        assert!(text.contains("critical: fraud-scorer: 34 s behind"), "{text}");
        assert_eq!(changes(&picture, &picture), "");
    }

    #[test]
    fn what_does_not_answer_is_said_once_whether_or_not_anything_was_seen() {
        let mut silent = fixture::picture(Mode::Watch);
        silent.workloads.clear();
        let (silent, seen) = (Arc::new(silent), Arc::new(fixture::picture(Mode::Watch)));
        for first in [&silent, &seen] {
            let mut before = None;
            told(&mut before, first);
            told(&mut before, &silent);
            assert_eq!(told(&mut before, &silent), "");
        }
    }
}
