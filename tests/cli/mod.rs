//! The contract of the command line, through the real binary without a terminal: exit codes, what goes to which
//! stream, the JSON of scripts, and what bad input gets.

mod bad_input;
mod secrets;
pub(crate) mod support;
mod world;

use highwater::{
    ledger::Ledger,
    model::{Action, ActionId, ActionState, Actor, PlanHash, Time},
};
use serde_json::json;
use support::{Home, assert_shape, closed_port};

#[test]
fn lists_need_no_system_and_no_file() {
    let home = Home::new();
    for (args, part) in [
        (&["--help"][..], "operate"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["keys"], "approve"),
        (&["themes"], "harbor-dark"),
        (&["packs"], "vllm"),
        (&["config", "example"], "[kafka.prod]"),
        (&["config", "schema"], "\"$schema\""),
        (&["config", "show"], "theme = \"harbor-dark\""),
        (&["info"], "highwater.toml"),
        (&["info"], "highwater/history.sqlite3"),
        (&["completions", "bash"], "complete -F"),
        (&["completions", "zsh"], "#compdef"),
        (&["man"], ".TH"),
        (&["ledger", "list"], "no decisions yet"),
        (&["ledger", "verify"], "ok"),
        (&["ledger", "export", "--format", "csv"], "seq,"),
    ] {
        let ran = home.expect(0, args);
        assert!(ran.out.contains(part), "{args:?}: {part:?} is not in {}", ran.out);
        assert!(ran.err.is_empty(), "{args:?} says on standard error: {}", ran.err);
    }
    assert_shape(
        &home.expect(0, &["keys", "--format", "json"]).json(),
        &json!({ "version": 1, "keys": [{ "action": "text", "keys": "list", "what": "text" }] }),
    );
    assert_eq!(home.expect(0, &["ledger", "list", "--format", "json"]).json(), json!({ "version": 1, "entries": [] }));
    assert_eq!(home.expect(0, &["ledger", "export"]).json(), json!({ "version": 1, "entries": [] }));
    let schema = home.expect(0, &["config", "schema"]).json();
    assert_shape(&schema, &json!({ "properties": { "kafka": "map", "workload": "map" } }));
    home.expect(1, &["ledger", "show", "0"]);
    assert!(!home.path().join("state").exists(), "commands that only read leave nothing behind");
}

#[test]
fn a_pack_of_ones_own_is_judged_with_lines() {
    let home = Home::new();
    let good = "name = 'mine'\ndetect = ['my_len']\n[queue]\nname = ['{q}']\n[concepts.waiting]\n\
                query = 'sum by (q) (my_len{$sel})'\ninto = 'queue.waiting'\n";
    let file = home.file("good.toml", good);
    assert!(home.expect(0, &["packs", "lint", &file]).out.contains("mine: 1 expressions parse"));
    let bad = home.file("bad.toml", &good.replace("my_len{$sel})", "my_len{$sel}"));
    let ran = home.expect(1, &["packs", "lint", &file, &bad]);
    assert!(ran.out.contains("bad.toml:5, concept waiting: the query does not parse"), "{ran:?}");
    home.expect(2, &["packs", "lint", "/no/such/pack.toml"]);
}

#[test]
fn the_example_is_a_configuration_that_is_accepted() {
    let home = Home::new();
    let example = home.expect(0, &["config", "example"]).out;
    let file = home.file("example.toml", &example);
    let shown = home.expect(0, &["config", "show", "--config", &file]);
    assert!(
        shown.out.contains("command/model-pool") && shown.out.contains("{ env = \"KAFKA_PASSWORD\" }"),
        "{shown:?}"
    );
    for part in [
        "freeze = [\"fri 16:00-24:00\", \"sat,sun\"]",
        "protected = false, confirm = \"yes\"",
        "[[budget]]",
        "[[pipeline]]",
        "slo = {",
    ] {
        assert!(shown.out.contains(part), "{part}: what is in force is shown: {shown:?}");
    }
}

#[test]
fn a_dashboard_without_a_terminal_says_what_works_without_one() {
    let home = Home::new();
    for (args, mend) in [
        (&["watch", "--kafka", "127.0.0.1:1"][..], "highwater snapshot"),
        (&["--kafka", "127.0.0.1:1"], "highwater snapshot"),
        (&["operate", "--kafka", "127.0.0.1:1"], "highwater recommend"),
        (&["demo"], "highwater snapshot --demo"),
        (&["demo", "--watch"], "highwater snapshot --demo"),
    ] {
        let ran = home.expect(2, args);
        assert!(ran.err.contains("not a terminal") && ran.err.contains(mend), "{args:?}: {}", ran.err);
        assert!(ran.out.is_empty(), "{args:?}: {}", ran.out);
    }
    for command in ["watch", "operate", "recommend", "snapshot", "check"] {
        let ran = home.expect(2, &[command]);
        assert!(ran.err.contains("nothing to look at") && ran.err.contains("highwater demo"), "{command}: {}", ran.err);
    }
}

#[test]
fn lines_that_nobody_reads_any_more_come_to_an_end() {
    let home = Home::new();
    let broker = format!("127.0.0.1:{}", closed_port());
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_highwater"))
        .args(["watch", "--accessible", "--kafka", &broker])
        .envs([("HOME", home.path().to_owned()), ("XDG_STATE_HOME", home.path().join("state"))])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take()); // as `| head` does when it has enough
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        crate::support::wait_for("it ends", || child.try_wait().unwrap())
    }));
    let _ = child.kill(); // it has ended unless the test fails
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[test]
fn a_written_ledger_is_listed_shown_verified_and_exported() {
    let home = Home::new();
    let at = Time::parse("2026-03-01T12:00:00Z").unwrap();
    let (id, target) = (ActionId("01HW0000000000000000001".into()), "deploy/payments/fraud-scorer".parse().unwrap());
    let mut action = Action {
        uid: Some("u-1".into()),
        plan_hash: PlanHash::of(&["plan"]),
        actor: Actor { os_user: "=ann".into(), host: "h".into(), pid: 1, ..Actor::default() },
        reason: "night surge".into(),
        request: "PATCH".into(),
        evidence: "lag".into(),
        ..Action::proposed(id, "fraud-scorer".into(), target, (6, 10), at)
    };
    let mut ledger = Ledger::open(&home.ledger(), action.actor.clone(), at).unwrap();
    for (state, later) in [(ActionState::Proposed, 0.0), (ActionState::Rejected, 5.0)] {
        (action.state, action.updated) = (state, at.plus(later));
        ledger.record(&action).unwrap();
    }
    let path = ledger.path().to_owned();
    drop(ledger);

    let listed = home.expect(0, &["ledger", "list", "--format", "json"]).json();
    assert_shape(
        &listed,
        &json!({ "version": 1, "entries": [{
            "seq": "number", "at": "time", "action": "text", "workload": "text", "target": "text", "from": "number",
            "to": "number", "state": "text", "actor": "text", "reason": "text", "plan_hash": "text", "prev": "text",
            "hash": "text", "server_user": "text?", "os_user": "text", "host": "text", "ssh": "text?", "uid": "text?",
            "request": "text", "evidence": "text", "undoes": "text?", "begin_at": "time?", "reverted_by": "text?",
        }] }),
    );
    assert_eq!(listed["entries"][1]["state"], "rejected");
    assert_eq!(listed["entries"][1]["prev"], listed["entries"][0]["hash"]);
    let table = home.expect(0, &["ledger", "list"]).out;
    assert!(table.lines().count() == 2 && table.contains("6 → 10") && table.contains("night surge"), "{table}");
    assert!(table.lines().all(|l| l.contains(" 01HW0000000000000000001 ")), "what show takes: {table}");
    let story = home.expect(0, &["ledger", "show", "01HW"]).json();
    assert_eq!(story.as_array().map(Vec::len), Some(2));
    assert!(home.expect(0, &["ledger", "verify"]).out.starts_with("ok, 2 entries"));
    let csv = home.expect(0, &["ledger", "export", "--format", "csv"]).out;
    assert!(csv.lines().count() == 3 && !csv.contains(",=ann"), "no cell is a formula: {csv}");

    let other =
        Action { id: ActionId("01HW0000000000000000002".into()), state: ActionState::Proposed, ..action.clone() };
    Ledger::open(&home.ledger(), action.actor.clone(), at).unwrap().record(&other).unwrap();
    let ran = home.expect(1, &["ledger", "show", "01HW"]);
    assert!(ran.out.is_empty() && ran.err.contains("2 actions begin with \"01HW\""), "no two stories as one: {ran:?}");
    home.expect(0, &["ledger", "show", "01HW0000000000000000002"]);

    let forged = std::fs::read_to_string(&path).unwrap().replacen("\"to\":10", "\"to\":99", 1);
    std::fs::write(&path, forged).unwrap();
    let ran = home.expect(1, &["ledger", "verify"]);
    assert!(ran.err.contains("line 1") && ran.out.is_empty(), "{ran:?}");
    for command in [
        &["ledger", "list"][..],
        &["ledger", "show", "01HW0000000000000000001"],
        &["ledger", "export", "--format", "csv"],
    ] {
        let ran = home.expect(1, command);
        assert!(ran.err.contains("breaks at line 1") && ran.out.contains("99"), "what can be read is shown: {ran:?}");
    }
    // Where it cannot be looked at is not where there is none.
    let ledger = home.ledger();
    std::fs::remove_dir_all(&ledger).unwrap();
    std::os::unix::fs::symlink(&ledger, &ledger).unwrap();
    for command in ["list", "verify", "export"] {
        assert!(home.expect(1, &["ledger", command]).err.contains("cannot read the ledger at"));
    }
}
