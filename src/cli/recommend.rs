//! `highwater recommend`: what every workload should have, and why.

use super::{
    Failure, Outcome,
    args::{Common, ListFormat},
    common, json, once, print,
};
use crate::{
    advise::day,
    model::{Role, Time, WorkloadView, si},
    process::Clock,
    tui::{Theme, format, widget::value},
};
use clap::Args;
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// `recommend`.
#[derive(Debug, Args)]
pub struct Recommend {
    /// Workloads; all when none is named.
    pub workloads: Vec<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
    /// Also the plan of the next 24 hours: when how many, and what that costs. It needs two days of demand.
    #[arg(long)]
    pub day: bool,
    /// How long to look before answering: two refreshes are needed for rates.
    #[arg(long, default_value = "5s", value_parser = super::args::settle, value_name = "DURATION")]
    pub settle: f64,
}

pub(super) fn run(common: &Common, args: &Recommend) -> Outcome {
    common::log(common, None)?;
    let config = common::config_with_sources(common)?;
    let state = common::state_path().filter(|p| p.exists());
    let picture = common::runtime()?.block_on(once::picture(
        config,
        Clock::wall(),
        state,
        None,
        once::Wait { settle: args.settle, days: args.day },
    ))?;
    let mut views: Vec<&WorkloadView> = picture.workloads.iter().map(AsRef::as_ref).collect();
    let unknown: Vec<&String> = args.workloads.iter().filter(|n| picture.workload(n).is_none()).collect();
    if !args.workloads.is_empty() {
        views.retain(|v| args.workloads.iter().any(|n| v.workload.name == n.as_str()));
    }
    // Of names that nobody has there is nothing to say but that.
    let asked_in_vain = views.is_empty() && !unknown.is_empty() && args.format == ListFormat::Table;
    let text = match args.format {
        _ if asked_in_vain => String::new(),
        ListFormat::Json => format!("{:#}\n", json::recommendations(&picture, &views, args.day)),
        ListFormat::Table if args.day => table(&views, picture.at) + &days(&views),
        ListFormat::Table => table(&views, picture.at),
    };
    print(&text)?;
    if let Some(failure) = once::unreachable(&picture) {
        return Err(failure);
    }
    match unknown.first() {
        Some(name) => {
            let known: Vec<&str> = picture.workloads.iter().map(|w| w.workload.name.as_str()).collect();
            let near = crate::config::nearest(name, known.iter().copied());
            let mend = near.map_or_else(|| format!("there are {}", known.join(", ")), |n| format!("did you mean {n}?"));
            Err(Failure::failed(format!("no workload {name:?}: {mend}")))
        }
        None => Ok(0),
    }
}

fn table(views: &[&WorkloadView], now: Time) -> String {
    let mut out = String::new();
    if views.is_empty() {
        return "no workloads: no consumer groups, services or queues were seen (see highwater check)\n".to_owned();
    }
    let room = views.iter().map(|v| v.workload.name.as_str().width()).fold(28, usize::max);
    let _ = writeln!(
        out,
        "{:<room$} {:<14} {:>12} {:>10} {:>6} {:>6}  WHY",
        "WORKLOAD", "KIND", "DEMAND", "BACKLOG", "NOW", "NEED"
    );
    for view in views {
        let number = |role: Role| number(view, role, now);
        let now = view.state.replicas.as_ref().map_or_else(|| "–".to_owned(), |r| r.desired.to_string());
        let (need, why) = match &view.advice.recommendation {
            Ok(r) => {
                let held = r.blocked_by.first().map(|b| format!("held by {}: {}", b.guard, b.detail));
                let reason = held.or_else(|| r.reasons.first().cloned()).unwrap_or_default();
                (r.recommended.to_string(), reason)
            }
            Err(why) => ("–".to_owned(), why.clone()),
        };
        let _ = writeln!(
            out,
            "{}{} {:<14} {:>12} {:>10} {now:>6} {need:>6}  {why}",
            view.workload.name,
            " ".repeat(room.saturating_sub(view.workload.name.as_str().width())), // letters may be wide
            view.workload.entity.kind.name(),
            number(Role::Demand),
            number(Role::Backlog),
        );
    }
    out
}

/// A number as the screen shows it: what is estimated, partial, stale or missing is marked.
fn number(view: &WorkloadView, role: Role, now: Time) -> String {
    let signal = view.signal(role);
    let print = |v: f64| match signal.map_or("", |s| s.unit) {
        unit if unit.starts_with("bytes") => format::with_unit(v, unit),
        unit if unit.ends_with("/s") => format::rate(v),
        _ => si(v),
    };
    let reading = signal.and_then(|s| s.now.as_ref());
    value::reading(&Theme::default(), reading, now, view.state.stale_after, print).to_string()
}

/// Why there is no plan of the day where nobody made one.
pub(super) fn no_day(view: &WorkloadView) -> String {
    let why = day::none_because(&view.workload, &view.state, view.advice.capacity.as_ref());
    why.unwrap_or_else(|| "it was not ready in time: ask again".to_owned())
}

/// The plans of the day, one after the other.
fn days(views: &[&WorkloadView]) -> String {
    let mut out = String::new();
    for view in views {
        let name = &view.workload.name;
        let plan = match view.day.as_deref() {
            Some(Ok(plan)) => plan,
            none => {
                let why = none.map_or_else(|| no_day(view), |said| said.as_ref().err().cloned().unwrap_or_default());
                let _ = writeln!(out, "\n{name}: no plan of the day: {why}");
                continue;
            }
        };
        let _ = writeln!(out, "\n{name}, the 24 hours from {}", plan.at);
        for pair in plan.steps.windows(2) {
            let _ = writeln!(out, "  {}  {:>4} to {}", pair[1].at, pair[0].replicas, pair[1].replicas);
        }
        let _ = writeln!(
            out,
            "  {:<16} {:>10} {:>9} {:>12} {:>8} {:>9}",
            "WHO", "POD-HOURS", "LATE MIN", "IF BUSY MIN", "CHANGES", "PRICE"
        );
        for c in &plan.courses {
            let _ = writeln!(
                out,
                "  {:<16} {:>10.1} {:>9.1} {:>12.1} {:>8} {:>9.1}",
                c.name, c.pod_hours, c.slo_minutes, c.slo_minutes_high, c.actions, c.price
            );
        }
        for sentence in &plan.basis {
            let _ = writeln!(out, "  {sentence}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mode, tui::fixture};

    #[test]
    fn a_number_says_what_it_is_and_columns_stand() {
        let mut picture = fixture::picture(Mode::Operate);
        let view = std::sync::Arc::make_mut(&mut picture.workloads[0]);
        std::sync::Arc::make_mut(&mut view.workload).name = "客户欺诈检测服务-生产环境-东亚一区-x".into();
        view.signals.retain(|s| s.role != Role::Demand);
        let views: Vec<&WorkloadView> = picture.workloads.iter().map(AsRef::as_ref).collect();
        let said = table(&views, picture.at);
        let of = |name: &str| said.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        let kind = |line: &str| line.find("consumer-group").map(|at| line[..at].width());
        assert_eq!(kind(of("客户")), kind(of("clickstream")), "{said}");
        assert!(
            !said.contains("–/s") && of("clickstream").contains('≥') && of("payments-audit").contains("/s"),
            "{said}"
        );
    }

    #[test]
    fn every_workload_has_a_plan_of_the_day_or_a_sentence() {
        let picture = fixture::picture(Mode::Operate);
        let views: Vec<&WorkloadView> = picture.workloads.iter().map(AsRef::as_ref).collect();
        let said = days(&views);
        for view in views {
            let (name, planned) = (&view.workload.name, matches!(view.day.as_deref(), Some(Ok(_))));
            let begins =
                if planned { format!("\n{name}, the 24 hours") } else { format!("\n{name}: no plan of the day: ") };
            assert!(said.contains(&begins), "{begins:?} in {said}");
        }
    }
}
