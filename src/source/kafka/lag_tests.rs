//! What is said of lag when something is missing: unknown is neither zero nor what was known of others.

use super::{
    Known, Reader,
    backfill::Ground,
    judge,
    lag::Spec,
    plan::{Asked, Plan},
    rota::Rota,
    run,
    state::State,
    visible,
};
use crate::{
    model::{BrokerState, Group, Health, KafkaCluster, KafkaSettings, Label, Observation, Property, Time},
    process::Clock,
};
use kafka_protocol::messages::{
    self as m, BrokerId, GroupId, ListOffsetsResponse, MetadataResponse, OffsetFetchResponse, TopicName,
    consumer_group_describe_response as describe, list_offsets_response as list, metadata_response as meta,
    offset_fetch_response as fetched,
};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, channel};

const HOUR: f64 = 3_600.0;

fn at(seconds: f64) -> Time {
    Time::from_millis(1_800_000_000_000).plus(seconds)
}

fn topic_name(name: &str) -> TopicName {
    TopicName(name.to_owned().into())
}

/// One broker with one topic, `orders`, of so many partitions.
fn metadata(partitions: i32) -> MetadataResponse {
    let id = || BrokerId(1);
    let partition = |p| {
        meta::MetadataResponsePartition::default()
            .with_partition_index(p)
            .with_leader_id(id())
            .with_replica_nodes(vec![id()])
            .with_isr_nodes(vec![id()])
    };
    let topic = meta::MetadataResponseTopic::default()
        .with_name(Some(topic_name("orders")))
        .with_partitions((0..partitions).map(partition).collect());
    let broker = meta::MetadataResponseBroker::default().with_node_id(id()).with_host("k".into()).with_port(9);
    MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic])
}

fn offsets(all: &[(i32, i16, i64, i64)]) -> ListOffsetsResponse {
    let partition = |&(p, error, offset, stamp): &(i32, i16, i64, i64)| {
        list::ListOffsetsPartitionResponse::default()
            .with_partition_index(p)
            .with_error_code(error)
            .with_offset(offset)
            .with_timestamp(stamp)
    };
    let topic = list::ListOffsetsTopicResponse::default().with_name(topic_name("orders"));
    ListOffsetsResponse::default().with_topics(vec![topic.with_partitions(all.iter().map(partition).collect())])
}

fn committed(topic: &str, all: &[(i32, i64)]) -> OffsetFetchResponse {
    let partition = |&(p, offset): &(i32, i64)| {
        fetched::OffsetFetchResponsePartitions::default().with_partition_index(p).with_committed_offset(offset)
    };
    let topic = fetched::OffsetFetchResponseTopics::default().with_name(topic_name(topic));
    let group = fetched::OffsetFetchResponseGroup::default().with_group_id(GroupId("etl".into()));
    let topics = vec![topic.with_partitions(all.iter().map(partition).collect())];
    OffsetFetchResponse::default().with_groups(vec![group.with_topics(topics)])
}

/// Members that own these partitions of `orders`.
fn described(owned: &[&[i32]]) -> m::ConsumerGroupDescribeResponse {
    let member = |(i, partitions): (usize, &&[i32])| {
        let held = describe::TopicPartitions::default()
            .with_topic_name(topic_name("orders"))
            .with_partitions(partitions.to_vec());
        describe::Member::default()
            .with_member_id(format!("m{i}").into())
            .with_client_id(format!("c{i}").into())
            .with_assignment(describe::Assignment::default().with_topic_partitions(vec![held]))
    };
    let group = describe::DescribedGroup::default()
        .with_group_id(GroupId("etl".into()))
        .with_group_state("Stable".into())
        .with_members(owned.iter().enumerate().map(member).collect());
    m::ConsumerGroupDescribeResponse::default().with_groups(vec![group])
}

fn roster(groups: &[&str]) -> m::ListGroupsResponse {
    let group = |g: &&str| {
        m::list_groups_response::ListedGroup::default()
            .with_group_id(GroupId((*g).to_owned().into()))
            .with_group_type("consumer".into())
            .with_protocol_type("consumer".into())
    };
    m::ListGroupsResponse::default().with_groups(groups.iter().map(group).collect())
}

/// A reader's state from refresh to refresh.
struct Seen {
    state: State,
    now: Time,
}

impl Seen {
    /// A broker that lists one group, `etl`, and a topic of two partitions that begin at 100.
    fn new() -> Self {
        let mut seen = Self { state: State::default(), now: at(0.0) };
        seen.begin();
        seen.state.offsets(Spec::Earliest, offsets(&[(0, 0, 100, -1), (1, 0, 100, -1)]), seen.now);
        seen
    }

    fn begin(&mut self) {
        self.now = self.now.plus(2.0);
        self.state.begin(self.now);
        self.state.metadata(metadata(2), self.now);
        self.state.roster(1, roster(&["etl"]), self.now);
    }

    /// The rest of a refresh.
    fn end(&mut self, commits: Option<&[(i32, i64)]>, ends: [i64; 2]) -> KafkaCluster {
        if let Some(commits) = commits {
            self.state.committed(committed("orders", commits), self.now);
        }
        self.state.offsets(Spec::Latest, offsets(&[(0, 0, ends[0], -1), (1, 0, ends[1], -1)]), self.now);
        self.picture()
    }

    fn picture(&mut self) -> KafkaCluster {
        self.state.join(self.now);
        self.state.picture(&"prod".into(), "User:viewer", self.now)
    }
}

fn etl(cluster: &KafkaCluster) -> &Group {
    &cluster.groups[0]
}

fn notices(cluster: &KafkaCluster) -> String {
    cluster.notices.iter().map(Label::as_str).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_partition_that_has_caught_up_does_not_speak_for_one_whose_age_is_unknown() {
    let mut seen = Seen::new();
    let commits: &[(i32, i64)] = &[(0, 500), (1, 200)];
    let first = seen.end(Some(commits), [500, 900]);
    assert_eq!((etl(&first).lag, etl(&first).time_lag), (Some(700), None), "no second of it is known");
    let (asked, _) = seen.state.topics[0].partitions[1].probe.unwrap();
    seen.begin();
    seen.state.offsets(Spec::Probe, offsets(&[(1, 0, 900, -1)]), seen.now);
    for _ in 0..20 {
        let last = seen.end(Some(commits), [500, 900]);
        if let Some(seconds) = etl(&last).time_lag {
            assert!(seconds > 50.0 * HOUR, "{seconds}");
            return;
        }
        seen.begin();
        // The only record that is unread was written three days ago.
        let wrote = seen.now.plus(-72.0 * HOUR).millis();
        let asked = seen.state.topics[0].partitions[1].probe.map_or(asked, |p| p.0);
        let found = if asked <= wrote { (1, 0, 150, wrote) } else { (1, 0, 900, -1) };
        seen.state.offsets(Spec::Probe, offsets(&[found]), seen.now);
    }
    panic!("never known");
}

#[test]
fn a_group_whose_offsets_were_not_read_is_not_covered() {
    let mut seen = Seen::new();
    assert!(etl(&seen.picture()).coverage < 0.5, "never read");
    seen.begin();
    assert!(etl(&seen.end(Some(&[]), [500, 900])).coverage > 0.5, "read, and it has committed nothing");
    seen.begin();
    assert!(etl(&seen.end(None, [500, 900])).coverage < 0.5, "not read this time");
}

#[test]
fn share_groups_tell_their_lag_in_refreshes_without_rosters_too() {
    let mut seen = Seen::new();
    let mut shared = roster(&["jobs"]);
    shared.groups[0].group_type = "share".into();
    seen.state.roster(1, shared, seen.now);
    for described in [true, false] {
        let asked = Asked { broker: 1, used: 0, groups: &[], first: true };
        let plan = Plan::new(&mut seen.state, &mut Rota::default(), &asked, Instant::now());
        assert_eq!((plan.share.is_some(), &plan.shares[..]), (described, &["jobs".into()][..]));
        seen.state.begin(seen.now.plus(2.0));
    }
}

#[test]
fn a_committed_offset_beyond_the_end_is_an_unknown_lag_and_not_none() {
    let mut seen = Seen::new();
    let cut = seen.end(Some(&[(0, 600), (1, 900)]), [500, 900]);
    let [cut_off, fine] = &etl(&cut).partitions[..] else { panic!("{cut:?}") };
    assert_eq!((cut_off.lag, cut_off.time_lag, cut_off.beyond_end), (None, None, true));
    assert_eq!((fine.lag, fine.time_lag, fine.beyond_end), (Some(0), Some(0.0), false));
    assert!(etl(&cut).is_lower_bound());
    // The leader is silent, and the reader has gone past the end that was known.
    seen.begin();
    seen.state.committed(committed("orders", &[(0, 600), (1, 950)]), seen.now);
    let silent = seen.picture();
    let passed = &etl(&silent).partitions[1];
    assert_eq!((passed.lag, passed.beyond_end, passed.fresh), (None, false, false));
}

#[test]
fn without_a_commit_nothing_kept_is_nothing_unread_and_else_nobody_knows() {
    let mut seen = Seen::new();
    seen.state.consumer(described(&[&[0, 1]]));
    let never = seen.end(Some(&[]), [100, 900]);
    let lags: Vec<_> = etl(&never).partitions.iter().map(|p| (p.committed, p.lag)).collect();
    assert_eq!(lags, [(None, Some(0)), (None, None)]);
    assert!(etl(&never).is_lower_bound() && etl(&never).coverage > 0.99);
}

#[test]
fn an_answer_without_an_offset_is_none_and_its_reason_is_told() {
    let mut seen = Seen::new();
    let commits: &[(i32, i64)] = &[(0, 400), (1, 400)];
    assert!(etl(&seen.end(Some(commits), [500, 900])).coverage > 0.99);
    seen.begin();
    seen.state.committed(committed("orders", commits), seen.now);
    seen.state.offsets(Spec::Latest, offsets(&[(0, 0, -1, -1), (1, 56, -1, -1)]), seen.now);
    let mute = seen.picture();
    assert_eq!((etl(&mute).coverage, etl(&mute).lag), (0.0, Some(600)), "the old ends stand");
    let told = notices(&mute);
    assert!(
        told.contains("no log end of orders/0: no offset") && told.contains("no log end of orders/1: KafkaStorage"),
        "{told}"
    );
    seen.begin();
    assert!(!notices(&seen.end(Some(commits), [500, 900])).contains("log end"), "told as long as it holds");
}

#[test]
fn topics_that_groups_read_and_we_may_not_see_are_named() {
    let mut seen = Seen::new();
    seen.state.committed(committed("secret", &[(0, 7)]), seen.now);
    let hidden = seen.picture();
    assert!(etl(&hidden).coverage < 0.5);
    assert!(notices(&hidden).contains("groups read secret: not visible to User:viewer"), "{}", notices(&hidden));
    let settings = KafkaSettings::new("x", [("bootstrap.servers".to_owned(), Property::Text("k:9".into()))].into());
    let reader = Reader::connect(&settings, Clock::wall()).unwrap();
    let lines = visible(&settings, &reader, &hidden);
    let missing = lines.iter().find(|l| l.what == "kafka x: topic secret").unwrap();
    assert!(!missing.ok && missing.grant.as_ref().unwrap().to_string().ends_with("--topic 'secret'"), "{missing:?}");
}

#[test]
fn a_group_that_is_gone_is_told_and_so_is_a_broker_whose_groups_are_missing() {
    let mut seen = Seen::new();
    for _ in 0..3 {
        seen.begin();
        seen.state.roster(1, roster(&["etl", "new"]), seen.now);
        seen.state.drop_deleted();
    }
    for _ in 0..3 {
        seen.begin();
        seen.state.drop_deleted();
    }
    let later = seen.picture();
    assert!(notices(&later).contains("group new is gone"), "{}", notices(&later));
    let other = meta::MetadataResponseBroker::default().with_node_id(BrokerId(2)).with_host("k".into()).with_port(9);
    let mut both = metadata(2);
    both.brokers.push(other);
    seen.state.metadata(both, seen.now);
    assert!(notices(&seen.picture()).contains("broker 2 has not listed its groups"), "{}", notices(&later));
}

/// A description that is refused.
fn undescribed(code: i16) -> m::ConsumerGroupDescribeResponse {
    let group = describe::DescribedGroup::default().with_group_id(GroupId("etl".into())).with_error_code(code);
    m::ConsumerGroupDescribeResponse::default().with_groups(vec![group])
}

#[test]
fn a_group_that_reads_hidden_topics_is_neither_whole_nor_empty() {
    let mut seen = Seen::new();
    seen.state.brokers.get_mut(&1).unwrap().state = BrokerState::Up;
    let commits: &[(i32, i64)] = &[(0, 400), (1, 400)];
    seen.state.consumer(described(&[&[0], &[1]]));
    let whole = seen.end(Some(commits), [500, 900]);
    assert_eq!((etl(&whole).member_count(), etl(&whole).coverage), (Some(2), 1.0));
    // Brokers leave hidden topics out of its commits without a word, and refuse to describe it.
    seen.begin();
    seen.state.consumer(undescribed(29));
    let hides = seen.end(Some(commits), [500, 900]);
    assert_eq!((etl(&hides).member_count(), etl(&hides).coverage, etl(&hides).lag), (None, 0.0, Some(600)));
    assert!(etl(&hides).is_lower_bound() && !etl(&hides).is_deserted());
    let past = |seen: &Seen| Ground::new(&seen.state, &HashSet::new(), &Known::default()).readings.len();
    assert_eq!(past(&seen), 0, "a part of its arrivals is no history");
    let settings = KafkaSettings::new("x", [("bootstrap.servers".to_owned(), Property::Text("k:9".into()))].into());
    let lines = visible(&settings, &Reader::connect(&settings, Clock::wall()).unwrap(), &hides);
    let told = lines.iter().find(|l| l.what == "kafka x: group etl").unwrap();
    assert!(
        !told.ok && told.detail.as_str().contains("grant Describe on all of them") && told.grant.is_none(),
        "{told:?}"
    );
    // Once its members have left, a description names no topic that could be refused.
    seen.begin();
    seen.state.consumer(described(&[]));
    assert!(etl(&seen.end(Some(commits), [500, 900])).coverage < 0.5, "what it commits is hidden still");
    seen.begin();
    seen.state.consumer(described(&[&[0, 1]]));
    let granted = seen.end(Some(commits), [500, 900]);
    assert_eq!(past(&seen), 1);
    assert_eq!((etl(&granted).member_count(), etl(&granted).coverage, &etl(&granted).error), (Some(1), 1.0, &None));
}

#[test]
fn members_that_nobody_tells_are_unknown_and_those_of_a_moving_coordinator_stand() {
    let mut seen = Seen::new();
    for (state, members) in [("Stable", None), ("Empty", Some(0))] {
        let mut listed = roster(&["etl"]);
        (listed.groups[0].group_type, listed.groups[0].group_state) = ("streams".into(), state.into());
        seen.state.roster(1, listed, seen.now);
        assert_eq!(etl(&seen.picture()).member_count(), members, "KIP-1071: we have no words to ask who is in it");
    }
    let mut seen = Seen::new();
    seen.state.consumer(described(&[&[0], &[1]]));
    seen.state.consumer(undescribed(16));
    assert_eq!(etl(&seen.picture()).member_count(), Some(2));
}

#[test]
fn leaders_go_back_only_with_another_topic() {
    let told = |topic: Option<u32>, epoch: i32| {
        let mut said = metadata(3);
        let id = topic.map(|n| format!("7e57ab1e-0000-4000-8000-{n:012}").parse().unwrap());
        said.topics[0].topic_id = id.unwrap_or_default();
        said.topics[0].partitions[2].leader_epoch = epoch;
        said
    };
    let mut state = State::default();
    state.metadata(told(Some(1), 7), at(0.0));
    for (topic, epoch, behind) in [(1, 6, true), (1, 7, false), (1, 8, false), (2, 0, false), (1, -1, false)] {
        assert_eq!(state.is_behind(&told(Some(topic), epoch)), behind, "topic {topic}, epoch {epoch}");
    }
    state.metadata(told(None, 7), at(0.0));
    assert!(!state.is_behind(&told(None, 6)), "without ids a topic that was made again looks like the old one");
}

#[test]
fn an_owner_is_a_member_of_today_though_the_offsets_are_of_yesterday() {
    let mut seen = Seen::new();
    seen.state.consumer(described(&[&[0], &[1]]));
    let both = seen.end(Some(&[(0, 400), (1, 400)]), [500, 900]);
    assert_eq!(etl(&both).partitions.iter().map(|p| p.owner).collect::<Vec<_>>(), [Some(0), Some(1)]);
    seen.begin();
    seen.state.consumer(described(&[&[1]]));
    let one = seen.end(None, [500, 900]);
    assert_eq!(etl(&one).partitions.iter().map(|p| p.owner).collect::<Vec<_>>(), [None, Some(0)]);
}

#[test]
fn a_permission_that_was_given_is_no_longer_missed_and_one_topic_does_not_hide_another() {
    let mut seen = Seen::new();
    let dirs = |code| m::DescribeLogDirsResponse::default().with_error_code(code);
    let configs = |codes: &[i16]| {
        let result = |code: &i16| {
            use m::describe_configs_response::DescribeConfigsResult as Result;
            Result::default().with_resource_type(2).with_resource_name("orders".into()).with_error_code(*code)
        };
        m::DescribeConfigsResponse::default().with_results(codes.iter().map(result).collect())
    };
    let denied = |state: &State| state.denied().iter().map(|d| d.grant).collect::<Vec<_>>();
    seen.state.log_dirs(1, dirs(31), seen.now);
    seen.state.configs(configs(&[29, 0]), seen.now);
    assert_eq!(denied(&seen.state), ["DescribeConfigs on topics", "Describe on the cluster"]);
    seen.state.log_dirs(1, dirs(0), seen.now);
    seen.state.configs(configs(&[0, 0]), seen.now);
    assert_eq!(denied(&seen.state), [""; 0]);
}

#[test]
fn brokers_that_are_all_silent_are_known_and_named() {
    let mut cluster = Seen::new().picture();
    let reason = "no answer to ListGroups within 1.5 s".into();
    cluster.brokers[0].state = BrokerState::Down { since: at(0.0), reason };
    let (health, detail) = judge(&cluster, None);
    assert_eq!((health, detail.as_str()), (Health::Down, "broker 1: no answer to ListGroups within 1.5 s"));
}

async fn until_said(told: &mut Receiver<Observation>, word: &str) {
    let saying = async {
        loop {
            let Some(Observation::Health(status)) = told.recv().await else { panic!("it ended") };
            if status.detail.as_str().contains(word) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), saying).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_comes_late_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let text = |t: &str| Property::Text(t.to_owned());
    let properties = [
        ("bootstrap.servers", text("127.0.0.1:1")),
        ("security.protocol", text("SSL")),
        ("ssl.ca.location", text(ca.to_str().unwrap())),
    ];
    let mut settings = KafkaSettings::new("x", properties.map(|(k, v)| (k.to_owned(), v)).into());
    settings.refresh = 0.2;
    let (out, mut told) = channel(4);
    tokio::spawn(run(settings, Clock::wall(), Known::default(), out));
    until_said(&mut told, "No such file").await;
    std::fs::write(&ca, "not yet").unwrap();
    until_said(&mut told, "no certificate in it").await;
}
