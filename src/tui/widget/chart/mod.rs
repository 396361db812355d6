//! History, the present, the forecast and what the replicas can hold, in one unit: the crossing is the problem.

mod axis;
mod band;
mod steps;

use super::{canvas::Canvas, fit, put, span};
use crate::{
    model::{Forecast, Grid, Time, Zone},
    tui::theme::{Slot, Theme},
};
use axis::{TimeAxis, ValueAxis};
use ratatui::{buffer::Buffer, layout::Rect, text::Line};
use unicode_width::UnicodeWidthStr;

/// A horizontal line: a capacity, an objective.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Where.
    pub value: f64,
    /// What it is: `6 hold 5.6k/s`.
    pub label: String,
    /// Its colour.
    pub slot: Slot,
    /// Where its line is drawn.
    pub reach: Reach,
    /// The chart reaches up to it however low the data are.
    pub always: bool,
}

/// Where a limit's line is drawn; its name always stands in the past, where nothing is hidden by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From edge to edge.
    Whole,
    /// Right of the present, in dashes.
    Ahead,
    /// Not at all: steps are its line.
    Name,
}

/// A level that holds from an instant on, until the next one.
#[derive(Clone, Debug)]
pub struct Step {
    /// From when on.
    pub at: Time,
    /// Where.
    pub value: f64,
    /// What happens there: `+4 at 14:20`; empty: nothing is written.
    pub label: String,
}

/// A chart.
#[derive(Debug)]
pub struct Chart<'a> {
    /// Colours and glyphs.
    pub theme: &'a Theme,
    /// The present.
    pub now: Time,
    /// Seconds of the past.
    pub back: f64,
    /// Seconds of the future.
    pub ahead: f64,
    /// Seconds by which it is moved into the past.
    pub pan: f64,
    /// By whose clocks its times are written; the name stands at the axis.
    pub zone: &'a Zone,
    /// `records/s`, `s`, `bytes`, …: how ticks are written.
    pub unit: &'a str,
    /// Whether values stand above zero; else the axis begins below the smallest: of a loss, that is near to nothing else.
    pub from_zero: bool,
    /// What was measured.
    pub history: Option<&'a Grid>,
    /// A second measured line.
    pub second: Option<&'a Grid>,
    /// What is expected.
    pub forecast: Option<&'a Forecast>,
    /// Horizontal lines.
    pub limits: Vec<Limit>,
    /// A line of levels ahead: the plan. The first level reaches back to the present.
    pub steps: Vec<Step>,
    /// Actions: when, and `6→10`.
    pub marks: Vec<(Time, String)>,
    /// Where it is read.
    pub cross: Option<Time>,
}

/// Lines at the top for names of limits that lie above it.
const ABOVE: u16 = 3;

/// A piece of text on the plot: line, column, width.
type Taken = (u16, u16, u16);

/// The two axes and the plot between them.
struct Plot {
    area: Rect,
    time: TimeAxis,
    value: ValueAxis,
}

impl Plot {
    /// The line of a value, from the top; `None` above or below the plot.
    fn line(&self, value: f64) -> Option<u16> {
        let y = self.value.y(value);
        (0.0..1.0).contains(&y).then(|| self.area.height - 1 - (y * f64::from(self.area.height)) as u16)
    }
}

impl Chart<'_> {
    /// Draws it. An area too small for axes and a plot stays blank.
    pub fn draw(&self, area: Rect, buf: &mut Buffer) {
        if area.width < 20 || area.height < 4 {
            return;
        }
        let lines = usize::from(area.height - 2);
        let value = if self.from_zero {
            ValueAxis::new(self.largest(area), lines, self.unit)
        } else {
            ValueAxis::between(self.smallest(area), self.largest(area), lines)
        };
        let labels: Vec<(f64, String)> = value.ticks().into_iter().map(|v| (v, axis::label(v, self.unit))).collect();
        let gutter = labels.iter().map(|(_, l)| l.width()).max().unwrap_or(1).min(12) as u16 + 2;
        let inner = Rect { x: area.x + gutter, width: area.width - gutter, height: area.height - 2, ..area };
        let plot = Plot { area: inner, time: self.time(inner.width), value };
        self.axes(&plot, &labels, area, buf);
        let canvas = self.lines(&plot);
        band::draw(self.theme, &plot, self.forecast, &canvas, buf);
        self.limits(&plot, &canvas, buf);
        let risers = steps::draw(self.theme, &plot, &self.steps, &canvas, buf);
        self.present(&plot, &canvas, buf);
        self.crossed(&plot, &canvas, buf);
        self.dots(&plot, &canvas, buf);
        let mut taken = steps::labels(self.theme, &plot, &self.steps, &canvas, &risers, buf);
        self.limit_labels(&plot, &canvas, &mut taken, buf);
        self.marks(&plot, buf);
    }

    fn time(&self, width: u16) -> TimeAxis {
        TimeAxis::new(self.now, self.back, self.ahead, usize::from(width)).moved(self.pan)
    }

    /// The largest value that the chart must reach: the data, p80 with some room for p95, and limits that are near.
    fn largest(&self, area: Rect) -> f64 {
        let time = self.time(area.width);
        let past = self.seen(time).fold(0.0, f64::max);
        let peak = |q: fn(&crate::model::Quantiles) -> f64| {
            self.forecast.and_then(|f| f.peak(q)).filter(|p| p.0 < time.right()).map_or(0.0, |p| p.1)
        };
        // A wide p95 would flatten everything else; its band is cut at the top instead.
        let data = past.max(peak(|q| q.p95).min(past.max(peak(|q| q.p80)) * 1.25));
        let near = |value: f64| data <= 0.0 || value <= data * 1.8;
        let limits = self.limits.iter().filter(|l| l.always || near(l.value)).map(|l| l.value);
        let steps = self.steps.iter().map(|s| s.value).filter(|v| near(*v));
        limits.chain(steps).fold(data, f64::max)
    }

    /// The smallest value of the data.
    fn smallest(&self, area: Rect) -> f64 {
        let time = self.time(area.width);
        let ahead = self.forecast.iter().flat_map(|f| &f.points).filter(|q| q.t < time.right()).map(|q| q.p50);
        self.seen(time).chain(ahead).fold(f64::INFINITY, f64::min)
    }

    /// What was measured within the time that is shown.
    fn seen(&self, time: TimeAxis) -> impl Iterator<Item = f64> {
        let of = move |g: &Grid, i: usize| g.at(i) >= time.left && g.at(i) < time.right();
        let grids = [self.history, self.second].into_iter().flatten();
        grids.flat_map(move |g| g.values.iter().enumerate().filter_map(move |(i, v)| v.filter(|_| of(g, i))))
    }

    fn axes(&self, plot: &Plot, labels: &[(f64, String)], area: Rect, buf: &mut Buffer) {
        let (g, dim) = (self.theme.glyphs(), self.theme.style(Slot::Dim));
        let axis = plot.area.x - 1;
        let foot = plot.area.bottom();
        for y in plot.area.top()..foot {
            buf.set_string(axis, y, g.axis, dim);
        }
        buf.set_string(axis, foot, g.corner, dim);
        for x in plot.area.left()..plot.area.right() {
            buf.set_string(x, foot, g.axis_x, dim);
        }
        for (value, label) in labels {
            let Some(line) = plot.line(*value) else { continue };
            let y = plot.area.y + line;
            let width = label.width().min(usize::from(axis - area.x)) as u16;
            let (y, glyph) = if *value <= plot.value.low { (foot, g.corner) } else { (y, g.tick_y) };
            buf.set_stringn(axis - width, y, label, usize::from(width), dim);
            buf.set_string(axis, y, glyph, dim);
        }
        // Whose clocks these are stands left of them.
        let zone = self.zone.name(plot.time.left);
        let mut free = plot.area.x;
        if zone.as_str().width() <= usize::from(plot.area.x - area.x) {
            buf.set_string(area.x, foot + 1, zone.as_str(), dim);
            free = free.max(area.x + zone.as_str().width() as u16 + 1);
        }
        for (column, label) in plot.time.labels(self.zone) {
            let x = plot.area.x + column as u16;
            let start = x.saturating_sub(label.width() as u16 / 2);
            buf.set_string(x, foot, g.tick_x, dim);
            if start >= free && start + label.width() as u16 <= area.right() {
                buf.set_string(start, foot + 1, &label, dim);
                free = start + label.width() as u16 + 1;
            }
        }
    }

    /// History and the forecast's median as dots.
    fn lines(&self, plot: &Plot) -> Canvas {
        let mut canvas =
            Canvas::new(usize::from(plot.area.width), usize::from(plot.area.height), self.theme.glyphs().charset);
        let (rx, ry) = canvas.resolution();
        let rows = (usize::from(plot.area.height) * ry) as f64;
        let place = |t: Time, v: f64| {
            let y = (rows - 1.0 - (plot.value.y(v) * rows).floor()).clamp(-1.0, rows * 2.0);
            ((plot.time.x(t) * rx as f64).floor() as i64, (y as i64).min(rows as i64 - 1))
        };
        for (grid, slot) in [(self.second, Slot::HistorySecond), (self.history, Slot::History)] {
            let Some(grid) = grid else { continue };
            // Of another day also what came after this time is known.
            let edge = if slot == Slot::History { self.now.min(plot.time.right()) } else { plot.time.right() };
            let mut last: Option<(i64, i64)> = None;
            for (i, value) in grid.values.iter().enumerate() {
                let here =
                    value.filter(|_| grid.at(i) >= plot.time.left && grid.at(i) <= edge).map(|v| place(grid.at(i), v));
                if let Some(here) = here {
                    canvas.line(last.unwrap_or(here), here, slot);
                }
                last = here;
            }
        }
        if let Some(forecast) = self.forecast {
            let points = forecast.points.iter().filter(|q| q.t > self.now && q.t < plot.time.right());
            let dots: Vec<_> = points.map(|q| place(q.t, q.p50)).collect();
            for pair in dots.windows(2) {
                canvas.line(pair[0], pair[1], Slot::Forecast);
            }
        }
        canvas
    }

    fn dots(&self, plot: &Plot, canvas: &Canvas, buf: &mut Buffer) {
        for line in 0..plot.area.height {
            for column in 0..plot.area.width {
                let Some((glyph, slot)) = canvas.cell(usize::from(column), usize::from(line)) else { continue };
                if let Some(cell) = buf.cell_mut((plot.area.x + column, plot.area.y + line)) {
                    let foreground = self.theme.style(slot).fg.unwrap_or_default();
                    cell.set_char(glyph).set_fg(foreground);
                }
            }
        }
    }

    /// The present.
    fn present(&self, plot: &Plot, canvas: &Canvas, buf: &mut Buffer) {
        if plot.time.now >= plot.time.width {
            return;
        }
        let x = plot.area.x + plot.time.now as u16;
        for line in 0..plot.area.height {
            if canvas.cell(plot.time.now, usize::from(line)).is_none() {
                buf.set_string(x, plot.area.y + line, self.theme.glyphs().now, self.theme.style(Slot::Now));
            }
        }
    }

    /// The instant at which it is read.
    fn crossed(&self, plot: &Plot, canvas: &Canvas, buf: &mut Buffer) {
        let Some(at) = self.cross.map(|t| plot.time.x(t)).filter(|x| *x >= 0.0) else { return };
        let column = at as usize;
        if column >= plot.time.width {
            return;
        }
        let style = self.theme.style(Slot::BorderFocus);
        for line in 0..plot.area.height {
            if canvas.cell(column, usize::from(line)).is_none() {
                buf.set_string(plot.area.x + column as u16, plot.area.y + line, self.theme.glyphs().axis, style);
            }
        }
    }

    fn limits(&self, plot: &Plot, canvas: &Canvas, buf: &mut Buffer) {
        let g = self.theme.glyphs();
        for limit in &self.limits {
            let Some(line) = plot.line(limit.value) else { continue };
            let (from, glyph) = match limit.reach {
                Reach::Whole => (0, g.line),
                Reach::Ahead => (plot.time.now + 1, g.dashes),
                Reach::Name => continue,
            };
            for column in from..plot.time.width {
                if canvas.cell(column, usize::from(line)).is_none()
                    && let Some(cell) = buf.cell_mut((plot.area.x + column as u16, plot.area.y + line))
                {
                    cell.set_symbol(glyph).set_fg(self.theme.style(limit.slot).fg.unwrap_or_default());
                }
            }
        }
    }

    /// Writes each limit's name where it hides nothing: on its line, else on a line beside it.
    fn limit_labels(&self, plot: &Plot, canvas: &Canvas, taken: &mut Vec<Taken>, buf: &mut Buffer) {
        for limit in &self.limits {
            let text = format!(" {} ", fit(self.theme, &limit.label, usize::from(plot.area.width.saturating_sub(2))));
            let width = text.width() as u16;
            let style = self.theme.style(limit.slot);
            let Some(line) = plot.line(limit.value) else {
                // Beyond the top: said at the top's left, with an arrow's meaning in words.
                let text = format!(" {} (above) ", limit.label);
                let width = text.width() as u16;
                let place = (0..ABOVE.min(plot.area.height))
                    .find(|l| free(plot, canvas, 0, *l, width) && taken.iter().all(|t| t.0 != *l));
                if let Some(l) = place {
                    taken.push((l, 0, width));
                    put(&Line::from(span(text, style)), plot.area.x, plot.area.y + l, plot.area, buf);
                }
                continue;
            };
            let below = line + 1;
            let above = line.wrapping_sub(1);
            // Left: there the past is, and the future is kept free for the band, as far as the name is not longer.
            let place = [line, above, below].into_iter().filter(|l| *l < plot.area.height).find_map(|l| {
                let last = (plot.time.now as u16).max(width + 2).saturating_sub(width + 1);
                let last = last.min(plot.area.width.saturating_sub(width));
                let start = (last.min(1)..=last).find(|x| {
                    free(plot, canvas, *x, l, width)
                        && taken.iter().all(|t| t.0 != l || t.1 + t.2 <= *x || *x + width <= t.1)
                })?;
                Some((l, start))
            });
            if let Some((l, start)) = place {
                taken.push((l, start, width));
                put(&Line::from(span(text, style)), plot.area.x + start, plot.area.y + l, plot.area, buf);
            }
        }
    }

    fn marks(&self, plot: &Plot, buf: &mut Buffer) {
        let style = self.theme.style(Slot::Mark);
        for (t, _) in &self.marks {
            let x = plot.time.x(*t);
            if x >= 0.0 && (x as usize) < plot.time.width {
                buf.set_string(plot.area.x + x as u16, plot.area.bottom(), self.theme.glyphs().mark, style);
            }
        }
        let room = Rect { height: plot.area.height + 1, ..plot.area };
        let mut free = 0;
        for (t, text) in self.marks.iter().rev() {
            let x = plot.time.x(*t);
            let start = x.max(0.0) as usize + 1;
            if x >= free as f64 && start + text.width() <= plot.time.width {
                put(&Line::from(span(text.clone(), style)), plot.area.x + start as u16, plot.area.bottom(), room, buf);
                free = start + text.width() + 1;
            }
        }
    }
}

/// Whether no dot lies in `width` cells of a line.
fn free(plot: &Plot, canvas: &Canvas, column: u16, line: u16, width: u16) -> bool {
    column + width <= plot.area.width
        && (column..column + width).all(|c| canvas.cell(usize::from(c), usize::from(line)).is_none())
}
