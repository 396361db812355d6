//! What n replicas can do together: partitions make some counts useless, a shared queue does not.

use super::Work;
use crate::model::{Capacity, Scaling};

/// A count is useful when it can do this much more than every smaller one.
const USEFUL: f64 = 1.01;

/// Where no count is in time one is useful when its members together fall behind by less than this share of what those of
/// every smaller one do.
const LIGHTER: f64 = 0.9;

/// Counts more than this share above the one before are enough where every count is useful.
const SPACING: f64 = 1.04;
/// Counts looked at, at most.
const MOST: u32 = 10_000;

/// A partition is hot with this many times the mean share.
const HOT: f64 = 1.6;

/// Replicas of one rate over one kind of work.
#[derive(Clone, Debug)]
pub struct Fleet {
    rate: f64,
    /// Partition shares; empty: a shared queue.
    shares: Vec<f64>,
    /// Share of what waits per partition; empty: a shared queue.
    waits: Vec<f64>,
    /// Latency without load, seconds, of a shared queue of requests.
    unloaded: Option<f64>,
    /// What lies downstream takes at most, per second; infinite: no limit.
    ceiling: f64,
    /// What need not move stays where it is.
    sticky: bool,
    /// Owner of each partition now; empty: not known.
    owners: Vec<Option<u32>>,
    /// How what each does depends on how many work.
    scaling: Scaling,
}

impl Fleet {
    /// `rate`: what one replica is planned to do, per second.
    pub fn new(work: &Work, rate: f64) -> Self {
        let (shares, unloaded) = match work {
            Work::Log { shares, .. } => (normalised(shares), None),
            Work::Shared { unloaded } => (Vec::new(), Some(unloaded.max(0.0))),
            Work::Jobs => (Vec::new(), None),
        };
        let waits = match work {
            Work::Log { shares, waits } if waits.len() == shares.len() && waits.iter().any(|w| *w > 0.0) => {
                normalised(waits)
            }
            _ => shares.clone(),
        };
        Self {
            rate,
            shares,
            waits,
            unloaded,
            ceiling: f64::INFINITY,
            sticky: false,
            owners: Vec::new(),
            scaling: Scaling::default(),
        }
    }

    /// What is known of the replicas: the most that all together can do, and how what each does depends on their number.
    #[must_use]
    pub fn known(self, capacity: &Capacity) -> Self {
        let ceiling = capacity.ceiling.filter(|c| *c > 0.0).unwrap_or(f64::INFINITY);
        Self { scaling: capacity.scaling, ceiling, ..self }
    }

    /// With the way partitions are dealt. Owners that are not told for every partition are not used.
    #[must_use]
    pub fn dealt(mut self, sticky: bool, owners: &[Option<u32>]) -> Self {
        self.sticky = sticky;
        if sticky && owners.len() == self.shares.len() {
            self.owners = owners.to_vec();
        }
        self
    }

    /// Whether what need not move stays where it is.
    pub fn is_sticky(&self) -> bool {
        self.sticky
    }

    /// The most that all together can do, per second; infinite: no limit.
    pub fn ceiling(&self) -> f64 {
        self.ceiling
    }

    /// Share of the work that a change of the count stops.
    pub fn moved(&self, from: u32, to: u32) -> f64 {
        match (from.abs_diff(to), from.max(to)) {
            (0, _) => 0.0,
            (by, most) if self.sticky => f64::from(by) / f64::from(most),
            _ => 1.0,
        }
    }

    /// What one replica is planned to do, per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The same of each of so many, over that rate. Those without partitions do nothing, and hinder nobody.
    pub fn each(&self, replicas: u32) -> f64 {
        self.scaling.each(replicas.min(self.most()))
    }

    /// Share of the demand that each of `replicas` gets. Sticky, when the owners are known: everybody keeps up to a fair
    /// number of what they have, the rest goes round. Else partition p goes to replica p mod n, as the range and round
    /// robin assignors spread one topic. Empty for a shared queue.
    pub fn loads(&self, replicas: u32) -> Vec<f64> {
        self.gather(replicas, &self.shares)
    }

    /// Sums of something per partition over those of each member, by [`Fleet::deal`].
    pub(super) fn gather(&self, replicas: u32, of: &[f64]) -> Vec<f64> {
        let deal = self.deal(replicas);
        let members = deal.iter().max().map_or(0, |most| *most as usize + 1);
        let mut sums = vec![0.0; members];
        for (member, value) in deal.iter().zip(of) {
            sums[*member as usize] += value;
        }
        sums
    }

    /// Share of what waits per partition; empty: a shared queue.
    pub(super) fn waits(&self) -> &[f64] {
        &self.waits
    }

    /// Whose each partition is among `replicas`; empty for a shared queue or nobody.
    fn deal(&self, replicas: u32) -> Vec<u32> {
        let members = (replicas as usize).min(self.shares.len());
        let mut deal = vec![u32::MAX; if members == 0 { 0 } else { self.shares.len() }];
        if members == 0 {
            return deal;
        }
        // How many partitions each may still keep: those that have most one more, so that it does not move.
        let (each, more) = (self.shares.len() / members, self.shares.len() % members);
        let mut held = vec![0_usize; members];
        for owner in self.owners.iter().flatten() {
            if let Some(count) = held.get_mut(*owner as usize) {
                *count += 1;
            }
        }
        let mut order: Vec<usize> = (0..members).collect();
        order.sort_by_key(|m| std::cmp::Reverse(held.get(*m).copied().unwrap_or(0)));
        let mut room = vec![each; members];
        for m in order.into_iter().take(more) {
            room[m] += 1;
        }
        let mut homeless = Vec::new();
        for (p, member) in deal.iter_mut().enumerate() {
            let owner = self.owners.get(p).copied().flatten().map_or(members, |o| o as usize);
            match room.get_mut(owner) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    *member = owner as u32; // below the number of partitions
                }
                _ => homeless.push(p),
            }
        }
        if homeless.len() == self.shares.len() {
            for (p, member) in deal.iter_mut().enumerate() {
                *member = (p % members) as u32;
            }
            return deal;
        }
        let mut next = 0;
        for p in homeless {
            while room.get(next) == Some(&0) {
                next += 1;
            }
            // There is room for every partition.
            let member = next.min(members - 1);
            room[member] = room[member].saturating_sub(1);
            deal[p] = member as u32;
        }
        deal
    }

    /// Demand that `replicas` hold without any of them falling behind, per second.
    pub fn capacity(&self, replicas: u32) -> f64 {
        if self.shares.is_empty() {
            return (self.rate * self.each(replicas) * f64::from(replicas)).min(self.ceiling);
        }
        let heaviest = self.loads(replicas).into_iter().fold(0.0, f64::max);
        if heaviest > 0.0 { (self.rate * self.each(replicas) / heaviest).min(self.ceiling) } else { 0.0 }
    }

    /// What members fall behind by together at `demand`, per second, each on its own partitions.
    fn overload(&self, replicas: u32, demand: f64) -> f64 {
        let able = self.rate * self.each(replicas);
        self.loads(replicas).into_iter().map(|share| (demand * share - able).max(0.0)).sum()
    }

    /// Latency that load alone causes at `demand`, seconds; what is behind the backlog comes on top.
    pub fn latency(&self, replicas: u32, demand: f64) -> f64 {
        let Some(unloaded) = self.unloaded else { return 0.0 };
        let capacity = self.capacity(replicas);
        // At and above capacity the backlog tells the rest.
        let spare = if capacity > 0.0 { (1.0 - demand / capacity).max(0.02) } else { 0.02 };
        unloaded / spare
    }

    /// Whether `replicas` hold `demand` for good within the SLO.
    pub fn sustains(&self, replicas: u32, demand: f64, slo: f64) -> bool {
        demand <= self.capacity(replicas) && self.latency(replicas, demand) <= slo
    }

    /// The most replicas that can have work.
    pub fn most(&self) -> u32 {
        if self.shares.is_empty() { u32::MAX } else { u32::try_from(self.shares.len()).unwrap_or(u32::MAX) }
    }

    /// The partition with the largest share.
    pub fn hottest(&self) -> Option<(usize, f64)> {
        self.shares.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Partitions that lie with one member of `replicas`, and how many replicas they need together at `demand`: more than
    /// one, though dealt by their weight every member would hold its own. Nobody deals anew what need not move.
    pub(super) fn crowded(&self, replicas: u32, demand: f64) -> Option<(Vec<usize>, f64)> {
        if !self.sticky || self.owners.is_empty() || replicas >= self.most() {
            return None;
        }
        let able = self.rate * self.each(replicas) / demand;
        let (member, load) = self.loads(replicas).into_iter().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        if load <= able || self.lightest(replicas) > able {
            return None;
        }
        let deal = self.deal(replicas);
        let theirs: Vec<usize> = (0..deal.len()).filter(|p| deal[*p] as usize == member).collect();
        // Those that would move may be dealt otherwise than is thought here.
        let stay = theirs.iter().all(|p| self.owners[*p].is_some_and(|o| o as usize == member));
        stay.then_some((theirs, load / able))
    }

    /// The heaviest member's share where partitions are dealt by their weight, each member a fair number: the heaviest that
    /// is left goes to whoever has least.
    fn lightest(&self, replicas: u32) -> f64 {
        let room = self.shares.len().div_ceil((replicas as usize).max(1));
        let mut shares = self.shares.clone();
        shares.sort_by(|a, b| b.total_cmp(a));
        let mut members = vec![(0.0_f64, 0_usize); replicas as usize];
        for share in shares {
            let free = members.iter_mut().filter(|(_, held)| *held < room);
            if let Some((load, held)) = free.min_by(|a, b| a.0.total_cmp(&b.0)) {
                (*load, *held) = (*load + share, *held + 1);
            }
        }
        members.into_iter().map(|(load, _)| load).fold(0.0, f64::max)
    }

    /// Whether one partition has far more than the others: what waits for it stays with one replica for long.
    pub(super) fn is_hot(&self) -> bool {
        self.hottest().is_some_and(|(_, share)| share * self.shares.len() as f64 >= HOT)
    }

    /// Counts from `min` to `max` that can do more than every smaller one, up to twice what `peak` within the SLO takes.
    ///
    /// With equal shares over P partitions these are {⌈P/k⌉}: of 21 to 39 consumers over 40 partitions some still read
    /// two, so that they hold no more than 20 do. Where every count is useful, as of a shared queue, large ones are a few
    /// per cent apart.
    pub fn useful(&self, min: u32, max: u32, peak: f64, slo: f64) -> Vec<u32> {
        let last = max.min(self.most()).min(min.saturating_add(MOST));
        let mut enough = None;
        let mut best = 0.0;
        let mut counts = Vec::new();
        for n in min..=last {
            let capacity = self.capacity(n);
            if enough.is_none() && self.sustains(n, peak, slo) {
                enough = Some(n);
            }
            let spaced = counts.last().is_none_or(|before| f64::from(n) >= f64::from(*before) * SPACING);
            if (capacity > best * USEFUL && (spaced || enough == Some(n))) || (n == 0 && min == 0) {
                best = capacity;
                counts.push(n);
            }
            if enough.is_some_and(|e| n >= e.saturating_mul(2).saturating_add(2)) {
                break;
            }
        }
        counts
    }

    /// Counts from `min` to `max` at which members fall behind by clearly less together at `demand` than at every smaller
    /// one. Once the heaviest partition has a replica to itself no count holds more; more of them still keep the others
    /// from falling behind with it.
    pub(super) fn lighter(&self, min: u32, max: u32, demand: f64) -> Vec<u32> {
        let mut least = f64::INFINITY;
        let lighter = |n: &u32| {
            let over = self.overload(*n, demand);
            let clearly = over < LIGHTER * least - 0.1 * self.rate;
            least = least.min(over);
            clearly
        };
        (min..=max.min(self.most()).min(min.saturating_add(MOST))).filter(lighter).collect()
    }
}

/// Shares that sum to 1; equal ones where nothing is known or nothing flows.
fn normalised(shares: &[f64]) -> Vec<f64> {
    let clean: Vec<f64> = shares.iter().map(|s| if s.is_finite() { s.max(0.0) } else { 0.0 }).collect();
    let sum: f64 = clean.iter().sum();
    if sum > 0.0 {
        clean.into_iter().map(|s| s / sum).collect()
    } else {
        vec![1.0 / shares.len().max(1) as f64; shares.len()]
    }
}
