//! The partitions of a group at one look: a cell for each, its glyph a level, so that it is read without colour.

use crate::{
    model::{Group, GroupPartition, KafkaCluster, Topic, duration, si},
    tui::{
        Cx,
        action::Action,
        state::Heat,
        theme::{Slot, Theme},
        widget::{self, span},
    },
};
use ratatui::{
    style::{Modifier, Style},
    text::Line,
};
use std::{collections::HashMap, ops::Range};
use unicode_width::UnicodeWidthStr;

/// Levels of a cell: nothing, and four of something.
const LEVELS: usize = 5;
/// Columns that the number of a row's first partition takes.
const NUMBER: usize = 6;
/// Columns of a topic's name at most.
const NAME: usize = 24;

/// A partition and its value.
type Cell<'a> = (&'a GroupPartition, Option<f64>);

/// What is shown, and by which scale.
pub(super) struct Map<'a> {
    /// What the cells tell.
    by: Heat,
    /// The partitions in the order of topics and numbers, each with its value; `None`: not known.
    cells: Vec<Cell<'a>>,
    /// Where each topic's are among them.
    topics: Vec<Range<usize>>,
    /// Seconds that the group may be behind.
    objective: Option<f64>,
}

impl<'a> Map<'a> {
    /// Of a group as its cluster was read.
    pub(super) fn of(by: Heat, group: &'a Group, cluster: &KafkaCluster, objective: Option<f64>) -> Self {
        let mut partitions: Vec<&GroupPartition> = group.partitions.iter().collect();
        // Partitions of one topic share its name, which is cheaper to see than to compare.
        let in_order = |a: &&GroupPartition, b: &&GroupPartition| {
            if a.topic == b.topic { a.partition <= b.partition } else { a.topic < b.topic }
        };
        if !partitions.is_sorted_by(in_order) {
            partitions.sort_by_key(|p| (&p.topic, p.partition));
        }
        let mut cells: Vec<Cell<'a>> = Vec::with_capacity(partitions.len());
        let mut topics = Vec::new();
        for own in partitions.chunk_by(|a, b| a.topic == b.topic) {
            let listed = |t: &&Topic| by == Heat::Rate && own.first().is_some_and(|p| p.topic == t.name);
            let listed = cluster.topics.iter().find(listed).map_or(&[][..], |t| &t.partitions);
            let arrivals: HashMap<i32, f64> = listed.iter().filter_map(|p| Some((p.partition, p.arrivals?))).collect();
            let start = cells.len();
            cells.extend(own.iter().map(|p| {
                let value = match by {
                    Heat::Lag => p.lag.map(|lag| lag as f64),
                    Heat::Age => p.time_lag,
                    Heat::Rate => arrivals.get(&p.partition).copied(),
                };
                (*p, value)
            }));
            topics.push(start..cells.len());
        }
        Self { by, cells, topics, objective }
    }

    /// The map in so many columns and at most so many lines, the last of them its legend; none where it has no room. The
    /// cell of `at` stands out.
    pub(super) fn lines(
        &self,
        cx: &Cx<'_>,
        at: Option<&GroupPartition>,
        columns: usize,
        most: usize,
    ) -> Vec<Line<'static>> {
        let most = most.saturating_sub(1);
        if self.topics.is_empty() || most == 0 {
            return Vec::new();
        }
        // More topics than lines: one strip of all of them.
        let several = self.topics.len();
        let blocks: Vec<(String, &[Cell<'_>])> = if several > most {
            vec![(format!("{several} topics"), &self.cells[..])]
        } else {
            let of = |range: &Range<usize>| (self.cells[range.start].0.topic.to_string(), &self.cells[range.clone()]);
            self.topics.iter().map(of).collect()
        };
        let named = blocks.iter().map(|(name, _)| name.width()).max().unwrap_or(0).min(NAME).min(columns / 4);
        let room = columns.saturating_sub(named + NUMBER + 1).max(1);
        let longest = blocks.iter().map(|(_, own)| own.len()).max().unwrap_or(1);
        let wide = if longest * 2 <= room { 2 } else { 1 };
        let a_line = (room / wide).max(1);
        let taken =
            |share: usize| blocks.iter().map(|(_, own)| own.len().div_ceil(share).div_ceil(a_line)).sum::<usize>();
        let mut share = 1; // partitions to a cell
        while taken(share) > most && share < longest {
            share *= 2;
        }
        let bounds = self.bounds();
        let mut lines = Vec::new();
        for (name, own) in &blocks {
            for (i, row) in own.chunks(share * a_line).enumerate() {
                let name = if i == 0 { widget::fit(cx.theme, name, named) } else { String::new() };
                let first = if several > most { String::new() } else { row[0].0.partition.to_string() };
                let pad = " ".repeat(named.saturating_sub(name.width()));
                let mut line = Line::from(span(format!("{name}{pad}{first:>NUMBER$} "), cx.theme.style(Slot::Dim)));
                let cells = row.chunks(share).map(|cell| self.cell(cx.theme, cell, at, bounds));
                let mut runs: Vec<(String, Style)> = Vec::new();
                for (glyph, style) in cells {
                    match runs.last_mut() {
                        Some((text, last)) if *last == style => text.push_str(&glyph.repeat(wide)),
                        _ => runs.push((glyph.repeat(wide), style)),
                    }
                }
                line.spans.extend(runs.into_iter().map(|(text, style)| span(text, style)));
                lines.push(line);
            }
        }
        lines.truncate(most); // a terminal of a few columns
        lines.push(widget::fit_line(cx.theme, self.legend(cx, bounds, share), columns));
        lines
    }

    /// The upper bounds of the levels between nothing and the highest: quarters of the largest value; for how far behind
    /// they are quarters, half and all of the objective, so that the highest level means that it is not met.
    fn bounds(&self) -> [f64; LEVELS - 2] {
        match self.limit() {
            Some(objective) => [0.25, 0.5, 1.0].map(|share| share * objective),
            None => [0.25, 0.5, 0.75].map(|share| share * self.largest()),
        }
    }

    fn limit(&self) -> Option<f64> {
        self.objective.filter(|objective| self.by == Heat::Age && *objective > 0.0)
    }

    fn largest(&self) -> f64 {
        self.cells.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max)
    }

    /// The glyph and the style of partitions that share a cell: one that is not known hides the others, else the worst
    /// shows.
    fn cell(
        &self,
        theme: &Theme,
        cell: &[Cell<'_>],
        at: Option<&GroupPartition>,
        bounds: [f64; LEVELS - 2],
    ) -> (&'static str, Style) {
        let worst = cell.iter().map(|(_, value)| *value).try_fold(0.0, |worst: f64, value| Some(worst.max(value?)));
        let (glyph, slot) = match worst.map(|value| level(value, bounds)) {
            None => (theme.glyphs().unknown, Slot::Unknown),
            Some(level) => (theme.glyphs().heat[level], self.slot(level)),
        };
        let style = theme.style(slot);
        let here = at.is_some_and(|at| cell.iter().any(|(p, _)| std::ptr::eq(*p, at)));
        (glyph, if here { style.add_modifier(Modifier::REVERSED) } else { style })
    }

    fn slot(&self, level: usize) -> Slot {
        match level {
            0 => Slot::Dim,
            3 if self.limit().is_some() => Slot::Look,
            4 if self.limit().is_some() => Slot::Act,
            _ => Slot::History,
        }
    }

    /// What the glyphs mean, and the key that shows something else.
    fn legend(&self, cx: &Cx<'_>, bounds: [f64; LEVELS - 2], share: usize) -> Line<'static> {
        let (theme, dim) = (cx.theme, cx.theme.style(Slot::Dim));
        let print = |value: f64| if self.by == Heat::Age { duration(value) } else { si(value) };
        let mut line = Line::default();
        if let Some(key) = cx.state.keymap.hint(Action::Heat) {
            line.spans.extend([span(key, theme.style(Slot::Key)), span(" ", dim)]);
        }
        line.spans.push(span(self.by.title(), theme.style(Slot::Text)));
        let mut entry = |level: usize, words: String| {
            line.spans.push(span(format!("  {}", theme.glyphs().heat[level]), theme.style(self.slot(level))));
            line.spans.push(span(format!(" {words}"), dim));
        };
        let largest = self.largest();
        if self.cells.iter().any(|(_, value)| value.is_some()) {
            entry(0, print(0.0));
        }
        if largest > 0.0 || self.limit().is_some() {
            for (level, bound) in (1..).zip(bounds) {
                let slo = if self.limit() == Some(bound) { ", SLO" } else { "" };
                entry(level, format!("≤{}{slo}", print(bound)));
            }
            match self.limit() {
                Some(_) => entry(LEVELS - 1, "over".to_owned()),
                None => entry(LEVELS - 1, format!("≤{}", print(largest))),
            }
        }
        if self.cells.iter().any(|(_, value)| value.is_none()) {
            line.spans.push(span(format!("  {}", theme.glyphs().unknown), theme.style(Slot::Unknown)));
            line.spans.push(span(" not known", dim));
        }
        if share > 1 {
            line.spans.push(span(format!("  {share} to a cell, the worst shows"), dim));
        }
        line
    }
}

fn level(value: f64, bounds: [f64; LEVELS - 2]) -> usize {
    if value <= 0.0 { 0 } else { 1 + bounds.iter().filter(|bound| value > **bound).count() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Label, Mode},
        tui::{State, fixture, frame::Frame},
    };

    fn text(map: &Map<'_>, columns: usize, most: usize) -> Vec<String> {
        let (picture, state, theme) = (fixture::picture(Mode::Watch), State::default(), Theme::default());
        let frame = Frame::new(&picture, &state);
        let cx = Cx { picture: &picture, state: &state, theme: &theme, now: fixture::NOW, frame: &frame, hits: None };
        map.lines(&cx, None, columns, most).iter().map(|line| line.to_string().trim_end().to_owned()).collect()
    }

    fn group(lags: &[Option<u64>], topics: usize) -> Group {
        let partition = |(i, lag): (usize, &Option<u64>)| GroupPartition {
            topic: Label::new(&format!("t{}", i % topics)),
            partition: i32::try_from(i / topics).unwrap(),
            lag: *lag,
            time_lag: lag.map(|lag| lag as f64),
            ..GroupPartition::default()
        };
        Group { partitions: lags.iter().enumerate().map(partition).collect(), ..Group::default() }
    }

    fn by(by: Heat, group: &Group, objective: Option<f64>) -> Map<'_> {
        Map::of(by, group, &KafkaCluster::default(), objective)
    }

    #[test]
    fn a_level_is_a_quarter_of_the_largest_and_what_is_not_known_shows() {
        let group = group(&[Some(0), Some(1), Some(30), Some(60), Some(100), None], 1);
        let lines = text(&by(Heat::Lag, &group, None), 80, 4);
        assert_eq!(lines, ["t0     0 ··░░▒▒▓▓██??", "H lag  · 0  ░ ≤25  ▒ ≤50  ▓ ≤75  █ ≤100  ? not known"]);
    }

    #[test]
    fn how_far_behind_is_told_by_the_objective() {
        let group = group(&[Some(0), Some(7), Some(15), Some(29), Some(31)], 1);
        let lines = text(&by(Heat::Age, &group, Some(30.0)), 80, 4);
        assert_eq!(lines[0], "t0     0 ··░░▒▒▓▓██");
        assert_eq!(lines[1], "H behind  · 0 s  ░ ≤7.5 s  ▒ ≤15 s  ▓ ≤30 s, SLO  █ over");
        let quiet = self::group(&[Some(0); 3], 1);
        assert_eq!(text(&by(Heat::Lag, &quiet, None), 80, 4)[1], "H lag  · 0", "no scale of nothing");
        assert_eq!(text(&by(Heat::Rate, &quiet, None), 80, 4)[0], "t0     0 ??????", "arrivals take two looks");
    }

    #[test]
    fn many_partitions_share_cells_and_many_topics_a_strip() {
        let lags: Vec<Option<u64>> = (0..1_000).map(|i| Some(u64::from(i == 777) * 9)).collect();
        let one = group(&lags, 1);
        let lines = text(&by(Heat::Lag, &one, None), 60, 4);
        assert!(lines.len() <= 4 && lines.iter().any(|l| l.contains('█')), "{lines:#?}");
        assert!(
            lines.last().unwrap().contains("32 to a cell") || lines.last().unwrap().contains("8 to a cell"),
            "{lines:#?}"
        );
        let many = group(&lags, 100);
        let lines = text(&by(Heat::Lag, &many, None), 60, 4);
        assert!(lines[0].starts_with("100 topics") && lines.len() <= 4, "{lines:#?}");
        let three = group(&lags[..30], 3);
        assert_eq!(text(&by(Heat::Lag, &three, None), 60, 9).len(), 4, "a row for each topic, and the legend");
        assert!(text(&by(Heat::Lag, &one, None), 60, 1).is_empty(), "no room");
        assert!(text(&by(Heat::Lag, &group(&[], 1), None), 60, 9).is_empty());
    }
}
