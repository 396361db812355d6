//! Two decisions about one target at one desk, and targets that move, or that nobody waits for any more, while they are
//! asked.

use super::{server::Api, *};

/// A command that waits for as long as `FILE.hold` is there, when it is to set the count to 4.
const WAITS: &str = "[ \"$1\" != 4 ] || while [ -e FILE.hold ]; do sleep 0.05; done";

/// A desk whose dry run waits so.
fn slow_to_answer() -> Bench {
    Bench::with(SET, Vec::new(), |config, dir| {
        let ask = command(&dir.join("count"), WAITS).apply;
        config.commands[0].dry_run = Some(ask);
    })
}

impl Bench {
    fn hold(&self, held: bool) {
        let file = self.dir.path().join("count.hold");
        if held { std::fs::write(file, "").unwrap() } else { std::fs::remove_file(file).unwrap() }
    }

    async fn ask(&self, to: u32) {
        let intent = Intent::Prepare { workload: "g".into(), to, plan_hash: Self::hash(), way: 0 };
        self.intents.send(intent).await.unwrap();
    }

    /// The action of that identity, once it is in a state.
    async fn becomes(&mut self, id: &ActionId, state: ActionState) -> Action {
        self.next(|e| match e {
            Event::Actions(all) => all.iter().find(|a| a.id == *id && a.state == state).cloned(),
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn what_is_asked_a_last_time_while_another_change_is_made_is_refused() {
    let mut bench = slow_to_answer();
    let slow = bench.prepare(4).await;
    bench.hold(true);
    bench.confirm(&slow).await;
    let quick = bench.prepare(3).await;
    assert_eq!(told(&quick), "", "nothing is begun yet");
    bench.confirm(&quick).await;
    bench.becomes(&quick.action, ActionState::Applied).await;
    bench.hold(false);
    // Its dry run looked at the count before it waited: what is under way stands against it.
    let late = bench.becomes(&slow.action, ActionState::Rejected).await;
    assert!(late.reason.as_str().contains("2 → 3 on this target is applied since"), "{}", late.reason);
    assert_eq!(bench.count(), "3");
}

#[tokio::test]
async fn while_one_change_is_written_no_other_one_begins() {
    let mut bench = Bench::new(&format!("{WAITS}; {SET}"), Vec::new());
    let first = bench.prepare(4).await;
    bench.hold(true);
    bench.confirm(&first).await;
    bench.becomes(&first.action, ActionState::Applying).await;
    let second = bench.prepare(3).await;
    assert!(told(&second).contains("2 → 4 on this target is applying since"), "{}", told(&second));
    bench.confirm(&second).await;
    bench.becomes(&second.action, ActionState::Rejected).await;
    bench.hold(false);
    bench.becomes(&first.action, ActionState::Applied).await;
    assert_eq!(bench.count(), "4");
}

#[tokio::test]
async fn a_question_that_is_no_longer_of_interest_leaves_nothing() {
    let mut bench = slow_to_answer();
    bench.hold(true);
    bench.ask(4).await;
    let second = bench.prepare(3).await; // whatever comes first
    assert_eq!(second.to, 3);
    bench.hold(false);
    bench.confirm(&second).await;
    bench.becomes(&second.action, ActionState::Applied).await;
    bench.hold(true);
    bench.ask(4).await;
    // The program ends while the question is on its way.
    let entries = time::timeout(Duration::from_secs(5), bench.end()).await.expect("the end waits for no answer");
    assert!(entries.iter().all(|e| e.action.as_ref() == Some(&second.action)), "{entries:?}");
}

#[tokio::test]
async fn a_plan_that_expires_while_it_is_asked_a_last_time_is_not_begun() {
    let mut bench = slow_to_answer();
    let soon = Recommendation { expires: Time::now().plus(4.0), ..recommendation(Vec::new()) };
    bench.pictures.send_replace(picture(soon, 2));
    let prepared = bench.prepare(4).await;
    bench.hold(true);
    bench.confirm(&prepared).await;
    bench.becomes(&prepared.action, ActionState::Expired).await;
    bench.hold(false);
    bench.told("was ended meanwhile: ask again").await;
    assert_eq!(bench.count(), "2");
}

#[tokio::test]
async fn a_count_that_moves_between_the_last_look_and_the_write_is_not_overwritten() {
    let api = Api::start().await;
    let mut bench = api.desk("alice");
    let prepared = bench.prepare(4).await;
    api.said().moves = Some(5);
    bench.confirm(&prepared).await;
    let failed = bench.becomes(&prepared.action, ActionState::Failed).await;
    assert!(failed.reason.as_str().contains("no longer the one on screen (422)"), "{}", failed.reason);
    assert_eq!((api.count(), api.holder()), ((5, 0), None));
}
