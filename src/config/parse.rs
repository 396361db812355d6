//! One function per section of the file.

use super::{
    Config, Problem, Ui, WorkloadConfig, actuators, ledger, prometheus,
    reader::{Doc, FreeValue, Section},
    shape, user_commands,
};
use crate::model::{
    Alarm, Confirm, GuardSettings, KafkaSettings, KubernetesSettings, Label, LedgerSettings, LimitSettings, Limits,
    Link, ObjectKind, Pipeline, Price, Property, Role, Slo, Target, WorkloadKind, check_link,
};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::DeTable;

pub(super) fn parse(text: &str, private: bool) -> Result<Config, Vec<Problem>> {
    let doc = Doc::new(text, private);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        doc.problem(error.span().map(|s| s.start), "", error.message());
    }
    let config = if errors.is_empty() { read(&Section::root(&doc, table.get_ref())) } else { Config::default() };
    let problems = doc.into_problems();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn read(root: &Section<'_>) -> Config {
    let ui = root.section("ui").map(|s| ui(&s)).unwrap_or_default();
    let keys = root.section("keys");
    let mut config = Config {
        file: None,
        keys_at: keys.as_ref().map(Section::lines).unwrap_or_default(),
        keys: keys.as_ref().map(Section::free_lists).unwrap_or_default(),
        links: root.section("links").map(|s| links(&s)).unwrap_or_default(),
        user_commands: Vec::new(),
        user_commands_at: BTreeMap::new(),
        kafka: root.named_sections("kafka").into_iter().map(|(name, s)| kafka(&name, &s, ui.refresh)).collect(),
        prometheus: root
            .named_sections("prometheus")
            .into_iter()
            .map(|(name, s)| prometheus::read(&name, &s))
            .collect(),
        kubernetes: root.section("kubernetes").map(|s| kubernetes(&s)),
        workloads: Vec::new(),
        pipelines: Vec::new(),
        budgets: Vec::new(),
        commands: Vec::new(),
        webhooks: Vec::new(),
        patch_files: Vec::new(),
        jobs: Vec::new(),
        limits: root.section("limits").map(|s| limits(&s)).unwrap_or_default(),
        ledger: LedgerSettings::default(),
        ui,
    };
    if let Some(section) = root.section("ledger") {
        config.ledger = ledger::read(&section, &config.kafka);
    }
    if let Some(section) = root.section("actuator") {
        actuators::read(&section, &mut config);
    }
    workloads(root, &mut config);
    pipelines(root, &mut config);
    shape::budgets(root, &mut config);
    user_commands::read(root, &mut config);
    root.finish();
    config.give_sources_to_signals();
    config.give_kinds_to_kubernetes();
    config
}

fn ui(s: &Section<'_>) -> Ui {
    let default = Ui::default();
    let ui = Ui {
        theme: s.text("theme").map_or(default.theme, str::to_owned),
        refresh: s.duration("refresh").map_or(default.refresh, |r| r.max(0.25)),
        ascii: s.boolean("ascii"),
        low_bandwidth: s.boolean("low_bandwidth").unwrap_or_default(),
        mouse: s.boolean("mouse").unwrap_or_default(),
        alarm: s.text("alarm").map_or(default.alarm, |word| {
            Alarm::parse(word).unwrap_or_else(|| {
                s.wrong("alarm", format!("{word:?}: write off, bell or desktop"));
                Alarm::Off
            })
        }),
        hide: s.texts("hide").unwrap_or_default(),
    };
    s.finish();
    ui
}

fn links(s: &Section<'_>) -> Vec<Link> {
    let mut links = Vec::new();
    for (name, value) in s.free(|_| false) {
        match value {
            FreeValue::Text(template) => match check_link(&template) {
                Ok(()) => links.push(Link { name, template }),
                Err(why) => s.wrong(&name, why),
            },
            FreeValue::Secret(_) => s.wrong(&name, "a table where a text in quotes belongs"),
        }
    }
    links
}

/// Whether a Kafka client property holds a secret: librdkafka's names and Java's.
pub fn is_kafka_secret(key: &str) -> bool {
    let parts = ["password", "key.pem", "keystore.key", "jaas", "secret"];
    key == "sasl.oauthbearer.token" || parts.iter().any(|part| key.contains(part))
}

fn kafka(name: &str, s: &Section<'_>, refresh: f64) -> KafkaSettings {
    let refresh = s.duration("refresh").map_or(refresh, |r| r.max(0.25));
    let dead_letter = s.texts("dead_letter_topics");
    let backfill = s.duration("backfill");
    let properties = properties(s);
    if !properties.contains_key("bootstrap.servers") {
        s.wrong("bootstrap.servers", "is missing: write \"bootstrap.servers\" = \"host:9092\"");
    }
    let settings = KafkaSettings::new(name, properties);
    KafkaSettings { refresh, dead_letter, backfill: backfill.unwrap_or(settings.backfill), ..settings }
}

/// A table of client properties.
pub(super) fn properties(s: &Section<'_>) -> BTreeMap<String, Property> {
    let property = |value| match value {
        FreeValue::Text(text) => Property::Text(text),
        FreeValue::Secret(secret) => Property::Secret(secret),
    };
    s.free(is_kafka_secret).into_iter().map(|(key, value)| (key, property(value))).collect()
}

/// A table of texts whose keys are free; secrets have no place there.
pub(super) fn texts(s: &Section<'_>) -> BTreeMap<String, String> {
    let text = |(key, value): (String, FreeValue)| match value {
        FreeValue::Text(text) => Some((key, text)),
        FreeValue::Secret(_) => {
            s.wrong(&key, "a text belongs here");
            None
        }
    };
    s.free(|_| false).into_iter().filter_map(text).collect()
}

fn kubernetes(s: &Section<'_>) -> KubernetesSettings {
    let k = KubernetesSettings {
        context: s.text("context").map(str::to_owned),
        kubeconfig: s.path("kubeconfig"),
        namespaces: s.texts("namespaces").unwrap_or_default(),
        kinds: Vec::new(),
    };
    s.finish();
    k
}

/// A list of texts, each read as what it stands for.
fn parsed<T: std::str::FromStr<Err = String>>(s: &Section<'_>, key: &'static str) -> Vec<T> {
    let texts = s.texts(key).unwrap_or_default();
    let read = |text: &String| text.parse().map_err(|what: String| s.wrong(key, what)).ok();
    texts.iter().filter_map(read).collect()
}

fn limits(s: &Section<'_>) -> LimitSettings {
    let default = LimitSettings::default();
    let limits = LimitSettings {
        actions_per_hour: s.count("actions_per_hour", 0).unwrap_or(default.actions_per_hour),
        in_flight: s.count("in_flight", 1).unwrap_or(default.in_flight),
        freeze_file: s.path("freeze_file"),
        freeze: parsed(s, "freeze"),
        change: parsed(s, "change"),
        zone: s
            .text("time_zone")
            .map(str::parse)
            .transpose()
            .unwrap_or_else(|what: String| {
                s.wrong("time_zone", what);
                None
            })
            .unwrap_or_default(),
    };
    s.finish();
    limits
}

fn workloads(root: &Section<'_>, config: &mut Config) {
    let mut names = BTreeSet::new();
    for s in root.list("workload") {
        let Some(w) = workload(&s, config) else { continue };
        if !names.insert(w.name.clone()) {
            s.wrong("name", format!("{:?} is the name of another workload too: names are unique", w.name.as_str()));
        }
        // Two counts for one demand: each would be planned as if it alone carried all of it.
        let about = config.about(&w);
        if let Some(other) = config.workloads.iter().find(|o| config.about(o) == about && o.name != w.name) {
            let (kind, source, id) = about;
            let of = source.map_or_else(String::new, |source| format!(" of {source}"));
            s.wrong(
                "name",
                format!(
                    "{} {id}{of} is what workload {} is about too: its demand cannot be planned for twice; leave one out, or \
                     give each a group of its own",
                    kind.name(),
                    other.name
                ),
            );
        }
        // Each would be approved for its own demand, and take back what the other was given.
        if let Some(other) = config.workloads.iter().find(|o| o.target.is_some() && o.target == w.target) {
            let target = w.target.as_ref().map_or_else(String::new, ToString::to_string);
            s.wrong(
                "target",
                format!(
                    "{target} is what workload {} changes too, and one count cannot follow two: leave target out of one, \
                     which is then recommended for only",
                    other.name
                ),
            );
        }
        config.workloads.push(w);
    }
}

fn workload(s: &Section<'_>, config: &Config) -> Option<WorkloadConfig> {
    let name = s.label("name").filter(|name| !name.is_empty());
    if name.is_none() {
        s.wrong("name", "is missing: every workload has a unique name");
    }
    let kind = match s.text("kind").unwrap_or("consumer-group") {
        "consumer-group" => WorkloadKind::ConsumerGroup,
        "inference" => WorkloadKind::Inference,
        "batch" => WorkloadKind::Batch,
        "brokers" => WorkloadKind::Brokers,
        other => {
            s.wrong("kind", format!("{other:?} is not a kind: consumer-group, inference, batch or brokers"));
            WorkloadKind::ConsumerGroup
        }
    };
    let known = |key: &'static str, there: Vec<&Label>| {
        let named = s.label(key)?;
        if !there.is_empty() && !there.contains(&&named) {
            let all: Vec<&str> = there.iter().map(|l| l.as_str()).collect();
            s.wrong(key, format!("no section [{key}.{named}] in this file; there is {}", all.join(", ")));
        }
        Some(named)
    };
    let whole = WorkloadConfig {
        kind,
        kafka: known("kafka", config.kafka.iter().map(|k| &k.name).collect()),
        prometheus: known("prometheus", config.prometheus.iter().map(|p| &p.name).collect()),
        id: s.label("group").or_else(|| s.label("service")).or_else(|| s.label("queue")),
        select: s.section("select").map(|t| texts(&t)).unwrap_or_default(),
        target: target(s, config),
        limits: s.section("replicas").map(|r| replicas(&r)),
        slo: s.section("slo").map(|t| slo(&t)).unwrap_or_default(),
        price: s.section("price").map(|t| price(&t)).unwrap_or_default(),
        guard: s.section("guard").map(|t| guard(&t)).unwrap_or_default(),
        shape: shape::shape(s, kind),
        broker: shape::broker(s, kind),
        signals: s.section("signals").map(|t| signals(&t)).unwrap_or_default(),
        name: name.clone().unwrap_or_default(),
    };
    // The packs tell of services and queues; of groups and brokers the brokers do.
    let of_packs = matches!(kind, WorkloadKind::Inference | WorkloadKind::Batch);
    if !of_packs && !whole.select.is_empty() && !whole.signals.values().any(|q| q.contains("$sel")) {
        s.wrong(
            "select",
            "only this workload's own signals know these labels, where they hold {$sel}, and none does: put it there, or \
             leave select out",
        );
    }
    // The service's name may be told by its label alone: select = { model_name = "fraud" }.
    let id = whole.id.clone().or_else(|| whole.select.get("model_name").map(|v| Label::new(v)));
    s.finish();
    name.map(|_| WorkloadConfig { id, ..whole })
}

fn target(s: &Section<'_>, config: &Config) -> Option<Target> {
    let text = s.text("target")?;
    match text.parse::<Target>() {
        Err(what) => {
            s.wrong("target", what);
            None
        }
        Ok(target) if !actuators::is_known(&target, config) => {
            let (kind, name) = text.split_once('/').unwrap_or((text, ""));
            s.wrong("target", format!("there is no [actuator.{kind}.{name}] in this file"));
            None
        }
        Ok(Target::Object { kind: ObjectKind::Hpa | ObjectKind::ScaledObject, .. }) => {
            s.wrong("target", "an autoscaler has bounds, not a count: name what it scales; its bounds are moved then");
            None
        }
        Ok(target) => Some(target),
    }
}

fn replicas(s: &Section<'_>) -> Limits {
    let default = Limits::default();
    let limits =
        Limits { min: s.count("min", 0).unwrap_or(default.min), max: s.count("max", 1).unwrap_or(default.max) };
    if limits.min > limits.max {
        s.wrong("min", format!("{} is above max, {}", limits.min, limits.max));
    }
    s.finish();
    limits
}

fn slo(s: &Section<'_>) -> Slo {
    let deadline = s.text("deadline").and_then(|text| {
        let seconds = shape::time_of_day(text);
        if seconds.is_none() {
            s.wrong("deadline", format!("{text:?} is no time of day: write \"06:00\" (UTC)"));
        }
        seconds
    });
    let slo = Slo {
        time_lag: s.duration("time_lag"),
        ttft_p95: s.duration("ttft_p95"),
        inter_token_p95: s.duration("inter_token_p95"),
        queue_p95: s.duration("queue_p95"),
        latency_p95: s.duration("latency_p95"),
        within: s.duration("within"),
        deadline,
    };
    s.finish();
    slo
}

fn price(s: &Section<'_>) -> Price {
    let default = Price::default();
    let price = Price {
        pod_hour: s.number("pod_hour", 0.0).unwrap_or(default.pod_hour),
        slo_minute: s.number("slo_minute", 0.0).unwrap_or(default.slo_minute),
        action: s.number("action", 0.0).unwrap_or(default.action),
    };
    s.finish();
    price
}

fn guard(s: &Section<'_>) -> GuardSettings {
    let default = GuardSettings::default();
    let guard = GuardSettings {
        cooldown_up: s.duration("cooldown_up").unwrap_or(default.cooldown_up),
        cooldown_down: s.duration("cooldown_down").unwrap_or(default.cooldown_down),
        max_step_up: s.number("max_step_up", 1.0).unwrap_or(default.max_step_up),
        max_step_down: s.number("max_step_down", 0.0).unwrap_or(default.max_step_down),
        surge: s.duration("surge").unwrap_or(default.surge),
        protected: s.boolean("protected").unwrap_or(default.protected),
        confirm: match s.text("confirm") {
            None | Some("yes") => Confirm::Yes,
            Some("none") => Confirm::None,
            Some("type-name") => Confirm::TypeName,
            Some(other) => {
                s.wrong("confirm", format!("{other:?} is not known: none, yes or type-name"));
                Confirm::Yes
            }
        },
    };
    if guard.max_step_down > 1.0 {
        s.wrong("max_step_down", "a share of the present count, from 0 to 1, belongs here");
    }
    s.finish();
    guard
}

fn signals(s: &Section<'_>) -> BTreeMap<Role, String> {
    let mut signals = BTreeMap::new();
    for (name, query) in texts(s) {
        let Some(role) = Role::parse(&name) else {
            let roles: Vec<&str> = Role::ALL.iter().map(|r| r.name()).collect();
            s.wrong(&name, format!("not a role; roles are {}", roles.join(", ")));
            continue;
        };
        if let Err(e) = promql_parser::parser::parse(&query.replace("$w", "1m").replace("$sel", "")) {
            s.wrong(&name, format!("this is not PromQL: {}", Label::new(&e)));
        }
        signals.insert(role, query);
    }
    signals
}

fn pipelines(root: &Section<'_>, config: &mut Config) {
    for s in root.list("pipeline") {
        let workloads: Vec<Label> = s.texts("workloads").unwrap_or_default().iter().map(|w| Label::new(w)).collect();
        for w in &workloads {
            if !config.workloads.iter().any(|c| c.name == *w) {
                s.wrong("workloads", format!("there is no [[workload]] named {:?}", w.as_str()));
            }
        }
        if let Some(name) = s.label("name") {
            config.pipelines.push(Pipeline { name, workloads, links: Vec::new() });
        } else {
            s.wrong("name", "is missing");
        }
        s.finish();
    }
}
