//! A whole session of the watching binary, by the API server's own record: an operator who may change things looks, and
//! presses every key that decides.

use super::*;
use crate::{
    real::kubernetes::{Audited, kubernetes, wait},
    support::terminal::Terminal,
};
use std::path::Path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_watches_changes_nothing_by_the_servers_own_record() {
    let Some(server) = kubernetes().await else { return };
    let space = server.namespace().await;
    space.deployment("web", 2).await;
    space.deployment("held", 2).await;
    space.hpa("held", 1, 8).await;
    let stage = Stage::build(&space, server.settings("carol", &[&space.name]), &["web", "held"]).await;
    let file = stage.dir.path().join("highwater.toml");
    let kubernetes = format!(
        "[kubernetes]\ncontext = \"real\"\nkubeconfig = \"{}\"\nnamespaces = [\"{}\"]\n",
        server.kubeconfig("carol").display(),
        space.name
    );
    std::fs::write(&file, stage.text.clone() + &kubernetes).unwrap();
    let home = stage.dir.path().to_owned();
    tokio::task::spawn_blocking(move || look_and_press_everything(&home, &file)).await.unwrap();

    let ours = || server.audited("").into_iter().filter(|a| a.user() == "carol").collect::<Vec<_>>();
    wait("the record is written", async || ours().iter().any(|a| a.verb == "watch")).await;
    let changes: Vec<Audited> = ours().into_iter().filter(Audited::changes).collect();
    assert!(changes.is_empty(), "{changes:?}");
    assert!(ours().iter().all(|a| !a.uri.contains("dryRun")), "it does not even try");
    // The same person on the same server may: it is not for want of permission.
    let client = highwater::source::kubernetes::connect_to_change(&server.settings("carol", &[&space.name])).await;
    let carol = highwater::act::Actuator::new(Some((client.unwrap(), "real".into())), &[], stage.world.clock());
    let web = format!("deploy/{}/web", space.name).parse().unwrap();
    let seen = carol.observe(&web).await.unwrap().replicas;
    let change = highwater::act::Change {
        action: ActionId("a-1".into()),
        target: web,
        uid: seen.uid,
        from: seen.desired,
        to: 3,
        reason: "test".into(),
        lever: None,
    };
    assert!(carol.plan(&change).await.refused.is_empty());
}

fn look_and_press_everything(home: &Path, file: &Path) {
    let mut t = Terminal::start(&["watch", "--config", file.to_str().unwrap()], home, (140, 40));
    t.wait_text("WATCH");
    t.wait("the server's counts are there", |s| s.lines().any(|l| l.contains("web") && l.contains('2')).then_some(()));
    // A page in between, so that each is a key of its own and has been heard.
    for key in ["a", "y", "c", "x", "z", "t", "U"] {
        for (page, title) in [("4", "can do none"), ("1", "Workloads, ")] {
            t.press(key);
            t.press(page);
            t.wait("the page", |s| s.contains(title).then_some(()));
        }
    }
    t.press("q");
    assert_eq!(t.code(), 0);
    assert!(!home.join("state/highwater/ledger").exists(), "and no ledger was opened");
}
