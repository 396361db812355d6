//! Finds out which exporters there are and makes the list of questions of a refresh from their packs.

use super::{
    client::Client,
    decode::Series,
    failure::Failure,
    packs::{Ask, Pack, fill},
    slots::Slot,
    upstream::Upstream,
};
use crate::model::{CustomSignal, Entity, Label, PrometheusSettings, Selected, SignalKey, Time};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

/// Label matchers.
type Select = BTreeMap<String, String>;

/// Seconds back that a series must have had a sample in, to count as present; also the span that scrapes are counted in.
const RECENT: f64 = 600.0;
/// The same for what came up just now: in ten minutes it has few samples, and rates over that long would be a fraction of
/// what they are. So many samples in so many seconds tell how often it is scraped.
const LATELY: (f64, f64) = (120.0, 4.0);
/// Bounds of `$w`, seconds: shorter windows hold fewer than four scrapes, longer ones react too late.
const WINDOW: (f64, f64) = (60.0, 600.0);

/// One query of every refresh.
#[derive(Clone)]
pub(super) struct Question {
    pub pack: Arc<Pack>,
    pub concept: String,
    pub slot: Slot,
    pub scale: f64,
    pub promql: String,
    /// The workload that it is asked about alone, by that one's own matchers.
    pub alone: Option<Entity>,
}

impl Question {
    /// What it is about, for a person.
    pub(super) fn about(&self) -> String {
        let of = self.alone.as_ref().map_or_else(String::new, |entity| format!(" of {}", entity.id));
        format!("{} {}{of}", self.pack.name, self.concept)
    }
}

/// A user's own query, with the series that it fills: it is asked once for all of them.
#[derive(Clone)]
pub(super) struct Custom {
    pub keys: Vec<SignalKey>,
    pub promql: String,
}

impl Custom {
    /// What it is about, for a person.
    pub(super) fn about(&self) -> String {
        self.keys.first().map_or_else(String::new, |key| format!("{} of {}", key.role.name(), key.entity.id))
    }
}

/// What to ask in every refresh until the next detection.
#[derive(Clone, Default)]
pub(super) struct Plan {
    pub packs: Vec<Label>,
    pub questions: Vec<Question>,
    pub custom: Vec<Custom>,
    /// Workloads that are asked about alone.
    pub alone: BTreeSet<Entity>,
    /// How far the server's clock is ahead of ours, seconds.
    pub ahead: f64,
}

/// The server's own present.
pub(super) async fn server_time(upstream: &Upstream) -> Result<Option<Time>, Failure> {
    let answer = upstream.instant("time()").await?;
    Ok(answer.series.first().and_then(Series::last).map(|(_, now)| Time::from_secs(now)))
}

/// Detects packs: the server's time, the names, the scrape intervals: four requests.
pub(super) async fn detect(
    upstream: &Upstream,
    packs: &[Arc<Pack>],
    settings: &PrometheusSettings,
    now: Time,
) -> Result<Plan, Failure> {
    let at = server_time(upstream).await?.unwrap_or(now);
    let candidates = candidates(packs, settings);
    let wanted: Vec<&str> = candidates.iter().map(|c| c.name.as_str()).collect();
    let found = upstream.names(&wanted, at.plus(-RECENT), at).await?;
    let present: Vec<&Candidate> = candidates.iter().filter(|c| found.contains(&c.name)).collect();
    let (windows, least) = match upstream {
        Upstream::Server(client) => (windows(client, &present, settings).await?, (4.0 * settings.step).max(WINDOW.0)),
        Upstream::Exporters(exporters) => (BTreeMap::new(), exporters.window()),
    };
    let mut plan = Plan { ahead: at.since(now), ..Plan::default() };
    for candidate in present {
        let pack = &packs[candidate.pack];
        let label = Label::new(&format!("{}{}", candidate.prefix, pack.name));
        if plan.packs.contains(&label) {
            continue; // two of its names were found
        }
        plan.packs.push(label);
        let window = windows.get(&candidate.name).copied().unwrap_or(least);
        for ask in pack.asks() {
            let of = |s: &&Selected| ask.slot.and_then(Slot::kind) == Some(s.entity.kind);
            for Selected { entity, select } in settings.selected.iter().filter(of) {
                let select = over(&settings.select, select);
                plan.questions.extend(question(pack, &ask, (&candidate.prefix, window, &select), Some(entity)));
            }
            plan.questions.extend(question(pack, &ask, (&candidate.prefix, window, &settings.select), None));
        }
    }
    plan.alone = settings.selected.iter().map(|s| s.entity.clone()).collect();
    let window = windows.values().copied().fold(least, f64::max);
    for custom in &settings.custom {
        let promql = own(custom, window, settings);
        match plan.custom.iter_mut().find(|c| c.promql == promql) {
            Some(same) => same.keys.push(custom.key.clone()),
            None => plan.custom.push(Custom { keys: vec![custom.key.clone()], promql }),
        }
    }
    Ok(plan)
}

/// What is asked for a workload's own series: its matchers go over the source's.
pub(super) fn own(custom: &CustomSignal, window: f64, settings: &PrometheusSettings) -> String {
    fill(&custom.query, window, &over(&settings.select, &custom.select))
}

fn over(source: &Select, own: &Select) -> Select {
    source.iter().chain(own).map(|(label, value)| (label.clone(), value.clone())).collect()
}

/// A metric name that would tell of a pack.
struct Candidate {
    name: String,
    prefix: String,
    pack: usize,
}

fn candidates(packs: &[Arc<Pack>], settings: &PrometheusSettings) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (i, pack) in packs.iter().enumerate() {
        for prefix in pack.all_prefixes(settings) {
            for name in &pack.detect {
                candidates.push(Candidate { name: format!("{prefix}{name}"), prefix: prefix.to_owned(), pack: i });
            }
        }
    }
    candidates
}

/// `$w` by metric name: four scrape intervals, which are counted, since no setting tells them.
async fn windows(
    client: &Client,
    present: &[&Candidate],
    settings: &PrometheusSettings,
) -> Result<BTreeMap<String, f64>, Failure> {
    let mut names = String::new();
    for candidate in present {
        let _ = write!(names, "{}{}", if names.is_empty() { "" } else { "|" }, candidate.name); // to a String: cannot fail
    }
    let mut windows: BTreeMap<_, _> =
        present.iter().map(|c| (c.name.clone(), (4.0 * settings.step).max(WINDOW.0))).collect();
    if names.is_empty() {
        return Ok(windows);
    }
    for (span, least) in [(RECENT, 1.0), LATELY] {
        let query = format!("max by (__name__) (count_over_time({{__name__=~\"{names}\"}}[{span}s]))");
        match client.instant(&query).await {
            Ok(answer) => {
                let counts = answer.series.iter().filter_map(|s| Some((s.label("__name__")?, s.last()?.1)));
                for (name, count) in counts.filter(|(_, count)| *count >= least) {
                    windows.insert(name.as_str().to_owned(), (4.0 * span / count).clamp(WINDOW.0, WINDOW.1));
                }
            }
            Err(failure) if failure.kind.is_fatal() => return Err(failure),
            Err(failure) => tracing::debug!("scrape intervals stay unknown: {failure}"),
        }
    }
    Ok(windows)
}

fn question(
    pack: &Arc<Pack>,
    ask: &Ask<'_>,
    (prefix, window, select): (&str, f64, &Select),
    alone: Option<&Entity>,
) -> Option<Question> {
    // Without a place for them its matchers would tell nothing apart.
    if alone.is_some() && !ask.concept.query.contains("$sel") {
        return None;
    }
    let promql = ask.promql(prefix, window, select);
    match (promql, ask.slot) {
        (Ok(promql), Some(slot)) => Some(Question {
            pack: Arc::clone(pack),
            concept: ask.name.to_owned(),
            slot,
            scale: ask.concept.scale,
            promql,
            alone: alone.cloned(),
        }),
        (Err(e), _) => {
            tracing::warn!("pack {}: {} is left out: {e}", pack.name, ask.name);
            None
        }
        (Ok(_), None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Role, WorkloadKind};

    #[test]
    fn a_series_of_ones_own_is_matched_by_the_source_and_by_its_workload() {
        let select = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut settings = PrometheusSettings::new("main", "http://p");
        settings.select = select(&[("cluster", "a"), ("tier", "all")]);
        let entity = Entity { kind: WorkloadKind::Inference, source: "main".into(), id: "chat".into() };
        let key = SignalKey { entity, role: Role::Demand };
        let custom = CustomSignal { key, query: "sum(r{$sel})".into(), select: select(&[("tier", "x\"y")]) };
        assert_eq!(own(&custom, 60.0, &settings), r#"sum(r{cluster="a",tier="x\"y"})"#);
    }
}
