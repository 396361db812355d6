//! The two charts of a workload: what arrives against what is held, and what waits.

use crate::{
    model::{ActionState, Role, SignalView, WorkloadView, duration, si},
    tui::{
        Cx,
        theme::Slot,
        widget::{
            self,
            chart::{Chart, Limit},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Seconds ahead when there is no forecast to say so.
const AHEAD: f64 = 1_800.0;

/// Demand (for a batch: the queue) with its forecast, and what the replicas hold.
pub(super) fn demand(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let Some(signal) = view.signal(Role::Demand).or(view.signals.first()) else {
        let inner = widget::panel(cx.theme, view.workload.name.as_str(), "", false, area, buf);
        let text = "nothing was measured yet: the first chart needs two refreshes";
        return widget::empty(cx.theme, text, inner, buf);
    };
    let per_second = signal.role == Role::Demand;
    let limits = if per_second { capacities(view) } else { Vec::new() };
    let forecast = view.advice.forecast.as_ref();
    draw(cx, view, signal, (forecast, limits), area, buf);
}

/// Time lag, latency or backlog, with the objective.
pub(super) fn behind(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let roles = [Role::TimeLag, Role::Latency, Role::Backlog, Role::Progress, Role::Throughput];
    let Some(signal) = roles.iter().find_map(|r| view.signal(*r)) else { return };
    let timed = matches!(signal.role, Role::TimeLag | Role::Latency);
    let limit = |s: &crate::model::SloState| Limit {
        value: s.limit,
        label: format!("objective {}", duration(s.limit)),
        slot: Slot::Capacity,
        planned: false,
        always: true,
    };
    let limits = view.slo.as_ref().filter(|_| timed).map(limit).into_iter().collect();
    draw(cx, view, signal, (None, limits), area, buf);
}

fn capacities(view: &WorkloadView) -> Vec<Limit> {
    let (Some(capacity), Some(replicas)) = (&view.advice.capacity, &view.state.replicas) else { return Vec::new() };
    // Partitions that are uneven make it less: the line is the best that the count can do.
    let limit = |n: u32, slot, planned| {
        let value = capacity.per_replica * f64::from(n);
        let label = match capacity.samples {
            0 => format!("{n} hold {}/s or more", si(value)),
            _ => format!("{n} hold {}/s at best", si(value)),
        };
        Limit { value, label, slot, planned, always: false }
    };
    let known = if capacity.samples > 0 { Slot::Capacity } else { Slot::Unknown };
    let mut limits = vec![limit(replicas.desired, known, false)];
    if let Some(r) = view.advice.recommendation.as_deref().ok().filter(|r| r.is_change()) {
        limits.push(limit(r.recommended, Slot::CapacityNeeded, true));
    }
    limits
}

fn draw(
    cx: &Cx<'_>,
    view: &WorkloadView,
    signal: &SignalView,
    (forecast, limits): (Option<&crate::model::Forecast>, Vec<Limit>),
    area: Rect,
    buf: &mut Buffer,
) {
    let back = cx.state.zoom.back();
    let ahead = view.advice.forecast.as_ref().map_or(AHEAD, crate::model::Forecast::horizon).max(60.0);
    let what = match signal.role {
        Role::TimeLag => "seconds behind".to_owned(),
        Role::Latency => "latency p95".to_owned(),
        Role::Progress => "progress".to_owned(),
        role if signal.unit.is_empty() => role.name().to_owned(),
        role => format!("{}, {}", role.name(), signal.unit),
    };
    let title = format!("{}  {what}", view.workload.name);
    let remark = format!("{} back, {} ahead", duration(back), duration(ahead));
    let inner = widget::panel(cx.theme, &title, &remark, false, area, buf);
    if signal.track.values.iter().all(Option::is_none) {
        let text = "no history yet: the line begins with the second refresh; a Prometheus source fills in the past";
        return widget::empty(cx.theme, text, inner, buf);
    }
    let done = |s: ActionState| {
        matches!(s, ActionState::Applied | ActionState::Verified | ActionState::Failed | ActionState::RolledBack)
    };
    let own = cx.picture.actions.iter().filter(|a| a.workload == view.workload.name && done(a.state));
    let arrow = cx.theme.glyphs().arrow;
    Chart {
        theme: cx.theme,
        now: cx.picture.at,
        back,
        ahead,
        unit: if signal.role == Role::Progress { "%" } else { signal.unit },
        history: Some(&signal.track),
        second: None,
        forecast,
        limits,
        marks: own.map(|a| (a.updated, format!("{}{arrow}{}", a.from, a.to))).collect(),
    }
    .draw(inner, buf);
}
