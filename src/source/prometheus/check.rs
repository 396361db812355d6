//! `highwater check`: everything that a refresh would ask, one line each.

use super::{
    client::Client,
    detect::{Plan, Question, detect, server_time},
    failure::{Failure, FailureKind},
    packs::{self, Pack},
    slots::Slot,
    upstream::Upstream,
};
use crate::{
    model::{CheckLine, Label, PrometheusSettings, Time},
    process::Clock,
};
use futures_util::{StreamExt, stream};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Between two scrapes of exporters: a rate needs both.
const BETWEEN: Duration = Duration::from_secs(2);

/// Tries the source, its packs and every query; nothing is changed anywhere.
pub async fn check(settings: &PrometheusSettings) -> Vec<CheckLine> {
    let name = |what: &str| Label::new(&format!("prometheus {}: {what}", settings.name));
    let mut lines = Vec::new();
    if settings.tls.insecure {
        let mend = Some(Label::new("remove `tls.insecure` and name the authority with `tls.ca`"));
        let detail = Label::new("any certificate is accepted");
        lines.push(CheckLine { what: name("TLS"), ok: false, detail, mend, unreachable: false, grant: None });
    }
    match ways(settings).await {
        Err(failure) => lines.push(refused(name("settings"), &failure)),
        Ok((packs, ways)) => {
            let mut first = None;
            for way in ways {
                let said = reach(&way, settings, &mut lines, &name).await;
                first = first.or(said.then_some(way));
            }
            if let Some(way) = first {
                // The source is there, though not by every way to it.
                for line in &mut lines {
                    line.unreachable = false;
                }
                if matches!(*way, Upstream::Exporters(_)) {
                    sleep(BETWEEN).await;
                    let _ = way.begin().await; // why one does not answer is said already
                }
                match detect(&way, &packs, settings, Time::now()).await {
                    Err(failure) => lines.push(refused(name("metric packs"), &failure)),
                    Ok(plan) => {
                        lines.push(found(name("metric packs"), &plan));
                        lines.extend(queries(&way, &plan, &name).await);
                    }
                }
            }
        }
    }
    lines
}

/// The packs, and every way to the source's series.
async fn ways(settings: &PrometheusSettings) -> Result<(Vec<Arc<Pack>>, Vec<Arc<Upstream>>), Failure> {
    let folder = settings.packs.clone();
    let packs = tokio::task::spawn_blocking(move || packs::load(folder.as_deref())).await;
    let packs = packs.map_err(|e| Failure::settings(e.to_string()))?.map_err(Failure::settings)?;
    let packs: Vec<_> = packs.into_iter().map(Arc::new).collect();
    let ways = Upstream::all(settings, &packs, Clock::wall()).await?;
    Ok((packs, ways))
}

/// Whether one way answers: a line for a server, one for each exporter.
async fn reach(
    way: &Upstream,
    settings: &PrometheusSettings,
    lines: &mut Vec<CheckLine>,
    name: &impl Fn(&str) -> Label,
) -> bool {
    match way {
        Upstream::Server(client) => {
            let what = if client.url() == settings.url.trim_end_matches('/') {
                "answers".to_owned()
            } else {
                format!("{} answers", client.url())
            };
            let said = server(way, client).await;
            let answers = said.is_ok();
            lines.push(said.map_or_else(|failure| refused(name(&what), &failure), |detail| good(name(&what), &detail)));
            answers
        }
        Upstream::Exporters(exporters) => {
            let round = exporters.scrape().await;
            let answers = round.is_ok();
            match round {
                Err(failure) => lines.push(refused(name("exporters"), &failure)),
                Ok(round) => {
                    for (target, said) in exporters.targets().iter().zip(round) {
                        let what = name(&format!("exporter {} {}", target.job, target.instance));
                        lines.push(match said {
                            Ok(series) => good(what, &format!("{series} series that are asked for")),
                            Err(failure) => refused(what, &failure),
                        });
                    }
                }
            }
            answers
        }
    }
}

async fn server(way: &Upstream, client: &Client) -> Result<String, Failure> {
    let begun = std::time::Instant::now();
    let ahead = server_time(way).await?.map(|at| at.since(Time::now()));
    let took = begun.elapsed().as_secs_f64() * 1000.0;
    // A server that does not say its version still answers queries.
    let version = client.version().await.ok().flatten().map_or_else(String::new, |v| format!(", version {v}"));
    let skew =
        ahead.filter(|s| s.abs() > 30.0).map_or_else(String::new, |s| format!(", its clock differs by {s:.0} s"));
    Ok(format!("{} in {took:.0} ms{version}{skew}", client.url()))
}

/// Asks every query once: one line for all that answer, one for each that does not.
async fn queries(way: &Upstream, plan: &Plan, name: &impl Fn(&str) -> Label) -> Vec<CheckLine> {
    // How many series it may give; a workload's pods are any number.
    let of = |q: &Question| match (&q.alone, q.slot) {
        (None, _) | (_, Slot::Pods) => 0..=usize::MAX,
        (Some(_), _) => 0..=1,
    };
    let packs = plan.questions.iter().map(|q| (q.about(), q.promql.as_str(), of(q)));
    let custom = plan.custom.iter().map(|c| (c.about(), c.promql.as_str(), 1..=1));
    let asks: Vec<_> = packs.chain(custom).collect();
    let sent: Vec<_> = asks.iter().map(|ask| way.instant_for(ask, ask.1)).collect();
    let mut answers = stream::iter(sent).buffered(4);
    let (mut lines, mut empty) = (Vec::new(), Vec::new());
    while let Some(((what, promql, many), result)) = answers.next().await {
        match result {
            Ok(answer) if !many.contains(&answer.series.len()) => lines.push(CheckLine {
                what: name(what),
                ok: false,
                detail: Label::new(&format!("{} series where one is needed: {promql}", answer.series.len())),
                mend: Some(Label::new(if *many.start() == 0 {
                    "narrow the `select` of its workload"
                } else {
                    "correct the query of `signals`; put sum(…) or max(…) around it"
                })),
                unreachable: false,
                grant: None,
            }),
            Ok(answer) if answer.series.is_empty() => empty.push(what.as_str()),
            Ok(_) => {}
            Err(failure) => lines.push(refused(name(what), &failure)),
        }
    }
    drop(answers);
    if lines.is_empty() && !asks.is_empty() {
        let quiet = if empty.is_empty() { String::new() } else { format!(", no data for {}", empty.join(", ")) };
        lines.push(good(name("queries"), &format!("{} answer{quiet}", asks.len())));
    }
    lines
}

fn found(what: Label, plan: &Plan) -> CheckLine {
    let names: Vec<&str> = plan.packs.iter().map(Label::as_str).collect();
    if names.is_empty() {
        return CheckLine {
            what,
            ok: false,
            detail: Label::new("no metric that a pack knows was found in the last 10 minutes"),
            mend: Some(Label::new("see `highwater packs`; wrapped names need `prefix`, own ones a folder of `packs`")),
            unreachable: false,
            grant: None,
        };
    }
    good(what, &names.join(", "))
}

fn good(what: Label, detail: &str) -> CheckLine {
    CheckLine { what, ok: true, detail: Label::new(detail), mend: None, unreachable: false, grant: None }
}

fn refused(what: Label, failure: &Failure) -> CheckLine {
    use FailureKind::{Connect, ConnectionRefused, Dns, Timeout, Tls};
    CheckLine {
        what,
        ok: false,
        detail: failure.reason.clone(),
        mend: failure.mend.clone(),
        unreachable: matches!(failure.kind, Connect | ConnectionRefused | Dns | Timeout | Tls),
        grant: None,
    }
}
