//! One series of another day out of the history file, read beside whoever writes it.

use super::{History, store};
use crate::model::{Grid, Sample, SignalKey, Time};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::Path;

/// The series between two instants, at `step` seconds; `None`: nothing of it is stored. Blocks: run it off the async
/// threads.
///
/// # Errors
/// A sentence that names the file.
pub fn recall(dir: &Path, key: &SignalKey, (from, to): (Time, Time), step: f64) -> Result<Option<Grid>, String> {
    let path = dir.join(store::FILE);
    if !path.exists() {
        return Ok(None);
    }
    let samples =
        read(&path, key, from, to).map_err(|e| format!("cannot read the history file {}: {e}", path.display()))?;
    if samples.is_empty() {
        return Ok(None);
    }
    let mut history = History::default();
    history.backfill(key, &samples);
    Ok(Some(history.grid(key, from, to, step)))
}

fn read(path: &Path, key: &SignalKey, from: Time, to: Time) -> rusqlite::Result<Vec<Sample>> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(std::time::Duration::from_secs(2))?;
    let entity = &key.entity;
    let id: Option<i64> = db
        .query_row(
            "SELECT id FROM series WHERE kind = ?1 AND source = ?2 AND entity = ?3 AND role = ?4",
            params![entity.kind.name(), entity.source.as_str(), entity.id.as_str(), key.role.name()],
            |row| row.get(0),
        )
        .optional()?;
    let Some(id) = id else { return Ok(Vec::new()) };
    // Slot by slot: of a span of slots every series would be read, and one of thousands is wanted. (0.5 s and 15 ms for a
    // day of 2000 series.)
    let mut statement = db.prepare(
        "WITH RECURSIVE slots(slot) AS (SELECT ?1 UNION ALL SELECT slot + 1 FROM slots WHERE slot < ?2)
         SELECT at, value FROM slots JOIN samples USING (slot) WHERE series = ?3 AND at BETWEEN ?4 AND ?5 ORDER BY slot",
    )?;
    let range = params![store::slot(from), store::slot(to), id, from.millis(), to.millis()];
    let rows =
        statement.query_map(range, |row| Ok(Sample { at: Time::from_millis(row.get(0)?), value: row.get(1)? }))?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        history::store::Store,
        model::{Entity, Label, Role, WorkloadKind},
    };

    #[test]
    fn another_day_is_read_beside_the_writer() {
        let home = tempfile::tempdir().unwrap();
        let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: Label::new("prod"), id: Label::new("orders") };
        let key = SignalKey { entity, role: Role::Demand };
        let at = |i: u32| Time::from_secs(1_700_000_000.0 + 30.0 * f64::from(i));
        assert_eq!(recall(home.path(), &key, (at(0), at(9)), 30.0), Ok(None), "there is no file yet");
        let mut store = Store::open(home.path()).unwrap();
        let samples: Vec<_> = (0..100).map(|i| (key.clone(), Sample { at: at(i), value: f64::from(i) })).collect();
        store.append(&samples).unwrap();
        let grid = recall(home.path(), &key, (at(10), at(20)), 30.0).unwrap().unwrap();
        let known: Vec<f64> = grid.values.iter().flatten().copied().collect();
        assert_eq!((known.first(), known.last()), (Some(&10.0), Some(&19.0)), "{grid:?}");
        let other = SignalKey { role: Role::Backlog, ..key };
        assert_eq!(recall(home.path(), &other, (at(10), at(20)), 30.0), Ok(None));
    }
}
