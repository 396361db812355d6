//! `docs/arena.md`: what the days add up to.

use crate::{
    day::{Case, Day, ENTRANTS, Played, SHIPPED},
    plot,
};
use highwater::{
    contest::{half_width, is_bound},
    simulate::arena::Score,
};
use std::{fmt::Write, path::Path};

/// The rivals that the planner is measured by: an HPA and KEDA with defaults, KEDA tuned, and rules on CPU.
const RIVALS: [&str; 5] = ["hpa", "keda", "keda-tuned", "threshold", "threshold-70-50"];
/// Everybody else who is not the planner.
const OTHERS: [&str; 2] = ["hpa-unstabilised", "fixed"];

/// The days of one case.
struct Block<'a> {
    case: &'a Case,
    days: Vec<&'a Day>,
}

/// A mean over seeds with half the width of its 95 % interval.
struct Mean(f64, Option<f64>);

impl Mean {
    fn of(values: &[f64]) -> Self {
        Self(values.iter().sum::<f64>() / values.len().max(1) as f64, half_width(values))
    }

    fn show(&self, digits: usize) -> String {
        let Self(mean, half) = self;
        half.map_or_else(|| format!("{mean:.digits$}"), |half| format!("{mean:.digits$} ± {half:.digits$}"))
    }

    fn percent(&self) -> String {
        Self(self.0 * 100.0, self.1.map(|h| h * 100.0)).show(1)
    }
}

impl Block<'_> {
    fn played<'d>(&'d self, policy: &'d str) -> impl Iterator<Item = &'d Played> {
        self.days.iter().filter_map(move |d| d.played.iter().find(|p| p.policy == policy))
    }

    fn score(&self, policy: &str) -> Score {
        Score::mean(&self.played(policy).map(|p| p.score).collect::<Vec<_>>())
    }

    fn price(&self, policy: &str) -> Mean {
        Mean::of(&self.played(policy).map(|p| p.score.price).collect::<Vec<_>>())
    }

    fn oracle(&self) -> Score {
        Score::mean(&self.days.iter().map(|d| d.oracle).collect::<Vec<_>>())
    }

    fn best(&self) -> Mean {
        Mean::of(&self.days.iter().map(|d| d.oracle.price).collect::<Vec<_>>())
    }

    fn redrawn(&self) -> f64 {
        Mean::of(&self.days.iter().map(|d| d.redrawn).collect::<Vec<_>>()).0
    }

    fn bound(&self) -> f64 {
        Mean::of(&self.days.iter().map(|d| d.bound).collect::<Vec<_>>()).0
    }

    /// The bound, marked where it is an estimate of one.
    fn show_bound(&self) -> String {
        let estimate = if is_bound(&self.case.scenario.game()) { "" } else { "≈ " };
        format!("{estimate}{:.1}", self.bound())
    }

    /// Mean price over the mean of the best found, minus one; the interval is that of the seeds' own regrets.
    fn regret(&self, policy: &str) -> Mean {
        let pairs = self.played(policy).zip(&self.days).map(|(p, d)| p.score.price / d.oracle.price - 1.0);
        let spread = half_width(&pairs.collect::<Vec<_>>());
        Mean(self.price(policy).0 / self.best().0 - 1.0, spread)
    }

    /// Whoever of them has the least regret.
    fn best_of<const N: usize>(&self, names: [&'static str; N]) -> (&'static str, f64) {
        let regrets = names.map(|r| (r, self.regret(r).0));
        regrets.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("none", f64::NAN))
    }
}

/// Writes the report of every case that has all its days, and the bars; `others` is what is not played day by day.
pub fn write(docs: &Path, cases: &[Case], days: &[Day], others: &str) -> Result<(), String> {
    let blocks: Vec<Block<'_>> = cases
        .iter()
        .map(|case| {
            let mut days: Vec<&Day> = days.iter().filter(|d| d.case == case.name).collect();
            days.sort_by_key(|d| d.seed);
            Block { case, days }
        })
        .filter(|b| b.days.len() as u64 == b.case.seeds)
        .collect();
    let bars: Vec<(String, Vec<(String, f64)>)> = blocks
        .iter()
        .map(|b| {
            let of = |policy: &str| (policy.to_owned(), b.regret(policy).0);
            let rival = ("best of HPA, KEDA, CPU rules".to_owned(), b.best_of(RIVALS).1);
            (b.case.name.clone(), vec![of("planner"), of("planner-cold"), rival])
        })
        .collect();
    crate::write(&docs.join("arena/regrets.svg"), &plot::regrets(&bars))?;
    crate::write(&docs.join("arena.md"), &text(docs, &blocks, others))
}

/// What the words of the report mean, and what is not played.
const INTRODUCTION: &str = "# The arena\n
Written by `cargo bench --bench arena` (means over seeds, with 95 % intervals). Every policy plays
the same day with the same chances and sees what a monitor would have scraped. A case is a scenario file in
`benches/arena/cases`: `highwater simulate --scenario FILE` plays it too.\n
*Price*: pod-hours + minutes over the SLO × min(10, time lag / SLO) + 0.05 a change. *Time lag* is that of the topic as a
whole: the records that wait, of all partitions together, over the records that come in that second. (The dashboard shows
the partition that is furthest behind, which is never less.) *Best found*: the cheapest
timetable that a search found for somebody who knows the day, as played; beside it what the same timetable costs when
replicas start in other times, or differ in other ways, than the search saw (mean of eight draws). *Bound*: by changes that
take effect on a quarter of a minute nobody can pay less, where the protocol is eager, shares are constant, pods equal and
nobody leaves by himself; elsewhere it is an estimate of a bound and marked ≈. *Regret*: price over the best found, minus one.\n
The planner is *trained* by a week of demand and a day under a default HPA, *cold* by the week of demand only. Its
guards let it go up to four times and down to half in a step, a minute after the last change: looser than the guards that
are shipped (twice, a quarter less, five minutes after the last change before it goes down), with which it plays in a table of
its own. `threshold` and `threshold-70-50` are rules on CPU only (above 80 or 70 % a tenth more, below 30 or 50 % for five
minutes a tenth less); they see no lag, and in a rebalance that stops everybody an idle group. `fixed` is the most pods that are allowed, all day.\n
The `consumer` protocol of KIP-848 is played as the cooperative one with the pause that the case gives. A consumer that dies
or pauses stays a member until its session ends, and its partitions stand still: 45 s in the cases that are about it.\n
";

fn text(docs: &Path, blocks: &[Block<'_>], others: &str) -> String {
    let mut out = INTRODUCTION.to_owned();
    summary(&mut out, blocks);
    shipped(&mut out, blocks);
    published(&mut out, blocks);
    out.push_str(others);
    for block in blocks {
        detail(&mut out, docs, block);
    }
    out
}

fn summary(out: &mut String, blocks: &[Block<'_>]) {
    out.push_str(
        "## Regrets\n\n![Regret per case](arena/regrets.svg)\n\n\
         | case | seeds | bound | best found | with other start-ups | planner | regret % | cold % | best of HPA, KEDA, CPU rules | its regret % | times ours | best of all others | its regret % | SLO min | actions | flaps | most pods | pod-hours under fixed % | plan p99, CPU ms |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for b in blocks {
        let ((rival, theirs), ours) = (b.best_of(RIVALS), b.regret("planner"));
        let (other, their) = b.best_of(OTHERS);
        let (score, fixed) = (b.score("planner"), b.score("fixed"));
        let p99 = b.played("planner").filter_map(|p| p.p99).fold(0.0, f64::max) * 1000.0;
        let most = b.played("planner").map(|p| p.most).max().unwrap_or(0);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {:.1} | {} | {} | {} | {rival} | {:.1} | {:.1} | {other} | {:.1} | {:.1} | {:.1} | {:.1} | {most} | {:.1} | {p99:.1} |",
            b.case.name,
            b.days.len(),
            b.show_bound(),
            b.best().show(1),
            b.redrawn(),
            b.price("planner").show(1),
            ours.percent(),
            b.regret("planner-cold").percent(),
            theirs * 100.0,
            theirs / ours.0,
            their * 100.0,
            score.slo_minutes,
            score.actions,
            score.flaps,
            (1.0 - score.pod_hours / fixed.pod_hours) * 100.0,
        );
    }
    out.push('\n');
}

/// The planner with the guards that are shipped beside the one of the other tables.
fn shipped(out: &mut String, blocks: &[Block<'_>]) {
    let mut rows = String::new();
    for b in blocks.iter().filter(|b| b.case.is_guarded()) {
        for policy in ["planner", SHIPPED] {
            let (price, regret, s) = (b.price(policy).show(1), b.regret(policy).percent(), b.score(policy));
            let _ = writeln!(
                rows,
                "| {} | {policy} | {price} | {regret} | {:.1} | {:.1} | {:.1} |",
                b.case.name, s.pod_hours, s.slo_minutes, s.actions
            );
        }
    }
    if !rows.is_empty() {
        let _ = write!(
            out,
            "## With the shipped guards\n\n\
             At most twice the count or a quarter less in a step, and five minutes after the last change before it goes down.\n\n\
             | case | policy | price | regret % | pod-hours | SLO min | actions |\n|---|---|--:|--:|--:|--:|--:|\n{rows}\n"
        );
    }
}

/// Consumers and lag against an HPA with a target of 10 000, as a vendor published them (-45 % and -98.46 %).
fn published(out: &mut String, blocks: &[Block<'_>]) {
    let mut rows = String::new();
    for b in blocks.iter().filter(|b| b.case.name.starts_with("eager") || b.case.name.ends_with("little-lag")) {
        let ours = b.score("planner");
        for hpa in ["hpa", "hpa-unstabilised"] {
            let theirs = b.score(hpa);
            let less = |ours: f64, theirs: f64| (ours / theirs - 1.0) * 100.0;
            let _ = writeln!(
                rows,
                "| {} | {hpa} | {:.1} | {:.1} | {:+.1} | {:.0} | {:.0} | {:+.2} |",
                b.case.name,
                theirs.average_replicas,
                ours.average_replicas,
                less(ours.average_replicas, theirs.average_replicas),
                theirs.average_lag,
                ours.average_lag,
                less(ours.average_lag, theirs.average_lag),
            );
        }
    }
    if !rows.is_empty() {
        let _ = write!(
            out,
            "## The published comparison\n\n\
             A vendor's figures for 40 partitions against an HPA with a target of 10 000: 45 % fewer consumers (40 to 22) and\n\
             98.46 % less lag. The same comparison here, with the HPA as it is (five minutes of stabilisation before it scales\n\
             down) and without that; the planner is asked to be cheap, in the cases of that name to have little lag.\n\n\
             | case | HPA | its consumers | planner's | change % | its mean lag | planner's | change % |\n\
             |---|---|--:|--:|--:|--:|--:|--:|\n{rows}\n"
        );
    }
}

fn detail(out: &mut String, docs: &Path, b: &Block<'_>) {
    let _ = writeln!(out, "## {}\n\n{}\n", b.case.name, b.case.scenario.about().unwrap_or_default());
    out.push_str(
        "| policy | price | regret % | pod-hours | pods | mean lag | p99 lag | lag s | SLO min | actions | flaps | rebalances |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let mut row = |name: &str, price: &str, regret: &str, s: &Score| {
        let _ = writeln!(
            out,
            "| {name} | {price} | {regret} | {:.1} | {:.1} | {:.0} | {:.0} | {:.2} | {:.1} | {:.1} | {:.1} | {:.1} |",
            s.pod_hours,
            s.average_replicas,
            s.average_lag,
            s.p99_lag,
            s.average_time_lag,
            s.slo_minutes,
            s.actions,
            s.flaps,
            s.rebalances,
        );
    };
    for policy in ENTRANTS {
        row(policy, &b.price(policy).show(1), &b.regret(policy).percent(), &b.score(policy));
    }
    row("best found", &b.best().show(1), "0", &b.oracle());
    let _ = writeln!(
        out,
        "\nBound {}; the best found is {:.1} % above it.\n",
        b.show_bound(),
        (b.best().0 / b.bound() - 1.0) * 100.0
    );
    if docs.join("arena").join(format!("{}.svg", b.case.name)).exists() {
        let _ = writeln!(out, "![A day of {0}](arena/{0}.svg)\n", b.case.name);
    }
}
