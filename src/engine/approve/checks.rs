//! What stands against a change before any server is asked: guards, bounds, limits, freeze, ledger, clock. Each is a
//! sentence with the mend. Pure, but for the one look at the freeze file.

use super::book::Book;
use crate::{
    act::Plan,
    guard,
    ledger::SET_BACK,
    model::{
        Action, ActionState, Advice, Forecast, Found, Label, LimitSettings, PlanHash, Recommendation, Time, WhenLost,
        WorkloadView, duration, si,
    },
};
use std::cmp::Ordering;

/// A target whose changes were taken back this often within [`BENCH_SPAN`] is left alone for [`BENCH`]: two controllers
/// that fight over one count do more harm than either alone.
pub(super) const BENCH_AFTER: usize = 2;
const BENCH_SPAN: f64 = 24.0 * 3600.0;
const BENCH: f64 = 3600.0;

/// A change and what it is judged by.
pub(super) struct Case<'a> {
    pub(super) view: &'a WorkloadView,
    pub(super) action: &'a Action,
    pub(super) book: &'a Book,
    pub(super) limits: &'a LimitSettings,
    /// What holds while the shared ledger is lost.
    pub(super) lost: WhenLost,
    /// What speaks for the target, where it is a guess that nobody has confirmed.
    pub(super) guess: Option<&'a Found>,
    /// By how many seconds the machine's clock was set back.
    pub(super) behind: Option<f64>,
    pub(super) now: Time,
}

impl Case<'_> {
    fn advice(&self) -> Option<&Recommendation> {
        self.view.advice.recommendation.as_ref().ok().map(|r| &**r)
    }

    fn undoes(&self) -> bool {
        self.action.terms.undoes.is_some()
    }

    /// Everything that stands against it.
    pub(super) fn refused(&self) -> Vec<Label> {
        let mut against = Vec::new();
        if !self.undoes() {
            self.guards(&mut against);
        }
        self.count(&mut against);
        self.target(&mut against);
        self.limits(&mut against);
        self.time(&mut against);
        against.iter().map(|s| Label::new(s)).collect()
    }

    /// What holds new changes back. Taking a change back waits for none of it: it goes to a count that is known to have
    /// worked, and who asks for it has seen what the guards have not.
    fn guards(&self, against: &mut Vec<String>) {
        match &self.view.advice.recommendation {
            Ok(r) => against.extend(r.blocked_by.iter().map(|b| format!("{}: {}", b.guard, b.detail))),
            Err(why) => against.push(format!("there is no recommendation any more: {why}")),
        }
        let Action { from, to, .. } = self.action;
        let (least, most) = guard::steps(&self.view.workload, &self.view.state, *from);
        if to < &least || to > &most {
            against.push(format!(
                "{from} to {to} is too far at once: {least} to {most} is allowed (max_step_up, max_step_down of its guard)"
            ));
        }
    }

    fn count(&self, against: &mut Vec<String>) {
        let Action { from, to, .. } = self.action;
        let bounds = self.advice().map_or(self.view.workload.limits, |r| r.limits);
        // What only keeps a count writes something else.
        if to == from && self.action.terms.lever.is_none() {
            against.push(format!("the count is {from} already"));
        }
        if *to < bounds.min || *to > bounds.max {
            against.push(format!(
                "{to} is outside of {} to {}: change replicas of its [[workload]]",
                bounds.min, bounds.max
            ));
        }
        // The limits of the configuration win over the partitions, as they do in the recommendation.
        let idle = |p: &u32| to > p && to > from && *p > 0 && *to > bounds.min;
        if let Some(partitions) = self.view.state.partitions.filter(idle) {
            against.push(format!("{to} consumers on {partitions} partitions: {} would idle", to - partitions));
        }
    }

    fn target(&self, against: &mut Vec<String>) {
        let Action { id, target, .. } = self.action;
        let link = self.book.link();
        if let Some(found) = self.guess {
            against.push(format!(
                "that {} runs on {target} is a guess ({}): confirm that first",
                self.view.workload.name,
                found.why()
            ));
        }
        // A way back was agreed to together with the change that it takes back.
        if self.view.workload.guard.protected && !self.action.is_put_back() {
            let why = match &link {
                Some(Ok(())) => None,
                Some(Err(why)) => Some(why.to_string()),
                None => Some("this ledger is shared with nobody: set [ledger] kafka".to_owned()),
            };
            against.extend(why.map(|why| format!("protected: a second person must approve, and {why}")));
        } else if let (Some(Err(why)), WhenLost::Refuse) = (&link, self.lost) {
            against.push(format!("{why}; [ledger] lost = \"refuse\""));
        }
        let health = self.book.health();
        if !health.writable {
            against.push(format!("the ledger cannot be written: {}", health.detail));
        }
        let undone = self.action.terms.undoes.as_ref();
        let waits = |a: &Action| waits_to_put_back(a) || self.book.waits_elsewhere(a);
        let busy = |a: &&Action| a.target == *target && a.id != *id && Some(&a.id) != undone && !waits(a);
        if let Some(other) = self.book.under_way().find(busy) {
            let (since, state) = (other.updated, other.state.name());
            against.push(match other.terms.begin_at {
                Some(at) if other.state == ActionState::Approved => {
                    format!("{} → {} on this target is approved for {at}: cancel it first", other.from, other.to)
                }
                _ => format!("{} → {} on this target is {state} since {since}", other.from, other.to),
            });
        }
        let reverts = self.book.reverts(target, self.now.plus(-BENCH_SPAN));
        if let (true, Some((by, last))) = (reverts.len() >= BENCH_AFTER, reverts.last())
            && self.now < last.plus(BENCH)
        {
            against.push(format!(
                "benched until {}: {} changes were taken back, the last by {by}; find out who owns this count",
                last.plus(BENCH),
                reverts.len()
            ));
        }
    }

    fn limits(&self, against: &mut Vec<String>) {
        let limits = self.limits;
        let in_flight = self.book.in_flight().filter(|a| a.id != self.action.id).count();
        if in_flight >= limits.in_flight as usize {
            against.push(format!("{in_flight} actions are under way, [limits] in_flight allows {}", limits.in_flight));
        }
        let begun = self.book.begun_since(self.now.plus(-3600.0));
        if begun >= limits.actions_per_hour as usize {
            against.push(format!(
                "{begun} actions in the last hour, [limits] actions_per_hour allows {}",
                limits.actions_per_hour
            ));
        }
    }

    fn time(&self, against: &mut Vec<String>) {
        let limits = self.limits;
        if let Some(file) = limits.freeze_file.as_ref().filter(|f| f.try_exists().unwrap_or(true)) {
            against.push(format!("frozen: {} exists; remove it when the freeze is over", file.display()));
        }
        if let Some(span) = limits.freeze.iter().find(|s| s.contains(self.now, &limits.zone)) {
            against.push(format!("frozen: {span} is in [limits] freeze"));
        }
        if !limits.change.is_empty() && !limits.change.iter().any(|s| s.contains(self.now, &limits.zone)) {
            let spans: Vec<String> = limits.change.iter().map(ToString::to_string).collect();
            against.push(format!("outside of the hours for changes: [limits] change allows {}", spans.join("; ")));
        }
        if let Some(behind) = self.behind.filter(|b| *b > SET_BACK) {
            against.push(format!(
                "the machine's clock is {} behind what was recorded: it was set back; nothing is applied until it is \
                 right or has caught up (if it was ahead before: start again, or move the ledger away to begin another)",
                duration(behind)
            ));
        }
    }
}

fn waits_to_put_back(action: &Action) -> bool {
    action.state == ActionState::Approved && action.is_put_back()
}

/// What changed since the dialog was opened.
pub(super) fn still_so(view: &WorkloadView, action: &Action) -> Vec<Label> {
    let mut against = Vec::new();
    let undoes = action.terms.undoes.is_some();
    if view.state.is_stale() && !undoes {
        against.push(Label::new("the data went stale since it was looked at"));
    }
    if view.state.coverage < 1.0 && !undoes {
        against.push(Label::new("part of the data went missing since it was looked at"));
    }
    if let Some(r) = &view.state.replicas {
        // After our own write the sources may be a refresh behind; the target itself is asked right before the write.
        if r.desired != action.from && !undoes {
            against.push(Label::new(&format!("the count is {} now, not {}", r.desired, action.from)));
        }
        if r.uid.is_some() && action.uid.is_some() && r.uid != action.uid {
            against.push(Label::new("the object was deleted and made again"));
        }
    }
    against
}

/// A request as the ledger keeps it: whole if it is short, else its beginning and a hash of all of it.
pub(super) fn in_one_line(request: &[Label]) -> Label {
    const LONGEST: usize = 200;
    let lines: Vec<&str> = request.iter().map(Label::as_str).collect();
    let text = lines.join(" · ");
    if text.chars().count() <= LONGEST {
        return Label::new(&text);
    }
    let begins: String = text.chars().take(LONGEST).collect();
    Label::new(&format!("{begins}… (hash of all {})", PlanHash::of(&lines)))
}

/// Whether what would be sent is still what was shown, word for word. A way back is written down before its request is
/// known.
pub(super) fn same_request(action: &Action, plan: &Plan) -> Option<Label> {
    let changed = !action.is_put_back() && !plan.request.is_empty() && in_one_line(&plan.request) != action.request;
    changed.then(|| Label::new("the request would be another one than was shown: look again"))
}

/// Whether an approval for later is still what the newest recommendation would say: the same direction. The exact count
/// may well differ by one from what it was; which way to go may not.
pub(super) fn still_wanted(view: &WorkloadView, action: &Action) -> Option<Label> {
    let Ok(r) = &view.advice.recommendation else { return None }; // the guards say that there is none
    // Who keeps a count does so because more are wanted.
    let (wants, asked) = (r.recommended.cmp(&r.current.desired), action.to.cmp(&action.from).then(Ordering::Greater));
    let changed = wants != asked;
    changed.then(|| Label::new(&format!("{} is recommended now instead of {}", r.recommended, action.to)))
}

/// One line of what the decision rests on: signals, forecast, model, capacity, prices.
pub(super) fn evidence(advice: &Recommendation, rests_on: &Advice, to: u32) -> Label {
    let capacity = advice.capacity.as_ref().map_or_else(
        || "capacity unknown".to_owned(),
        |c| format!("{}/s per replica from {} observations", si(c.per_replica), c.samples),
    );
    let price = |n: u32| advice.price_of(n).map_or_else(|| "?".to_owned(), |a| format!("{:.2}", a.price));
    let from = advice.current.desired;
    Label::new(&format!(
        "{}; {}; {capacity}; {from} costs {}, {to} costs {}; coverage {:.0} %",
        advice.reasons.first().map_or("", String::as_str),
        rests_on.forecast.as_ref().map_or_else(|| "no forecast".to_owned(), forecast),
        price(from),
        price(to),
        advice.coverage * 100.0
    ))
}

fn forecast(f: &Forecast) -> String {
    let peak = |q: fn(&crate::model::Quantiles) -> f64| f.peak(q).map_or_else(|| "?".to_owned(), |(_, v)| si(v));
    let best =
        f.weights.first().map_or_else(String::new, |(name, weight)| format!(" ({name} {:.0} %)", weight * 100.0));
    format!("{}{best}: p50 {}, p80 {} within {}", f.model, peak(|q| q.p50), peak(|q| q.p80), duration(f.horizon()))
}
