//! From looks at a simulated group to what the dashboard would have in its history and state: no truth gets through.

use crate::{
    advise::Memory,
    capacity::{Look, Place},
    history::{Bounds, History},
    model::{
        Entity, GuardSettings, Label, Replicas, Role, Sample, SignalKey, Slo, Time, Workload, WorkloadKind,
        WorkloadState,
    },
    simulate::{
        arena::{Game, Seen},
        group::Protocol,
    },
};
use std::collections::{BTreeMap, VecDeque};

/// Looks that are remembered to tell how old an unread record is: two hours at 15 s.
const REMEMBERED: usize = 480;

/// Watches one group and keeps what was seen.
#[derive(Clone, Debug)]
pub struct Monitor {
    history: History,
    keys: BTreeMap<Role, SignalKey>,
    origin: Label,
    /// Instant of the game's second 0.
    begin: Time,
    scrape: f64,
    /// What the group says of its assignor.
    sticky: bool,
    last: Option<Last>,
    memory: Memory,
    /// Games watched so far: a consumer's number is its own within one game only.
    games: u64,
    /// When all of the topic's ends together stood where: for the age of unread records.
    past: VecDeque<(f64, f64)>,
    changed: Option<(Time, u32)>,
}

/// What is kept of the last look.
#[derive(Clone, Debug)]
struct Last {
    t: f64,
    ends: Vec<f64>,
    committed: f64,
    desired: u32,
}

impl Monitor {
    /// A monitor of the group of `game`, whose second 0 is `begin`, with nothing seen yet.
    pub fn new(game: &Game, begin: Time) -> Self {
        let entity = entity();
        let key = |role| (role, SignalKey { entity: entity.clone(), role });
        Self {
            history: History::new(Bounds { span: 30.0 * 86_400.0, ..Bounds::default() }),
            keys: Role::ALL.into_iter().map(key).collect(),
            origin: Label::new("arena"),
            begin,
            scrape: game.scrape,
            sticky: game.group.protocol != Protocol::Eager,
            last: None,
            memory: Memory::default(),
            games: 0,
            past: VecDeque::from([(0.0, 0.0)]),
            changed: None,
        }
    }

    /// Another game is watched from now on, whose second 0 is `begin`; what was seen stays.
    #[must_use]
    pub fn again(mut self, begin: Time) -> Self {
        self.begin = begin;
        self.last = None;
        self.memory.watch.look_away();
        self.games += 1;
        self.past = VecDeque::from([(0.0, 0.0)]);
        self.changed = None;
        self
    }

    /// Demand that was seen before the game.
    pub fn backfill(&mut self, demand: &[Sample]) {
        if let Some(key) = self.keys.get(&Role::Demand) {
            self.history.backfill(key, demand);
        }
    }

    /// What was seen so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// What looks have taught so far.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Works the day's shape out when that is due.
    pub fn learn(&mut self, now: Time) {
        if self.memory.is_due(now) {
            self.memory.learn(&self.history, &entity(), now);
        }
    }

    /// The instant of a look.
    pub fn instant(&self, seen: &Seen<'_>) -> Time {
        self.begin.plus(seen.t)
    }

    /// Records one look; the state that it adds up to with those before.
    pub fn look(&mut self, seen: &Seen<'_>) -> WorkloadState {
        let at = self.instant(seen);
        let lags: Vec<f64> = seen.ends.iter().zip(seen.committed).map(|(e, c)| (e - c).max(0.0)).collect();
        let committed: f64 = seen.committed.iter().sum();
        self.past.push_back((seen.t, seen.ends.iter().sum()));
        if self.past.len() > REMEMBERED {
            self.past.pop_front();
        }
        self.put(Role::Backlog, at, lags.iter().sum());
        self.put(Role::Replicas, at, f64::from(seen.ready));
        self.put(Role::Desired, at, f64::from(seen.desired));
        self.put(Role::Utilisation, at, seen.cpu);
        if let Some(late) = self.time_lag(seen) {
            self.put(Role::TimeLag, at, late);
        }
        let mut rates = Vec::new();
        let mut asked = at;
        if let Some(last) = self.last.take().filter(|l| seen.t > l.t) {
            let dt = seen.t - last.t;
            rates = seen.ends.iter().zip(&last.ends).map(|(now, then)| (now - then) / dt).collect();
            self.put(Role::Demand, at, rates.iter().sum());
            self.put(Role::Throughput, at, ((committed - last.committed) / dt).max(0.0));
            if last.desired != seen.desired {
                // The count is watched, not scraped: it changed right after the last look, when pilots decide.
                asked = self.begin.plus(last.t + 1.0);
                self.changed = Some((asked, last.desired));
                self.put(Role::Desired, asked, f64::from(seen.desired));
            }
        }
        self.watch(seen, at, asked);
        self.last = Some(Last { t: seen.t, ends: seen.ends.to_vec(), committed, desired: seen.desired });
        WorkloadState {
            replicas: Some(Replicas {
                desired: seen.desired,
                ready: seen.ready,
                at,
                origin: self.origin.clone(),
                uid: None,
            }),
            coverage: 1.0,
            data_age: 0.0,
            stale_after: 2.0 * self.scrape,
            rebalancing: seen.rebalancing,
            sticky: Some(self.sticky),
            partitions: u32::try_from(seen.ends.len()).ok(),
            partition_lags: lags.iter().map(|l| Some(l.round() as u64)).collect(),
            partition_rates: rates.into_iter().map(Some).collect(),
            partition_owners: ranks(seen.owners),
            cpu: Some(seen.cpu),
            last_change: self.changed,
            ..WorkloadState::unknown(at)
        }
    }

    /// Shows the look to the memory, member by member.
    fn watch(&mut self, seen: &Seen<'_>, at: Time, asked: Time) {
        let places = seen.ends.iter().zip(seen.committed).zip(seen.owners);
        let partitions: Vec<Place> = places
            .map(|((end, committed), owner)| {
                let owner = owner.map(|o| (self.games << 32) + o);
                Place { end: *end, committed: *committed, owner }
            })
            .collect();
        let (desired, ready, rebalancing) = ((seen.desired, asked), seen.ready, seen.rebalancing);
        self.memory.watch.see(&Look { at, partitions: &partitions, desired, ready, rebalancing });
    }

    fn put(&mut self, role: Role, at: Time, value: f64) {
        if let Some(key) = self.keys.get(&role) {
            self.history.record(key, Sample { at, value });
        }
    }

    /// Age of the oldest record that is not committed, of the partition that is furthest behind: what the ends were
    /// when, between two looks. Each partition is taken to have kept its share of the arrivals. `None` at first.
    fn time_lag(&self, seen: &Seen<'_>) -> Option<f64> {
        let total: f64 = seen.ends.iter().sum();
        if total <= 0.0 {
            return None;
        }
        // The total at which each partition's end stood where its commit is now.
        let of = |(end, commit): (&f64, &f64)| if *end > 0.0 { commit * total / end } else { total };
        let oldest = seen.ends.iter().zip(seen.committed).map(of).fold(total, f64::min);
        let after = self.past.partition_point(|(_, sum)| *sum <= oldest);
        let (t1, sum1) = *self.past.get(after).or(self.past.back())?;
        let (t0, sum0) = match after.checked_sub(1).and_then(|i| self.past.get(i)) {
            Some(before) => *before,
            None => *self.past.front()?, // older than what is remembered: at least as old as its beginning
        };
        let share = if sum1 > sum0 { ((oldest - sum0) / (sum1 - sum0)).clamp(0.0, 1.0) } else { 1.0 };
        Some((seen.t - (t0 + share * (t1 - t0))).max(0.0))
    }
}

/// Owners as their places in the order in which they came: who came last goes first.
fn ranks(owners: &[Option<u64>]) -> Vec<Option<u32>> {
    let mut known: Vec<u64> = owners.iter().flatten().copied().collect();
    known.sort_unstable();
    known.dedup();
    let rank = |o: &u64| known.binary_search(o).ok().and_then(|i| u32::try_from(i).ok());
    owners.iter().map(|o| o.as_ref().and_then(rank)).collect()
}

/// The group of every game.
fn entity() -> Entity {
    Entity { kind: WorkloadKind::ConsumerGroup, source: Label::new("arena"), id: Label::new("group") }
}

/// The workload of a game, as an operator would have configured it.
pub fn workload(game: &Game, guard: GuardSettings) -> Workload {
    Workload {
        name: Label::new("group"),
        entity: entity(),
        target: None,
        limits: game.limits,
        slo: Slo { time_lag: Some(game.slo), ..Slo::default() },
        price: game.price,
        guard,
        signals: BTreeMap::new(),
        shape: crate::model::Shape::default(),
        broker: None,
        found: None,
        configured: true,
    }
}
