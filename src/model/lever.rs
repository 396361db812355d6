//! What is written when a count has an owner: the owner's own bound, which sticks, instead of the count, which does not.

use super::{Label, Target, Time};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A bound of an autoscaler that an action moves so that the count follows.
///
/// The count of a target under an HPA or a ScaledObject is the autoscaler's: a direct write is taken back at its next
/// sync. So the action writes the autoscaler's floor or ceiling; `from` and `to` of the [`Action`](super::Action) stay
/// counts of the target. A bound that was moved for a surge is put back by an action of its own: [`Lever::back`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lever {
    /// The object that is written: `hpa/NAMESPACE/NAME` or `scaledobject/NAMESPACE/NAME`.
    pub object: Target,
    /// Its `metadata.uid`.
    pub uid: Label,
    /// The fields that are set, all in one write.
    pub set: Vec<FieldChange>,
    /// When an action of its own should put the fields back; `None`: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_at: Option<Time>,
}

/// One field of a [`Lever`]: the write happens only while it is still `from`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// Which.
    pub field: Field,
    /// What must be there; `None`: it must be absent.
    pub from: Option<u32>,
    /// What is written; `None`: it is removed.
    pub to: Option<u32>,
}

/// What can be set on an autoscaler, or on a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// The smallest count: `minReplicas` of an HPA, `minReplicaCount` of a ScaledObject.
    Floor,
    /// The largest count: `maxReplicas`, `maxReplicaCount`.
    Ceiling,
    /// KEDA's annotation `autoscaling.keda.sh/paused-scale-in`; 1 stands for `"true"`. The HPA stays and only grows.
    PausedScaleIn,
    /// `parallelism` of a Job. At 0 it has no pods and goes on when it is raised again.
    Parallelism,
}

impl Lever {
    /// The change that undoes this one: each field back to what it was, only while it is as this one left it.
    #[must_use]
    pub fn back(&self) -> Self {
        let set = self.set.iter().map(|c| FieldChange { field: c.field, from: c.to, to: c.from }).collect();
        Self { set, restore_at: None, ..self.clone() }
    }

    /// The new value of a field, if this lever sets it.
    pub fn new_value(&self, field: Field) -> Option<u32> {
        self.set.iter().find(|c| c.field == field)?.to
    }
}

impl fmt::Display for Lever {
    /// `hpa/payments/fraud: floor 2 → 10, ceiling 8 → 10`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.object)?;
        for (i, change) in self.set.iter().enumerate() {
            write!(f, "{} {change}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for FieldChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |v: Option<u32>| match (self.field, v) {
            (_, None) => "unset".to_owned(),
            (Field::PausedScaleIn, Some(v)) => (v != 0).to_string(),
            (_, Some(v)) => v.to_string(),
        };
        let name = match self.field {
            Field::Floor => "floor",
            Field::Ceiling => "ceiling",
            Field::PausedScaleIn => "paused-scale-in",
            Field::Parallelism => "parallelism",
        };
        write!(f, "{name} {} → {}", value(self.from), value(self.to))
    }
}

/// How the fields of a [`Lever`] were found when its object was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum LeverState {
    /// As the action wrote them.
    Written,
    /// As they were before it: the write did not arrive, or somebody took it back.
    Before,
    /// Something else, in words.
    Other(Label),
    /// The object is gone, or was made again under the same name.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_undoes_and_reads_well() {
        let lever = Lever {
            object: "hpa/payments/fraud".parse().unwrap(),
            uid: "u".into(),
            set: vec![
                FieldChange { field: Field::Floor, from: Some(2), to: Some(10) },
                FieldChange { field: Field::PausedScaleIn, from: None, to: Some(1) },
            ],
            restore_at: Some(Time::default()),
        };
        assert_eq!(lever.to_string(), "hpa/payments/fraud: floor 2 → 10, paused-scale-in unset → true");
        assert_eq!(lever.back().to_string(), "hpa/payments/fraud: floor 10 → 2, paused-scale-in true → unset");
        assert_eq!(lever.back().back().set, lever.set);
        let text = serde_json::to_string(&lever).unwrap();
        assert_eq!(serde_json::from_str::<Lever>(&text).unwrap(), lever);
    }
}
