//! Steps in which nothing waits: made without work per partition, so that a day of the arena takes milliseconds.

use super::{Group, STEP, Topic};

impl Group {
    /// The topic's shares changed: what the group holds is found anew.
    pub(in crate::simulate) fn shares_changed(&mut self) {
        self.holds = None;
    }

    /// Commits are left out from now on: half the work, where nobody sees them and nobody crashes.
    pub(in crate::simulate) fn leave_commits_out(&mut self) {
        self.unseen = true;
    }

    /// One step of arrivals at `rate` in which everything is processed as it comes: nothing is unread, nobody is
    /// overloaded, nobody joins, no rebalance. Most of a day is like that, and costs next to nothing. False: it is not such
    /// a step, and nothing was done. What arrived is deferred: see [`Group::land`].
    pub(in crate::simulate) fn coast(&mut self, topic: &mut Topic, rate: f64) -> bool {
        let holds = self.holds.unwrap_or_else(|| self.holding(topic.shares()));
        self.holds = Some(holds);
        let busy = self.rebalance.is_some() || self.starting.iter().any(|s| s.ready_in <= STEP);
        if !self.caught_up || busy || rate > holds || rate > self.ceiling {
            return false;
        }
        for starting in &mut self.starting {
            starting.ready_in -= STEP;
        }
        topic.defer(rate);
        self.processed += rate.max(0.0) * STEP;
        if !self.unseen && self.commits_due() {
            for (p, reading) in self.readings.iter_mut().enumerate() {
                if reading.owner.is_some_and(|o| self.due.get(o) == Some(&true)) {
                    reading.committed = topic.end(p);
                }
            }
        }
        true
    }

    /// Whether everything that had arrived by the last step was processed in it.
    pub(in crate::simulate) fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Whether two groups are settled, with nothing unread, and alike in everything that what follows depends on, commits aside.
    pub(in crate::simulate) fn goes_on_like(&self, other: &Self) -> bool {
        let settled = |g: &Self| {
            let silent = g.consumers.iter().any(|c| c.silence.is_some());
            g.caught_up && g.rebalance.is_none() && g.starting.is_empty() && !silent
        };
        settled(self)
            && settled(other)
            && self.consumers.len() == other.consumers.len()
            && self.consumers.iter().zip(&other.consumers).all(|(a, b)| a.rate.total_cmp(&b.rate).is_eq())
            && self.readings.iter().zip(&other.readings).all(|(a, b)| a.owner == b.owner)
    }

    /// Ends a spell of [`Group::coast`]: ends and positions are what they would be had each step been made in full. To be
    /// called before anything else is done with the group or read of it.
    pub(in crate::simulate) fn land(&mut self, topic: &mut Topic) {
        if topic.settle() {
            for (reading, end) in self.readings.iter_mut().zip(topic.ends()) {
                reading.position = *end;
            }
        }
    }

    /// Arrivals per second that no consumer falls behind with, by the shares of the partitions it owns.
    fn holding(&self, shares: &[f64]) -> f64 {
        if self.consumers.iter().any(|c| c.silence.is_some()) {
            return -1.0;
        }
        let mut loads = vec![0.0; self.consumers.len()];
        for (reading, share) in self.readings.iter().zip(shares) {
            match reading.owner.and_then(|o| loads.get_mut(o)) {
                Some(load) if !reading.stuck => *load += share,
                _ => return -1.0,
            }
        }
        let able = self.consumers.iter().zip(&loads).filter(|(_, load)| **load > 0.0);
        able.map(|(c, load)| c.rate * self.each() / load).fold(f64::INFINITY, f64::min)
    }
}
