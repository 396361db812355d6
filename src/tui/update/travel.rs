//! Looking back: another instant on screen, charts read at an instant, charts beside those of another day.

use super::{
    super::{
        dialog::Dialog,
        format,
        input::Input,
        rows,
        state::{Compare, Recalled, State},
    },
    Effect, Press,
};
use crate::model::{Grid, Picture, Severity, SignalKey, Time, Zone};
use crossterm::event::KeyCode;
use std::sync::Arc;

/// Seconds of one step.
pub(super) const STEP: f64 = 60.0;
/// Places at which a chart's past is read.
const PLACES: f64 = 60.0;
/// A comparison is looked up again when the present has moved on by so many seconds.
const STALE: f64 = 300.0;
/// Seconds ahead of the present that a comparison reaches: what came then.
const AHEAD: f64 = 3_600.0;

/// Goes back or forth in time from what is on screen. Kept pictures are a minute apart or some more: forth goes to the
/// next one, and after the last one the screen goes on.
pub(super) fn step(state: &mut State, press: Press<'_>, seconds: f64) {
    let at = state.shown(press.picture).at;
    let to = at.plus(seconds);
    let among_kept = seconds > 0.0 && state.past.oldest().is_some_and(|oldest| to >= oldest);
    let to = if among_kept { state.past.after(at).unwrap_or(press.picture.at) } else { to };
    show(state, press.picture, to);
}

/// Shows what was on screen at an instant; from the present on the screen goes on.
fn show(state: &mut State, live: &Arc<Picture>, to: Time) {
    if to >= live.at {
        state.frozen = None;
        return;
    }
    let picture = state.past.at(to, live);
    if state.frozen.as_ref().is_some_and(|f| f.at == picture.at) {
        state.say(Severity::Unknown, format!("nothing else is kept near {}", written(&state.zone, to)));
    }
    state.frozen = Some(Arc::new(picture));
}

/// A key for the line in which an instant is typed.
pub(super) fn key(state: &mut State, mut input: Input, problem: Option<String>, press: Press<'_>) -> Vec<Effect> {
    if press.chord.code() != KeyCode::Enter {
        let problem = if input.key(press.chord) { None } else { problem };
        state.dialogs.push(Dialog::Travel { input, problem });
        return Vec::new();
    }
    match parse(&input.text(), press.picture.at, &state.zone) {
        Ok(to) => show(state, press.picture, to),
        Err(why) => state.dialogs.push(Dialog::Travel { input, problem: Some(why) }),
    }
    Vec::new()
}

/// `03:12` is the last such minute on the clocks of a zone, `-15` was so many minutes ago.
fn parse(text: &str, now: Time, zone: &Zone) -> Result<Time, String> {
    let wrong = || format!("write a time such as 03:12 ({}), or -15 for 15 minutes ago", zone.name(now));
    let number = |t: &str| t.parse::<u16>().ok().filter(|_| t.bytes().all(|b| b.is_ascii_digit()));
    let text = text.trim();
    if let Some(minutes) = text.strip_prefix('-') {
        let minutes = number(minutes).filter(|m| *m > 0).ok_or_else(wrong)?;
        return Ok(now.plus(-60.0 * f64::from(minutes)));
    }
    let (hours, minutes) = minute(text).ok_or_else(wrong)?;
    zone.around(now, hours, minutes).into_iter().rfind(|t| *t <= now).ok_or_else(wrong)
}

/// Reads `14:20`.
pub(super) fn minute(text: &str) -> Option<(u8, u8)> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |t: &str| t.parse::<u8>().ok().filter(|_| t.bytes().all(|b| b.is_ascii_digit()));
    Some((number(hours).filter(|h| *h < 24)?, number(minutes).filter(|m| *m < 60)?))
}

/// An instant by the clocks of a zone, with its name.
fn written(zone: &Zone, t: Time) -> String {
    format!("{} {}", format::clock_seconds_in(zone, t), zone.name(t))
}

/// Samples that are kept for the charts, seconds.
const KEPT: f64 = 86_400.0;

/// How far the charts can be moved into the past, seconds.
pub(super) fn farthest(state: &State) -> f64 {
    (KEPT - state.zoom.back()).max(0.0)
}

/// Shows a longer past, and not of a time of which no sample is kept.
pub(super) fn zoom_out(state: &mut State) {
    state.zoom = state.zoom.farther();
    state.pan = state.pan.min(farthest(state));
}

/// Moves the charts by quarters of the past that they show, towards the past.
pub(super) fn pan(state: &mut State, quarters: f64) {
    state.pan = (state.pan + quarters * state.zoom.back() / 4.0).clamp(0.0, farthest(state));
}

/// Moves the place at which the charts are read, by a share of the past that they show.
pub(super) fn read(state: &mut State, places: f64) {
    let step = state.zoom.back() / PLACES;
    let at = state.cross.unwrap_or(-state.pan) + places * step;
    state.cross = Some(at.clamp(-state.zoom.back() - state.pan, AHEAD));
}

/// Asks for the series that the charts are to be compared with, unless it is there or on its way.
pub(super) fn recall(state: &mut State, live: &Arc<Picture>) -> Option<Effect> {
    let ago = state.compare.ago()?;
    let picture = state.shown(live);
    let view = rows::current_workload(picture, state)?;
    let key = SignalKey { entity: view.workload.entity.clone(), role: view.signals.first()?.role };
    let (now, compare) = (picture.at, state.compare);
    let fresh = |r: &Recalled| r.key == key && r.compare == compare && now.since(r.until).abs() < STALE;
    if state.recalled.as_ref().is_some_and(fresh) {
        return None;
    }
    // As far as the charts can be zoomed and moved from here.
    let span = (now.plus(-ago - KEPT), now.plus(-ago + AHEAD));
    state.recalled = Some(Recalled { key: key.clone(), compare, until: now, track: None });
    Some(Effect::Recall { key, compare, span })
}

/// Takes what was found, moved to the present.
pub(super) fn recalled(state: &mut State, key: &SignalKey, compare: Compare, track: Option<Arc<Grid>>) {
    let (Some(waiting), Some(ago)) = (&mut state.recalled, compare.ago()) else { return };
    if waiting.key != *key || waiting.compare != compare {
        return; // another one is looked at by now
    }
    if let Some(track) = track {
        waiting.track = Some(Arc::new(Grid { start: track.start.plus(ago), ..(*track).clone() }));
    } else {
        state.say(Severity::Unknown, format!("{}: nothing of {} is stored", key.entity.id, compare.word()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_last_one() {
        let now = Time::parse("2026-03-02T02:30:00Z").unwrap();
        let at = |text| parse(text, now, &Zone::default()).map(|t| t.to_string());
        assert_eq!(at("02:05").as_deref(), Ok("2026-03-02T02:05:00.000Z"));
        assert_eq!(at("03:12").as_deref(), Ok("2026-03-01T03:12:00.000Z"));
        assert_eq!(at(" -15 ").as_deref(), Ok("2026-03-02T02:15:00.000Z"));
        for wrong in ["", "3", "24:00", "10:61", "-0", "+5", "-x", "1:2:3"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        let east = "+05:30".parse().unwrap();
        assert_eq!(parse("07:35", now, &east).map(|t| t.to_string()).as_deref(), Ok("2026-03-02T02:05:00.000Z"));
    }
}
