//! Kafka: brokers, topics, groups, and the partitions of the group under the cursor.

use super::{
    heat::Map,
    overview,
    tables::{self, Page, Part, Places, Sheet},
};
use crate::{
    model::{
        Broker, BrokerMetrics, BrokerState, Group, GroupPartition, GroupState, Reading, Severity, SourceKind,
        SourceStatus, Topic, WorkloadKind, WorkloadView, duration, lateness, si,
    },
    tui::{
        Cx, format,
        past::not_kept,
        rows,
        state::Pane,
        theme::{Slot, Theme},
        widget::{self, span, table::Column, value},
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    text::Line,
};
use std::sync::Arc;

/// Age beyond which a broker's own metrics count as old, seconds.
const OLD: f64 = 60.0;

/// Draws the page.
pub fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let (topics, partitions) =
        (rows::topics(cx.picture, cx.state), cx.frame.group().map_or_else(Vec::new, rows::partitions_of));
    let mut rows = Rows {
        cx,
        several: cx.picture.clusters.len() > 1,
        brokers: rows::brokers(cx.picture, cx.state),
        topic_at: rows::cursor(Pane::Topics, &topics, cx.state),
        topics,
        groups: cx.frame.groups(),
        partition_at: rows::cursor(Pane::Partitions, &partitions, cx.state),
        partitions,
        map: Vec::new(),
        advised: Vec::new(),
    };
    let columns = usize::from(area.width.saturating_sub(4));
    rows.map = rows.map(columns, usize::from(area.height / 4));
    rows.advised = rows.advised(columns);
    let rows = &rows;
    let (advised, map) = (rows.advised.len(), rows.map.len());
    let part = |pane, tab, charted, draw| Part {
        pane,
        tab,
        more: match pane {
            Pane::Brokers => advised,
            Pane::Partitions => map,
            _ => 0,
        },
        charted,
        draw,
    };
    Page {
        cx,
        parts: [
            part(Pane::Groups, ("groups", rows.groups.len()), true, Box::new(|area, buf| rows.groups(area, buf))),
            part(
                Pane::Partitions,
                ("partitions", rows.partitions.len()),
                true,
                Box::new(|area, buf| rows.partitions(area, buf)),
            ),
            part(Pane::Topics, ("topics", rows.topics.len()), true, Box::new(|area, buf| rows.topics(area, buf))),
            part(Pane::Brokers, ("brokers", rows.brokers.len()), false, Box::new(|area, buf| rows.brokers(area, buf))),
        ],
        charts: rows.current().map(|view| tables::charts_of(cx, view)),
        roomy: (110, 26),
    }
    .draw(arrange, area, buf);
}

/// Brokers above, groups and topics side by side, the charts, and the partitions with what is left.
fn arrange([groups, partitions, topics, brokers]: [usize; 4], area: Rect, charted: bool) -> Places {
    let tall = |rows: usize, least: usize| rows.max(least) as u16 + 3;
    let brokers = tall(brokers, 2).min(area.height / 4);
    let groups = tall(groups.max(topics), 3).min((area.height - brokers) / 2);
    let left = area.height.saturating_sub(brokers + groups + tall(partitions, 2));
    let charts = tables::room_for_charts(if charted { left } else { 0 });
    let [top, middle, charts, bottom] = Layout::vertical([
        Constraint::Length(brokers),
        Constraint::Length(groups),
        Constraint::Length(charts),
        Constraint::Fill(1),
    ])
    .areas(area);
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(middle);
    Places { parts: [left, bottom, right, top], charts }
}

struct Rows<'c, 'a> {
    cx: &'c Cx<'a>,
    several: bool,
    brokers: Vec<rows::Row<'a, Broker>>,
    topics: Vec<rows::Row<'a, Topic>>,
    topic_at: usize,
    groups: &'a [rows::Row<'a, Group>],
    partitions: Vec<rows::Row<'a, GroupPartition>>,
    partition_at: usize,
    /// The map of those partitions.
    map: Vec<Line<'static>>,
    /// What is recommended for the pools of brokers.
    advised: Vec<Line<'static>>,
}

impl<'a> Rows<'_, 'a> {
    /// The workload that the group under the cursor is; among the topics, the group that is most behind on that topic.
    fn current(&self) -> Option<&'a WorkloadView> {
        let state = self.cx.state;
        let topic = self.topics.get(self.topic_at).filter(|_| state.pane() == Pane::Topics);
        let group = match topic {
            None => self.cx.frame.group()?,
            Some(topic) => {
                let reads = |g: &Group| g.partitions.iter().any(|p| p.topic == topic.item.name);
                self.groups.iter().find(|g| g.source == topic.source && reads(g.item))?
            }
        };
        workload(self.cx, group).map(AsRef::as_ref)
    }

    fn brokers(&self, area: Rect, buf: &mut Buffer) {
        let (up, all) = (self.brokers.iter().filter(|b| b.item.state == BrokerState::Up).count(), self.brokers.len());
        let sheet = Sheet {
            pane: Pane::Brokers,
            title: format!("Brokers, {up} of {all} answer"),
            columns: &BROKERS,
            rows: &self.brokers,
            at: rows::cursor(Pane::Brokers, &self.brokers, self.cx.state),
            above: Vec::new(),
            empty: nothing(self.cx, "no brokers are known"),
        };
        // What the pool should have stands under its rows, where the operator looks when a broker is full.
        sheet.draw(self.cx, area, buf, |row| broker(self.cx, row, self.several));
        if usize::from(area.height) < self.brokers.len() + self.advised.len() + 3 {
            return; // the brokers themselves come first
        }
        let first = area.bottom() - 1 - self.advised.len() as u16;
        for (y, line) in (first..area.bottom()).zip(&self.advised) {
            widget::put(line, area.x + 2, y, area, buf);
        }
    }

    /// What is recommended for each pool of brokers, as lines of so many columns.
    fn advised(&self, columns: usize) -> Vec<Line<'static>> {
        let cx = self.cx;
        let all = &cx.picture.workloads;
        let pools = all.glances().iter().zip(all.iter()).filter(|(g, _)| g.kind == WorkloadKind::Brokers);
        let mut lines = Vec::new();
        for (_, pool) in pools {
            let (text, slot) = match &pool.advice.recommendation {
                Ok(r) if !r.blocked_by.is_empty() => (r.reasons.first().cloned().unwrap_or_default(), Slot::Look),
                Ok(r) if r.is_change() => (r.reasons.first().cloned().unwrap_or_default(), Slot::Accent),
                Ok(r) => (r.reasons.first().cloned().unwrap_or_default(), Slot::Dim),
                Err(why) => (format!("no recommendation: {why}"), Slot::Unknown),
            };
            let name = if self.several { format!("{}: ", pool.workload.entity.source) } else { String::new() };
            let wrapped = widget::wrap(&format!("{name}{text}"), columns.max(20));
            lines.extend(wrapped.into_iter().map(|line| Line::from(span(line, cx.theme.style(slot)))));
        }
        lines
    }

    fn topics(&self, area: Rect, buf: &mut Buffer) {
        let sheet = Sheet {
            pane: Pane::Topics,
            title: format!("Topics{}", told(self.cx)),
            columns: &TOPICS,
            rows: &self.topics,
            at: self.topic_at,
            above: Vec::new(),
            empty: nothing(self.cx, "no topics are visible (needs Describe on topics)"),
        };
        sheet.draw(self.cx, area, buf, |row| topic(self.cx, row, self.several));
    }

    fn groups(&self, area: Rect, buf: &mut Buffer) {
        let brokers = self.brokers.iter().filter(|b| b.item.state == BrokerState::Up).count();
        let text = format!(
            "no consumer groups yet: is `--kafka` the right cluster? {brokers} brokers answered, 0 groups visible (needs Describe on groups)"
        );
        let sheet = Sheet {
            pane: Pane::Groups,
            title: "Consumer groups, largest lag first".to_owned(),
            columns: &GROUPS,
            rows: self.groups,
            at: self.cx.frame.group_at(),
            above: Vec::new(),
            empty: nothing(self.cx, &text),
        };
        sheet.draw(self.cx, area, buf, |row| group(self, row));
    }

    fn partitions(&self, area: Rect, buf: &mut Buffer) {
        let current = self.cx.frame.group();
        let title = current.map_or_else(
            || "Partitions".to_owned(),
            |g| format!("Partitions of {}, largest lag first, then by doublings", g.item.group),
        );
        let sheet = Sheet {
            pane: Pane::Partitions,
            title,
            columns: &PARTITIONS,
            rows: &self.partitions,
            at: self.partition_at,
            above: self.map.clone(),
            empty: "no partitions: the group has neither committed an offset nor been given a partition".to_owned(),
        };
        sheet.draw(self.cx, area, buf, |row| partition(self.cx, row.item, current.map(|g| g.item)));
    }

    /// The map of the partitions of the group under the cursor, in so many columns and at most so many lines.
    fn map(&self, columns: usize, most: usize) -> Vec<Line<'static>> {
        let cx = self.cx;
        let Some(group) = cx.frame.group() else { return Vec::new() };
        let Some(cluster) = cx.picture.clusters.iter().find(|c| c.name == *group.source) else { return Vec::new() };
        let view = workload(cx, group);
        let objective = view.and_then(|v| v.workload.slo.time_lag);
        let at =
            self.partitions.get(self.partition_at).filter(|_| cx.state.pane() == Pane::Partitions).map(|row| row.item);
        Map::of(cx.state.heat, group.item, cluster, objective).lines(cx, at, columns, most)
    }
}

/// The workload that a group is.
fn workload<'a>(cx: &Cx<'a>, row: &rows::Row<'_, Group>) -> Option<&'a Arc<WorkloadView>> {
    cx.picture.workloads.entity(WorkloadKind::ConsumerGroup, row.source, &row.item.group)
}

/// How long ago a cluster that is silent now told of its topics: no column of theirs says so.
fn told(cx: &Cx<'_>) -> String {
    let silent = |s: &&SourceStatus| s.kind == SourceKind::Kafka && s.is_stale(cx.now);
    let age = cx.picture.sources.iter().filter(silent).filter_map(|s| s.age(cx.now)).reduce(f64::max);
    age.map_or_else(String::new, |age| format!(", as told {} ago", format::age(age)))
}

/// Adds what the sources say to a sentence about nothing.
fn nothing(cx: &Cx<'_>, text: &str) -> String {
    if !cx.state.filter.is_empty() {
        return format!("nothing matches the filter {:?}; Esc clears it", cx.state.filter);
    }
    if let Some(why) = not_kept(cx.picture, cx.state) {
        return why.to_owned();
    }
    let kafka = |s: &&SourceStatus| s.kind == SourceKind::Kafka;
    match cx.picture.sources.iter().find(kafka) {
        None => "no Kafka cluster is configured: `--kafka HOST:PORT`, or [kafka.NAME] in the configuration".to_owned(),
        Some(source) => format!("{text}. kafka {}: {}", source.name, source.detail),
    }
}

/// A count that is red when it is not zero.
fn bad(theme: &Theme, count: u64, slot: Slot) -> Line<'static> {
    Line::from(span(format::count(count), theme.style(if count > 0 { slot } else { Slot::Dim })))
}

fn plain(theme: &Theme, text: impl Into<String>) -> Line<'static> {
    Line::from(span(text, theme.style(Slot::Text)))
}

fn dim(theme: &Theme, text: impl Into<String>) -> Line<'static> {
    Line::from(span(text, theme.style(Slot::Dim)))
}

const BROKERS: [Column; 14] = [
    Column::words("  BROKER", 8, 40, 0),
    Column::words("STATE", 10, 40, 0),
    Column::numbers("RTT", 6, 4),
    Column::words("RACK", 5, 12, 8),
    Column::numbers("LEADS", 5, 5),
    Column::numbers("REPLICAS", 8, 9),
    Column::numbers("UNDER-REPL", 10, 1),
    Column::numbers("OFFLINE", 7, 1),
    Column::numbers("CPU CORES", 9, 2),
    Column::numbers("MEMORY", 8, 3),
    Column::numbers("HEAP", 4, 6),
    Column::numbers("IN/S", 9, 2),
    Column::numbers("OUT/S", 9, 2),
    Column::numbers("IDLE", 4, 7),
];

fn broker(cx: &Cx<'_>, row: &rows::Row<'_, Broker>, several: bool) -> Vec<Line<'static>> {
    let (theme, g, b) = (cx.theme, cx.theme.glyphs(), row.item);
    let metrics = metrics(cx, b);
    let read = |r: Option<&Reading>, print: fn(f64) -> String| value::reading(theme, r, cx.now, OLD, print);
    let of = |pick: fn(&BrokerMetrics) -> &Option<Reading>| metrics.and_then(|m| pick(m).as_ref());
    let up = b.state == BrokerState::Up;
    let (glyph, slot) = if up { (g.up, Slot::Good) } else { (g.down, Slot::Act) };
    let mut name = Line::from(vec![span(glyph, theme.style(slot)), span(" ", theme.style(slot))]);
    name.spans.extend(tables::name(cx, row.source, several, &format!("{} {}:{}", b.id, b.host, b.port)).spans);
    let state = match &b.state {
        BrokerState::Up => Line::from(span("up", theme.style(Slot::Good))),
        BrokerState::Down { since, reason } => {
            // The address stands in the first column.
            let address = format!("{}:{}: ", b.host, b.port);
            let reason = reason.as_str().trim_start_matches(address.as_str());
            let text = format!("down {}: {reason}", format::age(cx.now.since(*since)));
            Line::from(span(text, theme.style(Slot::Act)))
        }
    };
    let offline = of(|m| &m.offline);
    vec![
        name,
        state,
        b.rtt.filter(|_| up).map_or_else(|| value::missing(theme), |s| plain(theme, duration(s))),
        b.rack.as_ref().map_or_else(|| value::missing(theme), |r| dim(theme, r.to_string())),
        plain(theme, si(f64::from(b.leads))),
        dim(theme, si(f64::from(b.replicas))),
        if up { bad(theme, u64::from(b.under_replicated), Slot::Act) } else { value::unknown(theme) },
        match offline {
            Some(r) if r.value > 0.0 => value::restyle(read(offline, si), theme, Slot::Act),
            _ => read(offline, si),
        },
        read(of(|m| &m.cpu), si),
        read(of(|m| &m.memory), format::bytes),
        read(of(|m| &m.heap), format::percent),
        read(of(|m| &m.bytes_in), format::bytes),
        read(of(|m| &m.bytes_out), format::bytes),
        read(of(|m| &m.handler_idle), format::percent),
    ]
}

/// The broker's own metrics: by its id, else by its host.
fn metrics<'a>(cx: &Cx<'a>, broker: &Broker) -> Option<&'a BrokerMetrics> {
    let all = || cx.picture.ml.iter().flat_map(|m| &m.brokers);
    let id = broker.id.to_string();
    let host = broker.host.as_str();
    let same_host = |m: &&BrokerMetrics| {
        let said = m.broker.as_str().split(':').next().unwrap_or_default();
        !said.is_empty() && (said == host || host.split('.').next() == Some(said))
    };
    all().find(|m| m.broker == *id.as_str()).or_else(|| all().find(same_host))
}

const TOPICS: [Column; 6] = [
    Column::words("TOPIC", 12, 60, 0),
    Column::numbers("PARTITIONS", 10, 2),
    Column::numbers("RECORDS", 7, 3),
    Column::numbers("UNDER-REPL", 10, 1),
    Column::numbers("OFFLINE", 7, 1),
    Column::words("ERROR", 5, 40, 4),
];

fn topic(cx: &Cx<'_>, row: &rows::Row<'_, Topic>, several: bool) -> Vec<Line<'static>> {
    let (theme, t) = (cx.theme, row.item);
    let at_least = if t.sums.all { "" } else { theme.glyphs().at_least };
    vec![
        tables::name(cx, row.source, several, t.name.as_str()),
        plain(theme, format::count(t.partitions.len() as u64)),
        t.sums.records.map_or_else(|| value::unknown(theme), |n| plain(theme, format!("{at_least}{}", si(n as f64)))),
        bad(theme, t.sums.under_replicated as u64, Slot::Look),
        bad(theme, t.sums.offline as u64, Slot::Act),
        t.error.as_ref().map_or_else(Line::default, |e| Line::from(span(e.to_string(), theme.style(Slot::Act)))),
    ]
}

const GROUPS: [Column; 9] = [
    Column::words("  GROUP", 14, 44, 0),
    Column::words("STATE", 8, 20, 2),
    Column::numbers("LAG", 7, 0),
    Column::numbers("BEHIND", 7, 1),
    Column::numbers("LOST", 5, 3),
    Column::words("NOW → NEED", 10, 18, 3),
    Column::numbers("PARTITIONS", 10, 4),
    Column::numbers("MEMBERS", 7, 5),
    Column::words("TYPE", 7, 9, 6),
];

fn group(rows: &Rows<'_, '_>, row: &rows::Row<'_, Group>) -> Vec<Line<'static>> {
    let cx = rows.cx;
    let (theme, g, item) = (cx.theme, cx.theme.glyphs(), row.item);
    let view = workload(rows.cx, row);
    let partial = item.coverage < 1.0;
    let slot = if partial { Slot::Unknown } else { Slot::Text };
    let at_least = if item.is_lower_bound() { g.at_least } else { "" };
    let abandoned = item.state == GroupState::Empty && item.lag.is_some_and(|l| l > 0);
    let (glyph, state) = match () {
        () if item.error.is_some() => (g.act, Slot::Act),
        () if item.state.is_rebalancing() || abandoned => (g.look, Slot::Look),
        () if partial => (g.unknown, Slot::Unknown),
        () => (g.ok, Slot::Text),
    };
    // The mark is that of the overview where the workload is worse than the group's own state.
    let worse = view.filter(|v| v.severity == Severity::Act && v.snoozed.is_none());
    let mark = worse.map_or_else(|| span(glyph, theme.style(state)), |v| value::severity(theme, v.severity));
    let mut name = Line::from(vec![mark, span(" ", theme.style(state))]);
    name.spans.extend(tables::name(cx, row.source, rows.several, item.group.as_str()).spans);
    let known = item.partitions.iter().filter(|p| p.fresh).count();
    let coverage =
        if partial { format!("{known} of {}", item.partitions.len()) } else { item.partitions.len().to_string() };
    // While partitions are being dealt nobody is idle for good.
    let idle = if item.state.is_rebalancing() { 0 } else { item.members.len().saturating_sub(item.active_members()) };
    let members = |n: usize| if idle > 0 { format!("{n} ({idle} idle)") } else { n.to_string() };
    vec![
        name,
        Line::from(span(
            item.error.as_ref().map_or_else(|| words(item.state).to_owned(), ToString::to_string),
            theme.style(state),
        )),
        number(theme, item.lag, at_least, slot),
        item.time_lag.map_or_else(
            || value::unknown(theme),
            |s| {
                let limit = view.and_then(|v| v.workload.slo.time_lag);
                let line = estimated(theme, at_least, s);
                if limit.is_some_and(|limit| s > limit) { value::restyle(line, theme, Slot::Act) } else { line }
            },
        ),
        item.lost.map_or_else(|| value::unknown(theme), |n| bad(theme, n, Slot::Act)),
        view.map_or_else(|| value::missing(theme), |v| overview::need(cx, v)),
        Line::from(span(coverage, theme.style(slot))),
        item.member_count().map_or_else(|| value::unknown(theme), |n| plain(theme, members(n))),
        dim(theme, format!("{:?}", item.kind).to_lowercase()),
    ]
}

fn words(state: GroupState) -> &'static str {
    match state {
        GroupState::Stable => "stable",
        GroupState::PreparingRebalance | GroupState::CompletingRebalance => "rebalancing",
        GroupState::Assigning => "assigning",
        GroupState::Reconciling => "reconciling",
        GroupState::Empty => "no members",
        GroupState::Dead => "gone",
        GroupState::Unknown => "?",
    }
}

fn number(theme: &Theme, n: Option<u64>, before: &str, slot: Slot) -> Line<'static> {
    match n {
        None => value::unknown(theme),
        Some(0) if before.is_empty() => dim(theme, "0"),
        Some(n) => Line::from(span(format!("{before}{}", si(n as f64)), theme.style(slot))),
    }
}

fn estimated(theme: &Theme, before: &str, seconds: f64) -> Line<'static> {
    if seconds == 0.0 && before.is_empty() {
        return dim(theme, duration(0.0));
    }
    let about = if before.is_empty() { theme.glyphs().about } else { before };
    Line::from(vec![span(about, theme.style(Slot::Dim)), span(lateness(seconds), theme.style(Slot::Text))])
}

const PARTITIONS: [Column; 10] = [
    Column::words("TOPIC", 8, 34, 1),
    Column::numbers("P", 3, 0),
    Column::numbers("LAG", 6, 0),
    Column::numbers("BEHIND", 7, 1),
    Column::numbers("LOST", 4, 2),
    Column::numbers("COMMITTED", 9, 4),
    Column::numbers("LOG START", 9, 6),
    Column::numbers("END", 9, 5),
    Column::words("OWNER", 8, 28, 3),
    Column::numbers("SEEN", 5, 4),
];

fn partition(cx: &Cx<'_>, p: &GroupPartition, group: Option<&Group>) -> Vec<Line<'static>> {
    let theme = cx.theme;
    let offset = |o: Option<i64>| match o {
        None => value::missing(theme),
        Some(o) => {
            Line::from(span(format::count(o.max(0) as u64), theme.style(if p.fresh { Slot::Text } else { Slot::Dim })))
        }
    };
    let owner = p.owner.and_then(|i| group?.members.get(i));
    let seen = format::age(cx.now.since(p.at));
    let seen = if p.fresh { dim(theme, seen) } else { Line::from(span(seen, theme.style(Slot::Unknown))) };
    let committed = if p.beyond_end {
        Line::from(span(
            format!("{} beyond end", p.committed.map_or_else(String::new, |c| c.to_string())),
            theme.style(Slot::Act),
        ))
    } else {
        offset(p.committed)
    };
    vec![
        dim(theme, p.topic.to_string()),
        plain(theme, p.partition.to_string()),
        number(theme, p.lag, "", Slot::Text),
        p.time_lag.map_or_else(|| value::unknown(theme), |s| estimated(theme, "", s)),
        p.lost.map_or_else(|| value::unknown(theme), |n| bad(theme, n, Slot::Act)),
        committed,
        offset(p.log_start),
        offset(p.end),
        owner.map_or_else(|| value::missing(theme), |m| plain(theme, m.client_id.to_string())),
        seen,
    ]
}
