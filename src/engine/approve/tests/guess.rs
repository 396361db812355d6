//! A guessed target: nothing is written before an operator's word, and the word is remembered.

use super::{server::Api, *};
use crate::model::Found;

/// The picture of a workload whose target was only guessed.
fn guessed(picture: &Picture) -> Arc<Picture> {
    let mut picture = picture.clone();
    let mut view = (*picture.workloads[0]).clone();
    let found = Some(Found::guess("it has the name of the group"));
    view.workload = Arc::new(Workload { found, configured: false, ..(*view.workload).clone() });
    picture.workloads = vec![Arc::new(view)].into();
    Arc::new(picture)
}

#[tokio::test]
async fn a_guess_is_acted_on_only_after_a_word_that_is_remembered() {
    let mut bench = Bench::new(SET, Vec::new());
    bench.pictures.send_replace(guessed(&picture(recommendation(Vec::new()), 2)));
    let prepared = bench.prepare(4).await;
    assert!(prepared.guess.is_some() && prepared.refused[0].as_str().contains("is a guess"), "{prepared:?}");
    bench.confirm(&prepared).await;
    bench.state(ActionState::Rejected).await;
    assert_eq!(bench.count(), "2", "whatever the screen sends");

    let again = bench.prepare(4).await;
    let word = Intent::ConfirmLink { action: again.action.clone(), plan_hash: Bench::hash() };
    bench.intents.send(word).await.unwrap();
    let told = bench.next(|e| if let Event::Confirmed(word) = e { Some(word) } else { None }).await;
    assert_eq!(told.target, Target::Command("pool".into()));
    let checked = bench
        .next(|e| match e {
            Event::Prepared(Some(p)) => Some(p),
            _ => None,
        })
        .await;
    assert!(checked.guess.is_none() && checked.refused.is_empty() && checked.action != again.action, "{checked:?}");
    assert_eq!(bench.count(), "2", "the word alone writes nothing to the target");
    bench.confirm(&checked).await;
    bench.state(ActionState::Applied).await;
    assert_eq!(bench.count(), "4");
    let (kept, problem) = crate::engine::confirmed::Confirmed::read(bench.dir.path());
    assert!(kept.holds(&told.entity, &told.target) && problem.is_none());
}

#[tokio::test]
async fn a_word_that_cannot_be_kept_is_not_given() {
    let mut bench = Bench::new(SET, Vec::new());
    bench.pictures.send_replace(guessed(&picture(recommendation(Vec::new()), 2)));
    let prepared = bench.prepare(4).await;
    std::fs::create_dir(bench.dir.path().join("confirmed.jsonl")).unwrap();
    bench
        .intents
        .send(Intent::ConfirmLink { action: prepared.action.clone(), plan_hash: Bench::hash() })
        .await
        .unwrap();
    assert!(bench.told("not confirmed").await.contains("confirmed.jsonl cannot be written"));
}

#[tokio::test]
async fn after_the_word_the_same_change_is_shown_by_the_same_way() {
    let api = Api::start().await;
    api.said().scaled = true;
    let mut bench = api.desk("alice");
    let before = bench.pictures.borrow().clone();
    bench.pictures.send_replace(guessed(&before));
    // The second way keeps the 2 there are.
    let ask = Intent::Prepare { workload: "g".into(), to: 4, plan_hash: Bench::hash(), way: 1 };
    bench.intents.send(ask).await.unwrap();
    let shown = |e| if let Event::Prepared(Some(p)) = e { Some(p) } else { None };
    let asked = bench.next(shown).await;
    assert!(asked.guess.is_some() && (asked.asked, asked.way, asked.to) == (4, 1, 2), "{asked:?}");
    let word = Intent::ConfirmLink { action: asked.action.clone(), plan_hash: Bench::hash() };
    bench.intents.send(word).await.unwrap();
    let checked = bench.next(shown).await;
    assert!(checked.guess.is_none(), "{checked:?}");
    assert_eq!((checked.asked, checked.way, checked.to), (4, 1, 2), "another one is no answer to the open dialog");
}
