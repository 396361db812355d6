//! What was worked out before, found again by the very numbers that it was worked out from. It cannot be observed but
//! by the clock, so forecasts stay pure: the fits that cost most change once a day or every few minutes, and a
//! dashboard, an arena or a backtest asks for them at every step.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

/// Entries of one generation.
const GENERATION: usize = 4_096;

/// Answers by the hash and the number of what they rest on. Two generations: what was not asked for while a whole
/// generation came in is forgotten.
pub(super) struct Memo<V>(Mutex<[BTreeMap<(u64, usize), V>; 2]>);

impl<V: Clone> Memo<V> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new([BTreeMap::new(), BTreeMap::new()]))
    }

    /// The answer for these values and this question; worked out when it is not known.
    pub(super) fn get(&self, values: &[f64], question: &[usize], answer: impl FnOnce() -> V) -> V {
        let mut hasher = DefaultHasher::new(); // its keys are fixed
        question.hash(&mut hasher);
        for value in values {
            hasher.write_u64(value.to_bits());
        }
        let key = (hasher.finish(), values.len());
        let found = |maps: &mut [BTreeMap<(u64, usize), V>; 2]| {
            maps[0].get(&key).cloned().or_else(|| {
                let old = maps[1].remove(&key)?;
                maps[0].insert(key, old.clone());
                Some(old)
            })
        };
        // A panic elsewhere cannot leave a map half-changed in a way that matters: entries never change.
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = found(&mut lock()) {
            return known;
        }
        let fresh = answer(); // not under the lock
        let mut maps = lock();
        if maps[0].len() >= GENERATION {
            maps[1] = std::mem::take(&mut maps[0]);
        }
        maps[0].insert(key, fresh.clone());
        fresh
    }
}
