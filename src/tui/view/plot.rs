//! The two charts of a workload: what arrives against what is held and planned, and how late it is.

use super::footer;
use crate::{
    advise,
    model::{
        Action, ActionState, Capacity, DayPlan, Forecast, Grid, PlanStep, Role, SignalView, SloState, Time,
        WorkloadView, duration, si,
    },
    tui::{
        Cx, format,
        theme::Slot,
        widget::{
            self,
            chart::{Chart, Limit, Reach, Step},
        },
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Direction, Layout, Rect},
};
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// Seconds ahead when there is no forecast to say so.
const AHEAD: f64 = 1_800.0;
/// Seconds of history from which a forecast is drawn, at most: as much as advice needs.
const ENOUGH: f64 = 600.0;
/// A first sample that comes so much of the chart's past later than its left edge is worth a word.
const LATE: f64 = 0.1;

/// Seconds of the past before a day ahead.
const DAY_BACK: f64 = 4.0 * 3_600.0;

/// What is drawn over the measured line.
#[derive(Default)]
struct Over<'a> {
    forecast: Option<&'a Forecast>,
    limits: Vec<Limit>,
    steps: Vec<Step>,
}

/// Demand (for a batch: the queue) with its forecast, what the replicas hold, and the plan.
pub(super) fn demand(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let Some(signal) = first(view) else {
        let inner = widget::panel(cx.theme, view.workload.name.as_str(), "", false, area, buf);
        let text = "nothing was measured yet: the first chart needs two refreshes";
        return widget::empty(cx.theme, text, inner, buf);
    };
    let mut over = Over { forecast: forecast(view, cx.picture.at), ..Over::default() };
    if signal.role == Role::Demand {
        (over.limits, over.steps) = (capacities(cx, view, view.advice.capacity.as_ref()), plan(cx, view));
    }
    draw(cx, view, signal, over, area, buf);
}

/// The forecast, where it rests on enough history to be drawn: out of a minute or two comes a line that nothing speaks for.
pub(super) fn forecast(view: &WorkloadView, now: Time) -> Option<&Forecast> {
    let forecast = view.advice.forecast.as_ref()?;
    let seen = first(view).and_then(|s| s.track.first()).map_or(0.0, |at| now.since(at));
    (seen >= ENOUGH.min(forecast.horizon())).then_some(forecast)
}

/// Both charts where the workload has two different ones and `area` has room for them, else the first alone.
pub(super) fn both(cx: &Cx<'_>, view: &WorkloadView, direction: Direction, area: Rect, buf: &mut Buffer) {
    let Some(signal) = second(view) else { return demand(cx, view, area, buf) };
    let timed = matches!(signal.role, Role::TimeLag | Role::Latency);
    let limit = |s: &SloState| Limit {
        value: s.limit,
        label: format!("objective {}", duration(s.limit)),
        slot: Slot::Capacity,
        reach: Reach::Whole,
        always: true,
    };
    let limits = view.slo.as_ref().filter(|s| timed && is_of(view, s, signal)).map(limit).into_iter().collect();
    let share = if direction == Direction::Vertical { 3 } else { 2 };
    let [one, two] = Layout::new(direction, [Constraint::Fill(share), Constraint::Fill(2)]).areas(area);
    demand(cx, view, one, buf);
    draw(cx, view, signal, Over { limits, ..Over::default() }, two, buf);
}

/// Whether an objective is about what a chart shows: a service has several latencies, of which one is charted.
pub(super) fn is_of(view: &WorkloadView, slo: &SloState, signal: &SignalView) -> bool {
    match (&slo.value, &signal.now) {
        _ if signal.role != Role::Latency => true,
        (Some(of), Some(now)) => of.origin == now.origin,
        // What it is about is not exported; a query of the user's own is what they mean by it.
        (None, Some(_)) => view.workload.signals.contains_key(&signal.role),
        (_, None) => true,
    }
}

/// The signal of the first chart: what arrives, else what the workload has.
fn first(view: &WorkloadView) -> Option<&SignalView> {
    view.signal(Role::Demand).or(view.signals.first())
}

/// The signal of the second chart: how late it is, else what waits, else how far it is; never the first one again, and
/// none that nobody measures.
fn second(view: &WorkloadView) -> Option<&SignalView> {
    let waits = |role: Role| matches!(role, Role::Backlog | Role::Queue);
    let first = first(view)?.role;
    let roles = [Role::TimeLag, Role::Latency, Role::Backlog, Role::Progress, Role::Throughput];
    let differs = |role: &Role| *role != first && !(waits(*role) && waits(first));
    let measured = |s: &&SignalView| s.now.is_some() || s.track.first().is_some();
    roles.into_iter().filter(differs).filter_map(|r| view.signal(r)).find(measured)
}

/// What the present count holds, what the recommended one would, and, when asked for, what other rules' counts would.
fn capacities(cx: &Cx<'_>, view: &WorkloadView, capacity: Option<&Capacity>) -> Vec<Limit> {
    let (Some(capacity), Some(replicas)) = (capacity, &view.state.replicas) else { return Vec::new() };
    let holds = |n: u32| advise::holds(view.workload.entity.kind, &view.state, capacity, n);
    let own = [Some(replicas.desired), view.advice.recommendation.as_ref().ok().map(|r| r.recommended)];
    let limit = |who: &str, n: u32, slot, reach| {
        let value = holds(n);
        // Of a lower bound this is what the plan tries, some more than was ever seen.
        let verb = match n {
            _ if capacity.is_lower_bound() => "tried with",
            1 => "holds",
            _ => "hold",
        };
        // Partitions cannot be shared: one more replica may leave the busiest with as many of them as before.
        let as_much = own.into_iter().flatten().filter(|m| *m < n && holds(*m) >= value).min();
        let useless = as_much.map_or_else(String::new, |m| format!(", no more than {m}"));
        Limit { value, label: format!("{who}{n} {verb} {}/s{useless}", si(value)), slot, reach, always: false }
    };
    let known = if capacity.is_lower_bound() { Slot::Unknown } else { Slot::Capacity };
    let mut limits = vec![limit("", replicas.desired, known, Reach::Whole)];
    let Ok(r) = &view.advice.recommendation else { return limits };
    if r.is_change() {
        limits.push(limit("", r.recommended, Slot::CapacityNeeded, Reach::Name));
    }
    if cx.state.rivals {
        let mut said: Vec<(String, u32)> = Vec::new();
        for (name, n) in format::rivals(&view.state, r).into_iter().filter_map(|(name, n)| Some((name, n?))) {
            match said.iter_mut().find(|(_, m)| *m == n) {
                Some((names, _)) => *names = [names.as_str(), name].join(", "),
                None => said.push((name.to_owned(), n)),
            }
        }
        limits.extend(said.into_iter().map(|(name, n)| limit(&format!("{name}: "), n, Slot::Rival, Reach::Ahead)));
    }
    limits
}

/// The plan in the unit of demand: what is held from when on. What is added works a start-up after it was asked for.
fn plan(cx: &Cx<'_>, view: &WorkloadView) -> Vec<Step> {
    let (Some(capacity), Ok(r)) = (&view.advice.capacity, &view.advice.recommendation) else { return Vec::new() };
    let changes = r.is_change() || r.steps.len() > 1;
    if !changes || !r.blocked_by.iter().all(|b| b.until.is_some()) {
        return Vec::new();
    }
    levels(cx, view, capacity, r.current.desired, &r.steps)
}

/// Steps as what is held from when on.
fn levels(cx: &Cx<'_>, view: &WorkloadView, capacity: &Capacity, current: u32, steps: &[PlanStep]) -> Vec<Step> {
    let mut before = current;
    let step = |(i, s): (usize, &PlanStep)| {
        let change = i64::from(s.replicas) - i64::from(before);
        let ready = if change > 0 { s.at.plus(capacity.start_up) } else { s.at };
        before = s.replicas;
        let label = match i {
            0 => String::new(), // the line's name says it
            _ => format!("{change:+} at {}", cx.clock(s.at)),
        };
        Step { at: ready, value: advise::holds(view.workload.entity.kind, &view.state, capacity, s.replicas), label }
    };
    steps.iter().enumerate().map(step).collect()
}

/// The next day: what is expected, what the present count holds, and the plan.
pub(super) fn day(cx: &Cx<'_>, view: &WorkloadView, plan: &DayPlan, area: Rect, buf: &mut Buffer) {
    let age = format::age(cx.now.since(plan.at).max(0.0));
    let remark = format!("planned {} {}, {age} ago", cx.clock(plan.at), cx.zone(plan.at));
    let mut title = format!("{}  the next 24 h", view.workload.name);
    let others = format!(" {} {}: others", cx.theme.glyphs().dot, footer::others(cx));
    // Where there is room for both: how old the plan is comes first.
    if [&title, &others, &remark].iter().map(|t| t.width()).sum::<usize>() + 8 <= usize::from(area.width) {
        title += &others;
    }
    let inner = widget::panel(cx.theme, &title, &remark, false, area, buf);
    let current = plan.steps.first().map_or(0, |s| s.replicas);
    // By what it was planned with: what is known since then would draw other levels than those that were chosen.
    let steps = levels(cx, view, &plan.capacity, current, &plan.steps);
    let signal = first(view);
    let track = signal.map(|s| s.track.grid());
    let limits = capacities(cx, view, Some(&plan.capacity)).into_iter().take(1).collect();
    Chart {
        theme: cx.theme,
        now: cx.picture.at,
        back: DAY_BACK,
        ahead: plan.forecast.horizon(),
        pan: 0.0,
        zone: &cx.state.zone,
        unit: signal.map_or("", |s| s.unit),
        from_zero: true,
        history: track.as_ref(),
        second: None,
        forecast: Some(&plan.forecast),
        limits,
        steps,
        marks: Vec::new(),
        cross: None,
    }
    .draw(inner, buf);
}

fn draw(cx: &Cx<'_>, view: &WorkloadView, signal: &SignalView, over: Over<'_>, area: Rect, buf: &mut Buffer) {
    let back = cx.state.zoom.back();
    let ahead = view.advice.forecast.as_ref().map_or(AHEAD, Forecast::horizon).max(60.0);
    let what = match signal.role {
        Role::TimeLag => "seconds behind".to_owned(),
        Role::Latency => match view.slo.as_ref().filter(|s| is_of(view, s, signal)) {
            Some(slo) => slo.objective.replace('_', " "),
            None => "latency p95".to_owned(),
        },
        Role::Progress => "progress".to_owned(),
        role if signal.unit.is_empty() => format::role(view.workload.entity.kind, role),
        role => format!("{}, {}", format::role(view.workload.entity.kind, role), signal.unit),
    };
    let title = format!("{}  {what}", view.workload.name);
    let second = compared(cx, view, signal);
    let remark = match seen_since(cx, signal, back) {
        _ if cx.state.cross.is_some() => read(cx, signal, over.forecast, second.as_deref()),
        _ if cx.state.pan > 0.0 => {
            let end = cx.picture.at.plus(-cx.state.pan);
            format!("{} up to {} {}", duration(back), cx.clock(end), cx.zone(end))
        }
        _ if second.is_some() => format!("beside {}", cx.state.compare.word()),
        Some(since) if over.forecast.is_none() && view.advice.forecast.is_some() && signal.role == Role::Demand => {
            format!("seen since {since}: no forecast yet")
        }
        Some(since) => format!("seen since {since}"),
        None => format!("{} back, {} ahead", duration(back), duration(ahead)),
    };
    // Who reads a chart wants the value: where there is no room for both it stands in the title's place.
    let both = title.width() + remark.width() + 7 <= usize::from(area.width);
    let (title, remark) = if cx.state.cross.is_some() && !both { (remark, String::new()) } else { (title, remark) };
    let inner = widget::panel(cx.theme, &title, &remark, false, area, buf);
    let track = signal.track.grid();
    if track.values.iter().all(Option::is_none) {
        let text = "no history yet: the line begins with the second refresh; a Prometheus source fills in the past";
        return widget::empty(cx.theme, text, inner, buf);
    }
    // What the target refused was never written: then nothing was waited for either.
    let done = |a: &Action| match a.state {
        ActionState::Applied | ActionState::Verified | ActionState::RolledBack => true,
        ActionState::Failed => a.verify_by.is_some(),
        _ => false,
    };
    let own = cx.picture.actions.iter().filter(|a| a.workload == view.workload.name && done(a));
    let arrow = cx.theme.glyphs().arrow;
    Chart {
        theme: cx.theme,
        now: cx.picture.at,
        back,
        ahead,
        pan: cx.state.pan,
        zone: &cx.state.zone,
        unit: if signal.role == Role::Progress { "%" } else { signal.unit },
        from_zero: true,
        history: Some(&track),
        second: second.as_deref(),
        forecast: over.forecast,
        limits: over.limits,
        steps: over.steps,
        marks: own.map(|a| (a.updated, format!("{}{arrow}{}", a.from, a.to))).collect(),
        cross: cx.state.cross.map(|s| cx.picture.at.plus(s)),
    }
    .draw(inner, buf);
}

/// The same time of another day, when that was asked for and found.
fn compared(cx: &Cx<'_>, view: &WorkloadView, signal: &SignalView) -> Option<Arc<Grid>> {
    let r = cx.state.recalled.as_ref().filter(|r| r.compare == cx.state.compare)?;
    let same = r.key.entity == view.workload.entity && r.key.role == signal.role;
    r.track.clone().filter(|_| same)
}

/// What the chart says where it is read: the value, else what is expected; and the same of another day.
fn read(cx: &Cx<'_>, signal: &SignalView, forecast: Option<&Forecast>, second: Option<&Grid>) -> String {
    let at = cx.picture.at.plus(cx.state.cross.unwrap_or(0.0));
    let value = |grid: &Grid| {
        let i = at.since(grid.start) / grid.step.max(1e-3);
        let known = (i >= 0.0).then(|| grid.values.get(i as usize).copied().flatten()).flatten();
        known.map(|v| printed(v, signal.unit))
    };
    let expected = forecast.and_then(|f| f.points.iter().find(|q| q.t >= at)).filter(|_| at > cx.picture.at);
    let said = match (expected, value(&signal.track.grid())) {
        (Some(q), _) => format!("p50 {}, p95 {}", printed(q.p50, signal.unit), printed(q.p95, signal.unit)),
        (None, Some(v)) => v,
        (None, None) => "not known".to_owned(),
    };
    let beside = second.and_then(value).map_or_else(String::new, |v| format!(", {} {v}", cx.state.compare.word()));
    format!("{} {}: {said}{beside}", cx.clock_seconds(at), cx.zone(at))
}

/// A value with its unit.
fn printed(value: f64, unit: &str) -> String {
    match unit {
        "s" | "bytes" | "bytes/s" => format::with_unit(value, unit),
        unit if unit.ends_with("/s") => format::rate(value),
        _ => si(value),
    }
}

/// When the first sample was taken, where that is well after the chart's left edge: a blank there is not a zero.
fn seen_since(cx: &Cx<'_>, signal: &SignalView, back: f64) -> Option<String> {
    let now = cx.picture.at;
    let at = signal.track.first()?;
    (now.since(at) < back * (1.0 - LATE)).then(|| cx.clock(at))
}
