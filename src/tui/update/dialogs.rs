//! Keys, pasted text and answers while a dialog lies above the page.

use super::{
    super::{
        action::Action,
        alerts::Place,
        dialog::{Approve, Dialog, SNOOZES, Shown},
        keymap::Chord,
        palette::{self, Item},
        state::State,
        view,
    },
    DEAD_TIME, Effect, Moment, Press, act, at, choose, command, decide, distance, pin, travel, visit,
};
use crate::{
    advise::what_if::Answer,
    model::{ActionId, Confirm, Intent, Label, Limits, Picture, Prepared, Second, Severity, Time, Unprepared},
};
use crossterm::event::KeyCode;
use std::{sync::Arc, time::Duration};

/// A key for the topmost dialog, which was taken off the stack; it is put back unless the key ends it.
pub(super) fn key(state: &mut State, dialog: Dialog, action: Option<Action>, press: Press<'_>) -> Vec<Effect> {
    let effects = match dialog {
        Dialog::Approve(approve) => approve_key(state, *approve, action, press),
        dialog if leaves(&dialog, action, press) => {
            match dialog {
                Dialog::Filter { before, .. } => state.filter = before,
                Dialog::Choose { choice, .. } => return choose::leave(state, choice),
                _ => {}
            }
            Vec::new()
        }
        Dialog::Ask(ask) => command::key(state, *ask, action, press),
        Dialog::Palette { .. } => palette_key(state, dialog, press),
        Dialog::Filter { mut input, before } => {
            if press.chord.code() == KeyCode::Enter {
                pin(state, press.picture);
                return Vec::new(); // the filter stays as typed
            }
            input.key(press.chord);
            state.filter = input.text();
            state.dialogs.push(Dialog::Filter { input, before });
            Vec::new()
        }
        Dialog::Travel { input, problem } => travel::key(state, input, problem, press),
        Dialog::At { input, problem } => at::key(state, input, problem, press),
        Dialog::Reject { .. } | Dialog::Count { .. } => typed_key(state, dialog, press),
        Dialog::Choose { choice, cursor } => choose::key(state, choice, cursor, action, press),
        Dialog::Snooze { .. } => snooze_key(state, dialog, action, press),
        Dialog::Help(_)
        | Dialog::Explain { .. }
        | Dialog::WhatIf { .. }
        | Dialog::Ran { .. }
        | Dialog::Action { .. } => {
            if action == Some(Action::SaveScreen) {
                state.dialogs.push(dialog); // saved with it
                return act(state, Action::SaveScreen, press);
            }
            scroll_by(state, dialog, action, press);
            Vec::new()
        }
    };
    uncover(state, press.at.uptime);
    effects
}

/// Scrolls as a key says; PgUp and PgDn leave a line of what was seen.
fn scroll_by(state: &mut State, dialog: Dialog, action: Option<Action>, press: Press<'_>) {
    let page = isize::try_from(view::dialog_lines(state.size)).unwrap_or(1).saturating_sub(1).max(1);
    scroll(state, dialog, action.map_or(0, |a| distance(a, page)), press.picture, press.at);
}

/// An approval that lay under another dialog is read anew: its dead time starts again.
fn uncover(state: &mut State, uptime: Duration) {
    if let Some(Dialog::Approve(approve)) = state.dialogs.last_mut()
        && let Some(shown) = &mut approve.shown
        && approve.covered
    {
        approve.covered = false;
        shown.since = uptime;
    }
}

/// A screen of another size is read anew: the dead time of whatever asks to be confirmed starts again.
pub(super) fn read_anew(state: &mut State) {
    for dialog in &mut state.dialogs {
        match dialog {
            Dialog::Ask(ask) => ask.since = state.uptime,
            Dialog::Approve(approve) => {
                approve.shown.iter_mut().for_each(|shown| shown.since = state.uptime);
            }
            _ => {}
        }
    }
}

/// Whether a key leaves a dialog without doing anything: Esc always; in dialogs without a text also what means back or
/// quit, and the key that opened it where it only shows something.
fn leaves(dialog: &Dialog, action: Option<Action>, press: Press<'_>) -> bool {
    let has_text = match dialog {
        Dialog::Ask(ask) => ask.types_name(),
        Dialog::Palette { .. }
        | Dialog::Filter { .. }
        | Dialog::Reject { .. }
        | Dialog::Count { .. }
        | Dialog::At { .. }
        | Dialog::Travel { .. } => true,
        _ => false,
    };
    match action {
        _ if press.chord.code() == KeyCode::Esc => true,
        _ if has_text => false,
        Some(Action::Back | Action::Quit) => true,
        Some(Action::Help) => matches!(dialog, Dialog::Help(_)),
        Some(Action::Explain) => matches!(dialog, Dialog::Explain { .. }),
        Some(Action::WhatIf) => matches!(dialog, Dialog::WhatIf { .. }),
        _ => false,
    }
}

fn palette_key(state: &mut State, dialog: Dialog, press: Press<'_>) -> Vec<Effect> {
    let Dialog::Palette { mut input, mut cursor } = dialog else { return Vec::new() };
    let items = palette::matching(&input.text(), press.picture, &state.commands);
    match press.chord.code() {
        KeyCode::Enter => {
            return items.get(cursor).map_or_else(Vec::new, |item| choose(state, item, press));
        }
        KeyCode::Up => cursor = cursor.saturating_sub(1),
        KeyCode::Down | KeyCode::Tab => cursor = (cursor + 1).min(items.len().saturating_sub(1)),
        _ => {
            if input.key(press.chord) {
                cursor = 0;
            }
        }
    }
    state.dialogs.push(Dialog::Palette { input, cursor });
    Vec::new()
}

fn choose(state: &mut State, item: &Item, press: Press<'_>) -> Vec<Effect> {
    match item {
        Item::Action(action) => return act(state, *action, press),
        Item::Command(own) => return command::open(state, &own.name, press),
        Item::View(view) => state.view = *view,
        Item::Workload(name) => visit(state, Place::Workload(name.clone())),
    }
    Vec::new()
}

/// Keys of the reason and of the count.
fn typed_key(state: &mut State, mut dialog: Dialog, press: Press<'_>) -> Vec<Effect> {
    if press.chord.code() == KeyCode::Enter {
        match &mut dialog {
            Dialog::Reject { plan, input } if !input.text().trim().is_empty() => {
                let reason = Label::new(input.text().trim());
                state.say(Severity::Ok, format!("{}: rejected", plan.workload));
                let (workload, plan_hash) = (plan.workload.clone(), plan.hash.clone());
                return vec![Effect::Send(Intent::Reject { workload, plan_hash, reason })];
            }
            Dialog::Count { plan, current, limits, input, problem } => match count(&input.text(), *current, *limits) {
                Ok(to) => return decide::ask(state, plan.clone(), to, press),
                Err(why) => *problem = Some(why),
            },
            _ => {}
        }
    } else if let Dialog::Reject { input, .. } | Dialog::Count { input, .. } = &mut dialog
        && input.key(press.chord)
        && let Dialog::Count { problem, .. } = &mut dialog
    {
        *problem = None;
    }
    state.dialogs.push(dialog);
    Vec::new()
}

/// Reads a count within its limits; the error is a sentence.
fn count(text: &str, current: u32, limits: Limits) -> Result<u32, String> {
    let bounds = format!("{} to {}", limits.min, limits.max);
    match text.trim().parse::<u32>() {
        Err(_) => Err(format!("write a whole number, {bounds}")),
        Ok(n) if n < limits.min || n > limits.max => Err(format!("{n} is outside of {bounds}")),
        Ok(n) if n == current => Err(format!("it has {n} already")),
        Ok(n) => Ok(n),
    }
}

fn snooze_key(state: &mut State, dialog: Dialog, action: Option<Action>, press: Press<'_>) -> Vec<Effect> {
    let Dialog::Snooze { plan, mut cursor } = dialog else { return Vec::new() };
    let number = press.chord.typed().and_then(|c| c.to_digit(10)).map_or(0, |d| d as usize);
    let chosen = match (press.chord.code(), action) {
        _ if (1..=SNOOZES.len()).contains(&number) => Some(number - 1),
        (KeyCode::Enter, _) => Some(cursor),
        (_, Some(moving)) => {
            let to = cursor.saturating_add_signed(distance(moving, 1));
            cursor = to.min(SNOOZES.len() - 1);
            None
        }
        _ => None,
    };
    let Some((words, seconds)) = chosen.and_then(|i| SNOOZES.get(i)) else {
        state.dialogs.push(Dialog::Snooze { plan, cursor });
        return Vec::new();
    };
    state.say(Severity::Ok, format!("{}: not asked again for {words}", plan.workload));
    let until = press.at.now.plus(*seconds);
    vec![Effect::Send(Intent::Snooze { workload: plan.workload, plan_hash: plan.hash, until })]
}

/// Keys of the approval: confirm, another number, another way, scroll, leave. Any other key is no answer to what is
/// asked: as after a change, what is asked must be read anew before it can be confirmed.
fn approve_key(state: &mut State, mut approve: Approve, action: Option<Action>, press: Press<'_>) -> Vec<Effect> {
    let confirm = approve.shown.as_ref().map(|s| s.prepared.confirm);
    let guessed = approve.shown.as_ref().is_some_and(|s| s.prepared.guess.is_some());
    // As long as the target is a guess there is nothing to type its name for, and its own key is listened to.
    let types_name = confirm == Some(Confirm::TypeName) && !guessed;
    let wants = match (press.chord.code(), action) {
        (KeyCode::Esc, _) => return let_go(state, &approve),
        (KeyCode::Enter, _) => types_name || confirm == Some(Confirm::None),
        (_, Some(Action::Up | Action::Down | Action::PageUp | Action::PageDown))
            if !types_name || press.chord.typed().is_none() =>
        {
            scroll_by(state, Dialog::Approve(Box::new(approve)), action, press);
            return Vec::new();
        }
        _ if types_name => {
            approve.typed.key(press.chord);
            false
        }
        (_, Some(Action::Back | Action::Quit)) => return let_go(state, &approve),
        // Who begins to type a command does not answer with its letters.
        (_, Some(elsewhere @ (Action::Palette | Action::Filter))) => {
            let mut effects = let_go(state, &approve);
            effects.extend(act(state, elsewhere, press));
            return effects;
        }
        (_, Some(Action::ChangeCount)) => return another_count(state, &approve, press.picture),
        (_, Some(Action::Help)) => {
            approve.covered = true;
            state.dialogs.push(Dialog::Approve(Box::new(approve)));
            state.dialogs.push(Dialog::Help(0));
            return Vec::new();
        }
        (_, Some(Action::ConfirmLink)) if guessed => {
            match link(&approve, press) {
                Ok(intent) => {
                    state.dialogs.push(Dialog::Approve(Box::new(approve)));
                    return vec![Effect::Send(intent)];
                }
                Err(why) => state.say(Severity::Unknown, why),
            }
            false
        }
        (_, Some(Action::OtherWay)) => return another_way(state, approve, press),
        (_, Some(Action::ConfirmAt)) => return at::open(state, approve, press),
        (_, Some(Action::Confirm)) => true,
        _ => {
            if let Some(shown) = &mut approve.shown {
                shown.since = press.at.uptime;
            }
            false
        }
    };
    if wants {
        match confirmable(&approve, press) {
            Ok(intent) => {
                if let Intent::Confirm { action, .. } = &intent {
                    state.settled = Some(action.clone());
                }
                let hint = state.keymap.hint(Action::Actions).unwrap_or_else(|| ":actions".into());
                let asks = approve.shown.as_ref().and_then(|s| s.prepared.second.as_ref());
                let word = if asks.is_some_and(|(s, _)| *s == Second::Needed) { "asked for" } else { "approved" };
                state.say(Severity::Ok, format!("{}: {word}; {hint} shows how it goes", approve.plan.workload));
                return vec![Effect::Send(intent)];
            }
            Err(why) => state.say(Severity::Unknown, why),
        }
    }
    state.dialogs.push(Dialog::Approve(Box::new(approve)));
    Vec::new()
}

/// What the engine holds ready, or why there is nothing to decide about.
fn held_ready(approve: &Approve, now: Time) -> Result<&Shown, String> {
    let Some(shown) = &approve.shown else {
        let refused = approve.refused.as_ref().map(ToString::to_string);
        return Err(refused.unwrap_or_else(|| "the server has not answered yet".into()));
    };
    if shown.gone {
        return Err("this change is no longer held ready: leave and ask again".into());
    }
    if now >= shown.prepared.expires {
        return Err("this plan has expired: leave and ask again".into());
    }
    Ok(shown)
}

/// What may be approved as it stands, now or for later, or why not.
pub(super) fn allowed(approve: &Approve, now: Time) -> Result<&Shown, String> {
    let shown = held_ready(approve, now)?;
    if let Err(why) = &shown.prepared.dry_run {
        return Err(format!("the dry run was refused: {why}"));
    }
    if let Some(why) = shown.prepared.refused.first() {
        return Err(format!("refused: {why}"));
    }
    Ok(shown)
}

/// Whether a press was meant: not the key that opened the dialog (where that matters), not a held key, not before what
/// stands there since an instant could be read.
pub(super) fn meant(press: Press<'_>, opener: Option<Chord>, since: Duration) -> Result<(), String> {
    if Some(press.chord) == opener {
        return Err("the key that opened this does not confirm it".into());
    }
    if press.held || press.at.uptime.saturating_sub(since) < DEAD_TIME {
        return Err("too quick: read it, then press once".into());
    }
    Ok(())
}

/// The word that a guessed target is right, or why it is not taken: given like a confirmation.
fn link(approve: &Approve, press: Press<'_>) -> Result<Intent, String> {
    let shown = held_ready(approve, press.at.now)?;
    meant(press, Some(approve.opener), shown.since)?;
    Ok(Intent::ConfirmLink { action: shown.prepared.action.clone(), plan_hash: approve.plan.hash.clone() })
}

/// The intent that the confirming key stands for, or why it does nothing. The only place that makes one.
fn confirmable(approve: &Approve, press: Press<'_>) -> Result<Intent, String> {
    let shown = allowed(approve, press.at.now)?;
    let prepared = &shown.prepared;
    if prepared.confirm == Confirm::TypeName && approve.typed.text().trim() != shown.name_to_type().as_str() {
        return Err(format!("type {} to confirm", shown.name_to_type()));
    }
    meant(press, Some(approve.opener), shown.since)?;
    Ok(Intent::Confirm { action: prepared.action.clone(), plan_hash: prepared.plan_hash.clone() })
}

/// Leaves the approval; what was prepared is given back.
fn let_go(state: &mut State, approve: &Approve) -> Vec<Effect> {
    let Some(shown) = approve.shown.as_ref().filter(|s| !s.gone) else { return Vec::new() };
    let action = shown.prepared.action.clone();
    state.settled = Some(action.clone());
    vec![Effect::Send(Intent::Abandon { action })]
}

fn another_count(state: &mut State, approve: &Approve, picture: &Picture) -> Vec<Effect> {
    let view = picture.workload(approve.plan.workload.as_str());
    let Some(Ok(recommendation)) = view.map(|v| &v.advice.recommendation) else { return let_go(state, approve) };
    let effects = let_go(state, approve);
    state.dialogs.push(Dialog::Count {
        plan: approve.plan.clone(),
        current: recommendation.current.desired,
        limits: recommendation.limits,
        input: super::Input::new(&approve.to.to_string()),
        problem: None,
    });
    effects
}

/// Asks for the next write that sticks; where there is one way only the dialog stays as it is.
fn another_way(state: &mut State, approve: Approve, press: Press<'_>) -> Vec<Effect> {
    let next = approve.shown.as_ref().and_then(|s| s.prepared.next_way());
    let Some((way, _)) = next else {
        state.dialogs.push(Dialog::Approve(Box::new(approve)));
        return Vec::new();
    };
    let mut effects = let_go(state, &approve);
    effects.extend(decide::ask_for(state, approve.plan, approve.to, way, press));
    effects
}

/// Takes the engine's answer into an approval; whether the prepared change belongs to it. One that was confirmed or let
/// go is no answer to anything.
pub(super) fn answer(approve: &mut Approve, picture: &Picture, settled: Option<&ActionId>, uptime: Duration) -> bool {
    let ours = picture.prepared.as_ref().filter(|p| settled != Some(&p.action)).filter(|p| {
        p.workload == approve.plan.workload && p.asked == approve.to && approve.before.as_ref() != Some(&p.action)
    });
    match (&mut approve.shown, ours) {
        (None, None) => refuse(approve, picture.unprepared.as_ref()),
        (None, Some(p)) => {
            approve.shown = Some(Shown { prepared: p.clone(), since: uptime, gone: false });
        }
        (Some(shown), None) => shown.gone = true,
        (Some(shown), Some(p)) => {
            if !same(&shown.prepared, p) || shown.gone {
                shown.since = uptime;
                approve.typed = super::Input::default();
            }
            shown.prepared = p.clone();
            shown.gone = false;
        }
    }
    ours.is_some()
}

/// Takes a refusal into the approval that waits, unless it answered an earlier question.
fn refuse(approve: &mut Approve, unprepared: Option<&Arc<Unprepared>>) {
    let Some(new) = unprepared.filter(|u| u.workload == approve.plan.workload) else { return };
    if !approve.refused_before.as_ref().is_some_and(|before| Arc::ptr_eq(before, new)) {
        approve.refused = Some(new.why.clone());
    }
}

/// Whether two answers say the same to the eye, the age of their evidence aside.
fn same(a: &Prepared, b: &Prepared) -> bool {
    let b = Prepared { at: a.at, evidence_age: a.evidence_age, ..b.clone() };
    *a == b
}

/// Takes an answer into the dialog that waits for it.
pub(super) fn played(state: &mut State, question: u64, said: Result<Arc<Answer>, String>) {
    for dialog in &mut state.dialogs {
        if let Dialog::WhatIf { number, answer, .. } = dialog
            && *number == question
        {
            *answer = Some(said);
            return;
        }
    }
}

/// Pasted text goes into a line that is being typed, never into an approval.
pub(super) fn paste(state: &mut State, text: &str, picture: &Picture) {
    match state.dialogs.last_mut() {
        Some(Dialog::Reject { input, .. } | Dialog::Palette { input, .. }) => input.paste(text),
        Some(Dialog::Count { input, problem, .. } | Dialog::Travel { input, problem }) => {
            input.paste(text);
            *problem = None;
        }
        Some(Dialog::Filter { input, .. }) => {
            input.paste(text);
            state.filter = input.text();
        }
        _ => {}
    }
    if let Some(Dialog::Palette { input, cursor }) = state.dialogs.last_mut() {
        *cursor = (*cursor).min(palette::matching(&input.text(), picture, &state.commands).len().saturating_sub(1));
    }
}

/// Scrolls a dialog that only shows something, within its text, and puts it back.
pub(super) fn scroll(state: &mut State, mut dialog: Dialog, lines: isize, picture: &Picture, at: Moment) {
    let last = view::last_line(&dialog, state, state.shown(picture), at.now);
    if let Dialog::Help(top)
    | Dialog::Explain { scroll: top, .. }
    | Dialog::WhatIf { scroll: top, .. }
    | Dialog::Ran { scroll: top, .. }
    | Dialog::Action { scroll: top, .. } = &mut dialog
    {
        *top = (*top).min(last).saturating_add_signed(lines).min(last);
    }
    if let Dialog::Approve(approve) = &mut dialog {
        approve.scroll = approve.scroll.min(last).saturating_add_signed(lines).min(last);
    }
    state.dialogs.push(dialog);
}
