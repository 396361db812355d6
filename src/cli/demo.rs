//! `highwater demo`: the dashboard on the simulated world, over the very protocols that it speaks to yours.

use super::{
    Failure, Outcome,
    args::{Common, Demo},
    common, dashboard, play,
};
use crate::{
    config::{Config, Overrides},
    engine::Options,
    history::{History, store::Store},
    model::{Entity, Label, Mode, Role, SignalKey, Time, WorkloadKind},
    tui::cast::Cast,
    world::{self, World},
};
use std::{path::Path, sync::Arc};

/// What the demo's workloads are, in the words of a configuration that you could have written.
const CONFIG: &str = include_str!("../../config/demo.toml");

/// Runs it; `record`: with everything that is drawn in that file too.
pub(super) fn run(common: &Common, args: &Demo, record: Option<&Path>) -> Outcome {
    let mode = if args.watch { Mode::Watch } else { Mode::Operate };
    if !(args.speed.is_finite() && args.speed > 0.0 && args.speed <= 1000.0) {
        return Err(Failure::usage(format!("--speed {} is not above 0 and at most 1000", args.speed)));
    }
    dashboard::need_terminal("highwater snapshot --demo fraud draws one screen of it")?;
    let record = record.map(play::create).transpose()?.map(Cast::new);
    // Nothing of a demo is kept: its ledger and log lie in a folder that goes away with it.
    let scratch = tempfile::Builder::new()
        .prefix("highwater-demo-")
        .tempdir()
        .map_err(|e| Failure::failed(format!("cannot make a temporary folder: {e}")))?;
    common::log(common, Some(scratch.path()))?;
    let runtime = common::runtime()?;
    let stage = runtime.block_on(Stage::build(common, &args.scenario, args.seed, args.speed, Time::now()))?;
    let (config, clock) = (stage.config.clone(), stage.world.clock());
    let (past, folder) = (stage.past.clone(), scratch.path().to_owned());
    runtime.spawn_blocking(move || {
        if let Err(why) = store(&past, &folder) {
            tracing::error!("yesterday cannot be compared with: {why}");
        }
    });
    let settings =
        Options { config, clock, state: Some(scratch.path().to_owned()), past: Some(stage.past.clone()), days: false };
    let outcome =
        dashboard::run(common, dashboard::Show { demo: true, record, ..dashboard::Show::new(mode, settings) });
    drop(stage);
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    outcome
}

/// A simulated world with its three faces, and the configuration that finds them. Dropping it closes the faces.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) config: Config,
    /// What a dashboard would remember that had run all the week.
    pub(super) past: Arc<History>,
    _faces: (world::kafka::KafkaFace, world::prometheus::PrometheusFace, world::kubernetes::KubernetesFace),
}

impl Stage {
    /// Its clock begins at `start`.
    pub(super) async fn build(
        common: &Common,
        scenario: &str,
        seed: u64,
        speed: f64,
        start: Time,
    ) -> Result<Self, Failure> {
        let world = World::start_at(scenario, seed, speed, start).map_err(Failure::usage)?;
        let kafka = world::kafka::serve(world.clone()).await.map_err(Failure::failed)?;
        let prometheus = world::prometheus::serve(world.clone()).await.map_err(Failure::failed)?;
        let kubernetes = world::kubernetes::serve(world.clone()).await.map_err(Failure::failed)?;
        let mut config = Config::parse(CONFIG, "config/demo.toml", false)
            .map_err(|e| Failure::failed(format!("the demo's own configuration: {e}")))?;
        config.kubernetes = Some(kubernetes.settings());
        config.apply(Overrides {
            kafka: Some(kafka.bootstrap.clone()),
            prometheus: Some(prometheus.url.clone()),
            theme: common.theme.clone(),
            ascii: common.ascii,
            low_bandwidth: common.low_bandwidth,
            ..Overrides::default()
        });
        let past = Arc::new(past(&world, &config));
        Ok(Self { world, config, past, _faces: (kafka, prometheus, kubernetes) })
    }
}

/// Puts the week before into the demo's history file, where a comparison with yesterday looks for it.
fn store(past: &History, folder: &Path) -> Result<(), String> {
    let mut samples = Vec::new();
    for key in past.keys() {
        samples.extend(past.samples(key, Time::from_millis(i64::MIN)).into_iter().map(|s| (key.clone(), s)));
    }
    Store::open(folder)?.append(&samples)
}

/// The demand of the week before, as the history of earlier runs.
fn past(world: &World, config: &Config) -> History {
    let mut history = History::default();
    let past = world.with(|state| state.past());
    let kafka = config.kafka.first().map(|k| &k.name);
    let prometheus = config.prometheus.first().map(|p| &p.name);
    let all = [(WorkloadKind::ConsumerGroup, kafka, past.groups), (WorkloadKind::Inference, prometheus, past.services)];
    for (kind, source, found) in all {
        for (id, samples) in found {
            let Some(source) = source.cloned() else { continue };
            let entity = Entity { kind, source, id: Label::new(id) };
            history.backfill(&SignalKey { entity, role: Role::Demand }, &samples);
        }
    }
    history
}
