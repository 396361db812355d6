//! Which bound of an autoscaler moves a count, so that it stays moved. Pure.

use crate::{
    act::Offer,
    model::{Field, FieldChange, Label, Lever, Target},
};

/// An autoscaler's bounds as they are.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// `hpa/…` or `scaledobject/…`
    pub(super) object: Target,
    pub(super) uid: Label,
    /// As written; `None`: absent.
    pub(super) floor: Option<u32>,
    /// What an absent floor means.
    pub(super) default_floor: u32,
    pub(super) ceiling: Option<u32>,
    pub(super) default_ceiling: u32,
    /// A ScaledObject, not an HPA.
    pub(super) keda: bool,
    /// KEDA's switch that only forbids to shrink, as written; `None`: absent.
    pub(super) paused_scale_in: Option<u32>,
}

impl Bounds {
    pub(super) fn floor_now(&self) -> u32 {
        self.floor.unwrap_or(self.default_floor)
    }

    pub(super) fn ceiling_now(&self) -> u32 {
        self.ceiling.unwrap_or(self.default_ceiling)
    }

    fn set_floor(&self, to: u32) -> FieldChange {
        FieldChange { field: Field::Floor, from: self.floor, to: Some(to) }
    }

    fn set_ceiling(&self, to: u32) -> FieldChange {
        FieldChange { field: Field::Ceiling, from: self.ceiling, to: Some(to) }
    }

    fn offer(&self, to: u32, set: Vec<FieldChange>, words: &str) -> Offer {
        let lever = Lever { object: self.object.clone(), uid: self.uid.clone(), set, restore_at: None };
        Offer { words: format!("{lever}: {words}").into(), lever, to }
    }

    /// The writes that move the count from `from` to `to` and stick, best first. Floor and ceiling go in one write, for
    /// a floor above the ceiling is refused.
    pub(super) fn offers(&self, from: u32, to: u32) -> Vec<Offer> {
        let (floor, ceiling) = (self.floor_now(), self.ceiling_now());
        let mut offers = Vec::new();
        if to > from && to > floor {
            if to <= ceiling {
                let words = format!("never below {to} until it is put back; the metrics may ask for more");
                offers.push(self.offer(to, vec![self.set_floor(to)], &words));
            } else {
                let set = vec![self.set_floor(to), self.set_ceiling(to)];
                let words = format!("its limit of {ceiling} is lifted to {to}, until both are put back");
                offers.push(self.offer(to, set, &words));
            }
            if self.keda && self.paused_scale_in != Some(1) {
                let set = vec![FieldChange { field: Field::PausedScaleIn, from: self.paused_scale_in, to: Some(1) }];
                let words = format!(
                    "keeps the {from} there are: no shrinking until the annotation goes, growing as ever (KEDA's paused-replicas \
                     sets a count once and keeps none, paused removes the HPA)"
                );
                offers.push(self.offer(from, set, &words));
            }
        } else if to < from {
            let at_floor = from <= floor;
            let mut set = Vec::new();
            if floor > to {
                set.push(self.set_floor(to));
            }
            if !at_floor && ceiling > to {
                set.push(self.set_ceiling(to.max(1)));
            }
            let words = if at_floor {
                format!("the floor is what holds {from}; the metrics decide how far it goes down, to {to} at the least")
            } else {
                format!(
                    "the metrics ask for {from}: it is held at {to} and cannot grow in a surge until it is put back"
                )
            };
            // An HPA at zero stops scaling (ScalingDisabled), so nothing is offered that ends there.
            if !set.is_empty() && (to > 0 || (self.keda && at_floor)) {
                offers.push(self.offer(to, set, &words));
            }
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(floor: u32, ceiling: u32, keda: bool) -> Bounds {
        Bounds {
            object: if keda { "scaledobject/a/b" } else { "hpa/a/b" }.parse().unwrap(),
            uid: "u".into(),
            floor: Some(floor),
            default_floor: u32::from(!keda),
            ceiling: Some(ceiling),
            default_ceiling: 100,
            keda,
            paused_scale_in: None,
        }
    }

    fn offered(bounds: &Bounds, from: u32, to: u32) -> Vec<String> {
        bounds.offers(from, to).iter().map(|o| o.lever.to_string()).collect()
    }

    #[test]
    fn the_bound_that_holds_the_count_is_moved() {
        let hpa = bounds(2, 8, false);
        assert_eq!(offered(&hpa, 4, 6), ["hpa/a/b: floor 2 → 6"]);
        assert_eq!(offered(&hpa, 8, 12), ["hpa/a/b: floor 2 → 12, ceiling 8 → 12"]);
        assert_eq!(offered(&hpa, 6, 4), ["hpa/a/b: ceiling 8 → 4"]);
        assert_eq!(offered(&bounds(6, 8, false), 6, 4), ["hpa/a/b: floor 6 → 4"]);
        assert_eq!(offered(&bounds(6, 8, false), 8, 4), ["hpa/a/b: floor 6 → 4, ceiling 8 → 4"]);
        assert_eq!(offered(&hpa, 4, 0), [""; 0], "an HPA stops at zero");
        assert_eq!(offered(&hpa, 1, 2), [""; 0], "it is on its way there by itself");
    }

    #[test]
    fn keda_may_also_be_kept_from_shrinking() {
        let keda = bounds(0, 24, true);
        let two = ["scaledobject/a/b: floor 0 → 9", "scaledobject/a/b: paused-scale-in unset → true"];
        assert_eq!(offered(&keda, 4, 9), two);
        assert_eq!(offered(&bounds(3, 24, true), 3, 0), ["scaledobject/a/b: floor 3 → 0"]);
        let absent = Bounds { floor: None, ..keda.clone() };
        assert_eq!(offered(&absent, 1, 2)[0], "scaledobject/a/b: floor unset → 2");
        let switched = |to| offered(&Bounds { paused_scale_in: Some(to), ..keda.clone() }, 4, 9);
        assert_eq!(
            switched(0)[1],
            "scaledobject/a/b: paused-scale-in false → true",
            "what is written there is what is tested"
        );
        assert_eq!(switched(1).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_offer_puts_the_floor_above_the_ceiling(floor in 0_u32..20, more in 0_u32..20, from in 0_u32..40, to in 0_u32..40, keda: bool) {
            let bounds = bounds(floor, floor + more.max(1), keda);
            for offer in bounds.offers(from, to) {
                let floor = offer.lever.new_value(Field::Floor).unwrap_or(bounds.floor_now());
                let ceiling = offer.lever.new_value(Field::Ceiling).unwrap_or(bounds.ceiling_now());
                proptest::prop_assert!(floor <= ceiling && ceiling > 0, "{}", offer.words);
                proptest::prop_assert!(keda || offer.lever.new_value(Field::Floor) != Some(0));
            }
        }
    }
}
