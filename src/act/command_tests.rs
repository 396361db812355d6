//! What a script is given, what its end means, and what never reaches it.

use super::*;
use crate::model::{ActionId, Target};

fn sh(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(str::to_owned).to_vec()
}

fn commands(name: &str, apply: &str, observe: Option<&str>) -> Commands {
    let settings =
        CommandSettings { name: name.into(), apply: sh(apply), observe: observe.map(sh), dry_run: None, timeout: 10.0 };
    Commands::new(&[settings], Clock::wall())
}

fn change(name: &str) -> Change {
    Change {
        action: ActionId("a-1".into()),
        target: Target::Command(name.into()),
        uid: None,
        from: 6,
        to: 10,
        reason: "lag; rm -rf /".into(),
        lever: None,
    }
}

async fn apply(script: &str, observe: Option<&str>) -> Outcome {
    commands("pool", script, observe).apply(&"pool".into(), &change("pool")).await
}

#[tokio::test]
async fn the_end_of_the_command_says_what_was_done() {
    assert_eq!(apply("exit 0", None).await, Outcome::Applied);
    assert_eq!(apply("exit 10", None).await, Outcome::Applied, "nothing to do");
    let refused = apply("echo cannot reach the pool >&2; exit 75", None).await;
    assert!(matches!(&refused, Outcome::Refused(why) if why.as_str().contains("cannot reach the pool")), "{refused:?}");
    assert!(matches!(apply("exit 1", None).await, Outcome::Unknown(_)), "any other code: nobody knows");
    assert!(matches!(apply("kill -9 $$", None).await, Outcome::Unknown(_)));
    let slow = Commands::new(
        &[CommandSettings { name: "pool".into(), apply: sh("sleep 60"), observe: None, dry_run: None, timeout: 0.2 }],
        Clock::wall(),
    );
    assert!(matches!(slow.apply(&"pool".into(), &change("pool")).await, Outcome::Unknown(_)));
    let absent = CommandSettings {
        name: "pool".into(),
        apply: vec!["/no/such/program".into()],
        observe: None,
        dry_run: None,
        timeout: 1.0,
    };
    let absent = Commands::new(&[absent], Clock::wall()).apply(&"pool".into(), &change("pool")).await;
    assert!(matches!(absent, Outcome::Refused(_)), "never started: {absent:?}");
}

#[tokio::test]
async fn the_count_must_be_the_one_on_screen() {
    let dir = tempfile::TempDir::new().unwrap();
    let mark = dir.path().join("ran");
    let script = format!("touch {}", mark.display());
    for observe in ["echo 7", "echo six", "exit 1", "/no/such/program"] {
        let outcome = apply(&script, Some(observe)).await;
        assert!(matches!(outcome, Outcome::Refused(_)), "{observe}: {outcome:?}");
        assert!(!mark.exists(), "{observe}: the command ran");
    }
    assert_eq!(apply(&script, Some("echo ' 6 '")).await, Outcome::Applied);
    assert!(mark.exists());
}

#[tokio::test]
async fn a_plan_runs_nothing_that_changes_and_shows_every_argument() {
    let dir = tempfile::TempDir::new().unwrap();
    let mark = dir.path().join("ran");
    let mut settings = CommandSettings {
        name: "pool".into(),
        apply: vec!["touch".into(), mark.display().to_string(), "to={to},from={from},{target}".into()],
        observe: Some(sh("echo 6")),
        dry_run: Some(sh("test $SCALE_DRY_RUN = 1 && test $SCALE_TO = 10")),
        timeout: 10.0,
    };
    let plan = Commands::new(&[settings.clone()], Clock::wall()).plan(&"pool".into(), &change("pool")).await;
    assert_eq!((plan.refused.as_slice(), plan.dry_run.is_ok()), ([].as_slice(), true), "{plan:?}");
    assert!(plan.request[0].as_str().ends_with("\"to=10,from=6,pool\"]"), "{:?}", plan.request);
    assert!(!mark.exists());
    settings.dry_run = Some(sh("echo quota >&2; exit 1"));
    let plan = Commands::new(&[settings], Clock::wall()).plan(&"pool".into(), &change("pool")).await;
    assert!(plan.refused.iter().any(|r| r.as_str().contains("quota")), "{plan:?}");
}

#[tokio::test]
async fn a_hostile_name_or_reason_never_becomes_code_or_an_option() {
    for name in ["-rf", "$(id)", "a;b", "a b", "", "ä", &"x".repeat(300)] {
        let outcome = commands(name, "exit 0", None).apply(&name.into(), &change(name)).await;
        assert!(matches!(outcome, Outcome::Refused(_)), "{name:?}: {outcome:?}");
    }
    let reason = "test \"$SCALE_REASON\" = 'lag; rm -rf /' && test $SCALE_ACTION_ID = a-1 && test $SCALE_TARGET = pool";
    assert_eq!(apply(reason, None).await, Outcome::Applied);
}

#[tokio::test]
async fn an_unconfigured_command_is_named() {
    let outcome = commands("pool", "exit 0", None).apply(&"other".into(), &change("other")).await;
    assert!(
        matches!(&outcome, Outcome::Refused(why) if why.as_str().contains("[actuator.command.other]")),
        "{outcome:?}"
    );
}
