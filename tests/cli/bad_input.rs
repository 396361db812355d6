//! What bad input gets: a file, a line, a key and the mend; a sentence for every way a source can refuse; never a hang.

use super::support::{Home, Manner, Ran, Server, closed_port};
use axum::{Json, Router};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn every_problem_of_a_file_is_told_with_its_place() {
    let home = Home::new();
    let text = "[ui]\nrefesh = \"2s\"\n[kafka.prod]\n\"bootstrap.servers\" = 9\n[prometheus.main]\nurl = \"localhost:9090\"\n\
                [[workload]]\nname = \"a\"\nreplicas = { min = 9, max = 3 }\nslo = { time_lag = 30 }\n";
    let file = home.file("h.toml", text);
    let err = home.expect(2, &["check", "--config", &file]).err;
    for (line, words) in [
        (2, "ui.refesh: unknown key; did you mean refresh?"),
        (6, "prometheus.main.url: a URL that starts with http"),
        (9, "workload[1].replicas.min: 9 is above max, 3"),
        (10, "workload[1].slo.time_lag: an integer where a duration such as \"15s\" belongs"),
    ] {
        let place = format!("{file}:{line}: {words}");
        assert!(err.contains(&place), "{place:?} is not in\n{err}");
    }
}

#[test]
fn a_broken_file_has_a_line() {
    let home = Home::new();
    for text in ["[ui]\ntheme = \n", "[ui]\ntheme = \"x\n", "[ui\ntheme = 1\n", "\n\u{0}\n", "[a]\n[a]\n", "x"] {
        let file = home.file("h.toml", text);
        let ran = home.expect(2, &["config", "show", "--config", &file]);
        let place = ran.err.split(&format!("{file}:")).nth(1).and_then(|rest| rest.split(':').next());
        assert!(place.is_some_and(|line| line.parse::<u32>().is_ok_and(|l| l <= 3)), "{text:?}: {}", ran.err);
        assert!(ran.out.is_empty());
    }
}

#[test]
fn keys_that_cannot_be_bound_are_told_with_their_line() {
    let home = Home::new();
    let file = home.file("h.toml", "[keys]\naprove = \"a\"\nfreeze = [\"hyper-x\"]\nreject = \"p\"\nsnooze = \"p\"\n");
    let err = home.expect(2, &["keys", "--config", &file]).err;
    for part in [
        format!("{file}:2: keys.aprove: there is no such action; did you mean approve?"),
        format!("{file}:3: keys.freeze: \"hyper-x\" is no key"),
        format!("{file}: keys: the key p is bound to reject and to snooze"),
    ] {
        assert!(err.contains(&part), "{part:?} is not in\n{err}");
    }
}

#[test]
fn what_cannot_be_meant_is_a_wrong_command_line() {
    let home = Home::new();
    let kafka = format!("127.0.0.1:{}", closed_port());
    let away = home.path().join("away").to_str().unwrap().to_owned();
    let folder = home.path().to_str().unwrap().to_owned();
    let binary = home.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    let foreign = home.file("client.properties", "bootstrap.servers=k:1\nsecurity.protocol=KERBEROS\n");
    for (args, mend) in [
        (&["wach"][..], "watch"),
        (&["watch", "--kafak", "x"], "--kafka"),
        (&["recommend", "--settle", "nan", "--kafka", &kafka], "from 0s to 10m"),
        (&["recommend", "--settle=-5s", "--kafka", &kafka], "from 0s to 10m"),
        (&["snapshot", "--view", "overveiw", "--kafka", &kafka], "did you mean overview?"),
        (&["snapshot", "--size", "0x0", "--kafka", &kafka], "such as 120x40"),
        (&["snapshot", "--demo", "frod"], "fraud"),
        (&["snapshot", "--demo", "quiet", "--theme", "no-such-theme", "--settle", "0s"], "no-such-theme"),
        (&["check", "--config", &away], "--config"),
        (&["check", "--config", &folder], "--config"),
        (&["check", "--config", binary.to_str().unwrap()], "--config"),
        (&["check", "--kafka-config", &away], "--kafka-config"),
        (&["check", "--kafka-config", &foreign], "SASL_SSL"),
        (&["check", "--kafka", "broker:port"], "host:port"),
        (&["check", "--prometheus", "localhost:9090"], "http://"),
        (&["check", "--prometheus", "http://"], "names no host"),
        (&["check", "--kafka", &kafka, "--log-file", &(away.clone() + "/log")], "--log-file"),
        (&["completions", "tcsh-but-not-really"], "bash"),
    ] {
        let ran = home.expect(2, args);
        assert!(ran.err.contains(mend), "{args:?}: {mend:?} is not in {}", ran.err);
        assert!(ran.out.is_empty(), "{args:?}: {}", ran.out);
    }
}

/// What `check` says of the one source that was asked for, and of what it could not do.
fn refusal(ran: &Ran, source: &str) -> (String, String) {
    let checks = ran.json()["checks"].clone();
    let failed =
        checks.as_array().unwrap().iter().find(|c| c["ok"] == false).unwrap_or_else(|| panic!("{ran:#?}")).clone();
    assert!(failed["what"].as_str().unwrap().starts_with(source), "{failed}");
    let text = |key: &str| failed[key].as_str().unwrap_or_default().to_owned();
    (text("detail"), text("mend"))
}

/// Asks each address with `check` and `recommend`, all at once, and expects a sentence of its own for each.
fn each_refuses_in_its_own_words(flag: &str, source: &str, addresses: &[(String, i32)]) {
    let told: Vec<(String, String)> = std::thread::scope(|scope| {
        let asked: Vec<_> = addresses
            .iter()
            .map(|(address, code)| {
                scope.spawn(move || {
                    let home = Home::new();
                    let ran = home.expect(*code, &["check", "--format", "json", flag, address]);
                    let (detail, mend) = refusal(&ran, source);
                    let ran = home.expect(3, &["recommend", "--format", "json", "--settle", "1s", flag, address]);
                    assert_eq!(ran.json()["recommendations"].as_array().map(Vec::len), Some(0));
                    assert!(ran.err.starts_with(&format!("highwater: {source}: ")), "{}", ran.err);
                    // The address is no part of what tells two refusals apart.
                    let port = address.rsplit(':').next().unwrap_or_default();
                    (detail.replace(port, "PORT"), mend)
                })
            })
            .collect();
        asked.into_iter().map(|a| a.join().unwrap()).collect()
    });
    let different: BTreeSet<&String> = told.iter().map(|(detail, _)| detail).collect();
    assert_eq!(different.len(), told.len(), "{told:#?}");
    assert!(told.iter().all(|(detail, mend)| detail.len() > 10 && mend.len() > 10), "{told:#?}");
}

/// What a TLS server says to bytes that are no TLS: the alert `unexpected_message`.
const ALERT: &[u8] = &[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a];
const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const UNAUTHORISED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<!DOCTYPE html><html><body>Sign in</body></html>";

#[test]
fn whatever_is_no_kafka_is_said() {
    let (silent, http, tls) = (
        Server::start(Manner::Silent),
        Server::start(Manner::Answers(NOT_FOUND)),
        Server::start(Manner::Answers(ALERT)),
    );
    let address = |port: u16| (format!("127.0.0.1:{port}"), 3);
    let all = [address(closed_port()), address(silent.port), address(http.port), address(tls.port)];
    each_refuses_in_its_own_words("--kafka", "kafka", &all);
}

#[test]
fn whatever_is_no_prometheus_is_said() {
    let answers = |bytes| Server::start(Manner::Answers(bytes));
    let servers = [answers(NOT_FOUND), answers(UNAUTHORISED), answers(PAGE), answers(ALERT)];
    let silent = Server::start(Manner::Silent);
    let address = |port: u16, code: i32| (format!("http://127.0.0.1:{port}"), code);
    let mut all = vec![address(closed_port(), 3), address(silent.port, 3)];
    all.extend(servers.iter().zip([1, 1, 1, 3]).map(|(s, code)| address(s.port, code)));
    each_refuses_in_its_own_words("--prometheus", "prometheus", &all);
}

/// A megabyte in a place where a name belongs, of what a shell and a terminal would act upon.
fn hostile() -> String {
    "$(touch pwned)\u{1b}]52;c;aGk=\u{7}\u{202e}".repeat(1 << 15)
}

/// Nothing that a terminal would act upon, no line that nobody can read, and nothing was run.
fn assert_harmless(home: &Home, what: &str, text: &str) {
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{what} prints what a terminal acts upon");
    let longest = text.lines().map(str::len).max().unwrap_or(0);
    assert!(longest < 20_000, "{what} prints a line of {longest} bytes");
    assert!(!home.path().join("pwned").exists(), "{what} ran it");
}

/// A Prometheus whose one service has that name.
async fn hostile_prometheus() -> u16 {
    let metric = json!({"model_name": hostile(), "instance": "a"});
    let answer = move |uri: axum::http::Uri| {
        let now = highwater::model::Time::now().secs();
        let result = json!([{"metric": metric, "value": [now, "3"], "values": [[now - 15.0, "3"], [now, "3"]]}]);
        let names = ["vllm:num_requests_running", "vllm:num_requests_waiting"];
        let data = match uri.path().rsplit('/').next() {
            Some("values") => json!(names),
            Some("buildinfo") => json!({"version": "3.0.0"}),
            Some("query_range") => json!({"resultType": "matrix", "result": result}),
            _ => json!({"resultType": "vector", "result": result}),
        };
        std::future::ready(Json(json!({"status": "success", "data": data})))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_megabyte_of_hostile_name_from_a_server_or_a_file_is_cut_and_scrubbed() {
    let port = hostile_prometheus().await;
    tokio::task::spawn_blocking(move || names_are_harmless(port)).await.unwrap();
}

fn names_are_harmless(port: u16) {
    let home = Home::new();
    let file = home.file("server.toml", &format!("[prometheus.p]\nurl = \"http://127.0.0.1:{port}\"\n"));
    let ran = home.run(&["recommend", "--settle", "5s", "--config", &file]);
    assert_harmless(&home, "recommend", &format!("{}{}", ran.out, ran.err));
    assert!(ran.out.contains("$(touch pwned)\\u{1b}]52;c;"), "the name is seen for what it is: {ran:?}");

    let name = toml::Value::from(hostile());
    for (key, workload) in [
        ("name", format!("name = {name}\n")),
        ("group", format!("name = \"a\"\ngroup = {name}\n")),
        ("target", format!("name = \"a\"\ntarget = {name}\n")),
        ("kind", format!("name = \"a\"\nkind = {name}\n")),
    ] {
        let text =
            format!("[kafka.k]\n\"bootstrap.servers\" = \"127.0.0.1:{}\"\n[[workload]]\n{workload}", closed_port());
        let file = home.file("named.toml", &text);
        for command in [&["config", "show"][..], &["recommend", "--settle", "1s"]] {
            let args: Vec<&str> = command.iter().copied().chain(["--config", &file]).collect();
            let ran = home.run(&args);
            if command[0] == "recommend" || ran.code != Some(0) {
                assert_harmless(&home, key, &format!("{}{}", ran.out, ran.err));
            }
        }
    }
}

#[test]
fn a_certificate_that_is_not_there_is_one_line_of_the_check_with_the_mend() {
    let home = Home::new();
    let file = home.file(
        "highwater.toml",
        "[kafka.prod]\n\"bootstrap.servers\" = \"127.0.0.1:1\"\n\"security.protocol\" = \"SSL\"\n\
         \"ssl.ca.location\" = \"/no/such/ca.pem\"\n[prometheus.main]\nurl = \"http://127.0.0.1:1\"\n",
    );
    let ran = home.expect(3, &["check", "--format", "json", "--config", &file]);
    let (detail, _) = refusal(&ran, "kafka prod: properties");
    assert!(detail.contains("/no/such/ca.pem cannot be read") && detail.contains("remove ssl.ca.location"), "{detail}");
    assert!(ran.out.contains("prometheus main"), "the other sources are looked at: {}", ran.out);
}
