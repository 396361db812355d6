//! Credentials in every place that takes one: they are sent where they belong and shown nowhere.

use super::support::{Home, Manner, Server, closed_port};
use highwater::{
    act::Actuator,
    config::Config,
    engine::{Gate, Options},
    ledger::{Ledger, kafka::Shared},
    model::{Actor, LedgerSettings, Time},
    process::Clock,
};
use std::sync::{Arc, Mutex};

/// What every secret of these tests begins with.
const CANARY: &str = "canary-7f3a";

const UNAUTHORISED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn config(home: &Home, server: u16) -> String {
    let token = home.file("token", &format!("{CANARY}-file\n"));
    let keys = r#"{"AccessKeyId":"AKID","SecretAccessKey":"canary-7f3a-signing","SessionToken":"canary-7f3a-session"}"#;
    let keys = home.file("keys", keys);
    let theirs = home.file("http.yml", &format!("bearer_token: {CANARY}-theirs\n"));
    format!(
        r#"
[kafka.one]
"bootstrap.servers" = "127.0.0.1:{closed}"
"security.protocol" = "SASL_PLAINTEXT"
"sasl.mechanism" = "PLAIN"
"sasl.username" = "viewer"
"sasl.password" = "{CANARY}-sasl"

[prometheus.bearer]
url = "http://127.0.0.1:{server}/a"
bearer_token = "{CANARY}-bearer"
headers = {{ X-Api-Key = "{CANARY}-header", X-Scope-OrgID = "team-a" }}

[prometheus.basic]
url = "http://127.0.0.1:{server}/b"
basic = {{ user = "viewer", password = "{CANARY}-basic" }}

[prometheus.file]
url = "http://127.0.0.1:{server}/c"
bearer_token = {{ file = "{token}" }}

[prometheus.command]
url = "http://127.0.0.1:{server}/d"
bearer_token = {{ command = ["echo", "{CANARY}-command"] }}

[prometheus.amazon]
url = "http://127.0.0.1:{server}/e"
sigv4 = {{ region = "eu-west-1", credentials = {{ file = "{keys}" }} }}

[prometheus.theirs]
url = "http://127.0.0.1:{server}/f"
http_config_file = "{theirs}"
"#,
        closed = closed_port(),
    )
}

#[test]
fn no_secret_reaches_a_screen_or_a_log() {
    let home = Home::new();
    let server = Server::start(Manner::Answers(UNAUTHORISED));
    let file = home.file("h.toml", &config(&home, server.port));
    let log = home.path().join("trace.log").to_str().unwrap().to_owned();
    let mut told = String::new();
    for (code, args) in [
        (0, &["config", "show"][..]),
        (0, &["info"]),
        (3, &["check", "-vv"]),
        (3, &["check", "-vv", "--log-file", &log]),
        (3, &["recommend", "--settle", "2s", "-vv", "--log-file", &log]),
        (3, &["snapshot", "--settle", "1s", "--format", "json", "-vv"]),
    ] {
        let args: Vec<&str> = args.iter().copied().chain(["--config", &file]).collect();
        let ran = home.expect(code, &args);
        for (stream, text) in [("standard output", &ran.out), ("standard error", &ran.err)] {
            // The command that prints a secret is the user's own text, but no secret of ours.
            let shown = text.lines().find(|l| l.contains(CANARY));
            assert_eq!(shown, None, "{args:?} shows a secret on {stream}");
        }
        told += &ran.out;
    }
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.lines().count() > 20, "there is a log to look through");
    assert_eq!(logged.lines().find(|l| l.contains(CANARY)), None, "the log holds a secret");
    assert!(told.contains("(set, not shown)"), "config show says that there is one");
    let heard = server.heard();
    for sent in ["bearer", "header", "file", "command", "session", "theirs"] {
        assert!(heard.contains(&format!("{CANARY}-{sent}")), "the server got {sent}: {heard}");
    }
    assert!(!heard.contains("canary-7f3a-signing"), "what is signed with is never sent");
}

#[test]
fn errors_about_a_secret_do_not_repeat_it() {
    let home = Home::new();
    let shared = home.path().join("shared.toml");
    for text in [
        "[kafka.k]\n\"bootstrap.servers\" = \"k:1\"\n\"sasl.password\" = \"canary-7f3a\"\n",
        "[kafka.k]\n\"bootstrap.servers\" = \"k:1\"\n\"ssl.key.pem\" = \"canary-7f3a\"\n",
        "[kafka.k]\n\"bootstrap.servers\" = \"k:1\"\n\"sasl.oauthbearer.client.secret\" = \"canary-7f3a\"\n",
        "[prometheus.p]\nurl = \"http://p\"\nbearer_token = \"canary-7f3a\"\n",
        "[prometheus.p]\nurl = \"http://p\"\nheaders = { Authorization = \"Bearer canary-7f3a\" }\n",
        "[prometheus.p]\nurl = \"http://p\"\nbasic = { user = \"u\", password = \"canary-7f3a\" }\n",
        "[prometheus.p]\nurl = \"http://viewer:canary-7f3a@p\"\n",
        "[prometheus.p]\nurl = \"http://p\"\nbearer_token = canary-7f3a\n",
        "[prometheus.p]\nurl = \"http://p\"\nbearer_token = \"canary-7f3a\n",
        "[prometheus.p]\nurl = \"http://p\"\nbearer_token = { enw = \"canary-7f3a\" }\n",
        "[prometheus.p]\nurl = \"http://p\"\nsigv4 = { region = \"r\", credentials = \"canary-7f3a\" }\n",
    ] {
        std::fs::write(&shared, text).unwrap();
        let ran = home.expect(2, &["config", "show", "--config", shared.to_str().unwrap()]);
        assert!(ran.err.contains("shared.toml:"), "{text}: {}", ran.err);
        assert!(!ran.err.contains(CANARY) && ran.out.is_empty(), "{text}: {}", ran.err);
    }
    let ran = home.expect(2, &["check", "--prometheus", "http://viewer:canary-7f3a@127.0.0.1:1"]);
    assert!(ran.err.contains("do not belong into the URL") && !ran.err.contains(CANARY), "{}", ran.err);
}

#[test]
fn secrets_of_client_properties_are_not_shown() {
    let home = Home::new();
    for text in [
        "bootstrap.servers=127.0.0.1:1\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n\
         sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"v\" password=\"canary-7f3a\";\n",
        "bootstrap.servers=127.0.0.1:1\nssl.key.password=canary-7f3a\n",
        "bootstrap.servers=127.0.0.1:1\nsasl.oauthbearer.client.credentials.client.secret=canary-7f3a\n",
        "bootstrap.servers=127.0.0.1:1\nssl.keystore.key=canary-7f3a\n",
        "bootstrap.servers=127.0.0.1:1\nsasl.jaas.config=canary-7f3a\n",
    ] {
        let file = home.file("client.properties", text);
        for command in [&["config", "show"][..], &["check", "-vv"]] {
            let args: Vec<&str> = command.iter().copied().chain(["--kafka-config", &file]).collect();
            let ran = home.run(&args);
            assert!(!ran.err.contains(CANARY) && !ran.out.contains(CANARY), "{text}{args:?}: {ran:#?}");
        }
    }
}

/// A task of ours that panics prints what it holds as carelessly as can be: the runtime's report, and what the hook of the
/// screen puts into the log and into a notice, show none of it.
#[tokio::test]
async fn a_panic_in_a_task_shows_no_secret() {
    let home = Home::new();
    // A command is the user's own text.
    let text = config(&home, closed_port()).replace(&format!("\"echo\", \"{CANARY}-command\""), "\"true\"")
        + r#"
[actuator.webhook.w]
url = "https://127.0.0.1"
secret = "canary-7f3a-signing"
bearer_token = "canary-7f3a-hook"
headers = { X-Api-Key = "canary-7f3a-hook-header" }
"#;
    let config = Config::parse(&text, "x.toml", true).unwrap();
    let ledger = LedgerSettings { kafka: config.kafka.first().cloned(), ..LedgerSettings::default() };
    let mut own = Ledger::open(&home.ledger(), Actor::default(), Time::now()).unwrap();
    own.note("begins", Time::now()).unwrap();
    let shared = Shared::open(&ledger, &home.ledger(), own.id().unwrap(), own.last()).unwrap();
    let gate = Gate {
        shared: Some((Arc::new(shared), own.last())),
        leases: None,
        settings: ledger,
        protected: true,
        intended: std::time::Instant::now(),
        intended_at: std::time::SystemTime::now(),
    };
    let actuator = Actuator::new(None, &config.commands, Clock::wall()).with(&config.webhooks, &config.patch_files);
    let options = Options { config, clock: Clock::wall(), state: None, past: None, days: false };
    let said = Arc::new(Mutex::new(String::new()));
    let (hook, heard) = (std::panic::take_hook(), said.clone());
    std::panic::set_hook(Box::new(move |info| {
        *heard.lock().unwrap() += &info.to_string();
        hook(info);
    }));
    let ended = tokio::spawn(async move { panic!("{options:?} {actuator:#?} {gate:?}") }).await.unwrap_err();
    let said = said.lock().unwrap().clone();
    assert!(ended.is_panic() && said.contains("panicked at") && said.contains("127.0.0.1"), "{said}");
    for text in [said, ended.to_string(), format!("{ended:?}")] {
        assert!(!text.contains(CANARY), "a panic shows a secret: {text}");
    }
}
