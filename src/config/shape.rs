//! What replicas and jobs take, what one broker can do, and the pools that workloads share.

use super::{Config, reader::Section};
use crate::model::{BrokerLimits, Budget, Label, Limits, Shape, WorkloadKind};
use std::collections::BTreeSet;

/// Bounds of a workload without `replicas`. Nobody made a hundred the most that a pool of brokers may have.
pub(super) fn limits(kind: WorkloadKind) -> Limits {
    let usual = Limits::default();
    if kind == WorkloadKind::Brokers { Limits { max: 1_000, ..usual } } else { usual }
}

/// `gpus` and `batch` of a workload.
pub(super) fn shape(s: &Section<'_>, kind: WorkloadKind) -> Shape {
    let mut shape = Shape { gpus: s.count("gpus", 0).unwrap_or(1), ..Shape::default() };
    if let Some(batch) = s.section("batch") {
        if kind != WorkloadKind::Batch {
            s.wrong("batch", format!("only a workload of kind batch has jobs; this one is {}", kind.name()));
        }
        shape.gang = batch.count("gang", 1).unwrap_or(shape.gang);
        shape.run = batch.duration("run").filter(|run| *run > 0.0);
        batch.finish();
    }
    shape
}

/// `broker` of a workload of kind brokers.
pub(super) fn broker(s: &Section<'_>, kind: WorkloadKind) -> Option<BrokerLimits> {
    let b = s.section("broker")?;
    if kind != WorkloadKind::Brokers {
        s.wrong("broker", format!("only a workload of kind brokers has it; this one is {}", kind.name()));
    }
    let usual = BrokerLimits::default();
    let above = |key: &'static str, usual: f64| match b.number(key, 0.0) {
        Some(0.0) => {
            b.wrong(key, "0 of it would need brokers without end: write what one broker has");
            usual
        }
        given => given.unwrap_or(usual),
    };
    let ratio = |key: &'static str, usual: f64| {
        let share = above(key, usual);
        if share > 1.0 {
            b.wrong(key, format!("{share}: a share from 0 to 1 belongs here"));
        }
        share
    };
    let limits = BrokerLimits {
        network: above("network", usual.network),
        disk: above("disk", usual.disk),
        cores: above("cores", usual.cores),
        fill: ratio("fill", usual.fill),
        cpu: ratio("cpu", usual.cpu),
        throttle: above("throttle", usual.throttle),
        days: b.number("days", 0.0).unwrap_or(usual.days),
    };
    b.finish();
    Some(limits)
}

/// `[[budget]]`: each workload has GPUs of one pool.
pub(super) fn budgets(root: &Section<'_>, config: &mut Config) {
    let mut taken: BTreeSet<Label> = BTreeSet::new();
    for s in root.list("budget") {
        let workloads: Vec<Label> = s.texts("workloads").unwrap_or_default().iter().map(|w| Label::new(w)).collect();
        for name in &workloads {
            match config.workloads.iter().find(|w| w.name == *name) {
                None => s.wrong("workloads", format!("there is no [[workload]] named {:?}", name.as_str())),
                Some(w) if !matches!(w.kind, WorkloadKind::Inference | WorkloadKind::Batch) => {
                    let kind = w.kind.name();
                    s.wrong("workloads", format!("{name} is {kind}: only inference and batch workloads share GPUs"));
                }
                Some(_) if !taken.insert(name.clone()) => {
                    s.wrong("workloads", format!("{name} shares another pool already: one pool a workload"));
                }
                Some(_) => {}
            }
        }
        match (s.label("name"), s.count("gpus", 1)) {
            (Some(name), Some(gpus)) => config.budgets.push(Budget { name, gpus, workloads }),
            (None, _) => s.wrong("name", "is missing"),
            (_, None) => s.wrong("gpus", "is missing: how many GPUs the pool has"),
        }
        s.finish();
    }
}

/// Seconds after midnight of `06:00`; `None` for anything else.
pub(super) fn time_of_day(text: &str) -> Option<f64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60 && text.len() <= 5).then(|| f64::from(hours * 3_600 + minutes * 60))
}
