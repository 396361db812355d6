//! Sends one broker what is asked of it, all at once, and collects what it says.

use super::{
    lag::Spec,
    plan::Plan,
    shape,
    share::{self, ShareOffsets},
    state::as_of_one_group,
    wire::Connection,
};
use futures_util::{
    StreamExt,
    future::{join, join_all, join3, join4, join5},
    stream,
};
use kafka_protocol::{
    messages::{
        ConsumerGroupDescribeResponse, DescribeConfigsResponse, DescribeGroupsResponse, DescribeLogDirsResponse,
        DescribeProducersResponse, DescribeTransactionsResponse, ListOffsetsResponse, ListTransactionsResponse,
        OffsetFetchRequest, OffsetFetchResponse, ShareGroupDescribeResponse,
    },
    protocol::StrBytes,
};
use std::{sync::Arc, time::Duration};

/// OffsetFetches under way at a broker that takes one group at a time: less than a connection's pipeline.
const SINGLES: usize = 12;

/// A broker in this refresh: its connection, and what became of it.
pub(super) struct Turn {
    pub id: i32,
    pub connection: Arc<Connection>,
    /// First failure of this refresh.
    pub failed: Option<String>,
    pub rtt: Option<f64>,
    /// Groups whose offsets were asked for already.
    pub asked: Vec<StrBytes>,
    pub used: usize,
}

impl Turn {
    pub(super) fn note<T>(&mut self, answer: Result<T, String>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(reason) => {
                self.failed.get_or_insert(reason);
                None
            }
        }
    }
}

/// What one broker said in the second step.
#[derive(Default)]
pub(super) struct Said {
    pub fetched: Vec<OffsetFetchResponse>,
    pub offsets: Vec<(Spec, ListOffsetsResponse)>,
    pub classic: Option<DescribeGroupsResponse>,
    pub consumer: Option<ConsumerGroupDescribeResponse>,
    pub share: Option<ShareGroupDescribeResponse>,
    pub shares: Option<Vec<ShareOffsets>>,
    pub log_dirs: Option<DescribeLogDirsResponse>,
    pub configs: Option<DescribeConfigsResponse>,
    pub producers: Option<DescribeProducersResponse>,
    pub transactions: Option<ListTransactionsResponse>,
    pub began: Option<DescribeTransactionsResponse>,
}

/// Sends a broker all of its plan at once, but for the ends where committed offsets are still under way.
pub(super) async fn ask(turn: &mut Turn, plan: &Plan, ends_wait: bool, deadline: Duration) -> Said {
    let c = turn.connection.clone();
    let latest = plan.latest.as_ref().filter(|_| !ends_wait).map(|r| (Spec::Latest, r));
    let specs = latest.into_iter().chain(plan.offsets.iter().map(|(spec, r)| (*spec, r)));
    let c = &c;
    let offsets = specs.map(|(spec, r)| async move { (spec, c.call(r, deadline).await) });
    let shares = async {
        let speaks = !plan.shares.is_empty() && c.speaks(share::KEY, share::VERSION);
        if speaks { Some(c.share_offsets(&plan.shares, deadline).await) } else { None }
    };
    let ((fetched, offsets), (classic, consumer, share, shares), (log_dirs, configs, producers, transactions, began)) =
        join3(
            join(fetch(c, &plan.fetches, deadline), join_all(offsets)),
            join4(
                optional(c, plan.classic.as_ref(), deadline),
                optional(c, plan.consumer.as_ref(), deadline),
                optional(c, plan.share.as_ref(), deadline),
                shares,
            ),
            join5(
                optional(c, plan.log_dirs.as_ref(), deadline),
                optional(c, plan.configs.as_ref(), deadline),
                optional(c, plan.producers.as_ref(), deadline),
                optional(c, plan.transactions.as_ref(), deadline),
                optional(c, plan.began.as_ref(), deadline),
            ),
        )
        .await;
    Said {
        fetched: fetched.into_iter().filter_map(|f| turn.note(f)).collect(),
        offsets: offsets.into_iter().filter_map(|(spec, said)| Some((spec, turn.note(said)?))).collect(),
        classic: classic.and_then(|s| turn.note(s)),
        consumer: consumer.and_then(|s| turn.note(s)),
        share: share.and_then(|s| turn.note(s)),
        shares: shares.and_then(|s| turn.note(s)),
        log_dirs: log_dirs.and_then(|s| turn.note(s)),
        configs: configs.and_then(|s| turn.note(s)),
        producers: producers.and_then(|s| turn.note(s)),
        transactions: transactions.and_then(|s| turn.note(s)),
        began: began.and_then(|s| turn.note(s)),
    }
}

pub(super) async fn fetch(
    connection: &Connection,
    requests: &[OffsetFetchRequest],
    deadline: Duration,
) -> Vec<Result<OffsetFetchResponse, String>> {
    if connection.version::<OffsetFetchRequest>().is_none_or(|v| v >= 8) {
        return join_all(requests.iter().map(|r| connection.call(r, deadline))).await;
    }
    // Before Kafka 3.0 a request takes one group (KIP-709).
    let singles: Vec<_> = requests
        .iter()
        .flat_map(|r| &r.groups)
        .map(|g| async move {
            let request = OffsetFetchRequest::default().with_group_id(g.group_id.clone()).with_topics(None);
            connection.call(&request, deadline).await.map(|said| as_of_one_group(g.group_id.clone(), said))
        })
        .collect();
    stream::iter(singles).buffered(SINGLES).collect().await
}

/// Asks where there is something to ask and the broker knows the request at all: an older one leaves its part unknown.
pub(super) async fn optional<R: shape::Asked>(
    connection: &Connection,
    request: Option<&R>,
    deadline: Duration,
) -> Option<Result<R::Response, String>> {
    match request {
        Some(request) if connection.version::<R>().is_some() => Some(connection.call(request, deadline).await),
        _ => None,
    }
}
