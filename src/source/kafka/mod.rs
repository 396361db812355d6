//! Reads brokers, topics and consumer groups over the Kafka wire protocol.
//!
//! From the outside in: [`run`] repeats [`Reader::refresh`] (`refresh.rs`: in which order; `plan.rs`: which requests;
//! `rota.rs`: when; `ask.rs`: sends them); `state.rs`, `members.rs`, `details.rs` and `lag.rs` turn answers into what is known (pure); `timelag.rs` turns offsets
//! into seconds (pure); `link.rs` is one broker's circuit breaker, `dial.rs` TCP, TLS and SASL, `wire.rs` one connection,
//! `shape.rs` what guards the codecs from garbage, `share.rs` the one answer that they do not know. Beside the refreshes
//! `backfill.rs` asks for the days before, which `arrivals.rs` makes rates of (pure). Only [`sample()`] ever reads a record.

mod anything;
mod arrivals;
mod ask;
mod backfill;
mod details;
mod dial;
#[cfg(test)]
mod fake;
mod lag;
#[cfg(test)]
mod lag_tests;
mod link;
mod members;
mod plan;
pub mod properties;
mod refresh;
mod rota;
mod sample;
mod shape;
mod share;
mod state;
#[cfg(test)]
mod tests;
mod timelag;
mod wire;

pub use anything::decode_anything;
pub use backfill::Known;
pub use refresh::Reader;
pub use sample::{Record, Shown, sample};

use crate::{
    model::{
        BrokerState, CheckLine, Health, KafkaCluster, KafkaSettings, Label, Observation, SourceKind, SourceStatus,
    },
    process::Clock,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::MissedTickBehavior};

/// Reads one cluster every `settings.refresh` seconds until the receiver is gone.
///
/// `known`: demand of earlier runs, which is not asked for again. Each refresh sends [`Observation::Kafka`] (old values carried over where nothing answered) and [`Observation::Health`].
/// Properties that cannot be honoured are said as the health's detail, once a refresh: nothing is asked then.
pub async fn run(settings: KafkaSettings, clock: Clock, known: Known, out: mpsc::Sender<Observation>) {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(settings.refresh.max(0.2)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut status = SourceStatus {
        name: settings.name.clone(),
        kind: SourceKind::Kafka,
        health: Health::Connecting,
        since: clock.now(),
        answered: None,
        cadence: settings.refresh * clock.speed(),
        detail: "connecting".into(),
    };
    let mut reader = Err(String::new());
    let mut past = None;
    if out.send(Observation::Health(status.clone())).await.is_err() {
        return;
    }
    loop {
        ticks.tick().await;
        if reader.is_err() {
            reader = Reader::connect(&settings, clock); // a certificate that was missing may be there now
        }
        let (health, detail) = match &mut reader {
            Err(reason) => (Health::Down, Label::new(reason)),
            Ok(reader) => {
                let cluster = reader.refresh().await;
                let (requests, seconds, groups) = (cluster.requests, cluster.seconds, cluster.groups.len());
                tracing::debug!("{}: {groups} groups by {requests} requests in {seconds:.3} s", settings.name);
                let (health, detail) = judge(&cluster, reader.trouble());
                let read = health != Health::Down || !cluster.brokers.is_empty();
                let at = cluster.at;
                if read && out.send(Observation::Kafka(Arc::new(cluster))).await.is_err() {
                    return;
                }
                if health != Health::Down {
                    status.answered = Some(at);
                    let past = past.get_or_insert_with(|| reader.backfill(settings.backfill, known.clone()));
                    past.step(reader.state(), at, &out);
                }
                (health, detail)
            }
        };
        if health != status.health {
            status.since = clock.now();
        }
        status.health = health;
        status.detail = detail;
        if out.send(Observation::Health(status.clone())).await.is_err() {
            return;
        }
    }
}

/// Health of one refresh: `3/3 brokers`, or which do not answer and why.
fn judge(cluster: &KafkaCluster, trouble: Option<&str>) -> (Health, Label) {
    let silent: Vec<String> = cluster
        .brokers
        .iter()
        .filter_map(|b| match &b.state {
            BrokerState::Down { reason, .. } => Some(format!("broker {}: {reason}", b.id)),
            BrokerState::Up => None,
        })
        .collect();
    let all = cluster.brokers.len();
    let up = all - silent.len();
    match (trouble, up) {
        (Some(trouble), _) if up == 0 => (Health::Down, Label::new(trouble)),
        (None, 0) if all == 0 => (Health::Down, "no broker is known".into()),
        (None, 0) => (Health::Down, silent.join("; ").into()),
        (None, _) if silent.is_empty() => (Health::Ok, format!("{up}/{all} brokers").into()),
        (trouble, _) => {
            let mut text = format!("{up}/{all} brokers; {}", silent.join("; "));
            if let Some(trouble) = trouble {
                text = format!("{text}; {trouble}");
            }
            (Health::Degraded, text.into())
        }
    }
}

/// Refreshes after which everything that ages well was asked for once.
const CHECKED: usize = 8;

/// Tries everything that [`run`] needs, for `highwater check`.
pub async fn check(settings: &KafkaSettings) -> Vec<CheckLine> {
    let mut reader = match Reader::connect(settings, Clock::wall()) {
        Ok(reader) => reader,
        Err(reason) => return vec![line(settings, "properties", false, reason)],
    };
    let mut lines = vec![line(settings, "properties", true, "understood".to_owned())];
    let mut cluster = reader.refresh().await;
    let (health, detail) = judge(&cluster, reader.trouble());
    let mut brokers = line(settings, "brokers", health == Health::Ok, detail.as_str().to_owned());
    brokers.unreachable = health == Health::Down;
    // Where credentials were refused the way to the broker is right, and the detail says what to check.
    if health != Health::Ok && !reader.is_barred() {
        brokers.mend =
            Some("check addresses, security.protocol and the network path to every advertised listener".into());
    }
    lines.push(brokers);
    if health == Health::Down {
        return lines;
    }
    for _ in 0..CHECKED {
        cluster = reader.refresh().await;
    }
    lines.extend(visible(settings, &reader, &cluster));
    lines
}

fn line(settings: &KafkaSettings, thing: &str, ok: bool, detail: String) -> CheckLine {
    let what = Label::from(format!("kafka {}: {thing}", settings.name));
    CheckLine { what, ok, detail: detail.into(), mend: None, unreachable: false, grant: None }
}

/// What a principal sees, and what it does not.
fn visible(settings: &KafkaSettings, reader: &Reader, cluster: &KafkaCluster) -> Vec<CheckLine> {
    let line = |thing: &str, ok, detail| line(settings, thing, ok, detail);
    let partitions: usize = cluster.topics.iter().map(|t| t.partitions.len()).sum();
    let offsets: usize = cluster.groups.iter().map(|g| g.partitions.len()).sum();
    let mut topics =
        line("topics", !cluster.topics.is_empty(), format!("{} topics, {partitions} partitions", cluster.topics.len()));
    let mut groups =
        line("groups", !cluster.groups.is_empty(), format!("{} groups, {offsets} offsets", cluster.groups.len()));
    let grant = |resource, name| reader.describe(settings, resource, name);
    for (line, notice, resource) in [(&mut topics, "0 topics", "--topic"), (&mut groups, "0 groups", "--group")] {
        if !line.ok {
            line.mend = cluster.notices.iter().find(|n| n.as_str().starts_with(notice)).cloned();
            line.grant = line.mend.as_ref().map(|_| grant(resource, "*"));
        }
    }
    let mut lines = vec![topics, groups];
    let known: BTreeSet<&Label> = cluster.topics.iter().map(|t| &t.name).collect();
    let read: BTreeSet<&Label> = cluster.groups.iter().flat_map(|g| &g.partitions).map(|p| &p.topic).collect();
    for topic in read.difference(&known) {
        let mut line = line(&format!("topic {topic}"), false, "a group reads it, and it is not visible to us".into());
        line.grant = Some(grant("--topic", topic.as_str()));
        lines.push(line);
    }
    for group in cluster.groups.iter().filter(|g| g.error.is_some()) {
        let detail = group.error.as_ref().map_or("", Label::as_str).to_owned();
        let unauthorised = detail.contains("grant Describe on the group");
        let mut line = line(&format!("group {}", group.group), false, detail);
        line.grant = unauthorised.then(|| grant("--group", group.group.as_str()));
        lines.push(line);
    }
    // Nothing is wrong with a principal that may only describe; its owner should know what it does not see.
    for denied in &cluster.denied {
        lines.push(line("permissions", true, format!("not told: {}; grant {} to see it", denied.what, denied.grant)));
    }
    lines
}
