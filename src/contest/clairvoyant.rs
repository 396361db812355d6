//! The best timetable that somebody who knew the day could have followed, as far as a search finds it.
//!
//! Timetables of a dynamic programme at several deratings are played; the cheapest is improved move by move, each move
//! played in full. Whatever comes out was really played, so it is achievable; a better search finds a cheaper one.

use crate::{
    policy::oracle::{Foreseen, lower_bound, schedule},
    simulate::{
        Random,
        arena::{Game, Outcome, Timetable, play},
        group::Protocol,
    },
};

/// Shares of the rate that first timetables count on.
const DERATINGS: [f64; 7] = [1.0, 0.98, 0.96, 0.94, 0.91, 0.87, 0.82];
/// Seconds by which a move shifts a change.
const SHIFTS: [f64; 8] = [-120.0, -60.0, -30.0, -15.0, 15.0, 30.0, 60.0, 120.0];

/// The clairvoyant's day.
#[derive(Clone, Debug)]
pub struct Clairvoyant {
    /// What the best timetable cost when it was played.
    pub outcome: Outcome,
    /// A price that nobody goes below.
    pub lower_bound: f64,
}

/// Searches with `moves` moves. `also`: timetables that were followed by others, as further beginnings.
pub fn search(game: &Game, demand: &[f64], seed: u64, moves: usize, also: &[Vec<(f64, u32)>]) -> Clairvoyant {
    let topic = game.topic(seed);
    let foreseen = Foreseen {
        demand,
        shares: topic.shares(),
        rate: game.group.consumer_rate,
        ceiling: game.ceiling,
        rebalance: game.group.rebalance,
        eager: game.group.protocol == Protocol::Eager,
        start_up: game.group.start_up.0,
        start: game.start,
        limits: game.limits,
        slo: game.slo,
        price: game.price,
    };
    let run = |table: &[(f64, u32)]| play(game, demand, seed, &mut Timetable(table));
    let first = DERATINGS.iter().map(|d| schedule(&foreseen, *d)).chain(also.iter().cloned());
    let mut best: Option<(Vec<(f64, u32)>, Outcome)> = None;
    for table in first {
        let outcome = run(&table);
        if best.as_ref().is_none_or(|(_, b)| outcome.score.price < b.score.price) {
            best = Some((table, outcome));
        }
    }
    let (mut table, mut outcome) = best.unwrap_or_else(|| (Vec::new(), run(&[])));
    let mut random = Random::new(seed).fork(4);
    for _ in 0..moves {
        let tried = change(&table, game, demand.len() as f64, &mut random);
        let played = run(&tried);
        if played.score.price < outcome.score.price {
            (table, outcome) = (tried, played);
        }
    }
    // Certificates assume the least start-up: three deviations below the mean.
    let (mean, sd) = game.group.start_up;
    let soonest = Foreseen { start_up: (mean - 3.0 * sd).max(0.0), ..foreseen };
    Clairvoyant { outcome, lower_bound: lower_bound(&soonest) }
}

/// One random move: shift a change, take another count, leave a change out, or insert one.
fn change(table: &[(f64, u32)], game: &Game, length: f64, random: &mut Random) -> Vec<(f64, u32)> {
    let mut next = table.to_vec();
    let pick = random.between(0.0, next.len().max(1) as f64) as usize;
    let count = |n: u32, random: &mut Random| {
        let by = 1 + random.between(0.0, 3.0) as u32;
        let moved = if random.unit() < 0.5 { n.saturating_sub(by) } else { n.saturating_add(by) };
        moved.max(game.limits.min).min(game.limits.max)
    };
    let kind = random.unit();
    match next.get_mut(pick) {
        Some(entry) if kind < 0.45 => {
            let by = SHIFTS.get(random.between(0.0, SHIFTS.len() as f64) as usize).copied().unwrap_or(15.0);
            entry.0 = (entry.0 + by).clamp(0.0, length);
        }
        Some(entry) if kind < 0.75 => entry.1 = count(entry.1, random),
        Some(_) if kind < 0.9 => {
            next.remove(pick);
        }
        _ => {
            let t = random.between(0.0, length);
            let before = next.partition_point(|(at, _)| *at <= t).checked_sub(1).and_then(|i| next.get(i));
            let n = before.map_or(game.start, |(_, n)| *n);
            next.push((t, count(n, random)));
        }
    }
    next.sort_by(|a, b| a.0.total_cmp(&b.0));
    next
}
