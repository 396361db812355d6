//! What configuration and sources know about the workload behind an object: told by nobody, seen by the dashboard.

use crate::{
    cli::{Failure, args::Common, common, once},
    config::Config,
    lint::{Facts, Known, Protocol},
    manifest::{Manifest, Object},
    model::{Role, Target, Workload, WorkloadView},
    process::Clock,
};
use std::sync::Arc;

/// Seconds that the sources are watched: two refreshes are needed for rates.
const SETTLE: f64 = 5.0;
/// A demand that was seen for less than this has no quiet hours and no peak, seconds.
const DAY: f64 = 86_400.0;

/// Workloads as they are configured, or seen.
#[derive(Default)]
pub(super) struct Workloads {
    configured: Vec<Workload>,
    seen: Vec<Arc<WorkloadView>>,
    file: String,
}

impl Workloads {
    /// Those of a configuration that was named; its sources are not asked.
    pub(super) fn configured(common: &Common) -> Result<Self, Failure> {
        if common.config.is_none() {
            return Ok(Self::default());
        }
        let config = common::config(common)?;
        Ok(Self { configured: config.workloads(), seen: Vec::new(), file: config.origin() })
    }

    /// Those that the sources show, where there are any beside the cluster.
    pub(super) fn seen(config: Config) -> Result<Self, Failure> {
        let (configured, file) = (config.workloads(), config.origin());
        if config.kafka.is_empty() && config.prometheus.is_empty() {
            return Ok(Self { configured, seen: Vec::new(), file });
        }
        let state = common::state_path().filter(|p| p.exists());
        let picture = common::runtime()?.block_on(once::picture(
            config,
            Clock::wall(),
            state,
            None,
            once::Wait { settle: SETTLE, days: false },
        ))?;
        Ok(Self { configured, seen: picture.workloads.to_vec(), file })
    }

    /// Facts with what is known of the object's workload where nobody told better.
    pub(super) fn complete(&self, facts: Facts, manifest: &Manifest) -> Facts {
        let is_it = |workload: &Workload| workload.target.as_ref().is_some_and(|t| aims_at(&manifest.object, t));
        let mut facts = facts;
        if let Some(view) = self.seen.iter().find(|v| is_it(&v.workload)) {
            facts = seen(facts, view);
        }
        let configured = self.configured.iter().find(|w| is_it(w));
        if let Some((workload, slo)) = configured.and_then(|w| Some((w, w.slo.time_lag?)))
            && !facts.slo.is_told()
        {
            facts.slo = Known::told(slo, &format!("workload {} of {}", workload.name, self.file));
        }
        facts
    }
}

fn aims_at(object: &Object, target: &Target) -> bool {
    let Some((kind, namespace, name)) = target.kubernetes() else { return false };
    let (own_kind, own_namespace, own_name) = match object {
        Object::Hpa(h) => (&h.target_kind, &h.namespace, &h.target_name),
        Object::ScaledObject(s) => (&s.target_kind, &s.namespace, &s.target_name),
    };
    (own_kind.as_str(), own_namespace, own_name) == (kind, namespace, name)
}

fn seen(mut facts: Facts, view: &WorkloadView) -> Facts {
    let by = format!("seen on {}", view.workload.entity.source);
    let state = &view.state;
    facts.partitions = facts.partitions.or_else(|| state.partitions.filter(|n| *n > 0).map(|n| Known::told(n, &by)));
    if let Some(demand) = view.signal(Role::Demand) {
        let mut values: Vec<f64> = demand.track.grid().values.into_iter().flatten().collect();
        values.sort_by(f64::total_cmp);
        let mean = (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        let rate = mean.or_else(|| demand.now.as_ref().map(|now| now.value)).filter(|r| *r > 0.0);
        facts.rate = facts.rate.or_else(|| rate.map(|r| Known::told(r, &by)));
        if values.len() as f64 * demand.track.step >= DAY {
            let at = |share: f64| values.get((share * (values.len() - 1) as f64) as usize).copied();
            let range = at(0.02).zip(at(0.98)).map(|range| Known::told(range, &by));
            facts.range = facts.range.or(range);
        }
    }
    if let (None, Some(capacity)) = (&facts.consumer_rate, &view.advice.capacity) {
        facts.consumer_rate = Some(if capacity.samples > 0 {
            Known::told(capacity.per_replica, &format!("measured at its limit {} times", capacity.samples))
        } else {
            Known::assumed(capacity.per_replica, "never seen at its limit, so at least that; --consumer-rate tells")
        });
    }
    if let (false, Some(sticky)) = (facts.protocol.is_told(), state.sticky) {
        facts.protocol = Known::told(if sticky { Protocol::Cooperative } else { Protocol::Eager }, &by);
    }
    facts
}
