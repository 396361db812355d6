//! The best timetable that somebody who knew the day could have followed, as far as a search finds it.
//!
//! Timetables of a dynamic programme at several deratings are played; the cheapest is improved move by move, each move
//! played as far as it reaches. Whatever comes out was really played, so it is achievable; a better search finds a cheaper one.

use crate::{
    policy::oracle::{Foreseen, Programme, lower_bound},
    simulate::{
        Random,
        arena::{Game, Match, Outcome, Timetable, play},
        group::Protocol,
    },
};

/// Shares of the rate that first timetables count on.
const DERATINGS: [f64; 7] = [1.0, 0.98, 0.96, 0.94, 0.91, 0.87, 0.82];
/// Seconds between the copies of a game that moves are played from.
const CHECKPOINT: usize = 900;
/// Seconds after a move by which its effect has died away.
const AFTER: f64 = 3_600.0;
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
    let first = DERATINGS.iter().map(|d| Programme::new(&foreseen, *d).timetable()).chain(also.iter().cloned());
    let mut best: Option<(Vec<(f64, u32)>, Outcome)> = None;
    for table in first {
        let outcome = run(&table);
        if best.as_ref().is_none_or(|(_, b)| outcome.score.price < b.score.price) {
            best = Some((table, outcome));
        }
    }
    let (table, outcome) = best.unwrap_or_else(|| (Vec::new(), run(&[])));
    let improved = improve(game, demand, seed, moves, table);
    let improved = run(&improved);
    let outcome = if improved.score.price < outcome.score.price { improved } else { outcome };
    // Certificates assume the least start-up: three deviations below the mean.
    let (mean, sd) = game.group.start_up;
    let soonest = Foreseen { start_up: (mean - 3.0 * sd).max(0.0), ..foreseen };
    Clairvoyant { outcome, lower_bound: lower_bound(&soonest) }
}

/// Tries random moves; those are kept that are cheaper by the time their effect has died away.
///
/// A move is played from the last checkpoint before it to [`AFTER`] seconds after it, not over the whole day: what comes
/// later is the same for both, since chance depends on the instant of a change only.
fn improve(game: &Game, demand: &[f64], seed: u64, moves: usize, table: Vec<(f64, u32)>) -> Vec<(f64, u32)> {
    let mut table = table;
    let mut random = Random::new(seed).fork(4);
    let mut kept = checkpoints(Match::blind(game, demand, seed), &table, demand.len());
    for _ in 0..moves {
        let tried = change(&table, game, demand.len() as f64, &mut random);
        let Some((first, last)) = differ(&table, &tried) else { continue };
        let from = (first as usize / CHECKPOINT).min(kept.len().saturating_sub(1));
        let to = ((last + AFTER) as usize / CHECKPOINT + 1).min(kept.len().saturating_sub(1));
        let (Some(begin), Some(old)) = (kept.get(from), kept.get(to)) else { continue };
        let mut new = begin.clone();
        new.follow(&tried, (to * CHECKPOINT).min(demand.len()));
        if to + 1 == kept.len() {
            new.follow(&tried, demand.len());
        }
        let (backlog, count) = (new.backlog(), new.desired());
        let (backlog_old, count_old) = (old.backlog(), old.desired());
        // What is left over costs at least the pods that drain it, and more if it is late.
        let owed = (backlog - backlog_old) / game.group.consumer_rate / 3600.0 * 2.0;
        if count == count_old && new.spent() + owed.max(0.0) < old.spent() - 1e-9 {
            let rest = checkpoints(begin.clone(), &tried, demand.len());
            kept.truncate(from);
            kept.extend(rest);
            table = tried;
        }
    }
    table
}

/// Copies of a game every [`CHECKPOINT`] seconds from where it stands, and of its end.
fn checkpoints<'a>(mut running: Match<'a>, table: &[(f64, u32)], length: usize) -> Vec<Match<'a>> {
    let mut kept = vec![running.clone()];
    while running.second() < length {
        let next = (running.second() / CHECKPOINT + 1) * CHECKPOINT;
        running.follow(table, next);
        kept.push(running.clone());
    }
    kept
}

/// The first and the last instant at which two timetables differ.
fn differ(one: &[(f64, u32)], two: &[(f64, u32)]) -> Option<(f64, f64)> {
    let only =
        |a: &[(f64, u32)], b: &[(f64, u32)]| -> Vec<f64> { a.iter().filter(|x| !b.contains(x)).map(|x| x.0).collect() };
    let times = [only(one, two), only(two, one)].concat();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let last = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (!times.is_empty()).then_some((first.max(0.0), last.max(0.0)))
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
