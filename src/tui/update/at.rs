//! "Do it then": the line in which an instant is written, and the approval that goes with it.

use super::{
    super::{
        dialog::{Approve, Dialog},
        format,
        input::Input,
        state::State,
    },
    Effect, Press,
    dialogs::{allowed, meant},
    travel::minute,
};
use crate::model::{Confirm, Intent, Picture, Severity, Time, Zone};
use crossterm::event::KeyCode;

/// Opens the line above the approval, if there is anything to approve.
pub(super) fn open(state: &mut State, mut approve: Approve, press: Press<'_>) -> Vec<Effect> {
    match allowed(&approve, press.at.now) {
        Ok(shown) if shown.prepared.confirm == Confirm::TypeName => {}
        Ok(_) => {
            let input = Input::new(&format::clock_in(&state.zone, suggestion(&approve, press.picture, press.at.now)));
            approve.covered = true;
            state.dialogs.push(Dialog::Approve(Box::new(approve)));
            state.dialogs.push(Dialog::At { input, problem: None });
            return Vec::new();
        }
        Err(why) => state.say(Severity::Unknown, why),
    }
    state.dialogs.push(Dialog::Approve(Box::new(approve)));
    Vec::new()
}

/// When the plan itself would ask for this count, else in a quarter of an hour.
fn suggestion(approve: &Approve, picture: &Picture, now: Time) -> Time {
    let view = picture.workload(approve.plan.workload.as_str());
    let steps = view.and_then(|v| v.advice.recommendation.as_ref().ok()).map(|r| r.steps.as_slice());
    let planned = steps.unwrap_or_default().iter().find(|s| s.replicas == approve.to && s.at.since(now) > 60.0);
    planned.map_or(now.plus(900.0), |s| s.at)
}

/// A key for the line. Enter approves for the instant that stands in it.
pub(super) fn key(state: &mut State, mut input: Input, problem: Option<String>, press: Press<'_>) -> Vec<Effect> {
    if press.chord.code() != KeyCode::Enter {
        let problem = if input.key(press.chord) { None } else { problem };
        state.dialogs.push(Dialog::At { input, problem });
        return Vec::new();
    }
    let under = match state.dialogs.pop() {
        Some(Dialog::Approve(approve)) => approve,
        other => {
            state.dialogs.extend(other);
            return Vec::new();
        }
    };
    let checked = parse(&input.text(), press.at.now, &state.zone).and_then(|at| {
        let shown = allowed(&under, press.at.now)?;
        meant(press, None, shown.since)?; // the plan, too, must have been there to be read
        let (action, plan_hash) = (shown.prepared.action.clone(), shown.prepared.plan_hash.clone());
        Ok((action, plan_hash, at))
    });
    match checked {
        Ok((action, plan_hash, at)) => {
            state.settled = Some(action.clone());
            let workload = &under.plan.workload;
            state.say(
                Severity::Ok,
                format!(
                    "{workload}: approved for {} {}; x on the actions page cancels it",
                    format::clock_in(&state.zone, at),
                    state.zone.name(at)
                ),
            );
            vec![Effect::Send(Intent::ConfirmAt { action, plan_hash, at })]
        }
        Err(why) => {
            state.dialogs.push(Dialog::Approve(under));
            state.dialogs.push(Dialog::At { input, problem: Some(why) });
            Vec::new()
        }
    }
}

/// `14:20` is the next such minute on the clocks of a zone, `+15` is in so many minutes; at most 12 hours ahead.
fn parse(text: &str, now: Time, zone: &Zone) -> Result<Time, String> {
    let wrong = || format!("write a time such as 14:20 ({}), or +15 for in 15 minutes", zone.name(now));
    let text = text.trim();
    let number = |t: &str| t.parse::<u16>().ok().filter(|_| t.bytes().all(|b| b.is_ascii_digit()));
    let at = if let Some(minutes) = text.strip_prefix('+') {
        now.plus(f64::from(number(minutes).filter(|m| *m > 0).ok_or_else(wrong)?) * 60.0)
    } else {
        let (hours, minutes) = minute(text).ok_or_else(wrong)?;
        zone.around(now, hours, minutes).into_iter().find(|t| *t > now).ok_or_else(wrong)?
    };
    if at.since(now) > 12.0 * 3600.0 { Err("that is more than 12 hours ahead".into()) } else { Ok(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_next_one() {
        let now = Time::parse("2026-03-02T22:30:00Z").unwrap();
        let at = |text| parse(text, now, &Zone::default()).map(|t| t.to_string());
        assert_eq!(at("23:05").as_deref(), Ok("2026-03-02T23:05:00.000Z"));
        assert_eq!(at("06:00").as_deref(), Ok("2026-03-03T06:00:00.000Z"));
        assert_eq!(at(" +15 ").as_deref(), Ok("2026-03-02T22:45:00.000Z"));
        for wrong in ["", "22", "24:00", "10:61", "+0", "+-5", "+x", "22:30", "1:2:3"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
        let west = "-05:00".parse().unwrap();
        assert_eq!(parse("17:35", now, &west).map(|t| t.to_string()).as_deref(), Ok("2026-03-02T22:35:00.000Z"));
    }
}
