//! What to write instead, as data: it can be shown as YAML, and applied to be judged and priced again.

use serde_json::{Map, Value};

/// One change of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Sets a value; maps on the way that are absent are made.
    Set {
        /// JSON pointer.
        pointer: String,
        /// What belongs there.
        value: Value,
    },
    /// Takes a key away.
    Remove {
        /// JSON pointer.
        pointer: String,
    },
}

impl Edit {
    /// Sets a value.
    pub fn set(pointer: &str, value: impl Into<Value>) -> Self {
        Self::Set { pointer: pointer.to_owned(), value: value.into() }
    }

    /// Takes a key away.
    pub fn remove(pointer: &str) -> Self {
        Self::Remove { pointer: pointer.to_owned() }
    }

    /// Where.
    pub fn pointer(&self) -> &str {
        match self {
            Self::Set { pointer, .. } | Self::Remove { pointer } => pointer,
        }
    }
}

/// The object with the edits. An edit of a list item that is not there changes nothing.
pub fn apply(object: &Value, edits: &[Edit]) -> Value {
    let mut object = object.clone();
    for edit in edits {
        let (parent, key) = edit.pointer().rsplit_once('/').unwrap_or(("", edit.pointer()));
        let key = unescape(key);
        match edit {
            Edit::Set { value, .. } => {
                if let Some(Value::Object(map)) = reach(&mut object, parent) {
                    map.insert(key, value.clone());
                }
            }
            Edit::Remove { .. } => {
                if let Some(Value::Object(map)) = object.pointer_mut(parent) {
                    map.remove(&key);
                }
            }
        }
    }
    object
}

/// The value at a pointer, with maps made on the way.
fn reach<'a>(object: &'a mut Value, pointer: &str) -> Option<&'a mut Value> {
    let mut at = object;
    for segment in pointer.split('/').skip(1) {
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
        at = match at {
            Value::Object(map) => map.entry(unescape(segment)).or_insert_with(|| Value::Object(Map::new())),
            Value::Array(items) => items.get_mut(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// The edits as the YAML lines to write; list items show their `type` and `name` so that they can be found.
pub fn yaml_of(object: &Value, edits: &[Edit]) -> String {
    let mut tree = Value::Null;
    let mut removed = Vec::new();
    for edit in edits {
        match edit {
            Edit::Set { pointer, value } => plant(&mut tree, object, pointer, value),
            Edit::Remove { pointer } => {
                let path = unescape(&pointer.trim_start_matches('/').replace('/', "."));
                removed.push(format!("# remove {path}"));
            }
        }
    }
    let set = if tree.is_null() { String::new() } else { serde_saphyr::to_string(&tree).unwrap_or_default() };
    let set = set.trim_start_matches("---\n").trim_end();
    let both = format!("{set}\n{}", removed.join("\n"));
    both.trim().to_owned()
}

/// Puts a value into a tree that holds nothing but what is to be written.
fn plant(tree: &mut Value, object: &Value, pointer: &str, value: &Value) {
    let mut at = tree;
    let mut original = Some(object);
    for segment in pointer.split('/').skip(1) {
        let key = unescape(segment);
        let index = segment.parse::<usize>().ok().filter(|_| original.is_some_and(Value::is_array));
        original = match (original, index) {
            (Some(Value::Array(items)), Some(i)) => items.get(i),
            (Some(Value::Object(map)), _) => map.get(&key),
            _ => None,
        };
        if index.is_some() {
            if !at.is_array() {
                *at = Value::Array(Vec::new());
            }
            let marks = marks(original);
            let Value::Array(items) = at else { return };
            let known = items.iter().position(|item| marks.iter().all(|(k, v)| item.get(k) == Some(v)));
            let place = known.unwrap_or(items.len());
            if known.is_none() {
                items.push(Value::Object(marks));
            }
            let Some(item) = items.get_mut(place) else { return };
            at = item;
        } else {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(map) = at else { return };
            at = map.entry(key).or_insert(Value::Null);
        }
    }
    *at = value.clone();
}

/// What tells one list item from another.
fn marks(item: Option<&Value>) -> Map<String, Value> {
    let of = |key: &str| Some((key.to_owned(), item?.get(key)?.clone()));
    ["type", "name"].into_iter().filter_map(of).collect()
}
