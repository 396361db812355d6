//! Lists to choose from, at the right: what they change is seen on the left.

use super::{
    super::{Cx, dialog::Choice, rows::window, theme::Slot, update::choices},
    text::{Line, lines, plain, popup},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Lines that a list has at most.
const LIST: usize = 20;
/// Columns of a list.
const WIDTH: u16 = 36;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, choice: &Choice, cursor: usize) {
    let items = choices(choice, cx.state);
    let title = match choice {
        Choice::Theme { .. } => "Theme",
        Choice::Columns => "Columns",
        Choice::Link { .. } => "Link",
    };
    let room = LIST.min(usize::from(area.height.saturating_sub(6)));
    let mut text: Vec<Line> = window(cursor, items.len(), room)
        .filter_map(|i| {
            let name = items.get(i)?;
            let here = i == cursor;
            let (slot, mark) = if here { (Slot::Accent, cx.theme.glyphs().cursor) } else { (Slot::Text, " ") };
            let box_ = match choice {
                Choice::Columns if cx.state.hidden.contains(name) => "[ ] ",
                Choice::Columns => "[x] ",
                _ => "",
            };
            Some(vec![(slot, format!("{mark} {box_}{name}"))])
        })
        .collect();
    if text.is_empty() {
        text.push(plain("nothing to choose from"));
    }
    let width = WIDTH.min(area.width);
    let place = Rect { x: area.right() - width, width, ..area };
    let inner = popup(cx, place, buf, title, WIDTH, text.len());
    lines(cx, inner, buf, &text, 0);
}
