//! What is asked when: each kind of question on a cadence of its own, within the budget of each broker. Pure.

use std::{collections::HashMap, time::Instant};

/// Questions whose answers age well. They take what a broker's budget leaves, the longest overdue first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Slow {
    /// Log starts.
    Earliest,
    /// Boundaries in time, for time lag.
    Probe,
    /// Last stable offsets.
    Stable,
    /// Log directories with the sizes of logs.
    LogDirs,
    /// Configurations of topics; any broker knows them.
    Topics,
    /// This broker's own configuration.
    Broker,
    /// Producers of partitions on which a transaction hangs.
    Producers,
    /// Transactions of those producers.
    Transactions,
    /// What their coordinators know of them.
    Began,
}

impl Slow {
    /// Seconds between two answers.
    fn cadence(self) -> f64 {
        match self {
            Self::Probe => 0.2, // in every refresh, where there is room: time lag is made of them
            Self::Earliest => 6.0,
            Self::Stable => 15.0,
            Self::Producers | Self::Transactions | Self::Began => 20.0,
            Self::LogDirs => 60.0,
            Self::Topics | Self::Broker => 600.0,
        }
    }
}

/// When each broker was asked what.
#[derive(Debug, Default)]
pub(super) struct Rota(HashMap<(i32, Slow), Instant>);

impl Rota {
    /// Of what is `wanted` of a broker, at most `room` that are due: never asked first, then what has been due for longest.
    /// What is picked counts as asked.
    pub(super) fn pick(&mut self, broker: i32, room: usize, wanted: &[Slow], now: Instant) -> Vec<Slow> {
        let overdue = |slow: &Slow| match self.0.get(&(broker, *slow)) {
            None => f64::INFINITY,
            Some(at) => now.duration_since(*at).as_secs_f64() - slow.cadence(),
        };
        let mut due: Vec<(f64, Slow)> = wanted.iter().map(|s| (overdue(s), *s)).filter(|(o, _)| *o >= 0.0).collect();
        due.sort_by(|a, b| b.0.total_cmp(&a.0)); // stable: equally overdue in the order that they are wanted in
        due.truncate(room);
        for (_, slow) in &due {
            self.0.insert((broker, *slow), now);
        }
        due.into_iter().map(|(_, slow)| slow).collect()
    }

    /// Asks a broker this again at the next opportunity.
    pub(super) fn again(&mut self, broker: i32, slow: Slow) {
        self.0.remove(&(broker, slow));
    }

    /// A broker failed: whatever it was asked counts as never asked.
    pub(super) fn forget(&mut self, broker: i32) {
        self.0.retain(|(id, _), _| *id != broker);
    }
}

/// Whether something is asked in this refresh: always while there are few, every so many refreshes when there are many.
pub(super) fn in_turn(refresh: u64, count: usize, few: usize, every: u64) -> bool {
    count <= few || refresh.is_multiple_of(every)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn room_goes_to_the_most_overdue_and_nobody_starves() {
        let mut rota = Rota::default();
        let start = Instant::now();
        let all = [Slow::Earliest, Slow::Probe, Slow::Stable, Slow::LogDirs, Slow::Topics, Slow::Broker];
        let mut asked: HashMap<Slow, u32> = HashMap::new();
        for refresh in 0..300_u64 {
            let picked = rota.pick(1, 1, &all, start + Duration::from_secs(2 * refresh));
            assert!(picked.len() <= 1);
            for slow in picked {
                *asked.entry(slow).or_default() += 1;
            }
        }
        assert!(all.iter().all(|s| asked.get(s).is_some_and(|n| *n >= 1)), "{asked:?}");
        assert!(asked[&Slow::Probe] > asked[&Slow::Earliest] && asked[&Slow::Earliest] > asked[&Slow::LogDirs]);
        assert!((8..=11).contains(&asked[&Slow::LogDirs]), "ten minutes, once a minute: {asked:?}");
        assert_eq!(rota.pick(1, 0, &all, start + Duration::from_secs(9_999)), []);
    }
}
