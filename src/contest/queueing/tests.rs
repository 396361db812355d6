use super::*;
use crate::{
    contest::{QueuePlayed, Scenario},
    model::{Limits, Price},
};
use proptest::prelude::*;

/// Half a day with a batch at two in the morning, jobs of one, two or four workers, and a history of as long.
fn played(within: &str) -> (QueuePlayed, Entrant, Season) {
    let text = format!(
        "[demand]\ngenerator = \"batch-night\"\nmean = 6\npeak = 60\nscored = \"10h\"\nhistory = \"1d\"\n\
         [queue]\n{within}\ngangs = [1, 1, 2, 4]\n[observe]\noperated = \"1d\"\n"
    );
    let scenario = Scenario::parse(&text, std::path::Path::new("s.toml")).unwrap();
    let (played, planner) = (scenario.queue().unwrap(), scenario.queue_player("planner").unwrap());
    let season = scenario.season(1, None).unwrap();
    let season = played.season(&season, 1).unwrap();
    (played, planner, season)
}

#[test]
fn deadlines_are_kept_with_fewer_changes_than_by_the_queues_length() {
    let (played, planner, season) = played("within = \"4h\"");
    let game = &played.game;
    let score = |entrant: &Entrant| entrant.play(game, &season, 1);
    let (planner, keda, peak) = (score(&planner), score(&Entrant::QueueLength(1.0)), score(&Entrant::Peak));
    assert!(planner.slo_minutes <= 0.0 && planner.late_jobs <= 0.0, "{planner:?}");
    assert!(planner.price < 0.8 * peak.price, "{planner:?} {keda:?} {peak:?}");
    assert!(planner.flaps <= 0.0 && planner.actions < 0.7 * keda.actions, "{planner:?} {keda:?}");
    let bound = lower_bound(game, &season);
    assert!(bound > 0.5 * planner.price && bound < planner.price, "{bound} {planner:?}");
}

#[test]
fn by_a_time_of_the_day_only_those_are_late_that_came_too_shortly_before_it() {
    let (played, planner, season) = played("deadline = \"06:00\"");
    let score = |entrant: &Entrant| entrant.play(&played.game, &season, 1);
    let (planner, most) = (score(&planner), score(&Entrant::Fixed(40)));
    assert!(planner.late_jobs <= most.late_jobs + 2.0 && planner.price < most.price, "{planner:?} {most:?}");
}

/// Long runs, slow starts and two hours for each: what begins late enough to be done on average is late when it is long.
#[test]
fn the_last_job_to_begin_still_has_to_run() {
    let (played, planner, season) =
        played("within = \"2h\"\nrun = \"25m\"\nstart_up = { mean = \"10m\", sd = \"30s\" }");
    let score = planner.play(&played.game, &season, 1);
    assert!(score.slo_minutes < 10.0 && score.late_jobs < 2.0, "{score:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nobody_pays_less_than_the_bound(
        seed: u64, n in 0_u32..12, min in 0_u32..3, slo_minute in 0.0..3.0,
        jobs in prop::collection::vec((0.0..6_000.0, 1_u32..6, 10.0..900.0, 60.0..9_000.0), 0..40),
    ) {
        let limits = Limits { min, max: 8 };
        let game = Game { limits, price: Price { slo_minute, ..Price::default() }, ..Game::default() };
        let mut jobs: Vec<Job> =
            jobs.into_iter().map(|(at, gang, run, within)| Job { at, gang, run, within }).collect();
        jobs.sort_by(|a, b| a.at.total_cmp(&b.at));
        let season = Season { before: (Vec::new(), 0), jobs: (jobs, 9_000), begin: Time::default() };
        let bound = lower_bound(&game, &season);
        for entrant in [Entrant::Fixed(n), Entrant::Needed, Entrant::QueueLength(2.0)] {
            let price = entrant.play(&game, &season, seed).price;
            prop_assert!(price >= bound - 1e-6, "{entrant:?} paid {price}, the bound is {bound}");
        }
    }
}
