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

/// The edits as the YAML lines to write; list items show their `type` and `name`, and more where these tell nothing, so
/// that they can be found.
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
    dense(&mut tree);
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
        let items = original.and_then(Value::as_array);
        if let (Some(items), Ok(i)) = (items, segment.parse::<usize>()) {
            let Some(item) = items.get(i) else { return };
            original = Some(item);
            if !at.is_array() {
                *at = Value::Array(Vec::new());
            }
            let Value::Array(planted) = at else { return };
            planted.resize(planted.len().max(items.len()), Value::Null);
            let Some(place) = planted.get_mut(i) else { return };
            if place.is_null() {
                *place = marks(items, item);
            }
            at = place;
        } else {
            original = original.and_then(|o| o.get(&key));
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            let Value::Object(map) = at else { return };
            at = map.entry(key).or_insert(Value::Null);
        }
    }
    *at = value.clone();
}

/// Takes out the items that nothing was planted in.
fn dense(tree: &mut Value) {
    match tree {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(dense);
        }
        Value::Object(map) => map.values_mut().for_each(dense),
        _ => {}
    }
}

/// What tells one list item from the others: its type and its name, and where these do not, what it looks at.
fn marks(items: &[Value], item: &Value) -> Value {
    const NAMED: [&str; 2] = ["/type", "/name"];
    const SEEN: [&str; 7] = [
        "/metadata/topic",
        "/metadata/consumerGroup",
        "/metadata/query",
        "/external/metric/name",
        "/object/metric/name",
        "/pods/metric/name",
        "/resource/name",
    ];
    let of = |item: &Value, pointers: &[&str]| {
        let edits: Vec<Edit> = pointers.iter().filter_map(|p| Some(Edit::set(p, item.pointer(p)?.clone()))).collect();
        apply(&Value::Object(Map::new()), &edits)
    };
    let named = of(item, &NAMED);
    let alone = items.iter().filter(|other| of(other, &NAMED) == named).count() == 1;
    if alone { named } else { of(item, &[&NAMED[..], &SEEN].concat()) }
}
