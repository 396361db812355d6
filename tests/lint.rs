//! `lint` from the outside: places, exit codes, the JSON of scripts, prices, and the cluster of the simulated world.

use crate::cli::support::{Home, assert_shape};
use highwater::world::{self, World};
use serde_json::{Value, json};
use std::path::PathBuf;

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lint").join(name);
    path.to_str().unwrap().to_owned()
}

fn rules(document: &Value) -> Vec<&str> {
    let findings = document["objects"][0]["findings"].as_array().unwrap();
    findings.iter().map(|f| f["rule"].as_str().unwrap()).collect()
}

#[test]
fn the_24_partition_object_is_judged_priced_and_mended() {
    let home = Home::new();
    let (object, scenario) = (fixture("orders.yaml"), fixture("half-hour.toml"));
    let args = ["lint", &object, "--scenario", &scenario, "--seeds", "1"];
    let ran = home.expect(1, &args);
    let place = format!("{object}:20:23: warning[lag-target-under-floor]: lagThreshold 1k lies below");
    assert!(ran.out.contains(&place), "{place} is not in\n{}", ran.out);
    assert!(ran.out.contains("ensureEvenDistributionOfPartitions: \"true\"") && ran.err.is_empty(), "{ran:?}");

    let document = home.expect(1, &[&args[..], &["--format", "json"]].concat()).json();
    let finding = json!({
        "rule": "text", "severity": "text", "line": "number", "column": "number", "path": "text", "what": "text",
        "why": "text", "mend": "text", "price_with_mend": "number",
    });
    assert_shape(
        &document,
        &json!({"version": 1, "objects": [{
            "object": "text", "file": "text", "findings": [finding], "assumed": "list", "unknown": "list",
            "price": {"as_written": "number", "all_mends": "number", "planner": "number", "seeds": "number", "mend": "text"},
        }]}),
    );
    let said = rules(&document);
    for rule in ["max-over-partitions", "counts-between-useful", "cooldown-only-to-zero", "no-down-stabilisation"] {
        assert!(said.contains(&rule), "{rule} is not in {said:?}");
    }
    let price = &document["objects"][0]["price"];
    let of = |key: &str| price[key].as_f64().unwrap();
    assert!(of("all_mends") < 0.5 * of("as_written"), "{price}");
    assert!(of("planner") < 0.5 * of("as_written"), "{price}");

    let mended = home.file("mended.yaml", &mend(&object, price["mend"].as_str().unwrap()));
    let again = home.run(&["lint", &mended, "--scenario", &scenario, "--seeds", "1", "--format", "json"]);
    assert_eq!(rules(&again.json()), [""; 0], "who writes what it says has silence");
    assert_eq!(again.code, Some(0));
}

#[test]
fn a_scenario_of_something_else_prices_nothing() {
    let home = Home::new();
    let object = fixture("orders.yaml");
    for (table, text) in [
        ("[queue]", "[demand]\ngenerator = \"diurnal\"\nmean = 20\n[queue]\nwithin = \"1h\"\n"),
        ("[service]", "[demand]\ngenerator = \"diurnal\"\n[service]\nttft_p95 = 1\n"),
    ] {
        let scenario = home.file("other.toml", text);
        let ran = home.expect(2, &["lint", &object, "--scenario", &scenario]);
        assert!(ran.err.contains(&format!("other.toml: it has a {table}, and HPAs")), "{}", ran.err);
    }
}

#[test]
fn mends_that_cost_more_than_they_save_are_called_so() {
    let home = Home::new();
    let object = home.file(
        "quiet.yaml",
        "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: quiet}\nspec:\n  scaleTargetRef: {name: quiet}\n  \
         minReplicaCount: 2\n  maxReplicaCount: 30\n  triggers:\n    - type: kafka\n      metadata: {bootstrapServers: \
         \"k:9092\", consumerGroup: g, topic: t, lagThreshold: \"500\"}\n",
    );
    let scenario = home.file("quiet.toml", "[demand]\ngenerator = \"diurnal\"\nmean = 100\nscored = \"2h\"\n");
    let ran = home.expect(1, &["lint", &object, "--scenario", &scenario, "--seeds", "1"]);
    assert!(ran.out.contains("On these days the mends cost more than they save"), "{}", ran.out);
    assert!(!ran.out.contains("so only with the others"), "{}", ran.out);
}

/// The object with what `write instead` says, by hand as an operator would: keys of its spec replaced or added.
fn mend(object: &str, yaml: &str) -> String {
    use highwater::manifest::{documents, manifests};
    let read = |text: &str| manifests(&documents(text).unwrap()).remove(0).value;
    let mut value = read(&std::fs::read_to_string(object).unwrap());
    let wanted = documents(yaml).unwrap().remove(0).value;
    for line in yaml.lines().filter_map(|l| l.strip_prefix("# remove spec.")) {
        value["spec"].as_object_mut().unwrap().remove(line);
    }
    merge(&mut value, &wanted);
    value.to_string() // JSON is YAML
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) if from.iter().all(|f| f.get("metadata").is_some()) => {
            for (into, from) in into.iter_mut().zip(from) {
                merge(into, from);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[test]
fn what_is_right_ends_with_zero_and_notes_alone_do_too() {
    let home = Home::new();
    let object = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec:\n  \
                  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  maxReplicas: 9\n  metrics:\n    - \
                  type: Resource\n      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}\n";
    let file = home.file("web.yaml", object);
    let ran = home.expect(0, &["lint", &file]);
    assert!(ran.out.contains("nothing to say") && ran.out.contains("1 object: 0 errors"), "{}", ran.out);
    let list = format!(
        "apiVersion: v1\nkind: ConfigMap\n---\n{object}---\n{}",
        object.replace("name: web}\nspec", "name: again}\nspec")
    );
    let file = home.file("two.yaml", &list);
    let ran = home.expect(1, &["lint", &file]);
    let place = format!(
        "{file}:18:3: error[two-writers]: Deployment default/web is scaled by HorizontalPodAutoscaler default/web"
    );
    assert!(ran.out.contains(&place), "{place} is not in\n{}", ran.out);
}

#[test]
fn two_writers_stand_before_what_is_less_bad_and_v1_is_judged_with_the_others() {
    let home = Home::new();
    let v1 = "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: old, namespace: payments}\nspec:\n  \
              scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: orders}\n  maxReplicas: 9\n";
    let text = format!("{v1}---\n{}", std::fs::read_to_string(fixture("orders.yaml")).unwrap());
    let file = home.file("both.yaml", &text);
    let document = home.expect(1, &["lint", &file, "--format", "json"]).json();
    let findings = document["objects"][1]["findings"].as_array().unwrap();
    let severities: Vec<&str> = findings.iter().map(|f| f["severity"].as_str().unwrap()).collect();
    assert!(findings.iter().any(|f| f["rule"] == "two-writers"), "{findings:#?}");
    assert!(
        severities.is_sorted_by_key(|s| ["error", "warning", "note"].iter().position(|w| w == s)),
        "{severities:?}"
    );
}

#[test]
fn the_rules_can_be_listed() {
    let out = Home::new().expect(0, &["lint", "--rules"]).out;
    for name in ["lag-target-under-floor", "two-writers", "highwater/consumer-rate"] {
        assert!(out.contains(name), "{name} is not in\n{out}");
    }
}

#[test]
fn bad_files_are_told_with_line_and_column() {
    let home = Home::new();
    let good = std::fs::read_to_string(fixture("orders.yaml")).unwrap();
    for (name, text, place) in [
        ("a.yaml", good.replace("minReplicaCount: 6", "minReplicaCount: six"), ":10:20: \"six\" is no count"),
        ("b.yaml", good.replace("maxReplicaCount: 30", "maxReplicaCount: 3"), ":11:20: maxReplicaCount 3 is below"),
        (
            "c.yaml",
            good.replace("lagThreshold: \"1000\"", "lagThreshold: lots"),
            ":20:23: lagThreshold: \"lots\" is no count",
        ),
        (
            "n.yaml",
            good.replace(
                "  namespace: payments",
                "  namespace: payments\n  annotations: {highwater/partitions: forty}",
            ),
            ":7:39: highwater/partitions: \"forty\": a count from 1 to 100000 belongs here",
        ),
        (
            "m.yaml",
            good.replace("scaleTargetRef:\n    name: orders", "scaleTargetRef: orders"),
            ":8:19: a map belongs here",
        ),
        ("d.yaml", good.replace("    - type: kafka", "    - type: [kafka"), ":1"),
        ("e.yaml", "kind: Service\n".to_owned(), "no HorizontalPodAutoscaler and no ScaledObject in"),
    ] {
        let file = home.file(name, &text);
        let ran = home.expect(2, &["lint", &file]);
        assert!(ran.err.contains(place) && ran.err.contains(&file), "{place} is not in {}", ran.err);
        assert!(ran.out.is_empty());
    }
    for args in
        [&["lint"][..], &["lint", "/no/such/file.yaml"], &["lint", "x", "--protocol", "lazy"], &["lint", "--live"]]
    {
        home.expect(2, args);
    }
}

#[test]
fn a_history_prices_and_says_what_it_lacks() {
    let home = Home::new();
    let rows: Vec<String> = (0..160).map(|i| format!("{},{}", i * 15, 4_000 + 1_000 * (i / 40))).collect();
    let history = home.file("demand.csv", &format!("ts,value\n{}\n", rows.join("\n")));
    let object = fixture("orders.yaml");
    let bare = home.expect(1, &["lint", &object, "--history", &history]);
    assert!(bare.out.contains("not priced: the arena must know --partitions and --consumer-rate"), "{}", bare.out);
    let told = ["--partitions", "24", "--consumer-rate", "1000", "--seeds", "1", "--format", "json"];
    let args = [&["lint", &object, "--history", &history][..], &told].concat();
    let price = home.expect(1, &args).json()["objects"][0]["price"].clone();
    assert!(price["all_mends"].as_f64().unwrap() < price["as_written"].as_f64().unwrap(), "{price}");
}

#[test]
fn a_cluster_is_judged_as_files_are_and_the_brokers_tell_the_partitions() {
    let home = Home::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let world = World::start("fraud", 7, 1.0).unwrap();
    let kafka = runtime.block_on(world::kafka::serve(world.clone())).unwrap();
    let face = runtime.block_on(world::kubernetes::serve(world)).unwrap();
    let settings = face.settings();
    let config = format!(
        "[kubernetes]\ncontext = {:?}\nkubeconfig = {:?}\n[[workload]]\nname = \"clicks\"\nkind = \
         \"consumer-group\"\ngroup = \"clickstream\"\ntarget = \"deploy/web/clickstream\"\nslo = {{ time_lag = \"20s\" \
         }}\n",
        settings.context.unwrap(),
        settings.kubeconfig.unwrap()
    );
    let config = home.file("h.toml", &config);
    let ran = home.run(&["lint", "--live", "--config", &config, "--kafka", &kafka.bootstrap, "--format", "json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let objects = ran.json()["objects"].as_array().unwrap().clone();
    let titles: Vec<&str> = objects.iter().map(|o| o["object"].as_str().unwrap()).collect();
    assert!(titles.len() >= 3, "{titles:?}");
    let scaled = objects.iter().find(|o| o["object"] == "ScaledObject web/clickstream").unwrap();
    assert!(!scaled["unknown"].as_array().unwrap().contains(&json!("partitions")), "{scaled:#}");
    let told: Vec<&str> = scaled["assumed"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(told, ["commit"], "protocol and SLO are known: {scaled:#}");
    let all: Vec<&Value> = objects.iter().flat_map(|o| o["findings"].as_array().unwrap()).collect();
    assert!(
        all.iter().all(|f| f["line"].is_null() && f["rule"] != "two-writers"),
        "KEDA's own HPA is no rival: {all:#?}"
    );
}
