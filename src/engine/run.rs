//! The loop: observations in, pictures out.

use super::{
    Operating, Options, Watching, approve,
    confirmed::{Confirmation, Confirmed},
    latest::{Latest, Samples},
    pass::{Days, Given, Memory, Snoozes},
    persist, role, sources,
};
use crate::{
    advise::day,
    model::{
        Action, Budget, Intent, KafkaCluster, KubeState, Label, LedgerHealth, MlState, Mode, Notice, Observation,
        Picture, Pipeline, Prepared, Severity, SourceStatus, Time, Unprepared, Workload, Workloads,
    },
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time,
};

/// Observations that may wait: a few refreshes of every source.
const QUEUE: usize = 256;
/// Observations that may wait for the end of a pass.
const PENDING: usize = 1024;
/// Shortest time between two passes.
const PACE: Duration = Duration::from_millis(500);
/// A pass is made after so long though nobody said anything: what is known grows old all the same.
const OVERDUE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Plans of the day wait for so long: the first looks have enough to do, and nobody plans a day in the first moment.
const SETTLED: Duration = Duration::from_secs(20);
/// A clock that differs from the time that passed by this many seconds was set.
const CLOCK_SET: f64 = 30.0;
/// Notices kept for the screen.
const NOTICES: usize = 200;

/// A running engine. Dropping it ends every task; [`Handle::stop`] also waits until what was begun is on disk.
pub struct Handle<R = Watching> {
    /// The newest picture.
    pub pictures: watch::Receiver<Arc<Picture>>,
    /// What this process may do.
    pub(super) role: R,
    /// What the newest picture does not hold yet: observations not looked at, workloads whose advice waits for its turn.
    pub behind: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<bool>,
}

impl<R> Handle<R> {
    /// Ends the engine; what was begun (an intent record, a batch of history) is finished first. Whether it could be.
    pub async fn stop(self) -> bool {
        drop(self.role);
        let _ = self.stop.send(()); // the engine may have ended already
        let ended = time::timeout(Duration::from_secs(5), self.task).await;
        if ended.is_err() {
            tracing::warn!("the engine did not end within 5 s");
        }
        matches!(ended, Ok(Ok(true)))
    }
}

/// What the approval task tells the engine.
pub(super) enum Event {
    /// All actions, newest first.
    Actions(Arc<Vec<Action>>),
    /// The change that waits for the confirming key, or that none does.
    Prepared(Option<Arc<Prepared>>),
    /// What was asked for cannot be held ready.
    Unprepared(Unprepared),
    /// Whether decisions can be recorded.
    Ledger(LedgerHealth),
    /// Who we are on the target systems.
    Identity(Label),
    /// A workload is not to be asked about before an instant.
    Snoozed(Label, Time),
    /// A guessed target was confirmed.
    Confirmed(Confirmation),
    /// A sentence for the operator.
    Notice(Severity, String),
}

/// Starts an engine that looks. The first picture is there at once, empty, and fills as sources answer.
pub fn watch(options: Options) -> Handle<Watching> {
    let options = Options { config: role::disarmed(options.config), ..options };
    launch(options, Mode::Watch, Watching::new(), None)
}

/// Starts an engine that also carries out what its operator approves.
pub fn operate(options: Options) -> Handle<Operating> {
    let (role, intents) = Operating::new();
    launch(options, Mode::Operate, role, Some(intents))
}

/// `intents`: the end that only an operating engine has; without it no approval task is started.
fn launch<R>(options: Options, mode: Mode, role: R, intents: Option<mpsc::Receiver<Intent>>) -> Handle<R> {
    let title = title(&options);
    let picture = Arc::new(Picture::empty(mode, title, options.clock.now()));
    let (publish, pictures) = watch::channel(picture);
    let (stop, stopped) = oneshot::channel();
    let seen = pictures.clone();
    let behind = Arc::new(AtomicUsize::new(0));
    let told = behind.clone();
    let task = tokio::spawn(async move {
        let (events_out, events) = mpsc::channel(64);
        let notices = events_out.clone();
        let approvals = intents.map(|i| tokio::spawn(approve::run(options.clone(), seen, i, events_out)));
        let engine = Engine::new(options, mode, (publish, told), notices).await;
        engine.run(stopped, events).await;
        match approvals {
            Some(task) => approve::finish(task).await,
            None => true,
        }
    });
    Handle { pictures, role, behind, stop, task }
}

fn title(options: &Options) -> String {
    let config = &options.config;
    let mut parts: Vec<String> = config.kafka.iter().map(|k| k.name.to_string()).collect();
    parts.extend(config.kubernetes.iter().filter_map(|k| k.context.clone()));
    if parts.is_empty() {
        parts.extend(config.prometheus.iter().map(|p| p.name.to_string()));
    }
    parts.dedup();
    parts.join(" · ")
}

/// What to say when the clock ran `ahead` seconds further than time did; `None`: it runs true. A machine that slept looks
/// the same, so only the fact is told.
fn set_clock(ahead: f64) -> Option<String> {
    let by = crate::model::duration(ahead.abs());
    match ahead {
        _ if ahead.abs() < CLOCK_SET => None,
        _ if ahead < 0.0 => Some(format!("the clock was set back by {by}: what lies ahead of it is dropped")),
        _ => Some(format!("the clock went ahead by {by} (set, or the machine slept): older data count as stale")),
    }
}

/// Plans of a day in the making, off the async threads: seconds of work. Dropped, it stops.
struct Planning {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Days>,
}

impl Planning {
    fn start(due: Vec<day::Question>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let plan = move |question: day::Question| {
            let plan = question.answer(&|| !told.load(Relaxed))?;
            Some((question.workload().entity.clone(), (question.at(), Arc::new(plan))))
        };
        Self { stop, task: tokio::task::spawn_blocking(move || due.into_iter().filter_map(plan).collect()) }
    }

    /// The plans when they are made; never, when none are. Cancel safe.
    async fn done(planning: &mut Option<Self>) -> Days {
        let Some(planning) = planning else { return std::future::pending().await };
        let made = (&mut planning.task).await;
        made.unwrap_or_else(|e| {
            tracing::error!("the plans of the day broke: {e}");
            Days::default()
        })
    }
}

impl Drop for Planning {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

/// What one pass gives back.
struct Passed {
    latest: Latest,
    memory: Memory,
    views: Workloads,
    keep: persist::Batch,
    due: Vec<day::Question>,
    news: Vec<Label>,
}

struct Engine {
    options: Options,
    mode: Mode,
    publish: watch::Sender<Arc<Picture>>,
    configured: Arc<Vec<Arc<Workload>>>,
    budgets: Arc<Vec<Budget>>,
    /// `None` while a pass has it.
    state: Option<(Latest, Memory)>,
    pending: Vec<Observation>,
    sources: BTreeMap<(crate::model::SourceKind, Label), SourceStatus>,
    clusters: Vec<Arc<KafkaCluster>>,
    ml: Vec<Arc<MlState>>,
    kube: Option<Arc<KubeState>>,
    views: Workloads,
    pipelines: Arc<Vec<Pipeline>>,
    /// Pipelines of the configuration.
    written: Arc<Vec<Pipeline>>,
    actions: Arc<Vec<Action>>,
    prepared: Option<Arc<Prepared>>,
    unprepared: Option<Arc<Unprepared>>,
    ledger: LedgerHealth,
    identity: Option<Label>,
    snoozed: Arc<Snoozes>,
    /// Found targets that an operator confirmed, here or in earlier runs.
    confirmed: Arc<Confirmed>,
    /// Plans of the next day, and the one that is being made.
    days: Arc<Days>,
    planning: Option<Planning>,
    notices: Vec<Notice>,
    store: Option<mpsc::Sender<persist::Batch>>,
    seq: u64,
    /// As in [`Handle`].
    behind: Arc<AtomicUsize>,
    /// Workloads that the last pass had no time for.
    waiting: usize,
    /// When this engine began, and when it began its last pass.
    began: Instant,
    passed: Instant,
    /// The last look at both clocks: the one that stamps and the one that cannot be set.
    looked: (Time, Instant),
}

impl Engine {
    /// `notices`: what is found out beside the engine is told here.
    async fn new(
        options: Options,
        mode: Mode,
        (publish, behind): (watch::Sender<Arc<Picture>>, Arc<AtomicUsize>),
        notices: mpsc::Sender<Event>,
    ) -> Self {
        let now = options.clock.now();
        let kept = persist::start(options.state.clone(), now, notices).await;
        let persist::Kept { mut history, learned, store, problem } = kept;
        if let Some(past) = &options.past {
            for key in past.keys() {
                history.backfill(key, &past.samples(key, Time::from_millis(i64::MIN)));
            }
        }
        let own = options.config.own_series();
        let (confirmed, unread) = options.state.as_deref().map(Confirmed::read).unwrap_or_default();
        let configured = options.config.workloads().into_iter().map(Arc::new).collect();
        let budgets = Arc::new(options.config.budgets.clone());
        let pipelines = Arc::new(options.config.pipelines.clone());
        let ledger = match mode {
            Mode::Watch => LedgerHealth { writable: false, detail: Label::new("watch: nothing is recorded") },
            Mode::Operate => LedgerHealth { writable: false, detail: Label::new("opening") },
        };
        let mut engine = Self {
            options,
            mode,
            publish,
            configured: Arc::new(configured),
            budgets,
            state: Some((Latest::new(own), Memory::new(history, learned))),
            pending: Vec::new(),
            sources: BTreeMap::new(),
            clusters: Vec::new(),
            ml: Vec::new(),
            kube: None,
            views: Workloads::default(),
            written: pipelines.clone(),
            pipelines,
            actions: Arc::new(Vec::new()),
            prepared: None,
            unprepared: None,
            ledger,
            identity: None,
            snoozed: Arc::default(),
            confirmed: Arc::new(confirmed),
            days: Arc::default(),
            planning: None,
            notices: Vec::new(),
            store,
            seq: 0,
            behind,
            waiting: 0,
            began: Instant::now(),
            passed: Instant::now(),
            looked: (now, Instant::now()),
        };
        for problem in problem.into_iter().chain(unread) {
            engine.notice(Severity::Look, &problem);
        }
        engine
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>, mut events: mpsc::Receiver<Event>) {
        let (observed, mut observations) = mpsc::channel(QUEUE);
        let known = self.state.as_ref().map(|(_, memory)| memory.known_demand()).unwrap_or_default();
        let _sources = sources::start(&self.options, &known, &observed); // aborted when dropped
        drop(observed);
        let mut pace = time::interval(PACE);
        pace.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        let mut pass: Option<JoinHandle<Passed>> = None;
        let mut fresh = true; // the first observations do not wait for the pace
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                Some(observation) = observations.recv(), if self.pending.len() < PENDING => {
                    let is_health = matches!(observation, Observation::Health(_));
                    self.take(observation);
                    if is_health {
                        self.publish();
                    } else if fresh && pass.is_none() {
                        fresh = false;
                        pass = self.start_pass();
                    }
                }
                Some(event) = events.recv() => {
                    self.hear(event);
                    self.publish();
                }
                done = async { match pass.as_mut() { Some(p) => p.await, None => std::future::pending().await } } => {
                    pass = None;
                    match done {
                        Ok(passed) => self.finish_pass(passed),
                        Err(e) => self.restart(&e),
                    }
                    self.publish();
                }
                plans = Planning::done(&mut self.planning) => {
                    self.planning = None;
                    Arc::make_mut(&mut self.days).extend(plans);
                }
                _ = pace.tick() => {
                    self.look_at_clock();
                    let more = !self.pending.is_empty() || self.waiting > 0 || self.passed.elapsed() >= OVERDUE;
                    if pass.is_none() && more {
                        pass = self.start_pass();
                    }
                }
            }
        }
        // What was learned since it was last kept; a pass that is under way has the rest, and that is minutes at most.
        if let (Some(store), Some((_, memory))) = (&self.store, &self.state) {
            let learned = memory.lessons(self.options.clock.now());
            if store.try_send(persist::Batch { samples: Vec::new(), learned }).is_err() {
                tracing::warn!("what was learned in the last minutes is not kept: the disk is too slow");
            }
        }
    }

    fn take(&mut self, observation: Observation) {
        if let Observation::Health(status) = &observation {
            let key = (status.kind, status.name.clone());
            let before = self.sources.insert(key, status.clone());
            if before.is_none_or(|b| b.health != status.health) {
                tracing::info!("{} {}: {:?}: {}", status.kind.name(), status.name, status.health, status.detail);
            }
        }
        self.pending.push(observation);
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Actions(actions) => self.actions = actions,
            Event::Prepared(prepared) => {
                self.unprepared = self.unprepared.take().filter(|_| prepared.is_none());
                self.prepared = prepared;
            }
            Event::Unprepared(why) => self.unprepared = Some(Arc::new(why)),
            Event::Ledger(health) => self.ledger = health,
            Event::Identity(identity) => self.identity = Some(identity),
            Event::Snoozed(workload, until) => {
                let of = self.views.named(workload.as_str()).map(|v| (v.workload.entity.clone(), (until, v.severity)));
                Arc::make_mut(&mut self.snoozed).extend(of);
            }
            Event::Confirmed(word) => {
                Arc::make_mut(&mut self.confirmed).add(word);
                self.waiting = self.waiting.max(1); // the next pass shows it
            }
            Event::Notice(severity, text) => self.notice(severity, &text),
        }
    }

    fn notice(&mut self, severity: Severity, text: &str) {
        tracing::info!("{severity:?}: {text}");
        if self.notices.len() >= NOTICES {
            self.notices.remove(0);
        }
        self.notices.push(Notice { at: self.options.clock.now(), severity, text: Label::new(text) });
    }

    /// Ages, rates and expiries rest on the wall clock: when somebody sets it the operator hears of it.
    fn look_at_clock(&mut self) {
        let (now, instant) = (self.options.clock.now(), Instant::now());
        let speed = self.options.clock.speed();
        let passed = instant.duration_since(self.looked.1).as_secs_f64();
        // Between the two looks this task may be put aside for a moment, which a fast clock shows as more.
        if let Some(text) = set_clock(now.since(self.looked.0) / speed - passed) {
            self.notice(Severity::Look, &text);
            self.waiting = self.waiting.max(1); // the next pass finds out what is old now
            self.publish();
        }
        self.looked = (now, instant);
    }

    fn start_pass(&mut self) -> Option<JoinHandle<Passed>> {
        let (mut latest, mut memory) = self.state.take()?;
        self.passed = Instant::now();
        let pending = std::mem::take(&mut self.pending);
        let (configured, budgets) = (self.configured.clone(), self.budgets.clone());
        let (pipelines, confirmed) = (self.written.clone(), self.confirmed.clone());
        let (snoozed, actions, days) = (self.snoozed.clone(), self.actions.clone(), self.days.clone());
        let now = self.options.clock.now();
        Some(tokio::task::spawn_blocking(move || {
            let mut samples = Samples::default();
            for observation in pending {
                latest.apply(observation, &mut samples);
            }
            let mut samples_to_keep = std::mem::take(&mut samples.kept);
            samples_to_keep.extend(samples.new.iter().cloned());
            let given = Given {
                latest: &latest,
                samples,
                configured: &configured,
                pipelines: &pipelines,
                budgets: &budgets,
                snoozed: &snoozed,
                confirmed: &confirmed,
                actions: &actions,
                days: &days,
                now,
            };
            let views: Workloads = memory.pass(&given).into();
            views.look_through(); // here, where nobody waits for a frame
            let news = std::mem::take(&mut latest.news);
            let learned = if memory.is_lesson_due(now) { memory.lessons(now) } else { Vec::new() };
            let keep = persist::Batch { samples: samples_to_keep, learned };
            let due = memory.take_due();
            Passed { latest, memory, views, keep, due, news }
        }))
    }

    fn finish_pass(&mut self, passed: Passed) {
        self.clusters = passed.latest.clusters.values().cloned().collect();
        self.ml = passed.latest.ml.values().cloned().collect();
        self.kube = passed.latest.kube.as_ref().map(|k| k.state.clone());
        self.views = passed.views;
        self.pipelines = passed.memory.pipelines();
        self.waiting = passed.memory.waiting();
        self.state = Some((passed.latest, passed.memory));
        let settled = self.options.days || self.began.elapsed() >= SETTLED;
        if settled && self.planning.is_none() && !passed.due.is_empty() {
            self.planning = Some(Planning::start(passed.due));
        }
        for text in &passed.news {
            self.notice(Severity::Look, text.as_str());
        }
        if let Some(store) = &self.store
            && !passed.keep.is_empty()
            && store.try_send(passed.keep).is_err()
        {
            tracing::warn!("the disk is too slow for the history: a batch of samples was not kept");
        }
    }

    /// A pass that panicked took history and states with it; say so and go on with what comes.
    fn restart(&mut self, error: &tokio::task::JoinError) {
        tracing::error!("a pass over the data broke: {error}");
        self.state = Some((Latest::new(self.options.config.own_series()), Memory::default()));
        self.notice(Severity::Act, &format!("the advice broke and starts anew without history: {error}"));
    }

    fn publish(&mut self) {
        self.seq += 1;
        let picture = Picture {
            seq: self.seq,
            at: self.options.clock.now(),
            mode: self.mode,
            identity: self.identity.clone(),
            title: self.publish.borrow().title.clone(),
            sources: self.sources.values().cloned().collect(),
            clusters: self.clusters.clone(),
            ml: self.ml.clone(),
            kube: self.kube.clone(),
            workloads: self.views.clone(),
            pipelines: self.pipelines.clone(),
            actions: self.actions.clone(),
            ledger: self.ledger.clone(),
            prepared: self.prepared.clone(),
            unprepared: self.unprepared.clone(),
            notices: self.notices.clone(),
        };
        self.behind.store(self.pending.len() + usize::from(self.state.is_none()) + self.waiting, Relaxed);
        self.publish.send_replace(Arc::new(picture));
    }
}
