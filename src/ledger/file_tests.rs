//! The ledger on a disk that fails, in hands that edit it, and after a crash at any byte.

use super::super::{Contents, export, fold, machine::tests::proposed, read, verify};
use super::*;
use crate::model::{Label, PlanHash};
use proptest::prelude::*;
use std::sync::LazyLock;
use tempfile::TempDir;

const START: Time = Time::from_millis(1_800_000_000_000);

fn actor() -> Actor {
    Actor {
        server_user: Some("alice@corp".into()),
        vouched_by: None,
        os_user: "alice".into(),
        host: "bastion".into(),
        pid: 4711,
        ssh: None,
    }
}

fn open(dir: &TempDir) -> Ledger {
    Ledger::open(dir.path(), actor(), START.plus(1000.0)).unwrap()
}

fn in_state(action: &Action, state: ActionState, seconds: f64) -> Action {
    Action { state, updated: START.plus(seconds), ..action.clone() }
}

/// Records `states` of an action after its proposal.
fn tell(ledger: &mut Ledger, id: &str, states: &[ActionState]) {
    let first = proposed(id);
    ledger.record(&first).unwrap();
    for (i, state) in states.iter().enumerate() {
        ledger.record(&in_state(&first, *state, 1.0 + i as f64)).unwrap();
    }
}

use ActionState::{Applied, Applying, Approved, Expired, Rejected, Unknown, Verified};

#[test]
fn what_is_recorded_is_what_is_read_and_nobody_else_may() {
    let dir = TempDir::new().unwrap();
    let home = dir.path().join("state").join("highwater");
    let mut ledger = Ledger::open(&home, actor(), START).unwrap();
    tell(&mut ledger, "a", &[Approved, Applying, Applied, Verified]);
    tell(&mut ledger, "b", &[Rejected]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&home), mode(ledger.path())), (0o700, 0o600));
    let in_memory: Vec<Action> = ledger.actions().values().cloned().collect();
    let Contents { entries, report } = read(&home).unwrap();
    assert_eq!(fold(&entries), in_memory, "replay is the state");
    assert_eq!((report.entries, report.problem), (7, None));
    assert_eq!(report.head.as_deref(), Some(ledger.head()));
    drop(ledger);
    let again = Ledger::open(&home, actor(), START).unwrap();
    assert_eq!(again.actions().values().cloned().collect::<Vec<_>>(), in_memory);
    assert!(again.health().writable);
}

#[test]
fn one_process_writes_and_the_other_learns_who() {
    let dir = TempDir::new().unwrap();
    let first = open(&dir);
    let second = Ledger::open(dir.path(), actor(), START).unwrap_err();
    assert!(matches!(second, LedgerError::Locked { .. }));
    assert!(second.to_string().contains("alice@corp (process 4711 on bastion)"), "{second}");
    assert!(read(dir.path()).is_ok(), "reading needs no lock");
    drop(first);
    open(&dir);
}

#[test]
fn a_new_run_brings_the_old_ones_actions_to_rest() {
    let dir = TempDir::new().unwrap();
    let mut ledger = open(&dir);
    tell(&mut ledger, "approved", &[Approved]);
    tell(&mut ledger, "proposed", &[]);
    tell(&mut ledger, "applied", &[Approved, Applying, Applied]);
    tell(&mut ledger, "applying", &[Approved, Applying]);
    drop(ledger);
    let ledger = open(&dir);
    let states: Vec<(String, ActionState)> = ledger.actions().values().map(|a| (a.id.to_string(), a.state)).collect();
    let expected = [("applied", Applied), ("applying", Unknown), ("approved", Expired), ("proposed", Expired)];
    assert_eq!(states, expected.map(|(id, s)| (id.to_owned(), s)));
    assert_eq!(ledger.to_watch().count(), 2);
    assert_eq!(ledger.in_flight().count(), 1);
    let entries = read(dir.path()).unwrap().entries.len();
    drop(ledger);
    open(&dir);
    assert_eq!(read(dir.path()).unwrap().entries.len(), entries, "a second restart changes nothing");
}

#[test]
fn a_story_that_the_machine_does_not_tell_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut ledger = open(&dir);
    tell(&mut ledger, "a", &[Approved, Applying]);
    let a = proposed("a");
    let again = ledger.record(&in_state(&a, Applying, 9.0));
    assert!(matches!(again, Err(LedgerError::Story { .. })), "one write per action");
    assert!(ledger.record(&in_state(&proposed("x"), Applying, 9.0)).is_err(), "a write without a decision");
    tell(&mut ledger, "b", &[Approved]);
    let busy = ledger.record(&in_state(&proposed("b"), Applying, 9.0)).unwrap_err();
    assert!(busy.to_string().contains("a is applying on deploy/payments/fraud-scorer"), "{busy}");
    ledger.record(&in_state(&a, Unknown, 10.0)).unwrap();
    assert!(ledger.record(&in_state(&proposed("b"), Applying, 11.0)).is_err(), "an unknown outcome blocks too");
}

/// The bytes of a ledger with a few entries.
static WRITTEN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = TempDir::new().unwrap();
    let mut ledger = open(&dir);
    tell(&mut ledger, "a", &[Approved, Applying, Applied, Verified]);
    ledger.note("a word", START).unwrap();
    fs::read(ledger.path()).unwrap()
});

fn with_bytes(bytes: &[u8]) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(FILE), bytes).unwrap();
    dir
}

#[test]
fn a_crash_at_any_byte_loses_at_most_the_line_being_written() {
    let bytes = &*WRITTEN;
    let ends: Vec<usize> = bytes.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect();
    for cut in (0..bytes.len()).step_by(37).chain(ends.iter().copied()).chain(ends.iter().map(|e| e - 1)) {
        let dir = with_bytes(&bytes[..cut]);
        let whole = ends.iter().filter(|e| **e <= cut + 1).count() as u64; // a line that lacks only its newline is whole
        let torn = !ends.contains(&cut) && !ends.contains(&(cut + 1)) && cut > 0;
        assert_eq!(verify(dir.path()).unwrap().entries, whole, "cut at {cut}");
        let mut ledger = open(&dir);
        assert!(ledger.health().writable, "cut at {cut}");
        ledger.note("goes on", START).unwrap();
        let Contents { entries, report } = read(dir.path()).unwrap();
        assert_eq!((report.problem, report.torn), (None, 0), "cut at {cut}");
        assert_eq!(entries.iter().any(|e| e.reason.as_str().starts_with("recovered")), torn, "cut at {cut}");
        let kept = fs::read(dir.path().join(format!("ledger.{}.torn", whole + 1)));
        assert_eq!(kept.is_ok(), torn, "the torn bytes are kept, cut at {cut}");
    }
}

proptest! {
    #[test]
    fn any_edit_of_a_whole_line_is_found(at in 0.0..1.0_f64, byte in 0x20_u8..0x7f) {
        let mut bytes = WRITTEN.clone();
        let at = ((bytes.len() - 1) as f64 * at) as usize; // all but the last newline
        prop_assume!(bytes[at] != byte && bytes[at] != b'\n');
        bytes[at] = byte;
        let dir = with_bytes(&bytes);
        prop_assert!(verify(dir.path()).unwrap().problem.is_some(), "byte {at}");
        let mut ledger = Ledger::open(dir.path(), actor(), START).unwrap();
        prop_assert!(!ledger.health().writable);
        prop_assert!(matches!(ledger.record(&proposed("z")), Err(LedgerError::ReadOnly(_))));
        prop_assert_eq!(fs::read(ledger.path()).unwrap(), bytes, "nothing is mended silently");
    }
}

#[test]
fn a_missing_or_foreign_line_is_named() {
    let text = String::from_utf8(WRITTEN.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
    let problem = verify(with_bytes(without.as_bytes()).path()).unwrap().problem.unwrap();
    assert_eq!((problem.line, problem.seq), (3, 4), "{}", problem.what);
    let newer = text.replacen("{\"v\":1,", "{\"v\":9,\"more\":true,", 1);
    let problem = verify(with_bytes(newer.as_bytes()).path()).unwrap().problem.unwrap();
    assert!(problem.what.as_str().contains("newer version"), "{}", problem.what);
}

#[test]
fn a_full_disk_stops_everything_that_would_follow() {
    let dir = TempDir::new().unwrap();
    let mut ledger = open(&dir);
    tell(&mut ledger, "a", &[Approved]);
    ledger.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
    (ledger.path, ledger.length) = ("/dev/full".into(), 0);
    let full = ledger.record(&in_state(&proposed("a"), Applying, 2.0)).unwrap_err();
    assert!(matches!(&full, LedgerError::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull), "{full}");
    assert_eq!(ledger.actions().values().next().unwrap().state, Approved, "what is not on disk did not happen");
    assert!(!ledger.health().writable);
    assert!(matches!(ledger.note("x", START), Err(LedgerError::ReadOnly(_))), "no second try on an unknown disk");
}

#[test]
fn a_ledger_that_was_moved_cut_or_written_by_others_takes_no_entry() {
    type Harm = fn(&Ledger);
    let hands: [(&str, Harm); 5] = [
        ("moved", |l| fs::rename(l.path(), l.path().with_extension("old")).unwrap()),
        ("deleted", |l| fs::remove_file(l.path()).unwrap()),
        ("cut", |l| drop(File::create(l.path()).unwrap())),
        ("written by another", |l| {
            OpenOptions::new().append(true).open(l.path()).unwrap().write_all(b"x\n").unwrap();
        }),
        ("replaced by a copy", |l| {
            let bytes = fs::read(l.path()).unwrap();
            fs::remove_file(l.path()).unwrap();
            fs::write(l.path(), bytes).unwrap();
        }),
    ];
    for (what, harm) in hands {
        let dir = TempDir::new().unwrap();
        let mut ledger = open(&dir);
        tell(&mut ledger, "a", &[Approved]);
        harm(&ledger);
        let refused = ledger.record(&in_state(&proposed("a"), Applying, 2.0));
        assert!(matches!(refused, Err(LedgerError::Io { .. })), "{what}: {refused:?}");
        assert!(!ledger.health().writable, "{what}");
    }
}

#[test]
fn the_export_keeps_its_keys_and_no_formula() {
    let dir = TempDir::new().unwrap();
    let mut ledger = open(&dir);
    let hostile = Action { workload: "=HYPERLINK(\"x\")".into(), reason: Label::new("a,\"b\"\u{1b}"), ..proposed("a") };
    ledger.record(&hostile).unwrap();
    ledger.note("about the ledger", START).unwrap();
    let entries = read(dir.path()).unwrap().entries;
    let json: serde_json::Value = serde_json::from_str(&export::json(&entries).unwrap()).unwrap();
    let first = json["entries"][0].as_object().unwrap();
    let keys = [
        "seq",
        "at",
        "action",
        "workload",
        "target",
        "from",
        "to",
        "state",
        "actor",
        "reason",
        "plan_hash",
        "prev",
        "hash",
    ];
    assert!(keys.iter().all(|k| first.contains_key(*k)), "{first:?}");
    assert_eq!((&json["version"], &first["actor"]), (&1.into(), &"@".into()));
    assert!(json["entries"][1]["state"].is_null());
    let csv = export::csv(&entries).unwrap();
    assert!(csv.starts_with(&(keys.join(",") + ",server_user,os_user,host,")));
    assert!(csv.contains("\"'=HYPERLINK"), "{csv}");
}

#[test]
fn a_long_ledger_is_recalled_as_it_is_replayed() {
    let dir = TempDir::new().unwrap();
    let states = [ActionState::Proposed, Approved, Applying, Applied, Verified];
    let story = (0..2_000_usize).map(|i| Action {
        id: ActionId(format!("a-{:04}", i / 5).into()),
        plan_hash: PlanHash::of(&[&(i / 5).to_string()]),
        ..in_state(&proposed("a"), states[i % 5], i as f64)
    });
    crate::ledger::write_unsynced(dir.path(), story).unwrap();
    let ledger = open(&dir);
    let replayed = fold(&read(dir.path()).unwrap().entries);
    assert_eq!(ledger.actions().values().cloned().collect::<Vec<_>>(), replayed, "first and last lines are enough");
    assert_eq!((ledger.actions().len(), ledger.last_at()), (400, Some(START.plus(1999.0))));
}

#[test]
fn a_clock_that_was_set_back_writes_no_earlier_instant() {
    let dir = TempDir::new().unwrap();
    let mut ledger = open(&dir);
    tell(&mut ledger, "a", &[Approved]);
    drop(ledger);
    let ledger = Ledger::open(dir.path(), actor(), START.plus(-3600.0)).unwrap();
    let a = ledger.actions().values().next().unwrap();
    assert_eq!((a.state, a.updated), (Expired, START.plus(1.0)), "the story goes on where it was");
    assert_eq!(ledger.last_at(), Some(START.plus(1.0)));
}

#[test]
fn a_directory_that_cannot_be_written_says_so() {
    // Not even root makes a directory there.
    let refused = Ledger::open(Path::new("/sys/highwater"), actor(), START).unwrap_err().to_string();
    assert!(refused.contains("cannot make the directory of the ledger at /sys/highwater"), "{refused}");
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join(FILE)).unwrap();
    let refused = Ledger::open(dir.path(), actor(), START).unwrap_err().to_string();
    assert!(refused.contains("cannot open the ledger at"), "{refused}");
}
