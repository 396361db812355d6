//! The rate of one member from what members got done: the pool's mean, and how far the slower and faster ones are from it.

use super::{super::per_second, members::Took, scaling};
use crate::model::{Capacity, Scaling};
use std::collections::{BTreeMap, VecDeque};

/// Newest saturated spans that count: of members, and of all together at one count.
const NEWEST: usize = 3_000;
const TOGETHER: usize = 40;
/// Spans without saturation of which the upper end is one proof, and that quantile; the highest proof counts.
const BATCH: usize = 400;
const PROOF: f64 = 0.95;
/// Fewest spans for any proof at all.
const FIRST_PROOF: usize = 10;
/// Spans that a count needs before its median counts (or as many as any has, at first), and the share of the best median
/// that it must reach: below, something else holds its members back.
const BUCKET: usize = 5;
const POOL: f64 = 0.8;
/// Seconds of a span that weighs one.
const USUAL: f64 = 60.0;
/// Spans this far from the pool's median are something else.
const BAND: (f64, f64) = (0.7, 1.3);
/// The rate is at least this share of what flowed without saturation.
const PROVEN: f64 = 0.85;
/// Without saturated spans this many times what flowed is tried.
const PROBE: f64 = 1.25;
/// One member in ten is slower than the mean by this many standard deviations. It is planned with the mean: a log only
/// waits for the slower ones (planning with the slowest of five cost 3 % where pods differ by 6 %).
const SLOW: f64 = 1.28;
/// Spans of all together that a count needs before it is believed to be held back, and the share of what its members
/// should do together that the upper quartile stays below then.
const CAPPED: (usize, f64) = (3, 0.85);
/// Share of what is done now below which what was done before was held back: commits in step are one too many or too few a
/// minute, which is 8 % with one each 5 s.
const LESS: f64 = 0.9;
/// Spans of all together in a row that stay below this share of what no more members did before: each does less than it
/// did, by heavier records, a smaller limit or a slower database. What was learned before is of the past.
const SLOWER: (usize, f64) = (3, 0.75);
/// Quantile of the flows of such counts that is the ceiling, and the share of it that a count brings which it holds back.
const CEILING: f64 = 0.6;
const AT_CEILING: f64 = 0.95;

/// How many members bring all that lies downstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enough {
    /// So many.
    pub members: u32,
    /// Whether fewer were seen to bring less. Else it is what the rate says, and that is of members that were held back.
    pub tried: bool,
}

/// Spans of work, newest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    saturated: VecDeque<Took>,
    /// The same of all members together.
    together: VecDeque<Took>,
    /// Rates without saturation since the last proof; of thousands of groups that keep up this is most of it.
    calm: Vec<f32>,
    proven: f64,
}

impl Rates {
    pub fn add(&mut self, took: Took) {
        if took.member.is_none() {
            self.disprove(&took);
            if !took.saturated {
                return;
            }
            // By count, so that a long spell at one count does not forget what others brought.
            let same = self.together.iter().filter(|t| t.members == took.members).count();
            let oldest = self.together.iter().position(|t| t.members == took.members);
            if let Some(oldest) = oldest.filter(|_| same >= TOGETHER) {
                self.together.remove(oldest);
            }
            self.together.push_back(took);
            if self.are_slower() {
                self.forget(took.members as usize);
            }
        } else if took.saturated {
            self.saturated.push_back(took);
            if self.saturated.len() > NEWEST {
                self.saturated.pop_front();
            }
        } else {
            self.calm.push(took.rate as f32);
            if self.calm.len() >= BATCH {
                self.proven = self.proven.max(self.proof());
                self.calm.clear();
            }
        }
    }

    /// What did less before than is done now, in all and each, was held back by what is gone.
    fn disprove(&mut self, now: &Took) {
        let each = |took: &Took| took.rate / f64::from(took.members.max(1));
        let less = |was: &Took| was.rate < LESS * now.rate && each(was) < CAPPED.1 * each(now);
        self.together.retain(|was| !less(was));
    }

    /// Whether all together do clearly less than no more of them did before.
    fn are_slower(&self) -> bool {
        let past = self.together.len().saturating_sub(SLOWER.0);
        let now = || self.together.iter().skip(past);
        let (Some(most), Some(fewest)) = (now().map(|t| t.rate).reduce(f64::max), now().map(|t| t.members).min())
        else {
            return false;
        };
        let before = self.together.iter().take(past).filter(|t| t.members <= fewest);
        let mut before: Vec<f64> = before.map(|t| t.rate).collect();
        before.len() >= CAPPED.0 && most < SLOWER.1 * quantile(&mut before, 0.5)
    }

    /// Keeps the newest spans only: one of each of `members`, and those of all together that told of it.
    fn forget(&mut self, members: usize) {
        self.together.drain(..self.together.len().saturating_sub(SLOWER.0));
        self.saturated.drain(..self.saturated.len().saturating_sub(members));
        self.calm.clear();
        self.proven = 0.0;
    }

    /// The upper end of what flowed since the last proof.
    fn proof(&self) -> f64 {
        let mut all: Vec<f64> = self.calm.iter().map(|rate| f64::from(*rate)).collect();
        quantile(&mut all, PROOF)
    }

    /// Rate, spread, samples and ceiling; the times of the result are zero. `None` before anything flowed.
    pub fn estimate(&self, assumptions: &mut Vec<String>) -> Option<Capacity> {
        let mut proven = self.proven;
        if self.calm.len() >= FIRST_PROOF {
            proven = proven.max(self.proof());
        }
        let mut by_count: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for took in &self.saturated {
            by_count.entry(took.members).or_default().push(took.rate);
        }
        let most = by_count.values().map(Vec::len).max().unwrap_or(0);
        let seen: BTreeMap<u32, f64> = by_count
            .into_iter()
            .filter(|(_, rates)| rates.len() >= BUCKET.min(most))
            .map(|(n, mut rates)| (n, quantile(&mut rates, 0.5)))
            .collect();
        // From here on every rate is what each of as many would do as the power stands for.
        let scaling = if most >= BUCKET { scaling::fit(&seen) } else { Scaling::default() };
        let of = |per_replica, low, high, samples, ceiling| Capacity {
            per_replica,
            low,
            high,
            samples,
            scaling,
            ceiling,
            ..Capacity::default()
        };
        let medians: BTreeMap<u32, f64> = seen.iter().map(|(n, m)| (*n, m / scaling.each(*n))).collect();
        let spans = || self.saturated.iter().map(|t| Took { rate: t.rate / scaling.each(t.members), ..*t });
        let best = medians.values().copied().fold(0.0, f64::max);
        if best <= 0.0 {
            if proven > 0.0 {
                assumptions.push(format!(
                    "no member was seen with work waiting: at least {} each flowed, what one can do at most is not known",
                    per_second(proven)
                ));
            }
            return (proven > 0.0).then(|| of(proven, proven, proven * PROBE, 0, None));
        }
        let in_pool = |n: u32| medians.get(&n).is_some_and(|m| *m > POOL * best);
        let mut pool: Vec<f64> = spans().filter(|t| in_pool(t.members)).map(|t| t.rate).collect();
        let median = quantile(&mut pool, 0.5).max(PROVEN * proven);
        let within = |t: &Took| in_pool(t.members) && t.rate > BAND.0 * median && t.rate < BAND.1 * median;
        let (mean, spread) = spread(spans().filter(within)).unwrap_or((median, 0.0));
        let at = |deviations: f64| (mean - deviations * spread).max(PROVEN * proven);
        let ceiling = self.ceiling(mean, scaling);
        // Where even the fewest of the best rates brought no less than that, their rate is a lower bound. What fewer
        // did as well, who together stayed below it, nothing held back.
        let best_rates = seen.iter().filter(|(n, _)| in_pool(**n));
        let brought = best_rates.map(|(n, m)| f64::from(*n) * m).fold(f64::INFINITY, f64::min);
        if let Some(total) = ceiling.filter(|total| brought >= AT_CEILING * total) {
            assumptions.push(format!(
                "all together never did more than {}: what lies downstream held back even the fewest, at least {} each",
                per_second(total),
                per_second(mean)
            ));
            return Some(of(mean * PROBE, mean, mean * PROBE, pool.len(), Some(total)));
        }
        if let Some(total) = ceiling {
            assumptions.push(format!(
                "all together never did more than {}, however many they were: what lies downstream takes no more",
                per_second(total)
            ));
        }
        Some(of(at(0.0), at(SLOW), at(-SLOW), pool.len(), ceiling))
    }
}

impl Rates {
    /// Whether anything is known.
    pub fn knows(&self) -> bool {
        !self.saturated.is_empty() || self.proven > 0.0 || self.calm.len() >= FIRST_PROOF
    }

    /// The fewest members that were seen to bring what all together never did more than: more bring nothing.
    pub fn enough(&self) -> Option<Enough> {
        let capacity = self.estimate(&mut Vec::new())?;
        let ceiling = capacity.ceiling?;
        let brings = |totals: &mut Vec<f64>| quantile(totals, 0.5) >= AT_CEILING * ceiling;
        let mut totals = self.totals();
        let seen = totals.iter_mut().find_map(|(n, totals)| brings(totals).then_some(*n))?;
        let alone = capacity.per_replica * capacity.scaling.each(1);
        let should = (ceiling / alone).powf(capacity.scaling.exponent.recip()).round().max(1.0) as u32; // saturates
        let tried = should >= seen || totals.range(should..seen).next().is_some();
        Some(Enough { members: if tried { seen } else { should }, tried })
    }

    /// What the last that were added brought: how many more the largest count was than the next smaller one at which most
    /// had work waiting, and by which share all together did more. `None`: fewer than two such counts were seen.
    pub fn last_step(&self) -> Option<(u32, f64)> {
        let mut totals = self.totals();
        let (most, mut at_most) = totals.pop_last()?;
        let (fewer, mut at_fewer) = totals.pop_last()?;
        let (now, before) = (quantile(&mut at_most, 0.5), quantile(&mut at_fewer, 0.5));
        (before > 0.0).then(|| (most - fewer, now / before - 1.0))
    }

    /// What all together did, by their count, where it was seen often enough.
    fn totals(&self) -> BTreeMap<u32, Vec<f64>> {
        let mut by_count: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for took in &self.together {
            by_count.entry(took.members).or_default().push(took.rate);
        }
        by_count.retain(|_, totals| totals.len() >= CAPPED.0);
        by_count
    }

    /// What all together were seen to do at most, when so many of `rate` each, by how that scales, should have done more.
    fn ceiling(&self, rate: f64, scaling: Scaling) -> Option<f64> {
        let (mut held, mut free) = (Vec::new(), 0.0_f64);
        for (n, mut totals) in self.totals() {
            if quantile(&mut totals, 0.75) < CAPPED.1 * f64::from(n) * rate * scaling.each(n) {
                held.append(&mut totals);
            } else {
                free = free.max(quantile(&mut totals, 0.5));
            }
        }
        (!held.is_empty()).then(|| quantile(&mut held, CEILING).max(free))
    }
}

/// Mean rate of the members, and how much they really differ: the variance between them less what the batches of
/// commits alone make of it (one-way analysis of variance). A commit more or less at either end of a span is an error of
/// so many records however long it is: the variance of its rate falls with the square of its seconds, which weigh so.
/// `None` without spans.
fn spread(spans: impl Iterator<Item = Took>) -> Option<(f64, f64)> {
    // Per member: weight, and the weighted sums of rates and of their squares.
    let mut members: BTreeMap<Option<u64>, (f64, f64, f64)> = BTreeMap::new();
    let mut count = 0.0;
    for took in spans {
        let m = members.entry(took.member).or_default();
        let weight = (took.seconds / USUAL).powi(2);
        *m = (m.0 + weight, m.1 + weight * took.rate, m.2 + weight * took.rate * took.rate);
        count += 1.0;
    }
    let total = members.values().fold((0.0, 0.0), |a, m| (a.0 + m.0, a.1 + m.1));
    if total.0 <= 0.0 {
        return None;
    }
    let mean = total.1 / total.0;
    let groups = members.len() as f64;
    if groups < 2.0 || count <= groups {
        return Some((mean, 0.0));
    }
    let within: f64 = members.values().map(|(n, sum, squares)| (squares - sum * sum / n).max(0.0)).sum();
    let between: f64 = members.values().map(|(n, sum, _)| n * (sum / n - mean).powi(2)).sum();
    // Of a span that weighs one.
    let noise = within / (count - groups);
    let apart = total.0 - members.values().map(|m| m.0 * m.0).sum::<f64>() / total.0;
    let variance = ((between - (groups - 1.0) * noise) / apart.max(f64::MIN_POSITIVE)).max(0.0);
    Some((mean, variance.sqrt()))
}

/// The value at a share of a list that is not empty, by the nearest rank; 0 when it is. Sorts the list.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    super::super::quantile(values, share).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members of these rates, each seen in spans of 45 and 120 s that are a commit of 2.5 s short or long in turn.
    fn seen(rates: &[f64]) -> Vec<Took> {
        let span = |(m, rate): (u64, f64), i: u64| {
            let seconds = if i % 4 < 2 { 45.0 } else { 120.0 };
            let short = if i.is_multiple_of(2) { 2.5 } else { -2.5 };
            let rate = rate * (seconds + short) / seconds;
            Took { member: Some(m), members: rates.len() as u32, rate, seconds, saturated: true }
        };
        (0..rates.len() as u64).zip(rates.iter().copied()).flat_map(|m| (0..8).map(move |i| span(m, i))).collect()
    }

    fn together(members: u32, rate: f64) -> Took {
        Took { member: None, members, rate, seconds: 60.0, saturated: true }
    }

    #[test]
    fn fewer_that_did_as_well_each_were_not_held_back() {
        let mut rates = Rates::default();
        // Of forty, half is held back; twenty bring about as much as forty.
        for took in [together(40, 20_500.0), together(20, 20_000.0)].iter().cycle().take(20) {
            rates.add(*took);
        }
        let of = |members: u32, rate: f64| {
            seen(&vec![rate; members as usize]).into_iter().map(move |t| Took { members, ..t })
        };
        of(40, 512.0).chain(of(20, 1_000.0)).for_each(|took| rates.add(took));
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!(capacity.per_replica > 1_200.0, "even the fewest may have been held back: {capacity:?}");
        of(8, 1_000.0).for_each(|took| rates.add(took));
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!((capacity.per_replica - 1_000.0).abs() < 20.0, "eight bring 8,000 of 20,000: {capacity:?}");
        assert!(capacity.ceiling.is_some_and(|c| (20_000.0..21_000.0).contains(&c)), "{capacity:?}");
    }

    #[test]
    fn a_few_spans_at_several_counts_are_enough_to_begin_with() {
        let mut rates = Rates::default();
        let span = |members, rate| Took { member: Some(1), members, rate, seconds: 60.0, saturated: true };
        for took in [span(4, 995.0), span(4, 985.0), span(6, 980.0)] {
            rates.add(took);
        }
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!((capacity.per_replica - 990.0).abs() < 10.0 && capacity.samples == 2, "{capacity:?}");
    }

    #[test]
    fn what_flows_later_disproves_a_ceiling() {
        let mut rates = Rates::default();
        for took in seen(&[1_000.0; 8]) {
            rates.add(took);
        }
        for took in [together(40, 8_100.0), together(8, 7_900.0)].iter().cycle().take(20) {
            rates.add(*took);
        }
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!(capacity.ceiling.is_some() && rates.enough().is_some_and(|e| e.members <= 8), "{capacity:?}");
        // Eleven keep up with what comes: nothing waits, and it is more than all forty did.
        rates.add(Took { saturated: false, ..together(11, 10_400.0) });
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!(capacity.ceiling.is_none() && rates.enough().is_none(), "{capacity:?}");
        assert_eq!(rates.together.len(), 10, "eight did what eight can");
    }

    #[test]
    fn what_the_last_that_were_added_brought_is_told() {
        let mut rates = Rates::default();
        for took in [together(8, 8_000.0), together(12, 11_600.0), together(16, 11_950.0)].iter().cycle().take(9) {
            rates.add(*took);
        }
        let (more, share) = rates.last_step().unwrap();
        assert!(more == 4 && (share - 0.03).abs() < 0.001, "+{more} {share}");
        let mut one = Rates::default();
        (0..5).for_each(|_| one.add(together(8, 8_000.0)));
        assert_eq!(one.last_step(), None);
    }

    #[test]
    fn members_that_share_something_are_no_ceiling_and_more_of_them_do_less_each() {
        let mut rates = Rates::default();
        let each = |n: u32| 1_000.0 * (f64::from(n) / 8.0).powf(-0.3);
        for n in [5, 8, 14, 20, 30].repeat(8) {
            let members = (0..u64::from(n)).map(|m| Took { member: Some(m), ..together(n, each(n)) });
            members.chain([together(n, f64::from(n) * each(n))]).for_each(|took| rates.add(took));
        }
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!(capacity.ceiling.is_none() && (capacity.scaling.exponent - 0.7).abs() < 0.01, "{capacity:?}");
        assert!((capacity.each_of(8) - 1_000.0).abs() < 5.0 && capacity.high - capacity.low < 20.0, "{capacity:?}");
    }

    #[test]
    fn members_that_became_slower_are_no_ceiling() {
        let mut rates = Rates::default();
        let of = |members: u32, rate: f64| {
            let each = (0..u64::from(members)).map(move |m| Took { member: Some(m), ..together(members, rate) });
            each.chain([together(members, f64::from(members) * rate)])
        };
        (0..10).flat_map(|_| of(6, 1_000.0)).for_each(|took| rates.add(took));
        // Each record takes twice the time from now on; two more came meanwhile.
        (0..6).flat_map(|_| of(8, 500.0)).for_each(|took| rates.add(took));
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!((capacity.per_replica - 500.0).abs() < 5.0 && capacity.ceiling.is_none(), "{capacity:?}");
        // What lies downstream takes 4,000, and eleven bring no more of it than eight did: that is one.
        (0..6).flat_map(|_| of(11, 4_000.0 / 11.0)).for_each(|took| rates.add(took));
        let capacity = rates.estimate(&mut Vec::new()).unwrap();
        assert!(capacity.ceiling.is_some_and(|c| (c - 4_000.0).abs() < 50.0), "{capacity:?}");
    }

    #[test]
    fn commits_are_no_difference_between_members_and_differences_are() {
        let (mean, apart) = spread(seen(&[1_000.0; 12]).into_iter()).unwrap();
        assert!((mean - 1_000.0).abs() < 1.0 && apart < 1.0, "{mean} {apart}");
        let (mean, apart) = spread(seen(&[940.0, 1_060.0].repeat(6)).into_iter()).unwrap();
        assert!((mean - 1_000.0).abs() < 1.0 && (50.0..72.0).contains(&apart), "{mean} {apart}");
    }
}
