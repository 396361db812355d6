//! HPAs and ScaledObjects as they are written: YAML files and the API's JSON in, the model's words out. Pure.
//!
//! One reader serves the live watch, `replay` and `lint`. It is tolerant: an absent field has the API's default, and what
//! is wrong becomes a [`Complaint`] with a JSON pointer, which a file turns into line and column.

mod count;
mod cursor;
mod edit;
mod hpa;
pub mod job;
mod scaled_object;
mod trigger;
mod yaml;

pub use count::{count_at, desired, ready, targets};
pub use cursor::{Complaint, Grade};
pub use edit::{Edit, apply, yaml_of};
pub use yaml::{Document, Place, Wrong, documents};

use crate::model::{Hpa, ScaledObject};
use cursor::{Cursor, Said};
use serde_json::Value;

/// Most partitions of a topic or a group that anybody may name: in a manifest, an annotation, on the command line.
pub const MOST_PARTITIONS: u32 = 100_000;

/// What can be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `autoscaling/v2`, or v1 as v2 would write it.
    Hpa(Hpa),
    /// `keda.sh/v1alpha1`.
    ScaledObject(ScaledObject),
}

/// One object with everything that was said about it on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What it is.
    pub object: Object,
    /// As it is written: what mends are applied to.
    pub value: Value,
    /// What is wrong with its writing; pointers into `value`.
    pub complaints: Vec<Complaint>,
    /// Where `value` lies within its document: empty, or `/items/3` of a list.
    pub root: String,
    /// Number of its document within the file.
    pub document: usize,
}

impl Manifest {
    /// Reads one object; `None` for other kinds.
    pub fn read(value: &Value) -> Option<Self> {
        let (object, complaints) = match value.get("kind").and_then(Value::as_str) {
            Some("HorizontalPodAutoscaler") => {
                let (hpa, said) = hpa(value);
                (Object::Hpa(hpa), said)
            }
            Some("ScaledObject") => {
                let (scaled, said) = scaled_object(value);
                (Object::ScaledObject(scaled), said)
            }
            _ => return None,
        };
        Some(Self { object, value: value.clone(), complaints, root: String::new(), document: 0 })
    }

    /// The first thing that makes the object unreadable.
    pub fn unreadable(&self) -> Option<&Complaint> {
        self.complaints.iter().find(|c| c.grade == Grade::Unreadable)
    }

    /// Line and column of a pointer into `value`: of the nearest thing that is there.
    pub fn place(&self, documents: &[Document], pointer: &str) -> Option<Place> {
        documents.get(self.document)?.place(&format!("{}{pointer}", self.root))
    }

    /// `HorizontalPodAutoscaler payments/orders`.
    pub fn title(&self) -> String {
        match &self.object {
            Object::Hpa(h) => format!("HorizontalPodAutoscaler {}/{}", h.namespace, h.name),
            Object::ScaledObject(s) => format!("ScaledObject {}/{}", s.namespace, s.name),
        }
    }
}

/// Every HPA and ScaledObject of a file's documents, those in lists too.
pub fn manifests(documents: &[Document]) -> Vec<Manifest> {
    let mut found = Vec::new();
    for (document, text) in documents.iter().enumerate() {
        collect(&text.value, String::new(), document, &mut found);
    }
    found
}

fn collect(value: &Value, root: String, document: usize, found: &mut Vec<Manifest>) {
    if let Some(manifest) = Manifest::read(value) {
        found.push(Manifest { root, document, ..manifest });
        return;
    }
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or("");
    let Some(items) = value.get("items").and_then(Value::as_array).filter(|_| kind.ends_with("List")) else { return };
    for (i, item) in items.iter().enumerate() {
        let typed = typed(item, kind, value.get("apiVersion"));
        collect(typed.as_ref().unwrap_or(item), format!("{root}/items/{i}"), document, found);
    }
}

/// Items of a typed list need not repeat their kind and version.
fn typed(item: &Value, list: &str, version: Option<&Value>) -> Option<Value> {
    let kind = list.strip_suffix("List").filter(|k| !k.is_empty())?;
    let mut item = item.clone();
    let map = item.as_object_mut()?;
    if let Some(version) = version {
        map.entry("apiVersion").or_insert_with(|| version.clone());
    }
    map.entry("kind").or_insert_with(|| kind.into());
    Some(item)
}

/// Reads an HPA of autoscaling/v2 or v1 and says what is wrong with it.
pub fn hpa(value: &Value) -> (Hpa, Vec<Complaint>) {
    let said = Said::default();
    let hpa = hpa::read(&Cursor::new(value, &said));
    (hpa, said.into_inner())
}

/// Reads a ScaledObject and says what is wrong with it.
pub fn scaled_object(value: &Value) -> (ScaledObject, Vec<Complaint>) {
    let said = Said::default();
    let scaled = scaled_object::read(&Cursor::new(value, &said));
    (scaled, said.into_inner())
}

#[cfg(test)]
mod tests;
