//! Reads exporters directly, for as long as no Prometheus answers: the packs' expressions are evaluated here, over the
//! last minutes of scrapes. There is no history from before the first scrape.

use super::{
    client::{base, http, is_near, read},
    decode::{Answer, Series},
    detect::own,
    exposition::{Line, lines},
    failure::{Failure, FailureKind},
    packs::Pack,
    ring::{MOST, Ring, Scrape},
};
use crate::{
    model::{Label, PrometheusSettings, Time},
    process::Clock,
    promql::{self, Outcome, QueryError, Storage, Stored, Value, metrics},
};
use futures_util::{StreamExt, stream};
use promql_parser::label::Matcher;
use reqwest::{StatusCode, Url, header::ACCEPT};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::task::spawn_blocking;

/// Exporters asked at once.
const IN_FLIGHT: usize = 16;
/// Bytes read of one exposition: a Ray head with one replica has 0.6 MB.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// What is asked for; everything serves the first.
const FORMATS: &str = "text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";
/// Rates are over four scrapes, or over this many seconds.
const WINDOW: f64 = 60.0;

/// The exporters of a source.
pub(super) struct Exporters {
    targets: Arc<[Target]>,
    http: reqwest::Client,
    clock: Clock,
    timeout: f64,
    window: f64,
    seen: Arc<Mutex<Seen>>,
    /// Queries take turns: each needs all that was seen, and threads that wait for it only keep memory of their own.
    turn: tokio::sync::Mutex<()>,
    requests: AtomicU32,
}

/// One exporter.
pub(super) struct Target {
    pub job: String,
    /// `host:port`, as Prometheus has it.
    pub instance: String,
    pub url: Url,
}

/// What the scrapes so far brought.
struct Seen {
    ring: Ring,
    /// What the last round lacks.
    warnings: Vec<Label>,
    /// Whether nobody knows what that is: then every answer is partial. Of an exporter that answered before it is known.
    partial: bool,
}

/// The scrapes as if exporters that do not answer now still said what they said last.
struct AsBefore(Arc<Mutex<Seen>>);

impl Storage for AsBefore {
    fn now(&self) -> Time {
        lock(&self.0).ring.now()
    }

    fn select(&self, matchers: &[Matcher], from: Time, to: Time) -> Vec<Stored> {
        lock(&self.0).ring.selected(matchers, from, to, true)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one exporter said in the last round.
pub(super) type Round = Vec<Result<usize, Failure>>;

impl Exporters {
    /// Sets them up; nothing is sent yet. Only metrics that a pack or the user's own series name are kept.
    pub(super) async fn new(settings: &PrometheusSettings, packs: &[Arc<Pack>], clock: Clock) -> Result<Self, Failure> {
        let mut targets = Vec::new();
        for (job, urls) in &settings.scrape {
            for text in urls {
                targets.push(target(job, text)?);
            }
        }
        let near = targets.iter().all(|t| is_near(&t.url));
        let encrypted = targets.iter().any(|t| t.url.scheme() == "https");
        let timeout = settings.timeout.min(settings.refresh.max(1.0));
        Ok(Self {
            http: http(settings, encrypted, near, timeout).await?,
            targets: targets.into(),
            clock,
            timeout,
            window: (4.0 * settings.refresh * clock.speed()).max(WINDOW),
            seen: Arc::new(Mutex::new(Seen {
                ring: Ring::new(wanted(settings, packs)),
                warnings: Vec::new(),
                partial: false,
            })),
            turn: tokio::sync::Mutex::default(),
            requests: AtomicU32::new(0),
        })
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The window of rates, seconds: what was seen so far, up to four scrapes.
    pub(super) fn window(&self) -> f64 {
        lock(&self.seen).ring.seen().min(self.window)
    }

    /// One round over all exporters, by target: series or why not. It fails when none answers.
    pub(super) async fn scrape(&self) -> Result<Round, Failure> {
        let at = self.clock.now();
        let fetches: Vec<_> = self.targets.iter().map(|target| self.fetch(target)).collect();
        let bodies: Vec<_> = stream::iter(fetches).buffered(IN_FLIGHT).collect().await;
        let (targets, seen) = (Arc::clone(&self.targets), Arc::clone(&self.seen));
        let round = spawn_blocking(move || keep(&mut lock(&seen), at, &targets, bodies));
        let round = round.await.map_err(|e| Failure::settings(e.to_string()))?;
        match round.iter().find_map(|r| r.as_ref().err()) {
            Some(failure) if round.iter().all(Result::is_err) => {
                let reason = format!("none of {} exporters can be read, the first: {}", round.len(), failure.reason);
                Err(Failure::new(FailureKind::Connect, reason, "check `scrape` of this source"))
            }
            _ => Ok(round),
        }
    }

    async fn fetch(&self, target: &Target) -> Result<Vec<u8>, Failure> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url = target.url.as_str();
        let failed = |kind, reason: String| Failure::new(kind, reason, "check `scrape` of this source");
        let request = self.http.get(target.url.clone()).header(ACCEPT, FORMATS).build();
        let request = request.map_err(|e| Failure::transport(&e, url, self.timeout))?;
        match read(&self.http, request, url, self.timeout, BODY_LIMIT).await {
            Ok((StatusCode::OK, _, body)) => Ok(body),
            Ok((status, ..)) => Err(failed(FailureKind::Garbled, format!("{url} answers {}", status.as_u16()))),
            Err(failure) => Err(failed(failure.kind, failure.reason.as_str().to_owned())),
        }
    }

    /// The names among `wanted` that have samples.
    pub(super) fn names(&self, wanted: &[&str]) -> Vec<String> {
        lock(&self.seen).ring.names(wanted)
    }

    /// Evaluates `query` at the last scrape; once more with what silent exporters said last, to know what they tell of.
    pub(super) async fn instant(&self, query: &str) -> Result<Answer, Failure> {
        let (seen, query) = (Arc::clone(&self.seen), query.to_owned());
        let _turn = self.turn.lock().await;
        let answer = spawn_blocking(move || {
            let (mut answer, at, is_silent) = {
                let seen = lock(&seen);
                let at = seen.ring.last().unwrap_or_default();
                let series = promql::instant(&seen.ring, &query, at).map(|outcome| series(outcome, at))?;
                let (warnings, partial) = (seen.warnings.clone(), seen.partial);
                (Answer { series, warnings, partial, lacking: Vec::new() }, at, seen.ring.is_silent())
            };
            if is_silent && !answer.partial {
                match promql::instant(&AsBefore(seen), &query, at) {
                    Ok(before) => compare(&mut answer, series(before, at)),
                    Err(_) => answer.partial = true,
                }
            }
            Ok(answer)
        });
        answer.await.map_err(|e| Failure::settings(e.to_string()))?.map_err(|e| match e {
            QueryError::BadData(text) => Failure::new(FailureKind::BadQuery, text, ""),
            QueryError::Execution(text) => Failure::new(FailureKind::Execution, text, ""),
        })
    }
}

fn target(job: &str, text: &str) -> Result<Target, Failure> {
    let mut url = base(text, "scrape")?;
    if url.path() == "/" {
        url.set_path("/metrics");
    }
    let host = url.host_str().unwrap_or_default();
    let instance = url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    Ok(Target { job: job.to_owned(), instance, url })
}

/// Every metric that is asked for; `None` when a query leaves a name open.
fn wanted(settings: &PrometheusSettings, packs: &[Arc<Pack>]) -> Option<BTreeSet<String>> {
    let mut all = BTreeSet::from(["up".to_owned()]);
    for pack in packs {
        let mut names: BTreeSet<String> = pack.detect.iter().cloned().collect();
        for (_, query) in pack.queries(WINDOW, &settings.select) {
            names.extend(metrics(&query).ok()??);
        }
        for prefix in pack.all_prefixes(settings) {
            all.extend(names.iter().map(|name| format!("{prefix}{name}")));
        }
    }
    for custom in &settings.custom {
        all.extend(metrics(&own(custom, WINDOW, settings)).ok()??);
    }
    Some(all)
}

/// Reads what the exporters said into the ring.
fn keep(seen: &mut Seen, at: Time, targets: &[Target], bodies: Vec<Result<Vec<u8>, Failure>>) -> Round {
    let texts: Vec<_> = bodies.iter().map(|body| body.as_ref().map(|b| String::from_utf8_lossy(b))).collect();
    let mut scrapes = Vec::with_capacity(targets.len());
    let mut warnings = Vec::new();
    for (i, (target, text)) in targets.iter().zip(&texts).enumerate() {
        let mut scrape =
            Scrape { target: i, job: &target.job, instance: &target.instance, samples: Vec::new(), up: text.is_ok() };
        let mut wrong = None;
        for line in lines(text.as_ref().map_or("", |text| text)) {
            match line {
                Ok(Line::Sample(sample)) => scrape.samples.push(sample),
                Ok(Line::Type { .. }) => {}
                Err(e) => wrong = wrong.or(Some(e)),
            }
        }
        if let Some(wrong) = wrong {
            warnings.push(Label::new(&format!("{} is not read in full: {wrong}", target.url)));
        }
        scrapes.push(scrape);
    }
    let refused = seen.ring.take(at, scrapes);
    if refused > 0 {
        warnings.push(Label::new(&format!("{refused} series are left out: more than {MOST} are not kept")));
    }
    let never = targets.len() - seen.ring.answered();
    seen.partial = !warnings.is_empty() || never > 0;
    let dead: Vec<&Failure> = bodies.iter().filter_map(|body| body.as_ref().err()).collect();
    if let Some(first) = dead.first() {
        let what = match never {
            0 => "what they tell of is missing".to_owned(),
            n => format!("{n} never did since the start, and so nobody knows what is missing"),
        };
        let many = format!(
            "{} of {} exporters cannot be read ({what}), the first: {}",
            dead.len(),
            targets.len(),
            first.reason
        );
        warnings.push(Label::new(&many));
    }
    seen.warnings = warnings;
    bodies.into_iter().enumerate().map(|(i, body)| body.map(|_| seen.ring.of_target(i))).collect()
}

/// Notes in an answer what would be there, or be different, `before` somebody fell silent.
fn compare(answer: &mut Answer, before: Vec<Series>) {
    let mut before: BTreeMap<_, _> = before.into_iter().map(|row| (row.labels.clone(), row)).collect();
    let value = |row: &Series| row.points.last().map(|(_, value)| value.to_bits());
    for row in &mut answer.series {
        row.partial = before.remove(&row.labels).is_none_or(|was| value(&was) != value(row));
    }
    answer.lacking = before.into_values().collect();
}

/// An evaluated query as a Prometheus would have answered it.
fn series(outcome: Outcome, at: Time) -> Vec<Series> {
    let labels = |labels: promql::Labels| labels.into_iter().map(|(n, v)| (Label::new(&n), Label::new(&v))).collect();
    match outcome {
        Outcome::Value(Value::Vector(samples)) => samples
            .into_iter()
            .map(|s| Series { labels: labels(s.labels), points: vec![(at, s.value)], ..Series::default() })
            .collect(),
        Outcome::Value(Value::Scalar(value)) => vec![Series { points: vec![(at, value)], ..Series::default() }],
        Outcome::Value(Value::Text(_)) | Outcome::Matrix(_) => Vec::new(),
    }
}
