//! The best timetable that somebody who knew the day could have followed, as far as a few tries find it.
//!
//! A dynamic programme over minutes gives the cheapest counts that hold the demand at some share of what a replica can
//! do; each share's timetable is played, and the cheapest that was is the answer. So it is achievable, and a better
//! search may find a cheaper one: it is no bound.

use crate::simulate::serving::{Game, Outcome, Pilot, Seen, Service, play};

/// Shares of a replica's rate that timetables count on.
const SHARES: [f64; 8] = [0.7, 0.78, 0.84, 0.9, 0.95, 1.0, 1.06, 1.14];
/// Deviations of the start-up for which a replica is asked sooner than the mean one takes.
const SOONER: [f64; 2] = [0.0, 2.0];
const MINUTE: usize = 60;
/// Counts that a programme looks at: of more the highest are left out that nothing needs.
const COUNTS: usize = 256;

/// Counts by the minute in which they are to serve, by service, and how long before that they are asked for.
struct Timetable {
    counts: Vec<Vec<u32>>,
    lead: Vec<f64>,
}

impl Pilot for Timetable {
    fn decide(&mut self, seen: &Seen<'_>) -> Vec<Option<u32>> {
        let ahead = |(counts, lead): (&Vec<u32>, &f64)| {
            let last = counts.len().saturating_sub(1);
            let minute = |t: f64| ((t / MINUTE as f64) as usize).min(last);
            counts.get(minute(seen.t)..=minute(seen.t + lead))?.iter().copied().max()
        };
        self.counts.iter().zip(&self.lead).map(ahead).collect()
    }
}

/// Plays the cheapest timetable that was found.
pub(super) fn clairvoyant(game: &Game, demand: &[Vec<f64>], seed: u64) -> Outcome {
    let run = |share: f64, sooner: f64| {
        let of = |(service, demand): (&Service, &Vec<f64>)| {
            let (mean, sd) = service.fleet.start_up;
            let lead = mean + sooner * sd + game.scrape;
            (cheapest(game, service, demand, share, lead), lead)
        };
        let (counts, lead) = game.services.iter().zip(demand).map(of).unzip();
        play(game, demand, seed, &mut Timetable { counts, lead })
    };
    let mut best = run(1.0, 0.0);
    for (share, sooner) in SHARES.into_iter().flat_map(|share| SOONER.map(|sooner| (share, sooner))) {
        let found = run(share, sooner);
        if found.score.price < best.score.price {
            best = found;
        }
    }
    best
}

/// The cheapest counts, minute by minute, that hold the demand at a share of the rate.
fn cheapest(game: &Game, service: &Service, demand: &[f64], share: f64, lead: f64) -> Vec<u32> {
    let limits = service.limits;
    let needs = |minute: &[f64]| {
        let mean = minute.iter().sum::<f64>() / minute.len() as f64;
        ((mean / (service.rate() * share)).ceil().min(1e6) as u32).clamp(limits.min, limits.max)
    };
    let needs: Vec<u32> = demand.chunks(MINUTE).map(needs).collect();
    let most = needs.iter().copied().max().unwrap_or(limits.min);
    let lowest = limits.min.max(most.saturating_sub(COUNTS as u32 - 1));
    let counts: Vec<u32> = (lowest..=most).collect();
    let hour = game.price.pod_hour * f64::from(service.gpus);
    let change = |from: u32, to: u32| {
        let action = if from == to { 0.0 } else { game.price.action };
        action + f64::from(to.saturating_sub(from)) * hour * lead / 3600.0
    };
    // worth[i]: the least price from the present minute on with counts[i] before it; picks: where that goes.
    let mut worth = vec![0.0; counts.len()];
    let mut picks: Vec<Vec<u32>> = Vec::with_capacity(needs.len());
    for need in needs.iter().rev() {
        let best = |from: u32| {
            let may = counts.iter().zip(&worth).filter(|(to, _)| *to >= need);
            let priced = may.map(|(to, after)| (change(from, *to) + f64::from(*to) * hour / 60.0 + after, *to));
            priced.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, from))
        };
        let (prices, to): (Vec<f64>, Vec<u32>) = counts.iter().map(|from| best(*from)).unzip();
        worth = prices;
        picks.push(to);
    }
    let mut now = service.start.clamp(lowest, most);
    let follow = |pick: &Vec<u32>| {
        now = pick.get((now - lowest) as usize).copied().unwrap_or(now);
        now
    };
    picks.iter().rev().map(follow).collect()
}
