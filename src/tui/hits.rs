//! What lies under a place of the screen, for the mouse: views say it while they draw.

use super::{
    state::{Pane, Sort},
    widget::table,
};
use ratatui::layout::{Position, Rect};
use std::cell::RefCell;

/// What a click means. Nothing of it decides anything: that takes two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// A row of a table, by its place among all rows.
    Row(Pane, usize),
    /// A table without a row: its tab.
    Tab(Pane),
    /// The head of a column that the overview can be sorted by.
    Head(Sort),
}

/// Places and what lies there, in the order in which they were drawn.
#[derive(Debug, Default)]
pub struct Hits(RefCell<Vec<(Rect, Hit)>>);

impl Hits {
    /// Says what lies in an area.
    pub fn add(&self, area: Rect, hit: Hit) {
        self.0.borrow_mut().push((area, hit));
    }

    /// Says it of every row of a table that was drawn into `area`.
    pub fn rows(&self, pane: Pane, len: usize, cursor: Option<usize>, area: Rect) {
        for (line, row) in (1..).zip(table::visible(len, cursor, area)) {
            self.add(Rect { y: area.y + line, height: 1, ..area }, Hit::Row(pane, row));
        }
    }

    /// What lies at a place: what was drawn last.
    pub fn at(&self, place: Position) -> Option<Hit> {
        self.0.borrow().iter().rev().find(|(area, _)| area.contains(place)).map(|(_, hit)| *hit)
    }
}
