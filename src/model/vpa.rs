//! VerticalPodAutoscalers: what each container of a target should ask for. They are read and shown, never written.
//!
//! `autoscaling.k8s.io/v1` of kubernetes/autoscaler (`pkg/apis/autoscaling.k8s.io/v1/types.go`, vertical-pod-autoscaler 1.5).

use super::{Hpa, HpaMetric, Label, MetricSource, Time, bytes, si};
use serde::Serialize;
use std::fmt;

/// A VerticalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Vpa {
    /// Namespace.
    pub namespace: Label,
    /// Name.
    pub name: Label,
    /// `spec.targetRef.kind`.
    pub target_kind: Label,
    /// `spec.targetRef.name`.
    pub target_name: Label,
    /// What it does beside recommending.
    pub mode: VpaMode,
    /// `status.recommendation.containerRecommendations`; empty: none was made yet.
    pub containers: Vec<VpaContainer>,
    /// Why there is no recommendation, by the recommender's own words.
    pub trouble: Option<Label>,
}

/// `spec.updatePolicy.updateMode`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum VpaMode {
    /// It recommends and changes nothing.
    Off,
    /// Any other, as written: pods get what it recommends, at their start at the latest.
    Acts(Label),
}

impl VpaMode {
    /// Reads a mode. An absent one acts: `Auto` it was called until 1.5, `Recreate` since; both evict pods.
    pub fn of(text: Option<&str>) -> Self {
        match text.unwrap_or("") {
            "Off" => Self::Off,
            "" => Self::Acts(Label::new("Recreate")),
            other => Self::Acts(Label::new(other)),
        }
    }

    /// As it is written.
    pub fn name(&self) -> &str {
        match self {
            Self::Off => "Off",
            Self::Acts(mode) => mode.as_str(),
        }
    }
}

/// How a number is said.
type Say = fn(f64) -> String;

impl fmt::Display for Vpa {
    /// `VPA web (Off): server cpu 1.2 (0.8 to 2.4), memory 2.1 GiB (1.5 GiB to 4 GiB)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VPA {} ({})", self.name, self.mode.name())?;
        if self.containers.is_empty() {
            let why = self.trouble.as_ref().map_or(String::new(), |t| format!(": {t}"));
            return write!(f, ": no recommendation yet{why}");
        }
        for (i, c) in self.containers.iter().enumerate() {
            write!(f, "{} {}", if i == 0 { ":" } else { ";" }, c.name)?;
            let parts = [("cpu", c.cpu, si as Say), ("memory", c.memory, bytes)];
            let parts = parts.into_iter().filter_map(|(name, range, say)| Some((name, range?, say)));
            for (j, (name, range, say)) in parts.enumerate() {
                write!(f, "{} {name} {}", if j == 0 { "" } else { "," }, say(range.target))?;
                if let (Some(lower), Some(upper)) = (range.lower, range.upper) {
                    write!(f, " ({} to {})", say(lower), say(upper))?;
                }
                if let Some(uncapped) = range.uncapped.filter(|u| (u - range.target).abs() > 1e-9) {
                    write!(f, ", {} without its limits", say(uncapped))?;
                }
            }
        }
        Ok(())
    }
}

/// What is recommended for one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VpaContainer {
    /// `containerName`.
    pub name: Label,
    /// Cores; `None`: the VPA does not control it.
    pub cpu: Option<VpaRange>,
    /// Bytes; `None`: the VPA does not control it.
    pub memory: Option<VpaRange>,
}

/// What is recommended for one resource of a container: cores or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VpaRange {
    /// `target`: what the VPA would set.
    pub target: f64,
    /// `lowerBound`: less than this is too little.
    pub lower: Option<f64>,
    /// `upperBound`: more than this is waste.
    pub upper: Option<f64>,
    /// `uncappedTarget`: the target if the VPA's own policy had no limits.
    pub uncapped: Option<f64>,
}

/// What a container of a pod template asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Requests {
    /// The container.
    pub container: Label,
    /// `resources.requests.cpu`, cores.
    pub cpu: Option<f64>,
    /// `resources.requests.memory`, bytes.
    pub memory: Option<f64>,
}

/// The VPA of a workload's target, beside what its pod template asks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Vertical {
    /// The VPA.
    pub vpa: Vpa,
    /// What the containers of the template ask for.
    pub requests: Vec<Requests>,
    /// When it was last confirmed.
    pub at: Time,
    /// Where it was read: `kubernetes prod-eu`.
    pub origin: Label,
}

impl Vertical {
    /// What is wrong: sentences.
    pub fn troubles(&self, hpa: Option<&Hpa>) -> Vec<String> {
        let fights = hpa.and_then(|hpa| self.fights(hpa));
        fights.into_iter().chain(self.starved()).collect()
    }

    /// An HPA that counts by a resource whose request the VPA sets: a larger request looks like less use, so each takes
    /// back what the other did (the autoscaler's own README rules the pair out).
    fn fights(&self, hpa: &Hpa) -> Option<String> {
        let VpaMode::Acts(mode) = &self.vpa.mode else { return None };
        let resource = ["cpu", "memory"].into_iter().find(|r| self.sets(r) && counts_by(hpa, r))?;
        let (vpa, hpa) = (&self.vpa.name, &hpa.name);
        Some(format!(
            "VPA {vpa} ({mode}) sets the {resource} requests by which HPA {hpa} counts replicas: each takes back what the \
             other did; set the VPA's updateMode to Off, or take {resource} out of its controlledResources"
        ))
    }

    fn sets(&self, resource: &str) -> bool {
        self.vpa.containers.iter().any(|c| if resource == "cpu" { c.cpu.is_some() } else { c.memory.is_some() })
    }

    /// Containers that ask for less than the lower bound. Only of a VPA that changes nothing: where it acts, pods ask for
    /// what it recommends and not for what the template says.
    fn starved(&self) -> impl Iterator<Item = String> {
        let containers = self.vpa.containers.iter().filter(|_| self.vpa.mode == VpaMode::Off);
        containers.flat_map(|c| {
            let asked = self.requests.iter().find(|r| r.container == c.name);
            let pairs = [
                ("cpu", asked.and_then(|r| r.cpu), c.cpu, si as Say),
                ("memory", asked.and_then(|r| r.memory), c.memory, bytes),
            ];
            let low = |(resource, asked, range, say): (&str, Option<f64>, Option<VpaRange>, Say)| {
                let (asked, range) = (asked?, range?);
                let lower = range.lower.filter(|lower| asked < *lower)?;
                Some(format!(
                    "container {} asks for {resource} {}, VPA {} says {} at least and {} is right",
                    c.name,
                    say(asked),
                    self.vpa.name,
                    say(lower),
                    say(range.target)
                ))
            };
            pairs.into_iter().filter_map(low).collect::<Vec<_>>()
        })
    }
}

/// Whether an HPA counts by a resource. Without metrics it counts by CPU, and KEDA's triggers on both become such ones.
fn counts_by(hpa: &Hpa, resource: &str) -> bool {
    let by = |m: &HpaMetric| matches!(m.source, MetricSource::Resource | MetricSource::ContainerResource(_));
    (hpa.metrics.is_empty() && resource == "cpu") || hpa.metrics.iter().any(|m| by(m) && m.name == *resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MetricTarget;
    use std::collections::BTreeMap;

    const GIB: f64 = 1_073_741_824.0;

    /// A VPA on CPU and memory of the container `server`, which asks for 0.5 cores and 2 GiB.
    fn vertical(mode: &str) -> Vertical {
        let range = |lower, target, upper| {
            Some(VpaRange { target, lower: Some(lower), upper: Some(upper), uncapped: Some(target) })
        };
        let server = VpaContainer {
            name: "server".into(),
            cpu: range(0.8, 1.2, 2.4),
            memory: range(1.5 * GIB, 2.1 * GIB, 4.0 * GIB),
        };
        Vertical {
            vpa: Vpa {
                namespace: "shop".into(),
                name: "web".into(),
                target_kind: "Deployment".into(),
                target_name: "web".into(),
                mode: VpaMode::of(Some(mode)),
                containers: vec![server],
                trouble: None,
            },
            requests: vec![Requests { container: "server".into(), cpu: Some(0.5), memory: Some(2.0 * GIB) }],
            at: Time::default(),
            origin: "kubernetes prod".into(),
        }
    }

    fn hpa(source: MetricSource, name: &str) -> Hpa {
        let metric = HpaMetric {
            source,
            name: name.into(),
            selects: BTreeMap::new(),
            target: Some(MetricTarget::Utilization(70)),
        };
        Hpa { name: "web".into(), metrics: vec![metric], ..Hpa::default() }
    }

    #[test]
    fn target_and_bounds_are_said_with_their_units() {
        let mut v = vertical("Off");
        let words = "VPA web (Off): server cpu 1.2 (0.8 to 2.4), memory 2.1 GiB (1.5 GiB to 4 GiB)";
        assert_eq!(v.vpa.to_string(), words);
        v.vpa.containers[0].memory = None;
        v.vpa.containers[0].cpu = Some(VpaRange { target: 1.0, lower: None, upper: None, uncapped: Some(1.7) });
        assert_eq!(v.vpa.to_string(), "VPA web (Off): server cpu 1, 1.7 without its limits");
        v.vpa.containers.clear();
        v.vpa.trouble = Some("No pods match this VPA object".into());
        assert_eq!(v.vpa.to_string(), "VPA web (Off): no recommendation yet: No pods match this VPA object");
    }

    #[test]
    fn an_autoscaler_on_what_the_vpa_sets_is_fought() {
        let said = |mode: &str, hpa: &Hpa| vertical(mode).troubles(Some(hpa));
        let cpu = hpa(MetricSource::Resource, "cpu");
        for mode in ["Auto", "Recreate", "Initial", "InPlaceOrRecreate", ""] {
            let said = said(mode, &cpu);
            assert!(said.len() == 1 && said[0].contains("cpu requests by which HPA web counts"), "{mode}: {said:?}");
        }
        let container = hpa(MetricSource::ContainerResource("server".into()), "memory");
        assert!(said("Auto", &container)[0].contains("memory requests"));
        assert_eq!(said("Auto", &Hpa::default()).len(), 1, "without metrics an HPA counts by CPU");
        assert!(said("Auto", &hpa(MetricSource::External, "cpu")).is_empty(), "another metric of that name");
        assert!(vertical("Auto").troubles(None).is_empty());
        let mut memory_alone = vertical("Auto");
        memory_alone.vpa.containers[0].cpu = None;
        assert!(memory_alone.troubles(Some(&cpu)).is_empty(), "what it does not control it does not set");
    }

    #[test]
    fn asking_for_less_than_the_lower_bound_is_said_of_a_vpa_that_changes_nothing() {
        let said = vertical("Off").troubles(None);
        assert_eq!(said, ["container server asks for cpu 0.5, VPA web says 0.8 at least and 1.2 is right"]);
        let mut fed = vertical("Off");
        fed.requests[0].cpu = Some(0.8);
        assert!(fed.troubles(None).is_empty());
        fed.requests.clear();
        assert!(fed.troubles(None).is_empty(), "what asks for nothing is not compared");
    }
}
