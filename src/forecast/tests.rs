//! What a reader of a forecast counts on: the future is never used, units do not matter, nothing odd breaks it.

use super::*;
use proptest::prelude::*;

fn grid(step: f64, values: Vec<Option<f64>>) -> Grid {
    Grid { start: Time::from_secs(0.0), step, values }
}

/// Numbers in 0–1 that look random and are the same on every machine.
fn noise(n: usize) -> Vec<f64> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1_u32 << 24)
    };
    (0..n).map(|_| next()).collect()
}

fn is_proper(f: &Forecast) -> bool {
    f.points.iter().all(|q| {
        let v = [q.p10, q.p50, q.p80, q.p95];
        v.iter().all(|v| v.is_finite() && *v >= 0.0) && v.windows(2).all(|w| w[0] <= w[1])
    })
}

#[test]
fn too_little_history_is_said_in_a_sentence() {
    let short = grid(60.0, vec![Some(5.0); 4]);
    assert_eq!(forecast(&short, short.at(3), 600.0).unwrap_err(), "4 minutes of history; 10 minutes are needed");
    let old = grid(60.0, vec![Some(5.0); 50]);
    let error = forecast(&old, old.at(49).plus(7_200.0), 600.0).unwrap_err();
    assert!(error.contains("2 hours old") || error.contains("120 minutes old"), "{error}");
    assert!(forecast(&old, old.at(49), 0.0).is_err());
    assert!(forecast(&Grid::default(), Time::from_secs(0.0), 600.0).is_err());
}

#[test]
fn values_that_no_demand_has_are_named() {
    let below = grid(15.0, vec![Some(-5.0); 500]);
    let error = forecast(&below, below.at(499), 600.0).unwrap_err();
    assert!(error.starts_with("0 s of history") && error.contains("500 values are below zero"), "{error}");
    let mut values: Vec<Option<f64>> = noise(300).iter().map(|n| Some(100.0 + n)).collect();
    values[40] = Some(-1.0);
    let f = forecast(&grid(15.0, values.clone()), Time::from_secs(299.0 * 15.0), 600.0).unwrap();
    assert_eq!(f.warnings, ["one value is below zero, beyond 1e100 or no number: it counts as a gap"]);
}

/// A band without width says that nothing else can come.
#[test]
fn a_few_minutes_of_history_have_a_band_at_every_horizon() {
    let history = noise(500);
    let (mut within, mut all) = (0.0, 0.0);
    for (n, from) in [11, 14, 20, 30, 45].iter().flat_map(|n| (0..20).map(move |from| (*n, 17 * from))) {
        let part = history[from..from + n].iter().map(|v| Some(100.0 + 50.0 * v)).collect();
        let part = grid(15.0, part);
        let f = forecast(&part, part.at(n - 1), 900.0).unwrap();
        assert!(f.points.iter().all(|q| q.p95 - q.p10 > 5.0), "{n} from {from}: {:?}", f.points.last());
        let far = f.points[39];
        let came = 100.0 + 50.0 * history[from + n + 39];
        (within, all) = (within + f64::from(u8::from(far.p10 <= came && came <= far.p95)), all + 1.0);
    }
    assert!(within / all > 0.75, "85 % are told: {within} of {all}");
}

#[test]
fn rounding_is_no_error_to_be_compared_with() {
    let line = grid(60.0, (0..400).map(|i| Some(100.0 + f64::from(i))).collect());
    let score = &backtest(&line, &[60.0]).unwrap().horizons[0];
    assert_eq!(score.relative_pinball, None, "the last value's own errors are all the same: {score:?}");
    let flat = grid(60.0, vec![Some(100.0); 400]);
    assert!(backtest(&flat, &[60.0]).unwrap().members.is_empty());
    let asked = backtest(&grid(60.0, noise(200).into_iter().map(Some).collect()), &[20.0, 200.0]).unwrap();
    let scored: Vec<f64> = asked.horizons.iter().map(|h| h.horizon).collect();
    assert_eq!(scored, [60.0, 180.0], "what is scored is told");
}

#[test]
fn a_trend_is_followed_and_a_daily_peak_is_seen_coming() {
    // Three and a half days at 5 min with a peak at noon; now is an hour before a peak.
    let day = |i: usize| 100.0 + 80.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin();
    let wobble = noise(1_008);
    let values = (0..1_008).map(|i| Some(day(i) + 5.0 * wobble[i])).collect();
    let history = grid(300.0, values);
    let f = forecast(&history, history.at(1_007), 6.0 * 3_600.0).unwrap();
    for (k, q) in f.points.iter().enumerate() {
        let truth = day(1_008 + k) + 2.5;
        assert!((q.p50 - truth).abs() < 20.0, "step {k}: {q:?} but {truth}");
    }
    assert!(f.relative_error.unwrap() < 0.5, "{f:?}");
}

#[test]
fn an_outage_is_not_taken_for_demand() {
    let mut values: Vec<Option<f64>> = noise(300).iter().map(|n| Some(100.0 + 10.0 * n)).collect();
    values[200..240].fill(Some(0.0));
    let history = grid(15.0, values);
    let f = forecast(&history, history.at(299), 600.0).unwrap();
    assert!(f.warnings.iter().any(|w| w == "an outage of 10 minutes was skipped"), "{:?}", f.warnings);
    assert!(f.points.iter().all(|q| q.p10 > 90.0), "{:?}", f.points[0]);
    assert_eq!(f.warnings.len(), 1, "an outage is no gap besides: {:?}", f.warnings);
    assert!(f.covered.unwrap().under_10 > 0.15, "what was forecast for it counts: {:?}", f.covered);
}

#[test]
fn a_night_without_traffic_is_forecast_and_no_outage() {
    // Busy from 6 to 20 at 5 min; it is 19:00 of the fifth day.
    let wobble = noise(288 * 5);
    let of = |i: usize| if (72..240).contains(&(i % 288)) { 1_000.0 + 100.0 * wobble[i] } else { 0.0 };
    let history = grid(300.0, (0..288 * 5).map(|i| Some(of(i))).collect());
    let f = forecast(&history, history.at(288 * 4 + 228), 12.0 * 3_600.0).unwrap();
    assert_eq!(f.warnings, [] as [String; 0]);
    let night = &f.points[24..120];
    assert!(night.iter().all(|q| q.p50 < 50.0 && q.p80 < 200.0), "{:?}", night.iter().max_by_key(|q| q.p80 as u32));
    let score = &backtest(&history, &[3_600.0]).unwrap().horizons[0];
    assert!(score.coverage.at_80.unwrap() > 0.7, "{score:?}");
}

#[test]
fn one_bad_scrape_is_named_and_moves_nothing() {
    let clean: Vec<Option<f64>> = noise(600).iter().map(|n| Some(100.0 + 10.0 * n)).collect();
    for (place, times) in [(590, 1e3), (300, 10.0), (300, 1e12)] {
        let mut values = clean.clone();
        values[place] = Some(105.0 * times);
        let history = grid(60.0, values);
        let f = forecast(&history, history.at(599), 1_800.0).unwrap();
        assert!(f.points.iter().all(|q| q.p50 > 99.0 && q.p95 < 120.0), "x{times} at {place}: {:?}", f.points[0]);
        assert!(f.warnings[0].starts_with("a single value of ") && f.warnings.len() == 1, "{:?}", f.warnings);
    }
}

#[test]
fn a_horizon_that_is_cut_is_said() {
    let history = grid(15.0, noise(300).into_iter().map(Some).collect());
    let f = forecast(&history, history.at(299), 86_400.0).unwrap();
    assert_eq!(f.points.len(), 2_000);
    let said = "2000 steps of 15 s are the most: the forecast ends after 8 hours";
    assert!(f.warnings.iter().any(|w| w == said), "{:?}", f.warnings);
    assert!(!forecast(&history, history.at(299), 600.0).unwrap().warnings.iter().any(|w| w.contains("the most")));
}

#[test]
fn gaps_are_named_and_skipped() {
    let mut values: Vec<Option<f64>> = noise(300).iter().map(|n| Some(100.0 + 10.0 * n)).collect();
    values[100..180].fill(None);
    let history = grid(15.0, values);
    let f = forecast(&history, history.at(299), 600.0).unwrap();
    assert!(f.warnings.iter().any(|w| w == "a gap of 20 minutes was skipped"), "{:?}", f.warnings);
    assert!(is_proper(&f));
}

#[test]
fn quantiles_cover_what_they_say() {
    let values: Vec<Option<f64>> = noise(900).iter().map(|n| Some(100.0 + 50.0 * n)).collect();
    let report = backtest(&grid(60.0, values), &[300.0]).unwrap();
    let score = &report.horizons[0];
    assert!((0.7..0.9).contains(&score.coverage.at_80.unwrap()), "{score:?}");
    assert!((0.9..=1.0).contains(&score.coverage.at_95.unwrap()), "{score:?}");
    assert!(score.relative_mase.unwrap() < 0.85, "noise around a level: its mean beats the last value: {score:?}");
}

#[test]
fn the_bands_of_a_mostly_empty_series_are_made_of_what_came_before() {
    // Bursts of 10 steps after about 30 empty ones: seen now in the middle of nothing, and again within a burst.
    let luck = noise(1_500);
    let mut on = false;
    let mut values: Vec<Option<f64>> = luck
        .iter()
        .map(|n| {
            on = if on { *n < 0.9 } else { *n < 0.03 };
            Some(if on { 5.0 + 3.0 * n } else { 0.0 })
        })
        .collect();
    values[1_480..].fill(Some(0.0));
    let history = grid(60.0, values.clone());
    let quiet = forecast(&history, history.at(1_499), 900.0).unwrap();
    assert_eq!(quiet.weights, [("like before".to_owned(), 1.0)]);
    assert!(quiet.points[11].p50 <= 0.0 && quiet.points[11].p95 > 4.0, "{:?}", quiet.points[11]);
    values[1_495..].fill(Some(6.0));
    let history = grid(60.0, values);
    let busy = forecast(&history, history.at(1_499), 300.0).unwrap();
    assert!(busy.points[0].p50 > 4.0, "{:?}", busy.points[0]);
    let held = busy.covered.unwrap();
    assert!(held.count > 500 && (0.7..0.9).contains(&held.at_80) && (0.9..0.99).contains(&held.at_95), "{held:?}");
}

#[test]
fn a_daily_peak_between_two_knots_is_kept() {
    // Half an hour of every day, at 5 min; now is midnight, the peak ten hours on.
    let wobble = noise(288 * 5);
    let of = |i: usize| if (118..124).contains(&(i % 288)) { 400.0 } else { 100.0 };
    let history = grid(300.0, (0..288 * 5).map(|i| Some(of(i) + 5.0 * wobble[i])).collect());
    let f = forecast(&history, history.at(288 * 5 - 1), 86_400.0).unwrap();
    assert_eq!(f.points.len(), 288);
    assert!(f.points[119..122].iter().all(|q| q.p50 > 250.0), "{:?}", &f.points[116..126]);
    assert!(f.points[140].p95 < 200.0 && f.points[90].p95 < 200.0, "{:?} {:?}", f.points[90], f.points[140]);
}

#[test]
fn no_step_between_knots_falls_below_what_ever_was() {
    // The same peak, seen from many phases: where a knot falls onto it what lies beside it must not be bent down.
    let wobble = noise(288 * 7);
    let of = |i: usize| if (118..124).contains(&(i % 288)) { 400.0 } else { 100.0 };
    let history = grid(300.0, (0..288 * 7).map(|i| Some(of(i) + 5.0 * wobble[i])).collect());
    for now in [2.6, 3.2, 4.2, 4.35, 5.55, 6.7].map(|days| (288.0 * days) as usize) {
        let f = forecast(&history, history.at(now), 86_400.0).unwrap();
        for (k, q) in f.points.iter().enumerate() {
            assert!(q.p10 > 80.0 && q.p50 > 95.0 && q.p50 < 406.0, "{now}, step {k}: {q:?}");
            let far = (130..394).contains(&((now + 1 + k) % 288)) || (now + 1 + k) % 288 < 112;
            assert!(!far || q.p50 < 150.0, "{now}, step {k}: {q:?}");
        }
    }
}

#[test]
fn a_day_ahead_has_the_shape_of_the_day_from_its_second_day_on() {
    let wobble = noise(288 * 3);
    let day = |i: usize| 100.0 + 80.0 * (i as f64 / 288.0 * std::f64::consts::TAU * 3.0).sin();
    let history = grid(300.0, (0..288 * 3).map(|i| Some(day(i) + 5.0 * wobble[i])).collect());
    let now = 288 * 23 / 10;
    let f = forecast(&history, history.at(now), 86_400.0).unwrap();
    let off = |k: usize| (f.points[k].p50 - day(now + 1 + k) - 2.5).abs();
    let mean = (0..288).map(off).sum::<f64>() / 288.0;
    assert!(mean < 27.0, "{mean}, and 51 is that of a straight line: {:?} {:?}", f.weights, f.points);
}

#[test]
fn seasons_survive_a_scraper_that_drifts() {
    let day = |i: usize| 100.0 + 80.0 * (i as f64 / 288.0 * std::f64::consts::TAU).sin();
    let history = grid(300.02, (0..288 * 6).map(|i| Some(day(i))).collect());
    let f = forecast(&history, history.at(288 * 6 - 1), 3_600.0).unwrap();
    for name in ["day", "mstl"] {
        assert!(f.weights.iter().any(|(of, _)| of == name), "{name}: {:?}", f.weights);
    }
}

#[test]
fn a_backtest_counts_the_values_that_a_forecast_counts() {
    let values: Vec<f64> = noise(400).iter().map(|n| if *n < 0.2 { -1.0 } else { 100.0 + 10.0 * n }).collect();
    let marked = values.iter().map(|v| Some(if *v < 0.0 { 1e200 } else { *v })).collect();
    let gaps = values.iter().map(|v| Some(*v).filter(|v| *v >= 0.0)).collect();
    let with = |values: Vec<Option<f64>>| backtest(&grid(60.0, values), &[300.0, 900.0]).unwrap();
    let right = with(gaps);
    assert!(right.origins < 120 && right.horizons[0].targets < right.origins, "{right:?}");
    assert_eq!(with(values.into_iter().map(Some).collect()), right);
    assert_eq!(with(marked), right);
    // Rounding is no miss.
    let score = &with(vec![Some(100.1); 1_200]).horizons[0];
    assert_eq!((score.coverage.at_80, score.upper_coverage.at_80), (Some(1.0), Some(1.0)), "{score:?}");
}

#[test]
fn a_window_ends_at_the_slot_of_now_whatever_the_step() {
    let history = grid(0.7 / 3.0, vec![Some(1.0); 400]);
    for now in 50..400 {
        let window = Window::new(&history, history.at(now), 60.0).unwrap();
        assert_eq!((window.len(), window.age), (now + 1, 0));
    }
}

#[test]
fn a_change_of_level_is_said_and_what_lay_before_is_let_go() {
    let wobble = noise(300);
    let values = wobble.iter().enumerate().map(|(i, n)| Some(if i < 240 { 10.0 } else { 50.0 } + 4.0 * n)).collect();
    let history = grid(60.0, values);
    let f = forecast(&history, history.at(299), 600.0).unwrap();
    assert!(f.points.iter().all(|q| (48.0..56.0).contains(&q.p50)), "{:?}", f.points);
    assert!(f.warnings.iter().any(|w| w.starts_with("the level changed 6")), "{:?}", f.warnings);
}

/// An hour in which a level rose was forecast too low throughout. That is one thing that was seen, not two hundred.
#[test]
fn a_rise_that_was_seen_once_may_turn() {
    let wobble = noise(400);
    for (n, from) in [160, 200].iter().flat_map(|n| [40, 60, 80].map(|from| (*n, from))) {
        let level = |i: usize| 80.0 + 0.5 * i.saturating_sub(from) as f64;
        let history = grid(15.0, (0..n).map(|i| Some(level(i) + 30.0 * (wobble[i] - 0.5))).collect());
        let f = forecast(&history, history.at(n - 1), 900.0).unwrap();
        let (far, now) = (f.points[59], level(n));
        assert!((far.p50 - now).abs() < 10.0, "{n} from {from}: {now} now, {far:?}");
        assert!(far.p10 < now - 10.0 && far.p95 > now + 30.0, "it may go on or turn: {now} now, {far:?}");
    }
}

#[test]
fn how_often_the_band_held_is_told_and_so_is_too_little_to_tell() {
    let values: Vec<Option<f64>> = noise(600).iter().map(|n| Some(100.0 + 50.0 * n)).collect();
    let history = grid(60.0, values);
    let long = forecast(&history, history.at(599), 600.0).unwrap().covered.unwrap();
    assert!((0.75..0.85).contains(&long.at_80) && (0.92..0.98).contains(&long.at_95) && long.count > 300, "{long:?}");
    let short = forecast(&history, history.at(30), 600.0).unwrap();
    let said = |w: &String| w == "not enough history to say how often the band holds";
    assert!(short.warnings.iter().any(said), "{:?}", short.warnings);
}

#[test]
fn a_second_look_says_the_same_and_seasons_know_nothing_of_the_future() {
    // Nine days at 30 min: decomposed by day; fits are remembered between the calls.
    let wobble = noise(432);
    let day = |i: usize| 100.0 + 80.0 * (i as f64 / 48.0 * std::f64::consts::TAU).sin();
    let mut values: Vec<Option<f64>> = (0..432).map(|i| Some(day(i) + 20.0 * wobble[i])).collect();
    let history = grid(1_800.0, values.clone());
    let first = forecast(&history, history.at(400), 86_400.0).unwrap();
    assert!(first.weights.iter().any(|(name, _)| name == "mstl"), "{:?}", first.weights);
    values[401..].reverse();
    values[410] = Some(1e6);
    let other = grid(1_800.0, values);
    let later = forecast(&other, other.at(431), 86_400.0).unwrap();
    assert_ne!(first.points, later.points);
    assert_eq!(first, forecast(&other, other.at(400), 86_400.0).unwrap());
}

#[test]
fn without_its_dear_members_the_pool_still_forecasts() {
    let values: Vec<Option<f64>> = noise(300).iter().map(|n| Some(100.0 + 50.0 * n)).collect();
    let history = grid(60.0, values);
    let f = forecast_with(&history, history.at(299), 600.0, Settings { ets: false, mstl: false }).unwrap();
    assert!(is_proper(&f) && f.weights.iter().all(|(name, _)| name != "ets" && name != "mstl"), "{:?}", f.weights);
}

#[test]
fn a_backtest_of_nearly_nothing_is_a_sentence() {
    assert!(backtest(&grid(60.0, vec![Some(1.0); 20]), &[300.0]).unwrap_err().contains("too few"));
    assert!(backtest(&grid(60.0, vec![Some(1.0); 200]), &[]).is_err());
    assert!(backtest(&Grid::default(), &[300.0]).is_err());
}

fn series() -> impl Strategy<Value = Vec<Option<f64>>> {
    let value = prop_oneof![
        8 => (0.0..1e5_f64).prop_map(Some),
        1 => Just(None),
        1 => Just(Some(0.0)),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, -5.0, 1e300, 5e-324]).prop_map(Some),
    ];
    let runs = (value.clone(), 1_usize..15).prop_map(|(v, n)| vec![v; n]);
    let pieces = prop_oneof![3 => prop::collection::vec(value, 1..30), 1 => runs];
    prop::collection::vec(pieces, 1..8).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_odd_breaks_it(values in series(), step in 1.0..3_600.0_f64, horizon in 1.0..1e5_f64) {
        let history = grid(step, values);
        if let Ok(f) = forecast(&history, history.end(), horizon) {
            prop_assert!(is_proper(&f), "{:?}", f.points);
            prop_assert!((f.weights.iter().map(|w| w.1).sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn the_future_is_never_used(mut values in series(), now in 15_usize..100, seed in 0_usize..97) {
        prop_assume!(values.len() > now + 2);
        let before = grid(15.0, values.clone());
        let len = values.len() - now - 1;
        values[now + 1..].rotate_left(seed % len);
        values[now + 1..].reverse();
        let after = grid(15.0, values);
        prop_assert_eq!(forecast(&before, before.at(now), 600.0), forecast(&after, after.at(now), 600.0));
    }

    #[test]
    fn units_do_not_matter(values in prop::collection::vec(0.1..1e3_f64, 12..90), factor in prop::sample::select(vec![0.001, 0.5, 8.0, 1e6])) {
        let one = grid(15.0, values.iter().copied().map(Some).collect());
        let other = grid(15.0, values.iter().map(|v| Some(v * factor)).collect());
        let (one, other) = (forecast(&one, one.end(), 600.0).unwrap(), forecast(&other, other.end(), 600.0).unwrap());
        for (a, b) in one.points.iter().zip(&other.points) {
            prop_assert!((a.p80 * factor - b.p80).abs() <= 1e-3 * (1.0 + b.p80.abs()).max(factor), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_constant_stays_constant(value in 0.0..1e9_f64, len in 10_usize..200) {
        let history = grid(15.0, vec![Some(value); len]);
        let f = forecast(&history, history.end(), 900.0).unwrap();
        for q in &f.points {
            prop_assert!((q.p10 - value).abs() <= 1e-4 * value && (q.p95 - value).abs() <= 1e-4 * value, "{q:?}");
        }
    }
}
