//! The operator's own commands: asked for, confirmed, begun and ended.

use super::{
    super::{
        action::Action,
        command::{self, Ask, Ran, Said},
        dialog::Dialog,
        input::Input,
        log::Entry,
        state::State,
    },
    Effect, Moment, Press, act,
    dialogs::meant,
};
use crate::model::{Confirm, Label, Severity, UserCommand};
use crossterm::event::KeyCode;
use std::{sync::Arc, time::Duration};

/// A command's key, or its line of the palette: one that changes nothing may run at once, others are shown first.
pub(super) fn open(state: &mut State, name: &Label, press: Press<'_>) -> Vec<Effect> {
    let wanted = state.commands.get(name).cloned();
    let ready = wanted.and_then(|c| {
        let ready = command::prepare(&c, state, press.picture).map_err(|why| format!("{name}: {why}"))?;
        Ok((c, ready))
    });
    let (command, (argv, names)) = match ready {
        Ok(ready) => ready,
        Err(why) => {
            state.say(Severity::Unknown, why);
            return Vec::new();
        }
    };
    if command.read_only && command.confirm == Confirm::None {
        return begin(state, &command, argv, press.at.uptime);
    }
    let name = command.name_to_type(&names);
    let (opener, since, typed) = (press.chord, press.at.uptime, Input::default());
    state.dialogs.push(Dialog::Ask(Box::new(Ask { command, argv, opener, since, name, typed })));
    Vec::new()
}

/// Keys of the confirmation: the same rules as for an approval. What was shown is what is run.
pub(super) fn key(state: &mut State, mut ask: Ask, action: Option<Action>, press: Press<'_>) -> Vec<Effect> {
    let wants = match (press.chord.code(), action) {
        (KeyCode::Enter, _) => ask.command.confirm != Confirm::Yes,
        _ if ask.types_name() => {
            ask.typed.key(press.chord);
            false
        }
        (_, Some(elsewhere @ (Action::Palette | Action::Filter))) => return act(state, elsewhere, press),
        (_, Some(Action::Confirm)) => true,
        _ => {
            ask.since = press.at.uptime; // no answer to what is asked: it is read anew
            false
        }
    };
    if wants {
        match confirmed(&ask, press) {
            Ok(()) => return begin(state, &ask.command, ask.argv, press.at.uptime),
            Err(why) => state.say(Severity::Unknown, why),
        }
    }
    state.dialogs.push(Dialog::Ask(Box::new(ask)));
    Vec::new()
}

/// Whether a press confirms. (A typed name is a second act by itself, so the key that opened the dialog may end it.)
fn confirmed(ask: &Ask, press: Press<'_>) -> Result<(), String> {
    if ask.types_name() && ask.typed.text().trim() != ask.name.as_str() {
        return Err(format!("type {} to confirm", ask.name));
    }
    meant(press, (!ask.types_name()).then_some(ask.opener), ask.since)
}

/// The only place that makes the effect.
fn begin(state: &mut State, command: &UserCommand, argv: Vec<String>, began: Duration) -> Vec<Effect> {
    state.asked += 1;
    let (number, name) = (state.asked, command.name.clone());
    state.running = Some((number, name.clone()));
    let words = command::in_words(&argv);
    let ran = Ran { number, name: name.clone(), words, began, timeout: command.timeout, answer: None };
    state.dialogs.push(Dialog::Ran { ran, scroll: 0 });
    vec![Effect::Run { number, name, argv, env: command.env.clone(), timeout: command.timeout }]
}

/// How a command ended: in its dialog where that is still open, else said; and in the log.
pub(super) fn ended(state: &mut State, number: u64, answer: Result<Arc<Said>, String>, at: Moment) {
    let Some((_, name)) = state.running.take_if(|(running, _)| *running == number) else { return };
    let (severity, how) = match &answer {
        Ok(said) if said.code == Some(0) => (Severity::Ok, said.ending()),
        Ok(said) => (Severity::Look, said.ending()),
        Err(why) => (Severity::Look, why.clone()),
    };
    let told = format!("{name}: {how}");
    state.log.extend([Entry::new(at.now, severity, told.clone())]);
    for dialog in &mut state.dialogs {
        if let Dialog::Ran { ran, .. } = dialog
            && ran.number == number
        {
            ran.answer = Some(answer);
            return;
        }
    }
    state.say(severity, told);
}
