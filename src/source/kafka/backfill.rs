//! Instant history: how many records arrived when, over the last days, from the brokers' own time index (ListOffsets by
//! timestamp). Nothing needs to be installed, nothing is read, and the first screen can forecast.
//!
//! It runs beside the refreshes on connections of its own, newest first, at a bounded rate, once for each group: since
//! then the refreshes tell. What is stored from earlier runs is not asked for again, nor what retention has deleted.

use super::{
    arrivals::{Course, rates, stages},
    dial::Dialer,
    state::{GroupRow, State},
    wire::Connection,
};
use crate::model::{Entity, GroupType, Label, Observation, Role, SignalKey, Time, WorkloadKind};
use futures_util::{StreamExt, future::join_all, stream};
use kafka_protocol::{
    messages::{
        BrokerId, ListOffsetsRequest, TopicName,
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
    protocol::StrBytes,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, task::JoinSet};

/// Demand that is known from earlier runs: the first and the last instant, by group.
pub type Known = Arc<HashMap<Label, (Time, Time)>>;

/// Requests under way at one broker.
const IN_FLIGHT: usize = 8;
/// Instants after which logs that have come to their beginning are left out.
const WINDOW: usize = 32;
/// Look-ups in the time index of one broker per second: each is a binary search, but in old segments of cold pages.
const LOOKUPS: f64 = 50_000.0;
/// An answer may take longer than one of a refresh.
const DEADLINE: Duration = Duration::from_secs(10);
/// What is known overlaps what is asked for by this much, seconds: one interval.
const OVERLAP: f64 = 900.0;

/// Fills the history of groups once each.
pub(super) struct Backfill {
    source: Label,
    dialer: Arc<Dialer>,
    span: f64,
    known: Known,
    done: HashSet<Label>,
    running: JoinSet<()>,
}

impl Backfill {
    /// `span`: how far back, seconds; 0: not at all.
    pub(super) fn new(source: Label, dialer: Arc<Dialer>, span: f64, known: Known) -> Self {
        Self { source, dialer, span, known, done: HashSet::new(), running: JoinSet::new() }
    }

    /// After a refresh: starts on the groups that are new. One run at a time.
    pub(super) fn step(&mut self, state: &State, now: Time, out: &mpsc::Sender<Observation>) {
        while self.running.try_join_next().is_some() {}
        if self.span <= 0.0 || !self.running.is_empty() {
            return;
        }
        let ground = Ground::new(state, &self.done, &self.known);
        if ground.readings.is_empty() {
            return;
        }
        self.done.extend(ground.readings.iter().map(|r| r.group.clone()));
        let (dialer, source, span, out) = (self.dialer.clone(), self.source.clone(), self.span, out.clone());
        self.running.spawn(async move {
            for instants in stages(now, span) {
                if fill(&dialer, &source, &ground, &instants, &out).await.is_none() {
                    return; // nobody listens any more
                }
            }
        });
    }
}

/// A partition, and from when to when its course is known already.
struct Log {
    topic: StrBytes,
    number: i32,
    leader: i32,
    start: i64,
    end: i64,
    known: Option<(Time, Time)>,
}

impl Log {
    fn wants(&self, at: Time) -> bool {
        self.known.is_none_or(|(from, to)| at <= from.plus(OVERLAP) || at >= to.plus(-OVERLAP))
    }
}

/// A group and the logs that it reads.
pub(super) struct Reading {
    group: Label,
    logs: Vec<usize>,
}

/// What is to be asked for, as it was after a refresh.
pub(super) struct Ground {
    logs: Vec<Log>,
    pub(super) readings: Vec<Reading>,
    brokers: BTreeMap<i32, (String, u16)>,
}

impl Ground {
    /// Groups that are whole and not done yet.
    pub(super) fn new(state: &State, done: &HashSet<Label>, known: &Known) -> Self {
        let mut places: HashMap<(StrBytes, i32), usize> = HashMap::new();
        let (mut logs, mut readings): (Vec<Log>, Vec<Reading>) = (Vec::new(), Vec::new());
        let reads = |kind| !matches!(kind, GroupType::Share | GroupType::Connect);
        let whole = |g: &&GroupRow| !g.rows.is_empty() && !g.hides;
        for g in state.groups.values().filter(|g| reads(g.kind) && !done.contains(&g.label)).filter(whole) {
            let past = known.get(&g.label).copied();
            let mut mine = Vec::with_capacity(g.rows.len());
            for (raw, row) in &g.rows {
                let topic = state.index.get(raw).and_then(|i| state.topics.get(*i));
                let p = topic.and_then(|t| {
                    t.partitions
                        .binary_search_by_key(&row.partition, |p| p.number)
                        .ok()
                        .and_then(|i| t.partitions.get(i))
                });
                let Some((leader, start, end)) = p.and_then(|p| Some((p.leader?, p.log_start?, p.end?))) else { break };
                let place = *places.entry((raw.clone(), row.partition)).or_insert_with(|| {
                    logs.push(Log { topic: raw.clone(), number: row.partition, leader, start, end, known: past });
                    logs.len() - 1
                });
                // Two groups may know different parts of one log: only what both know is not asked for.
                if let Some(log) = logs.get_mut(place) {
                    log.known = log.known.zip(past).map(|(a, b)| (a.0.max(b.0), a.1.min(b.1))).filter(|k| k.0 < k.1);
                }
                mine.push(place);
            }
            if mine.len() == g.rows.len() {
                readings.push(Reading { group: g.label.clone(), logs: mine });
            }
        }
        let brokers = state.brokers.iter().map(|(id, b)| (*id, (b.host.clone(), b.port))).collect();
        Self { logs, readings, brokers }
    }
}

/// Asks for one stage and sends what follows from it. `None`: nobody listens.
async fn fill(
    dialer: &Dialer,
    source: &Label,
    ground: &Ground,
    instants: &[Time],
    out: &mpsc::Sender<Observation>,
) -> Option<()> {
    let began = Instant::now();
    let mut courses: HashMap<usize, Course> = HashMap::new();
    let asked: Vec<_> = ground.brokers.iter().map(|(id, at)| one_broker(dialer, *id, at, ground, instants)).collect();
    let mut requests = 0;
    for (found, made) in join_all(asked).await {
        requests += made;
        courses.extend(found);
    }
    for reading in &ground.readings {
        let mine: Option<Vec<&Course>> = reading.logs.iter().map(|i| courses.get(i)).collect();
        let samples = mine.map_or_else(Vec::new, |mine| rates(instants, &mine));
        if samples.is_empty() {
            continue;
        }
        let entity = Entity { kind: WorkloadKind::ConsumerGroup, source: source.clone(), id: reading.group.clone() };
        let key = SignalKey { entity, role: Role::Demand };
        out.send(Observation::Past { key, samples }).await.ok()?;
    }
    tracing::info!(
        "kafka {source}: arrivals of {} groups at {} instants: {requests} requests, {:.1} s",
        ground.readings.len(),
        instants.len(),
        began.elapsed().as_secs_f64()
    );
    Some(())
}

/// Where the logs of one broker stood, newest instants first, and the requests that it took. It ends early when the broker
/// does: what is missing stays a gap.
async fn one_broker(
    dialer: &Dialer,
    broker: i32,
    (host, port): &(String, u16),
    ground: &Ground,
    instants: &[Time],
) -> (HashMap<usize, Course>, u32) {
    let mut active: Vec<usize> =
        ground.logs.iter().enumerate().filter(|(_, l)| l.leader == broker).map(|(i, _)| i).collect();
    let unknown = |log: &usize| Course { start: ground.logs[*log].start, offsets: vec![None; instants.len()] };
    let mut courses: HashMap<usize, Course> = active.iter().map(|log| (*log, unknown(log))).collect();
    if active.is_empty() || *port == 0 {
        return (courses, 0);
    }
    let Ok(dialed) = dialer.dial(host, *port).await else { return (courses, 0) };
    let connection = &dialed.connection;
    let all: Vec<(usize, Time)> = instants.iter().copied().enumerate().rev().collect();
    for window in all.chunks(WINDOW) {
        let began = Instant::now();
        let jobs: Vec<(usize, Vec<usize>, Time)> = window
            .iter()
            .map(|(i, at)| (*i, active.iter().copied().filter(|l| ground.logs[*l].wants(*at)).collect::<Vec<_>>(), *at))
            .filter(|(_, logs, _)| !logs.is_empty())
            .collect();
        let lookups: usize = jobs.iter().map(|(_, logs, _)| logs.len()).sum();
        let asks: Vec<_> = jobs.into_iter().map(|(i, logs, at)| ask(connection, ground, logs, i, at)).collect();
        let mut answers = stream::iter(asks).buffered(IN_FLIGHT);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(offsets) => {
                    for (log, instant, offset) in offsets {
                        if let Some(course) = courses.get_mut(&log) {
                            course.offsets[instant] = Some(offset);
                        }
                    }
                }
                Err(reason) => {
                    tracing::warn!("no more history from broker {broker}: {reason}");
                    return (courses, connection.take_sent());
                }
            }
        }
        drop(answers);
        // A log that has come to its first record says the same for every older instant.
        active.retain(|log| {
            let oldest = window.iter().rev().find_map(|(i, _)| courses[log].offsets[*i]);
            oldest.is_none_or(|offset| offset > ground.logs[*log].start)
        });
        if active.is_empty() {
            break;
        }
        let pace = Duration::from_secs_f64(lookups as f64 / LOOKUPS);
        tokio::time::sleep(pace.saturating_sub(began.elapsed())).await;
    }
    courses.values_mut().for_each(complete);
    (courses, connection.take_sent())
}

/// Older instants than that at which a log had come to its beginning: it stood there all the time.
fn complete(course: &mut Course) {
    let Some(first) = course.offsets.iter().position(Option::is_some) else { return };
    if course.offsets[first].is_some_and(|offset| offset <= course.start) {
        let stood = course.offsets[first];
        course.offsets[..first].fill(stood);
    }
}

/// One instant for some logs: which record was the first at or after it; at the log's end, none.
async fn ask(
    connection: &Connection,
    ground: &Ground,
    logs: Vec<usize>,
    instant: usize,
    at: Time,
) -> Result<Vec<(usize, usize, i64)>, String> {
    let mut topics: BTreeMap<&StrBytes, Vec<ListOffsetsPartition>> = BTreeMap::new();
    let mut places: HashMap<(&str, i32), usize> = HashMap::new();
    for log in &logs {
        let Some(l) = ground.logs.get(*log) else { continue };
        places.insert((l.topic.as_str(), l.number), *log);
        topics.entry(&l.topic).or_default().push(
            ListOffsetsPartition::default()
                .with_partition_index(l.number)
                .with_current_leader_epoch(-1)
                .with_timestamp(at.millis()),
        );
    }
    let topic = |(name, partitions): (&StrBytes, Vec<ListOffsetsPartition>)| {
        ListOffsetsTopic::default().with_name(TopicName(name.clone())).with_partitions(partitions)
    };
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(0)
        .with_topics(topics.into_iter().map(topic).collect());
    let said = connection.call(&request, DEADLINE).await?;
    let mut found = Vec::with_capacity(logs.len());
    for t in said.topics {
        for p in t.partitions.iter().filter(|p| p.error_code == 0) {
            let Some(log) = places.get(&(t.name.as_str(), p.partition_index)).copied() else { continue };
            let Some(l) = ground.logs.get(log) else { continue };
            let offset = if p.offset < 0 { l.end } else { p.offset };
            found.push((log, instant, offset.min(l.end).max(l.start)));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_was_asked_back_to_its_beginning_stood_there_before() {
        let after = |offsets: [Option<i64>; 4]| {
            let mut course = Course { start: 10, offsets: offsets.to_vec() };
            complete(&mut course);
            course.offsets
        };
        assert_eq!(after([None, None, Some(10), Some(30)]), [Some(10), Some(10), Some(10), Some(30)]);
        assert_eq!(
            after([None, None, Some(11), Some(30)]),
            [None, None, Some(11), Some(30)],
            "there is more before it"
        );
        assert_eq!(after([None; 4]), [None; 4]);
    }
}
