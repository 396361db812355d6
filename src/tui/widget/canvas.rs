//! Dots finer than a cell: 2×4 in braille, 1×2 in half blocks, 1×1 in ASCII.

use crate::tui::theme::{Charset, Slot};

/// A raster over a plot of cells. Dots of later slots take over a cell's colour, never its dots.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    charset: Charset,
    cells: Vec<(u8, Option<Slot>)>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, charset: Charset) -> Self {
        Self { width, height, charset, cells: vec![(0, None); width * height] }
    }

    /// Dots per cell, across and down.
    pub(super) fn resolution(&self) -> (usize, usize) {
        match self.charset {
            Charset::Braille => (2, 4),
            Charset::Block => (1, 2),
            Charset::Ascii => (1, 1),
        }
    }

    /// Sets a dot; what lies outside is not drawn.
    pub(super) fn dot(&mut self, x: i64, y: i64, slot: Slot) {
        let (rx, ry) = self.resolution();
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        let (column, line) = (x / rx, y / ry);
        if column >= self.width || line >= self.height {
            return;
        }
        let cell = &mut self.cells[line * self.width + column];
        cell.0 |= 1 << ((y % ry) * rx + x % rx);
        cell.1 = Some(slot);
    }

    /// A line of dots between two dots, both included. Its steep parts cost at most the raster's height.
    pub(super) fn line(&mut self, from: (i64, i64), to: (i64, i64), slot: Slot) {
        let (rx, ry) = self.resolution();
        let (w, h) = ((self.width * rx).cast_signed() as i64, (self.height * ry).cast_signed() as i64);
        let clamp = |p: (i64, i64)| (p.0.clamp(-w, 2 * w), p.1.clamp(-h, 2 * h));
        let ((x0, y0), (x1, y1)) = (clamp(from), clamp(to));
        let steps = (x1 - x0).abs().max((y1 - y0).abs());
        for i in 0..=steps {
            let at = |a: i64, b: i64| a + ((b - a) * i * 2 + steps.max(1)).div_euclid(2 * steps.max(1));
            self.dot(at(x0, x1), at(y0, y1), slot);
        }
    }

    /// The character and colour of a cell; `None`: nothing was drawn there.
    pub(super) fn cell(&self, column: usize, line: usize) -> Option<(char, Slot)> {
        let (dots, slot) = *self.cells.get(line * self.width + column)?;
        let slot = slot.filter(|_| dots != 0)?;
        let glyph = match (self.charset, dots) {
            (Charset::Braille, dots) => ratatui::symbols::braille::BRAILLE[usize::from(dots)],
            (Charset::Block, 1) => '▀',
            (Charset::Block, 2) => '▄',
            (Charset::Block, _) => '█',
            (Charset::Ascii, _) if matches!(slot, Slot::Forecast) => 'o',
            (Charset::Ascii, _) if matches!(slot, Slot::HistorySecond) => '+',
            (Charset::Ascii, _) => '*',
        };
        Some((glyph, slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rising_line_in_every_charset() {
        let draw = |charset| {
            let mut canvas = Canvas::new(2, 2, charset);
            let (rx, ry) = canvas.resolution();
            let last = |n: usize| i64::try_from(2 * n - 1).unwrap();
            canvas.line((0, last(ry)), (last(rx), 0), Slot::History);
            let cell = |i: usize| canvas.cell(i % 2, i / 2).map_or(' ', |c| c.0);
            (0..4).map(cell).collect::<String>()
        };
        assert_eq!(draw(Charset::Braille), " ⡜⡜ ");
        assert_eq!(draw(Charset::Block), " ██ ");
        assert_eq!(draw(Charset::Ascii), " ** ");
    }

    #[test]
    fn what_lies_outside_costs_nothing() {
        let mut canvas = Canvas::new(3, 3, Charset::Braille);
        canvas.line((i64::MIN / 4, 0), (i64::MAX / 4, i64::MAX / 4), Slot::History);
        canvas.dot(-1, 5, Slot::History);
    }
}
