//! A notice on the object that was changed, for those who look with kubectl. Best effort: servers keep events for an hour,
//! and the ledger is the record.

use super::{Scaler, edit::Object};
use crate::model::{Label, Target};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};

/// Longest note that the API server takes, in bytes (measured on v1.36.4).
const LONGEST_NOTE: usize = 1024;
/// Longest reporting instance, in bytes (`validateV1Event`).
const LONGEST_INSTANCE: usize = 128;

/// What is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// One word: `Scaled`, `ScaleFailed`, `ScaleReverted`.
    pub reason: &'static str,
    /// Whether somebody should look.
    pub warning: bool,
    /// The sentence; cut to what the server takes.
    pub note: String,
    /// Who tells: the host.
    pub instance: Label,
}

impl Scaler {
    /// Puts a notice on a target.
    pub(in crate::act) async fn tell(&self, target: &Target, uid: Option<&Label>, told: &Told) -> Result<(), String> {
        let object = Object::of(target)?;
        let api: Api<Event> = Api::namespaced(self.client.clone(), object.namespace);
        self.within(api.create(&PostParams::default(), &event(&object, uid, told))).await.map(|_| ()).map_err(|fault| {
            match fault.code() {
                Some(403) => "not allowed to create events of events.k8s.io".to_owned(),
                _ => fault.words(),
            }
        })
    }
}

fn event(object: &Object<'_>, uid: Option<&Label>, told: &Told) -> Event {
    let text = |s: &str| Some(s.to_owned());
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.highwater-", object.name.chars().take(200).collect::<String>())),
            namespace: text(object.namespace),
            ..ObjectMeta::default()
        },
        action: text("Scale"),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some(cut(&told.note, LONGEST_NOTE)),
        reason: text(told.reason),
        regarding: Some(ObjectReference {
            api_version: Some(object.resource.api_version.clone()),
            kind: Some(object.resource.kind.clone()),
            name: text(object.name),
            namespace: text(object.namespace),
            uid: uid.map(|u| u.as_str().to_owned()),
            ..ObjectReference::default()
        }),
        reporting_controller: text("highwater"),
        reporting_instance: Some(cut(told.instance.as_str(), LONGEST_INSTANCE)),
        type_: text(if told.warning { "Warning" } else { "Normal" }),
        ..Event::default()
    }
}

/// At most so many bytes, never half a character.
fn cut(text: &str, bytes: usize) -> String {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_by_bytes_and_never_inside_a_character() {
        assert_eq!(cut("6 → 10", 4), "6 ");
        assert_eq!(cut("6 → 10", 5), "6 →");
        let long = cut(&"→".repeat(1000), LONGEST_NOTE);
        assert_eq!((long.len(), long.chars().count()), (1023, 341));
    }
}
