//! One workload: its two charts, its recommendation, its signals with age and origin, and who does the work.

use super::{card, overview, plot};
use crate::{
    model::{Group, Recommendation, Role, Service, SignalView, WorkloadKind, WorkloadView, duration, si},
    tui::{
        Cx, format,
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

/// Draws the page.
pub fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let Some(view) = cx.frame.workload() else {
        let inner = widget::panel(cx.theme, "Workload", "", false, area, buf);
        return widget::empty(cx.theme, &nobody(cx), inner, buf);
    };
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    headline(cx, view, head, buf);
    if body.height < 14 {
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(body);
        plot::demand(cx, view, left, buf);
        return card::draw(cx, view, right, buf);
    }
    let signals = view.signals.len() as u16 + 3;
    let foot = if body.height >= 30 { signals.max(9).max(body.height / 4) } else { signals.min(body.height * 2 / 5) };
    let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(foot)]).areas(body);
    let [charts, side] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length((area.width * 2 / 5).clamp(34, 70))]).areas(top);
    if charts.height >= 18 {
        plot::both(cx, view, Direction::Vertical, charts, buf);
    } else {
        plot::demand(cx, view, charts, buf);
    }
    card::draw(cx, view, side, buf);
    if area.width >= 100 {
        let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(bottom);
        signals_table(cx, view, left, buf);
        workers(cx, view, right, buf);
    } else {
        signals_table(cx, view, bottom, buf);
    }
}

/// Why a page about one workload has none.
pub(super) fn nobody(cx: &Cx<'_>) -> String {
    let who = cx.state.selected(Pane::Workloads);
    let why = who.map_or_else(|| "no workload is chosen".to_owned(), |name| format!("{name} is not seen any more"));
    format!("{why}: 1 goes back to the overview")
}

fn headline(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let theme = cx.theme;
    let line = Line::from(vec![
        span(" ", theme.style(Slot::Text)),
        value::severity(theme, view.severity),
        span(format!(" {}", view.workload.name), theme.strong(Slot::Text)),
        span(format!("  {}  ", overview::kind(view.workload.entity.kind)), theme.style(Slot::Dim)),
        span(view.headline.clone(), theme.style(value::slot(view.severity))),
    ]);
    let rivals = view.advice.recommendation.as_deref().map_or_else(|_| Line::default(), |r| rivals(cx, view, r));
    let left = usize::from(area.width).saturating_sub(line.width());
    widget::put(&widget::fit_line(theme, line, usize::from(area.width)), area.x, area.y, area, buf);
    if rivals.width() + 2 <= left {
        widget::put(&rivals, area.right() - rivals.width() as u16, area.y, area, buf);
    }
}

/// What other rules would say, beside what is recommended: `HPA 7  usual KEDA 24  usual CPU rule 6 `.
fn rivals(cx: &Cx<'_>, view: &WorkloadView, r: &Recommendation) -> Line<'static> {
    let style = cx.theme.style(Slot::Rival);
    let said = format::rivals(&view.state, r).into_iter().filter_map(|(name, n)| Some(format!("{name} {}", n?)));
    let said: Vec<String> = said.collect();
    if said.is_empty() { Line::default() } else { Line::from(span(format!("{} ", said.join("  ")), style)) }
}

const SIGNALS: [Column; 4] = [
    Column::words("SIGNAL", 11, 24, 0),
    Column::numbers("NOW", 8, 0),
    Column::numbers("AGE", 5, 1),
    Column::words("ORIGIN", 10, 90, 2),
];

/// The signals with their age and origin: every number can be explained.
pub(super) fn signals_table(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let inner = widget::panel(cx.theme, "Signals", "", false, area, buf);
    table::draw(cx.theme, &SIGNALS, view.signals.len(), None, inner, buf, |i| {
        let s = &view.signals[i];
        let dim = cx.theme.style(Slot::Dim);
        let age = s.now.as_ref().map(|r| Line::from(span(format::age(r.age(cx.now)), dim)));
        let origin = s.now.as_ref().map(|r| Line::from(span(r.origin.to_string(), dim)));
        vec![
            Line::from(span(format::role(view.workload.entity.kind, s.role), cx.theme.style(Slot::Text))),
            value::reading(cx.theme, s.now.as_ref(), cx.now, f64::INFINITY, |v| with_unit(s, v)),
            age.unwrap_or_else(|| value::missing(cx.theme)),
            origin.unwrap_or_else(|| value::missing(cx.theme)),
        ]
    });
}

fn with_unit(signal: &SignalView, v: f64) -> String {
    match (signal.unit, signal.role) {
        ("ratio" | "", Role::Progress | Role::Utilisation) => format::percent(v),
        (unit, _) if unit.ends_with("/s") && !unit.starts_with("bytes") => format::rate(v),
        (unit, _) => format::with_unit(v, unit),
    }
}

/// Who does the work: the members of a group, the numbers of a service.
fn workers(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let entity = &view.workload.entity;
    match entity.kind {
        WorkloadKind::ConsumerGroup => {
            let cluster = cx.picture.clusters.iter().find(|c| c.name == entity.source);
            match cluster.and_then(|c| c.groups.iter().find(|g| g.group == entity.id)) {
                Some(group) => members(cx, group, area, buf),
                None => absent(cx, "Members", "the group is not in the cluster's last answer", area, buf),
            }
        }
        WorkloadKind::Inference => {
            let services = cx.picture.ml.iter().filter(|m| m.source == entity.source).flat_map(|m| &m.services);
            match services.into_iter().find(|s| s.name == entity.id) {
                Some(s) => service(cx, view, s, area, buf),
                None => absent(cx, "Service", "the service is not in Prometheus' last answer", area, buf),
            }
        }
        WorkloadKind::Batch | WorkloadKind::Brokers => {
            let text = view.state.replicas.as_ref().map_or_else(
                || "the replica count is not known".to_owned(),
                |r| format!("{} of {} ready, as {} says", r.ready, r.desired, r.origin),
            );
            absent(cx, "Replicas", &text, area, buf);
        }
    }
}

fn absent(cx: &Cx<'_>, title: &str, text: &str, area: Rect, buf: &mut Buffer) {
    let inner = widget::panel(cx.theme, title, "", false, area, buf);
    widget::empty(cx.theme, text, inner, buf);
}

const MEMBERS: [Column; 4] = [
    Column::words("MEMBER", 10, 40, 0),
    Column::words("HOST", 9, 24, 2),
    Column::numbers("PARTITIONS", 10, 1),
    Column::numbers("LAG", 6, 0),
];

/// Members of a group, the largest lag first, under a strip of the partitions' lag.
fn members(cx: &Cx<'_>, group: &Group, area: Rect, buf: &mut Buffer) {
    let theme = cx.theme;
    let members = group.member_count().map_or_else(|| theme.glyphs().unknown.to_owned(), |n| n.to_string());
    let remark = format!("{members} members, {} partitions", group.partitions.len());
    let mut inner = widget::panel(theme, "Members", &remark, false, area, buf);
    let lags: Vec<Option<f64>> = group.partitions.iter().map(|p| p.lag.map(|l| l as f64)).collect();
    if inner.height > 4 && !lags.is_empty() {
        let most = lags.iter().flatten().copied().fold(1.0, f64::max);
        let room = usize::from(inner.width.saturating_sub(20));
        let mut line = Line::from(span(" lag by partition ", theme.style(Slot::Dim)));
        line.spans.extend(widget::heat(theme, &lags, most, room, |_| Slot::History).spans);
        widget::put(&line, inner.x, inner.y, inner, buf);
        inner = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
    }
    if group.untold {
        let text = "who is in it is not told: it is of a type that cannot be asked about yet, or not described to us";
        return widget::empty(theme, text, inner, buf);
    }
    if group.members.is_empty() {
        let text = format!("no members: the group is {:?}; committed offsets are kept until they expire", group.state);
        return widget::empty(theme, &text, inner, buf);
    }
    // None: none of its partitions is known.
    let lag = |m: usize| {
        group.partitions.iter().filter(|p| p.owner == Some(m)).filter_map(|p| p.lag).reduce(u64::saturating_add)
    };
    let mut order: Vec<(usize, Option<u64>)> = (0..group.members.len()).map(|m| (m, lag(m))).collect();
    order.sort_by_key(|(m, lag)| (std::cmp::Reverse(*lag), *m));
    table::draw(theme, &MEMBERS, order.len(), None, inner, buf, |i| {
        let (m, lag) = order[i];
        let member = &group.members[m];
        vec![
            Line::from(span(member.client_id.to_string(), theme.style(Slot::Text))),
            Line::from(span(member.host.to_string(), theme.style(Slot::Dim))),
            Line::from(span(member.partitions.to_string(), theme.style(Slot::Text))),
            lag.map_or_else(|| value::unknown(theme), |l| Line::from(span(si(l as f64), theme.style(Slot::Text)))),
        ]
    });
}

/// A name, its reading, how it is printed.
type Printed<'a> = (&'static str, Option<&'a crate::model::Reading>, fn(f64) -> String);

fn service(cx: &Cx<'_>, view: &WorkloadView, s: &Service, area: Rect, buf: &mut Buffer) {
    let inner = widget::panel(cx.theme, "Service", &format!("by the pack {}", s.pack), false, area, buf);
    let print: [Printed<'_>; 9] = [
        ("waiting", s.waiting.as_ref(), si),
        ("running", s.running.as_ref(), si),
        ("requests", s.request_rate.as_ref(), format::rate),
        ("tokens", s.token_rate.as_ref(), format::rate),
        ("first token p95", s.ttft_p95.as_ref(), duration),
        ("between tokens p95", s.inter_token_p95.as_ref(), duration),
        ("whole answer p95", s.latency_p95.as_ref(), duration),
        ("in queue p95", s.queue_p95.as_ref(), duration),
        ("KV cache", s.kv_cache.as_ref(), format::percent),
    ];
    for (y, (name, reading, print)) in (inner.top()..inner.bottom()).zip(print) {
        let mut line = widget::pair(cx.theme, &format!(" {name:<19}"), "", usize::from(inner.width));
        line.spans.extend(value::reading(cx.theme, reading, cx.now, view.state.stale_after, print).spans);
        widget::put(&line, inner.x, y, inner, buf);
    }
}
