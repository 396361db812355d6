//! What a sentence says is what the numbers say, and its mend is one that helps.

use super::*;
use crate::model::OpenTransaction;

#[test]
fn the_limit_to_raise_is_the_one_that_deletes() {
    let of = |i: i64| vec![(0, 1_000 + i * 20, 100 + i * 20); 2];
    let seen = |config: Option<TopicConfig>| {
        let seen = watched(&mut Watch::new(&DEAD_LETTER), 10, 2.0, of, |_, c| {
            c.topics[0].config.clone_from(&config);
            for p in &mut c.topics[0].partitions {
                p.bytes = p.end.map(|e| e.unsigned_abs() * 1_000);
            }
        });
        alert(&seen, "retention").mend.to_string()
    };
    let bytes = Some(TopicConfig { retention_bytes: Some(1_000_000), ..config() });
    assert_eq!(seen(bytes), "raise retention.bytes of orders now, then let the group catch up");
    let age = Some(TopicConfig { retention: Some(45.0), ..config() });
    assert_eq!(seen(age), "raise retention.ms of orders now, then let the group catch up");
}

#[test]
fn a_transaction_that_its_coordinator_will_end_is_not_to_be_aborted_by_hand() {
    let of = |i: i64| vec![(0, 1_000 + i * 10, 995 + i * 10)];
    let hang = |seconds: f64, timeout: Option<f64>| {
        let seen = watched(&mut Watch::new(&DEAD_LETTER), 2, 2.0, of, |_, c| {
            let since = c.at.plus(-seconds);
            let p = &mut c.topics[0].partitions[0];
            p.stable = Some(Stable { offset: 900, since, at: c.at });
            p.transaction = Some(Box::new(OpenTransaction {
                producer: (4_001, 3),
                from: 900,
                transactional_id: Some("nightly".into()),
                began: Some(since),
                timeout,
                wrote: None,
            }));
        });
        let told = alert(&seen, "hanging-transaction");
        (told.severity, told.mend.to_string())
    };
    let (severity, mend) = hang(2_000.0, Some(HOUR));
    assert_eq!(severity, Severity::Look, "an hour was asked for: {mend}");
    assert_eq!(mend, "its coordinator aborts it after transaction.timeout.ms (60 min); look at the producer");
    for (seconds, timeout) in [(4_000.0, Some(HOUR)), (2_000.0, Some(60.0)), (2_000.0, None)] {
        let (severity, mend) = hang(seconds, timeout);
        assert!(
            severity == Severity::Act && mend.contains("kafka-transactions abort"),
            "{seconds} {timeout:?}: {mend}"
        );
    }
}

#[test]
fn a_sentence_with_long_names_is_not_cut_in_the_middle_of_a_number() {
    let mut cut = cluster(0.0, &[(0, 900_000_000, 950_000_000); 9]);
    let name = "payments.europe-west.card-authorisations.enriched.v12";
    cut.topics[0].name = name.into();
    for row in &mut cut.groups[0].partitions {
        (row.topic, row.beyond_end, row.lag) = (name.into(), true, None);
    }
    Watch::new(&DEAD_LETTER).look(&mut cut);
    let told = &alert(&cut, "beyond-end").sentence;
    assert!(told.as_str().ends_with("/0 committed 950000000, ends at 900000000 and 8 more"), "{told}");
}

#[test]
fn all_offsets_that_went_back_are_told() {
    let of = |i: i64| vec![(0, 1_000, if i < 3 { 900 } else { 500 }); 200];
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 5, 2.0, of, |_, _| {});
    assert!(alert(&seen, "rewind").sentence.as_str().ends_with("and 196 more"), "{:?}", alert(&seen, "rewind"));
    let of = |_: i64| vec![(0, 1_000, 900); 200];
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 5, 2.0, of, |i, c| {
        c.groups[0].partitions.truncate(if i < 3 { 200 } else { 50 });
    });
    assert!(alert(&seen, "offsets-gone").sentence.as_str().ends_with("and 146 more"), "{:?}", seen.alerts);
}

#[test]
fn a_clock_that_was_set_back_prolongs_no_storm_and_hides_nothing() {
    let mut watch = Watch::new(&DEAD_LETTER);
    let storm = |i: i64| (0..4).map(|_| (0, 1_000 + i * 10, 995 + i * 10)).collect();
    let seen = watched(&mut watch, 120, 2.0, storm, |i, c| {
        if i / 10 % 2 == 1 {
            c.groups[0].members.truncate(1);
        }
    });
    assert!(rules(&seen).contains(&"rebalances"));
    let stands = |i: i64| vec![(0, 10_000 + i * 10, 2_185); 4];
    let seen = watched(&mut watch, 60, 2.0, stands, |_, c| {
        c.at = c.at.plus(-HOUR);
        c.topics[0].partitions.iter_mut().for_each(|p| p.at = p.at.plus(-HOUR));
    });
    assert_eq!(rules(&seen), ["stale"], "{:?}", seen.alerts);
}
