//! What a contest promises: the same seed the same prices, nobody beats the clairvoyant, nothing is told.

use super::*;
use crate::model::{Label, Limits, Role, SignalKey};

const BEGIN: Time = Time::from_millis(1_700_006_400_000);

fn small() -> (Game, Season) {
    let game = Game { partitions: 12, start: 6, limits: Limits { min: 1, max: 12 }, ..Game::default() };
    let rate = |s: f64| 4_000.0 * (1.0 + 0.5 * (s / 1_200.0).sin());
    let played: Vec<f64> = (0..3_600).map(|s| rate(f64::from(s))).collect();
    let operated: Vec<f64> = (-3_600..0).map(|s| rate(f64::from(s))).collect();
    let history =
        (-1_440..0).map(|i| f64::from(i) * 15.0).map(|t| Sample { at: BEGIN.plus(t), value: rate(t) }).collect();
    (game, Season { history, operated, played, begin: BEGIN })
}

#[test]
fn a_round_is_repeatable_and_nobody_beats_the_clairvoyant_or_the_bound() {
    let (game, season) = small();
    let entrants = [
        Entrant::hpa(10_000.0),
        Entrant::hpa_cpu(70),
        Entrant::keda(10_000),
        Entrant::keda_tuned(10_000),
        Entrant::Threshold(threshold::Rule::default()),
        Entrant::Fixed(12),
        Entrant::Planner(PlannerSettings::default()),
    ];
    let one = round(&game, &season, 5, &entrants, Some(20));
    let (best, bound) = one.clairvoyant.unwrap();
    let best = best.price;
    assert!(bound > 0.0 && bound <= best, "{bound} {best}");
    for (score, entrant) in one.scores.iter().zip(&entrants) {
        assert!(score.price >= best - 1e-9, "{entrant:?} {} below {best}", score.price);
    }
    assert!(one.scores[6].price < one.scores[5].price, "the planner costs less than twelve all day: {:?}", one.scores);
    let again = round(&game, &season, 5, &entrants[..6], None);
    assert_eq!(again.scores, one.scores[..6]);
}

#[test]
fn the_monitor_sees_what_a_dashboard_would() {
    let (game, season) = small();
    let monitor = trained(&game, &season, 1);
    let entity = crate::model::Entity {
        kind: crate::model::WorkloadKind::ConsumerGroup,
        source: Label::new("arena"),
        id: Label::new("group"),
    };
    let series = |role| {
        let key = SignalKey { entity: entity.clone(), role };
        monitor.history().grid(&key, BEGIN.plus(-3_600.0), BEGIN, 15.0).values
    };
    let mean = |values: &[Option<f64>]| values.iter().flatten().sum::<f64>() / values.iter().flatten().count() as f64;
    let demand = series(Role::Demand);
    let truth = season.operated.iter().sum::<f64>() / 3_600.0;
    assert!((mean(&demand) / truth - 1.0).abs() < 0.01, "{} {truth}", mean(&demand));
    let late: Vec<f64> = series(Role::TimeLag).into_iter().flatten().collect();
    assert!(late.len() > 200 && late.iter().all(|l| (0.0..600.0).contains(l)), "{late:?}");
    let mut sorted = late;
    sorted.sort_by(f64::total_cmp);
    assert!((3.0..8.0).contains(&sorted[sorted.len() / 4]), "commits every 5 s are always seen late: {sorted:?}");
    assert!(series(Role::Desired).iter().flatten().any(|n| *n > 0.0));
}
