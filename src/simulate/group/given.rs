//! A group that is not like a new one: partitions dealt as they were found, another pace of commits.

use super::Group;

impl Group {
    /// With the partitions dealt as given, as numbers of the consumers; a number that is none of them owns nothing. The
    /// next rebalance goes on from there.
    #[must_use]
    pub fn dealt(mut self, owners: &[Option<usize>]) -> Self {
        self.hand_over(owners);
        self.holds = None;
        self
    }

    /// Consumers commit every so many seconds, each from its next commit on.
    pub fn set_commit(&mut self, seconds: f64) {
        self.settings.commit = seconds;
    }
}
