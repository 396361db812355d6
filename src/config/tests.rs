use super::*;
use crate::model::{Confirm, Secret, SecretSource};

/// The example of the contract, which must stay readable.
const EXAMPLE: &str = include_str!("../../config/example.toml");

#[test]
fn the_example_is_valid_and_means_what_it_says() {
    let config = Config::parse(EXAMPLE, "example.toml", false).unwrap_or_else(|e| panic!("{e}"));
    let scorer = config.workloads().into_iter().find(|w| w.name == "fraud-scorer").unwrap();
    assert_eq!(scorer.limits, Limits { min: 2, max: 24 });
    assert_eq!(scorer.slo.time_lag, Some(30.0));
    assert_eq!(scorer.entity.source.as_str(), "prod");
    assert_eq!(scorer.guard.confirm, Confirm::Yes);
    let model = config.workloads().into_iter().find(|w| w.name == "fraud-model").unwrap();
    assert_eq!(model.entity.id.as_str(), "fraud", "the service is told by its label");
    assert_eq!(config.prometheus[0].custom.len(), 1);
    assert_eq!(
        config.kafka[0].properties["sasl.password"],
        Property::Secret(SecretSource::Env("KAFKA_PASSWORD".into()))
    );
}

fn problems(text: &str) -> String {
    Config::parse(text, "f.toml", false).unwrap_err().to_string()
}

#[test]
fn every_problem_is_told_at_once_with_line_key_and_mend() {
    let text = "[ui]\nrefesh = \"2s\"\n[kafka.prod]\n\"bootstrap.servers\" = \"k:9092\"\n[[workload]]\nname = \"a\"\n\
                target = \"pods/x\"\nreplicas = { min = 9, max = 3 }\nslo = { time_lag = 30 }\n";
    insta::assert_snapshot!(problems(text), @r#"
    f.toml:2: ui.refesh: unknown key; did you mean refresh?
    f.toml:7: workload[1].target: "pods/x" is not a target: write deploy/NAMESPACE/NAME, sts/NAMESPACE/NAME or command/NAME
    f.toml:8: workload[1].replicas.min: 9 is above max, 3
    f.toml:9: workload[1].slo.time_lag: an integer where a duration such as "15s" belongs
    "#);
}

#[test]
fn syntax_errors_have_a_line() {
    assert!(problems("[ui]\ntheme = \n").starts_with("f.toml:2: "), "{}", problems("[ui]\ntheme = \n"));
}

#[test]
fn plain_secrets_need_a_private_file() {
    let text = "[kafka.k]\n\"bootstrap.servers\" = \"k:9092\"\n\"sasl.password\" = \"hunter2\"\n";
    let told = problems(text);
    assert!(told.contains("f.toml:3") && told.contains("chmod 600"), "{told}");
    assert!(!told.contains("hunter2"));
    let config = Config::parse(text, "f.toml", true).unwrap();
    assert!(matches!(&config.kafka[0].properties["sasl.password"],
        Property::Secret(SecretSource::Value(s)) if *s == Secret::new("hunter2")));
}

#[test]
fn references_are_checked() {
    let told = problems(
        "[kafka.prod]\n\"bootstrap.servers\" = \"k:1\"\n[[workload]]\nname = \"a\"\nkafka = \"prd\"\ntarget = \"command/x\"\n",
    );
    assert!(told.contains("no section [kafka.prd]") && told.contains("[actuator.command.x]"), "{told}");
}

#[test]
fn the_command_line_goes_over_the_file() {
    let mut config = Config::parse(EXAMPLE, "example.toml", false).unwrap();
    config.apply(Overrides { kafka: Some("127.0.0.1:1".into()), ascii: true, ..Overrides::default() });
    assert_eq!(config.kafka[0].properties["bootstrap.servers"], Property::Text("127.0.0.1:1".into()));
    assert_eq!(config.kafka[0].name.as_str(), "prod", "workloads still find their cluster");
    assert_eq!(config.ui.ascii, Some(true));
}
