//! Whatever is looked at, nothing panics and nothing that is not a number gets out.

use super::*;
use proptest::prelude::*;

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![0.0..1e6_f64, 0.0..1e6_f64, 0.0..1e6_f64, Just(f64::NAN), Just(f64::INFINITY), -1e3..0.0_f64]
}

proptest! {
    #[test]
    fn looks_of_any_kind_never_panic_and_teach_no_nonsense(
        looks in prop::collection::vec(
            (-60.0..300.0_f64, prop::collection::vec((number(), number(), prop::option::of(0_u64..5)), 0..6),
             0_u32..9, 0_u32..9, any::<bool>()),
            0..60),
    ) {
        let (mut watch, mut at) = (Watch::default(), Time::from_secs(1e6));
        for (dt, places, desired, ready, rebalancing) in looks {
            at = at.plus(dt);
            let partitions: Vec<Place> =
                places.iter().map(|(end, committed, owner)| Place { end: *end, committed: *committed, owner: *owner }).collect();
            watch.see(&Look { at, partitions: &partitions, desired: (desired, at), ready, rebalancing });
            if let Some(c) = watch.capacity() {
                for v in [c.per_replica, c.low, c.high, c.start_up, c.rebalance, c.rebalance_down, c.ceiling.unwrap_or(0.0)] {
                    prop_assert!(v.is_finite() && v >= 0.0, "{:?}", c);
                }
            }
            prop_assert!(watch.excess().is_finite() && watch.late().is_finite());
            prop_assert!(watch.starting(at).iter().all(|s| *s >= 0.0));
        }
    }
}
