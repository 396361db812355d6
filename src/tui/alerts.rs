//! What is wrong, worst first, each with its mend and the place where it is seen: gathered from the whole picture.

use super::{
    format,
    id::Id,
    state::{Pane, View},
};
use crate::advise;
use crate::model::{
    Action, ActionState, Alert, Gpu, Health, KafkaCluster, Label, Mode, Picture, PlanStep, Reading, Recommendation,
    Severity, SourceKind, SourceStatus, Subject, Time, Training, WorkloadKind, WorkloadView,
};
use std::borrow::Cow;

/// Seconds that a failed action is worth an alert.
const RECENT: f64 = 3_600.0;

/// One thing that is wrong, in words.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What is wrong, with numbers.
    pub text: String,
    /// What to do about it.
    pub mend: String,
    /// From which numbers and requests it follows, where that is not plain.
    pub evidence: String,
    /// Since when, where that is known.
    pub since: Option<Time>,
}

/// One thing that is wrong: what its place in the list needs. Thousands are found in every frame, a screenful is put into
/// words ([`Spot::trouble`]).
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    /// How bad.
    pub severity: Severity,
    of: Of<'a>,
}

/// What it is about.
#[derive(Clone, Copy, Debug)]
enum Of<'a> {
    Source(&'a SourceStatus),
    Ledger,
    Action(&'a Action),
    /// What a rule found on a cluster.
    Rule(&'a KafkaCluster, &'a Alert),
    /// What the cluster's reader has to say, and which of those it is.
    Reader(&'a KafkaCluster, &'a Label, i32),
    Gpu(&'a Label, &'a Gpu, &'a Reading),
    /// What the course of a training run of a source shows.
    Run(&'a Label, &'a Training, &'a Alert),
    State(&'a WorkloadView),
    Notice(&'a WorkloadView, &'a Label, i32),
}

/// Where something is seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// On a workload's own page.
    Workload(Label),
    /// In a row of a table.
    Row(View, Pane, Label),
    /// Nowhere else.
    Here,
}

/// The word of a severity in a list of alerts.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Act => "CRITICAL",
        Severity::Look => "WARNING",
        Severity::Unknown => "UNKNOWN",
        Severity::Ok => "NOTICE",
    }
}

/// Everything that is wrong in a picture, worst first.
pub fn alerts(picture: &Picture) -> Vec<Spot<'_>> {
    let mut all = Vec::with_capacity(picture.workloads.len());
    all.extend(watched(picture));
    all.extend(found(picture));
    all.extend(workloads(picture));
    // Within a severity the order above; of warnings first what wants more replicas, last what would do with fewer.
    let of = |severity, turn| all.iter().filter(move |s| s.severity == severity && s.turn() == turn).copied();
    let warnings = [-1, 0, 1].map(|turn| (Severity::Look, turn));
    let all_of = [(Severity::Act, 0)].into_iter().chain(warnings).chain([(Severity::Unknown, 0), (Severity::Ok, 0)]);
    all_of.flat_map(|(severity, turn)| of(severity, turn)).collect()
}

/// What no rule has to find: what sources and their readers say, the ledger, actions.
fn watched(picture: &Picture) -> Vec<Spot<'_>> {
    let mut all = Vec::new();
    let mut add = |severity, of| all.push(Spot { severity, of });
    for source in &picture.sources {
        let severity = match source.health {
            Health::Down => Severity::Act,
            Health::Degraded => Severity::Look,
            Health::Ok if source.is_stale(picture.at) => Severity::Unknown,
            Health::Ok | Health::Connecting => continue,
        };
        add(severity, Of::Source(source));
    }
    if picture.mode == Mode::Operate && !picture.ledger.writable {
        add(Severity::Act, Of::Ledger);
    }
    for action in picture.actions.iter() {
        match action.state {
            ActionState::Unknown => add(Severity::Act, Of::Action(action)),
            ActionState::Failed if picture.at.since(action.updated) < RECENT => add(Severity::Look, Of::Action(action)),
            _ => {}
        }
    }
    for cluster in &picture.clusters {
        (0..).zip(&cluster.notices).for_each(|(i, n)| add(Severity::Look, Of::Reader(cluster, n, i)));
    }
    all
}

/// What rules found on clusters, GPUs and training runs: no workload's state tells it.
pub fn found(picture: &Picture) -> Vec<Spot<'_>> {
    let mut all = Vec::new();
    let mut add = |severity, of| all.push(Spot { severity, of });
    for cluster in &picture.clusters {
        cluster.alerts.iter().for_each(|alert| add(alert.severity, Of::Rule(cluster, alert)));
    }
    for (source, gpu) in picture.ml.iter().flat_map(|m| m.gpus.iter().map(move |g| (&m.source, g))) {
        if let Some(xid) = gpu.xid.as_ref().filter(|x| x.value > 0.0) {
            add(Severity::Act, Of::Gpu(source, gpu, xid));
        }
    }
    for (source, run) in picture.ml.iter().flat_map(|m| m.trainings.iter().map(move |t| (&m.source, t))) {
        run.course.alerts.iter().for_each(|alert| add(alert.severity, Of::Run(source, run, alert)));
    }
    all
}

fn workloads(picture: &Picture) -> Vec<Spot<'_>> {
    let mut all = Vec::new();
    let mut add = |severity, of| all.push(Spot { severity, of });
    for view in picture.workloads.iter().filter(|w| w.snoozed.is_none_or(|t| t <= picture.at)) {
        let notices = &view.state.notices;
        if matches!(view.severity, Severity::Act | Severity::Unknown)
            || (view.severity == Severity::Look && !notices.iter().any(|n| n == view.headline.as_str()))
        {
            add(view.severity, Of::State(view));
        }
        (0..).zip(notices).for_each(|(i, n)| add(Severity::Look, Of::Notice(view, n, i)));
    }
    all
}

impl<'a> Spot<'a> {
    /// What the cursor holds; the same thing keeps its id from refresh to refresh.
    pub fn id(&self) -> Id<'a> {
        match self.of {
            Of::Source(source) => Id::new(["source", source.kind.name(), source.name.as_str()]),
            Of::Ledger => Id::new(["ledger"]),
            Of::Action(action) => Id::new(["action", action.id.0.as_str()]),
            Of::Rule(cluster, alert) => {
                let subject = Cow::Owned(alert.subject.to_string());
                Id::new([Cow::Borrowed("kafka"), cluster.name.as_str().into(), alert.rule.into(), subject])
            }
            Of::Reader(cluster, _, i) => Id::new(["cluster", cluster.name.as_str()]).numbered(i),
            Of::Gpu(source, gpu, _) => Id::new(["gpu", source.as_str(), gpu.host.as_str(), gpu.gpu.as_str()]),
            Of::Run(source, run, alert) => Id::new(["training", source.as_str(), run.name.as_str(), alert.rule]),
            Of::State(view) => Id::new(["workload", view.workload.name.as_str(), "state"]),
            Of::Notice(view, _, i) => Id::new(["workload", view.workload.name.as_str()]).numbered(i),
        }
    }

    /// Among warnings: -1 for a workload that needs more, now or soon, and may have it; 1 for one that would do with fewer.
    fn turn(&self) -> i8 {
        let open = self.state().filter(|v| v.severity == Severity::Look && v.action.is_none());
        match open.map(|v| (&v.advice.recommendation, v.state.at)) {
            Some((Ok(r), _)) if r.is_change() && r.recommended < r.current.desired => 1,
            Some((Ok(r), at)) if r.blocked_by.is_empty() && (r.is_change() || r.more_later(at).is_some()) => -1,
            _ => 0,
        }
    }

    /// The workload whose state it is.
    pub fn state(&self) -> Option<&'a WorkloadView> {
        if let Of::State(view) = self.of { Some(view) } else { None }
    }

    /// What it is about: `fraud-scorer`, `kafka prod`.
    pub fn subject(&self) -> Cow<'a, str> {
        match self.of {
            Of::Source(source) => format::source(source).into(),
            Of::Ledger => "ledger".into(),
            Of::Action(action) => action.workload.as_str().into(),
            Of::Rule(_, alert) if alert.subject != Subject::Cluster => alert.subject.to_string().into(),
            Of::Run(_, _, alert) => alert.subject.to_string().into(),
            Of::Rule(cluster, _) | Of::Reader(cluster, ..) => SourceKind::Kafka.named(cluster.name.as_str()).into(),
            Of::Gpu(_, gpu, _) => format!("{} GPU {}", gpu.host, gpu.gpu).into(),
            Of::State(view) | Of::Notice(view, ..) => view.workload.name.as_str().into(),
        }
    }

    /// Where it is seen.
    pub fn place(&self) -> Place {
        let row = |view, pane, id: Id<'_>| Place::Row(view, pane, id.label());
        match self.of {
            Of::Source(_) | Of::Ledger | Of::Reader(..) => Place::Here,
            Of::Action(action) => row(View::Actions, Pane::Actions, Id::new([action.id.0.as_str()])),
            Of::Rule(cluster, alert) => {
                let name = cluster.name.as_str();
                match &alert.subject {
                    Subject::Cluster | Subject::Run(_) => Place::Here,
                    Subject::Broker(broker) => row(View::Kafka, Pane::Brokers, Id::new([name]).numbered(*broker)),
                    Subject::Topic(topic) => row(View::Kafka, Pane::Topics, Id::new([name, topic.as_str()])),
                    Subject::Group(group) | Subject::GroupPartition { group, .. } => {
                        row(View::Kafka, Pane::Groups, Id::new([name, group.as_str()]))
                    }
                }
            }
            Of::Gpu(source, gpu, _) => {
                row(View::Ml, Pane::Gpus, Id::new([source.as_str(), gpu.host.as_str(), gpu.gpu.as_str()]))
            }
            Of::Run(source, run, _) => row(View::Ml, Pane::Trainings, Id::new([source.as_str(), run.name.as_str()])),
            Of::State(view) | Of::Notice(view, ..) => Place::Workload(view.workload.name.clone()),
        }
    }

    /// In words, of the picture that it was found in.
    pub fn trouble(&self, picture: &Picture) -> Trouble {
        let plain = |text: String, mend: String| Trouble { text, mend, evidence: String::new(), since: None };
        match self.of {
            Of::Source(source) => {
                let words = match source.health {
                    Health::Down => "does not answer",
                    Health::Degraded => "answers in part",
                    Health::Ok | Health::Connecting => "has gone silent",
                };
                let mend = "`highwater check` tries every step of it and names the mend; until then its values are old";
                let text = format!("{words}: {}", source.detail);
                Trouble { since: Some(source.since), ..plain(text, mend.into()) }
            }
            Of::Ledger => plain(
                format!("cannot be written: {}", picture.ledger.detail),
                "nothing can be approved until decisions can be recorded".into(),
            ),
            Of::Action(action) => {
                let mend = match action.state {
                    ActionState::Unknown => {
                        "its outcome is being observed: do not repeat it by hand; where its target tells nothing, x on the \
                         actions page gives up"
                    }
                    _ if action.is_in_place() => "open it to see the request and the answer; undo is U",
                    _ => "open it to see the request and the answer",
                };
                let text = format!("{} to {} {}: {}", action.from, action.to, action.state.name(), action.reason);
                let evidence = action.evidence.to_string();
                Trouble { evidence, since: Some(action.updated), ..plain(text, mend.into()) }
            }
            Of::Rule(_, alert) | Of::Run(_, _, alert) => Trouble {
                text: alert.sentence.to_string(),
                mend: alert.mend.to_string(),
                evidence: alert.evidence.to_string(),
                since: Some(alert.since),
            },
            Of::Reader(_, notice, _) => plain(notice.to_string(), String::new()),
            Of::Gpu(_, gpu, xid) => {
                let held = gpu.pod.as_ref().map_or(String::new(), |pod| format!(", held by {pod}"));
                let text = format!("hardware error XID {:.0}{held}", xid.value);
                let mend = "drain the node; NVIDIA's XID catalogue says whether a reset is enough";
                let evidence = xid.origin.to_string();
                Trouble { evidence, since: Some(xid.at), ..plain(text, mend.into()) }
            }
            Of::State(view) => plain(view.headline.clone(), mend(view, picture)),
            Of::Notice(_, notice, _) => plain(notice.to_string(), "e explains what it rests on".into()),
        }
    }
}

/// What to do about a workload's state: the recommendation, or what stands in its way.
fn mend(view: &WorkloadView, picture: &Picture) -> String {
    if let Some(action) = &view.action {
        return format!("{} to {} is {}: wait for it", action.from, action.to, action.state.name());
    }
    match &view.advice.recommendation {
        Err(why) => format!("no advice: {why}"),
        // The present count is kept, which says nothing about what it needs.
        Ok(r) if view.severity == Severity::Unknown => {
            let why = r.blocked_by.first().map_or("held until its data are known", |b| b.detail.as_str());
            format!("no advice: {why}")
        }
        // What is later than the look at it, as its headline says, though the picture may be a moment younger.
        Ok(r) if !r.is_change() => match (r.blocked_by.first(), r.more_later(view.state.at)) {
            (Some(b), _) => format!("kept at {} replicas by {}: {}", r.recommended, b.guard, b.detail),
            (None, Some(step)) => more_later(step, r.target.is_some(), picture.mode),
            (None, None) => kept(view, r),
        },
        // To take some away is no answer to what is wrong.
        Ok(r) if view.severity == Severity::Act && r.recommended < r.current.desired => {
            format!("more replicas would not help: {}; {} would do", look(view), r.recommended)
        }
        // Its reason says what must be moved; there is nothing to approve.
        Ok(r) if view.workload.entity.kind == WorkloadKind::Brokers => r.reasons.first().cloned().unwrap_or_default(),
        Ok(r) => {
            let change = format!("{} to {} replicas", r.current.desired, r.recommended);
            match (r.blocked_by.first(), &r.target) {
                (Some(b), _) => format!("{change}, held back by {}: {}", b.guard, b.detail),
                (None, None) => format!("{change} by hand: no target is configured for it"),
                (None, Some(_)) if picture.mode == Mode::Watch => format!("{change}, in `highwater operate`"),
                (None, Some(_)) => format!("{change}: a approves"),
            }
        }
    }
}

/// Where no other count is asked for: what keeps it from more, or that more is not what it needs.
fn kept(view: &WorkloadView, r: &Recommendation) -> String {
    let (has, look) = (r.current.desired, look(view));
    match view.state.partitions.filter(|n| *n > 0 && has >= *n) {
        _ if view.severity < Severity::Act => format!("{has} replicas are what it needs: {look}"),
        _ if has >= r.limits.max => format!("max = {has} allows no more replicas: raise it, or {look}"),
        Some(n) => format!("more replicas than its {n} partitions would idle: {look}"),
        None => format!("{has} replicas are what it needs: {look}"),
    }
}

/// What the plan asks for at a time that is not come.
fn more_later(step: &PlanStep, has_target: bool, mode: Mode) -> String {
    let (count, at) = (step.replicas, format::clock(step.at));
    match (has_target, mode) {
        (false, _) => format!("{count} replicas at {at} UTC by hand: no target is configured for it"),
        (true, Mode::Watch) => format!("{count} replicas come up for approval at {at} UTC, in `highwater operate`"),
        (true, Mode::Operate) => format!("{count} replicas come up for approval at {at} UTC; c asks for them now"),
    }
}

/// Where to look when it is not the count: what was found about its group, else what is slow.
fn look(view: &WorkloadView) -> String {
    let found = || view.state.alerts.iter().find(|a| a.severity == Severity::Act).map(|a| a.sentence.to_string());
    concentrated(view).or_else(found).unwrap_or_else(|| "look at what is slow".to_owned())
}

/// That one partition has most of what waits, which no count of replicas mends.
pub fn concentrated(view: &WorkloadView) -> Option<String> {
    advise::heap(&view.state).map(|share| {
        let (share, all) = (format::percent(share), view.state.partition_lags.len());
        format!("one of {all} partitions holds {share} of what waits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Blocked, tui::fixture};
    use std::sync::Arc;

    #[test]
    fn the_worst_comes_first_and_each_thing_once() {
        let picture = fixture::picture(Mode::Operate);
        let all = alerts(&picture);
        assert!(all.is_sorted_by_key(|a| std::cmp::Reverse(a.severity)));
        let mut ids: Vec<String> = all.iter().map(|a| a.id().to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all.len(), "{all:#?}");
        for subject in ["fraud-scorer", "broker 3"] {
            assert!(all.iter().any(|a| a.subject() == subject), "{subject}: {all:#?}");
        }
        assert!(!all.iter().any(|a| a.subject() == "payments-audit"), "what is well is no alert");
    }

    #[test]
    fn fewer_replicas_are_no_mend_of_what_is_late() {
        let mut picture = fixture::picture(Mode::Operate);
        let view = Arc::make_mut(&mut picture.workloads[0]);
        let state = Arc::make_mut(&mut view.state);
        state.partition_lags = vec![Some(10), Some(990), Some(0), Some(0)];
        if let Ok(r) = &mut Arc::make_mut(&mut view.advice).recommendation {
            r.recommended = 4;
        }
        let said = mend(&picture.workloads[0], &picture);
        assert_eq!(said, "more replicas would not help: one of 4 partitions holds 99% of what waits; 4 would do");
        let found = Alert { severity: Severity::Act, ..picture.clusters[0].alerts[0].clone() };
        let state = Arc::make_mut(&mut Arc::make_mut(&mut picture.workloads[0]).state);
        state.partition_lags.clear();
        state.alerts = vec![found.clone()];
        let said = mend(&picture.workloads[0], &picture);
        assert_eq!(said, format!("more replicas would not help: {}; 4 would do", found.sentence));
    }

    #[test]
    fn what_the_plan_asks_for_later_is_no_reason_to_look_elsewhere() {
        let mut picture = fixture::picture(Mode::Operate);
        let at = picture.at;
        let r = Arc::make_mut(&mut picture.workloads[0]);
        if let Ok(r) = &mut Arc::make_mut(&mut r.advice).recommendation {
            r.recommended = r.current.desired;
            r.blocked_by.clear();
            let step = |at, replicas| PlanStep { at, replicas };
            r.steps = vec![step(at, r.recommended), step(at.plus(120.0), 8)];
        }
        // A picture is made anew for each word of a source; the look at the workload may be some seconds older.
        picture.at = at.plus(121.0);
        let mends = [Mode::Operate, Mode::Watch].map(|mode| {
            picture.mode = mode;
            mend(&picture.workloads[0], &picture)
        });
        let clock = format::clock(at.plus(120.0));
        assert_eq!(mends[0], format!("8 replicas come up for approval at {clock} UTC; c asks for them now"));
        assert_eq!(mends[1], format!("8 replicas come up for approval at {clock} UTC, in `highwater operate`"));
        Arc::make_mut(&mut Arc::make_mut(&mut picture.workloads[0]).state).at = picture.at;
        assert!(mend(&picture.workloads[0], &picture).contains("are what it needs"), "its time is over");
    }

    #[test]
    fn what_may_have_no_more_is_not_said_to_need_no_more() {
        let mut picture = fixture::picture(Mode::Operate);
        let mut said = |severity, max: u32, partitions| {
            let view = Arc::make_mut(&mut picture.workloads[0]);
            view.severity = severity;
            Arc::make_mut(&mut view.state).partitions = partitions;
            if let Ok(r) = &mut Arc::make_mut(&mut view.advice).recommendation {
                (r.current.desired, r.recommended, r.limits.max) = (6, 6, max);
                (r.steps, r.blocked_by) = (Vec::new(), Vec::new());
            }
            mend(&picture.workloads[0], &picture)
        };
        let look = "look at what is slow";
        assert_eq!(said(Severity::Act, 6, Some(40)), format!("max = 6 allows no more replicas: raise it, or {look}"));
        let idle = format!("more replicas than its 6 partitions would idle: {look}");
        assert_eq!(said(Severity::Act, 24, Some(6)), idle);
        assert_eq!(said(Severity::Act, 24, Some(40)), format!("6 replicas are what it needs: {look}"));
    }

    #[test]
    fn of_warnings_what_wants_replicas_is_first_and_what_saves_some_last() {
        let mut picture = fixture::picture(Mode::Operate);
        let names: Vec<String> = picture.workloads.iter().map(|w| w.workload.name.to_string()).collect();
        for (view, (current, recommended)) in picture.workloads.iter_mut().zip([(9, 4), (4, 4), (4, 9)]) {
            let view = Arc::make_mut(view);
            (view.severity, view.headline) = (Severity::Look, "would do".into());
            let advice = Arc::make_mut(&mut view.advice);
            advice.recommendation = picture_recommendation(current, recommended);
        }
        let warnings = alerts(&picture).into_iter().filter(|a| a.severity == Severity::Look);
        let subjects: Vec<String> = warnings.map(|a| a.subject().to_string()).collect();
        let at = |name: &str| subjects.iter().position(|s| *s == name);
        let [more, other, fewer] = [at(&names[2]), at("run reranker-lora"), at(&names[0])];
        assert!(more.is_some() && more < other && other < fewer, "{subjects:#?}");
        // What is held back can wait: nobody may do it now.
        let view = Arc::make_mut(&mut picture.workloads[2]);
        if let Ok(r) = &mut Arc::make_mut(&mut view.advice).recommendation {
            r.blocked_by = vec![Blocked { guard: "alerts", detail: "not now".into(), until: None }];
        }
        let held: Vec<String> = alerts(&picture).into_iter().map(|a| a.subject().to_string()).collect();
        let at = |name: &str| held.iter().position(|s| *s == name);
        assert!(at("run reranker-lora") < at(&names[2]), "{held:#?}");
    }

    fn picture_recommendation(current: u32, recommended: u32) -> Result<Box<crate::model::Recommendation>, String> {
        let picture = fixture::picture(Mode::Operate);
        let mut r = picture.workloads[0].advice.recommendation.clone()?;
        (r.current.desired, r.recommended) = (current, recommended);
        r.steps.clear();
        Ok(r)
    }

    #[test]
    fn what_is_not_known_needs_no_count() {
        let mut picture = fixture::picture(Mode::Operate);
        let view = Arc::make_mut(&mut picture.workloads[0]);
        view.severity = Severity::Unknown;
        let detail = "0 of 40 partitions known: held until all answer";
        if let Ok(r) = &mut Arc::make_mut(&mut view.advice).recommendation {
            r.recommended = r.current.desired;
            r.blocked_by = vec![Blocked { guard: "coverage", detail: detail.into(), until: None }];
        }
        assert_eq!(mend(&picture.workloads[0], &picture), format!("no advice: {detail}"));
    }

    #[test]
    fn the_mend_says_what_one_may_do_here() {
        let mend = |mode: Mode| {
            let (picture, id) = (fixture::picture(mode), Label::new("workload/fraud-scorer/state"));
            let all = alerts(&picture);
            all.iter().find(|a| a.id() == id).map(|a| a.trouble(&picture).mend).unwrap_or_default()
        };
        assert_eq!(mend(Mode::Operate), "6 to 10 replicas: a approves");
        assert!(mend(Mode::Watch).contains("highwater operate"));
    }
}
