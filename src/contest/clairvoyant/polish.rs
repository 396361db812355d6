//! A timetable is improved move by move, by annealing: early on, moves that cost a little are taken as well.
//!
//! A move is played from the last copy of the game before it until the game goes on as it did without the move, so that
//! most moves are played for minutes, not for a day. The difference of what was spent is exact where nobody crashes: when
//! the last commits fell, on which what a crash reads again depends, is not compared. The best is played once more in full.

use crate::simulate::{
    Random,
    arena::{Game, Match},
};

/// A change: seconds, and the count from then on.
type Change = (f64, u32);

/// Seconds between the copies of a game that moves are played from.
const APART: usize = 300;
/// A move that has lost so much when its last change is behind is given up.
const HOPELESS: f64 = 0.5;
/// Seconds by which a move shifts changes.
const SHIFTS: [f64; 8] = [15.0, 15.0, 30.0, 45.0, 60.0, 120.0, 300.0, 900.0];
/// Longest insertion of another count, and of another timetable's part, seconds.
const PULSE: f64 = 1_800.0;
const PART: f64 = 7_200.0;
/// What a move may cost at first, as a share of the price; it falls to nothing.
const WARMTH: f64 = 1.5e-4;

/// A day as it is played by a timetable.
struct Course<'a> {
    demand: usize,
    /// Copies of the game every [`APART`] seconds, and its end.
    kept: Vec<Match<'a>>,
    /// What each copy has spent by the present timetable: a copy's own account may be from before an earlier move.
    spent: Vec<f64>,
    table: Vec<Change>,
}

/// A move that was played.
struct Tried<'a> {
    table: Vec<Change>,
    /// First copy that differs, and those from there on until it goes on as before.
    from: usize,
    kept: Vec<Match<'a>>,
    gain: f64,
}

/// The cheapest timetable met on `moves` moves from `table`. `others`: timetables of which parts may be taken.
pub(super) fn polish(
    game: &Game,
    demand: &[f64],
    seed: u64,
    moves: usize,
    table: &[Change],
    others: &[Vec<Change>],
) -> Vec<Change> {
    let mut random = Random::new(seed).fork(4);
    let moves_of = Moves { game, others, scrape: game.scrape.round().max(1.0), length: demand.len() as f64 };
    let mut course = Course::new(Match::blind(game, demand, seed), table.to_vec(), demand.len());
    let mut best = (course.price(), course.table.clone());
    let heat = course.price() * WARMTH;
    for i in 0..moves {
        let next = moves_of.vary(&course.table, &mut random);
        let Some(tried) = course.attempt(next) else { continue };
        // The last third only descends.
        let warmth = heat * (1.0 - 1.5 * i as f64 / moves as f64).max(0.0);
        if tried.gain > warmth * (random.unit() + f64::MIN_POSITIVE).ln() && tried.gain.abs() > 1e-9 {
            course.take(tried);
            if course.price() < best.0 - 1e-9 {
                best = (course.price(), course.table.clone());
            }
        }
        if i == moves * 2 / 3 {
            course = Course::new(Match::blind(game, demand, seed), best.1.clone(), demand.len());
        }
    }
    best.1
}

impl<'a> Course<'a> {
    fn new(first: Match<'a>, table: Vec<Change>, demand: usize) -> Self {
        let mut kept = vec![first];
        while let Some(last) = kept.last().filter(|m| m.second() < demand) {
            let mut next = last.clone();
            next.follow(&table, (last.second() + APART).min(demand));
            kept.push(next);
        }
        let spent = kept.iter().map(Match::spent).collect();
        Self { demand, kept, spent, table }
    }

    fn price(&self) -> f64 {
        self.spent.last().copied().unwrap_or(0.0)
    }

    /// Plays another timetable as far as it makes a difference.
    fn attempt(&self, table: Vec<Change>) -> Option<Tried<'a>> {
        let (first, last) = differ(&self.table, &table)?;
        let from = ((first as usize).saturating_sub(1) / APART).min(self.kept.len().saturating_sub(2));
        let (mut now, begun) = (self.kept.get(from)?.clone(), *self.spent.get(from)?);
        let before = now.spent();
        let mut kept = Vec::new();
        loop {
            let next = from + 1 + kept.len();
            now.follow(&table, (now.second() + APART).min(self.demand));
            let (old, spent) = (self.kept.get(next)?, *self.spent.get(next)?);
            let gain = (spent - begun) - (now.spent() - before);
            let over = now.second() >= self.demand;
            let settled = now.second() > last as usize && now.goes_on_like(old);
            kept.push(now.clone());
            if over || settled {
                return Some(Tried { table, from: from + 1, kept, gain });
            }
            // From here on both ask for the same counts: what is lost already does not come back.
            if now.second() > last as usize && gain < -HOPELESS {
                return None;
            }
        }
    }

    fn take(&mut self, tried: Tried<'a>) {
        let Tried { table, from, kept, gain } = tried;
        let until = from + kept.len();
        let (begun, mut before) = match from.checked_sub(1) {
            Some(i) => (self.spent[i], self.kept[i].spent()),
            None => (0.0, 0.0),
        };
        let mut spent = begun;
        for (i, copy) in kept.into_iter().enumerate() {
            spent += copy.spent() - before;
            before = copy.spent();
            self.spent[from + i] = spent;
            self.kept[from + i] = copy;
        }
        for later in self.spent.iter_mut().skip(until) {
            *later -= gain;
        }
        self.table = table;
    }
}

/// The first and the last instant at which two timetables differ.
fn differ(one: &[Change], two: &[Change]) -> Option<(f64, f64)> {
    let same = |(a, b): &(&Change, &Change)| a == b;
    let head = one.iter().zip(two).take_while(same).count();
    let tail = one.iter().rev().zip(two.iter().rev()).take_while(same).count();
    let tail = tail.min(one.len() - head).min(two.len() - head);
    let (one, two) = (&one[head..one.len() - tail], &two[head..two.len() - tail]);
    let times = || one.iter().chain(two).map(|c| c.0.max(0.0));
    let first = times().fold(f64::INFINITY, f64::min);
    (first < f64::INFINITY).then(|| (first, times().fold(0.0, f64::max)))
}

/// Makes random moves.
struct Moves<'a> {
    game: &'a Game,
    /// Timetables of which parts may be taken.
    others: &'a [Vec<Change>],
    /// Seconds between two looks, and of the whole day.
    scrape: f64,
    length: f64,
}

impl Moves<'_> {
    /// One random move.
    fn vary(&self, table: &[Change], random: &mut Random) -> Vec<Change> {
        let mut next = table.to_vec();
        let pick = random.between(0.0, next.len().max(1) as f64) as usize;
        let kind = random.unit();
        if next.is_empty() || kind > 0.8 {
            self.insert(&mut next, kind, random);
        } else {
            self.alter(&mut next, pick, kind, random);
        }
        next.sort_by(|a, b| a.0.total_cmp(&b.0));
        tidy(&mut next, self.game.start);
        next
    }

    /// Something new at a random instant.
    fn insert(&self, next: &mut Vec<Change>, kind: f64, random: &mut Random) {
        let t = self.on_look(random.between(0.0, self.length));
        if kind > 0.95 && !self.others.is_empty() {
            // Another timetable's part.
            let end = self.on_look(t + random.between(0.0, PART));
            let theirs = &self.others[random.between(0.0, self.others.len() as f64) as usize % self.others.len()];
            let after = self.count_at(next, end);
            next.retain(|(at, _)| !(t..=end).contains(at));
            next.push((t, self.count_at(theirs, t)));
            next.extend(theirs.iter().filter(|(at, _)| (t + self.scrape..end).contains(at)));
            next.push((end, after));
        } else if kind > 0.87 {
            // Another count for a while.
            let end = self.on_look(t + random.between(self.scrape, PULSE));
            let after = self.count_at(next, end);
            next.retain(|(at, _)| !(t..=end).contains(at));
            let n = self.other(self.count_at(next, t), random);
            next.extend([(t, n), (end, after)]);
        } else {
            // Another count until the next change.
            let n = self.other(self.count_at(next, t), random);
            next.push((t, n));
        }
    }

    /// One of the present changes at another time, to another count, away, or in two steps.
    fn alter(&self, next: &mut Vec<Change>, pick: usize, kind: f64, random: &mut Random) {
        if kind < 0.35 {
            next[pick].0 = self.on_look(next[pick].0 + shift(random));
        } else if kind < 0.43 {
            // Neighbours together.
            let by = shift(random);
            for entry in next.iter_mut().skip(pick).take(2) {
                entry.0 = self.on_look(entry.0 + by);
            }
        } else if kind < 0.63 {
            next[pick].1 = self.other(next[pick].1, random);
            if random.unit() < 0.3 {
                next[pick].0 = self.on_look(next[pick].0 + shift(random));
            }
        } else if kind < 0.73 {
            next.remove(pick);
        } else {
            // In two steps.
            let (t, n) = next[pick];
            let before = self.count_at(next, t - self.scrape);
            let part = random.between(0.0, 1.0) * (f64::from(n) - f64::from(before));
            let between = (part + f64::from(before)).round() as u32;
            let away = shift(random);
            if away > 0.0 {
                next[pick].1 = between;
                next.push((self.on_look(t + away), n));
            } else {
                next.push((self.on_look(t + away), between));
            }
        }
    }

    fn on_look(&self, t: f64) -> f64 {
        ((t / self.scrape).round() * self.scrape).clamp(self.scrape, self.length.max(self.scrape))
    }

    fn count_at(&self, table: &[Change], t: f64) -> u32 {
        let before = table.partition_point(|(at, _)| *at <= t).checked_sub(1);
        before.and_then(|i| table.get(i)).map_or(self.game.start, |(_, n)| *n)
    }

    /// Another count, more often a near one.
    fn other(&self, n: u32, random: &mut Random) -> u32 {
        let by = 1 + random.between(0.0, 4.0).min(random.between(0.0, 4.0)) as u32;
        let moved = if random.unit() < 0.5 { n.saturating_sub(by) } else { n.saturating_add(by) };
        moved.max(self.game.limits.min).min(self.game.limits.max)
    }
}

/// Seconds to shift a change by.
fn shift(random: &mut Random) -> f64 {
    let by = SHIFTS[random.between(0.0, SHIFTS.len() as f64) as usize % SHIFTS.len()];
    if random.unit() < 0.5 { -by } else { by }
}

/// Leaves out what changes nothing: of several at one instant only the last counts.
fn tidy(table: &mut Vec<Change>, start: u32) {
    let mut kept: Vec<Change> = Vec::with_capacity(table.len());
    for (t, n) in table.drain(..) {
        while kept.last().is_some_and(|(at, _)| *at >= t) {
            kept.pop();
        }
        if kept.last().map_or(start, |(_, n)| *n) != n {
            kept.push((t, n));
        }
    }
    *table = kept;
}
