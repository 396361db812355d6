//! Joins the answers of one refresh into an [`MlState`]. Pure.

use super::{
    decode::{Answer, Series},
    detect::Question,
    packs::Templates,
    slots::Slot,
};
use crate::model::{
    BrokerMetrics, Course, Entity, Gpu, Label, MlState, Quality, Queue, Reading, Service, SignalKey, Training,
};
use std::collections::{BTreeMap, BTreeSet};

/// The state while it is put together: earlier answers win where two fill the same field of the same thing.
pub(super) struct Assembly<'p> {
    /// What readings come from: `prometheus main`.
    origin: String,
    /// Workloads whose rows come from questions about them alone.
    alone: &'p BTreeSet<Entity>,
    gpus: BTreeMap<(Label, Label), Gpu>,
    /// GPU by UUID, so that two exporters of one GPU fill one entry.
    uuids: BTreeMap<Label, (Label, Label)>,
    services: BTreeMap<Label, Service>,
    queues: BTreeMap<Label, Queue>,
    trainings: BTreeMap<Label, Training>,
    brokers: BTreeMap<Label, BrokerMetrics>,
    warnings: BTreeSet<Label>,
}

impl<'p> Assembly<'p> {
    /// Nothing known yet.
    pub(super) fn new(origin: String, alone: &'p BTreeSet<Entity>) -> Self {
        Self {
            origin,
            alone,
            gpus: BTreeMap::new(),
            uuids: BTreeMap::new(),
            services: BTreeMap::new(),
            queues: BTreeMap::new(),
            trainings: BTreeMap::new(),
            brokers: BTreeMap::new(),
            warnings: BTreeSet::new(),
        }
    }

    /// Keeps a sentence for the operator, each once.
    pub(super) fn warn(&mut self, text: Label) {
        self.warnings.insert(text);
    }

    /// Adds the rows of one answer.
    pub(super) fn add(&mut self, question: &Question, answer: &Answer) {
        let hidden = hidden_labels(&answer.series);
        let templates = question.pack.templates(question.slot);
        if is_torn(question, answer) {
            self.warn(Label::new(&format!(
                "{} gives {} series for its select, where one is needed: narrow it",
                question.about(),
                answer.series.len()
            )));
            return;
        }
        for series in &answer.series {
            let part = |name: &str| part(templates, name, series, &hidden);
            let Some(reading) = self.reading(question, answer, series) else { continue };
            let pack = Label::new(&question.pack.name);
            let of_all = part("name").unwrap_or_else(|| pack.clone());
            let name = || question.alone.as_ref().map_or_else(|| of_all.clone(), |entity| entity.id.clone());
            let is_of = |e: &Entity| question.slot.kind() == Some(e.kind) && e.id == of_all;
            if question.alone.is_none() && self.alone.iter().any(is_of) {
                continue; // a question about it alone tells what is its own
            }
            let field = match question.slot {
                Slot::Gpu(field) => field(self.gpu(&part)),
                Slot::Service(field, _) => {
                    let new = || Service { name: name(), pack: pack.clone(), ..Service::default() };
                    field(self.services.entry(name()).or_insert_with(new))
                }
                Slot::Queue(field, _) => {
                    let new = || Queue {
                        name: name(),
                        pack: pack.clone(),
                        waiting: None,
                        running: None,
                        workers: None,
                        quota_left: None,
                    };
                    field(self.queues.entry(name()).or_insert_with(new))
                }
                Slot::Training(field, _) => field(self.trainings.entry(name()).or_insert_with(|| training(name()))),
                Slot::Broker(field) => field(self.brokers.entry(name()).or_insert_with(|| broker(name()))),
                Slot::Pods => {
                    let new = || Service { name: name(), pack: pack.clone(), ..Service::default() };
                    self.services.entry(name()).or_insert_with(new).pods.extend(pod_of(series));
                    continue;
                }
                Slot::Group(_) => continue,
            };
            field.get_or_insert(reading);
        }
        for warning in &answer.warnings {
            self.warn(warning.clone());
        }
    }

    /// The finished lists, written into `state`.
    pub(super) fn finish(self, state: &mut MlState) {
        state.gpus = self.gpus.into_values().collect();
        state.services = self.services.into_values().collect();
        state.queues = self.queues.into_values().collect();
        state.trainings = self.trainings.into_values().collect();
        state.brokers = self.brokers.into_values().collect();
        state.warnings = self.warnings.into_iter().collect();
    }

    /// NaN and infinities are no readings: a quantile of an empty histogram is *missing*.
    fn reading(&self, question: &Question, answer: &Answer, series: &Series) -> Option<Reading> {
        let (at, value) = series.last()?;
        let reading = Reading::new(value * question.scale, at, format!("{}: {}", self.origin, question.promql))?;
        Some(if answer.partial || series.partial {
            reading.with_quality(Quality::Partial)
        } else if question.promql.contains("histogram_quantile") {
            reading.with_quality(Quality::Estimated) // interpolated inside a bucket
        } else {
            reading
        })
    }

    fn gpu(&mut self, part: &dyn Fn(&str) -> Option<Label>) -> &mut Gpu {
        let own = (part("host").unwrap_or_default(), part("gpu").unwrap_or_default());
        let key = match part("uuid") {
            Some(uuid) => self.uuids.entry(uuid).or_insert(own).clone(),
            None => own,
        };
        let gpu = self.gpus.entry(key.clone()).or_insert_with(|| Gpu {
            host: key.0,
            gpu: key.1,
            model: None,
            pod: None,
            utilisation: None,
            memory_used: None,
            memory_total: None,
            power: None,
            temperature: None,
            xid: None,
        });
        gpu.model = gpu.model.take().or_else(|| part("model"));
        gpu.pod = gpu.pod.take().or_else(|| part("pod"));
        gpu
    }
}

/// Whether what was asked about one workload alone came in several rows: none of them is the whole.
pub(super) fn is_torn(question: &Question, answer: &Answer) -> bool {
    question.alone.is_some() && answer.series.len() > 1 && !matches!(question.slot, Slot::Pods)
}

/// What an answer's rows are about; `None`: nothing that has a history, or what a question about it alone tells of.
pub(super) fn keys(
    (source, alone): (&Label, &BTreeSet<Entity>),
    question: &Question,
    rows: &[Series],
) -> Vec<Option<Entity>> {
    let (Some(kind), None) = (question.slot.kind(), &question.alone) else {
        return vec![question.alone.clone(); rows.len()];
    };
    let hidden = hidden_labels(rows);
    let templates = question.pack.templates(question.slot);
    let id =
        |series: &Series| part(templates, "name", series, &hidden).unwrap_or_else(|| Label::new(&question.pack.name));
    let entity = |series| Some(Entity { kind, source: source.clone(), id: id(series) });
    rows.iter().map(|series| entity(series).filter(|e| !alone.contains(e))).collect()
}

/// The series that an answer should tell and does not: rows of exporters that do not answer, and what came in several.
pub(super) fn lacking(of: (&Label, &BTreeSet<Entity>), question: &Question, answer: &Answer) -> Vec<SignalKey> {
    let rows = if is_torn(question, answer) { &answer.series } else { &answer.lacking };
    let entities = keys(of, question, rows).into_iter().flatten();
    entities.flat_map(|e| signals(&e, question.slot).collect::<Vec<_>>()).collect()
}

/// The training run that each of an answer's rows is about.
pub(super) fn runs(question: &Question, answer: &Answer) -> Vec<Label> {
    let hidden = hidden_labels(&answer.series);
    let templates = question.pack.templates(question.slot);
    let name = |series: &Series| part(templates, "name", series, &hidden);
    answer.series.iter().map(|s| name(s).unwrap_or_else(|| Label::new(&question.pack.name))).collect()
}

/// Signal keys of an entity under every role of a slot.
pub(super) fn signals(entity: &Entity, slot: Slot) -> impl Iterator<Item = SignalKey> + '_ {
    slot.roles().iter().map(|role| SignalKey { entity: entity.clone(), role: *role })
}

/// Labels whose `exported_` twin occurs: they belong to the exporter, not to the thing that it tells of.
fn hidden_labels(series: &[Series]) -> BTreeSet<String> {
    let names = series.iter().flat_map(|s| s.labels.iter()).filter(|(_, value)| !value.is_empty());
    names.filter_map(|(name, _)| name.as_str().strip_prefix("exported_")).map(str::to_owned).collect()
}

/// One part of an identity: the first template whose labels are all there.
fn part(templates: &Templates, name: &str, series: &Series, hidden: &BTreeSet<String>) -> Option<Label> {
    templates.get(name)?.iter().find_map(|template| fill(template, series, hidden))
}

fn fill(template: &str, series: &Series, hidden: &BTreeSet<String>) -> Option<Label> {
    let mut pieces = template.split('{');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (label, rest) = piece.split_once('}')?;
        if hidden.contains(label) {
            return None;
        }
        out += series.label(label)?.as_str();
        out += rest;
    }
    Some(Label::new(&out))
}

/// The pod that a series comes from, `NAMESPACE/NAME`. Where an exporter tells of other pods than its own, the labels of
/// those are the `exported_` ones.
fn pod_of(series: &Series) -> Option<Label> {
    let label = |name: &str| series.label(&format!("exported_{name}")).or_else(|| series.label(name));
    let pod = label("pod")?;
    Some(label("namespace").map_or_else(|| pod.clone(), |namespace| Label::new(&format!("{namespace}/{pod}"))))
}

fn training(name: Label) -> Training {
    Training { name, step: None, total_steps: None, loss: None, token_rate: None, eta: None, course: Course::default() }
}

fn broker(broker: Label) -> BrokerMetrics {
    BrokerMetrics {
        broker,
        cpu: None,
        heap: None,
        memory: None,
        bytes_in: None,
        bytes_out: None,
        messages_in: None,
        under_replicated: None,
        offline: None,
        handler_idle: None,
    }
}
