//! What an operator counts on after a crash, a second dashboard, a torn file.

use super::*;

fn key(id: &str) -> SignalKey {
    let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: "prod".into(), id: id.into() };
    SignalKey { entity, role: Role::Demand }
}

fn sample(at: f64, value: f64) -> Sample {
    Sample { at: Time::from_secs(at), value }
}

fn loaded(store: &mut Store) -> Vec<Sample> {
    let mut history = History::default();
    store.load(&mut history, Time::from_secs(0.0)).unwrap();
    history.samples(&key("orders"), Time::from_secs(0.0))
}

#[test]
fn what_was_appended_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.append(&[(key("orders"), sample(0.0, 1.5)), (key("orders"), sample(15.0, f64::NAN))]).unwrap();
    store.append(&[(key("orders"), sample(30.0, 2.5))]).unwrap();
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(store.notice(), None);
    assert_eq!(loaded(&mut store), [sample(0.0, 1.5), sample(30.0, 2.5)]);
}

#[test]
fn notes_are_kept_one_a_thing() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let note = |id: &str, at: f64, text: &str| (key(id).entity, Time::from_secs(at), text.to_owned());
    store.note(&[note("orders", 1.0, "old"), note("clicks", 1.0, "one")]).unwrap();
    store.note(&[note("orders", 2.0, "new")]).unwrap();
    let mut notes = Store::open(dir.path()).unwrap().notes().unwrap();
    notes.sort();
    assert_eq!(notes, [note("clicks", 1.0, "one"), note("orders", 2.0, "new")]);
}

#[test]
fn a_coarse_read_takes_one_sample_in_five_minutes_of_one_role() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut all: Vec<_> = (0..240).map(|i| (key("orders"), sample(f64::from(i) * 15.0, f64::from(i)))).collect();
    all.push((SignalKey { role: Role::Backlog, ..key("orders") }, sample(150.0, 7.0)));
    store.append(&all).unwrap();
    let mut history = History::default();
    let count = store.load_coarse(&mut history, Role::Demand, Time::from_secs(0.0), Time::from_secs(1_800.0));
    assert_eq!(count, Ok(6));
    let read = history.samples(&key("orders"), Time::from_secs(0.0));
    assert_eq!(read[..2], [sample(150.0, 10.0), sample(450.0, 30.0)], "the middle of each, as back-fills are stored");
    assert_eq!(history.keys().count(), 1);
}

#[test]
fn a_process_that_dies_without_closing_loses_nothing_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.append(&[(key("orders"), sample(0.0, 1.0))]).unwrap();
    std::mem::forget(store); // as kill -9 leaves it: no close, no checkpoint, the log beside the file
    assert_eq!(loaded(&mut Store::open(dir.path()).unwrap()), [sample(0.0, 1.0)]);
}

#[test]
fn processes_that_open_a_new_file_at_once_all_have_it() {
    for _ in 0..20 {
        let (dir, together) = (tempfile::tempdir().unwrap(), std::sync::Barrier::new(4));
        let open = || {
            together.wait();
            Store::open(dir.path()).map(|_| ())
        };
        let opened = std::thread::scope(|s| [(); 4].map(|()| s.spawn(open)).map(|t| t.join().unwrap()));
        assert_eq!(opened, [Ok(()), Ok(()), Ok(()), Ok(())]);
    }
}

#[test]
fn two_processes_write_at_once_and_store_a_series_once() {
    let dir = tempfile::tempdir().unwrap();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let dir = dir.path().to_owned();
            std::thread::spawn(move || {
                let mut store = Store::open(&dir).unwrap();
                for i in 0..50 {
                    store.append(&[(key("orders"), sample(f64::from(i) * 15.0, 7.0))]).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(loaded(&mut Store::open(dir.path()).unwrap()).len(), 50);
}

#[test]
fn a_damaged_file_is_moved_aside_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FILE), "this was never a database, and long enough to be read".repeat(40)).unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let notice = store.notice().unwrap().to_owned();
    assert!(notice.contains("damaged-1"), "{notice}");
    assert!(dir.path().join(format!("{FILE}.damaged-1")).exists());
    store.append(&[(key("orders"), sample(0.0, 1.0))]).unwrap();
    assert_eq!(loaded(&mut store).len(), 1);
}

#[test]
fn a_truncated_file_is_moved_aside_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let rows: Vec<_> = (0..5000).map(|i| (key("orders"), sample(f64::from(i) * 15.0, 1.0))).collect();
    store.append(&rows).unwrap();
    drop(store);
    let path = dir.path().join(FILE);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(Store::open(dir.path()).unwrap().notice().is_some());
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.db.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(error.contains("version 99"), "{error}");
}

#[test]
fn old_rows_are_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let now = 20.0 * 86_400.0;
    store.append(&[(key("orders"), sample(now - KEEP - 60.0, 1.0)), (key("orders"), sample(now, 2.0))]).unwrap();
    let note = |id: &str, at: f64| (key(id).entity, Time::from_secs(at), "word".to_owned());
    store.note(&[note("gone", now - KEEP_NOTES - 60.0), note("orders", now - KEEP)]).unwrap();
    assert_eq!(store.prune(Time::from_secs(now)).unwrap(), 1);
    assert_eq!(loaded(&mut store), [sample(now, 2.0)]);
    assert_eq!(store.notes().unwrap(), [note("orders", now - KEEP)], "its capacity is known for longer");
    assert!(store.ids.is_empty(), "a group of a minute is not remembered for months");
}

/// What one can only find out by reading: pages whose rows are torn, whichever table they are of.
#[test]
fn a_file_that_opens_and_cannot_be_read_is_moved_aside_too() {
    for table in ["samples", "series", "notes"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut store = Store::open(dir.path()).unwrap();
        let rows: Vec<_> = (0..50).map(|i| (key("orders"), sample(f64::from(i) * 15.0, 1.0))).collect();
        store.append(&rows).unwrap();
        store.note(&[(key("orders").entity, Time::from_secs(1.0), "word".to_owned())]).unwrap();
        let root = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let page: i64 = store.db.query_row(root, [table], |row| row.get(0)).unwrap();
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        let end = usize::try_from(page).unwrap() * 4_096;
        bytes[end - 40..end].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        assert!(loaded(&mut store).is_empty(), "{table}");
        let notice = store.notice().unwrap_or_default().to_owned();
        assert!(notice.contains("was damaged") && notice.contains("damaged-1"), "{table}: {notice:?}");
        store.append(&[(key("orders"), sample(0.0, 1.0))]).unwrap();
        drop(store);
        assert_eq!(loaded(&mut Store::open(dir.path()).unwrap()).len(), 1, "{table}: it is kept anew");
    }
}
