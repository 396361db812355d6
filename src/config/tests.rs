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
    let own: Vec<Role> = config.prometheus[0].custom.iter().map(|c| c.key.role).collect();
    assert_eq!(own, [Role::Demand, Role::Throughput], "its demand is what its replicas do, in the same unit");
    assert_eq!(config.prometheus[0].selected, [], "a row of its name needs no question of its own");
    assert_eq!(
        config.kafka[0].properties["sasl.password"],
        Property::Secret(SecretSource::Env("KAFKA_PASSWORD".into()))
    );
}

#[test]
fn a_select_goes_to_the_packs_and_into_the_signals_that_ask_for_it_or_is_refused() {
    let text = |kind: &str, query: &str| {
        format!(
            "[prometheus.main]\nurl = \"http://p\"\n[kafka.k]\n\"bootstrap.servers\" = \"k:1\"\n[[workload]]\n\
             name = \"chat\"\nkind = \"{kind}\"\nselect = {{ tier = \"x\" }}\nsignals.demand = '{query}'\n"
        )
    };
    let config = Config::parse(&text("inference", "sum(rate(r{$sel}[$w]))"), "f.toml", true).unwrap();
    let alone = &config.prometheus[0].selected[0];
    assert_eq!((alone.entity.id.as_str(), alone.select["tier"].as_str()), ("chat", "x"));
    let own = &config.prometheus[0].custom[0];
    assert_eq!((own.query.as_str(), own.select["tier"].as_str()), ("sum(rate(r{$sel}[$w]))", "x"));
    let told = problems(&text("consumer-group", "sum(rate(r[$w]))"));
    assert!(told.starts_with("f.toml:8: workload[1].select: only this workload's own signals"), "{told}");
    assert!(Config::parse(&text("inference", "sum(rate(r[$w]))"), "f.toml", true).is_ok());
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
    f.toml:7: workload[1].target: "pods/x" is not a target: write command/NAME, webhook/NAME, patch-file/NAME or KIND/NAMESPACE/NAME, where KIND is deploy, sts, jobs, rollout, leaderworkerset, kafkanodepool, kafkaconnect, kafkamirrormaker2, kafkabridge, inferenceservice, raycluster, rayservice
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
    let told = problems("[prometheus.p]\nurl = \"http://p\"\nheaders = { X-Auth-Key = \"hunter2\" }\n");
    assert!(told.contains("f.toml:3: prometheus.p.headers.X-Auth-Key") && told.contains("chmod 600"), "{told}");
    let told = problems(text);
    assert!(told.contains("f.toml:3") && told.contains("chmod 600"), "{told}");
    assert!(!told.contains("hunter2"));
    let config = Config::parse(text, "f.toml", true).unwrap();
    assert!(matches!(&config.kafka[0].properties["sasl.password"],
        Property::Secret(SecretSource::Value(s)) if *s == Secret::new("hunter2")));
}

#[test]
fn two_workloads_do_not_change_one_count() {
    let workload = |name: &str, target: &str| format!("[[workload]]\nname = \"{name}\"\ntarget = \"{target}\"\n");
    let kafka = "[kafka.k]\n\"bootstrap.servers\" = \"k:1\"\n";
    let told = problems(&format!("{kafka}{}{}", workload("a", "deploy/x/y"), workload("b", "deployment/x/y")));
    let said = "f.toml:8: workload[2].target: deploy/x/y is what workload a changes too";
    assert!(told.starts_with(said), "{told}");
    let two = format!("{kafka}{}{}", workload("a", "deploy/x/y"), workload("b", "deploy/x/z"));
    assert!(Config::parse(&two, "f.toml", true).is_ok());
}

#[test]
fn references_are_checked() {
    assert!(problems("[[workload]]\nname = \"\"\n").contains("f.toml:2: workload[1].name: is missing"));
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

/// The schema that editors are given.
const SCHEMA: &str = include_str!("../../config/schema.json");

/// A key that resembles none: the parser names all that it knows there.
const STRANGE: &str = "zzqqxxww";

/// Sections as a file writes them, as problems name them, and where the schema has their keys.
const SECTIONS: [(&str, &str, &str); 22] = [
    ("", "", "/properties"),
    ("[ui]", "ui", "/properties/ui/properties"),
    ("[prometheus.p]", "prometheus.p", "/properties/prometheus/additionalProperties/properties"),
    (
        "[prometheus.p.basic]",
        "prometheus.p.basic",
        "/properties/prometheus/additionalProperties/properties/basic/properties",
    ),
    (
        "[prometheus.p.oauth2]",
        "prometheus.p.oauth2",
        "/properties/prometheus/additionalProperties/properties/oauth2/properties",
    ),
    (
        "[prometheus.p.sigv4]",
        "prometheus.p.sigv4",
        "/properties/prometheus/additionalProperties/properties/sigv4/properties",
    ),
    ("[prometheus.p.tls]", "prometheus.p.tls", "/properties/prometheus/additionalProperties/properties/tls/properties"),
    ("[prometheus.p.bearer_token]", "prometheus.p.bearer_token", "/$defs/secret/oneOf/1/properties"),
    ("[kubernetes]", "kubernetes", "/properties/kubernetes/properties"),
    ("[[workload]]", "workload[1]", "/properties/workload/items/properties"),
    ("[workload.replicas]", "workload[1].replicas", "/properties/workload/items/properties/replicas/properties"),
    ("[workload.slo]", "workload[1].slo", "/properties/workload/items/properties/slo/properties"),
    ("[workload.price]", "workload[1].price", "/properties/workload/items/properties/price/properties"),
    ("[workload.guard]", "workload[1].guard", "/properties/workload/items/properties/guard/properties"),
    ("[workload.batch]", "workload[1].batch", "/properties/workload/items/properties/batch/properties"),
    ("[workload.broker]", "workload[1].broker", "/properties/workload/items/properties/broker/properties"),
    ("[[budget]]", "budget[1]", "/properties/budget/items/properties"),
    ("[[pipeline]]", "pipeline[1]", "/properties/pipeline/items/properties"),
    ("[[command]]", "command[1]", "/properties/command/items/properties"),
    ("[actuator]", "actuator", "/properties/actuator/properties"),
    ("[limits]", "limits", "/properties/limits/properties"),
    ("[ledger]", "ledger", "/properties/ledger/properties"),
];

/// A text that fits two of `oneOf` fits none: an editor would mark every such line of a right file.
#[test]
fn alternatives_of_the_schema_do_not_overlap() {
    fn types(schema: &serde_json::Value, of: &serde_json::Value) -> Vec<String> {
        if let Some(path) = of.get("$ref").and_then(|r| r.as_str()) {
            return types(schema, schema.pointer(path.trim_start_matches('#')).unwrap());
        }
        if let Some(list) = of.get("oneOf").and_then(|l| l.as_array()) {
            return list.iter().flat_map(|one| types(schema, one)).collect();
        }
        match &of["type"] {
            serde_json::Value::Array(list) => list.iter().map(|t| t.as_str().unwrap().to_owned()).collect(),
            one => vec![one.as_str().unwrap_or_else(|| panic!("no type: {of}")).to_owned()],
        }
    }
    fn walk(schema: &serde_json::Value, at: &serde_json::Value, seen: &mut usize) {
        if at.get("oneOf").is_some() {
            let mut all = types(schema, at);
            all.sort();
            let count = all.len();
            all.dedup();
            assert_eq!(all.len(), count, "two alternatives take the same: {at:#}");
            *seen += 1;
        }
        at.as_object().into_iter().flat_map(|o| o.values()).for_each(|part| walk(schema, part, seen));
        at.as_array().into_iter().flatten().for_each(|part| walk(schema, part, seen));
    }
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let mut seen = 0;
    walk(&schema, &schema, &mut seen);
    assert!(seen >= 5, "{seen}");
}

#[test]
fn the_schema_has_the_keys_that_the_parser_knows() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let keys = |at: &str| -> Vec<String> {
        let object = schema.pointer(at).and_then(|o| o.as_object()).unwrap_or_else(|| panic!("the schema has no {at}"));
        let mut keys: Vec<String> = object.keys().cloned().collect();
        keys.sort();
        keys
    };
    let sections: Vec<String> = SECTIONS.iter().map(|(header, ..)| format!("{header}\n{STRANGE} = 1\n")).collect();
    let text = sections.concat();
    // An actuator without apply is left out before its keys are looked at.
    let text = text + "[actuator.command.c]\napply = [\"x\"]\n" + STRANGE + " = 1\n";
    let text = text + "[actuator.webhook.w]\nurl = \"https://x\"\n" + STRANGE + " = 1\n";
    let text = text + "[actuator.job.j]\ntemplate = \"x\"\n" + STRANGE + " = 1\n";
    let text = text + "[actuator.patch-file.p]\nfile = \"x\"\n" + STRANGE + " = 1\n";
    let list = Config::parse(&text, "f.toml", true).unwrap_err().list;
    let command = ("", "actuator.command.c", "/properties/actuator/properties/command/additionalProperties/properties");
    let webhook = ("", "actuator.webhook.w", "/properties/actuator/properties/webhook/additionalProperties/properties");
    let job = ("", "actuator.job.j", "/properties/actuator/properties/job/additionalProperties/properties");
    let file =
        ("", "actuator.patch-file.p", "/properties/actuator/properties/patch-file/additionalProperties/properties");
    for (_, section, at) in SECTIONS.into_iter().chain([command, webhook, file, job]) {
        let key = if section.is_empty() { STRANGE.to_owned() } else { format!("{section}.{STRANGE}") };
        let told = list.iter().find(|p| p.key == key).unwrap_or_else(|| panic!("{key}: {list:#?}"));
        let known = told.what.strip_prefix("unknown key; known here: ").unwrap_or_else(|| panic!("{told:?}"));
        let mut known: Vec<String> = known.split(", ").map(str::to_owned).collect();
        known.sort();
        assert_eq!(known, keys(at), "[{section}]: the parser's keys and the schema's");
    }
    let roles = schema.pointer("/properties/workload/items/properties/signals/propertyNames/enum").unwrap();
    assert_eq!(*roles, serde_json::json!(Role::ALL.map(Role::name)));
}

#[test]
fn mistakes_of_actuators_are_told_with_line_and_key() {
    let text = r#"
[actuator.webhook.pool]
url = "http://ops.example.com/scale"
observe_field = "count"
method = "GET"
body = "{}"
[actuator.webhook.nowhere]
[actuator.webhook.away]
url = "http://localhost:word@ops.example.com/scale"
[actuator.patch-file.git]
key = "replicas"
[actuator.job.Tune]
template = "/no/such/file.yaml"
[[workload]]
name = "a"
target = "webhook/other"
[[workload]]
name = "b"
target = "hpa/payments/b"
"#;
    let problems = Config::parse(text, "x.toml", true).unwrap_err().to_string();
    for part in [
        "x.toml:3: actuator.webhook.pool.url: http:// goes to this machine only",
        "x.toml:4: actuator.webhook.pool.observe_field: a JSON pointer",
        "x.toml:5: actuator.webhook.pool.method",
        "x.toml:6: actuator.webhook.pool.body: does not contain {to}",
        "actuator.webhook.nowhere.url: is missing",
        "actuator.webhook.away.url: user and password do not belong into the URL",
        "actuator.patch-file.git.file: is missing",
        "actuator.job.Tune.template: /no/such/file.yaml: cannot be read",
        "there is no [actuator.webhook.other] in this file",
        "an autoscaler has bounds, not a count",
    ] {
        assert!(problems.contains(part), "{part:?} is not in\n{problems}");
    }
}

#[test]
fn queues_brokers_and_pools_are_read_and_their_mistakes_told() {
    let text = r#"
[kafka.k]
"bootstrap.servers" = "k:9092"
[prometheus.p]
url = "http://p:9090"
[[workload]]
name = "training"
kind = "batch"
gpus = 2
batch = { gang = 4, run = "25m" }
slo = { deadline = "06:30" }
[[workload]]
name = "chat"
kind = "inference"
[[workload]]
name = "k"
kind = "brokers"
broker = { disk = 2e12, days = 30 }
[[budget]]
name = "a100"
gpus = 16
workloads = ["training", "chat"]
"#;
    let config = Config::parse(text, "x.toml", true).unwrap();
    let all = config.workloads();
    let by = |name: &str| all.iter().find(|w| w.name == *name).unwrap();
    let training = by("training");
    assert_eq!((training.shape.gpus, training.shape.gang, training.shape.run), (2, 4, Some(1_500.0)));
    assert_eq!((training.slo.deadline, by("chat").shape.gpus), (Some(23_400.0), 1));
    let broker = by("k").broker.unwrap();
    assert!((broker.disk, broker.days, broker.fill) == (2e12, 30.0, 0.75), "{broker:?}");
    assert_eq!((config.budgets[0].gpus, config.budgets[0].workloads.len()), (16, 2));
    let wrong = text.replace("06:30", "25:00").replace("disk = 2e12", "disk = 0, fill = 1.5");
    let wrong = wrong.replace("\"chat\"]", "\"chat\", \"k\", \"nobody\", \"chat\"]");
    let told = Config::parse(&wrong, "x.toml", true).unwrap_err().to_string();
    for part in [
        "workload[1].slo.deadline: \"25:00\" is no time of day",
        "workload[3].broker.disk: 0 of it",
        "workload[3].broker.fill: 1.5: a share",
        "k is brokers: only inference and batch",
        "no [[workload]] named \"nobody\"",
        "chat shares another pool already",
    ] {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
}

#[test]
fn how_a_prometheus_is_asked_is_read_from_both_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("http.yml");
    std::fs::write(&file, "authorization:\n  credentials_file: token\ntls_config:\n  ca_fil: ca.pem\n").unwrap();
    let text = format!(
        "[prometheus.amp]\nurl = \"https://p\"\nsigv4 = {{ region = \"eu-west-1\", credentials = {{ file = \"/keys\" }} }}\n\
         [prometheus.main]\nurl = \"https://q\"\nhttp_config_file = {file:?}\n"
    );
    let told = Config::parse(&text, "x.toml", false).unwrap_err().to_string();
    let place = format!("x.toml:6: prometheus.main.http_config_file: {}:4:11: tls_config.ca_fil", file.display());
    assert!(told.starts_with(&place) && told.contains("did you mean ca_file?"), "{told}");
    std::fs::write(&file, "authorization:\n  credentials_file: token\n").unwrap();
    let config = Config::parse(&text, "x.toml", false).unwrap();
    let by = |name: &str| config.prometheus.iter().find(|p| p.name.as_str() == name).unwrap();
    assert_eq!(by("main").bearer, Some(SecretSource::File(folder.path().join("token"))));
    let sigv4 = by("amp").sigv4.clone().unwrap();
    assert_eq!((sigv4.region.as_str(), sigv4.service.as_str()), ("eu-west-1", "aps"));
    assert_eq!(sigv4.credentials, Some(SecretSource::File("/keys".into())));
    let wrong = "[prometheus.a]\nurl = \"https://p\"\nsigv4 = {}\n[prometheus.b]\nurl = \"https://p\"\n\
                 bearer_token = { env = \"T\" }\nsigv4 = { region = \"r\" }\nhttp_config_file = \"/no/such.yml\"\n";
    let told = Config::parse(wrong, "x.toml", false).unwrap_err().to_string();
    for part in ["x.toml:3: prometheus.a.sigv4: needs the region", "x.toml:7: prometheus.b.sigv4: keep one", "x.toml:8"]
    {
        assert!(told.contains(part), "{part:?} is not in\n{told}");
    }
}

/// Demand, history and plan are the group's: two counts for it would each be planned as if they carried it alone.
#[test]
fn a_group_has_one_workload() {
    let text = |second: &str| {
        format!(
            "[kafka.k]\n\"bootstrap.servers\" = \"k:1\"\n[kafka.l]\n\"bootstrap.servers\" = \"l:1\"\n\
             [[workload]]\nname = \"stable\"\ngroup = \"orders\"\n[[workload]]\nname = \"canary\"\n{second}"
        )
    };
    let told = Config::parse(&text("group = \"orders\"\n"), "x.toml", true).unwrap_err().to_string();
    assert!(told.contains("x.toml:9") && told.contains("orders of k is what workload stable is about too"), "{told}");
    for other in ["group = \"orders\"\nkafka = \"l\"\n", "group = \"orders-canary\"\n", ""] {
        assert!(Config::parse(&text(other), "x.toml", true).is_ok(), "{other}");
    }
}

/// The worst that a panic or a careless log line could print of a configuration.
#[test]
fn no_secret_shows_in_the_debug_form_of_a_configuration() {
    let text = r#"
[kafka.k]
"bootstrap.servers" = "k:1"
"sasl.password" = "canary"
"ssl.key.password" = "canary"
"ssl.key.pem" = "canary"
[prometheus.p]
url = "http://p"
bearer_token = "canary"
headers = { Authorization = "canary" }
[prometheus.q]
url = "http://q"
basic = { user = "u", password = "canary" }
[actuator.webhook.w]
url = "https://w"
secret = "canary"
bearer_token = "canary"
headers = { X-Anything = "canary" }
"#;
    let config = Config::parse(text, "x.toml", true).unwrap();
    assert_eq!((config.kafka.len(), config.prometheus.len(), config.webhooks.len()), (1, 2, 1));
    assert!(!format!("{config:?} {config:#?}").contains("canary"));
}

#[test]
fn mistakes_of_own_commands_are_told_with_line_and_key() {
    let text = r#"
[[command]]
name = "a"
argv = ["kubectl", "describe", "{pod}"]
confirm = "yes"
timeout = "1h"
[[command]]
name = "a"
argv = ["x"]
env = ["A=1"]
[[command]]
read_only = "yes"
argv = []
"#;
    insta::assert_snapshot!(problems(text), @r#"
    f.toml:4: command[1].argv: there is no {pod}; there are workload, id, cluster, group, topic, partition, namespace, target
    f.toml:5: command[1].confirm: "yes" is not known: none, key or name
    f.toml:6: command[1].timeout: a time from 100ms to 10m belongs here
    f.toml:8: command[2].name: "a" is the name of another command too: names are unique
    f.toml:10: command[2].env: "A=1" is no variable's name: names alone belong here, their values are passed on
    f.toml:11: command[3].name: is missing: every command has a unique name, for the palette
    f.toml:12: command[3].read_only: a string where true or false belongs
    f.toml:13: command[3].argv: an empty command: write ["/path/to/program", "argument"]
    "#);
    let whole = "[[command]]\nname = \"lag\"\nkey = \"D\"\nargv = [\"x\", \"{group}\"]\nread_only = true\n";
    let config = Config::parse(whole, "f.toml", false).unwrap();
    let lag = &config.user_commands[0];
    assert_eq!((lag.confirm, lag.timeout, lag.about.as_str()), (Confirm::None, 30.0, "Run x."));
    assert_eq!(config.user_commands_at[&lag.name], 3);
    let writes = Config::parse("[[command]]\nname = \"w\"\nargv = [\"x\"]\n", "f.toml", false).unwrap();
    assert_eq!((writes.user_commands[0].read_only, writes.user_commands[0].confirm), (false, Confirm::Yes));
}
