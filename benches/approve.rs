//! From the confirming key to the request, through the whole engine on the simulated world: what is checked, what is synced
//! to the disk, what is asked of the API server, with the own ledger alone and with a shared one on brokers of librdkafka's
//! (or on `HIGHWATER_BENCH_KAFKA=HOST:PORT` with the topics `bench.decisions` and `bench.state`).
//!
//! ```text
//! cargo bench --bench approve
//! ```

#[path = "../tests/support/boundary.rs"]
mod boundary;

use highwater::{
    config::{Config, Overrides},
    engine::{self, Handle, Operating, Options},
    model::{Action, ActionState, Intent, KafkaSettings, LedgerSettings, Picture, Prepared, Property},
    process::BOUNDARY,
    world::{self, World},
};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing::{Event, Metadata, Subscriber, span};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Approvals that are measured.
const SAMPLES: usize = 30;
/// How fast the world and the engine's clock run, so that a change is verified in seconds.
const SPEED: f64 = 20.0;
const PATIENCE: Duration = Duration::from_secs(120);
const WORKLOADS: [&str; 4] = ["fraud-scorer", "orders-etl", "payments-audit", "clickstream"];

/// When the process passed each sync and each request.
static PASSED: Mutex<Vec<(Instant, String)>> = Mutex::new(Vec::new());

struct Watch;

impl Subscriber for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == BOUNDARY
    }

    fn event(&self, event: &Event<'_>) {
        PASSED.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), boundary::words(event)));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn passed() -> Vec<(Instant, String)> {
    PASSED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct Desk {
    handle: Handle<Operating>,
}

impl Desk {
    async fn until<T>(&mut self, what: &str, look: impl Fn(&Picture) -> Option<T>) -> Result<T> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let picture: Arc<Picture> = self.handle.pictures.borrow_and_update().clone();
            if let Some(found) = look(&picture) {
                return Ok(found);
            }
            if tokio::time::timeout_at(deadline, self.handle.pictures.changed()).await.is_err() {
                let told: Vec<_> = picture.notices.iter().rev().take(5).map(|n| n.text.clone()).collect();
                return Err(format!("not in time: {what}; {told:?}").into());
            }
        }
    }

    /// Opens the dialog of one more replica, or one less, until it can be confirmed.
    async fn prepare(&mut self, workload: &str) -> Result<Arc<Prepared>> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let (plan_hash, to) = self
                .until("a recommendation", |p| {
                    let r = p.workload(workload)?.advice.recommendation.as_ref().ok()?;
                    let now = r.current.desired;
                    Some((r.plan_hash.clone(), if now > 4 { now - 1 } else { now + 1 }))
                })
                .await?;
            let before = self.handle.pictures.borrow().prepared.as_ref().map(|p| p.action.clone());
            let intent = Intent::Prepare { workload: workload.into(), to, plan_hash, way: 0 };
            self.handle.intents().send(intent).await?;
            let answer = tokio::time::timeout(
                Duration::from_secs(2),
                self.until("an answer", |p| p.prepared.clone().filter(|q| Some(&q.action) != before.as_ref())),
            );
            // Without an answer the plan changed while it was asked for.
            if let Ok(answer) = answer.await {
                let prepared = answer?;
                if prepared.refused.is_empty() {
                    return Ok(prepared);
                }
                self.handle.intents().send(Intent::Abandon { action: prepared.action.clone() }).await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Err(format!("{workload} cannot be changed").into())
    }

    /// One approval: milliseconds until the write goes out, and those of them that passed in syncs to the disk.
    async fn approve(&mut self, workload: &str) -> Result<Option<(f64, f64)>> {
        let prepared = self.prepare(workload).await?;
        let (action, plan_hash) = (prepared.action.clone(), prepared.plan_hash.clone());
        let seen = passed().len();
        let pressed = Instant::now();
        self.handle.intents().send(Intent::Confirm { action: action.clone(), plan_hash }).await?;
        let begun = self
            .until("it is begun", |p| {
                let of = |a: &&Action| a.id == action;
                let state = p.actions.iter().find(of)?.state;
                (!matches!(state, ActionState::Proposed | ActionState::Approved | ActionState::Applying))
                    .then_some(state)
            })
            .await?;
        if begun == ActionState::Rejected {
            return Ok(None); // a guard came in between
        }
        let passed = passed().split_off(seen);
        let sent = passed.iter().position(|(_, words)| words == "sending the write").ok_or("no write was sent")?;
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let syncs = passed.windows(2).take(sent).filter(|w| w[1].1 == "synced");
        Ok(Some((ms(passed[sent].0 - pressed), syncs.map(|w| ms(w[1].0 - w[0].0)).sum())))
    }
}

fn tell(what: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    println!("{what:<40} median {:6.1} ms   p95 {:6.1} ms   worst {:6.1} ms", at(0.5), at(0.95), at(1.0));
}

async fn measure(what: &str, ledger: LedgerSettings) -> Result<()> {
    let world = World::start("fraud", 7, SPEED)?;
    let kafka = world::kafka::serve(world.clone()).await?;
    let prometheus = world::prometheus::serve(world.clone()).await?;
    let kubernetes = world::kubernetes::serve(world.clone()).await?;
    let mut config =
        Config::parse(include_str!("../config/demo.toml"), "demo.toml", false).map_err(|e| e.to_string())?;
    config.kubernetes = Some(kubernetes.settings());
    config.apply(Overrides {
        kafka: Some(kafka.bootstrap.clone()),
        prometheus: Some(prometheus.url.clone()),
        ..Overrides::default()
    });
    config.ledger = ledger;
    (config.limits.actions_per_hour, config.limits.in_flight) = (10_000, 100);
    for workload in &mut config.workloads {
        let guard = &mut workload.guard;
        (guard.cooldown_up, guard.cooldown_down) = (0.0, 0.0);
    }
    let state = tempfile::tempdir()?;
    let options =
        Options { config, clock: world.clock(), state: Some(state.path().to_owned()), past: None, days: false };
    let mut desk = Desk { handle: engine::operate(options) };
    desk.until("the ledger is open", |p| p.ledger.writable.then_some(())).await?;
    let (mut all, mut syncs) = (Vec::new(), Vec::new());
    for workload in WORKLOADS.into_iter().cycle().take(2 * SAMPLES) {
        if let Some((total, synced)) = desk.approve(workload).await? {
            all.push(total);
            syncs.push(synced);
        }
        if all.len() == SAMPLES {
            break;
        }
    }
    desk.handle.stop().await;
    tell(what, all);
    tell("  of it in syncs to the disk", syncs);
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    tracing::subscriber::set_global_default(Watch)?;
    let _ = rustls::crypto::ring::default_provider().install_default(); // it is there already
    measure("approve to request, own ledger", LedgerSettings::default()).await?;
    let mock: Option<MockCluster<'_, DefaultProducerContext>> = match std::env::var("HIGHWATER_BENCH_KAFKA") {
        Ok(_) => None,
        Err(_) => Some(MockCluster::new(1)?),
    };
    if let Some(cluster) = &mock {
        for topic in ["bench.decisions", "bench.state"] {
            cluster.create_topic(topic, 1, 1)?;
        }
    }
    let bootstrap = std::env::var("HIGHWATER_BENCH_KAFKA").unwrap_or_default();
    let bootstrap = mock.as_ref().map_or(bootstrap, MockCluster::bootstrap_servers);
    let mut properties = BTreeMap::from([("bootstrap.servers".to_owned(), Property::Text(bootstrap))]);
    if mock.is_some() {
        // A broker answers a waiting fetch when there is something; the mock lets it wait its time out.
        properties.insert("fetch.wait.max.ms".to_owned(), Property::Text("5".to_owned()));
    }
    let ledger = LedgerSettings {
        kafka: Some(KafkaSettings::new("bench", properties)),
        history: "bench.decisions".to_owned(),
        state: "bench.state".to_owned(),
        ..LedgerSettings::default()
    };
    measure("approve to request, shared ledger", ledger).await
}
