//! One refresh: which requests go to which broker, in which order, and within what budget.
//!
//! The order is what keeps lag honest: a committed offset that is read after the end offset may lie beyond it, and lag would
//! be negative by a race. So committed offsets are asked for one step earlier than ends, across all brokers:
//!
//! 1. Metadata ∥ per broker {ListGroups, OffsetFetch of the groups that it coordinated last time};
//! 2. per broker {ListOffsets latest, DescribeGroups, ConsumerGroupDescribe, ListOffsets earliest, ListOffsets by timestamp}.
//!
//! Groups that step 1 shows for the first time (all of them, at the start) get their OffsetFetch in step 2, and only then do
//! the ends take a third step. So a steady refresh costs two round trips and at most six requests per broker and one.

use super::{
    dial::Dialer,
    lag::Spec,
    link::Link,
    properties::{Access, access},
    state::State,
    wire::Connection,
};
use crate::{
    alert::{DEAD_LETTER, Watch},
    model::{BrokerState, GroupType, KafkaCluster, KafkaSettings, Label, Time},
    process::Clock,
};
use futures_util::future::{join_all, join5};
use kafka_protocol::{
    messages::{
        BrokerId, ConsumerGroupDescribeRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest, ListOffsetsRequest,
        ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetFetchRequest, OffsetFetchResponse,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
    },
    protocol::StrBytes,
};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// Requests that one broker may get in one refresh.
const PER_BROKER: usize = 6;
/// Committed offsets expected in one response at most (about 5 MB); beyond it groups are asked for in several requests.
const OFFSETS_PER_REQUEST: usize = 200_000;

/// Reads one cluster, refresh by refresh.
///
/// Answers that fail leave what was known, marked as old; nothing disappears because a broker is silent.
pub struct Reader {
    name: Label,
    access: Access,
    dialer: Arc<Dialer>,
    clock: Clock,
    links: BTreeMap<i32, Link>,
    state: State,
    watch: Watch,
    /// Why no broker could be asked for metadata, in the last refresh.
    trouble: Option<String>,
}

/// A broker in this refresh: its connection, and what became of it.
struct Turn {
    id: i32,
    connection: Arc<Connection>,
    /// First failure of this refresh.
    failed: Option<String>,
    rtt: Option<f64>,
    /// Groups whose offsets were asked for already.
    asked: Vec<StrBytes>,
    used: usize,
}

impl Turn {
    fn note<T>(&mut self, answer: Result<T, String>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(reason) => {
                self.failed.get_or_insert(reason);
                None
            }
        }
    }
}

impl Reader {
    /// Checks the properties and reads the TLS files; sockets are opened by the first [`Reader::refresh`].
    ///
    /// # Errors
    /// A sentence that names every property that cannot be honoured, and what to do.
    pub fn connect(settings: &KafkaSettings, clock: Clock) -> Result<Self, String> {
        let access = access(&settings.properties)?;
        let dialer = Arc::new(Dialer::new(&access)?);
        Ok(Self {
            name: settings.name.clone(),
            access,
            dialer,
            clock,
            links: BTreeMap::new(),
            state: State::default(),
            watch: settings.dead_letter.as_ref().map_or_else(|| Watch::new(&DEAD_LETTER), |own| Watch::new(own)),
            trouble: None,
        })
    }

    /// Why nothing at all could be read in the last refresh; `None`: some broker answered.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Asks every broker, and says what is known now. Never fails: what did not answer keeps its last values, marked as old.
    pub async fn refresh(&mut self) -> KafkaCluster {
        let started = Instant::now();
        self.state.begin(self.clock.now());
        self.trouble = None;
        let mut requests = 0;
        if self.links.is_empty() {
            requests += self.bootstrap().await;
        }
        let mut turns = self.turns().await;
        if turns.is_empty() && !self.links.is_empty() {
            // Every known broker is down: perhaps the cluster moved to other addresses.
            requests += self.bootstrap().await;
            turns = self.turns().await;
        }
        self.first_step(&mut turns).await;
        if self.follow_metadata() {
            // Brokers that Metadata has just shown: they are asked from step 1 on as well.
            let known: Vec<i32> = turns.iter().map(|t| t.id).collect();
            let mut new: Vec<Turn> = self.turns().await.into_iter().filter(|t| !known.contains(&t.id)).collect();
            self.rosters(&mut new).await;
            turns.extend(new);
        }
        self.state.drop_deleted();
        self.second_step(&mut turns).await;
        let now = self.clock.now();
        requests += self.settle(&turns, now);
        self.state.join(now);
        let mut picture = self.state.picture(&self.name, &self.dialer.principal(), now);
        picture.requests = requests;
        self.watch.look(&mut picture);
        picture.seconds = started.elapsed().as_secs_f64();
        picture
    }

    /// Asks the bootstrap servers in turn for the brokers. Returns the requests made.
    async fn bootstrap(&mut self) -> u32 {
        let mut reasons = Vec::new();
        let mut requests = 0;
        for (host, port) in &self.access.bootstrap {
            match self.dialer.dial(host, *port).await {
                Err(refused) => reasons.push(refused.reason),
                Ok(dialed) => {
                    let said = dialed.connection.call(&all_topics(), self.dialer.deadline).await;
                    requests += dialed.connection.take_sent();
                    match said {
                        Ok(said) => {
                            self.state.metadata(said, self.clock.now());
                            self.follow_metadata();
                            return requests;
                        }
                        Err(reason) => reasons.push(format!("{host}:{port}: {reason}")),
                    }
                }
            }
        }
        self.trouble = Some(reasons.join("; "));
        requests
    }

    /// Starts and ends links as the brokers of the last Metadata demand; whether there are new ones.
    fn follow_metadata(&mut self) -> bool {
        let brokers = &self.state.brokers;
        self.links.retain(|id, link| {
            brokers.get(id).is_some_and(|b| !b.registered || (b.host == link.host && b.port == link.port))
        });
        let mut new = false;
        for (id, b) in brokers.iter().filter(|(_, b)| b.registered && b.port != 0) {
            self.links.entry(*id).or_insert_with(|| {
                new = true;
                Link::start(b.host.clone(), b.port, self.dialer.clone(), self.clock)
            });
        }
        new
    }

    /// The brokers that can be asked now; the others are marked as down.
    async fn turns(&mut self) -> Vec<Turn> {
        let now = self.clock.now();
        let links = self.links.iter().map(|(id, link)| async move { (*id, link.connection().await) });
        let mut turns = Vec::new();
        for (id, connection) in join_all(links).await {
            match connection {
                Ok(connection) => {
                    turns.push(Turn { id, connection, failed: None, rtt: None, asked: Vec::new(), used: 0 });
                }
                Err((since, reason)) => self.down(id, since, &reason, now),
            }
        }
        turns
    }

    fn down(&mut self, id: i32, since: Time, reason: &str, now: Time) {
        let Some(row) = self.state.brokers.get_mut(&id) else { return };
        let since = match &row.state {
            BrokerState::Down { since, .. } => *since,
            BrokerState::Up if since == Time::default() => now,
            BrokerState::Up => since,
        };
        row.state = BrokerState::Down { since, reason: Label::new(reason) };
    }

    /// Metadata ∥ {ListGroups, OffsetFetch of known groups}.
    async fn first_step(&mut self, turns: &mut [Turn]) {
        let connections: Vec<_> = turns.iter().map(|t| t.connection.clone()).collect();
        let deadline = self.dialer.deadline;
        let metadata = async {
            // The next one is asked only when the first fails: one request in every normal refresh.
            let mut reason = None;
            for connection in connections {
                match connection.call(&all_topics(), deadline).await {
                    Ok(said) => return Ok(said),
                    Err(e) => reason = Some(e),
                }
            }
            Err(reason)
        };
        let (metadata, ()): (Result<MetadataResponse, Option<String>>, ()) =
            futures_util::future::join(metadata, Self::ask_rosters(&mut self.state, &self.clock, deadline, turns))
                .await;
        match metadata {
            Ok(said) => self.state.metadata(said, self.clock.now()),
            Err(Some(reason)) => self.trouble = Some(format!("no broker answered Metadata: {reason}")),
            Err(None) => {
                if self.trouble.is_none() {
                    let reasons = self.state.brokers.iter().filter_map(|(id, b)| match &b.state {
                        BrokerState::Down { reason, .. } => Some(format!("broker {id}: {reason}")),
                        BrokerState::Up => None,
                    });
                    self.trouble = Some(reasons.collect::<Vec<_>>().join("; "));
                }
            }
        }
    }

    async fn rosters(&mut self, turns: &mut [Turn]) {
        Self::ask_rosters(&mut self.state, &self.clock, self.dialer.deadline, turns).await;
    }

    async fn ask_rosters(state: &mut State, clock: &Clock, deadline: std::time::Duration, turns: &mut [Turn]) {
        let answers = turns.iter_mut().map(|turn| {
            let known: Vec<StrBytes> =
                state.groups.iter().filter(|(_, g)| g.coordinator == turn.id).map(|(raw, _)| raw.clone()).collect();
            let fetches = offset_fetches(state, &known);
            turn.asked = known;
            turn.used += 1 + fetches.len();
            async move {
                let began = Instant::now();
                let roster = async {
                    let said = turn.connection.call(&ListGroupsRequest::default(), deadline).await;
                    (said, began.elapsed().as_secs_f64())
                };
                let ((roster, rtt), fetched) =
                    futures_util::future::join(roster, fetch(&turn.connection, &fetches, deadline)).await;
                turn.rtt = roster.is_ok().then_some(rtt);
                let roster = turn.note(roster);
                let fetched: Vec<_> = fetched.into_iter().filter_map(|f| turn.note(f)).collect();
                (turn.id, roster, fetched)
            }
        });
        let answers = join_all(answers.collect::<Vec<_>>()).await;
        let now = clock.now();
        for (id, roster, _) in &answers {
            if let Some(roster) = roster {
                state.roster(*id, roster.clone(), now);
            }
        }
        for fetched in answers.into_iter().flat_map(|(_, _, fetched)| fetched) {
            state.committed(fetched, now);
        }
    }

    /// Everything that needs to know leaders and groups.
    async fn second_step(&mut self, turns: &mut [Turn]) {
        let deadline = self.dialer.deadline;
        let refresh = self.state.refresh;
        let plans: Vec<Plan> = turns.iter().map(|turn| Plan::new(&self.state, turn, refresh)).collect();
        let ends_wait = plans.iter().any(|p| !p.fetches.is_empty());
        let answers = turns.iter_mut().zip(&plans).map(|(turn, plan)| async move {
            let c = turn.connection.clone();
            let latest = plan.latest.as_ref().filter(|_| !ends_wait);
            let (fetched, latest, (classic, consumer), earliest, probe) = join5(
                fetch(&c, &plan.fetches, deadline),
                optional(&c, latest, deadline),
                futures_util::future::join(
                    optional(&c, plan.classic.as_ref(), deadline),
                    optional(&c, plan.consumer.as_ref(), deadline),
                ),
                optional(&c, plan.earliest.as_ref(), deadline),
                optional(&c, plan.probe.as_ref(), deadline),
            )
            .await;
            let fetched: Vec<OffsetFetchResponse> = fetched.into_iter().filter_map(|f| turn.note(f)).collect();
            let mut offsets: Vec<(Spec, ListOffsetsResponse)> = Vec::new();
            for (spec, said) in [(Spec::Earliest, earliest), (Spec::Latest, latest), (Spec::Probe, probe)] {
                offsets.extend(said.and_then(|s| turn.note(s)).map(|s| (spec, s)));
            }
            let classic = classic.and_then(|s| turn.note(s));
            let consumer = consumer.and_then(|s| turn.note(s));
            (fetched, offsets, classic, consumer)
        });
        let answers = join_all(answers.collect::<Vec<_>>()).await;
        let now = self.clock.now();
        let mut probes = Vec::new();
        for (fetched, offsets, classic, consumer) in answers {
            for said in fetched {
                self.state.committed(said, now);
            }
            if let Some(classic) = classic {
                self.state.classic(classic);
            }
            if let Some(consumer) = consumer {
                self.state.consumer(consumer);
            }
            for (spec, said) in offsets {
                match spec {
                    Spec::Probe => probes.push(said),
                    spec => self.state.offsets(spec, said, now),
                }
            }
        }
        if ends_wait {
            let answers = turns.iter_mut().zip(&plans).map(|(turn, plan)| async move {
                let said = optional(&turn.connection.clone(), plan.latest.as_ref(), deadline).await;
                said.and_then(|s| turn.note(s))
            });
            let answers = join_all(answers.collect::<Vec<_>>()).await;
            let now = self.clock.now();
            for said in answers.into_iter().flatten() {
                self.state.offsets(Spec::Latest, said, now);
            }
        }
        // A probe without a record is a boundary at the log end, so it is worked in after the ends.
        for said in probes {
            self.state.offsets(Spec::Probe, said, now);
        }
    }

    /// Marks brokers up or down after what happened; returns the requests made.
    fn settle(&mut self, turns: &[Turn], now: Time) -> u32 {
        let mut requests = 0;
        for turn in turns {
            requests += turn.connection.take_sent();
            match &turn.failed {
                Some(reason) => self.down(turn.id, Time::default(), reason, now),
                None => {
                    if let Some(row) = self.state.brokers.get_mut(&turn.id) {
                        row.state = BrokerState::Up;
                        row.answered = Some(now);
                        row.rtt = turn.rtt.or(row.rtt);
                    }
                }
            }
        }
        requests
    }
}

/// The requests of the second step to one broker, within its budget.
struct Plan {
    fetches: Vec<OffsetFetchRequest>,
    latest: Option<ListOffsetsRequest>,
    classic: Option<DescribeGroupsRequest>,
    consumer: Option<ConsumerGroupDescribeRequest>,
    earliest: Option<ListOffsetsRequest>,
    probe: Option<ListOffsetsRequest>,
}

impl Plan {
    fn new(state: &State, turn: &Turn, refresh: u64) -> Self {
        let listed = || state.groups.iter().filter(|(_, g)| g.coordinator == turn.id && g.listed == refresh);
        let new: Vec<StrBytes> =
            listed().filter(|(raw, _)| turn.asked.binary_search(raw).is_err()).map(|(raw, _)| raw.clone()).collect();
        let of = |kind| listed().filter(move |(_, g)| g.kind == kind).map(|(raw, _)| GroupId(raw.clone()));
        let classic: Vec<GroupId> = of(GroupType::Classic).collect();
        let consumer: Vec<GroupId> = of(GroupType::Consumer).collect();
        let ask = |spec| list_offsets(state, turn.id, spec);
        let mut plan = Self {
            fetches: offset_fetches(state, &new),
            latest: ask(Spec::Latest),
            classic: (!classic.is_empty()).then(|| DescribeGroupsRequest::default().with_groups(classic)),
            consumer: (!consumer.is_empty()).then(|| ConsumerGroupDescribeRequest::default().with_group_ids(consumer)),
            earliest: ask(Spec::Earliest),
            probe: ask(Spec::Probe),
        };
        // What is left of the budget goes to the two that age well, in turns when there is room for one only.
        let used = turn.used
            + plan.fetches.len()
            + usize::from(plan.latest.is_some())
            + usize::from(plan.classic.is_some())
            + usize::from(plan.consumer.is_some());
        let room = PER_BROKER.saturating_sub(used);
        let wanted = usize::from(plan.earliest.is_some()) + usize::from(plan.probe.is_some());
        if room < wanted {
            let earliest_first = refresh % 2 == 1;
            if room == 0 || !earliest_first {
                plan.earliest = None;
            }
            if room == 0 || earliest_first {
                plan.probe = None;
            }
        }
        plan
    }
}

fn all_topics() -> MetadataRequest {
    MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false)
}

fn list_offsets(state: &State, broker: i32, spec: Spec) -> Option<ListOffsetsRequest> {
    let partition = |(number, stamp)| {
        ListOffsetsPartition::default().with_partition_index(number).with_current_leader_epoch(-1).with_timestamp(stamp)
    };
    let topics: Vec<ListOffsetsTopic> = state
        .asked_of(broker, spec)
        .into_iter()
        .filter_map(|(i, asked)| {
            let name = state.topics.get(i)?.raw.clone();
            let partitions = asked.into_iter().map(partition).collect();
            Some(ListOffsetsTopic::default().with_name(name).with_partitions(partitions))
        })
        .collect();
    // Replica −1: a consumer asks; isolation level 0: up to the high watermark.
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_isolation_level(0);
    (!topics.is_empty()).then(|| request.with_topics(topics))
}

/// One request for all groups, or several when many offsets are to be expected. Share groups commit no offsets.
fn offset_fetches(state: &State, groups: &[StrBytes]) -> Vec<OffsetFetchRequest> {
    let mut chunks: Vec<Vec<OffsetFetchRequestGroup>> = Vec::new();
    let mut expected = usize::MAX;
    for raw in groups {
        let Some(row) = state.groups.get(raw).filter(|g| g.kind != GroupType::Share) else { continue };
        let size = row.rows.len().max(20);
        if expected.saturating_add(size) > OFFSETS_PER_REQUEST {
            chunks.push(Vec::new());
            expected = 0;
        }
        expected += size;
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(raw.clone()))
            .with_member_id(None)
            .with_member_epoch(-1)
            .with_topics(None); // null: every topic with a committed offset
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(group);
        }
    }
    chunks.into_iter().map(|groups| OffsetFetchRequest::default().with_groups(groups)).collect()
}

async fn fetch(
    connection: &Connection,
    requests: &[OffsetFetchRequest],
    deadline: std::time::Duration,
) -> Vec<Result<OffsetFetchResponse, String>> {
    join_all(requests.iter().map(|r| connection.call(r, deadline))).await
}

async fn optional<R: super::shape::Asked>(
    connection: &Connection,
    request: Option<&R>,
    deadline: std::time::Duration,
) -> Option<Result<R::Response, String>> {
    match request {
        Some(request) => Some(connection.call(request, deadline).await),
        None => None,
    }
}
