//! Every workload of both kinds in one table, worst first; below it what is chosen: its chart and its recommendation.

use super::{card, plot, workload};
use crate::{
    advise,
    model::{ActionState, Recommendation, Role, Severity, WorkloadKind, WorkloadView, duration, lateness, si},
    tui::{
        Cx, format,
        hits::Hit,
        rows,
        state::{Pane, Sort},
        theme::Slot,
        widget::{
            self, span,
            sparkline::sparkline,
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

const COLUMNS: [Column; 13] = [
    Column::words("  WORKLOAD", 14, 34, 0),
    Column::words("KIND", 9, 9, 6),
    Column::numbers("DEMAND/S", 8, 3),
    Column::numbers("BACKLOG", 7, 2),
    Column::numbers("BEHIND", 7, 1),
    Column::numbers("SLO", 5, 5),
    Column::words("NEXT 30 MIN", 13, 13, 3),
    Column::numbers("PEAK/S", 6, 5),
    Column::words("NOW → NEED", 13, 18, 0),
    Column::numbers("HPA", 5, 6),
    Column::numbers("KEDA", 5, 6),
    Column::numbers("COST/H", 6, 7),
    Column::words("WHY", 24, 100, 8),
];
/// Cells of the sparkline before and after the present, on screens of usual width and on wide ones.
const SPARK: [(usize, usize); 2] = [(4, 8), (10, 20)];
/// Seconds of history from which a forecast is made.
const ENOUGH: f64 = 600.0;
/// Columns from which a screen is wide.
const WIDE: u16 = 170;

/// Draws the page.
pub fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let shown = cx.frame.workloads();
    let wanted = shown.len().max(3) as u16 + 3;
    // Below the table there is room for a chart when the chart would have eight lines of its own.
    let table = if area.height >= 19 { wanted.min(area.height * 11 / 20).max(8) } else { area.height };
    let [top, bottom] = Layout::vertical([Constraint::Length(table), Constraint::Fill(1)]).areas(area);
    workloads(cx, shown, top, buf);
    let Some(current) = rows::workload_of(shown, cx.state).filter(|_| !bottom.is_empty()) else { return };
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length((bottom.width * 2 / 5).clamp(38, 76))])
            .areas(bottom);
    if left.height >= 26 {
        plot::both(cx, current, Direction::Vertical, left, buf);
    } else {
        plot::demand(cx, current, left, buf);
    }
    let signals = current.signals.len() as u16 + 3;
    if right.height >= 20 + signals {
        let [first, second] = Layout::vertical([Constraint::Fill(1), Constraint::Length(signals)]).areas(right);
        card::draw(cx, current, first, buf);
        workload::signals_table(cx, current, second, buf);
    } else {
        card::draw(cx, current, right, buf);
    }
}

fn workloads(cx: &Cx<'_>, shown: &[&std::sync::Arc<WorkloadView>], area: Rect, buf: &mut Buffer) {
    let cursor = rows::workload_at(shown, cx.state);
    let inside = Rect { height: area.height.saturating_sub(2), ..area };
    let remark = table::position(shown.len(), Some(cursor), inside);
    let title = format!("Workloads, {}", cx.state.order());
    let inner = widget::panel(cx.theme, &title, &remark, false, area, buf);
    if shown.is_empty() {
        widget::empty(cx.theme, &nothing(cx), inner, buf);
        return;
    }
    let spark = SPARK[usize::from(inner.width >= WIDE)];
    let mut columns = COLUMNS;
    columns[6].most = (spark.0 + spark.1 + 1) as u16;
    let wanted: Vec<bool> = COLUMNS.iter().map(|c| !cx.state.hidden.contains(&name(c))).collect();
    let columns: Vec<Column> = keep(columns, &wanted).collect();
    let row = |i: usize| keep(cells(cx, shown[i], spark), &wanted).collect();
    let heads = table::draw(cx.theme, &columns, shown.len(), Some(cursor), inner, buf, row);
    if let Some(hits) = cx.hits {
        hits.rows(Pane::Workloads, shown.len(), Some(cursor), inner);
        for (column, (x, width)) in columns.iter().zip(heads) {
            if let Some(sort) = sorted_by(column) {
                hits.add(Rect { x, width, height: 1, ..inner }, Hit::Head(sort));
            }
        }
    }
}

/// What a column's head sorts by.
fn sorted_by(column: &Column) -> Option<Sort> {
    match column.title {
        "  WORKLOAD" => Some(Sort::Name),
        "DEMAND/S" => Some(Sort::Demand),
        "BACKLOG" => Some(Sort::Backlog),
        "BEHIND" => Some(Sort::Behind),
        "WHY" => Some(Sort::Worst),
        _ => None,
    }
}

/// What stands in the columns that are wanted.
fn keep<T>(all: impl IntoIterator<Item = T>, wanted: &[bool]) -> impl Iterator<Item = T> {
    all.into_iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(one, _)| one)
}

/// The columns that can be hidden, by name, with what stands in their heads.
pub fn columns() -> impl Iterator<Item = (String, &'static str)> {
    COLUMNS.iter().filter(|c| c.rank > 0).map(|c| (name(c), c.title.trim()))
}

/// The name of a column in the configuration.
fn name(column: &Column) -> String {
    column.title.trim().trim_end_matches("/S").to_lowercase()
}

/// Why the table is empty, and what to try.
fn nothing(cx: &Cx<'_>) -> String {
    if !cx.state.filter.is_empty() && !cx.picture.workloads.is_empty() {
        return format!(
            "none of {} workloads matches the filter {:?}; Esc clears it",
            cx.picture.workloads.len(),
            cx.state.filter
        );
    }
    if cx.picture.sources.is_empty() {
        return "no source is configured: `highwater config example` prints a file to start from, `highwater demo` shows a simulated world".to_owned();
    }
    let sources = cx.picture.sources.iter().map(|s| format!("{}: {}", format::source(s), s.detail));
    let groups: usize = cx.picture.clusters.iter().map(|c| c.groups.len()).sum();
    let services: usize = cx.picture.ml.iter().map(|m| m.services.len() + m.queues.len()).sum();
    format!(
        "no workloads yet: {groups} consumer groups and {services} services or queues are visible. {}. Groups need Describe on the group; services are found by metric packs: `highwater check` says what is missing",
        sources.collect::<Vec<_>>().join("; ")
    )
}

fn cells(cx: &Cx<'_>, view: &WorkloadView, spark: (usize, usize)) -> Vec<Line<'static>> {
    let theme = cx.theme;
    let recommendation = view.advice.recommendation.as_deref().ok();
    let name = Line::from(vec![
        if view.snoozed.is_some_and(|t| t > cx.now) {
            span(theme.glyphs().later, theme.style(Slot::Dim))
        } else {
            value::severity(theme, view.severity)
        },
        if cx.state.marked.contains(&view.workload.name) {
            span(theme.glyphs().mark, theme.style(Slot::Mark))
        } else {
            span(" ", theme.style(Slot::Text))
        },
        span(
            view.workload.name.to_string(),
            if view.severity == Severity::Act { theme.strong(Slot::Text) } else { theme.style(Slot::Text) },
        ),
    ]);
    // In brackets: there is none on it, a usual one would say that.
    let rival = |n: Option<u32>, is_there: bool| {
        let text = |n: u32| if is_there { n.to_string() } else { format!("({n})") };
        n.map_or_else(|| value::missing(theme), |n| Line::from(span(text(n), theme.style(Slot::Rival))))
    };
    let limit = view
        .slo
        .as_ref()
        .map_or_else(|| value::missing(theme), |s| Line::from(span(duration(s.limit), theme.style(Slot::Dim))));
    vec![
        name,
        Line::from(span(kind(view.workload.entity.kind), theme.style(Slot::Dim))),
        signal(cx, view, Role::Demand),
        backlog(cx, view),
        behind(cx, view),
        limit,
        next(cx, view, spark),
        peak(cx, view),
        need(cx, view),
        rival(recommendation.and_then(|r| r.others.hpa), format::has_hpa(&view.state)),
        rival(recommendation.and_then(|r| r.others.keda), format::has_keda(&view.state)),
        cost(cx, view, recommendation),
        Line::from(span(view.headline.clone(), theme.style(Slot::Dim))),
    ]
}

/// The word of a kind in a narrow column.
pub(super) fn kind(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::ConsumerGroup => "group",
        WorkloadKind::Inference => "inference",
        WorkloadKind::Batch => "batch",
        WorkloadKind::Brokers => "brokers",
    }
}

/// How a value per second is written under a head that says so.
fn print(unit: &str) -> fn(f64) -> String {
    if unit.starts_with("bytes") { format::bytes } else { si }
}

fn signal(cx: &Cx<'_>, view: &WorkloadView, role: Role) -> Line<'static> {
    let signal = view.signal(role);
    let print = print(signal.map_or("", |s| s.unit));
    value::reading(cx.theme, signal.and_then(|s| s.now.as_ref()), cx.now, view.state.stale_after, print)
}

/// What waits, with a word for what it is where that is not records.
fn backlog(cx: &Cx<'_>, view: &WorkloadView) -> Line<'static> {
    let unit = match view.workload.entity.kind {
        WorkloadKind::Inference => " req",
        WorkloadKind::Batch => " jobs",
        _ => "",
    };
    let signal = view.signal(Role::Backlog).or_else(|| view.signal(Role::Queue));
    let unknown = view.state.partition_lags.iter().filter(|l| l.is_none()).count();
    if unknown > 0 && unknown == view.state.partition_lags.len() {
        return value::unknown(cx.theme);
    }
    let now = signal.and_then(|s| s.now.as_ref());
    value::reading(cx.theme, now, cx.now, view.state.stale_after, |v| format!("{}{unit}", si(v)))
}

/// Seconds behind, or the latency of the objective; red when over it.
fn behind(cx: &Cx<'_>, view: &WorkloadView) -> Line<'static> {
    // What the objective is about: of a service that may be another latency than the one that is charted.
    let own = view.signal(Role::TimeLag).or_else(|| view.signal(Role::Latency));
    let own = own.filter(|signal| view.slo.as_ref().is_none_or(|s| plot::is_of(view, s, signal)));
    let now = own.and_then(|s| s.now.as_ref()).or_else(|| view.slo.as_ref().and_then(|s| s.value.as_ref()));
    let unknown = view.state.partition_lags.iter().filter(|l| l.is_none()).count();
    if now.is_none() && unknown > 0 {
        let text = format!("{unknown} of {} ?", view.state.partition_lags.len());
        return Line::from(span(text, cx.theme.style(Slot::Unknown)));
    }
    // What waits is known, since when not yet.
    if now.is_none() && !view.state.partition_lags.is_empty() {
        return value::unknown(cx.theme);
    }
    let line = value::reading(cx.theme, now, cx.now, view.state.stale_after, lateness);
    match view.slo.as_ref().and_then(crate::model::SloState::is_met) {
        Some(false) if !view.state.is_stale() => value::restyle(line, cx.theme, Slot::Act),
        _ => line,
    }
}

fn next(cx: &Cx<'_>, view: &WorkloadView, spark: (usize, usize)) -> Line<'static> {
    let Some(signal) = view.signals.first() else { return value::missing(cx.theme) };
    let replicas = view.state.replicas.as_ref().map(|r| r.desired);
    let capacity = view
        .advice
        .capacity
        .as_ref()
        .filter(|c| !c.is_lower_bound()) // a lower bound is nothing to be above of
        .zip(replicas)
        .map(|(c, n)| advise::holds(view.workload.entity.kind, &view.state, c, n))
        .filter(|_| signal.role == Role::Demand);
    sparkline(cx.theme, Some(&signal.track), plot::forecast(view, cx.picture.at), capacity, cx.now, spark)
}

fn peak(cx: &Cx<'_>, view: &WorkloadView) -> Line<'static> {
    match plot::forecast(view, cx.picture.at).and_then(|f| f.peak(|q| q.p80)) {
        // What is forecast of a batch is what waits, not what arrives.
        Some((_, peak)) if view.signal(Role::Demand).is_none() => {
            let unit = view.signals.first().map_or("", |s| s.unit);
            Line::from(span(format!("{} {unit}", si(peak)), cx.theme.style(Slot::Forecast)))
        }
        Some((_, peak)) => {
            let print = print(view.signals.first().map_or("", |s| s.unit));
            Line::from(span(print(peak), cx.theme.style(Slot::Forecast)))
        }
        None => value::missing(cx.theme),
    }
}

/// The objective by name with its limit; red when it is not met.
pub(super) fn objective(cx: &Cx<'_>, view: &WorkloadView) -> Line<'static> {
    let Some(slo) = &view.slo else { return value::missing(cx.theme) };
    let slot = if slo.is_met() == Some(false) { Slot::Act } else { Slot::Dim };
    let text = format!("{} {}", slo.objective.replace('_', " "), duration(slo.limit));
    Line::from(span(text, cx.theme.style(slot)))
}

/// A word for advice that is not there because the history is not: how young it is.
pub(super) fn young(cx: &Cx<'_>, view: &WorkloadView) -> Option<&'static str> {
    let first = view.signals.first().and_then(|s| Some(cx.picture.at.since(s.track.first()?)));
    let answers = cx.picture.sources.iter().all(|s| s.answered.is_some());
    // Without any sample: it may still come, while a source answers for the first minutes.
    let fresh = || cx.picture.sources.iter().any(|s| cx.picture.at.since(s.since) < ENOUGH);
    match first {
        _ if !answers => Some("loading"),
        Some(seconds) => (seconds < ENOUGH).then_some("learning"),
        None => fresh().then_some("learning"),
    }
}

/// `6 → 10`, `12 → 8 ◷` (held for a while), `12 → 8 ◷14:20` (at a time), `14 held`, `3`.
pub(super) fn need(cx: &Cx<'_>, view: &WorkloadView) -> Line<'static> {
    let mut line = counts(cx, view);
    // The count of an object that is only guessed to be the workload's is as good as the guess.
    if view.workload.found.as_ref().is_some_and(|f| !f.certain) && view.state.replicas.is_some() {
        line.spans.insert(0, span(cx.theme.glyphs().about, cx.theme.style(Slot::Dim)));
    }
    line
}

fn counts(cx: &Cx<'_>, view: &WorkloadView) -> Line<'static> {
    let (theme, g) = (cx.theme, cx.theme.glyphs());
    let dim = |text: String| span(text, theme.style(Slot::Dim));
    if let Some(action) = view.action.as_ref().filter(|a| !a.state.is_final() && a.state != ActionState::Proposed) {
        let text = format!("{} {} {}", action.from, g.under_way, action.to);
        return Line::from(vec![span(text, theme.style(Slot::Accent)), dim(format!(" {}", action.state.name()))]);
    }
    let now = view.state.replicas.as_ref().map(|r| r.desired);
    match (&view.advice.recommendation, now) {
        (Err(_), None) => Line::from(span(g.unknown, theme.style(Slot::Unknown))),
        (Err(_), Some(n)) => {
            let why = young(cx, view).unwrap_or("no advice");
            Line::from(vec![span(n.to_string(), theme.style(Slot::Text)), dim(format!(" {why}"))])
        }
        (Ok(r), _) if !r.is_change() => match r.later(cx.now).filter(|_| r.blocked_by.is_empty()) {
            // Not now, at a time: more is worth a look, fewer is a word aside.
            Some(step) => {
                let slot = if step.replicas > r.recommended { Slot::Look } else { Slot::Dim };
                let at = format!(" {}{}", g.later, cx.clock(step.at));
                let text = format!("{} {} {}", r.recommended, g.arrow, step.replicas);
                Line::from(vec![span(text, theme.style(slot)), span(at, theme.style(slot))])
            }
            None => Line::from(vec![
                span(r.recommended.to_string(), theme.style(Slot::Text)),
                dim(if r.blocked_by.is_empty() { String::new() } else { " held".to_owned() }),
            ]),
        },
        (Ok(r), _) => {
            let held = !r.blocked_by.is_empty();
            let slot = match view.severity {
                _ if held => Slot::Dim,
                // Some fewer are no answer to what is wrong.
                Severity::Act if r.recommended > r.current.desired => Slot::Act,
                _ => Slot::Look,
            };
            let mut spans =
                vec![span(format!("{} {} {}", r.current.desired, g.arrow, r.recommended), theme.style(slot))];
            if r.blocked_by.iter().all(|b| b.until.is_some()) && held {
                spans.push(dim(format!(" {}", g.later)));
            } else if held {
                spans.push(dim(" held".into()));
            }
            Line::from(spans)
        }
    }
}

/// What the change would cost or save in an hour.
fn cost(cx: &Cx<'_>, view: &WorkloadView, recommendation: Option<&Recommendation>) -> Line<'static> {
    let Some(r) = recommendation else { return value::missing(cx.theme) };
    let change = (f64::from(r.recommended) - f64::from(r.current.desired)) * view.workload.price.pod_hour;
    let slot = if change == 0.0 { Slot::Dim } else { Slot::Text };
    Line::from(span(format::price_change(change), cx.theme.style(slot)))
}
