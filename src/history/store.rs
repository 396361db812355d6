//! The history on disk: one SQLite file that survives `kill -9` and serves several processes at once.
//!
//! Write-ahead logging lets readers and one writer work together; a writer waits up to [`BUSY`] for another. With
//! `synchronous = NORMAL` a power cut can cost the last moments but never the file. One row is kept per series and
//! slot of [`SLOT`] seconds, so two dashboards that watch the same thing do not store it twice.

use super::History;
use crate::model::{Entity, Label, Role, Sample, SignalKey, Time, WorkloadKind};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Name of the file within the state directory.
pub const FILE: &str = "history.sqlite3";
/// `PRAGMA user_version` of the tables below. A newer file is refused.
const VERSION: i64 = 1;
/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(5);
/// How long is waited before what SQLite refuses at once is tried again.
const AGAIN: Duration = Duration::from_millis(5);
/// Seconds of one row: the resolution on disk.
const SLOT: f64 = 15.0;
/// Slots of a coarse read: five minutes, read in their middle, where the brokers' own history has its samples.
const COARSE: i64 = 20;
/// Seconds that a row is kept: [`super::Bounds::span`] by default.
const KEEP: f64 = 8.0 * 86_400.0;
/// Seconds that a note is kept after it was written last: what a job of once a month taught is still of use.
const KEEP_NOTES: f64 = 60.0 * 86_400.0;
/// Rows kept at most; about 600 MB. Beyond it the oldest go first.
const MOST_ROWS: i64 = 20_000_000;
/// Appends between two prunings.
const PRUNE_EVERY: u32 = 256;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS series (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, source TEXT NOT NULL, entity TEXT NOT NULL, role TEXT NOT NULL,
        UNIQUE (kind, source, entity, role)) STRICT;
    CREATE TABLE IF NOT EXISTS samples (
        slot INTEGER NOT NULL, series INTEGER NOT NULL, at INTEGER NOT NULL, value REAL NOT NULL,
        PRIMARY KEY (slot, series)) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;";
/// Beside them, one word a thing for whoever keeps more than samples of it. A table of its own, so that older programs
/// pass it over.
const NOTES: &str = "
    CREATE TABLE IF NOT EXISTS notes (
        kind TEXT NOT NULL, source TEXT NOT NULL, entity TEXT NOT NULL, at INTEGER NOT NULL, note TEXT NOT NULL,
        PRIMARY KEY (kind, source, entity)) STRICT;";

/// An open history file.
///
/// Every error is a sentence that names the file. All calls block (up to the busy time-out): run them off the async
/// threads.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    path: PathBuf,
    ids: BTreeMap<SignalKey, i64>,
    notice: Option<String>,
    appends: u32,
}

impl Store {
    /// Opens or makes the file in `dir` (made if absent). A damaged file is moved aside, never deleted, and
    /// [`Store::notice`] says so.
    pub fn open(dir: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(dir).map_err(|e| {
            format!("cannot make the state directory {}: {e}; choose another or mend its permissions", dir.display())
        })?;
        let path = dir.join(FILE);
        let (db, notice) = match connect(&path) {
            Err(error) if is_damaged(&error) => begin_anew(&path, &error).map(|(db, notice)| (db, Some(notice)))?,
            other => (other.map_err(|e| sentence(&path, "open", &e))?, None),
        };
        let version: i64 = db
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|e| sentence(&path, "read the version of", &e))?;
        if version > VERSION {
            return Err(format!(
                "the history file {} has version {version}, this program knows {VERSION}: use the newer program or \
                 move the file away",
                path.display()
            ));
        }
        Ok(Self { db, path, ids: BTreeMap::new(), notice, appends: 0 })
    }

    /// What the operator should know about the file ("was damaged and moved to …").
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Reads every sample from `since` on into `history`, without replacing what it knows. Returns their number.
    pub fn load(&mut self, history: &mut History, since: Time) -> Result<usize, String> {
        let loaded = read(&self.db, since);
        let loaded = self.or_begin_anew(loaded)?;
        let count = loaded.values().map(Vec::len).sum();
        for (key, samples) in loaded {
            history.backfill(&key, &samples);
        }
        Ok(count)
    }

    /// What was read. A file that opens and turns out to be damaged when it is read is moved aside as well: it would open
    /// at the next start, too.
    fn or_begin_anew<T: Default>(&mut self, read: rusqlite::Result<T>) -> Result<T, String> {
        match read {
            Err(error) if is_damaged(&error) => {
                // Closed before its file goes: SQLite takes the log of a name away with it.
                self.db = Connection::open_in_memory().map_err(|e| sentence(&self.path, "open", &e))?;
                let (db, notice) = begin_anew(&self.path, &error)?;
                (self.db, self.notice) = (db, Some(notice));
                self.ids.clear();
                Ok(T::default())
            }
            read => read.map_err(|e| sentence(&self.path, "read", &e)),
        }
    }

    /// What was noted of each thing, with when; words of its author's.
    pub fn notes(&self) -> Result<Vec<(Entity, Time, String)>, String> {
        read_notes(&self.db).map_err(|e| sentence(&self.path, "read", &e))
    }

    /// Notes something of each thing in one transaction; what was noted of it before is replaced.
    pub fn note(&mut self, notes: &[(Entity, Time, String)]) -> Result<(), String> {
        write_notes(&mut self.db, notes).map_err(|e| sentence(&self.path, "write", &e))
    }

    /// Reads one sample of a role in five minutes between two instants into `history`, without replacing what it knows:
    /// enough for the shape of a week, at a twentieth of the cost. Returns their number.
    pub fn load_coarse(&mut self, history: &mut History, role: Role, from: Time, to: Time) -> Result<usize, String> {
        let loaded = read_coarse(&self.db, role, from, to);
        let loaded = self.or_begin_anew(loaded)?;
        let count = loaded.values().map(Vec::len).sum();
        for (key, samples) in loaded {
            history.backfill(&key, &samples);
        }
        Ok(count)
    }

    /// Appends samples in one transaction: all or none of them are there after a crash. Within one slot the newest
    /// sample stays. Values that are not finite are left out.
    pub fn append(&mut self, samples: &[(SignalKey, Sample)]) -> Result<(), String> {
        let written = self.write(samples);
        if written.is_err() {
            self.ids.clear(); // ids of a transaction that was rolled back are not on disk
        }
        written.map_err(|e| sentence(&self.path, "write", &e))?;
        self.appends += 1;
        if self.appends >= PRUNE_EVERY {
            self.appends = 0;
            if let Some(newest) = samples.iter().map(|(_, s)| s.at).max() {
                self.prune(newest)?;
            }
        }
        Ok(())
    }

    /// Deletes rows that are too old at `now`, those ahead of it by more than a day (a clock that jumped), and the
    /// oldest beyond the limit on rows; old notes too. Returns how many rows. `append` calls it now and then.
    pub fn prune(&mut self, now: Time) -> Result<usize, String> {
        self.ids.clear(); // groups come and go: those that are still written are looked up again
        let notes = self.db.execute("DELETE FROM notes WHERE at < ?1", [now.plus(-KEEP_NOTES).millis()]);
        notes.map_err(|e| sentence(&self.path, "prune", &e))?;
        let (oldest, newest) = (slot(now.plus(-KEEP)), slot(now.plus(86_400.0)));
        let pruned = self.db.execute("DELETE FROM samples WHERE slot < ?1 OR slot > ?2", params![oldest, newest]);
        let mut count = pruned.map_err(|e| sentence(&self.path, "prune", &e))?;
        let beyond = self
            .db
            .query_row("SELECT slot FROM samples ORDER BY slot DESC LIMIT 1 OFFSET ?1", [MOST_ROWS], |r| r.get(0))
            .optional()
            .map_err(|e| sentence(&self.path, "prune", &e))?;
        if let Some(slot) = beyond {
            let slot: i64 = slot;
            count += self
                .db
                .execute("DELETE FROM samples WHERE slot <= ?1", [slot])
                .map_err(|e| sentence(&self.path, "prune", &e))?;
        }
        Ok(count)
    }

    fn write(&mut self, samples: &[(SignalKey, Sample)]) -> rusqlite::Result<()> {
        // IMMEDIATE: the write lock is waited for here, where the busy time-out applies, not at the first write.
        let transaction = self.db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut put = transaction.prepare_cached(
                "INSERT INTO samples (slot, series, at, value) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET at = excluded.at, value = excluded.value WHERE excluded.at >= at",
            )?;
            for (key, sample) in samples.iter().filter(|(_, s)| s.value.is_finite()) {
                let id = match self.ids.get(key) {
                    Some(id) => *id,
                    None => series_id(&transaction, key)?,
                };
                self.ids.entry(key.clone()).or_insert(id);
                put.execute(params![slot(sample.at), id, sample.at.millis(), sample.value])?;
            }
        }
        transaction.commit()
    }
}

pub(super) fn slot(at: Time) -> i64 {
    at.millis().div_euclid((SLOT * 1000.0) as i64)
}

/// Opens and checks a file: a damaged one fails here already.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    // Two that open a new file at once hold what the other waits for: one of them is refused without waiting.
    let begun = Instant::now();
    while let Err(error) = db.pragma_update(None, "journal_mode", "WAL") {
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || begun.elapsed() > BUSY {
            return Err(error);
        }
        std::thread::sleep(AGAIN);
    }
    db.pragma_update(None, "synchronous", "NORMAL")?;
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version < VERSION {
        db.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
    }
    if version <= VERSION {
        db.execute_batch(NOTES)?;
        // Walks the whole table once: what is torn is found now rather than in the middle of a night.
        db.query_row("SELECT count(*) FROM samples", [], |_| Ok(()))?;
        keys(&db)?;
        read_notes(&db)?;
    }
    Ok(db)
}

fn series_id(db: &Connection, key: &SignalKey) -> rusqlite::Result<i64> {
    let Entity { kind, source, id } = &key.entity;
    let columns = params![kind.name(), source.as_str(), id.as_str(), key.role.name()];
    db.prepare_cached("INSERT OR IGNORE INTO series (kind, source, entity, role) VALUES (?1, ?2, ?3, ?4)")?
        .execute(columns)?;
    db.prepare_cached("SELECT id FROM series WHERE kind = ?1 AND source = ?2 AND entity = ?3 AND role = ?4")?
        .query_row(columns, |row| row.get(0))
}

/// The series that this program knows, by their numbers in the file.
fn keys(db: &Connection) -> rusqlite::Result<BTreeMap<i64, SignalKey>> {
    let mut keys = BTreeMap::new();
    let mut statement = db.prepare("SELECT id, kind, source, entity, role FROM series")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, role): (String, String) = (row.get(1)?, row.get(4)?);
        // A kind or role of another version of the program is left where it is.
        if let (Some(kind), Some(role)) = (parse_kind(&kind), Role::parse(&role)) {
            let (source, id) = (Label::new(&row.get::<_, String>(2)?), Label::new(&row.get::<_, String>(3)?));
            keys.insert(row.get::<_, i64>(0)?, SignalKey { entity: Entity { kind, source, id }, role });
        }
    }
    Ok(keys)
}

fn read_coarse(
    db: &Connection,
    role: Role,
    from: Time,
    to: Time,
) -> rusqlite::Result<BTreeMap<SignalKey, Vec<Sample>>> {
    let keys: BTreeMap<i64, SignalKey> = keys(db)?.into_iter().filter(|(_, k)| k.role == role).collect();
    let mut out: BTreeMap<SignalKey, Vec<Sample>> = BTreeMap::new();
    let mut statement = db.prepare("SELECT series, at, value FROM samples WHERE slot = ?1")?;
    let first = slot(from).div_euclid(COARSE) * COARSE + COARSE / 2;
    for slot in (first..slot(to)).step_by(COARSE as usize) {
        let mut rows = statement.query([slot])?;
        while let Some(row) = rows.next()? {
            let Some(key) = keys.get(&row.get::<_, i64>(0)?) else { continue };
            let sample = Sample { at: Time::from_millis(row.get(1)?), value: row.get(2)? };
            out.entry(key.clone()).or_default().push(sample);
        }
    }
    Ok(out)
}

fn read_notes(db: &Connection) -> rusqlite::Result<Vec<(Entity, Time, String)>> {
    let mut statement = db.prepare("SELECT kind, source, entity, at, note FROM notes")?;
    let mut rows = statement.query([])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let Some(kind) = parse_kind(&row.get::<_, String>(0)?) else { continue };
        let (source, id) = (Label::new(&row.get::<_, String>(1)?), Label::new(&row.get::<_, String>(2)?));
        out.push((Entity { kind, source, id }, Time::from_millis(row.get(3)?), row.get(4)?));
    }
    Ok(out)
}

fn write_notes(db: &mut Connection, notes: &[(Entity, Time, String)]) -> rusqlite::Result<()> {
    let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for (Entity { kind, source, id }, at, note) in notes {
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO notes (kind, source, entity, at, note) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![kind.name(), source.as_str(), id.as_str(), at.millis(), note])?;
    }
    transaction.commit()
}

fn read(db: &Connection, since: Time) -> rusqlite::Result<BTreeMap<SignalKey, Vec<Sample>>> {
    let keys = keys(db)?;
    let mut out: BTreeMap<SignalKey, Vec<Sample>> = BTreeMap::new();
    let mut statement = db.prepare("SELECT series, at, value FROM samples WHERE slot >= ?1 ORDER BY slot")?;
    let mut rows = statement.query([slot(since)])?;
    while let Some(row) = rows.next()? {
        let Some(key) = keys.get(&row.get::<_, i64>(0)?) else { continue };
        let sample = Sample { at: Time::from_millis(row.get(1)?), value: row.get(2)? };
        if sample.at >= since {
            out.entry(key.clone()).or_default().push(sample);
        }
    }
    Ok(out)
}

fn parse_kind(name: &str) -> Option<WorkloadKind> {
    use WorkloadKind::{Batch, Brokers, ConsumerGroup, Inference};
    [ConsumerGroup, Inference, Batch, Brokers].into_iter().find(|k| k.name() == name)
}

/// Whether the file itself is at fault rather than a lock, a permission or a full disk.
fn is_damaged(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{InvalidColumnType, SqlInputError, SqliteFailure};
    match error {
        SqliteFailure(cause, message) => {
            matches!(cause.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_deref().is_some_and(|m| m.contains("no such table") || m.contains("no such column"))
        }
        SqlInputError { msg, .. } => msg.contains("no such table") || msg.contains("no such column"),
        InvalidColumnType(..) => true,
        _ => false,
    }
}

/// Moves a damaged file aside and makes a new one; with a sentence about it.
fn begin_anew(path: &Path, error: &rusqlite::Error) -> Result<(Connection, String), String> {
    let aside = move_aside(path)?;
    let db = connect(path).map_err(|e| sentence(path, "open", &e))?;
    let (path, aside) = (path.display(), aside.display());
    Ok((db, format!("the history file {path} was damaged ({error}) and was moved to {aside}; a new one was begun")))
}

/// Renames the file and takes its log away; the first free name of `history.sqlite3.damaged-1`, `-2`, ….
fn move_aside(path: &Path) -> Result<PathBuf, String> {
    let with = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let free =
        (1..10_000).map(|n: u32| with(&format!(".damaged-{n}"))).find(|p| !p.exists()).unwrap_or_else(|| with("-x"));
    std::fs::rename(path, &free).map_err(|e| {
        format!("the history file {} is damaged and cannot be moved aside: {e}; move it away", path.display())
    })?;
    for suffix in ["-wal", "-shm"] {
        // The log of a damaged file must not be replayed into the new one; usually there is none.
        let _ = std::fs::remove_file(with(suffix));
    }
    Ok(free)
}

fn sentence(path: &Path, verb: &str, error: &rusqlite::Error) -> String {
    let mend = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another process holds it; trying again will do",
        Some(ErrorCode::DiskFull) => "the disk is full: make room",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => "mend its permissions",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it is damaged: it is moved aside at the next start"
        }
        _ => "what was seen stays in memory; it is tried again",
    };
    format!("cannot {verb} the history file {}: {error} ({mend})", path.display())
}

#[cfg(test)]
mod tests;
