//! The best timetable that somebody who knew the day could have followed, as far as a search finds it.
//!
//! Timetables of a dynamic programme at several deratings, and those that others followed, are played; the cheapest is
//! improved by annealing in the arena itself. Whatever comes out was really played from the first second, so it is
//! achievable; a better search finds a cheaper one.

mod polish;

use crate::{
    policy::oracle::{Foreseen, Programme, SLOT, lower_bound},
    simulate::{
        Random,
        arena::{Game, Match, Outcome, Timetable, least, play},
        group::Protocol,
    },
};

/// Shares of the rate that first timetables count on.
const DERATINGS: [f64; 7] = [1.0, 0.98, 0.96, 0.94, 0.91, 0.87, 0.82];
/// Draws of start-ups that a timetable is played with once more.
const DRAWS: u64 = 8;

/// The clairvoyant's day.
#[derive(Clone, Debug)]
pub struct Clairvoyant {
    /// What the best timetable cost when it was played.
    pub outcome: Outcome,
    /// A price that nobody goes below by changes that take effect on a quarter of a minute; see [`is_bound`].
    pub lower_bound: f64,
}

/// Whether the lower bound of a game is one, and not an estimate: everybody reads what his number says, all the time.
pub fn is_bound(game: &Game) -> bool {
    let looks = game.scrape.round().max(1.0) as usize;
    game.group.protocol == Protocol::Eager
        && game.group.rate_spread <= 0.0
        && game.group.scaling.is_linear()
        && game.trouble.keeps_shares_and_members()
        && looks.is_multiple_of(SLOT)
}

/// Searches with `moves` moves. `also`: timetables that were followed by others, as further beginnings.
pub fn search(game: &Game, demand: &[f64], seed: u64, moves: usize, also: &[Vec<(f64, u32)>]) -> Clairvoyant {
    let topic = game.topic(seed);
    let foreseen = Foreseen {
        demand,
        shares: topic.shares(),
        rate: game.group.consumer_rate,
        scaling: game.group.scaling,
        ceiling: game.ceiling,
        rebalance: game.group.rebalance,
        eager: game.group.protocol == Protocol::Eager,
        start_up: game.group.start_up.0,
        least: least(demand),
        start: game.start,
        limits: game.limits,
        slo: game.slo,
        price: game.price,
    };
    let run = |table: &[(f64, u32)]| play(game, demand, seed, &mut Timetable(table));
    let mut first: Vec<Vec<(f64, u32)>> =
        DERATINGS.iter().map(|d| Programme::new(&foreseen, *d).timetable()).chain(also.iter().cloned()).collect();
    let mut played: Vec<(f64, usize)> = first.iter().map(|t| run(t).score.price).zip(0..).collect();
    played.sort_by(|a, b| a.0.total_cmp(&b.0));
    let best = played.first().map_or(0, |(_, i)| *i);
    let others = first.clone();
    let table = if first.is_empty() { Vec::new() } else { first.swap_remove(best) };
    let outcome = run(&table);
    let improved = run(&polish::polish(game, demand, seed, moves, &table, &others));
    let outcome = if improved.score.price < outcome.score.price { improved } else { outcome };
    // A bound assumes the least start-up that a search could find (four deviations below the mean), and one that ends within
    // a slot to end with it.
    let (mean, sd) = game.group.start_up;
    let soonest = Foreseen { start_up: (mean - 4.0 * sd - SLOT as f64).max(0.0), ..foreseen };
    Clairvoyant { outcome, lower_bound: lower_bound(&soonest) }
}

/// What a timetable costs with other start-ups (and other rates, where replicas differ), the mean of some draws: a search
/// saw how long each replica would take, and its timetable lives on that too, which nobody can know of replicas that do
/// not exist yet.
pub fn redrawn(game: &Game, demand: &[f64], seed: u64, table: &[(f64, u32)]) -> f64 {
    let price = |draw: u64| {
        let mut again = Match::blind(game, demand, seed).with_chances(Random::new(seed).fork(64 + draw).bits());
        again.follow(table, demand.len());
        again.spent()
    };
    (0..DRAWS).map(price).sum::<f64>() / DRAWS as f64
}
