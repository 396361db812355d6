//! One refresh: which requests go to which broker, in which order, and within what budget.
//!
//! The order is what keeps lag honest: a committed offset that is read after the end offset may lie beyond it, and lag would
//! be negative by a race. So committed offsets are asked for one step earlier than ends, across all brokers:
//!
//! 1. Metadata ∥ per broker {ListGroups, OffsetFetch of the groups that it coordinated last time};
//! 2. per broker {ListOffsets latest, descriptions of groups, and what is due of what ages well (`rota.rs`)}.
//!
//! Groups that step 1 shows for the first time (all of them, at the start) get their OffsetFetch in step 2, and only then do
//! the ends take a third step. So a steady refresh costs two round trips and at most six requests per broker and one; only
//! share groups cost two more per coordinator, and very many offsets more OffsetFetches, all sent at once. With thousands
//! of partitions Metadata, with hundreds of groups rosters and descriptions are asked for every few refreshes only, and at
//! once when a leader or a coordinator is not where it was.

use super::{
    ask::{Said, Turn, ask, fetch, optional},
    backfill::{Backfill, Known},
    dial::Dialer,
    lag::Spec,
    link::{Link, backoff},
    plan::{Asked, Plan, all_topics, offset_fetches},
    properties::{Access, access},
    rota::{Rota, in_turn},
    state::State,
    wire::Connection,
};
use crate::{
    alert::{DEAD_LETTER, Watch},
    model::{BrokerState, Grant, KafkaCluster, KafkaSettings, Label, Property, Time},
    process::Clock,
};
use futures_util::future::{join, join_all};
use kafka_protocol::{
    messages::{ListGroupsRequest, ListOffsetsResponse, MetadataResponse},
    protocol::StrBytes,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// With more partitions than this Metadata is asked for every so many refreshes.
const FEW_PARTITIONS: (usize, u64) = (2_000, 5);
/// Why a broker that has a connection is not asked.
const NOT_REGISTERED: &str = "not asked, for the cluster no longer lists it: fenced, or cut off from its controller?";

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
    rota: Rota,
    watch: Watch,
    /// Why no broker could be asked for metadata, in the last refresh.
    trouble: Option<String>,
    barred: Option<Barred>,
    /// How often Metadata was asked for.
    asked: usize,
}

/// Metadata of the next broker that answers; an error: none does, and why the last one did not.
async fn next_metadata(
    witnesses: &mut VecDeque<Arc<Connection>>,
    deadline: Duration,
) -> Result<MetadataResponse, Option<String>> {
    let mut reason = None;
    while let Some(connection) = witnesses.pop_front() {
        match connection.call(&all_topics(), deadline).await {
            Ok(said) => return Ok(said),
            Err(e) => reason = Some(e),
        }
    }
    Err(reason)
}

/// The bootstrap servers refused our credentials.
struct Barred {
    /// They are not asked before this.
    until: Instant,
    /// How often they did, in a row.
    times: u32,
    reason: String,
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
            rota: Rota::default(),
            watch: settings.dead_letter.as_ref().map_or_else(|| Watch::new(&DEAD_LETTER), |own| Watch::new(own)),
            trouble: None,
            barred: None,
            asked: 0,
        })
    }

    /// What fills the history of this cluster's groups.
    pub(super) fn backfill(&self, span: f64, known: Known) -> Backfill {
        Backfill::new(self.name.clone(), self.dialer.clone(), span, known)
    }

    /// What is known.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Why nothing at all could be read in the last refresh; `None`: some broker answered.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether the bootstrap servers refused our credentials.
    pub(super) fn is_barred(&self) -> bool {
        self.barred.is_some()
    }

    /// The right to read what is there of `resource` (`--topic`, `--group`), as its administrator would give it.
    pub(super) fn describe(&self, settings: &KafkaSettings, resource: &'static str, name: &str) -> Grant {
        let bootstrap = match settings.properties.get("bootstrap.servers") {
            Some(Property::Text(text)) => text.as_str(),
            _ => "",
        };
        let principal = self.dialer.principal();
        Grant::Acl { bootstrap: bootstrap.into(), principal: principal.into(), resource, name: name.into() }
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
        self.state.mark_dead_letters(|name| self.watch.is_dead_letter(name));
        self.second_step(&mut turns).await;
        self.state.doubt |= turns.len() < self.links.len() || turns.iter().any(|t| t.failed.is_some());
        for turn in turns.iter().filter(|t| t.failed.is_some()) {
            self.rota.forget(turn.id);
            self.state.ask_configs_again();
        }
        let now = self.clock.now();
        requests += self.settle(&turns, now);
        self.state.join(now);
        let mut picture = self.state.picture(&self.name, &self.dialer.principal(), now);
        picture.requests = requests;
        self.watch.look(&mut picture);
        picture.seconds = started.elapsed().as_secs_f64();
        picture
    }

    /// Asks the bootstrap servers in turn for the brokers. Returns the requests made. Where one refuses our credentials,
    /// the others are not asked: they would most likely refuse them too, and count it. The next attempt begins with another.
    async fn bootstrap(&mut self) -> u32 {
        if let Some(barred) = self.barred.as_ref().filter(|b| Instant::now() < b.until) {
            self.trouble = Some(barred.reason.clone());
            return 0;
        }
        let mut reasons = Vec::new();
        let mut requests = 0;
        let times = self.barred.take().map_or(0, |b| b.times);
        let servers = &self.access.bootstrap;
        for (host, port) in servers.iter().cycle().skip(times as usize % servers.len()).take(servers.len()) {
            match self.dialer.dial(host, *port).await {
                Err(refused) => {
                    reasons.push(refused.reason);
                    if refused.credentials {
                        let (until, reason) = (Instant::now() + backoff(times, true), reasons.join("; "));
                        self.barred = Some(Barred { until, times: times + 1, reason });
                        break;
                    }
                }
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
            let registered = self.state.brokers.get(&id).is_some_and(|b| b.registered);
            match connection {
                // Who has lost the controller believes that it leads and coordinates still, and says so.
                Ok(_) if !registered => self.down(id, Time::default(), NOT_REGISTERED, now),
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
        // Each in its turn: one that is cut off from its controller and is asked alone would never be found out.
        let mut witnesses: VecDeque<_> = turns.iter().map(|t| t.connection.clone()).collect();
        witnesses.rotate_left(self.asked % turns.len().max(1));
        let deadline = self.dialer.deadline;
        let partitions = self.state.topics.iter().map(|t| t.partitions.len()).sum();
        let due = self.state.doubt || partitions == 0 || turns.is_empty();
        let due = due || in_turn(self.state.refresh, partitions, FEW_PARTITIONS.0, FEW_PARTITIONS.1);
        self.asked = self.asked.wrapping_add(usize::from(due));
        let metadata = async { if due { next_metadata(&mut witnesses, deadline).await.map(Some) } else { Ok(None) } };
        let (metadata, ()) = join(metadata, Self::ask_rosters(&mut self.state, &self.clock, deadline, turns)).await;
        match metadata {
            Ok(None) => {}
            Ok(Some(said)) => self.believe(said, witnesses).await,
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

    /// Takes what a broker says of the cluster, unless it is older than what others said: then the next one is asked.
    async fn believe(&mut self, mut said: MetadataResponse, mut others: VecDeque<Arc<Connection>>) {
        let all = others.len() + 1 == self.state.brokers.values().filter(|b| b.registered).count();
        while self.state.is_behind(&said) {
            match next_metadata(&mut others, self.dialer.deadline).await {
                Ok(next) => said = next,
                Err(None) if all => break, // no broker says otherwise: the cluster has gone back
                Err(_) => {
                    self.state.doubt = true; // what was known stands, and grows old
                    return;
                }
            }
        }
        self.state.metadata(said, self.clock.now());
    }

    async fn rosters(&mut self, turns: &mut [Turn]) {
        Self::ask_rosters(&mut self.state, &self.clock, self.dialer.deadline, turns).await;
    }

    async fn ask_rosters(state: &mut State, clock: &Clock, deadline: Duration, turns: &mut [Turn]) {
        let in_turn = state.rosters_are_due();
        state.moved = false;
        let answers = turns.iter_mut().map(|turn| {
            let known: Vec<StrBytes> =
                state.groups.iter().filter(|(_, g)| g.coordinator == turn.id).map(|(raw, _)| raw.clone()).collect();
            let fetches = offset_fetches(state, &known);
            let list = (in_turn || state.lacks_roster(turn.id)).then(ListGroupsRequest::default);
            turn.asked = known;
            turn.used += usize::from(list.is_some()) + fetches.len().min(1);
            async move {
                let began = Instant::now();
                let roster = async {
                    let said = optional(&turn.connection, list.as_ref(), deadline).await;
                    (said, began.elapsed().as_secs_f64())
                };
                let ((roster, rtt), fetched) = join(roster, fetch(&turn.connection, &fetches, deadline)).await;
                turn.rtt = matches!(roster, Some(Ok(_))).then_some(rtt);
                let roster = roster.and_then(|said| turn.note(said));
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
        let now = Instant::now();
        let mut plans = Vec::with_capacity(turns.len());
        for (i, turn) in turns.iter().enumerate() {
            let asked = Asked { broker: turn.id, used: turn.used, groups: &turn.asked, first: i == 0 };
            plans.push(Plan::new(&mut self.state, &mut self.rota, &asked, now));
        }
        let ends_wait = plans.iter().any(|p| !p.fetches.is_empty());
        let asked = turns.iter_mut().zip(&plans).map(|(turn, plan)| ask(turn, plan, ends_wait, deadline));
        let answers = join_all(asked.collect::<Vec<_>>()).await;
        let now = self.clock.now();
        let mut probes = Vec::new();
        for (turn, said) in turns.iter().zip(answers) {
            probes.extend(self.take(turn.id, said, now));
        }
        if ends_wait {
            let asked = turns.iter_mut().zip(&plans).map(|(turn, plan)| async move {
                let said = optional(&turn.connection.clone(), plan.latest.as_ref(), deadline).await;
                said.and_then(|s| turn.note(s))
            });
            let answers = join_all(asked.collect::<Vec<_>>()).await;
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

    /// Works one broker's answers in; those to probes are given back.
    fn take(&mut self, broker: i32, said: Said, now: Time) -> Vec<ListOffsetsResponse> {
        let state = &mut self.state;
        said.fetched.into_iter().for_each(|f| state.committed(f, now));
        said.classic.into_iter().for_each(|d| state.classic(d));
        said.consumer.into_iter().for_each(|d| state.consumer(d));
        said.share.into_iter().for_each(|d| state.share(d));
        said.shares.into_iter().for_each(|d| state.shares(d, now));
        said.configs.into_iter().for_each(|d| state.configs(d, now));
        said.log_dirs.into_iter().for_each(|d| state.log_dirs(broker, d, now));
        said.producers.into_iter().for_each(|d| state.producers(d));
        said.transactions.into_iter().for_each(|d| state.transactions(broker, d));
        said.began.into_iter().for_each(|d| state.began(d));
        let mut probes = Vec::new();
        for (spec, said) in said.offsets {
            match spec {
                Spec::Probe => probes.push(said),
                spec => state.offsets(spec, said, now),
            }
        }
        probes
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
