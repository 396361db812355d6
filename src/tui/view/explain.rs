//! Where every number of a recommendation comes from: origin, age, formula, as far as the picture knows.

use super::{
    super::{format, theme::Slot, widget::value},
    text::{Line, wrap},
};
use crate::model::{
    Advice, Capacity, Forecast, Quality, Reading, Recommendation, SignalView, Time, WorkloadView, duration, si,
};

/// Columns of the label before each line.
const LABEL: usize = 14;

/// A text that grows line by line.
struct Page {
    lines: Vec<Line>,
    columns: usize,
}

impl Page {
    fn head(&mut self, title: &str) {
        if !self.lines.is_empty() {
            self.lines.push(Line::new());
        }
        self.lines.push(vec![(Slot::Title, title.to_owned())]);
    }

    fn row(&mut self, label: &str, text: &str) {
        self.coloured(label, Slot::Text, text);
    }

    fn coloured(&mut self, label: &str, slot: Slot, text: &str) {
        self.lines.extend(wrap(&format!("  {label:<LABEL$}"), slot, text, self.columns));
    }
}

/// The lines of the explanation of one workload.
pub(super) fn lines(view: &WorkloadView, now: Time, columns: usize) -> Vec<Line> {
    let mut page = Page { lines: Vec::new(), columns };
    page.head("State");
    page.coloured("severity", value::slot(view.severity), &view.headline);
    counts(&mut page, view, now);
    page.head("Signals: value, how it came to be, age, origin");
    for signal in &view.signals {
        page.row(signal.role.name(), &reading(signal.now.as_ref(), signal.unit, now));
    }
    slo(&mut page, view, now);
    let Advice { forecast, capacity, recommendation } = &*view.advice;
    match recommendation {
        Ok(r) => recommended(&mut page, r, now),
        Err(why) => {
            page.head("Recommendation");
            page.coloured("none", Slot::Unknown, why);
        }
    }
    forecast_part(&mut page, forecast.as_ref(), view.signals.first());
    capacity_part(&mut page, capacity.as_ref(), recommendation.as_ref().ok().map(|r| &**r));
    if let Ok(r) = recommendation {
        prices(&mut page, r, view);
    }
    page.lines
}

fn counts(page: &mut Page, view: &WorkloadView, now: Time) {
    let state = &view.state;
    match &state.replicas {
        Some(r) => page.row(
            "replicas",
            &format!(
                "{} asked for, {} ready; {} old, from {}",
                r.desired,
                r.ready,
                format::age(now.since(r.at)),
                r.origin
            ),
        ),
        None => page.coloured("replicas", Slot::Unknown, "not known"),
    }
    if let Some((at, from)) = state.last_change {
        page.row("last change", &format!("from {from}, {} ago", format::age(now.since(at))));
    }
    if state.data_age.is_finite() {
        let (covered, old) = (format::percent(state.coverage), duration(state.data_age));
        let slot = if state.coverage < 1.0 || state.is_stale() { Slot::Unknown } else { Slot::Text };
        let limit = duration(state.stale_after);
        page.coloured("inputs", slot, &format!("{covered} known, the oldest {old} old (stale after {limit})"));
    } else {
        page.coloured("inputs", Slot::Unknown, "nothing is known yet");
    }
    for notice in &state.notices {
        page.coloured("notice", Slot::Look, notice.as_str());
    }
}

fn reading(reading: Option<&Reading>, unit: &str, now: Time) -> String {
    let Some(r) = reading else { return "missing".to_owned() };
    let value = if unit == "s" { duration(r.value) } else { format!("{} {unit}", si(r.value)) };
    let quality = match r.quality {
        Quality::Measured => "measured",
        Quality::Estimated => "estimated",
        Quality::Partial => "partial: a lower bound",
    };
    format!("{}, {quality}, {} old, {}", value.trim_end(), format::age(r.age(now)), r.origin)
}

fn slo(page: &mut Page, view: &WorkloadView, now: Time) {
    let Some(slo) = &view.slo else { return };
    let (slot, word) = match slo.is_met() {
        Some(true) => (Slot::Good, "met"),
        Some(false) => (Slot::Act, "not met"),
        None => (Slot::Unknown, "not known"),
    };
    let value = reading(slo.value.as_ref(), "s", now);
    page.coloured("objective", slot, &format!("{} below {}: {word} ({value})", slo.objective, duration(slo.limit)));
}

fn recommended(page: &mut Page, r: &Recommendation, now: Time) {
    page.head("Recommendation");
    let change = if r.is_change() {
        format!("{} to {} replicas", r.current.desired, r.recommended)
    } else {
        format!("stay at {}", r.recommended)
    };
    page.row("count", &format!("{change}; allowed {} to {}", r.limits.min, r.limits.max));
    if r.wanted != r.recommended {
        page.row("wanted", &format!("{} before limits, partitions and step limits", r.wanted));
    }
    let left = r.expires.since(now);
    let expiry = if left > 0.0 { format!("expires in {}", format::countdown(left)) } else { "expired".to_owned() };
    page.row("plan", &format!("{}, made at {} UTC, {expiry}", r.plan_hash, format::clock_seconds(r.at)));
    match &r.target {
        Some(target) => page.row("target", &target.to_string()),
        None => page.coloured("target", Slot::Unknown, "none is configured: recommendation only"),
    }
    for (i, reason) in r.reasons.iter().enumerate() {
        page.row(if i == 0 { "because" } else { "" }, reason);
    }
    for blocked in &r.blocked_by {
        let until = blocked.until.map(|t| format!(" (until {} UTC)", format::clock_seconds(t))).unwrap_or_default();
        page.coloured("held back by", Slot::Look, &format!("{}: {}{until}", blocked.guard, blocked.detail));
    }
}

fn forecast_part(page: &mut Page, forecast: Option<&Forecast>, demand: Option<&SignalView>) {
    page.head("Forecast");
    let Some(f) = forecast else {
        page.coloured("none", Slot::Unknown, "no demand series yet, or too little of it");
        return;
    };
    let members: Vec<String> = f.weights.iter().map(|(name, w)| format!("{name} {}", format::percent(*w))).collect();
    let made = format!(
        "{} at {} UTC, {} ahead in steps of {}",
        f.model,
        format::clock_seconds(f.at),
        duration(f.horizon()),
        duration(f.step)
    );
    page.row("model", &made);
    page.row("weights", &format!("by rolling backtest: {}", members.join(", ")));
    match f.relative_error {
        Some(e) => page.row("error", &format!("{} of the error of repeating the last value", format::percent(e))),
        None => page.coloured("error", Slot::Unknown, "not known: too little history to test it"),
    }
    let unit = demand.map_or("", |s| s.unit);
    let peaks = [("median", f.peak(|q| q.p50)), ("p80", f.peak(|q| q.p80)), ("p95", f.peak(|q| q.p95))];
    for (name, peak) in peaks {
        if let Some((t, value)) = peak {
            page.coloured(name, Slot::Forecast, &format!("peaks at {} {unit} at {} UTC", si(value), format::clock(t)));
        }
    }
    for warning in &f.warnings {
        page.coloured("warning", Slot::Look, warning);
    }
}

fn capacity_part(page: &mut Page, capacity: Option<&Capacity>, r: Option<&Recommendation>) {
    page.head("Capacity");
    let Some(c) = capacity else {
        page.coloured("none", Slot::Unknown, "too little was seen of replicas at work");
        return;
    };
    let seen = if c.samples == 0 {
        "at least: none was seen saturated".to_owned()
    } else {
        format!("{} to {}, {} saturated observations", si(c.low), si(c.high), c.samples)
    };
    page.row("per replica", &format!("{}/s ({seen})", si(c.per_replica)));
    if let Some(r) = r {
        for n in [r.current.desired, r.recommended] {
            let (each, all) = (si(c.per_replica), si(f64::from(n) * c.per_replica));
            page.row(&format!("at {n}"), &format!("{n} times {each}/s is {all}/s"));
        }
    }
    page.row("start-up", &format!("{} from asking for a replica to it being ready", duration(c.start_up)));
    page.row("rebalance", &format!("{} without progress when the count changes", duration(c.rebalance)));
    for assumption in &c.assumptions {
        page.coloured("assumed", Slot::Unknown, assumption);
    }
}

fn prices(page: &mut Page, r: &Recommendation, view: &WorkloadView) {
    rivals(page, r);
    if r.alternatives.is_empty() {
        return;
    }
    page.head("Price over the horizon");
    let price = &view.workload.price;
    page.row(
        "formula",
        &format!(
            "pod-hours x {} + minutes over the objective x min(10, value / objective) x {} + changes x {}",
            price.pod_hour, price.slo_minute, price.action
        ),
    );
    for a in &r.alternatives {
        let mark = match a.replicas {
            n if n == r.recommended => ", recommended",
            n if n == r.current.desired => ", as it is now",
            _ => "",
        };
        let minutes = si(a.slo_minutes);
        page.row(
            &format!("{}", a.replicas),
            &format!("{} ({minutes} min over the objective){mark}", format::price(a.price)),
        );
    }
}

fn rivals(page: &mut Page, r: &Recommendation) {
    page.head("What other rules would do on the same data");
    for (name, count) in [("HPA v2", r.others.hpa), ("KEDA Kafka", r.others.keda), ("thresholds", r.others.threshold)] {
        match count {
            Some(n) => page.coloured(name, Slot::Rival, &n.to_string()),
            None => page.coloured(name, Slot::Dim, "has not the data it needs"),
        }
    }
}
