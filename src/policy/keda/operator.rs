//! What KEDA's operator does to the count itself: it wakes, puts to sleep, and obeys its pause annotations. Between `min`
//! and `max` the HPA decides (`pkg/scaling/executor/scale_scaledobjects.go`, `RequestScale`).

use crate::model::{Fallback, Holds, ScaledObject, Time};

/// What the triggers say together at a poll (`getScaledObjectState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// At least one is active: its metric, or the fallback that stands in for it.
    pub active: bool,
    /// At least one could not be read, and no fallback stands in.
    pub failed: bool,
}

/// The operator's loop over one ScaledObject, with what it remembers. A new one stands for an object made just now.
#[derive(Clone, Debug)]
pub struct Operator {
    min: u32,
    idle: Option<u32>,
    polling: f64,
    cooldown: f64,
    initial_cooldown: f64,
    fallback: Option<Fallback>,
    holds: Holds,
    made: Option<Time>,
    last_active: Option<Time>,
    next_poll: Option<Time>,
    pinned: bool,
}

impl Operator {
    /// The loop of this object.
    pub fn new(object: &ScaledObject) -> Self {
        Self {
            min: object.min,
            idle: object.idle,
            polling: object.polling,
            cooldown: object.cooldown,
            initial_cooldown: object.initial_cooldown,
            fallback: object.fallback,
            holds: object.holds,
            made: None,
            last_active: None,
            next_poll: None,
            pinned: false,
        }
    }

    /// What happens at `now` with the count as it stands; `None`: the HPA decides. `poll` asks the triggers, where it is
    /// time to.
    ///
    /// Between two polls the operator does nothing, but what it holds stays held: while it is paused there is no HPA, and
    /// at zero the HPA is disabled.
    pub fn look(&mut self, now: Time, current: u32, poll: impl FnOnce() -> Activity) -> Option<(u32, &'static str)> {
        let made = *self.made.get_or_insert(now);
        if self.holds.stopped {
            return Some(self.stopped(current));
        }
        if self.next_poll.is_none_or(|next| now >= next) {
            self.next_poll = Some(now.plus(self.polling));
            let activity = poll();
            let written = if activity.active || self.holds.active {
                self.active(now, current, activity.failed)
            } else {
                self.inactive(now, current, activity.failed, made)
            };
            if written.is_some() {
                return written;
            }
        }
        (current == 0).then_some((0, "ScaledToZero"))
    }

    /// `paused-replicas` sets the count once and is no pin: what is written afterwards stays.
    fn stopped(&mut self, current: u32) -> (u32, &'static str) {
        let set = self.holds.replicas.filter(|_| !std::mem::replace(&mut self.pinned, true));
        (set.unwrap_or(current), "Paused")
    }

    fn active(&mut self, now: Time, current: u32, failed: bool) -> Option<(u32, &'static str)> {
        if current == 0 || (self.idle.is_some() && current < self.min) {
            if self.holds.scale_out {
                return None;
            }
            self.last_active = Some(now);
            return Some((self.min.max(1), "ScaledFromZero"));
        }
        if !failed {
            self.last_active = Some(now);
        }
        None
    }

    fn inactive(&self, now: Time, current: u32, failed: bool, made: Time) -> Option<(u32, &'static str)> {
        // A failed look never puts to sleep, unless a fallback of zero says so.
        if failed && self.fallback.is_none_or(|f| f.replicas != 0) {
            return None;
        }
        let to_idle = self.idle.is_some_and(|idle| current > idle);
        if to_idle || (current > 0 && self.min == 0) {
            if self.holds.scale_in {
                return None;
            }
            // An object that was never active waits for its initial cooldown only.
            let over = match self.last_active {
                Some(last) => now.since(last) > self.cooldown,
                None => now.since(made) >= self.initial_cooldown,
            };
            let idle = self.idle.unwrap_or(0);
            return over.then_some((idle, if idle == 0 { "ScaledToZero" } else { "ScaledToIdle" }));
        }
        (self.idle.is_none() && current < self.min).then_some((self.min, "TooFewReplicas"))
    }
}
