//! A price that no timetable can go below on this demand.
//!
//! The day is cut into spans of constant count. Within a span each consumer falls behind on its own partitions alone;
//! between spans what is unread is dealt out anew as is best, and is rounded down. Pods that start are paid, but are
//! there at once. Within a slot the least backlog and the highest demand count.
//!
//! It is a bound where the protocol is eager, partition p is read by consumer p mod n, shares are constant, consumers equal
//! (however many they are) and nobody leaves by himself, and there for changes that take effect at the edges of slots: a member that joins between two
//! shifts its pause by some seconds, which may be worth something where demand jumps. Elsewhere, and where a sticky
//! assignment depends on the past, it is an estimate of one.

use super::Foreseen;

/// Seconds of one slot.
pub const SLOT: usize = 15;
/// Backlogs that are told apart where a span begins: 0 to 10 s of mean demand by one, then by an eighth to 20 minutes.
/// Fine, because a change rounds down: with a coarse grid it would be the cheapest way to be rid of a backlog.
const LEVELS: usize = 51;
const BY_ONE: usize = 10;
const BY: f64 = 1.125;

/// What happens in one slot.
struct Slot {
    /// Records that arrive.
    arrives: f64,
    /// Lowest demand in it, per second.
    low: f64,
    /// Highest, as far as time lag is told by it.
    peak: f64,
}

/// The bound, in the currency of the prices.
pub fn lower_bound(foreseen: &Foreseen<'_>) -> f64 {
    let slot = |s: &[f64]| Slot {
        arrives: s.iter().sum(),
        low: s.iter().copied().fold(f64::INFINITY, f64::min),
        peak: s.iter().copied().fold(foreseen.least, f64::max),
    };
    let slots: Vec<Slot> = foreseen.demand.chunks(SLOT).map(slot).collect();
    let mean = foreseen.demand.iter().sum::<f64>() / foreseen.demand.len().max(1) as f64;
    let levels = levels(mean);
    let counts = foreseen.counts();
    let (k, b) = (counts.len(), levels.len());
    // `kept[t][n][b]`: from slot t on with count n and backlog b, dealt out anew; `left[n][b]`: away from n at slot t.
    let mut kept = vec![0.0; (slots.len() + 1) * k * b];
    let mut away = vec![f64::INFINITY; (slots.len() + 1) * k * b];
    let pause = if foreseen.eager { foreseen.rebalance } else { 0.0 };
    let loads: Vec<Vec<f64>> = counts.iter().map(|n| foreseen.loads(*n)).collect();
    let mut arrived = vec![0.0; k * b];
    for t in (0..slots.len()).rev() {
        for i in 0..k {
            let span = Span { foreseen, slots: &slots, levels: &levels, loads: &loads[i], count: counts[i] };
            let tables = Tables { kept: &kept, away: &away, row: i * b, width: k * b };
            let from_here = span.best(t, 0.0, &tables);
            let after_pause = if pause > 0.0 { span.best(t, pause, &tables) } else { from_here };
            kept[(t * k + i) * b..][..b].copy_from_slice(&from_here);
            arrived[i * b..][..b].copy_from_slice(&after_pause);
        }
        for i in 0..k {
            for j in 0..b {
                let others = (0..k).filter(|o| *o != i);
                let prices = others.map(|o| foreseen.change(counts[i], counts[o]) + arrived[o * b + j]);
                away[(t * k + i) * b + j] = prices.fold(f64::INFINITY, f64::min);
            }
        }
    }
    match counts.iter().position(|n| *n == foreseen.start) {
        Some(start) => kept[start * b].min(away[start * b]),
        // More consumers than partitions at first: nobody stands still because the idle ones go, so no pause is counted.
        None => kept[..k * b].iter().step_by(b).copied().fold(f64::INFINITY, f64::min),
    }
}

/// Backlogs on the grid, rising from 0.
fn levels(mean: f64) -> [f64; LEVELS] {
    std::array::from_fn(|i| {
        let further = i.saturating_sub(BY_ONE);
        mean * i.min(BY_ONE) as f64 * BY.powf(further as f64)
    })
}

/// What is known of later slots, for one count.
struct Tables<'a> {
    kept: &'a [f64],
    away: &'a [f64],
    row: usize,
    width: usize,
}

/// A span of one count.
struct Span<'a> {
    foreseen: &'a Foreseen<'a>,
    slots: &'a [Slot],
    levels: &'a [f64; LEVELS],
    loads: &'a [f64],
    count: u32,
}

impl Span<'_> {
    /// The least price of a span that begins at slot `t` with each carried backlog, and of all that follows it.
    fn best(&self, t: usize, pause: f64, later: &Tables<'_>) -> [f64; LEVELS] {
        let together = self.foreseen.together(self.count) * SLOT as f64;
        let each = self.foreseen.each(self.count) * SLOT as f64;
        let pods = f64::from(self.count) * SLOT as f64 / 3600.0 * self.foreseen.price.pod_hour;
        let mut best = [f64::INFINITY; LEVELS];
        let mut spent = [0.0; LEVELS];
        let mut open = [true; LEVELS];
        // Each consumer's own backlog since the span began, and that of all together from what was carried.
        let mut own = vec![0.0; self.loads.len()];
        let mut all = *self.levels;
        for (s, slot) in self.slots.iter().enumerate().skip(t) {
            // Time that the pause leaves in this slot.
            let gone = (s - t) as f64 * SLOT as f64;
            let works = 1.0 - ((pause - gone) / SLOT as f64).clamp(0.0, 1.0);
            // What the backlog falls to within the slot: it drains at most as fast as at the slot's lowest demand.
            let dip = |backlog: f64, able: f64, share: f64| {
                (backlog - works * (able - share * slot.low * SLOT as f64).max(0.0)).max(0.0)
            };
            let mut sum_low = 0.0;
            let mut sum = 0.0;
            for (backlog, share) in own.iter_mut().zip(self.loads) {
                let low = dip(*backlog, each, *share);
                *backlog = (*backlog + share * slot.arrives - each * works).max(0.0);
                sum_low += low.min(*backlog);
                sum += *backlog;
            }
            let next = (s + 1) * later.width + later.row;
            let mut any = false;
            for j in 0..LEVELS {
                if !open[j] {
                    continue;
                }
                let low = dip(all[j], together, 1.0);
                all[j] = (all[j] + slot.arrives - together * works).max(0.0);
                let after = all[j].max(sum);
                let low = low.min(all[j]).max(sum_low);
                spent[j] += pods + self.foreseen.severity(low / slot.peak) * SLOT as f64 / 60.0;
                let level = self.levels.partition_point(|l| *l <= after).saturating_sub(1);
                let (stay, go) = (spent[j] + later.kept[next + level], spent[j] + later.away[next + level]);
                if s + 1 == self.slots.len() {
                    best[j] = best[j].min(spent[j]);
                } else {
                    best[j] = best[j].min(go);
                }
                // With nothing unread a new span would begin as this one goes on; and a new one is never dearer, so
                // that there is nothing to gain once it is.
                if after <= 0.0 {
                    best[j] = best[j].min(stay);
                }
                open[j] = after > 0.0 && stay < best[j] && s + 1 < self.slots.len();
                any |= open[j];
            }
            if !any {
                break;
            }
        }
        best
    }
}
