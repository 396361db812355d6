//! Walks a TOML document and collects every problem with its line, key and mend, instead of stopping at the first.

use crate::model::{Label, Secret, SecretSource};
use std::{cell::RefCell, collections::BTreeMap, fmt, path::PathBuf};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// One thing that is wrong, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1; 0 when it belongs to no line.
    pub line: usize,
    /// Key with its path: `workload[2].slo.time_lag`; empty for the syntax of the file itself.
    pub key: String,
    /// What is wrong and what to write instead.
    pub what: String,
}

/// Everything that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// File name, or where the text came from.
    pub file: String,
    /// What is wrong, by line.
    pub list: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, p) in self.list.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let key = if p.key.is_empty() { String::new() } else { format!("{}: ", p.key) };
            match p.line {
                0 => write!(f, "{}: {key}{}", self.file, p.what)?,
                line => write!(f, "{}:{line}: {key}{}", self.file, p.what)?,
            }
        }
        Ok(())
    }
}

/// The document being read, with the problems found so far.
pub(super) struct Doc<'a> {
    text: &'a str,
    /// Whether only the owner can read the file: then secrets may stand in it.
    private: bool,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Doc<'a> {
    pub(super) fn new(text: &'a str, private: bool) -> Self {
        Self { text, private, problems: RefCell::default() }
    }

    fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
    }

    /// Notes a problem at a byte offset.
    pub(super) fn problem(&self, offset: Option<usize>, key: impl Into<String>, what: impl Into<String>) {
        let line = offset.map_or(0, |o| self.line_of(o));
        self.problems.borrow_mut().push(Problem { line, key: within(key.into()), what: within(what.into()) });
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut list = self.problems.into_inner();
        list.sort_by_key(|p| p.line);
        list
    }
}

/// A sentence without the middle of what is too long to read: a value that is repeated in it may be anything.
fn within(text: String) -> String {
    const EITHER_END: usize = 400;
    let mut ends = text.char_indices().map(|(at, _)| at);
    let (Some(from), Some(to)) = (ends.nth(EITHER_END), ends.nth_back(EITHER_END)) else { return text };
    format!("{}…{}", &text[..from], &text[to..])
}

/// One table of the document; remembers which keys were asked for, so that [`Section::finish`] can name the others.
pub(super) struct Section<'a> {
    doc: &'a Doc<'a>,
    path: String,
    table: &'a DeTable<'a>,
    offset: usize,
    known: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(super) fn root(doc: &'a Doc<'a>, table: &'a DeTable<'a>) -> Self {
        Self { doc, path: String::new(), table, offset: 0, known: RefCell::default() }
    }

    pub(super) fn key(&self, key: &str) -> String {
        let quoted = if key.contains('.') { format!("{key:?}") } else { key.to_owned() };
        if self.path.is_empty() { quoted } else { format!("{}.{quoted}", self.path) }
    }

    fn raw(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.table.iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v)
    }

    /// Notes a problem with a key of this section.
    pub(super) fn wrong(&self, key: &str, what: impl Into<String>) {
        let offset = self.table.iter().find(|(k, _)| k.get_ref() == key).map_or(self.offset, |(_, v)| v.span().start);
        self.doc.problem(Some(offset), self.key(key), what);
    }

    fn typed<T>(&self, key: &'static str, wanted: &str, read: impl Fn(&'a DeValue<'a>) -> Option<T>) -> Option<T> {
        let value = self.raw(key)?;
        let read = read(value.get_ref());
        if read.is_none() {
            self.wrong(key, format!("{} where {wanted} belongs", article(value.get_ref().type_str())));
        }
        read
    }

    pub(super) fn text(&self, key: &'static str) -> Option<&'a str> {
        self.typed(key, "a text in quotes", DeValue::as_str)
    }

    pub(super) fn label(&self, key: &'static str) -> Option<Label> {
        self.text(key).map(Label::new)
    }

    pub(super) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.typed(key, "true or false", DeValue::as_bool)
    }

    /// A finite number not below `min`.
    pub(super) fn number(&self, key: &'static str, min: f64) -> Option<f64> {
        let n = self.typed(key, "a number", number)?;
        if n < min {
            self.wrong(key, format!("{n} is below {min}"));
            return None;
        }
        Some(n)
    }

    /// A whole number from `min` to a million: more replicas or requests than that is a slip of the pen.
    pub(super) fn count(&self, key: &'static str, min: u32) -> Option<u32> {
        let n = self.number(key, f64::from(min))?;
        if n.fract() != 0.0 || n > 1e6 {
            self.wrong(key, format!("{n} where a whole number from {min} to 1000000 belongs"));
            return None;
        }
        Some(n as u32)
    }

    /// A duration in seconds, written `500ms`, `15s`, `5m`, `2h`, `7d`.
    pub(super) fn duration(&self, key: &'static str) -> Option<f64> {
        let text = self.typed(key, "a duration such as \"15s\"", DeValue::as_str)?;
        let seconds = parse_duration(text);
        if seconds.is_none() {
            self.wrong(key, format!("{text:?} is not a duration: write \"500ms\", \"15s\", \"5m\", \"2h\" or \"7d\""));
        }
        seconds
    }

    pub(super) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<String>> {
        self.typed(key, "a list of texts", |v| {
            v.as_array()?.iter().map(|t| t.get_ref().as_str().map(str::to_owned)).collect()
        })
    }

    /// A text, or a list of texts.
    pub(super) fn text_or_texts(&self, key: &'static str) -> Option<Vec<String>> {
        self.typed(key, "a text or a list of texts", |v| match v {
            DeValue::String(s) => Some(vec![s.to_string()]),
            _ => v.as_array()?.iter().map(|t| t.get_ref().as_str().map(str::to_owned)).collect(),
        })
    }

    /// An argv: a list of texts with at least the program.
    pub(super) fn argv(&self, key: &'static str) -> Option<Vec<String>> {
        let argv = self.texts(key)?;
        if argv.first().is_none_or(String::is_empty) {
            self.wrong(key, "an empty command: write [\"/path/to/program\", \"argument\"]");
            return None;
        }
        Some(argv)
    }

    /// A table under this one.
    pub(super) fn section(&self, key: &'static str) -> Option<Section<'a>> {
        let value = self.raw(key)?;
        let section = self.child(key, value);
        if section.is_none() {
            self.wrong(key, format!("{} where a table belongs", article(value.get_ref().type_str())));
        }
        section
    }

    /// Every table in a table of tables (`[kafka.NAME]`), by name.
    pub(super) fn named_sections(&self, key: &'static str) -> Vec<(String, Section<'a>)> {
        let Some(outer) = self.section(key) else { return Vec::new() };
        let mut found = Vec::new();
        for (name, value) in outer.table {
            match outer.child(name.get_ref(), value) {
                Some(section) => found.push((name.get_ref().to_string(), section)),
                None => {
                    outer.wrong(name.get_ref(), format!("write [{key}.NAME] above it: this key stands in no section"));
                }
            }
        }
        found
    }

    /// Every table of an array of tables (`[[workload]]`).
    pub(super) fn list(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some(array) = self.typed(key, "sections written [[…]]", DeValue::as_array) else { return Vec::new() };
        let numbered = array.iter().enumerate();
        numbered
            .filter_map(|(i, value)| {
                let found = self.child(&format!("{key}[{}]", i + 1), value);
                if found.is_none() {
                    self.wrong(key, format!("entry {} is {}, not a table", i + 1, article(value.get_ref().type_str())));
                }
                found
            })
            .collect()
    }

    fn child(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<Section<'a>> {
        let table = value.get_ref().as_table()?;
        let path = if key.contains('[') { key.to_owned() } else { self.key(key) };
        Some(Section { doc: self.doc, path, table, offset: value.span().start, known: RefCell::default() })
    }

    /// A secret: `{ env = "…" }`, `{ file = "…" }`, `{ command = [ … ] }`, or plain text in a file nobody else can read.
    pub(super) fn secret(&self, key: &'static str) -> Option<SecretSource> {
        let value = self.raw(key)?;
        self.secret_value(key, value)
    }

    fn secret_value(&self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<SecretSource> {
        if let Some(text) = value.get_ref().as_str() {
            if !self.doc.private {
                self.wrong(
                    key,
                    "a secret in plain text, in a file that others may read: write { env = \"NAME\" }, { file = \"PATH\" } \
                     or { command = [\"PROGRAM\"] }, or chmod 600 the file",
                );
            }
            return Some(SecretSource::Value(Secret::new(text)));
        }
        let Some(section) = self.child(key, value) else {
            self.wrong(key, "a secret is a text or { env | file | command = … }");
            return None;
        };
        let found = match (section.text("env"), section.path("file"), section.argv("command")) {
            (Some(name), None, None) => Some(SecretSource::Env(name.to_owned())),
            (None, Some(path), None) => Some(SecretSource::File(path)),
            (None, None, Some(argv)) => Some(SecretSource::Command(argv)),
            _ => {
                self.wrong(key, "a secret has exactly one of env, file and command");
                None
            }
        };
        section.finish();
        found
    }

    /// Every entry as text (numbers and booleans are printed), for tables whose keys belong to somebody else.
    /// `is_secret` says which keys hold secrets.
    pub(super) fn free(&self, is_secret: impl Fn(&str) -> bool) -> BTreeMap<String, FreeValue> {
        let mut all = BTreeMap::new();
        for (key, value) in self.table {
            let name = key.get_ref().to_string();
            if self.known.borrow().contains(&name.as_str()) {
                continue;
            }
            let read = match value.get_ref() {
                v if is_secret(&name) || v.is_table() => self.secret_value(&name, value).map(FreeValue::Secret),
                DeValue::String(s) => Some(FreeValue::Text(s.to_string())),
                DeValue::Integer(i) => Some(FreeValue::Text(i.as_str().to_owned())),
                DeValue::Float(x) => Some(FreeValue::Text(x.as_str().to_owned())),
                DeValue::Boolean(b) => Some(FreeValue::Text(b.to_string())),
                other => {
                    self.wrong(&name, format!("{} where a text belongs", article(other.type_str())));
                    None
                }
            };
            if let Some(read) = read {
                all.insert(name, read);
            }
        }
        all
    }

    /// Every key of this table with its value as a list of texts (a single text is a list of one).
    pub(super) fn free_lists(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::new();
        for (key, value) in self.table {
            let name = key.get_ref().to_string();
            let texts = match value.get_ref() {
                DeValue::String(s) if s.is_empty() => Some(Vec::new()),
                DeValue::String(s) => Some(vec![s.to_string()]),
                DeValue::Array(a) => a.iter().map(|t| t.get_ref().as_str().map(str::to_owned)).collect(),
                _ => None,
            };
            match texts {
                Some(texts) => {
                    all.insert(name, texts);
                }
                None => self.wrong(&name, "a text or a list of texts belongs here"),
            }
        }
        all
    }

    /// The line of every key of this table.
    pub(super) fn lines(&self) -> BTreeMap<String, usize> {
        self.table.iter().map(|(k, _)| (k.get_ref().to_string(), self.doc.line_of(k.span().start))).collect()
    }

    /// Names the keys that nobody asked for, each with the nearest known one.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let mend = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("unknown key; did you mean {near}?"),
                    None => format!("unknown key; known here: {}", known.join(", ")),
                };
                self.doc.problem(Some(key.span().start), self.key(name), mend);
            }
        }
    }
}

/// A value of a table whose keys belong to somebody else.
pub(super) enum FreeValue {
    Text(String),
    Secret(SecretSource),
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let n: f64 = match value {
        DeValue::Integer(i) if i.radix() == 10 => i.as_str().parse().ok()?,
        DeValue::Float(x) => x.as_str().parse().ok()?,
        _ => return None,
    };
    n.is_finite().then_some(n)
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

/// The candidate most like `name`, if any is alike enough to be meant.
pub fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|c| (strsim::normalized_damerau_levenshtein(name, c), c))
        .filter(|(likeness, _)| *likeness >= 0.55)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// A century, seconds: what is longer is a slip of the pen, and no clock counts so far.
const LONGEST: f64 = 36_525.0 * 86_400.0;

/// Seconds of `500ms`, `15s`, `5m`, `2h`, `7d`; `None` for anything else.
///
/// ```
/// use highwater::config::parse_duration;
/// assert_eq!(parse_duration("90s"), Some(90.0));
/// assert_eq!(parse_duration("1.5h"), Some(5400.0));
/// assert_eq!(parse_duration("15"), None);
/// assert_eq!(parse_duration("999999999999999d"), None);
/// ```
pub fn parse_duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    let n: f64 = number.trim().parse().ok()?;
    Some(n * scale).filter(|seconds| (0.0..=LONGEST).contains(seconds))
}
