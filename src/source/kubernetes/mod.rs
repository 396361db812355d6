//! Reads Deployments, StatefulSets, HPAs, ScaledObjects, VPAs and pods by watch. No Kubernetes at all is a normal state.
//!
//! The context is pinned by the configuration, never "whatever is current". Six watches per namespace (or six for the
//! whole cluster) carry everything; a small request every few seconds tells a quiet server from a hung one.
//! What owns a pod leads to what can be scaled (`owners.rs`); kinds met on the way are watched from then on.

mod check;
mod connect;
mod list;
mod objects;
mod owners;
mod store;

pub use check::{check, check_targets};
pub use connect::{connect, connect_to_change};
pub use list::autoscalers;

use crate::{
    manifest,
    model::{Health, KubernetesSettings, Label, ObjectKind, Observation, SourceKind, SourceStatus},
    process::Clock,
};
use futures_util::{Stream, StreamExt as _, stream};
use kube::{
    Api, Client,
    api::DynamicObject,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use std::{
    hash::{BuildHasher as _, RandomState},
    pin::Pin,
    time::Duration,
};
use store::{Kind, Store};
use tokio::{
    sync::mpsc::Sender,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};

/// Seconds between two signs of life, and of the observation being sent again when nothing changed.
const REFRESH: f64 = 5.0;
/// Deadline of one sign of life.
const ALIVE_DEADLINE: Duration = Duration::from_secs(5);
/// Signs of life missed in a row after which the connection is given up and made again.
const MISSED: u32 = 3;
/// How long changes are gathered before they are sent: a roll-out changes status several times a second.
const DEBOUNCE: Duration = Duration::from_millis(250);
/// A watch is renewed this often, seconds; a dead one is noticed 5 s after.
const WATCH: u32 = 60;
/// How long the first lists may take.
const FIRST_LISTS: Duration = Duration::from_secs(30);
/// Waiting time before connecting again: doubles from the first to the second, with jitter.
const BACKOFF: (f64, f64) = (1.0, 30.0);

/// The name that this source has on screen: its context.
pub(crate) fn name(settings: &KubernetesSettings) -> Label {
    Label::new(settings.context.as_deref().unwrap_or("in-cluster"))
}

/// Why a session ended.
enum End {
    /// Nobody listens any more.
    Closed,
    /// Connect again.
    Lost(String),
}

/// Watches until `out` is closed, connecting again when the connection is lost.
pub async fn run(settings: KubernetesSettings, clock: Clock, out: Sender<Observation>) {
    let status = SourceStatus {
        name: name(&settings),
        kind: SourceKind::Kubernetes,
        health: Health::Connecting,
        since: clock.now(),
        answered: None,
        cadence: REFRESH * clock.speed(),
        detail: Label::new("connecting"),
    };
    let mut session = Session { clock, out, status };
    let mut wait = BACKOFF.0;
    loop {
        let end = match connect(&settings).await {
            Ok(client) => session.watch(&client, &settings).await,
            Err(why) => End::Lost(why),
        };
        let End::Lost(why) = end else { return };
        // Whoever got an answer since the last time starts again with a short wait.
        wait = if session.status.health == Health::Down { (wait * 2.0).min(BACKOFF.1) } else { BACKOFF.0 };
        if session.health(Health::Down, &why).await.is_err() {
            return;
        }
        let jitter = (RandomState::new().hash_one(0) % 1000) as f64 / 1000.0; // a hash of a random key
        tokio::select! {
            () = sleep(Duration::from_secs_f64(wait * (0.5 + jitter))) => {}
            () = session.out.closed() => return,
        }
    }
}

struct Session {
    clock: Clock,
    out: Sender<Observation>,
    status: SourceStatus,
}

/// One thing that happens while watching.
enum Happened {
    Event(usize, Box<watcher::Result<Event<DynamicObject>>>),
    Alive(Result<(), String>),
    Owner(Box<owners::Reference>, Box<Option<owners::Above>>),
}

type Happenings = Pin<Box<dyn Stream<Item = Happened> + Send>>;

impl Session {
    /// Watches with one client until it is of no use any more.
    async fn watch(&mut self, client: &Client, settings: &KubernetesSettings) -> End {
        let mut store = Store::new(name(settings), &settings.namespaces, &settings.kinds);
        let mut happenings = stream::select_all([signs_of_life(client.clone())]);
        happenings.extend(watches(client, &store, 0));
        let started = Instant::now();
        let mut missed = 0;
        let mut due: Option<Instant> = None;
        loop {
            let happened = tokio::select! {
                happened = happenings.next() => happened,
                () = wait_for(due) => {
                    due = None;
                    let unknown = store.missing_owners();
                    happenings.extend(unknown.into_iter().map(|of| look_up(client.clone(), of)));
                    let late = started.elapsed() > FIRST_LISTS;
                    if self.send(&store, late).await.is_err() { return End::Closed; }
                    continue;
                }
                () = self.out.closed() => return End::Closed,
            };
            let now = self.clock.now();
            match happened {
                Some(Happened::Event(slot, event)) => {
                    if store.take(slot, *event, now) {
                        self.status.answered = Some(now);
                    }
                    if let Some(why) = store.signed_out() {
                        return End::Lost(why);
                    }
                    due.get_or_insert_with(|| Instant::now() + DEBOUNCE);
                }
                Some(Happened::Alive(Ok(()))) => {
                    missed = 0;
                    store.confirm(now);
                    self.status.answered = Some(now);
                    due.get_or_insert_with(Instant::now);
                }
                Some(Happened::Alive(Err(why))) => {
                    missed += 1;
                    if missed >= MISSED {
                        return End::Lost(why);
                    }
                    if self.health(Health::Degraded, &why).await.is_err() {
                        return End::Closed;
                    }
                }
                Some(Happened::Owner(of, above)) => {
                    // Nobody could say: asked for again with the next sign of life.
                    let known = above.is_some();
                    store.take_owner(&of, *above);
                    let new = store.follow_owners();
                    if !new.is_empty() {
                        happenings.extend(watches(client, &store, new.start));
                    }
                    if known {
                        let unknown = store.missing_owners();
                        happenings.extend(unknown.into_iter().map(|of| look_up(client.clone(), of)));
                        due.get_or_insert_with(|| Instant::now() + DEBOUNCE);
                    }
                }
                None => return End::Lost("the watches ended".to_owned()),
            }
            let late = started.elapsed() > FIRST_LISTS;
            if late && !store.is_complete(late) {
                return End::Lost(format!("no list of {} within {FIRST_LISTS:?}", store.waiting_for()));
            }
        }
    }

    /// Sends what is known, once every first list was answered or is `late`, and how it is.
    async fn send(&mut self, store: &Store, late: bool) -> Result<(), ()> {
        if !store.is_complete(late) {
            let detail = format!("waiting for the first list of {}", store.waiting_for());
            return self.health(self.status.health, &detail).await;
        }
        let state = Observation::Kubernetes(store.state().into());
        self.out.send(state).await.map_err(drop)?;
        let (health, detail) = store.health();
        self.health(health, &detail).await
    }

    async fn health(&mut self, health: Health, detail: &str) -> Result<(), ()> {
        if health != self.status.health {
            self.status.health = health;
            self.status.since = self.clock.now();
        }
        self.status.detail = Label::new(detail);
        self.out.send(Observation::Health(self.status.clone())).await.map_err(drop)
    }
}

async fn wait_for(due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The watches of the slots from number `from` on.
fn watches(client: &Client, store: &Store, from: usize) -> Vec<Happenings> {
    let one = |(slot, (kind, namespace))| watch_one(client, slot, kind, namespace);
    store.slots().enumerate().skip(from).map(one).collect()
}

/// One question about an owner.
fn look_up(client: Client, of: owners::Reference) -> Happenings {
    let answer = owners::look(client, of);
    Box::pin(stream::once(answer).map(|(of, above)| Happened::Owner(Box::new(of), Box::new(above))))
}

/// The watch of one kind in one namespace (or in all), begun again by itself with growing pauses.
fn watch_one(client: &Client, slot: usize, kind: Kind, namespace: Option<&str>) -> Happenings {
    let resource = kind.resource();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let config = watcher::Config::default().timeout(WATCH);
    // Of all the Jobs of a cluster only those that were made from a template are asked for.
    let config = match kind {
        Kind::Named(ObjectKind::Job) => config.labels(manifest::job::TEMPLATE),
        Kind::Pod => config.fields("status.phase=Running"), // Jobs leave the others by the thousand
        _ => config,
    };
    let events = watcher(api, config).default_backoff();
    Box::pin(events.map(move |event| Happened::Event(slot, Box::new(event))))
}

/// Asks for the server's version every few seconds. A refusal is an answer too.
fn signs_of_life(client: Client) -> Happenings {
    let mut ticks = interval(Duration::from_secs_f64(REFRESH));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Box::pin(stream::unfold((client, ticks), |(client, mut ticks)| async move {
        ticks.tick().await;
        let alive = match timeout(ALIVE_DEADLINE, client.apiserver_version()).await {
            Ok(Ok(_) | Err(kube::Error::Api(_))) => Ok(()),
            Ok(Err(error)) => Err(connect::words(&error)),
            Err(_) => Err(format!("no answer within {ALIVE_DEADLINE:?}")),
        };
        Some((Happened::Alive(alive), (client, ticks)))
    }))
}

#[cfg(test)]
mod tests;
