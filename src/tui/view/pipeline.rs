//! What flows into what: the pipeline under the cursor as boxes, every stage as a row, and the charts of the chosen one.

use super::{overview, plot, tables::room_for_charts};
use crate::{
    model::{Found, Reading, WorkloadKind, lateness, si},
    tui::{
        Cx, format,
        pipeline::{Kind, Stage},
        rows,
        state::Pane,
        theme::Slot,
        widget::{
            self, span,
            table::{self, Column},
            value,
        },
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Direction, Layout, Rect},
    text::Line,
};
use unicode_width::UnicodeWidthStr;

/// Age beyond which a reading that has no workload of its own counts as stale, seconds.
const OLD: f64 = 60.0;
/// Lines of a box, its frame included.
const BOX: u16 = 6;
/// Columns of the narrowest box that still says something.
const NARROWEST: u16 = 16;
/// Columns between two boxes.
const FLOW: u16 = 3;
/// Cells of the gauge in the table.
const GAUGE: usize = 8;

const COLUMNS: [Column; 9] = [
    Column::words("  STAGE", 16, 34, 0),
    Column::words("KIND", 9, 9, 5),
    Column::words("PIPELINE", 6, 20, 7),
    Column::numbers("COMES/S", 7, 1),
    Column::numbers("HOLDS/S", 7, 2),
    Column::words("USED", 13, 13, 0),
    Column::numbers("WAITS", 7, 3),
    Column::numbers("LATE", 7, 2),
    Column::words("NOW → NEED", 13, 18, 1),
];

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let stages = rows::stages(cx.picture, cx.state);
    let cursor = rows::position(stages.iter().map(|s| &s.id), cx.state.selected(Pane::Stages));
    let current = stages.get(cursor);
    let shown: Vec<&Stage<'_>> = stages.iter().filter(|s| current.is_some_and(|c| c.pipeline == s.pipeline)).collect();
    let boxes = if fits(&shown, area) { BOX } else { 0 };
    let known = current.map(|s| evidence(s)).unwrap_or_default();
    let wanted = stages.len().max(2) as u16 + 3 + known.len() as u16;
    let left = area.height.saturating_sub(boxes + wanted);
    let charts = room_for_charts(current.and_then(|s| s.workload).map_or(0, |_| left));
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(boxes), Constraint::Fill(1), Constraint::Length(charts)]).areas(area);
    if boxes > 0 {
        flow(cx, &shown, current, top, buf);
    }
    list(cx, &stages, cursor, &known, middle, buf);
    if let Some(view) = current.and_then(|s| s.workload).filter(|_| charts > 0) {
        plot::both(cx, view, Direction::Horizontal, bottom, buf);
    }
}

/// Whether every stage has room for a box of its own, and the page for more than boxes.
fn fits(stages: &[&Stage<'_>], area: Rect) -> bool {
    let n = stages.len() as u16;
    n > 0 && area.height >= 18 && area.width >= n * NARROWEST + (n - 1) * FLOW
}

/// The boxes from left to right with arrows between them.
fn flow(cx: &Cx<'_>, stages: &[&Stage<'_>], current: Option<&Stage<'_>>, area: Rect, buf: &mut Buffer) {
    let n = stages.len() as u16;
    let width = ((area.width - (n - 1) * FLOW) / n).min(44);
    for (i, stage) in stages.iter().enumerate() {
        let x = area.x + i as u16 * (width + FLOW);
        let place = Rect { x, width, ..area };
        let focus = current.is_some_and(|c| c.id == stage.id);
        // A narrow box keeps its whole name: the table's title says which one it is, too.
        let marked = stage.bottleneck && stage.name.width() + 6 <= usize::from(width);
        let mark = if marked { format!("{} ", cx.theme.glyphs().act) } else { String::new() };
        let inner = widget::panel(cx.theme, &format!("{mark}{}", stage.name), "", focus, place, buf);
        for (line, y) in inside(cx, stage, usize::from(inner.width)).iter().zip(inner.top()..inner.bottom()) {
            widget::put(line, inner.x, y, inner, buf);
        }
        if i > 0 {
            let g = cx.theme.glyphs();
            let (about, slot) =
                if stage.link.is_some_and(|l| !l.certain) { (g.about, Slot::Look) } else { (" ", Slot::Dim) };
            let arrow = Line::from(span(format!("{about}{}", g.arrow), cx.theme.style(slot)));
            widget::put(&arrow, x - 3, area.y + BOX / 2, area, buf);
        }
    }
}

/// The lines inside of a box: what comes, what it holds, how much of it is used, what waits.
fn inside(cx: &Cx<'_>, stage: &Stage<'_>, width: usize) -> Vec<Line<'static>> {
    let theme = cx.theme;
    let dim = |text: String| span(text, theme.style(Slot::Dim));
    let mut lines = Vec::new();
    let comes = reading(cx, stage, stage.comes, si);
    match stage.kind {
        Kind::Topic => {
            lines.push(said(" in ", comes, "/s", dim));
            lines.push(Line::from(dim(format!(" {} partitions", stage.parts))));
        }
        Kind::Gpus => {
            lines.push(Line::from(dim(format!(" {} GPUs", stage.parts))));
            lines.push(bar(cx, stage, width.saturating_sub(8).min(24)));
        }
        Kind::Workload(_) => {
            lines.push(said(" in ", comes, "/s", dim));
            let count = stage.workload.and_then(|w| w.state.replicas.as_ref()).map(|r| r.desired);
            lines.push(match (count, stage.holds) {
                (Some(n), Some(_)) => said(&format!(" {n} hold "), holds(cx, stage), "/s", dim),
                (Some(n), None) => Line::from(dim(format!(" {n} replicas"))),
                (None, _) => Line::from(span(" not seen", theme.style(Slot::Unknown))),
            });
            lines.push(bar(cx, stage, width.saturating_sub(8).min(24)));
            // How late it is stands in the table as well.
            let mut waits = said(" ", reading(cx, stage, stage.waits, si), " wait", dim);
            let late = said(", ", reading(cx, stage, stage.late, lateness), "", dim);
            if waits.width() + late.width() <= width {
                waits.spans.extend(late.spans);
            }
            lines.push(waits);
        }
    }
    lines.into_iter().map(|line| widget::fit_line(theme, line, width)).collect()
}

fn said(
    before: &str,
    mut value: Line<'static>,
    after: &str,
    dim: impl Fn(String) -> ratatui::text::Span<'static>,
) -> Line<'static> {
    value.spans.insert(0, dim(before.to_owned()));
    value.spans.push(dim(after.to_owned()));
    value
}

/// A gauge with its share: red beyond what is held.
fn bar(cx: &Cx<'_>, stage: &Stage<'_>, width: usize) -> Line<'static> {
    let Some(used) = stage.used else {
        let text = match stage.workload {
            Some(_) if stage.or_more => " share unknown",
            Some(_) if width < GAUGE => " capacity ?",
            Some(_) => " capacity unknown",
            None => " ",
        };
        return Line::from(span(text, cx.theme.style(Slot::Unknown)));
    };
    let slot = slot(stage, used);
    let mut spans = vec![span(" ", cx.theme.style(Slot::Dim))];
    spans.extend(widget::gauge(cx.theme, Some(used), width, slot));
    spans.push(span(format!(" {}", format::percent(used)), cx.theme.style(slot)));
    Line::from(spans)
}

/// What it holds, with a sign where it may be more.
fn holds(cx: &Cx<'_>, stage: &Stage<'_>) -> Line<'static> {
    let least = if stage.or_more { cx.theme.glyphs().at_least } else { "" };
    let told = |holds| Line::from(span(format!("{least}{}", si(holds)), cx.theme.style(Slot::Dim)));
    stage.holds.map_or_else(|| value::missing(cx.theme), told)
}

fn slot(stage: &Stage<'_>, used: f64) -> Slot {
    match stage.kind {
        Kind::Workload(_) if used > 1.0 => Slot::Act,
        _ if stage.bottleneck => Slot::Look,
        _ => Slot::Gauge,
    }
}

fn reading(cx: &Cx<'_>, stage: &Stage<'_>, r: Option<&Reading>, print: fn(f64) -> String) -> Line<'static> {
    let stale = stage.workload.map_or(OLD, |w| w.state.stale_after);
    value::reading(cx.theme, r, cx.now, stale, print)
}

/// How the stage under the cursor is known, as far as nobody wrote it down: what feeds it, and what it runs on.
fn evidence(stage: &Stage<'_>) -> Vec<(bool, String)> {
    let word = |found: &Found| if found.certain { "" } else { "a guess: " };
    let fed = stage.link.map(|l| (l.certain, format!("fed by what is before it: {}{}", word(l), l.why())));
    let target = stage.workload.and_then(|w| w.workload.target.as_ref());
    let runs = stage.found().zip(target);
    let runs = runs.map(|(f, target)| (f.certain, format!("runs on {target}: {}{}", word(f), f.why())));
    fed.into_iter().chain(runs).collect()
}

fn list(cx: &Cx<'_>, stages: &[Stage<'_>], cursor: usize, known: &[(bool, String)], area: Rect, buf: &mut Buffer) {
    let inside = Rect { height: area.height.saturating_sub(2), ..area };
    let remark = table::position(stages.len(), Some(cursor), inside);
    let inner = widget::panel(cx.theme, &title(stages), &remark, true, area, buf);
    if stages.is_empty() {
        return widget::empty(cx.theme, &nothing(cx), inner, buf);
    }
    let lines = known.len().min(usize::from(inner.height.saturating_sub(3))) as u16;
    let [rows, below] = Layout::vertical([Constraint::Fill(1), Constraint::Length(lines)]).areas(inner);
    if let Some(hits) = cx.hits {
        hits.rows(Pane::Stages, stages.len(), Some(cursor), rows);
    }
    table::draw(cx.theme, &COLUMNS, stages.len(), Some(cursor), rows, buf, |i| cells(cx, &stages[i]));
    for (y, (certain, words)) in (below.top()..below.bottom()).zip(known) {
        let slot = if *certain { Slot::Dim } else { Slot::Look };
        let text = widget::fit(cx.theme, words, usize::from(below.width.saturating_sub(2)));
        widget::put(&Line::from(span(text, cx.theme.style(slot))), below.x + 1, y, below, buf);
    }
}

/// The title says the answer: where it is held up.
fn title(stages: &[Stage<'_>]) -> String {
    let held: Vec<String> =
        stages.iter().filter(|s| s.bottleneck).map(|s| format!("{} is held up by {}", s.pipeline, s.name)).collect();
    match (stages.is_empty(), held.is_empty()) {
        (true, _) => "Pipelines".to_owned(),
        (false, true) => "Pipelines: nothing is held up".to_owned(),
        (false, false) => held.join("; "),
    }
}

fn nothing(cx: &Cx<'_>) -> String {
    if !cx.picture.pipelines.is_empty() {
        return format!("no stage matches the filter {:?}; Esc clears it", cx.state.filter);
    }
    "no pipeline was found, and none is configured: [[pipeline]] with name = \"fraud\" and workloads = [\"fraud-scorer\", \"fraud-model\"] \
     says what flows into what; the topic before a group and the GPUs behind a service are found"
        .to_owned()
}

/// The pipeline's name; one that is only proposed is marked like what is estimated.
fn pipeline_name(cx: &Cx<'_>, stage: &Stage<'_>) -> String {
    let proposed = cx.picture.pipelines.iter().any(|p| p.name == *stage.pipeline && p.is_proposed());
    format!("{}{}", if proposed { cx.theme.glyphs().about } else { "" }, stage.pipeline)
}

fn cells(cx: &Cx<'_>, stage: &Stage<'_>) -> Vec<Line<'static>> {
    let theme = cx.theme;
    let g = theme.glyphs();
    let dim = |text: &str| Line::from(span(text, theme.style(Slot::Dim)));
    let (mark, slot) = if stage.bottleneck { (g.act, Slot::Act) } else { (" ", Slot::Text) };
    let kind = match stage.kind {
        Kind::Topic => "topic",
        Kind::Gpus => "gpus",
        Kind::Workload(kind) => overview::kind(kind),
    };
    let mut used = vec![];
    if let Some(ratio) = stage.used {
        let slot = self::slot(stage, ratio);
        used.extend(widget::gauge(theme, Some(ratio), GAUGE, slot));
        used.push(span(format!(" {}", format::percent(ratio)), theme.style(slot)));
    }
    let unit = match stage.kind {
        Kind::Workload(WorkloadKind::Inference) => " req",
        Kind::Workload(WorkloadKind::Batch) => " jobs",
        _ => "",
    };
    let mut waits = reading(cx, stage, stage.waits, si);
    if stage.waits.is_some() {
        waits.spans.push(span(unit, theme.style(Slot::Dim)));
    }
    vec![
        Line::from(vec![
            span(mark, theme.style(slot)),
            span(" ", theme.style(slot)),
            span(stage.name.clone(), theme.style(Slot::Text)),
        ]),
        dim(kind),
        dim(&pipeline_name(cx, stage)),
        reading(cx, stage, stage.comes, si),
        holds(cx, stage),
        if used.is_empty() { value::missing(theme) } else { Line::from(used) },
        waits,
        reading(cx, stage, stage.late, lateness),
        match (stage.kind, stage.workload) {
            (Kind::Workload(_), Some(view)) => overview::need(cx, view),
            (Kind::Workload(_), None) => dim("not seen"),
            (Kind::Topic, _) => dim(&format!("{} partitions", stage.parts)),
            (Kind::Gpus, _) => dim(&format!("{} GPUs", stage.parts)),
        },
    ]
}
