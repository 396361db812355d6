//! The loop: keys, pictures, signals and the clock in; frames and intents out. It never waits for the engine, and the
//! engine never waits for it.

mod jobs;
mod playing;
mod signals;

use super::{
    Effect, Event, Moment, State, Theme,
    action::Action,
    cast::Cast,
    clipboard::{self, Between},
    dialog::Dialog,
    export,
    keymap::Chord,
    terminal::{self, SCREEN, Terminal},
    theme::Shelf,
    under,
    update::{file_name, update},
};
use crate::{
    model::{Alarm, Intent, Picture, Severity},
    process::Clock,
};
use crossterm::event::{Event as Input, KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEventKind};
use jobs::{Done, Jobs};
use playing::{Playing, played};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};
use signals::{Caught, Signals};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

/// Keys that wait while the loop is busy; more than a person types, less than a paste can fill memory with.
const INPUTS: usize = 256;

/// Keys that come closer together than this were not pressed by a hand, which needs about 60 ms between two.
const BURST: Duration = Duration::from_millis(20);

/// What the screen needs from those who start it.
#[derive(Debug)]
pub struct Context {
    /// The newest picture.
    pub pictures: watch::Receiver<Arc<Picture>>,
    /// Where decisions go; `None` in watch mode.
    pub intents: Option<mpsc::Sender<Intent>>,
    /// Colours and glyphs, fitted to the terminal.
    pub theme: Theme,
    /// Where other themes come from.
    pub shelf: Shelf,
    /// What the screen begins with: keys, page, links, columns.
    pub state: State,
    /// Where the history lies; `None`: none is kept.
    pub home: Option<PathBuf>,
    /// Where notes and screens are saved; `None`: nowhere.
    pub saves: Option<PathBuf>,
    /// Where the screen is recorded to.
    pub record: Option<Cast>,
    /// How to draw.
    pub options: Options,
    /// The clock that observations are stamped with.
    pub clock: Clock,
}

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Frames per second at most while nobody presses a key.
    pub frames_per_second: f64,
    /// Frames per second at most while somebody does.
    pub key_frames_per_second: f64,
    /// Take the mouse: the wheel and a click move the cursor. Off: the terminal's own selection works.
    pub mouse: bool,
    /// How to draw the operator's eye to what becomes critical.
    pub alarm: Alarm,
    /// What stands between us and the terminal.
    pub between: Between,
}

impl Default for Options {
    /// 10 frames per second, 40 for keys, no mouse, no alarm.
    fn default() -> Self {
        Self {
            frames_per_second: 10.0,
            key_frames_per_second: 40.0,
            mouse: false,
            alarm: Alarm::Off,
            between: Between::Nothing,
        }
    }
}

impl Options {
    /// For slow lines: one frame per second, whatever happens. The first key after a quiet second is answered at once.
    #[must_use]
    pub fn low_bandwidth(self) -> Self {
        Self { frames_per_second: 1.0, key_frames_per_second: 1.0, ..self }
    }
}

/// How the screen ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit code: 0 for the quit key, 128 + number for a signal, 129 also for a terminal that is gone.
    pub code: u8,
}

/// Shows the screen until the operator quits, a signal ends it, or the terminal is gone. The terminal is put back
/// before this returns, whichever way.
///
/// # Errors
/// A sentence: there is no terminal, or the engine stopped.
pub async fn run(cx: Context) -> Result<Exit, String> {
    SCREEN.scope((), Loop::start(cx)?.run()).await
}

/// Least time between two frames.
fn between(frames_per_second: f64) -> Duration {
    Duration::from_secs_f64(1.0 / frames_per_second.clamp(0.1, 60.0))
}

struct Loop {
    cx: Context,
    state: State,
    terminal: Terminal,
    inputs: mpsc::Receiver<Input>,
    signals: Signals,
    started: Instant,
    /// The picture that is on screen: what a key was pressed at.
    drawn: Arc<Picture>,
    /// When the last frame was made.
    framed: Instant,
    /// The question of what would happen if that is being played.
    playing: Option<Playing>,
    /// What is being read and saved.
    jobs: Jobs,
    /// When the theme's files were written, as it is drawn now.
    written: Option<std::time::SystemTime>,
    /// Something changed since the last frame.
    dirty: bool,
    /// The next frame is not made before.
    next_frame: Instant,
    /// When the last key came.
    last_key: Option<Instant>,
}

impl Loop {
    fn start(mut cx: Context) -> Result<Self, String> {
        let signals = Signals::new().map_err(|e| format!("cannot listen for signals: {e}"))?;
        let terminal = Terminal::take(cx.options.mouse, cx.record.take())?;
        crossterm::style::force_color_output(true); // the theme already knows how many colours there are
        let (sender, inputs) = mpsc::channel(INPUTS);
        terminal::read_inputs(sender)?;
        let mut state = cx.state.clone();
        cx.theme.name().clone_into(&mut state.theme);
        state.size = crossterm::terminal::size().map_err(|e| format!("cannot tell the terminal's size: {e}"))?;
        let drawn = cx.pictures.borrow().clone();
        let now = Instant::now();
        let written = cx.theme.written();
        Ok(Self {
            cx,
            state,
            terminal,
            inputs,
            signals,
            started: now,
            drawn,
            framed: now,
            playing: None,
            jobs: Jobs::default(),
            written,
            dirty: true,
            next_frame: now,
            last_key: None,
        })
    }

    async fn run(mut self) -> Result<Exit, String> {
        let mut tick = interval(Duration::from_secs(1)); // for ages and the clock on screen
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            if self.dirty && self.terminal.is_ready() && Instant::now() >= self.next_frame && self.draw().is_err() {
                return Ok(Exit { code: 129 });
            }
            let frame_due = self.dirty && self.terminal.is_ready();
            let done = tokio::select! {
                biased;
                caught = self.signals.next() => self.signal(caught),
                input = self.inputs.recv() => match input {
                    Some(input) if self.was_pasted(&input).await => None,
                    Some(input) => self.input(input),
                    None => Some(Exit { code: 129 }), // it was hung up
                },
                changed = self.cx.pictures.changed() => {
                    if changed.is_err() {
                        let why = terminal::take_panic().map(|p| format!(": {p}")).unwrap_or_default();
                        return Err(format!("the engine stopped, so that nothing new can be shown{why}"));
                    }
                    self.happen(Event::Picture)
                }
                answer = played(self.playing.as_mut()) => {
                    let number = self.playing.take().map_or(0, |p| p.number);
                    self.happen(Event::Played(number, answer))
                }
                done = self.jobs.next() => {
                    self.done(done);
                    None
                }
                written = self.terminal.written() => written.is_err().then_some(Exit { code: 129 }),
                () = sleep_until(self.next_frame), if frame_due => None,
                _ = tick.tick() => self.tick(),
            };
            if let Some(exit) = done {
                self.jobs.leave_backtest(); // or the program would wait for it
                return Ok(exit);
            }
        }
    }

    /// Draws, unless nothing differs from what is on screen.
    fn draw(&mut self) -> std::io::Result<()> {
        let live = self.cx.pictures.borrow().clone();
        let now = self.cx.clock.now();
        let (state, theme) = (&self.state, &self.cx.theme);
        self.terminal.draw(state.size, |area, buf| {
            super::draw(&live, state, theme, now, area, buf);
        })?;
        self.drawn = live;
        self.dirty = false;
        self.framed = Instant::now();
        self.next_frame = self.framed + between(self.cx.options.frames_per_second);
        Ok(())
    }

    /// Whether a key would approve something.
    fn decides(&self, key: &KeyEvent) -> bool {
        matches!(self.state.dialogs.last(), Some(Dialog::Approve(_) | Dialog::At { .. } | Dialog::Ask(_)))
            && key.kind == KeyEventKind::Press
            && (key.code == KeyCode::Enter || self.state.keymap.action(Chord::of(key), true) == Some(Action::Confirm))
    }

    fn say_pasted(&mut self) {
        self.state.say(Severity::Look, "several keys at once were taken for a paste: they approve nothing");
        self.dirty = true;
    }

    /// Whether a key that would approve something is one of several that came at once: pasted into a terminal that does
    /// not say so. They are dropped. A key that is pressed waits for [`BURST`], which no hand notices.
    async fn was_pasted(&mut self, input: &Input) -> bool {
        let Input::Key(key) = input else { return false };
        let close = self.last_key.replace(Instant::now()).is_some_and(|last| last.elapsed() < BURST);
        if !self.decides(key) {
            return false;
        }
        let mut followed = close;
        while let Ok(Some(next)) = timeout(BURST, self.inputs.recv()).await {
            if matches!(next, Input::Key(_)) {
                followed = true;
            } else {
                let _ = self.input(next); // a new size or the mouse: neither ends the program
            }
        }
        self.last_key = Some(Instant::now());
        if followed {
            self.say_pasted();
        }
        followed
    }

    /// A key, a paste, a new size: what waits behind it is taken too, before anything is drawn.
    fn input(&mut self, first: Input) -> Option<Exit> {
        let mut input = Some(first);
        for n in 0..INPUTS {
            let event = match input {
                // Right behind another: see `was_pasted`.
                Some(Input::Key(key)) if n > 0 && self.decides(&key) => {
                    self.say_pasted();
                    None
                }
                Some(Input::Key(key)) => Some(Event::Key(key)),
                Some(Input::Paste(text)) => Some(Event::Paste(text)),
                Some(Input::Resize(columns, lines)) => Some(Event::Resize(columns, lines)),
                Some(Input::Mouse(mouse)) => match mouse.kind {
                    MouseEventKind::ScrollDown => Some(Event::Scroll(1)),
                    MouseEventKind::ScrollUp => Some(Event::Scroll(-1)),
                    MouseEventKind::Down(MouseButton::Left) => self.clicked(Position::new(mouse.column, mouse.row)),
                    _ => None,
                },
                Some(Input::FocusGained | Input::FocusLost) => None,
                None => break,
            };
            if let Some(event) = event
                && let Some(exit) = self.happen(event)
            {
                return Some(exit);
            }
            input = self.inputs.try_recv().ok();
        }
        // An answer to a key may come sooner than the next picture would.
        self.next_frame = self.next_frame.min(self.framed + between(self.cx.options.key_frames_per_second));
        None
    }

    /// What was clicked at, on the screen that was drawn.
    fn clicked(&self, place: Position) -> Option<Event> {
        let hit = under(&self.drawn, &self.state, &self.cx.theme, self.cx.clock.now(), place);
        hit.map(Event::Click)
    }

    fn tick(&mut self) -> Option<Exit> {
        if !terminal::is_alive() {
            return Some(Exit { code: 129 });
        }
        if let Some(panic) = terminal::take_panic() {
            self.state.say(Severity::Look, format!("an internal error was caught, see the log: {panic}"));
        }
        self.jobs.look_at(&self.cx.theme);
        self.happen(Event::Tick)
    }

    /// Takes what a job has done.
    fn done(&mut self, done: Done) {
        match done {
            Done::Theme(Ok(theme)) if theme.name() == self.state.theme => {
                self.written = theme.written();
                self.cx.theme = *theme;
            }
            Done::Theme(Ok(_)) => {} // another one is shown by now
            Done::Theme(Err(why)) => self.state.say(Severity::Look, why),
            Done::Written(at) if at == self.written => return,
            Done::Written(at) => {
                self.written = at; // what is wrong with it is said once
                self.jobs.theme(&self.cx.shelf, self.state.theme.clone());
            }
            Done::Playing(number, played) => {
                let _ = self.happen(Event::Playing(number, played)); // it never ends the screen
            }
            Done::Backtested(number, answer) => {
                let _ = self.happen(Event::Backtested(number, answer)); // it never ends the screen
            }
            Done::Ran(number, answer) => {
                let _ = self.happen(Event::Ran(number, answer)); // it never ends the screen
            }
            Done::Recalled(key, compare, found) => {
                let track = found.unwrap_or_else(|why| {
                    self.state.say(Severity::Look, why);
                    None
                });
                let _ = self.happen(Event::Recalled(key, compare, track.map(Arc::new))); // it never ends the screen
            }
            Done::Saved(Ok(said)) => self.state.say(Severity::Ok, said),
            Done::Saved(Err(why)) => self.state.say(Severity::Act, why),
        }
        self.dirty = true;
    }

    /// Saves the screen as it is drawn now.
    fn save_screen(&mut self) {
        let (columns, lines) = self.state.size;
        let mut buf = Buffer::empty(Rect::new(0, 0, columns, lines));
        let (picture, now) = (self.drawn.clone(), self.cx.clock.now());
        let (state, theme) = (&self.state, &self.cx.theme);
        let area = buf.area;
        super::draw(&picture, state, theme, now, area, &mut buf);
        let named = |ending: &str| file_name(state.view.name(), now, ending);
        let files = vec![
            (named("svg"), export::svg(&buf, &export::SvgOptions::of(theme))),
            (named("ans"), export::ansi(&buf)),
            (named("txt"), export::text(&buf)),
        ];
        self.jobs.save(self.cx.saves.as_ref().map(|h| h.join("screens")), files);
    }

    /// Sends a text to the terminal's clipboard.
    fn copy(&mut self, text: &str) {
        match clipboard::copy(text, self.cx.options.between) {
            Ok(bytes) => self.terminal.add(&bytes),
            Err(why) => self.state.say(Severity::Look, format!("not sent to the terminal: {why}")),
        }
    }

    /// Lets the state take an event and does what it asks for.
    fn happen(&mut self, event: Event) -> Option<Exit> {
        let picture = match event {
            Event::Picture => self.cx.pictures.borrow_and_update().clone(),
            _ => self.drawn.clone(),
        };
        self.dirty = true;
        let at = Moment { now: self.cx.clock.now(), uptime: self.started.elapsed() };
        for effect in update(&mut self.state, event, &picture, at) {
            match effect {
                Effect::Send(intent) => self.send(intent),
                Effect::Play { number, workload } => {
                    let picture = self.state.frozen.as_ref().unwrap_or(&picture).clone();
                    self.playing = Some(Playing::start(number, picture, workload));
                }
                Effect::Backtest { number, workload } => {
                    let picture = self.state.frozen.as_ref().unwrap_or(&picture).clone();
                    self.jobs.backtest(number, picture, workload);
                }
                Effect::Run { number, name, argv, env, timeout } => {
                    tracing::info!(%name, ?argv, "runs a command of the operator's own");
                    self.jobs.command(number, argv, env, Duration::from_secs_f64(timeout));
                }
                Effect::Copy(text) => self.copy(&text),
                Effect::Save { folder, files } => {
                    self.jobs.save(self.cx.saves.as_ref().map(|h| h.join(folder)), files);
                }
                Effect::SaveScreen => self.save_screen(),
                Effect::Theme(name) => self.jobs.theme(&self.cx.shelf, name),
                Effect::Alarm(text) => {
                    self.terminal.add(&clipboard::alarm(self.cx.options.alarm, &text, self.cx.options.between));
                }
                Effect::Recall { key, compare, span } => self.jobs.recall(self.cx.home.clone(), key, compare, span),
                Effect::Quit => return Some(Exit { code: 0 }),
                Effect::Redraw => self.terminal.forget(),
                Effect::Suspend => return self.suspend(),
            }
        }
        // Nobody waits for it any more.
        self.playing.take_if(|p| !self.state.awaits(p.number));
        None
    }

    /// Hands an intent to the engine without waiting for it.
    fn send(&mut self, intent: Intent) {
        let Some(intents) = &self.cx.intents else {
            self.state.say(Severity::Look, "watch is read-only: nothing was sent");
            return;
        };
        if let Err(error) = intents.try_send(intent) {
            let why = match error {
                mpsc::error::TrySendError::Full(_) => "the engine is busy",
                mpsc::error::TrySendError::Closed(_) => "the engine takes no more decisions",
            };
            self.state.toasts.clear(); // they say that it was done
            self.state.settled = None;
            self.state.say(Severity::Act, format!("{why}: nothing was done, try again"));
        }
    }

    fn suspend(&mut self) -> Option<Exit> {
        match Terminal::suspend() {
            Ok(true) => {}
            Ok(false) => self.state.say(Severity::Unknown, "there is no shell here that could bring this screen back"),
            Err(_) => return Some(Exit { code: 129 }), // the terminal went away meanwhile
        }
        None
    }

    fn resized(&mut self) -> Option<Exit> {
        match crossterm::terminal::size() {
            Ok((columns, lines)) => self.happen(Event::Resize(columns, lines)),
            Err(_) => Some(Exit { code: 129 }), // a terminal without a size is none
        }
    }

    fn signal(&mut self, caught: Caught) -> Option<Exit> {
        match caught {
            Caught::End(code) => Some(Exit { code }),
            Caught::Stop => self.suspend(),
            Caught::Continue => match self.terminal.resume() {
                Ok(()) => self.resized(),
                Err(_) => Some(Exit { code: 129 }), // a hang-up sends SIGCONT, too
            },
            Caught::Resize => self.resized(),
        }
    }
}

#[cfg(test)]
mod tests;
