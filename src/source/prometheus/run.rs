//! The task: detects, fills the history, then refreshes until nobody listens any more.

use super::{
    assemble::Assembly,
    backfill::backfill,
    client::{Client, jitter},
    decode::Answer,
    detect::{Custom, Plan, detect},
    failure::{Failure, FailureKind},
    packs::{self, Pack},
};
use crate::{
    model::{Health, Label, MlState, Observation, PrometheusSettings, Sample, SourceKind, SourceStatus, Time},
    process::Clock,
};
use futures_util::{StreamExt, stream};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::Sender,
    time::{Instant, sleep_until},
};

/// Queries under way at once: the client's own limit is the same.
const IN_FLIGHT: usize = 4;
/// Seconds between detections: soon after the start, since exporters may come up after us, then twice as long each
/// time, up to the second figure.
const DETECT_EVERY: (f64, f64) = (10.0, 300.0);
/// The longest wait between attempts while the source is down, seconds.
const LONGEST_WAIT: f64 = 30.0;
/// A difference between the server's clock and ours that is worth a word, seconds.
const CLOCK_SKEW: f64 = 30.0;
/// Wait before the history is asked for again when that failed.
const FILL_AGAIN: Duration = Duration::from_secs(60);
/// Packs named in the status line.
const PACKS_NAMED: usize = 6;
/// Failed queries named in full in one refresh.
const NAMED: usize = 8;

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
            Ok(()) => reader.settings.refresh,
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
    client: Option<Client>,
    plan: Option<(Plan, Instant)>,
    /// Detections so far.
    detections: i32,
    /// The history is complete up to here, but for what is missing.
    filled: Option<Time>,
    /// Spans without history, the next one to fill last.
    missing: Vec<(Time, Time)>,
    fill_after: Instant,
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
            client: None,
            plan: None,
            detections: 0,
            filled: None,
            missing: Vec::new(),
            fill_after: Instant::now(),
            failures: 0,
            status,
        }
    }

    /// One refresh: everything is sent but the health, which the caller sends.
    async fn refresh(&mut self, out: &Sender<Observation>) -> Result<(), Failure> {
        let begun = Instant::now();
        if self.client.is_none() {
            self.client = Some(Client::new(&self.settings).await?);
        }
        let Some(client) = &self.client else { return Ok(()) };
        let before = client.requests();
        let life = (DETECT_EVERY.0 * 2_f64.powi(self.detections - 1)).min(DETECT_EVERY.1);
        let old = self.plan.take().filter(|(_, made)| made.elapsed().as_secs_f64() < life);
        let (plan, made) = if let Some(plan) = old {
            plan
        } else {
            let packs = load_packs(&mut self.packs, &self.settings).await?;
            self.detections += 1;
            (detect(client, packs, &self.settings, self.clock.now()).await?, Instant::now())
        };
        let now = self.clock.now().plus(if plan.ahead.abs() > CLOCK_SKEW { plan.ahead } else { 0.0 });
        let answers = ask(client, &plan, &self.settings.name).await?;
        let state = MlState {
            source: self.settings.name.clone(),
            at: self.clock.now(),
            packs: plan.packs.clone(),
            seconds: begun.elapsed().as_secs_f64(),
            requests: client.requests().wrapping_sub(before),
            ..answers.state
        };
        let (health, detail) = judge(&state, &plan, answers.failed, self.settings.tls.insecure);
        send(out, Observation::Ml(Arc::new(state))).await;
        for signal in answers.signals {
            send(out, signal).await;
        }
        let seen = self.filled.unwrap_or_else(|| now.plus(-self.settings.backfill));
        if now.since(seen) > 2.0 * self.settings.step {
            self.missing.extend(portions(seen, now));
        }
        self.filled = Some(now);
        // One portion a refresh, the newest first: what is true now never waits for what was.
        if self.fill_after <= Instant::now()
            && let Some((from, to)) = self.missing.pop()
        {
            match backfill(client, &self.settings.name, &plan, (from, to, self.settings.step)).await {
                Ok(older) => {
                    for part in older {
                        send(out, part).await;
                    }
                }
                Err(failure) => {
                    tracing::warn!("prometheus {}: no history from before now: {failure}", self.settings.name);
                    self.missing.push((from, to));
                    self.fill_after = Instant::now() + FILL_AGAIN;
                }
            }
        }
        self.plan = Some((plan, made));
        self.failures = 0;
        self.status.answered = Some(self.clock.now());
        self.set(health, detail);
        Ok(())
    }

    /// Notes that nothing was answered; returns the seconds to wait.
    fn failed(&mut self, failure: &Failure) -> f64 {
        if self.failures == 0 {
            tracing::warn!("prometheus {}: {failure}", self.settings.name);
        }
        self.failures = self.failures.saturating_add(1);
        self.plan = None; // what runs there may be another one when it is back
        if failure.kind == FailureKind::Settings {
            self.client = None; // files are read again
        }
        self.set(Health::Down, Label::new(&failure.to_string()));
        let slower = self.settings.refresh * 2_f64.powi(self.failures.saturating_sub(3).min(8).cast_signed());
        let wait = slower.min(LONGEST_WAIT.max(self.settings.refresh)) + jitter(1.0).as_secs_f64();
        wait.max(failure.retry_after.unwrap_or(0.0).min(600.0))
    }

    fn set(&mut self, health: Health, detail: Label) {
        if self.status.health != health {
            self.status.since = self.clock.now();
        }
        self.status.health = health;
        self.status.detail = detail;
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

/// What a round of questions brought.
struct Answers {
    state: MlState,
    signals: Vec<Observation>,
    failed: usize,
}

/// Asks every question of the plan, four at a time. A source that is down ends the round.
async fn ask(client: &Client, plan: &Plan, source: &Label) -> Result<Answers, Failure> {
    let mut assembly = Assembly::new(source);
    let (mut failed, mut signals) = (0, Vec::new());
    let mut note = |assembly: &mut Assembly, what: &str, failure: Failure| {
        if failure.kind.is_fatal() {
            return Err(failure);
        }
        failed += 1;
        if failed <= NAMED {
            assembly.warn(Label::new(&format!("{what}: {failure}")));
        }
        Ok(())
    };
    let asks: Vec<_> =
        plan.questions.iter().filter(|q| q.slot.is_live()).map(|q| client.instant_for(q, &q.promql)).collect();
    let mut answers = stream::iter(asks).buffered(IN_FLIGHT);
    while let Some((question, result)) = answers.next().await {
        match result {
            Ok(answer) => assembly.add(question, &answer),
            Err(failure) => note(&mut assembly, &format!("{} {}", question.pack.name, question.concept), failure)?,
        }
    }
    drop(answers);
    let asks: Vec<_> = plan.custom.iter().map(|c| client.instant_for(c, &c.promql)).collect();
    let mut answers = stream::iter(asks).buffered(IN_FLIGHT);
    while let Some((custom, result)) = answers.next().await {
        let what = format!("{} of {}", custom.key.role.name(), custom.key.entity.id);
        match result.and_then(|answer| one_series(custom, &answer)) {
            Ok(samples) if samples.is_empty() => {
                assembly.warn(Label::new(&format!("{what}: no data ({})", custom.promql)));
            }
            Ok(samples) => signals.push(Observation::Signal { key: custom.key.clone(), samples }),
            Err(failure) => note(&mut assembly, &what, failure)?,
        }
    }
    drop(answers);
    let mut state = MlState::default();
    assembly.finish(&mut state);
    Ok(Answers { state, signals, failed })
}

/// A user-defined series must be one.
fn one_series(custom: &Custom, answer: &Answer) -> Result<Vec<Sample>, Failure> {
    match answer.series.as_slice() {
        [] => Ok(Vec::new()),
        [series] => Ok(series.last().map(|(at, value)| Sample { at, value }).into_iter().collect()),
        many => Err(Failure::new(
            FailureKind::BadQuery,
            format!("{} gives {} series where one is needed", custom.promql, many.len()),
            "put sum(…) or max(…) around it",
        )),
    }
}

/// The health of a source that answered, with its sentence.
fn judge(state: &MlState, plan: &Plan, failed: usize, insecure: bool) -> (Health, Label) {
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
    if failed > 0 {
        health = Health::Degraded;
        let first = state.warnings.first().map_or("", Label::as_str);
        said.insert(0, format!("{failed} of {asked} queries failed, the first: {first}"));
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
