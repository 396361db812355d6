//! Starts the sources, each in a task of its own, and starts one again that broke.

use super::Options;
use crate::{
    act::Observer,
    model::{Health, Label, Observation, SourceKind, SourceStatus, Time},
    process::Clock,
    source,
};
use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};
use tokio::{sync::mpsc::Sender, task::JoinSet, time};

/// Pause before a source that panicked is started again.
const RESTART: Duration = Duration::from_secs(5);
/// How often command targets are asked for their counts, seconds.
const OBSERVE: f64 = 3.0;

/// Starts every configured source. `known`: from when to when demand is known from earlier runs, by cluster and group.
pub(super) fn start(
    options: &Options,
    known: &HashMap<Label, HashMap<Label, (Time, Time)>>,
    out: &Sender<Observation>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (config, clock) = (&options.config, options.clock);
    for settings in config.kafka.clone() {
        let (name, out) = (settings.name.clone(), out.clone());
        let known = Arc::new(known.get(&name).cloned().unwrap_or_default());
        tasks.spawn(keep(SourceKind::Kafka, name, clock, out.clone(), move || {
            source::kafka::run(settings.clone(), clock, known.clone(), out.clone())
        }));
    }
    for settings in config.prometheus.clone() {
        let (name, out) = (settings.name.clone(), out.clone());
        tasks.spawn(keep(SourceKind::Prometheus, name, clock, out.clone(), move || {
            source::prometheus::run(settings.clone(), clock, out.clone())
        }));
    }
    if let Some(settings) = config.kubernetes.clone() {
        let name = Label::new(settings.context.as_deref().unwrap_or("in-cluster"));
        let out = out.clone();
        tasks.spawn(keep(SourceKind::Kubernetes, name, clock, out.clone(), move || {
            source::kubernetes::run(settings.clone(), clock, out.clone())
        }));
    }
    let observer = Observer::new(&config.commands, clock).with(&config.webhooks, &config.patch_files);
    if !observer.is_empty() {
        let out = out.clone();
        tasks.spawn(keep(SourceKind::Command, Label::new("commands"), clock, out.clone(), move || {
            observer.clone().run(OBSERVE, out.clone())
        }));
    }
    tasks
}

/// Runs a source until it ends; one that panics is said to be down and started again. A panic is a bug, but at 3 a.m.
/// the other sources matter more.
async fn keep<F, R>(kind: SourceKind, name: Label, clock: Clock, out: Sender<Observation>, start: F)
where
    F: Fn() -> R,
    R: Future<Output = ()> + Send + 'static,
{
    loop {
        let Err(error) = tokio::spawn(start()).await else { return };
        if error.is_cancelled() || out.is_closed() {
            return;
        }
        let now = clock.now();
        tracing::error!("the source {} {name} broke: {error}", kind.name());
        let detail =
            Label::new(&format!("the reader broke and is started again: {error}; please report it with the log"));
        let status = SourceStatus {
            name: name.clone(),
            kind,
            health: Health::Down,
            since: now,
            answered: None,
            cadence: 5.0,
            detail,
        };
        if out.send(Observation::Health(status)).await.is_err() {
            return;
        }
        time::sleep(RESTART).await;
    }
}
