//! Where every number of a recommendation comes from: origin, age, formula, as far as the picture knows.

use super::{
    super::{format, theme::Slot, widget::value},
    card::over,
    text::{Line, wrap},
};
use crate::{
    advise,
    forecast::profile,
    model::{
        Advice, Capacity, Forecast, PlanStep, Quality, Reading, Recommendation, SignalView, Spread, Time, WorkloadKind,
        WorkloadView, duration, si,
    },
    policy::planner::WORTH,
};

/// Seconds of samples that are summed up, and how many of the newest are told one by one.
const SPAN: f64 = 3_600.0;
const NEWEST: usize = 3;

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
    let headline = if view.headline.is_empty() { format::severity(view.severity) } else { &view.headline };
    page.coloured("severity", value::slot(view.severity), headline);
    counts(&mut page, view, now);
    slo(&mut page, view, now);
    let Advice { forecast, capacity, recommendation } = &*view.advice;
    match recommendation {
        Ok(r) => {
            recommended(&mut page, r, view, now);
            prices(&mut page, r, view);
        }
        Err(why) => {
            page.head("Recommendation");
            page.coloured("none", Slot::Unknown, why);
        }
    }
    // How many brokers there should be rests on neither: what one holds is configured, and no autoscaler adds any.
    let brokers = view.workload.entity.kind == WorkloadKind::Brokers;
    if !brokers {
        capacity_part(&mut page, capacity.as_ref(), view);
    }
    forecast_part(&mut page, forecast.as_ref(), view.signals.first());
    if let Ok(r) = recommendation
        && !brokers
    {
        rivals(&mut page, r, view);
    }
    page.head("Signals: value, how it came to be, age, origin; then the samples behind it");
    for signal in &view.signals {
        page.row(
            &format::role(view.workload.entity.kind, signal.role),
            &reading(signal.now.as_ref(), signal.unit, now),
        );
        page.coloured("", Slot::Dim, &samples(signal, now));
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
    if let Some(v) = &state.vertical {
        page.row("vertical", &format!("{}; {} old, from {}", v.vpa, format::age(now.since(v.at)), v.origin));
    }
    for notice in &state.notices {
        page.coloured("notice", Slot::Look, notice.as_str());
    }
}

fn reading(reading: Option<&Reading>, unit: &str, now: Time) -> String {
    let Some(r) = reading else { return "missing".to_owned() };
    let value = format::with_unit(r.value, unit);
    let quality = match r.quality {
        Quality::Measured => "measured",
        Quality::Estimated => "estimated",
        Quality::Partial => "partial: a lower bound",
    };
    format!("{value}, {quality}, {} old, {}", format::age(r.age(now)), r.origin)
}

/// The samples of the last hour: how many, how they spread, and the newest of them with their ages.
fn samples(signal: &SignalView, now: Time) -> String {
    let track = signal.track.grid();
    let since = now.plus(-SPAN);
    let seen = track.values.iter().enumerate().map(|(i, v)| (track.at(i), *v)).filter(|(at, _)| *at >= since);
    let known: Vec<(Time, f64)> = seen.filter_map(|(at, v)| Some((at, v?))).collect();
    if known.is_empty() {
        return format!("no sample in the last {}", duration(SPAN));
    }
    let mut sorted: Vec<f64> = known.iter().map(|(_, v)| *v).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    // A unit that is a word stands once, in the line above.
    let unit = if matches!(signal.unit, "s" | "bytes" | "bytes/s") { signal.unit } else { "" };
    let at = |share: f64| format::with_unit(sorted[(share * last as f64).round() as usize], unit);
    let newest = known.iter().rev().take(NEWEST);
    let newest: Vec<String> = newest
        .map(|(t, v)| format!("{} ({} ago)", format::with_unit(*v, unit), format::age(now.since(*t).max(0.0))))
        .collect();
    format!(
        "{} samples in {}, one each {}: lowest {}, p10 {}, median {}, p90 {}, highest {}; newest {}",
        known.len(),
        duration(SPAN),
        duration(track.step),
        at(0.0),
        at(0.1),
        at(0.5),
        at(0.9),
        at(1.0),
        newest.join(", ")
    )
}

fn slo(page: &mut Page, view: &WorkloadView, now: Time) {
    let Some(slo) = &view.slo else { return };
    let (slot, word) = match slo.is_met() {
        Some(true) => (Slot::Good, "met"),
        Some(false) => (Slot::Act, "not met"),
        None => (Slot::Unknown, "not known"),
    };
    let value = reading(slo.value.as_ref(), "s", now);
    page.coloured(
        "objective",
        slot,
        &format!("{} below {}: {word} ({value})", slo.objective.replace('_', " "), duration(slo.limit)),
    );
}

fn recommended(page: &mut Page, r: &Recommendation, view: &WorkloadView, now: Time) {
    page.head("Recommendation");
    let change = if r.is_change() {
        format!("{} to {} {}", r.current.desired, r.recommended, format::noun(view.workload.entity.kind))
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
        None => page.coloured("target", Slot::Unknown, "none is configured or found: recommendation only"),
    }
    if let Some(found) = &view.workload.found {
        let (slot, word) = if found.certain { (Slot::Text, "found by") } else { (Slot::Look, "a guess by") };
        for (i, because) in found.because.iter().enumerate() {
            page.coloured(if i == 0 { word } else { "" }, slot, because.as_str());
        }
    }
    if r.steps.len() > 1 {
        let step = |s: &PlanStep| format!("{} at {}", s.replicas, format::clock(s.at));
        let steps: Vec<String> = r.steps.iter().map(step).collect();
        page.row("steps", &format!("ask for {} UTC; made anew with every refresh", steps.join(", then ")));
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
        Some(e) => {
            let slot = if is_worse(f) { Slot::Look } else { Slot::Text };
            page.coloured("error", slot, &format!("{} of the error of repeating the last value", format::percent(e)));
            let why = used_all_the_same(f);
            if !why.is_empty() {
                page.row("", why);
            }
        }
        None => page.coloured("error", Slot::Unknown, "not known: too little history to test it"),
    }
    match f.covered {
        Some(c) => page.row(
            "coverage",
            &format!(
                "of {} past values {} came below p10, {} within p80, {} within p95",
                c.count,
                format::percent(c.under_10),
                format::percent(c.at_80),
                format::percent(c.at_95)
            ),
        ),
        None => page.coloured("coverage", Slot::Unknown, "not known: too little history to look back on"),
    }
    let unit = demand.map_or("", |s| s.unit);
    let peaks = [("median", f.peak(|q| q.p50)), ("p80", f.peak(|q| q.p80)), ("p95", f.peak(|q| q.p95))];
    for (name, peak) in peaks {
        if let Some((t, value)) = peak {
            let value = format::with_unit(value, unit);
            page.coloured(name, Slot::Forecast, &format!("peaks at {value} at {} UTC", format::clock(t)));
        }
    }
    for warning in &f.warnings {
        page.coloured("warning", Slot::Look, warning);
    }
}

/// Whether repeating the last value would have been the better forecast.
pub(super) fn is_worse(forecast: &Forecast) -> bool {
    forecast.relative_error.is_some_and(|e| e > 1.0)
}

/// Why a forecast that lost to the last value is planned on; empty where it did not.
pub(super) fn used_all_the_same(forecast: &Forecast) -> &'static str {
    match forecast.model.as_str() {
        _ if !is_worse(forecast) => "",
        profile::NAME => "used all the same: it alone knows a surge that every day has before it begins",
        _ => "",
    }
}

fn capacity_part(page: &mut Page, capacity: Option<&Capacity>, view: &WorkloadView) {
    page.head("Capacity");
    let Some(c) = capacity else {
        page.coloured("none", Slot::Unknown, "too little was seen of replicas at work");
        return;
    };
    let seen = if c.is_lower_bound() {
        "at least: none was seen saturated".to_owned()
    } else {
        let spread = (c.high - c.low) / 2.0 / c.per_replica.max(f64::MIN_POSITIVE);
        format!(
            "p10 {} to p90 {}, so ±{}, of {} saturated observations",
            si(c.low),
            si(c.high),
            format::percent(spread),
            c.samples
        )
    };
    page.row("per replica", &format!("{}/s ({seen})", si(c.per_replica)));
    let kind = view.workload.entity.kind;
    let holds = |n: u32| advise::holds(kind, &view.state, c, n);
    let mut counts: Vec<u32> = view.state.replicas.iter().map(|r| r.desired).collect();
    counts.extend(view.advice.recommendation.iter().map(|r| r.recommended));
    counts.dedup();
    for n in counts {
        let does = if c.is_lower_bound() { "tried with" } else { "hold" };
        let one = holds(1) / c.scaling.each(1) * c.scaling.each(n);
        page.row(&format!("{n} {does}"), &formula(n, holds(n), one, c));
    }
    if let Some(ceiling) = c.ceiling {
        page.coloured("ceiling", Slot::Look, &format!("all together never did more than {}/s", si(ceiling)));
    }
    if !c.scaling.is_linear() {
        let (power, of) = (c.scaling.exponent, c.scaling.of);
        let each = |n: u32| si(c.each_of(n));
        page.row(
            "scaling",
            &format!(
                "n together do as n^{power:.2}: {}/s each of {of}, {}/s each of {}",
                each(of),
                each(2 * of),
                2 * of
            ),
        );
    }
    let took = c.start_ups.map_or_else(String::new, |seen| format!(" ({})", spread(&seen)));
    page.row("start-up", &format!("{} from asking for a replica to it being ready{took}", duration(c.start_up)));
    // To the second: they come from looks that are some seconds apart.
    let [one, many, down] = [c.rebalance_one, c.rebalance, c.rebalance_down].map(|s| duration(s.ceil()));
    let added = if one == many { one } else { format!("{one} (one) to {many} (many)") };
    page.row(
        "rebalance",
        &format!("without progress for {added} when replicas are added, {down} when some are removed"),
    );
    for (how, seen) in ["added", "removed"].iter().zip(c.standstills) {
        if let Some(seen) = seen {
            page.row("", &format!("{how}: {}", spread(&seen)));
        }
    }
    for assumption in &c.assumptions {
        page.coloured("assumed", Slot::Unknown, assumption);
    }
}

/// How times that were seen are spread.
fn spread(seen: &Spread) -> String {
    let [p10, p50, p90] = [seen.p10, seen.p50, seen.p90].map(|s| duration(s.ceil()));
    format!("{} seen: p10 {p10}, p50 {p50}, p90 {p90}", seen.seen)
}

/// How what `n` replicas hold comes about: the rate, what is kept in reserve, and the one with the most to do.
fn formula(n: u32, held: f64, one: f64, c: &Capacity) -> String {
    let each = c.each_of(n);
    let (reserve, all) = (1.0 - one / each.max(f64::MIN_POSITIVE), f64::from(n) * each);
    let busiest = one / held.max(f64::MIN_POSITIVE);
    let kept =
        if reserve < 0.005 { String::new() } else { format!(", {} of it kept in reserve,", format::percent(reserve)) };
    format!(
        "{}/s: {}/s each{kept} and the busiest of {n} has {} of the work ({n} times {}/s would be {}/s)",
        si(held),
        si(each),
        format::percent(busiest),
        si(each),
        si(all)
    )
}

fn prices(page: &mut Page, r: &Recommendation, view: &WorkloadView) {
    if r.alternatives.is_empty() {
        return;
    }
    let price = &view.workload.price;
    let next = view.advice.forecast.as_ref().map_or_else(|| "horizon".to_owned(), |f| duration(f.horizon()));
    let span = match view.workload.entity.kind {
        WorkloadKind::Batch => "until what waits now is done".to_owned(),
        _ => format!("of the next {next}"),
    };
    page.head(&format!("Price {span}, {}, by the count that is asked for now", format::price_unit(price)));
    page.row("", "the recommended count as its plan goes on, any other as kept");
    let group = view.workload.entity.kind == WorkloadKind::ConsumerGroup;
    let worth = if group { format!(", each {WORTH} times") } else { String::new() };
    page.row(
        "formula",
        &format!(
            "pod-hours x {} + minutes over the objective x min(10, value / objective) x {} + changes x {}{worth}",
            price.pod_hour, price.slo_minute, price.action
        ),
    );
    let chosen = r.price_of(r.recommended);
    for a in &r.alternatives {
        let mark = match a.replicas {
            n if n == r.recommended => ", recommended",
            n if n == r.current.desired => ", as it is now",
            _ => "",
        };
        let other = chosen.filter(|c| c.replicas != a.replicas);
        let more = other.map_or_else(String::new, |c| format!(", {:+.1}", a.price - c.price));
        let words = format!("{}{more} ({}){mark}", format::price(a.price), over(a));
        page.row(&a.replicas.to_string(), &words);
    }
}

fn rivals(page: &mut Page, r: &Recommendation, view: &WorkloadView) {
    page.head("What other rules would do on the same data");
    let own = |there: bool, kind: &str| {
        if there { format!("the {kind} that is on it") } else { format!("no {kind} is on it: one with usual settings") }
    };
    let (state, cpu) = (&view.state, "up above 80% CPU or over the objective, down below 30% for 5 min");
    for (name, count, how) in [
        ("HPA v2", r.others.hpa, own(format::has_hpa(state), "HPA")),
        ("KEDA Kafka", r.others.keda, own(format::has_keda(state), "ScaledObject")),
        ("CPU rule", r.others.threshold, cpu.to_owned()),
    ] {
        match count {
            Some(n) => page.coloured(name, Slot::Rival, &format!("{n} ({how})")),
            None => page.coloured(name, Slot::Dim, "has not the data it needs"),
        }
    }
}
