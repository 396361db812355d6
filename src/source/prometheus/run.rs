//! The task: detects, fills the history, then refreshes until nobody listens any more.

use super::{
    ask::{Failed, ask},
    backfill::backfill,
    client::{Client, jitter},
    detect::{Plan, detect},
    failure::{Failure, FailureKind},
    pace::Pace,
    packs::{self, Pack},
    upstream::Upstream,
};
use crate::{
    model::{Health, Label, MlState, Observation, PrometheusSettings, SourceKind, SourceStatus, Time},
    process::Clock,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::Sender,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Seconds between detections: soon after the start, since exporters may come up after us, then twice as long each
/// time, up to the second figure.
const DETECT_EVERY: (f64, f64) = (10.0, 300.0);
/// The longest wait between attempts while the source is down, seconds.
const LONGEST_WAIT: f64 = 30.0;
/// The longest `Retry-After` that is kept, seconds.
const LONGEST_RETRY: f64 = 600.0;
/// A difference between the server's clock and ours that is worth a word, seconds.
const CLOCK_SKEW: f64 = 30.0;
/// Wait before the history is asked for again when that failed.
const FILL_AGAIN: Duration = Duration::from_secs(60);
/// The same for what was answered in part: at first, then twice as long each time, up to the second figure.
const PART_AGAIN: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(3600));
/// Seconds between looks at whether a preferred way answers again: at first, then twice as long each time, up to the
/// second figure.
const LOOK_EVERY: (f64, f64) = (3.0, 60.0);
/// Packs named in the status line.
const PACKS_NAMED: usize = 6;

/// Reads one Prometheus until the receiver is closed or the task is dropped.
///
/// At start, after an outage and wherever refreshes are rarer than `step`, it sends the history since as
/// [`Observation::Backfill`]; every refresh brings [`Observation::Ml`], one [`Observation::Signal`] per user-defined
/// series that answered, and [`Observation::Health`].
pub async fn run(settings: PrometheusSettings, clock: Clock, out: Sender<Observation>) {
    let mut reader = Reader::new(settings, clock);
    if out.send(Observation::Health(reader.status.clone())).await.is_err() {
        return;
    }
    loop {
        let begun = Instant::now();
        let wait = match reader.refresh(&out).await {
            Ok(()) => reader.pace.refresh(&reader.settings),
            Err(failure) => reader.failed(&failure),
        };
        if out.send(Observation::Health(reader.status.clone())).await.is_err() {
            return;
        }
        tokio::select! {
            () = out.closed() => return,
            () = sleep_until(begun + Duration::from_secs_f64(wait.clamp(0.05, 86_400.0))) => {}
        }
    }
}

/// What lasts from one refresh to the next.
struct Reader {
    settings: PrometheusSettings,
    clock: Clock,
    packs: Option<Vec<Arc<Pack>>>,
    ways: Ways,
    plan: Option<(Plan, Instant)>,
    /// Detections so far.
    detections: i32,
    /// The history is complete up to here, but for what is missing.
    filled: Option<Time>,
    /// Spans without history, the next one to fill last.
    missing: Vec<(Time, Time)>,
    fill_after: Instant,
    /// Spans that were answered in part, the newest first. They are asked for again when nothing else is missing: what
    /// answers in part may do so for ever.
    in_part: Vec<(Time, Time)>,
    part_after: Instant,
    part_again: Duration,
    pace: Pace,
    failures: u32,
    status: SourceStatus,
}

impl Reader {
    fn new(settings: PrometheusSettings, clock: Clock) -> Self {
        let status = SourceStatus {
            name: settings.name.clone(),
            kind: SourceKind::Prometheus,
            health: Health::Connecting,
            since: clock.now(),
            answered: None,
            cadence: settings.refresh * clock.speed(),
            detail: Label::new("connecting"),
        };
        Self {
            settings,
            clock,
            packs: None,
            ways: Ways::default(),
            plan: None,
            detections: 0,
            filled: None,
            missing: Vec::new(),
            fill_after: Instant::now(),
            in_part: Vec::new(),
            part_after: Instant::now(),
            part_again: PART_AGAIN.0,
            pace: Pace::default(),
            failures: 0,
            status,
        }
    }

    /// One refresh over the first way that answers.
    async fn refresh(&mut self, out: &Sender<Observation>) -> Result<(), Failure> {
        if self.ways.all.is_empty() {
            let packs = load_packs(&mut self.packs, &self.settings).await?;
            self.ways.all = Upstream::all(&self.settings, packs, self.clock).await?;
        }
        if self.ways.look() {
            self.plan = None;
        }
        loop {
            let Some(upstream) = self.ways.active() else { return Ok(()) };
            match self.refresh_from(&upstream, out).await {
                Ok(()) => return Ok(()),
                // Whatever the cause, nothing was answered: a sign-in page is no answer either.
                Err(failure) => {
                    tracing::warn!("prometheus {}: {failure}", self.settings.name);
                    self.plan = None;
                    self.ways.next(failure)?;
                }
            }
        }
    }

    /// One refresh: everything is sent but the health, which the caller sends.
    async fn refresh_from(&mut self, upstream: &Upstream, out: &Sender<Observation>) -> Result<(), Failure> {
        let begun = Instant::now();
        let before = upstream.requests();
        upstream.begin().await?;
        let life = (DETECT_EVERY.0 * 2_f64.powi(self.detections - 1)).min(DETECT_EVERY.1);
        // Exporters are detected anew every time: it costs no request, and the window of rates grows with what was seen.
        let lasts = matches!(upstream, Upstream::Server(_));
        let old = self.plan.take();
        let before_packs = old.as_ref().map(|(plan, _)| plan.packs.clone());
        let old = old.filter(|(_, made)| lasts && made.elapsed().as_secs_f64() < life);
        let (plan, made) = if let Some(plan) = old {
            plan
        } else {
            let packs = load_packs(&mut self.packs, &self.settings).await?;
            let plan = detect(upstream, packs, &self.settings, self.clock.now()).await?;
            // How often something new is scraped shows soon.
            let new = before_packs.is_some_and(|before| before != plan.packs);
            self.detections = if new { 1 } else { self.detections.saturating_add(1) };
            (plan, Instant::now())
        };
        let now = self.clock.now().plus(if plan.ahead.abs() > CLOCK_SKEW { plan.ahead } else { 0.0 });
        let answers = ask(upstream, &plan, &self.settings.name).await?;
        let state = MlState {
            source: self.settings.name.clone(),
            at: self.clock.now(),
            packs: plan.packs.clone(),
            seconds: begun.elapsed().as_secs_f64(),
            requests: upstream.requests().wrapping_sub(before),
            ..answers.state
        };
        let (health, detail) = judge(&state, &plan, &answers.failed, self.settings.tls.insecure);
        let (health, detail) = self.ways.told(health, &detail);
        send(out, Observation::Ml(Arc::new(state))).await;
        for signal in answers.signals {
            send(out, signal).await;
        }
        if let Upstream::Server(client) = upstream {
            self.fill(client, &plan, now, out).await;
        }
        self.plan = Some((plan, made));
        self.failures = 0;
        self.pace.good();
        self.status.answered = Some(self.clock.now());
        let took = begun.elapsed().as_secs_f64();
        self.status.cadence = self.pace.refresh(&self.settings).max(took) * self.clock.speed();
        match self.pace.told(&self.settings) {
            Some(said) => self.set(Health::Degraded, Label::new(&format!("{said} · {detail}"))),
            None => self.set(health, detail),
        }
        Ok(())
    }

    /// Fills the history: what lies before the start, and wherever nothing was read since.
    async fn fill(&mut self, client: &Client, plan: &Plan, now: Time, out: &Sender<Observation>) {
        let seen = self.filled.unwrap_or_else(|| now.plus(-self.settings.backfill));
        if now.since(seen) > 2.0 * self.settings.step {
            self.missing.extend(portions(seen, now));
        }
        self.filled = Some(now);
        if self.missing.is_empty() && self.part_after <= Instant::now() {
            self.missing.extend(self.in_part.drain(..).rev());
        }
        // One portion a refresh, the newest first: what is true now never waits for what was.
        if self.fill_after <= Instant::now()
            && let Some((from, to)) = self.missing.pop()
        {
            let span = (from, to, self.settings.step);
            let failure = match backfill(client, &self.settings.name, plan, span, self.pace.widths()).await {
                Ok(filled) => {
                    self.pace.filled(None, filled.widened);
                    for part in filled.observations {
                        send(out, part).await;
                    }
                    if filled.in_part && filled.lacking.is_none() {
                        tracing::warn!("prometheus {}: the history is answered in part only", self.settings.name);
                        self.in_part.push((from, to));
                        self.part_after = Instant::now() + self.part_again;
                    }
                    filled.lacking
                }
                Err(failure) => {
                    self.pace.filled(Some(&failure), false);
                    Some(failure)
                }
            };
            if let Some(failure) = failure {
                tracing::warn!("prometheus {}: the history is not complete: {failure}", self.settings.name);
                self.missing.push((from, to));
                let asked = Duration::from_secs_f64(failure.retry_after.unwrap_or(0.0).min(LONGEST_RETRY));
                self.fill_after = Instant::now() + FILL_AGAIN.max(asked);
            } else if self.missing.is_empty() {
                let whole = self.in_part.is_empty();
                self.part_again = if whole { PART_AGAIN.0 } else { (self.part_again * 2).min(PART_AGAIN.1) };
            }
        }
    }

    /// Notes that nothing was answered; returns the seconds to wait.
    fn failed(&mut self, failure: &Failure) -> f64 {
        if self.failures == 0 {
            tracing::warn!("prometheus {}: {failure}", self.settings.name);
        }
        self.failures = self.failures.saturating_add(1);
        self.plan = None; // what runs there may be another one when it is back
        if failure.kind == FailureKind::Settings {
            self.ways = Ways::default(); // files are read again
        }
        if failure.kind == FailureKind::TooMany {
            self.pace.limited(&self.settings);
            self.set(Health::Degraded, Label::new(&failure.to_string()));
        } else {
            self.set(Health::Down, Label::new(&failure.to_string()));
        }
        let slower = self.settings.refresh * 2_f64.powi(self.failures.saturating_sub(3).min(8).cast_signed());
        let wait = slower.min(LONGEST_WAIT.max(self.settings.refresh)).max(self.pace.refresh(&self.settings));
        (wait + jitter(1.0).as_secs_f64()).max(failure.retry_after.unwrap_or(0.0).min(LONGEST_RETRY))
    }

    fn set(&mut self, health: Health, detail: Label) {
        if self.status.health != health {
            self.status.since = self.clock.now();
        }
        self.status.health = health;
        self.status.detail = detail;
    }
}

/// The ways to a source's series, and which one is used.
#[derive(Default)]
struct Ways {
    /// The preferred one first.
    all: Vec<Arc<Upstream>>,
    /// Why the ones before the active one are not used: as many as come before it.
    passed: Vec<Failure>,
    /// Looks whether one of those answers again.
    looking: JoinSet<Option<usize>>,
    looks: i32,
    look_after: Option<Instant>,
}

impl Ways {
    fn active(&self) -> Option<Arc<Upstream>> {
        self.all.get(self.passed.len()).cloned()
    }

    /// Goes on to the next way; an error when there is none, and then the first one's turn comes again.
    fn next(&mut self, failure: Failure) -> Result<(), Failure> {
        self.passed.push(failure);
        (self.looks, self.look_after) = (0, None);
        if self.passed.len() < self.all.len() {
            return Ok(());
        }
        let failures = std::mem::take(&mut self.passed);
        let reasons: Vec<&str> = failures.iter().map(|f| f.reason.as_str()).collect();
        let reason = Label::new(&reasons.join("; "));
        let Some(first) = failures.into_iter().next() else { return Ok(()) };
        Err(Failure { reason, ..first })
    }

    /// Returns to a preferred way that answers again. Looking never delays a refresh.
    fn look(&mut self) -> bool {
        if let Some(looked) = self.looking.try_join_next() {
            if let Ok(Some(answers)) = looked {
                self.passed.truncate(answers);
                return true;
            }
            self.looks += 1;
            self.look_after = None;
        }
        if self.passed.is_empty() || !self.looking.is_empty() {
            return false;
        }
        let wait = (LOOK_EVERY.0 * 2_f64.powi(self.looks.min(8))).min(LOOK_EVERY.1);
        let after = *self.look_after.get_or_insert_with(|| Instant::now() + Duration::from_secs_f64(wait));
        if after <= Instant::now() {
            let preferred: Vec<_> = self.all.iter().take(self.passed.len()).map(Arc::clone).collect();
            self.looking.spawn(async move {
                for (i, upstream) in preferred.iter().enumerate() {
                    if upstream.instant("time()").await.is_ok() {
                        return Some(i);
                    }
                }
                None
            });
        }
        false
    }

    /// The status with what has to be said about the way.
    fn told(&self, health: Health, detail: &Label) -> (Health, Label) {
        let way = match self.all.get(self.passed.len()).map(Arc::as_ref) {
            Some(Upstream::Exporters(exporters)) => match exporters.targets() {
                [_] => "1 exporter read directly".to_owned(),
                many => format!("{} exporters read directly", many.len()),
            },
            Some(Upstream::Server(client)) if !self.passed.is_empty() => format!("read from {}", client.url()),
            _ => return (health, detail.clone()),
        };
        let Some(first) = self.passed.first() else { return (health, Label::new(&format!("{way} · {detail}"))) };
        (Health::Degraded, Label::new(&format!("{way} · {} · {detail}", first.reason)))
    }
}

/// Cuts a span into portions for one refresh each, oldest first: the last hour, the two before it, then six at a time.
fn portions(from: Time, to: Time) -> Vec<(Time, Time)> {
    let mut cuts = Vec::new();
    let mut end = to;
    for hours in [1.0, 2.0].into_iter().chain(std::iter::repeat(6.0)) {
        let start = end.plus(-hours * 3600.0).max(from);
        cuts.push((start, end));
        if start <= from {
            break;
        }
        end = start;
    }
    cuts.reverse();
    cuts
}

/// Reads the packs once; a folder of the user's own is read off the runtime's threads.
async fn load_packs<'p>(
    packs: &'p mut Option<Vec<Arc<Pack>>>,
    settings: &PrometheusSettings,
) -> Result<&'p [Arc<Pack>], Failure> {
    if packs.is_none() {
        let folder = settings.packs.clone();
        let loaded = tokio::task::spawn_blocking(move || packs::load(folder.as_deref())).await;
        let loaded = loaded.map_err(|e| Failure::settings(e.to_string()))?.map_err(Failure::settings)?;
        *packs = Some(loaded.into_iter().map(Arc::new).collect());
    }
    Ok(packs.as_deref().unwrap_or_default())
}

/// The health of a source that answered, with its sentence.
fn judge(state: &MlState, plan: &Plan, failed: &Failed, insecure: bool) -> (Health, Label) {
    let asked = plan.questions.iter().filter(|q| q.slot.is_live()).count() + plan.custom.len();
    let mut health = Health::Ok;
    let mut said = if plan.packs.is_empty() {
        vec!["no exporter that a metric pack knows: see `highwater packs`".to_owned()]
    } else {
        let names: Vec<&str> = plan.packs.iter().take(PACKS_NAMED).map(Label::as_str).collect();
        let more = plan.packs.len().saturating_sub(PACKS_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        vec![format!("{}{more}; {asked} queries", names.join(", "))]
    };
    if let Some(first) = &failed.first {
        health = Health::Degraded;
        said.insert(0, format!("{} of {asked} queries failed, the first: {first}", failed.count));
    } else if let Some(warning) = state.warnings.first() {
        health = Health::Degraded;
        said.insert(0, warning.as_str().to_owned());
    }
    if plan.ahead.abs() > CLOCK_SKEW {
        let side = if plan.ahead > 0.0 { "ahead of" } else { "behind" };
        said.insert(0, format!("its clock is {:.0} s {side} ours: set one of them right", plan.ahead.abs()));
    }
    if insecure {
        said.insert(0, "TLS is not verified".to_owned());
    }
    (health, Label::new(&said.join(" · ")))
}

/// A closed channel is noticed by the loop; what is sent into it is of no use to anybody.
async fn send(out: &Sender<Observation>, observation: Observation) {
    let _ = out.send(observation).await;
}
