//! The plan of the house as a test: a room imports only rooms on lower floors, and no file outgrows its room.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The floors of `src/lib.rs`. Rooms on one floor do not import one another.
const FLOORS: [(u8, &[&str]); 6] = [
    (1, &["model"]),
    (2, &["alert", "history", "forecast", "capacity", "policy", "guard", "simulate", "manifest", "promql"]),
    (3, &["advise", "lint", "process"]),
    (4, &["config", "contest", "source", "ledger", "act", "world"]),
    (5, &["engine", "tui"]),
    (6, &["cli"]),
];

/// Exceptions, each with its reason.
const ALLOWED: [(&str, &str); 0] = [];

const LINES_PER_FILE: usize = 500;

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The rooms named after `crate::` in a line of code: `use crate::{model::X, history}` names two.
fn imported_rooms(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (i, _) in text.match_indices("crate::") {
        let rest = &text[i + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => rooms.push(std::mem::take(&mut word)),
                    c if depth == 0 => word.push(c),
                    _ => {}
                }
            }
            rooms.push(word);
        } else {
            rooms.push(rest.to_owned());
        }
    }
    rooms
        .iter()
        .map(|r| r.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|r| !r.is_empty())
        .collect()
}

#[test]
fn no_room_imports_upward() {
    let floor: BTreeMap<&str, u8> = FLOORS.iter().flat_map(|(f, rooms)| rooms.iter().map(|r| (*r, *f))).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let relative = path.strip_prefix(&src).unwrap();
        let room = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if room == "main" || room == "lib" {
            continue;
        }
        let Some(&own) = floor.get(room.as_str()) else {
            wrong.push(format!("{}: the room {room} stands on no floor", relative.display()));
            continue;
        };
        for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
            for other in imported_rooms(line) {
                let Some(&theirs) = floor.get(other.as_str()) else { continue };
                let allowed = other == room || theirs < own || ALLOWED.contains(&(room.as_str(), other.as_str()));
                if !allowed {
                    wrong
                        .push(format!("{}: {room} (floor {own}) imports {other} (floor {theirs})", relative.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_file_fits_its_room() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LINES_PER_FILE)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "split these along their seams:\n{}", long.join("\n"));
}
