//! YAML with the place of everything in it.

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};
use std::{collections::BTreeMap, fmt};

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where.
    pub place: Place,
    /// A sentence.
    pub what: String,
}

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its content.
    pub value: Value,
    places: BTreeMap<String, Place>,
}

impl Document {
    /// Place of a JSON pointer: of a value, of the key where the value is a list or a map, or of the nearest parent that
    /// is there.
    pub fn place(&self, pointer: &str) -> Option<Place> {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return Some(*place);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }
}

/// Documents and values of a file at most: all the autoscalers of a large cluster. What aliases repeat counts as well.
const MOST: (usize, usize) = (100_000, 4_000_000);

/// Reads every document of a file.
pub fn documents(text: &str) -> Result<Vec<Document>, Wrong> {
    let budget = serde_saphyr::budget! {
        max_documents: MOST.0, max_nodes: MOST.1, max_events: 4 * MOST.1,
    };
    let options = serde_saphyr::options! { budget: budget };
    let read: Vec<Spanned<Node>> = serde_saphyr::from_multiple_with_options(text, options).map_err(|e| {
        let place = e.location().map_or(Place { line: 1, column: 1 }, place);
        Wrong { place, what: sentence(&e, text) }
    })?;
    let document = |node: Spanned<Node>| {
        let mut places = BTreeMap::new();
        places.insert(String::new(), place(node.referenced));
        Document { value: node.value.flatten("", &mut places), places }
    };
    Ok(read.into_iter().map(document).filter(|d| !d.value.is_null()).collect())
}

/// What is wrong, without the place.
fn sentence(error: &serde_saphyr::Error, text: &str) -> String {
    let what = match error.without_snippet() {
        serde_saphyr::Error::DuplicateMappingKey { key, .. } => {
            format!("the key {} stands here for the second time", key.as_deref().unwrap_or("?"))
        }
        other => {
            let said = other.to_string();
            let line = said.lines().next().unwrap_or("not YAML");
            if line.starts_with("budget breached") {
                return format!(
                    "more than is read lies before it: {} documents and {} values at the most",
                    MOST.0, MOST.1
                );
            }
            line.split(" at line ").next().unwrap_or(line).to_owned()
        }
    };
    if text.contains("{{") {
        return format!("{what}. There are templates in it: what they come to is read, as of helm template");
    }
    what
}

fn place(at: Location) -> Place {
    Place { line: at.line().max(1), column: at.column().max(1) }
}

/// A value with the places of its parts.
enum Node {
    Leaf(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// The plain value; places of its parts go into `places` by pointer.
    fn flatten(self, pointer: &str, places: &mut BTreeMap<String, Place>) -> Value {
        match self {
            Self::Leaf(value) => value,
            Self::List(items) => {
                let flat = items.into_iter().enumerate().map(|(i, item)| {
                    let pointer = format!("{pointer}/{i}");
                    places.insert(pointer.clone(), place(item.referenced));
                    item.value.flatten(&pointer, places)
                });
                Value::Array(flat.collect())
            }
            Self::Map(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let pointer = format!("{pointer}/{}", escape(&key.value));
                    // A block's own place is that of its first entry: whoever looks for it looks for its key.
                    let at = if matches!(value.value, Self::Leaf(_)) { value.referenced } else { key.referenced };
                    places.insert(pointer.clone(), place(at));
                    map.insert(key.value, value.value.flatten(&pointer, places));
                }
                Value::Object(map)
            }
        }
    }
}

/// A key as a segment of a JSON pointer (RFC 6901).
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Node, E> {
        Ok(Node::Leaf(v.into()))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Node, E> {
        Ok(Node::Leaf(v.into()))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Node, E> {
        Ok(Node::Leaf(v.into()))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Node, E> {
        // JSON has no infinity: such a word stays a word, and whoever wants a number says so.
        Ok(Node::Leaf(Number::from_f64(v).map_or_else(|| v.to_string().into(), Value::Number)))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Node, E> {
        Ok(Node::Leaf(v.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
        Node::deserialize(d)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }
}
