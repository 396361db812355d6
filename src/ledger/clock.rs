//! Time that never goes back, whatever somebody does to the machine's clock.

use crate::model::Time;

/// A wall clock that is this far behind what it showed before was set back; less is the work of a time daemon. Seconds.
pub const SET_BACK: f64 = 30.0;

/// The later of what the wall clock says and what the monotonic clock says must have come since. An expiry that is
/// compared with it holds on both clocks.
///
/// ```
/// use highwater::{ledger::Forward, model::Time};
/// let t = Time::from_millis(1_000_000);
/// let mut clock = Forward::new(t);
/// assert_eq!(clock.at(t.plus(5.0), 5.0), t.plus(5.0));
/// let back = t.plus(-3600.0); // set back by an hour, and a second passed
/// assert_eq!(clock.at(back, 6.0), t.plus(6.0));
/// assert_eq!(clock.behind(back, 6.0), Some(3606.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// What it showed at `uptime`.
    shown: Time,
    uptime: f64,
}

impl Forward {
    /// Begins at `start`: the present, or the last entry of a ledger where that is later.
    pub fn new(start: Time) -> Self {
        Self { shown: start, uptime: 0.0 }
    }

    /// The instant, when the wall clock shows `wall`, `uptime` seconds after the beginning by the monotonic clock.
    pub fn at(&mut self, wall: Time, uptime: f64) -> Time {
        let must = self.must_be(uptime);
        if wall > must {
            *self = Self { shown: wall, uptime };
        }
        must.max(wall)
    }

    /// By how many seconds the wall clock was set back, if it was.
    pub fn behind(&self, wall: Time, uptime: f64) -> Option<f64> {
        Some(self.must_be(uptime).since(wall)).filter(|behind| *behind > SET_BACK)
    }

    fn must_be(&self, uptime: f64) -> Time {
        self.shown.plus((uptime - self.uptime).max(0.0))
    }
}
