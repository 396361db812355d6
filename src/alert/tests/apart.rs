//! One sentence a subject and a rule: what has two of them cannot be told apart, by the cursor of a list least of all.

use super::*;
use crate::model::{Denied, LogDir};
use std::collections::HashSet;

fn dir(path: &str, usable: u64, error: Option<&str>) -> LogDir {
    let error = error.map(Into::into);
    LogDir { path: path.into(), error, used: 7_000, total: Some(100), usable: Some(usable), at: at(0.0) }
}

#[test]
fn nothing_is_told_twice_of_one_subject() {
    let of = |i: i64| (0..8).map(|p| (0, 1_000 + i * 10, if p % 4 < 2 { 500 } else { 990 + i * 10 })).collect();
    let seen = watched(&mut Watch::new(&DEAD_LETTER), 60, 2.0, of, |_, c| {
        let denied = |what: &str, grant| Denied { what: what.into(), grant };
        c.denied = vec![denied("disks", "Describe on the cluster"), denied("retention", "DescribeConfigs on topics")];
        c.brokers[0].log_dirs = vec![dir("/a", 0, Some("gone")), dir("/b", 0, Some("gone, too"))];
        c.brokers[1].log_dirs = vec![dir("/a", 12, None), dir("/b", 5, None), dir("/c", 50, None)];
        for p in &mut c.topics[0].partitions {
            let since = at(-300.0 - f64::from(p.partition));
            p.stable = Some(Stable { offset: 900, since, at: c.at });
        }
        let group = &mut c.groups[0];
        group.members = (0..4).filter_map(|_| group.members.first().cloned()).collect();
        for (i, m) in group.members.iter_mut().enumerate() {
            (m.client_id, m.partitions) = (Label::new(&format!("c{i}")), 2);
        }
        for (i, p) in group.partitions.iter_mut().enumerate() {
            p.owner = Some(i % 4);
        }
    });
    let keys: HashSet<_> = seen.alerts.iter().map(|a| (a.rule, &a.subject)).collect();
    assert_eq!(keys.len(), seen.alerts.len(), "{:#?}", seen.alerts);
    let said = |rule: &str| alert(&seen, rule).sentence.to_string();
    assert_eq!(said("permission"), "cannot be told: disks; retention");
    let grants = "grant Describe on the cluster, DescribeConfigs on topics";
    assert_eq!(alert(&seen, "permission").mend.as_str(), grants);
    assert_eq!(said("log-dir"), "log directories are offline on broker 1: /a: gone, /b: gone, too");
    assert_eq!(said("disk"), "95 % of the disk of broker 2 (/b) is in use; /a 88 %");
    let stuck = said("stuck-member");
    assert!(stuck.starts_with("2 members commit nothing: c0 at /10.0.0.1 on all of its 2 partitions for "), "{stuck}");
    let hangs = alert(&seen, "hanging-transaction");
    assert!(hangs.sentence.as_str().contains("has held partition 7 at offset 900 for 7 min"), "{hangs:?}");
    assert!(hangs.sentence.as_str().ends_with("; partitions 6, 5, 4, 3 and 3 more are held, too"), "{hangs:?}");
    assert_eq!(hangs.since, at(-307.0));
}
