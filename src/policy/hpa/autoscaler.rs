//! From a proposal to the count that is written: stabilisation windows, rates and bounds, and the memory they need.

use super::Controller;
use crate::model::{HpaBehavior as Behavior, ScalingRules as Rules, ScalingUnit as Kind, SelectPolicy as Select, Time};

/// `minReplicas`, `maxReplicas` and `behavior` of an HPA.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// `spec.minReplicas` (1 when absent).
    pub min: u32,
    /// `spec.maxReplicas`.
    pub max: u32,
    /// `spec.behavior`; `None` takes another path than the defaulted behavior: see [`Autoscaler::sync`].
    pub behavior: Option<Behavior>,
}

/// A direction of scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More.
    Up,
    /// Fewer.
    Down,
}

/// What one sync decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What `spec.replicas` is after this sync.
    pub replicas: u32,
    /// Upstream's condition reason for it.
    pub reason: &'static str,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    at: Time,
    change: u32,
}

/// The controller's memory of one HPA. Feed it each sync in order; a new one stands for a controller that just started.
#[derive(Clone, Debug, Default)]
pub struct Autoscaler {
    recommendations: Vec<(Time, u32)>,
    ups: Vec<Event>,
    downs: Vec<Event>,
}

impl Autoscaler {
    /// One sync at `now` with `spec.replicas` as it stands and the metrics' proposal: the count that is written.
    ///
    /// An unreadable proposal holds the count and remembers nothing, so an outage as long as the window forgets the
    /// peak before it. Without `behavior` a rise is at most to `max(2 × current, 4)` *per sync*; with the defaulted
    /// `behavior` it is 4 pods or 100 % *per 15 s* (`normalizeDesiredReplicas`, `…WithBehaviors`).
    pub fn sync(
        &mut self,
        now: Time,
        spec_replicas: u32,
        proposal: &Result<u32, String>,
        bounds: &Bounds,
        controller: &Controller,
    ) -> Decision {
        if self.recommendations.is_empty() {
            self.recommendations.push((now, spec_replicas)); // protects from a scale-down right after a restart
        }
        let held = |reason| Decision { replicas: spec_replicas, reason };
        let decision = if spec_replicas == 0 && bounds.min != 0 {
            return held("ScalingDisabled");
        } else if spec_replicas > bounds.max {
            Decision { replicas: bounds.max, reason: "TooManyReplicas" }
        } else if spec_replicas < bounds.min {
            Decision { replicas: bounds.min, reason: "TooFewReplicas" }
        } else {
            let Ok(proposal) = *proposal else { return held("FailedGetMetrics") };
            match &bounds.behavior {
                None => self.normalise(now, spec_replicas, proposal, bounds, controller),
                Some(b) => self.normalise_with(now, spec_replicas, proposal, bounds, b, controller),
            }
        };
        if let Some(behavior) = &bounds.behavior {
            self.remember_event(now, spec_replicas, decision.replicas, behavior);
        }
        decision
    }

    fn normalise(
        &mut self,
        now: Time,
        current: u32,
        desired: u32,
        bounds: &Bounds,
        controller: &Controller,
    ) -> Decision {
        let cutoff = now.plus(-controller.downscale_stabilization);
        self.recommendations.retain(|(at, _)| *at >= cutoff);
        let highest = self.recommendations.iter().map(|(_, n)| *n).fold(desired, u32::max);
        self.recommendations.push((now, desired));
        let up_limit = current.saturating_mul(2).max(4);
        if highest < bounds.min {
            Decision { replicas: bounds.min, reason: "TooFewReplicas" }
        } else if highest > bounds.max.min(up_limit) {
            let reason = if bounds.max > up_limit { "ScaleUpLimit" } else { "TooManyReplicas" };
            Decision { replicas: bounds.max.min(up_limit), reason }
        } else {
            Decision { replicas: highest, reason: stabilised(highest, desired) }
        }
    }

    fn normalise_with(
        &mut self,
        now: Time,
        current: u32,
        desired: u32,
        bounds: &Bounds,
        behavior: &Behavior,
        controller: &Controller,
    ) -> Decision {
        let count = self.stabilise(now, current, desired, behavior, controller);
        if count > current {
            let limit = self.limit(now, current, &behavior.up, Direction::Up).max(i64::from(current));
            let most = i64::from(bounds.max).min(limit);
            if i64::from(count) > most {
                let reason = if i64::from(bounds.max) > limit { "ScaleUpLimit" } else { "TooManyReplicas" };
                return Decision { replicas: most as u32, reason };
            }
        } else if count < current {
            let limit = self.limit(now, current, &behavior.down, Direction::Down).min(i64::from(current));
            let least = i64::from(bounds.min).max(limit);
            if i64::from(count) < least {
                let reason = if i64::from(bounds.min) < limit { "ScaleDownLimit" } else { "TooFewReplicas" };
                return Decision { replicas: least as u32, reason };
            }
        }
        Decision { replicas: count, reason: stabilised(count, desired) }
    }

    /// `stabilizeRecommendationWithBehaviors`: up to the least of the up window, down to the most of the down window.
    fn stabilise(
        &mut self,
        now: Time,
        current: u32,
        desired: u32,
        behavior: &Behavior,
        controller: &Controller,
    ) -> u32 {
        let up_cutoff = now.plus(-behavior.up.window.unwrap_or(0.0));
        let down_cutoff = now.plus(-behavior.down.window.unwrap_or(controller.downscale_stabilization));
        let within = |cutoff: Time| self.recommendations.iter().filter(move |(at, _)| *at > cutoff).map(|(_, n)| *n);
        let floor = within(up_cutoff).fold(desired, u32::min);
        let ceiling = within(down_cutoff).fold(desired, u32::max);
        self.recommendations.retain(|(at, _)| *at >= up_cutoff.min(down_cutoff));
        self.recommendations.push((now, desired));
        current.max(floor).min(ceiling)
    }

    /// What the policies allow in one direction (`calculateScaleUpLimitWithScalingRules`, `…DownLimit…`).
    fn limit(&self, now: Time, current: u32, rules: &Rules, direction: Direction) -> i64 {
        let changed = |events: &[Event], period: f64| -> i64 {
            let cutoff = now.plus(-period);
            events.iter().filter(|e| e.at > cutoff).map(|e| i64::from(e.change)).sum()
        };
        let allowed = rules.policies.iter().map(|p| {
            let start = i64::from(current) - changed(&self.ups, p.period) + changed(&self.downs, p.period);
            let share = f64::from(p.value) / 100.0;
            match (direction, p.kind) {
                (Direction::Up, Kind::Pods) => start + i64::from(p.value),
                (Direction::Up, Kind::Percent) => (start as f64 * (1.0 + share)).ceil() as i64,
                (Direction::Down, Kind::Pods) => start - i64::from(p.value),
                (Direction::Down, Kind::Percent) => (start as f64 * (1.0 - share)) as i64, // truncates
            }
        });
        // The largest change is the highest count on the way up and the lowest on the way down.
        let chosen = match (rules.select, direction) {
            (Select::Disabled, _) => None,
            (Select::Max, Direction::Up) | (Select::Min, Direction::Down) => allowed.max(),
            (Select::Min, Direction::Up) | (Select::Max, Direction::Down) => allowed.min(),
        };
        chosen.unwrap_or_else(|| i64::from(current))
    }

    /// `storeScaleEvent`: the newest event takes the slot of one that is older than its own direction's longest period,
    /// although the other direction's policies may still have looked at it.
    fn remember_event(&mut self, now: Time, before: u32, after: u32, behavior: &Behavior) {
        let (events, rules) = match after.cmp(&before) {
            std::cmp::Ordering::Greater => (&mut self.ups, &behavior.up),
            std::cmp::Ordering::Less => (&mut self.downs, &behavior.down),
            std::cmp::Ordering::Equal => return,
        };
        let longest = rules.policies.iter().map(|p| p.period).fold(0.0, f64::max);
        let cutoff = now.plus(-longest);
        let event = Event { at: now, change: after.abs_diff(before) };
        match events.iter_mut().rev().find(|e| e.at < cutoff) {
            Some(old) => *old = event,
            None => events.push(event),
        }
    }
}

fn stabilised(count: u32, desired: u32) -> &'static str {
    match count.cmp(&desired) {
        std::cmp::Ordering::Greater => "ScaleDownStabilized",
        std::cmp::Ordering::Less => "ScaleUpStabilized",
        std::cmp::Ordering::Equal => "ReadyForNewScale",
    }
}
