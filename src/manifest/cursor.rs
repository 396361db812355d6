//! Walking through an object's JSON: every read names its place, and what does not fit is said, never swallowed.

use super::yaml::escape;
use crate::model::Label;
use serde_json::Value;
use std::cell::RefCell;

/// How bad a complaint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// A key that nobody reads: a slip of the pen, and what it was meant to set has its default.
    Ignored,
    /// The meaning is plain, but the API server or KEDA refuses it.
    Refused,
    /// It does not say what it must.
    Unreadable,
}

/// Something wrong with an object's writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How bad.
    pub grade: Grade,
    /// JSON pointer to the place.
    pub pointer: String,
    /// A sentence.
    pub what: String,
    /// For a key that nobody reads: the one that was probably meant.
    pub meant: Option<String>,
}

/// Where complaints are gathered.
pub(super) type Said = RefCell<Vec<Complaint>>;

/// A place in an object.
pub(super) struct Cursor<'a> {
    value: &'a Value,
    pointer: String,
    said: &'a Said,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(value: &'a Value, said: &'a Said) -> Self {
        Self { value, pointer: String::new(), said }
    }

    /// The part of a key; `None` where it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|v| !v.is_null())?;
        Some(Self { value, pointer: format!("{}/{}", self.pointer, escape(key)), said: self.said })
    }

    /// The same place again.
    pub(super) fn here(&self) -> Self {
        Self { value: self.value, pointer: self.pointer.clone(), said: self.said }
    }

    /// A map; what else stands there is said.
    pub(super) fn map(&self, key: &str) -> Option<Self> {
        self.get(key).filter(Self::is_map)
    }

    fn is_map(&self) -> bool {
        let is_map = self.value.is_object();
        if !is_map {
            self.unreadable("a map belongs here");
        }
        is_map
    }

    /// The map behind several keys.
    pub(super) fn at(&self, keys: &[&str]) -> Option<Self> {
        let mut cursor = self.here();
        for key in keys {
            cursor = cursor.map(key)?;
        }
        Some(cursor)
    }

    /// The place of a field, or where it would stand.
    pub(super) fn field(&self, key: &str) -> Self {
        self.get(key).unwrap_or_else(|| self.here())
    }

    /// The items of a list; an absent one is empty.
    pub(super) fn list(&self, key: &str) -> Vec<Self> {
        let Some(list) = self.get(key) else { return Vec::new() };
        let Some(items) = list.value.as_array() else {
            list.unreadable("a list belongs here");
            return Vec::new();
        };
        let item =
            |(i, value): (usize, &'a Value)| Self { value, pointer: format!("{}/{i}", list.pointer), said: self.said };
        items.iter().enumerate().map(item).collect()
    }

    /// The items of a list of maps.
    pub(super) fn maps(&self, key: &str) -> Vec<Self> {
        self.list(key).into_iter().filter(Self::is_map).collect()
    }

    /// The keys that are there.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(|m| m.keys().map(String::as_str))
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        let part = self.get(key)?;
        if part.value.as_str().is_none() {
            part.unreadable("a text belongs here");
        }
        part.value.as_str()
    }

    /// A text as a label; empty where it is absent.
    pub(super) fn label(&self, key: &str) -> Label {
        Label::new(self.text(key).unwrap_or(""))
    }

    /// A count.
    pub(super) fn count(&self, key: &str) -> Option<u32> {
        let part = self.get(key)?;
        let count = part.value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| i32::try_from(*n).is_ok());
        if count.is_none() {
            part.unreadable(&format!("{} is no count", part.value));
        }
        count
    }

    /// A count of seconds.
    pub(super) fn seconds(&self, key: &str) -> Option<f64> {
        self.count(key).map(f64::from)
    }

    /// A switch.
    pub(super) fn flag(&self, key: &str) -> bool {
        let Some(part) = self.get(key) else { return false };
        part.value.as_bool().unwrap_or_else(|| {
            part.unreadable(&format!("{} is neither true nor false", part.value));
            false
        })
    }

    /// The value itself as a text, numbers too: a quantity may be written as either.
    pub(super) fn plain(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    /// Whether it is written as a text.
    pub(super) fn is_text(&self) -> bool {
        self.value.is_string()
    }

    pub(super) fn unreadable(&self, what: &str) {
        self.say(Grade::Unreadable, what.to_owned(), None);
    }

    pub(super) fn refused(&self, what: &str) {
        self.say(Grade::Refused, what.to_owned(), None);
    }

    /// Complains about keys that are not among `known`.
    pub(super) fn known(&self, known: &[&str], of: &str) {
        for key in self.keys().filter(|key| !known.contains(key)) {
            let pointer = format!("{}/{}", self.pointer, escape(key));
            let what = format!("{key} is no field of {of}: nobody reads it");
            let meant = meant(known, key).map(str::to_owned);
            self.said.borrow_mut().push(Complaint { grade: Grade::Ignored, pointer, what, meant });
        }
    }

    fn say(&self, grade: Grade, what: String, meant: Option<String>) {
        let complaint = Complaint { grade, pointer: self.pointer.clone(), what, meant };
        let mut said = self.said.borrow_mut();
        // Some places are read more than once.
        if !said.contains(&complaint) {
            said.push(complaint);
        }
    }
}

/// The known key that a wrong one stands for: a slip of the pen, or the same beginning (`minReplicas` is an HPA's word for
/// `minReplicaCount`).
fn meant<'k>(known: &[&'k str], key: &str) -> Option<&'k str> {
    let lower = key.to_lowercase();
    let distance = |k: &str| strsim::damerau_levenshtein(&k.to_lowercase(), &lower);
    let slip = known.iter().map(|k| (distance(k), *k)).min().filter(|(d, _)| *d <= 3.max(key.len() / 4));
    let shared = |k: &str| k.to_lowercase().chars().zip(lower.chars()).take_while(|(a, b)| a == b).count();
    let begins = || known.iter().map(|k| (shared(k), *k)).max().filter(|(n, _)| *n >= 8 && n * 3 >= key.len() * 2);
    slip.or_else(begins).map(|(_, k)| k)
}
