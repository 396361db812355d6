//! The one function that changes the screen's state: event in, effects out. No I/O, no clock, no widget.

mod at;
mod choose;
mod command;
mod cursor;
mod decide;
mod dialogs;
mod possible;
mod take;
#[cfg(test)]
pub(super) mod tests;
mod travel;

pub use choose::items as choices;
use cursor::{click, distance, move_cursor, page, pin, turn};
pub use possible::{Here, possible};
pub use take::file_name;

use super::{
    action::Action,
    alerts::{Place, Spot},
    backtest::{self, Backtest},
    command::Said,
    dialog::{Choice, Dialog},
    frame::Frame,
    hits::Hit,
    input::Input,
    keymap::Chord,
    log, rows,
    state::{Compare, Pane, State, View},
    tour,
    view::is_too_small,
};
use crate::{
    advise::what_if::Answer,
    model::{Grid, Intent, Label, Mode, Picture, Severity, SignalKey, Time, WorkloadKind, Zone},
};
use crossterm::event::{KeyEvent, KeyEventKind};
use std::{sync::Arc, time::Duration};

/// The confirming key does nothing for so long after what it would confirm came on screen.
pub const DEAD_TIME: Duration = Duration::from_millis(400);
/// The same key again within this is taken for a held key: the longest delay before auto-repeat that is a default
/// somewhere (X.Org's 660 ms).
const HELD: Duration = Duration::from_millis(700);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A key.
    Key(KeyEvent),
    /// Pasted text. It is never keys: only a line that is being typed takes it.
    Paste(String),
    /// The mouse wheel, lines downward.
    Scroll(isize),
    /// A click.
    Click(Hit),
    /// The terminal has this many columns and lines.
    Resize(u16, u16),
    /// The engine published a picture.
    Picture,
    /// A question of what would happen if was played.
    Played(u64, Result<Arc<Answer>, String>),
    /// Of a backtest so many games were played, of so many.
    Playing(u64, (usize, usize)),
    /// A backtest was played.
    Backtested(u64, Result<Arc<backtest::Answer>, String>),
    /// A command of the operator's own ended, or could not be run.
    Ran(u64, Result<Arc<Said>, String>),
    /// A series of the stored history was found; `None`: nothing of it is stored.
    Recalled(SignalKey, Compare, Option<Arc<Grid>>),
    /// Time went by.
    Tick,
}

/// When it happened, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The clock that observations are stamped with; simulated worlds run fast.
    pub now: Time,
    /// Time since the start on the monotonic clock, for what hands and eyes need.
    pub uptime: Duration,
}

/// What the loop has to do about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the engine.
    Send(Intent),
    /// Play what would happen if, off this task, and come back with [`Event::Played`]; one that is still being played for
    /// a dialog that is gone may be stopped.
    Play {
        /// Which question it is.
        number: u64,
        /// The workload it is about.
        workload: Label,
    },
    /// Play a backtest, off this task, and come back with [`Event::Backtested`]; an earlier one may be stopped.
    Backtest {
        /// Which question it is.
        number: u64,
        /// The workload it is about.
        workload: Label,
    },
    /// Run a program of the operator's own, off this task, and come back with [`Event::Ran`].
    Run {
        /// Which run it is.
        number: u64,
        /// The command's name, for the log.
        name: Label,
        /// The program and its arguments.
        argv: Vec<String>,
        /// Variables of our environment that it gets.
        env: Vec<String>,
        /// Seconds after which it is ended.
        timeout: f64,
    },
    /// Send a text to the terminal's clipboard.
    Copy(String),
    /// Write files into a folder of the state directory, off this task.
    Save {
        /// The folder.
        folder: &'static str,
        /// Names and contents.
        files: Vec<(String, String)>,
    },
    /// Save what is drawn.
    SaveScreen,
    /// Look a series up in the stored history, off this task, and come back with [`Event::Recalled`].
    Recall {
        /// Which series.
        key: SignalKey,
        /// What it is compared with.
        compare: Compare,
        /// From when to when, of that time.
        span: (Time, Time),
    },
    /// Draw with another theme.
    Theme(String),
    /// Draw the operator's eye to a sentence, as far as they want that.
    Alarm(String),
    /// Leave.
    Quit,
    /// Draw every cell anew.
    Redraw,
    /// Give the terminal back and stop, until somebody sends SIGCONT.
    Suspend,
}

/// Takes one event. `picture` is the live one; for keys it must be the one that was drawn when the key was pressed.
pub fn update(state: &mut State, event: Event, picture: &Arc<Picture>, at: Moment) -> Vec<Effect> {
    state.uptime = at.uptime;
    state.toasts.retain(|t| t.until > at.uptime);
    match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => Vec::new(),
        Event::Key(key) => {
            let mut effects = on_key(state, &key, picture, at);
            effects.extend(travel::recall(state, picture));
            tour::watch(state, picture);
            effects
        }
        Event::Paste(text) => {
            dialogs::paste(state, &text, picture);
            Vec::new()
        }
        Event::Scroll(lines) => {
            match state.dialogs.pop() {
                Some(dialog) => dialogs::scroll(state, dialog, lines, picture, at),
                None => move_cursor(state, picture, lines),
            }
            Vec::new()
        }
        Event::Click(hit) => {
            click(state, hit, picture);
            Vec::new()
        }
        Event::Resize(columns, lines) => {
            state.size = (columns, lines);
            dialogs::read_anew(state);
            Vec::new()
        }
        Event::Picture => on_picture(state, picture),
        Event::Played(number, answer) => {
            dialogs::played(state, number, answer);
            Vec::new()
        }
        Event::Playing(number, played) => {
            if let Some(waiting) = state.backtest.as_mut().filter(|b| b.number == number) {
                waiting.played = Some(played);
            }
            Vec::new()
        }
        Event::Backtested(number, answer) => {
            if let Some(waiting) = state.backtest.as_mut().filter(|b| b.number == number) {
                waiting.answer = Some(answer);
            }
            Vec::new()
        }
        Event::Ran(number, answer) => {
            command::ended(state, number, answer, at);
            Vec::new()
        }
        Event::Recalled(key, compare, track) => {
            travel::recalled(state, &key, compare, track);
            Vec::new()
        }
        Event::Tick => Vec::new(),
    }
}

/// What a key handler needs to know of the key and the world.
#[derive(Clone, Copy)]
struct Press<'a> {
    chord: Chord,
    /// Auto-repeat, or as good as.
    held: bool,
    picture: &'a Arc<Picture>,
    at: Moment,
}

fn on_key(state: &mut State, key: &KeyEvent, picture: &Arc<Picture>, at: Moment) -> Vec<Effect> {
    let chord = Chord::of(key);
    let again = state.last_key.is_some_and(|(last, then)| last == chord && at.uptime.saturating_sub(then) < HELD);
    state.last_key = Some((chord, at.uptime));
    let press = Press { chord, held: again || key.kind == KeyEventKind::Repeat, picture, at };
    if state.selected(state.pane()).is_none() {
        pin(state, picture);
    }
    let approving = matches!(state.dialogs.last(), Some(Dialog::Approve(_) | Dialog::Ask(_)));
    let action = state.keymap.action(chord, approving);
    // These three work above any dialog, as long as they are no letter that a text may want; and where nothing is shown.
    let small = is_too_small(state.size);
    match action {
        Some(action @ (Action::Quit | Action::Redraw | Action::Suspend)) if small || chord.is_modified() => {
            return act(state, action, press);
        }
        _ if small => return Vec::new(), // what is not seen is not answered
        _ => {}
    }
    match (state.dialogs.pop(), action) {
        (Some(dialog), action) => dialogs::key(state, dialog, action, press),
        (None, Some(action)) => act(state, action, press),
        (None, None) => match state.keymap.command(chord).cloned() {
            Some(name) => command::open(state, &name, press),
            None => Vec::new(),
        },
    }
}

/// Does what an action says, or says why it is not possible here and now.
fn act(state: &mut State, action: Action, press: Press<'_>) -> Vec<Effect> {
    let frame = Frame::new(state.shown(press.picture), state);
    if let Err(reason) = possible(action, &Here::new(&frame, press.picture, press.at.now)) {
        if !reason.is_empty() {
            state.say(Severity::Unknown, reason);
        }
        return Vec::new();
    }
    match action {
        Action::Open if state.view == View::Backtest => {
            let Some(view) = rows::current_workload(state.shown(press.picture), state) else { return Vec::new() };
            let workload = view.workload.name.clone();
            state.asked += 1;
            let number = state.asked;
            state.backtest = Some(Backtest { workload: workload.clone(), number, played: None, answer: None });
            return vec![Effect::Backtest { number: state.asked, workload }];
        }
        Action::Open => open(state, press.picture),
        Action::Back => back(state),
        Action::Approve | Action::Reject | Action::ChangeCount | Action::Snooze => {
            return decide::decide(state, action, press);
        }
        Action::Confirm | Action::ConfirmAt | Action::ConfirmLink | Action::OtherWay => {}
        Action::Undo => return decide::undo(state, press),
        Action::Explain => {
            if let Some(view) = rows::current_workload(state.shown(press.picture), state) {
                let workload = view.workload.name.clone();
                state.dialogs.push(Dialog::Explain { workload, scroll: 0 });
            }
        }
        Action::WhatIf => {
            let Some(view) = rows::current_workload(state.shown(press.picture), state) else { return Vec::new() };
            let workload = view.workload.name.clone();
            state.asked += 1;
            let number = state.asked;
            state.dialogs.push(Dialog::WhatIf { workload: workload.clone(), number, answer: None, scroll: 0 });
            return vec![Effect::Play { number, workload }];
        }
        Action::Day => {
            let current = rows::current_workload(state.shown(press.picture), state);
            let name = current.map(|v| v.workload.name.clone());
            state.selected.extend(name.map(|name| (Pane::Workloads, name)));
            if state.view != View::Workload {
                state.back = state.view;
            }
            state.view = View::Day;
        }
        Action::Filter => {
            let before = state.filter.clone();
            state.dialogs.push(Dialog::Filter { input: Input::new(&before), before });
        }
        Action::Sort => state.sort = state.sort.next(),
        Action::Freeze => {
            state.frozen = if state.frozen.is_some() { None } else { Some(press.picture.clone()) };
        }
        Action::Travel => state.dialogs.push(Dialog::Travel { input: Input::default(), problem: None }),
        Action::Earlier => travel::step(state, press, -travel::STEP),
        Action::Later => travel::step(state, press, travel::STEP),
        Action::CrossLeft => travel::read(state, -1.0),
        Action::CrossRight => travel::read(state, 1.0),
        Action::Compare => state.compare = state.compare.next(),
        Action::PanLeft => travel::pan(state, 1.0),
        Action::PanRight => travel::pan(state, -1.0),
        Action::Clock => {
            let utc = Zone::default();
            state.zone = if state.zone == utc { state.local.clone() } else { utc };
        }
        Action::ZoomOut => travel::zoom_out(state),
        Action::ZoomIn => state.zoom = state.zoom.nearer(),
        Action::Heat => state.heat = state.heat.next(),
        Action::Rivals => state.rivals = !state.rivals,
        Action::NextPane => turn(state, 1),
        Action::PreviousPane => turn(state, -1),
        Action::Palette => state.dialogs.push(Dialog::Palette { input: Input::default(), cursor: 0 }),
        Action::Mark => {
            if let Some(view) = rows::current_workload(state.shown(press.picture), state) {
                let name = view.workload.name.clone();
                if !state.marked.remove(&name) {
                    state.marked.insert(name);
                }
            }
        }
        Action::Columns => choose::open(state, Choice::Columns),
        Action::Theme => {
            let before = state.theme.clone();
            choose::open(state, Choice::Theme { before });
        }
        Action::Links => {
            if let Some(view) = rows::current_workload(state.shown(press.picture), state) {
                let workload = view.workload.name.clone();
                choose::open(state, Choice::Link { workload });
            }
        }
        Action::Note => return take::note(state, press),
        Action::Copy => return take::copy(state, press),
        Action::SaveScreen => return vec![Effect::SaveScreen],
        Action::SortReverse => state.reverse = !state.reverse,
        Action::Kafka => go(state, View::Kafka, press.picture),
        Action::Ml => go(state, View::Ml, press.picture),
        Action::Overview | Action::Actions | Action::Alerts | Action::Pipeline | Action::Log | Action::Backtest => {
            state.view = action.view().unwrap_or_default();
        }
        Action::Down | Action::Up | Action::PageDown | Action::PageUp | Action::Top | Action::Bottom => {
            let lines = distance(action, page(state));
            move_cursor(state, press.picture, lines);
        }
        Action::Tour => tour::next(state),
        Action::Redraw => return vec![Effect::Redraw],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Help => state.dialogs.push(Dialog::Help(0)),
        Action::Quit => return vec![Effect::Quit],
    }
    Vec::new()
}

fn open(state: &mut State, picture: &Arc<Picture>) {
    pin(state, picture);
    match (state.view, state.pane()) {
        (View::Overview, _) => {
            state.back = state.view;
            state.view = View::Workload;
        }
        (_, Pane::Groups) => {
            state.focus.insert(state.view, Pane::Partitions);
        }
        (_, Pane::Actions) => {
            let live = state.shown(picture);
            let actions = rows::actions(live, state);
            let at = rows::position(actions.iter().map(|a| &a.id.0), state.selected(Pane::Actions));
            if let Some(action) = actions.get(at) {
                let id = action.id.clone();
                state.dialogs.push(Dialog::Action { id, scroll: 0 });
            }
        }
        (_, Pane::Alerts) => {
            let frame = Frame::new(state.shown(picture), state);
            if let Some(place) = frame.alerts().get(frame.alert_at()).map(Spot::place) {
                visit(state, place);
            }
        }
        (_, Pane::Stages | Pane::Partitions | Pane::Services | Pane::Queues | Pane::Log) => {
            if let Some(view) = rows::current_workload(state.shown(picture), state) {
                let name = view.workload.name.clone();
                visit(state, Place::Workload(name));
            }
        }
        _ => {}
    }
}

/// Goes to where an alert or a stage is.
fn visit(state: &mut State, place: Place) {
    match place {
        Place::Workload(name) => {
            state.filter.clear(); // it may hide the one that was asked for
            state.selected.insert(Pane::Workloads, name);
            state.back = if matches!(state.view, View::Workload | View::Day) { state.back } else { state.view };
            state.view = View::Workload;
        }
        Place::Row(view, pane, id) => {
            state.view = view;
            state.focus.insert(view, pane);
            state.selected.insert(pane, id);
        }
        Place::Here => {}
    }
}

fn back(state: &mut State) {
    if state.cross.take().is_some() {
        // the charts are no longer read
    } else if state.pan > 0.0 {
        state.pan = 0.0;
    } else if state.pane() == Pane::Partitions {
        state.focus.insert(state.view, Pane::Groups);
    } else if state.view == View::Day {
        state.view = View::Workload;
    } else if state.view == View::Workload {
        state.view = state.back;
    } else if !state.filter.is_empty() {
        state.filter.clear();
    } else {
        state.view = View::Overview;
    }
}

/// Goes to Kafka or ML; from a workload to the very group or service that it is, where that lives on the page.
fn go(state: &mut State, view: View, picture: &Picture) {
    let current = rows::current_workload(state.shown(picture), state).filter(|_| state.pane() == Pane::Workloads);
    let place = current.and_then(|v| {
        let entity = &v.workload.entity;
        let pane = match (view, entity.kind) {
            (View::Kafka, WorkloadKind::ConsumerGroup) => Pane::Groups,
            (View::Ml, WorkloadKind::Inference) => Pane::Services,
            (View::Ml, WorkloadKind::Batch) => Pane::Queues,
            _ => return None,
        };
        Some((pane, Label::new(&format!("{}/{}", entity.source, entity.id))))
    });
    state.view = view;
    if let Some((pane, id)) = place {
        state.selected.insert(pane, id);
        state.focus.insert(view, pane);
    }
}

/// New notices become toasts, dialogs see the engine's answers, and what nobody looks at is let go.
fn on_picture(state: &mut State, picture: &Arc<Picture>) -> Vec<Effect> {
    let seen = state.noticed;
    for notice in picture.notices.iter().filter(|n| seen.is_none_or(|s| n.at > s)) {
        state.say(notice.severity, notice.text.as_str());
        state.noticed = state.noticed.max(Some(notice.at));
    }
    let mut effects = tell(state, picture);
    tour::watch(state, picture);
    let uptime = state.uptime;
    let mut wanted = false;
    for dialog in &mut state.dialogs {
        if let Dialog::Approve(approve) = dialog {
            wanted |= dialogs::answer(approve, picture, state.settled.as_ref(), uptime);
        }
    }
    match &picture.prepared {
        // The dialog was left before the answer came.
        Some(prepared)
            if picture.mode == Mode::Operate && !wanted && state.settled.as_ref() != Some(&prepared.action) =>
        {
            state.settled = Some(prepared.action.clone());
            effects.push(Effect::Send(Intent::Abandon { action: prepared.action.clone() }));
        }
        _ => {}
    }
    effects
}

/// Writes down what changed since the picture before; of what became critical the worst is worth an alarm.
fn tell(state: &mut State, picture: &Arc<Picture>) -> Vec<Effect> {
    state.past.keep(picture);
    let Some(before) = state.before.replace(picture.clone()) else { return Vec::new() };
    let changes = log::changes(&before, picture);
    let mut critical = changes.iter().filter(|e| e.severity == Severity::Act).map(|e| e.text.clone());
    let alarm = critical.next().map(|first| match critical.count() {
        0 => first,
        more => format!("{first} (and {more} more)"),
    });
    state.log.extend(changes);
    alarm.map(Effect::Alarm).into_iter().collect()
}
