//! Draws pictures, sends intents; knows no socket and no actuator.
//!
//! ```text
//! keys, pictures, ticks → update(state, event, picture) → effects (send an intent, quit, …)
//!                                 │
//!                        draw(picture, state, theme, now) → Buffer → terminal, text, SVG
//! ```
//!
//! [`State`] is plain data, [`update()`] the one function that changes it, [`draw`] a pure function of picture and state.
//! [`run()`] is the only place that waits.

pub mod action;
pub mod alerts;
pub mod backtest;
pub mod cast;
pub mod clipboard;
pub mod command;
pub mod dialog;
pub mod export;
pub mod filter;
#[doc(hidden)]
pub mod fixture;
pub mod format;
pub mod frame;
pub mod hits;
pub mod id;
pub mod input;
pub mod keymap;
pub mod log;
pub mod note;
pub mod palette;
pub mod past;
pub mod pipeline;
pub mod rows;
pub mod run;
pub mod state;
pub mod terminal;
pub mod theme;
pub mod tour;
pub mod update;
pub mod view;
pub mod widget;

pub use keymap::Keymap;
pub use run::{Context, Exit, Options, run};
pub use state::{State, View};
pub use theme::Theme;
pub use update::{Effect, Event, Moment, update};

use crate::model::{Label, Picture, Time};
use frame::Frame;
use hits::{Hit, Hits};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

/// What a view draws from. Every view is `pub fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer)`: a pure function.
#[derive(Clone, Copy, Debug)]
pub struct Cx<'a> {
    /// What is true; when the screen is frozen, what was true then.
    pub picture: &'a Picture,
    /// Where the operator is.
    pub state: &'a State,
    /// Colours and glyphs.
    pub theme: &'a Theme,
    /// The clock's instant, for ages.
    pub now: Time,
    /// The large tables of this frame.
    pub frame: &'a Frame<'a>,
    /// Where views say what lies where; `None`: nobody asks.
    pub hits: Option<&'a Hits>,
}

impl Cx<'_> {
    /// Hours and minutes, by the clocks that the screen shows.
    pub fn clock(&self, t: Time) -> String {
        format::clock_in(&self.state.zone, t)
    }

    /// Hours, minutes and seconds, likewise.
    pub fn clock_seconds(&self, t: Time) -> String {
        format::clock_seconds_in(&self.state.zone, t)
    }

    /// What those clocks are called.
    pub fn zone(&self, t: Time) -> Label {
        self.state.zone.name(t)
    }
}

/// Draws the whole screen: header, the current view, footer, dialogs above them.
pub fn draw(picture: &Picture, state: &State, theme: &Theme, now: Time, area: Rect, buf: &mut Buffer) {
    let picture = state.shown(picture);
    let frame = Frame::new(picture, state);
    view::draw(&Cx { picture, state, theme, now, frame: &frame, hits: None }, area, buf);
}

/// What lies at a place of the screen. It is drawn once more for that: a click is rare, and a frame costs a millisecond.
pub fn under(picture: &Picture, state: &State, theme: &Theme, now: Time, place: Position) -> Option<Hit> {
    let (hits, picture) = (Hits::default(), state.shown(picture));
    let mut buf = Buffer::empty(Rect::new(0, 0, state.size.0, state.size.1));
    let area = buf.area;
    let frame = Frame::new(picture, state);
    view::draw(&Cx { picture, state, theme, now, frame: &frame, hits: Some(&hits) }, area, &mut buf);
    hits.at(place)
}
