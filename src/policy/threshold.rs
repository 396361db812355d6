//! The rule that many run by hand: add above 80 % CPU or over a lag, remove below 30 % when it stays there.

use crate::model::Limits;

/// The rule's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Adds above this CPU utilisation, ratio.
    pub up: f64,
    /// Removes when every sample of the window is below this, ratio.
    pub down: f64,
    /// Share of the present count added or removed at once; at least one.
    pub step: f64,
}

impl Default for Rule {
    fn default() -> Self {
        Self { up: 0.8, down: 0.3, step: 0.1 }
    }
}

/// What the rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Present count.
    pub current: u32,
    /// CPU utilisation over the window that "stays" means, oldest first, ratios; gaps are `None`.
    pub cpu: &'a [Option<f64>],
    /// How far behind, seconds, and the limit for it.
    pub behind: Option<(f64, f64)>,
}

/// The count the rule asks for; `None` when it has nothing to look at. A gap within the window prevents a removal.
///
/// ```
/// use highwater::{model::Limits, policy::threshold::{Rule, Seen, replicas}};
/// let limits = Limits { min: 1, max: 30 };
/// let seen = |cpu| Seen { current: 10, cpu, behind: Some((4.0, 30.0)) };
/// assert_eq!(replicas(&seen(&[Some(0.5), Some(0.9)]), &Rule::default(), limits), Some(11));
/// assert_eq!(replicas(&seen(&[Some(0.2), Some(0.1)]), &Rule::default(), limits), Some(9));
/// assert_eq!(replicas(&seen(&[None, Some(0.1)]), &Rule::default(), limits), Some(10));
/// ```
pub fn replicas(seen: &Seen<'_>, rule: &Rule, limits: Limits) -> Option<u32> {
    let now = seen.cpu.last().copied().flatten().filter(|c| c.is_finite());
    let behind = seen.behind.filter(|(value, limit)| value.is_finite() && limit.is_finite());
    if now.is_none() && behind.is_none() {
        return None;
    }
    let step = ((f64::from(seen.current) * rule.step).floor() as u32).max(1);
    let over = now.is_some_and(|cpu| cpu > rule.up) || behind.is_some_and(|(value, limit)| value > limit);
    let idle = !seen.cpu.is_empty() && seen.cpu.iter().all(|cpu| cpu.is_some_and(|c| c < rule.down));
    let wanted = match (over, idle) {
        (true, _) => seen.current.saturating_add(step),
        (false, true) => seen.current.saturating_sub(step),
        (false, false) => seen.current,
    };
    Some(wanted.max(limits.min).min(limits.max))
}
