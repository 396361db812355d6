//! What is kept of one workload between two pieces of advice, beside its history.

use crate::{
    capacity::Watch,
    forecast::profile::Profile,
    history::History,
    model::{Entity, Role, SignalKey, Time},
};

/// Seconds for which the day's shape is used again, and the history that it is worked out from.
const LIFE: f64 = 3_600.0;
const BACK: f64 = 7.0 * 86_400.0;
const MINUTE: f64 = 60.0;

/// What looks at a workload have taught so far.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// A consumer group, member by member.
    pub watch: Watch,
    profile: Option<Profile>,
    tried: Option<Time>,
}

impl Memory {
    /// The day's shape of the demand; `None` with less than two days of it.
    pub fn profile(&self) -> Option<&Profile> {
        self.profile.as_ref()
    }

    /// Whether the day's shape is due to be worked out anew: some milliseconds of work.
    pub fn is_due(&self, now: Time) -> bool {
        self.tried.is_none_or(|at| !(0.0..LIFE).contains(&now.since(at)))
    }

    /// Older demand was found: the day's shape is worked out anew at the next look.
    pub fn forget_shape(&mut self) {
        (self.profile, self.tried) = (None, None);
    }

    /// Works the day's shape out from the minutes of a week.
    pub fn learn(&mut self, history: &History, entity: &Entity, now: Time) {
        let key = SignalKey { entity: entity.clone(), role: Role::Demand };
        let grid = history.grid(&key, now.plus(-BACK), now.floor_to(MINUTE), MINUTE);
        self.profile = Profile::of(&grid, now);
        self.tried = Some(now);
    }
}
