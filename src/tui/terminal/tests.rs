//! How many bytes a frame takes on the line: what a slow one pays for. And that no key is left lying.

use super::{Screen, listen};
use crate::{
    model::{Mode, Picture, Time},
    tui::{State, Theme, View, draw, fixture},
};
use crossterm::event::Event;
use ratatui::layout::Rect;
use std::io;
use tokio::sync::mpsc;

/// Frames that are counted after the first: half a minute at one a second.
const FRAMES: u32 = 30;

fn bytes(screen: &mut Screen, picture: &Picture, state: &State, now: Time) -> usize {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    screen.frame(area, |area, buf| draw(picture, state, &Theme::default(), now, area, buf)).unwrap().len()
}

/// The mean of a page that gets a new picture each second.
fn steady(view: View, size: (u16, u16)) -> f64 {
    let state = State { view, size, ..State::default() };
    let mut picture = fixture::picture(Mode::Operate);
    let mut screen = Screen::default();
    bytes(&mut screen, &picture, &state, picture.at);
    let sum: usize = (0..FRAMES)
        .map(|_| {
            picture = fixture::later(&picture, 1.0);
            bytes(&mut screen, &picture, &state, picture.at)
        })
        .sum();
    sum as f64 / f64::from(FRAMES)
}

#[test]
fn a_second_costs_what_a_slow_line_can_carry() {
    for view in View::ALL {
        for (size, most) in [((200, 60), 6_000.0), ((80, 24), 1_500.0)] {
            let mean = steady(view, size);
            println!("{} at {size:?}: {mean:.0} bytes a second", view.name());
            assert!(mean <= most, "{} at {size:?}: {mean:.0} bytes a second, {most} are allowed", view.name());
        }
    }
}

#[test]
fn what_does_not_change_costs_nothing() {
    let (picture, state) = (fixture::picture(Mode::Operate), State { size: (200, 60), ..State::default() });
    let mut screen = Screen::default();
    let first = bytes(&mut screen, &picture, &state, picture.at);
    assert!(first > 5_000, "{first}");
    assert_eq!(bytes(&mut screen, &picture, &state, picture.at), 0);
}

#[test]
fn a_new_size_draws_every_cell_once() {
    let picture = fixture::picture(Mode::Operate);
    let mut screen = Screen::default();
    for size in [(80, 24), (200, 60), (1, 1), (60, 15)] {
        let state = State { size, ..State::default() };
        assert!(bytes(&mut screen, &picture, &state, picture.at) > 0);
        assert_eq!((screen.drawn.area.width, screen.drawn.area.height), size);
        assert_eq!(bytes(&mut screen, &picture, &state, picture.at), 0, "{size:?}");
    }
}

/// crossterm says "nothing" while keys that it has read lie in it, where its thread had to wait for the processor.
#[test]
fn keys_that_were_read_but_not_told_are_asked_for_again() {
    let keys = ["/", "f", "r"].map(|k| Event::Paste(k.into()));
    let mut told = [Some(0), None, Some(1), None, None, Some(2)].into_iter();
    let (sender, mut inputs) = mpsc::channel(keys.len());
    let next = |_| match told.next() {
        Some(key) => Ok(key.map(|i: usize| keys[i].clone())),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    };
    let ended = listen(&sender, || false, next);
    assert_eq!(
        ended.map_err(|e| e.kind()),
        Err(io::ErrorKind::BrokenPipe),
        "what cannot be read any more is no silence"
    );
    let came: Vec<Event> = std::iter::from_fn(|| inputs.try_recv().ok()).collect();
    assert_eq!(came, keys);
}
