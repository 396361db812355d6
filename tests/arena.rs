//! `simulate`, `replay`, `backtest` and `forecast` from the outside: the shape of their JSON, their exit codes, and rows
//! that a real controller wrote.

use serde_json::Value;
use std::{fs, path::PathBuf, process::Command};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/arena").join(name)
}

/// Exit code, standard output, standard error.
fn highwater(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_highwater")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn json(args: &[&str]) -> Value {
    let (code, out, err) = highwater(args);
    assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
    serde_json::from_str(&out).unwrap()
}

/// Every number of a document is finite (JSON has no others) and every key of `keys` is there.
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "no {key} in {value:#}");
    }
}

#[test]
fn simulate_prices_every_policy_and_says_the_same_twice() {
    let scenario = fixture("hour.toml");
    let names = "planner,hpa,hpa-unstabilised,hpa-cpu,keda,keda-tuned,threshold,threshold-70-50,fixed,oracle";
    let args =
        ["simulate", "--scenario", scenario.to_str().unwrap(), "--seeds", "2", "--policy", names, "--format", "json"];
    let one = json(&args);
    has(&one, &["version", "scenario", "seeds", "clairvoyant", "policies"]);
    assert_eq!((&one["version"], &one["scenario"], &one["seeds"]), (&1.into(), &"hour".into(), &2.into()));
    let best = one["clairvoyant"]["price"].as_f64().unwrap();
    assert!(one["clairvoyant"]["lower_bound"].as_f64().unwrap() <= best);
    assert!(one["clairvoyant"]["lower_bound_is_estimate"].is_boolean());
    let policies = one["policies"].as_array().unwrap();
    let listed: Vec<&str> = policies.iter().map(|p| p["policy"].as_str().unwrap()).collect();
    assert_eq!(listed.join(","), names);
    for policy in policies {
        let keys = [
            "price",
            "regret",
            "pod_hours",
            "average_replicas",
            "average_lag",
            "p99_lag",
            "average_time_lag",
            "slo_minutes",
            "actions",
            "flaps",
            "rebalances",
        ];
        assert!(keys.iter().all(|k| policy[k].is_f64()), "{policy:#}");
        assert!((2.0..=12.0).contains(&policy["average_replicas"].as_f64().unwrap()), "outside the bounds: {policy:#}");
        let regret = policy["price"].as_f64().unwrap() / best - 1.0;
        assert!((policy["regret"].as_f64().unwrap() - regret).abs() < 1e-9);
    }
    assert_eq!(json(&args), one);
    let (code, table, _) = highwater(&["simulate", "--scenario", scenario.to_str().unwrap(), "--policy", "fixed"]);
    assert_eq!(code, 0);
    assert!(table.contains("fixed") && table.contains("the oracle did not play"), "{table}");
    assert!(table.contains("LAG S and SLO MIN are of the whole topic"), "{table}");
}

#[test]
fn the_unit_of_demand_changes_no_count() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("hour.toml")).unwrap();
    // 256 is exact in binary. A target in records scales with the records.
    let more = text
        .replace("mean = 3000.0", "mean = 768000.0")
        .replace("partitions = 12", "partitions = 12\nconsumer_rate = 256000.0")
        .replace("target_average_value = 10000", "target_average_value = 2560000");
    let path = dir.path().join("more.toml");
    fs::write(&path, more).unwrap();
    let run =
        |path: &str| json(&["simulate", "--scenario", path, "--policy", "planner,hpa,threshold", "--format", "json"]);
    let (one, two) = (run(fixture("hour.toml").to_str().unwrap()), run(path.to_str().unwrap()));
    for (a, b) in one["policies"].as_array().unwrap().iter().zip(two["policies"].as_array().unwrap()) {
        assert_eq!((&a["actions"], &a["pod_hours"]), (&b["actions"], &b["pod_hours"]), "{}", a["policy"]);
    }
}

#[test]
fn replay_writes_what_the_real_controller_wrote() {
    for (recorded, spec) in [("spike_behavior", "hpa_behavior.yaml"), ("notready", "hpa.yaml")] {
        let csv = fixture(&format!("hpa_recorded_{recorded}.csv"));
        let document = json(&[
            "replay",
            "--spec",
            fixture(spec).to_str().unwrap(),
            "--csv",
            csv.to_str().unwrap(),
            "--sync",
            "2s",
            "--downscale-stabilization",
            "20s",
            "--format",
            "json",
        ]);
        assert_eq!((&document["version"], &document["kind"]), (&1.into(), &"hpa".into()));
        let text = fs::read_to_string(csv).unwrap();
        let written: Vec<u64> = text.lines().skip(1).map(|l| l.rsplit(',').next().unwrap().parse().unwrap()).collect();
        let rows = document["rows"].as_array().unwrap();
        has(&rows[0], &["t", "metric", "current", "desired", "replicas", "reason"]);
        let desired: Vec<u64> = rows.iter().map(|r| r["desired"].as_u64().unwrap()).collect();
        assert_eq!(desired, written, "{recorded}");
    }
}

#[test]
fn replay_makes_its_own_syncs_and_caps_at_the_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("lag.csv");
    fs::write(&csv, "ts,value\n0,0\n60,500000\n600,\n660,0\n1800,0\n").unwrap();
    let (spec, csv) = (fixture("scaledobject.yaml"), csv.to_str().unwrap().to_owned());
    let args = ["replay", "--spec", spec.to_str().unwrap(), "--csv", &csv, "--partitions", "24", "--format", "json"];
    let document = json(&args);
    let rows = document["rows"].as_array().unwrap();
    assert_eq!(document["kind"], "keda");
    assert_eq!(rows.len(), 121, "a sync every 15 s");
    let counts: Vec<u64> = rows.iter().map(|r| r["desired"].as_u64().unwrap()).collect();
    assert_eq!((counts[0], counts.iter().max(), counts.last()), (6, Some(&24), Some(&6)), "{counts:?}");
    assert!(
        rows[40]["metric"].is_null() && rows[40]["desired"] == rows[40]["current"],
        "a failed read holds the count"
    );
    let (code, csv_out, _) = highwater(&[&args[..7], &["--format", "csv"]].concat());
    assert_eq!((code, csv_out.lines().count()), (0, 122));
}

#[test]
fn backtest_and_forecast_have_the_shape_that_is_promised() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("wave.csv");
    let rows: Vec<String> =
        (0..240).map(|i| format!("{},{}", i * 60, 100.0 + 20.0 * (f64::from(i) / 12.0).sin())).collect();
    fs::write(&csv, format!("ts,value\n{}\n", rows.join("\n"))).unwrap();
    let csv = csv.to_str().unwrap();
    let backtest = json(&["backtest", "--csv", csv, "--horizons", "5m,15m", "--format", "json"]);
    has(&backtest, &["version", "step", "origins", "horizons", "weights", "seconds"]);
    let horizons = backtest["horizons"].as_array().unwrap();
    assert_eq!((horizons.len(), &horizons[1]["horizon"]), (2, &900.0.into()));
    has(&horizons[0], &["relative_mase", "relative_pinball"]);
    // Of the usual horizons those within a series of 50 minutes, and those that are a step or more of half an hour or a
    // day; one that is asked for is not left out.
    let short = dir.path().join("short.csv");
    fs::write(&short, format!("ts,value\n{}\n", rows[..50].join("\n"))).unwrap();
    let short = short.to_str().unwrap();
    let usual = |csv: &str| -> Vec<f64> {
        let scores = json(&["backtest", "--csv", csv, "--format", "json"]);
        scores["horizons"].as_array().unwrap().iter().filter_map(|h| h["horizon"].as_f64()).collect()
    };
    assert_eq!(usual(short), [300.0, 900.0]);
    for (step, scored) in [(1_800, 3_600.0), (86_400, 86_400.0)] {
        let coarse = dir.path().join("coarse.csv");
        let rows: Vec<String> = (0..240).map(|i| format!("{},{}", i * step, 100 + i % 48)).collect();
        fs::write(&coarse, format!("ts,value\n{}\n", rows.join("\n"))).unwrap();
        assert_eq!(usual(coarse.to_str().unwrap()), [scored], "a value every {step} s");
    }
    let (code, _, why) = highwater(&["backtest", "--csv", short, "--horizons", "60m"]);
    assert!(code == 1 && why.contains("within the series"), "{code} {why}");
    has(&horizons[0]["coverage"], &["80", "95"]);
    has(&horizons[0]["upper_coverage"], &["80", "95"]);
    let forecast = json(&["forecast", "--csv", csv, "--horizon", "10m", "--format", "json"]);
    has(&forecast, &["version", "at", "step", "unit", "model", "points", "warnings"]);
    let points = forecast["points"].as_array().unwrap();
    assert_eq!((points.len(), points[0]["t"].as_str()), (10, Some("1970-01-01T04:00:00.000Z")));
    for point in points {
        let q = ["p10", "p50", "p80", "p95"].map(|k| point[k].as_f64().unwrap());
        assert!(q.windows(2).all(|w| w[0] <= w[1]), "{point}");
    }
    has(&forecast["coverage"], &["10", "80", "95", "n"]);
    let (code, svg, why) = highwater(&["forecast", "--csv", csv, "--format", "svg"]);
    assert!(code == 0 && svg.starts_with("<svg") && svg.contains("30 min ahead: p10"), "{code} {why} {svg}");
    // Nothing listens on port 1.
    let (code, _, why) = highwater(&["forecast", "--query", "sum(up)", "--prometheus", "http://127.0.0.1:1"]);
    assert!(code == 3 && why.contains("127.0.0.1:1"), "{code} {why}");
    let (code, _, why) = highwater(&["forecast"]);
    assert!(code == 2 && why.contains("--csv"), "{code} {why}");
}

#[test]
fn bad_files_are_refused_with_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, bad) = (file("good.csv", "ts,value\n0,1\n15,2\n"), file("bad.csv", "ts,value\n0,1\n15,two\n"));
    file("short.csv", "ts,value\n0,5\n3600,5\n");
    file("empty.csv", "ts,value\n0,\n3600,\n");
    let series = |csv: &str| file(&format!("{csv}.toml"), &format!("[demand]\ncsv = \"{csv}.csv\"\n"));
    let (short, empty, gone) = (series("short"), series("empty"), series("gone"));
    let toml = file("bad.toml", "[demand]\ngenerator = \"diurnal\"\n[group]\ncommit = \"often\"\n");
    let yaml =
        file("bad.yaml", "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec:\n  maxReplicas: many\n");
    let hpa = fixture("hpa.yaml");
    let hpa = hpa.to_str().unwrap();
    for (args, place) in [
        (vec!["backtest", "--csv", &bad], "bad.csv:3:2: column value"),
        (vec!["forecast", "--csv", &bad], "bad.csv:3:2: column value"),
        (vec!["replay", "--spec", hpa, "--csv", &bad], "bad.csv:3:2: column value"),
        (vec!["replay", "--spec", &yaml, "--csv", &good], "bad.yaml:4:16: "),
        (vec!["replay", "--spec", hpa, "--csv", &good, "--start", "4000000000"], "--start"),
        (vec!["simulate", "--scenario", &toml], "bad.toml:4:10: "),
        (vec!["simulate", "--scenario", &short], "short.csv: 60 min of demand, but scored = 24h00"),
        (vec!["simulate", "--scenario", &empty], "empty.csv: no row has a value"),
        (vec!["simulate", "--scenario", &gone], "gone.csv"),
        (vec!["simulate", "--scenario", "nowhere.toml"], "cannot read nowhere.toml"),
        (vec!["backtest", "--csv", &good, "--horizons", "5 weeks"], "--horizons"),
    ] {
        let (code, out, err) = highwater(&args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(err.contains(place), "{args:?}: {err}");
    }
    let (code, _, err) = highwater(&["forecast", "--csv", &good]);
    assert_eq!(code, 1, "too little history is an answer, not a wrong file");
    assert!(err.contains("are needed"), "{err}");
}
