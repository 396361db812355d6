use super::*;
use crate::model::Time;

fn stored(name: &str, labels: &[(&str, &str)], points: &[(i64, Option<f64>)]) -> Stored {
    let mut all: Labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    all.insert(NAME.to_owned(), name.to_owned());
    Stored { labels: all, points: points.iter().map(|(s, v)| (s * 1000, *v)).collect() }
}

fn values(store: &SeriesStore, query: &str, at: i64) -> Vec<f64> {
    match instant(store, query, Time::from_millis(at * 1000)).unwrap() {
        Outcome::Value(Value::Vector(samples)) => samples.iter().map(|s| s.value).collect(),
        Outcome::Value(Value::Scalar(v)) => vec![v],
        other => panic!("{other:?}"),
    }
}

#[test]
fn rates_go_on_to_the_edges_and_over_resets() {
    let store = SeriesStore::new(None);
    let ramp: Vec<(i64, Option<f64>)> = (0..9).map(|i| (1000 + i * 15, Some(100.0 + i as f64 * 30.0))).collect();
    store.push(stored("a_total", &[], &ramp));
    store.push(stored("b_total", &[], &[(1000, Some(90.0)), (1015, Some(100.0)), (1030, Some(5.0))]));
    assert_eq!(values(&store, "rate(a_total[1m])", 1120), [2.0]);
    assert_eq!(values(&store, "irate(a_total[1m])", 1120), [2.0]);
    assert_eq!(values(&store, "increase(b_total[30s])", 1030), [15.0], "a reset is not a fall");
    assert_eq!(values(&store, "rate(a_total[10s])", 1120), [0.0; 0], "one point has no rate");
}

#[test]
fn a_stale_series_is_missing_at_once_and_an_old_one_after_five_minutes() {
    let store = SeriesStore::new(None);
    store.push(stored("gone", &[], &[(1000, Some(1.0)), (1015, None)]));
    store.push(stored("quiet", &[], &[(1000, Some(0.0))]));
    assert_eq!(values(&store, "gone", 1014), [1.0]);
    assert_eq!(values(&store, "gone", 1015), [0.0; 0]);
    assert_eq!(values(&store, "last_over_time(gone[5m])", 1020), [1.0]);
    assert_eq!(values(&store, "quiet", 1299), [0.0], "zero is not missing");
    assert_eq!(values(&store, "quiet", 1300), [0.0; 0]);
}

#[test]
fn what_is_not_implemented_is_an_error() {
    let store = SeriesStore::new(None);
    for query in [
        "double_exponential_smoothing(x[5m], 0.5, 0.5)",
        "rate(x[5m])[10m:1m]",
        "day_of_week()",
        "count_values(\"v\", x)",
    ] {
        let result = instant(&store, query, Time::from_millis(0));
        assert!(matches!(result, Err(QueryError::Execution(_))), "{query}: {result:?}");
    }
}
