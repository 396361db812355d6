//! The hand-over note: what is known of a workload, what is advised and what was done, as Markdown for a colleague or
//! an incident channel. Made from the picture on screen, so that it says what the screen says.

use super::{
    Cx, State, Theme, alerts, export, format,
    frame::Frame,
    theme::{Charset, Depth},
    view,
    widget::value,
};
use crate::model::{Action, Mode, Picture, Recommendation, SignalView, Time, WorkloadView, duration, si};
use ratatui::{buffer::Buffer, layout::Rect};
use std::fmt::Write;

/// Columns and lines of the chart in a note.
const CHART: Rect = Rect { x: 0, y: 0, width: 100, height: 18 };
/// Actions that are told, the newest first.
const ACTIONS: usize = 10;
/// Other things that are wrong that are told, the worst first.
const ALERTS: usize = 8;

/// The note of one workload.
pub fn of_workload(view: &WorkloadView, picture: &Picture, state: &State, now: Time) -> String {
    let mut out = String::new();
    let w = &view.workload;
    let who = picture.identity.as_ref().map_or(String::new(), |i| format!(", seen by {i}"));
    let mode = if picture.mode == Mode::Operate { "operate" } else { "watch" };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "# {}\n\n{} on {}{who} ({mode})\n", plain(w.name.as_str()), at(now), picture.title);
    if state.frozen.is_some() {
        let then = at(picture.at);
        let _ = writeln!(out, "**As it was at {then}**, from a frozen screen: none of it is of the time above.\n");
    }
    let _ = writeln!(
        out,
        "**{}**: {}\n",
        alerts::word(view.severity).to_lowercase(),
        or(&view.headline, "as it should be")
    );
    if let Some(slo) = &view.slo {
        let met = match slo.is_met() {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not known",
        };
        let _ = writeln!(out, "Objective: {} below {}: {met}\n", slo.objective.replace('_', " "), duration(slo.limit));
    }
    let _ = writeln!(out, "| signal | now | age | from |\n|---|---:|---:|---|");
    for signal in &view.signals {
        let _ = writeln!(out, "{}", row(signal, now));
    }
    let _ = writeln!(out, "\n```text\n{}```\n", chart(view, picture, state, now));
    match &view.advice.recommendation {
        Ok(r) => recommendation(&mut out, view, r),
        Err(why) => {
            let _ = writeln!(out, "## No recommendation\n\n{}\n", plain(why));
        }
    }
    let own: Vec<&Action> = picture.actions.iter().filter(|a| a.workload == w.name).collect();
    if !own.is_empty() {
        let _ = writeln!(out, "## Actions, newest first\n");
        for a in own.iter().take(ACTIONS) {
            let _ = writeln!(
                out,
                "- {} {} to {}: **{}** by {}: {} (`{}`)",
                at(a.updated),
                a.from,
                a.to,
                a.state.name(),
                a.actor,
                plain(a.reason.as_str()),
                a.id
            );
        }
        and_more(&mut out, own.len(), ACTIONS);
        out.push('\n');
    }
    let wrong: Vec<_> = alerts::alerts(picture).into_iter().filter(|a| a.subject() != w.name.as_str()).collect();
    if !wrong.is_empty() {
        let _ = writeln!(out, "## What else is wrong\n");
        for alert in wrong.iter().take(ALERTS) {
            let word = alerts::word(alert.severity).to_lowercase();
            let _ = writeln!(out, "- {word}: {}: {}", plain(&alert.subject()), plain(&alert.trouble(picture).text));
        }
        and_more(&mut out, wrong.len(), ALERTS);
    }
    out
}

/// What a list leaves out: who reads it elsewhere has no other.
fn and_more(out: &mut String, all: usize, told: usize) {
    if all > told {
        let _ = writeln!(out, "- and {} more", all - told);
    }
}

fn recommendation(out: &mut String, view: &WorkloadView, r: &Recommendation) {
    let title = if r.is_change() {
        format!("{} to {} {}", r.current.desired, r.recommended, format::noun(view.workload.entity.kind))
    } else {
        format!("stay at {}", r.recommended)
    };
    let _ = writeln!(out, "## Recommendation: {title}\n");
    let target = r.target.as_ref().map_or("no target is configured".to_owned(), |t| format!("`{t}`"));
    let _ = writeln!(out, "{target}, plan `{}`, made at {}, expires at {}\n", r.plan_hash, at(r.at), at(r.expires));
    for reason in &r.reasons {
        let _ = writeln!(out, "- {}", plain(reason));
    }
    for b in &r.blocked_by {
        let _ = writeln!(out, "- held back by {}: {}", b.guard, plain(&b.detail));
    }
    for a in &r.alternatives {
        let over = si(a.slo_minutes);
        let _ =
            writeln!(out, "- {} replicas cost {}, {over} min over the objective", a.replicas, format::price(a.price));
    }
    let rivals = format::rivals(&view.state, r).into_iter();
    let said: Vec<String> = rivals.filter_map(|(name, n)| Some(format!("{name} {}", n?))).collect();
    if !said.is_empty() {
        let _ = writeln!(out, "- others would say: {}", said.join(", "));
    }
    out.push('\n');
}

fn row(signal: &SignalView, now: Time) -> String {
    let name = signal.role.name().replace('_', " ");
    let Some(r) = &signal.now else { return format!("| {name} | missing | | |") };
    let (age, origin) = (format::age(r.age(now)), plain(r.origin.as_str()));
    // As on screen: an estimate and a lower bound are no measurement.
    let value = value::reading(&theme(), Some(r), now, f64::INFINITY, |v| format::with_unit(v, signal.unit));
    format!("| {name} | {value} | {age} | {origin} |")
}

/// The chart that stands on the workload's page, as text.
fn chart(view: &WorkloadView, picture: &Picture, state: &State, now: Time) -> String {
    let mut buf = Buffer::empty(CHART);
    let frame = Frame::new(picture, state);
    view::chart(&Cx { picture, state, theme: &theme(), now, frame: &frame, hits: None }, view, CHART, &mut buf);
    export::text(&buf)
}

/// Whose glyphs a note is written in.
fn theme() -> Theme {
    Theme::fallback(Depth::None, Charset::Braille)
}

/// An instant to the second.
fn at(t: Time) -> String {
    let text = t.to_string(); // RFC 3339
    format!("{} {} UTC", text.get(..10).unwrap_or(&text), format::clock_seconds(t))
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// Text from outside as plain text: no line breaks, no tables or links of its own.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '|' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '\\') {
            out.push('\\');
        }
        out.push(if c.is_control() { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture;

    #[test]
    fn a_note_holds_what_the_screen_says() {
        let picture = fixture::picture(Mode::Operate);
        let note = of_workload(&picture.workloads[0], &picture, &State::default(), fixture::NOW);
        insta::assert_snapshot!(note);
    }

    #[test]
    fn a_note_of_a_frozen_screen_says_of_when_it_is() {
        let picture = fixture::picture(Mode::Operate);
        let state = State { frozen: Some(std::sync::Arc::new(picture.clone())), ..State::default() };
        let note = of_workload(&picture.workloads[0], &picture, &state, picture.at.plus(1_800.0));
        let (written, then) = (at(picture.at.plus(1_800.0)), at(picture.at));
        assert!(note.contains(&written) && note.contains(&format!("As it was at {then}")), "{note}");
    }

    #[test]
    fn what_a_note_leaves_out_is_counted() {
        let mut picture = fixture::crowd(20);
        for view in picture.workloads.iter_mut() {
            std::sync::Arc::make_mut(view).severity = crate::model::Severity::Act;
        }
        let view = &picture.workloads[0];
        let note = of_workload(view, &picture, &State::default(), picture.at);
        let (_, wrong) = note.split_once("## What else is wrong").unwrap();
        let told = wrong.lines().filter(|l| l.starts_with("- ")).count() - 1;
        let all = alerts::alerts(&picture).iter().filter(|a| a.subject() != view.workload.name.as_str()).count();
        assert!(all > told && note.contains(&format!("- and {} more", all - told)), "{all} alerts\n{note}");
    }

    #[test]
    fn names_from_outside_stay_text() {
        assert_eq!(plain("a|b\n[x](http://y) <img>"), "a\\|b \\[x\\](http://y) \\<img\\>");
    }
}
