//! The command palette: a line to type in and what matches it.

use super::{
    super::{Cx, input::Input, palette, rows::window, theme::Slot, widget},
    footer::field,
    text::{Line, popup, put, put_on},
};
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// Columns of a name.
const NAME: usize = 24;
/// Lines that the list has at most.
const LIST: usize = 12;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer, input: &Input, cursor: usize) {
    let items = palette::matching(&input.text(), cx.picture, &cx.state.commands);
    let inner = popup(cx, area, buf, "Command", 78, LIST + 2);
    let mut line = vec![(Slot::Key, ":".to_owned())];
    line.extend(field(input));
    put(buf, cx.theme, (inner.x, inner.y), inner.width, &line);
    if items.is_empty() {
        let none: Line = vec![(Slot::Dim, "nothing is called that".into())];
        put(buf, cx.theme, (inner.x, inner.y + 2), inner.width, &none);
    }
    let shown = window(cursor, items.len(), usize::from(inner.height.saturating_sub(2)));
    for (i, y) in shown.zip(inner.y + 2..inner.bottom()) {
        let Some(item) = items.get(i) else { break };
        let over = if i == cursor { cx.theme.style(Slot::Selection) } else { Style::new() };
        let mark = if i == cursor { cx.theme.glyphs().cursor } else { " " };
        let line = vec![
            (Slot::Accent, format!("{mark} ")),
            (Slot::Text, format!("{:<NAME$} ", item.name())),
            (Slot::Dim, widget::fit(cx.theme, item.doc(), usize::from(inner.width).saturating_sub(NAME + 3))),
        ];
        buf.set_style(Rect { y, height: 1, ..inner }, over);
        put_on(buf, cx.theme, (inner.x, y), inner.width, &line, over);
    }
}
