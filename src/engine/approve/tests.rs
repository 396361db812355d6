//! The whole way of a decision against a command that keeps its count in a file: what an operator sees and what is left.

mod guess;
mod later;
mod leases;
mod limits;
mod lost;
mod races;
mod server;
mod two;

use super::*;
use crate::{
    config::Config,
    ledger,
    model::{
        Advice, Blocked, CommandSettings, Entity, GuardSettings, Limits, Mode, Price, Replicas, Rivals, Slo, Workload,
        WorkloadKind, WorkloadState,
    },
    process::Clock,
};
use std::{collections::BTreeMap, path::Path};

/// A desk with a file for a target, at 2, and a recommendation of 4.
struct Bench {
    dir: tempfile::TempDir,
    pictures: watch::Sender<Arc<Picture>>,
    intents: mpsc::Sender<Intent>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

fn recommendation(blocked_by: Vec<Blocked>) -> Recommendation {
    let now = Time::now();
    Recommendation {
        workload: "g".into(),
        target: Some(Target::Command("pool".into())),
        current: Replicas { desired: 2, ready: 2, at: now, origin: "test".into(), uid: None },
        recommended: 4,
        wanted: 4,
        limits: Limits { min: 1, max: 8 },
        at: now,
        expires: now.plus(300.0),
        plan_hash: PlanHash::of(&["g", "2", "4"]),
        reasons: vec!["demand doubles".to_owned()],
        blocked_by,
        alternatives: Vec::new(),
        steps: Vec::new(),
        others: Rivals::default(),
        capacity: None,
        coverage: 1.0,
    }
}

fn picture(recommendation: Recommendation, replicas: u32) -> Arc<Picture> {
    let now = Time::now();
    let workload = Workload {
        name: "g".into(),
        entity: Entity { kind: WorkloadKind::ConsumerGroup, source: "k".into(), id: "g".into() },
        target: recommendation.target.clone(),
        limits: recommendation.limits,
        slo: Slo::default(),
        price: Price::default(),
        guard: GuardSettings::default(),
        signals: BTreeMap::new(),
        shape: crate::model::Shape::default(),
        broker: None,
        found: None,
        configured: true,
    };
    let seen = Replicas { desired: replicas, ready: replicas, at: now, origin: "test".into(), uid: None };
    let state = WorkloadState { replicas: Some(seen), coverage: 1.0, data_age: 0.5, ..WorkloadState::unknown(now) };
    let view = WorkloadView {
        workload: Arc::new(workload),
        state: Arc::new(state),
        severity: Severity::Act,
        headline: String::new(),
        signals: Vec::new(),
        slo: None,
        advice: Arc::new(Advice { forecast: None, capacity: None, recommendation: Ok(Box::new(recommendation)) }),
        day: None,
        snoozed: None,
        action: None,
    };
    let mut picture = Picture::empty(Mode::Operate, "test", now);
    picture.workloads = vec![Arc::new(view)].into();
    Arc::new(picture)
}

fn command(count: &Path, apply: &str) -> CommandSettings {
    let file = count.display().to_string();
    CommandSettings {
        name: "pool".into(),
        apply: vec!["sh".into(), "-c".into(), apply.replace("FILE", &file), "scale".into(), "{to}".into()],
        observe: Some(vec!["cat".into(), file]),
        dry_run: None,
        timeout: 10.0,
    }
}

impl Bench {
    fn new(apply: &str, blocked: Vec<Blocked>) -> Self {
        Self::with(apply, blocked, |_, _| {})
    }

    /// With a change to the configuration, which may put something into the bench's folder first.
    fn with(apply: &str, blocked: Vec<Blocked>, change: impl FnOnce(&mut Config, &Path)) -> Self {
        Self::at_speed(1.0, apply, blocked, change)
    }

    /// On a clock that runs so many times as fast as the machine's.
    fn at_speed(speed: f64, apply: &str, blocked: Vec<Blocked>, change: impl FnOnce(&mut Config, &Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        std::fs::write(&count, "2\n").unwrap();
        let mut config = Config { commands: vec![command(&count, apply)], ..Config::default() };
        change(&mut config, dir.path());
        let clock = if speed > 1.0 { Clock::scaled(Time::now(), speed) } else { Clock::wall() };
        let options = Options { config, clock, state: Some(dir.path().to_owned()), past: None, days: false };
        let (pictures, seen) = watch::channel(picture(recommendation(blocked), 2));
        let (intents, intents_in) = mpsc::channel(4);
        let (events_out, events) = mpsc::channel(64);
        let task = tokio::spawn(run(options, seen, intents_in, events_out));
        Self { dir, pictures, intents, events, task }
    }

    fn hash() -> PlanHash {
        recommendation(Vec::new()).plan_hash
    }

    /// The next event that `pick` takes; others are passed over.
    async fn next<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        time::timeout(Duration::from_secs(20), async {
            loop {
                let event = self.events.recv().await.expect("the desk is still there");
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        })
        .await
        .expect("the event within 20 s")
    }

    async fn prepare(&mut self, to: u32) -> Arc<Prepared> {
        let intent = Intent::Prepare { workload: "g".into(), to, plan_hash: Self::hash(), way: 0 };
        self.intents.send(intent).await.unwrap();
        self.next(|e| match e {
            Event::Prepared(Some(p)) => Some(p),
            _ => None,
        })
        .await
    }

    async fn state(&mut self, wanted: ActionState) -> Action {
        self.next(|e| match e {
            Event::Actions(all) => all.first().filter(|a| a.state == wanted).cloned(),
            _ => None,
        })
        .await
    }

    async fn confirm(&mut self, prepared: &Prepared) {
        let intent = Intent::Confirm { action: prepared.action.clone(), plan_hash: prepared.plan_hash.clone() };
        self.intents.send(intent).await.unwrap();
    }

    /// The next sentence for the operator that holds `part`.
    async fn told(&mut self, part: &str) -> String {
        self.next(|e| if let Event::Notice(_, text) = e { Some(text).filter(|t| t.contains(part)) } else { None }).await
    }

    fn set(&self, count: &str) {
        std::fs::write(self.dir.path().join("count"), count).unwrap();
    }

    fn count(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("count")).unwrap().trim().to_owned()
    }

    async fn end(self) -> Vec<ledger::Entry> {
        drop(self.intents);
        self.task.await.unwrap();
        let dir = self.dir.path().join("ledger");
        assert!(ledger::verify(&dir).unwrap().problem.is_none());
        ledger::read(&dir).unwrap().entries
    }
}

fn told(prepared: &Prepared) -> String {
    prepared.refused.iter().map(Label::as_str).collect::<Vec<_>>().join("; ")
}

const SET: &str = "echo \"$1\" > FILE";

#[tokio::test]
async fn a_confirmed_change_is_written_once_and_the_ledger_tells_the_story() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    assert_eq!((prepared.from, prepared.to, prepared.refused.len()), (2, 4, 0), "{:?}", prepared.refused);
    assert_eq!(bench.count(), "2", "nothing is written before the second key");
    let confirm = Intent::Confirm { action: prepared.action.clone(), plan_hash: prepared.plan_hash.clone() };
    bench.intents.send(confirm.clone()).await.unwrap();
    bench.state(ActionState::Applied).await;
    assert_eq!(bench.count(), "4");
    bench.intents.send(confirm).await.unwrap();
    let told = bench.next(|e| if let Event::Notice(_, text) = e { Some(text) } else { None }).await;
    assert!(told.contains("nothing is waiting") || told.contains("applied"), "{told}");
    let states: Vec<_> = bench.end().await.iter().filter_map(|e| e.state).map(ActionState::name).collect();
    assert_eq!(states, ["proposed", "approved", "applying", "applied"]);
}

#[tokio::test]
async fn a_blocked_plan_is_shown_with_the_reason_and_cannot_be_confirmed() {
    let blocked = vec![Blocked { guard: "coverage", detail: "2 of 40 partitions unknown".into(), until: None }];
    let mut bench = Bench::new(SET, blocked);
    let prepared = bench.prepare(4).await;
    assert!(prepared.refused.iter().any(|r| r.as_str().contains("2 of 40")), "{:?}", prepared.refused);
    let confirm = Intent::Confirm { action: prepared.action.clone(), plan_hash: prepared.plan_hash.clone() };
    bench.intents.send(confirm).await.unwrap();
    bench.state(ActionState::Rejected).await;
    assert_eq!(bench.count(), "2");
}

#[tokio::test]
async fn a_target_that_moved_while_the_dialog_was_open_is_not_written() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    std::fs::write(bench.dir.path().join("count"), "3\n").unwrap();
    let confirm = Intent::Confirm { action: prepared.action.clone(), plan_hash: prepared.plan_hash.clone() };
    bench.intents.send(confirm).await.unwrap();
    bench.state(ActionState::Rejected).await;
    assert_eq!(bench.count(), "3");
}

#[tokio::test]
async fn a_plan_that_changed_on_screen_is_refused_with_a_word() {
    let mut bench = Bench::new(SET, Vec::new());
    let mut newer = recommendation(Vec::new());
    newer.plan_hash = PlanHash::of(&["g", "2", "5"]);
    bench.pictures.send_replace(picture(newer, 2));
    let intent = Intent::Prepare { workload: "g".into(), to: 4, plan_hash: Bench::hash(), way: 0 };
    bench.intents.send(intent).await.unwrap();
    let told = bench.next(|e| if let Event::Unprepared(u) = e { Some(u) } else { None }).await;
    assert!(told.workload.as_str() == "g" && told.why.as_str().contains("look again"), "{told:?}");
    assert!(bench.end().await.is_empty());
}

#[tokio::test]
async fn an_unknown_outcome_is_looked_for_and_never_tried_again() {
    // It does its work and then fails: nobody can know from the exit code.
    let mut bench = Bench::new("echo x >> FILE.calls; echo \"$1\" > FILE; exit 1", Vec::new());
    let prepared = bench.prepare(4).await;
    let confirm = Intent::Confirm { action: prepared.action.clone(), plan_hash: prepared.plan_hash.clone() };
    bench.intents.send(confirm).await.unwrap();
    bench.state(ActionState::Unknown).await;
    bench.state(ActionState::Applied).await; // the count is what was asked for: it did arrive
    let calls = std::fs::read_to_string(bench.dir.path().join("count.calls")).unwrap();
    assert_eq!(calls.lines().count(), 1);
}

#[tokio::test]
async fn rejecting_and_snoozing_are_decisions_that_are_kept() {
    let mut bench = Bench::new(SET, Vec::new());
    let reject = Intent::Reject { workload: "g".into(), plan_hash: Bench::hash(), reason: "deploy at noon".into() };
    bench.intents.send(reject).await.unwrap();
    let until = bench.next(|e| if let Event::Snoozed(_, until) = e { Some(until) } else { None }).await;
    assert!(until > Time::now());
    let entries = bench.end().await;
    assert_eq!(entries.last().map(|e| e.reason.as_str()), Some("deploy at noon"));
}

#[tokio::test]
async fn who_was_sent_away_for_a_while_is_deciding_no_more() {
    let mut bench = Bench::new(SET, Vec::new());
    let until = Time::now().plus(900.0);
    bench.intents.send(Intent::Snooze { workload: "g".into(), plan_hash: Bench::hash(), until }).await.unwrap();
    bench.next(|e| matches!(e, Event::Snoozed(_, u) if u == until).then_some(())).await;
    let entries = bench.end().await;
    let states: Vec<_> = entries.iter().filter_map(|e| e.state).map(ActionState::name).collect();
    assert_eq!(
        states,
        ["proposed", "expired"],
        "proposed would be told as somebody's open dialog until the plan expires"
    );
    assert!(entries.last().is_some_and(|e| e.reason.as_str().starts_with("snoozed until ")), "{entries:?}");
}

#[tokio::test]
async fn to_look_at_a_plan_and_leave_it_is_no_rejection() {
    let mut bench = Bench::new(SET, Vec::new());
    let prepared = bench.prepare(4).await;
    bench.intents.send(Intent::Abandon { action: prepared.action.clone() }).await.unwrap();
    let left = bench.state(ActionState::Expired).await;
    assert_eq!(left.reason.as_str(), "left without a decision");
    let states: Vec<_> = bench.end().await.iter().filter_map(|e| e.state).map(ActionState::name).collect();
    assert_eq!(states, ["proposed", "expired"]);
}
