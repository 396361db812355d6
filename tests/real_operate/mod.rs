//! The whole engine on a real API server: each approval from the key to its end, and what the ledger says of it.
//!
//! Group and metrics come from the simulated world, which runs faster than the clock on the wall, so that what takes a
//! minute by the engine's clock takes seconds here. The API server, its controllers and the writes are real.

mod faults;
mod floor;
mod jobs;
mod watching;

use crate::{real::kubernetes::Namespace, support::PATIENCE};
use highwater::{
    config::Config,
    engine::{self, Handle, Operating, Options},
    ledger::{self, Entry},
    model::{Action, ActionId, ActionState, Intent, KubernetesSettings, Picture, Prepared},
    process::Clock,
    world::{self, World},
};
use std::{fmt::Write as _, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, timeout_at};

/// The world's groups: each workload has one of its own, for what is learned is learned of a group.
const GROUPS: [&str; 4] = ["fraud-scorer", "payments-audit", "orders-etl", "clickstream"];
/// How fast the engine's clock runs.
const SPEED: f64 = 10.0;

/// A state directory, a configuration and the world that the group lives in. The engine on it can be started again.
struct Stage {
    dir: TempDir,
    text: String,
    config: Config,
    world: World,
    _faces: (world::kafka::KafkaFace, world::prometheus::PrometheusFace),
}

impl Stage {
    /// Each workload scales the deployment of its name in `space`.
    async fn build(space: &Namespace, settings: KubernetesSettings, workloads: &[&str]) -> Self {
        let targets = workloads.iter().map(|name| format!("deploy/{}/{name}", space.name));
        let workloads: Vec<_> = workloads.iter().map(|w| (*w).to_owned()).zip(targets).collect();
        Self::with(settings, &workloads, "").await
    }

    /// Workloads by name and target, and more of a configuration.
    async fn with(settings: KubernetesSettings, workloads: &[(String, String)], more: &str) -> Self {
        let world = World::start("fraud", 7, SPEED).unwrap();
        let kafka = world::kafka::serve(world.clone()).await.unwrap();
        let prometheus = world::prometheus::serve(world.clone()).await.unwrap();
        let mut text = format!(
            "[kafka.w]\n\"bootstrap.servers\" = \"{}\"\nrefresh = \"3s\"\n[prometheus.w]\nurl = \"{}\"\n\
             [limits]\nactions_per_hour = 100\nin_flight = 50\n{more}",
            kafka.bootstrap, prometheus.url
        );
        assert!(workloads.len() <= GROUPS.len());
        for ((name, target), group) in workloads.iter().zip(GROUPS) {
            let _ = write!(
                text,
                "[[workload]]\nname = \"{name}\"\ngroup = \"{group}\"\ntarget = \"{target}\"\n\
                 replicas = {{ min = 0, max = 24 }}\nslo = {{ time_lag = \"30s\" }}\n\
                 guard = {{ cooldown_up = \"0s\", cooldown_down = \"0s\", max_step_down = 1.0, surge = \"3m\" }}\n"
            );
        }
        let mut config = Config::parse(&text, "test.toml", true).unwrap_or_else(|e| panic!("{e}"));
        config.kubernetes = Some(KubernetesSettings { kinds: config.kinds(), ..settings });
        Self { dir: TempDir::new().unwrap(), text, config, world, _faces: (kafka, prometheus) }
    }

    fn start(&self) -> Desk {
        let state = Some(self.dir.path().to_owned());
        let clock = self.world.clock();
        Desk {
            handle: engine::operate(Options { config: self.config.clone(), clock, state, past: None, days: false }),
            clock,
        }
    }

    fn ledger(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }

    /// Every entry, of a record that verifies.
    fn entries(&self) -> Vec<Entry> {
        assert_eq!(ledger::verify(&self.ledger()).unwrap().problem, None);
        ledger::read(&self.ledger()).unwrap().entries
    }

    /// The states that an action went through.
    fn states(&self, id: &ActionId) -> Vec<&'static str> {
        let of_it = self.entries().into_iter().filter(|e| e.action.as_ref() == Some(id));
        of_it.filter_map(|e| e.state).map(ActionState::name).collect()
    }
}

/// An engine, and an operator in front of it.
struct Desk {
    handle: Handle<Operating>,
    clock: Clock,
}

impl Desk {
    /// Waits for a picture in which `look` finds something.
    async fn picture<T>(&mut self, what: &str, look: impl Fn(&Picture) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let picture: Arc<Picture> = self.handle.pictures.borrow_and_update().clone();
            if let Some(found) = look(&picture) {
                return found;
            }
            let next = timeout_at(deadline, self.handle.pictures.changed()).await;
            let (told, actions) = (&picture.notices, &picture.actions);
            assert!(matches!(next, Ok(Ok(()))), "not in time: {what}. Told: {told:#?}, actions: {actions:#?}");
        }
    }

    async fn send(&self, intent: Intent) {
        self.handle.intents().send(intent).await.unwrap();
    }

    /// Asks for a count until the plan may be confirmed; what holds it back for a moment (a rebalance, a plan that
    /// changed in between) is waited for.
    async fn prepare(&mut self, workload: &str, to: u32) -> Arc<Prepared> {
        self.prepare_way(workload, to, 0).await
    }

    /// The same by one of the ways that stick.
    async fn prepare_way(&mut self, workload: &str, to: u32, way: usize) -> Arc<Prepared> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let plan_hash = self
                .picture("a recommendation", |p| {
                    let advice = p.workload(workload)?.advice.recommendation.as_ref().ok()?;
                    Some(advice.plan_hash.clone())
                })
                .await;
            let before = self.handle.pictures.borrow().prepared.as_ref().map(|p| p.action.clone());
            let asked = self.clock.now();
            self.send(Intent::Prepare { workload: workload.into(), to, plan_hash, way }).await;
            // Prepared, or told why not: "the plan for it changed", "it has no recommendation".
            let answer = self.picture("an answer", |p| {
                let fits =
                    |q: &&Arc<Prepared>| q.workload == *workload && q.asked == to && Some(&q.action) != before.as_ref();
                if let Some(prepared) = p.prepared.as_ref().filter(fits) {
                    return Some(Some(prepared.clone()));
                }
                let told = p.notices.iter().filter(|n| n.at >= asked).map(|n| n.text.as_str());
                let mut ours = told.filter(|t| t.contains(workload));
                ours.any(|t| t.contains("look again") || t.contains("no recommendation")).then_some(None)
            });
            match answer.await {
                Some(prepared) if prepared.refused.is_empty() => return prepared,
                refused => {
                    assert!(Instant::now() < deadline, "{workload} cannot be confirmed: {refused:?}");
                    if let Some(prepared) = refused {
                        self.send(Intent::Abandon { action: prepared.action.clone() }).await;
                        self.picture("the dialog is gone", |p| p.prepared.is_none().then_some(())).await;
                    }
                }
            }
        }
    }

    async fn confirm(&self, prepared: &Prepared) {
        let (action, plan_hash) = (prepared.action.clone(), prepared.plan_hash.clone());
        self.send(Intent::Confirm { action, plan_hash }).await;
    }

    /// Approves a change; what became of it is looked for with [`Desk::action`]. One that is held back in the last moment
    /// for want of fresh data, which happens on a busy machine, is asked for again.
    async fn approve(&mut self, workload: &str, to: u32) -> ActionId {
        loop {
            let prepared = self.prepare(workload, to).await;
            self.confirm(&prepared).await;
            let id = prepared.action.clone();
            let begun = self.action("it is decided", |a| {
                a.id == id && !matches!(a.state, ActionState::Proposed | ActionState::Approved)
            });
            let begun = begun.await;
            let for_want_of_data =
                ["no recommendation", "went stale", "went missing"].iter().any(|w| begun.reason.as_str().contains(w));
            if begun.state != ActionState::Rejected || !for_want_of_data {
                return id;
            }
        }
    }

    /// The first action that `look` takes, newest first.
    async fn action(&mut self, what: &str, look: impl Fn(&Action) -> bool) -> Action {
        self.picture(what, |p| p.actions.iter().find(|a| look(a)).cloned()).await
    }

    /// An action once it is in a state.
    async fn reaches(&mut self, id: &ActionId, state: ActionState) -> Action {
        let what = format!("{id} is {}", state.name());
        self.action(&what, |a| a.id == *id && a.state == state).await
    }

    async fn told(&mut self, part: &str) -> String {
        let what = format!("the operator is told: {part}");
        self.picture(&what, |p| {
            let notice = p.notices.iter().find(|n| n.text.as_str().contains(part))?;
            Some(notice.text.to_string())
        })
        .await
    }
}
