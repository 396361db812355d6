//! The backends that speak PromQL, each by what it does differently: one fake of its quirks, configured as an operator
//! would, read until it says what it should.

mod amazon;
mod fake;

use fake::{Asked, Quirk, Response, refusal, serve};
use highwater::{
    config::Config,
    model::{Health, MlState, Observation, PrometheusSettings, Quality, Role, Sample},
    process::Clock,
    source::prometheus::{Client, run},
};
use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

struct Backend {
    name: &'static str,
    /// Path of its API, before /api/v1.
    prefix: &'static str,
    /// Keys of `[prometheus.main]`; DIR is a folder of the test's, URL the fake's address.
    keys: &'static str,
    quirk: Quirk,
    /// Its health at last, and words of its detail.
    said: (Health, &'static str),
    quality: Quality,
    /// Seconds between the samples of its history.
    step: f64,
}

/// A backend that answers as Prometheus does, to anybody.
fn plain(name: &'static str, quirk: impl Fn(&Asked) -> Option<Response> + Send + Sync + 'static) -> Backend {
    Backend {
        name,
        prefix: "",
        keys: "url = \"URL\"",
        quirk: Arc::new(quirk),
        said: (Health::Ok, "vllm; "),
        quality: Quality::Measured,
        step: 15.0,
    }
}

/// Thanos' words when a part of its stores does not answer.
const AWAY: &str = "fetch series for store eu-2: rpc error: code = Unavailable";

fn backends(folder: &Path) -> Vec<Backend> {
    let (google, amazon) = (folder.join("google"), folder.join("amazon"));
    let file = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    file("google", "ya29.old\n");
    file("amazon", &amazon::keys("old"));
    file("azure", "p\n");
    file("http.yml", "http_headers:\n  X-Scope-OrgID:\n    values: [team-a]\nfollow_redirects: true\n");
    vec![
        Backend {
            said: (
                Health::Degraded,
                "in steps of 30 s instead of 15: the query could not be evaluated: 422 (execution: query",
            ),
            step: 30.0,
            ..plain("Prometheus, small", |asked| {
                let (from, to, step) = asked.range()?;
                let words = "query processing would load too many samples into memory in query execution";
                ((to - from) / step > 100.0).then(|| refusal(422, "execution", words))
            })
        },
        Backend {
            prefix: "/select/0/prometheus",
            keys: "url = \"URL\"\nbearer_token = { env = \"HOME\" }", // vmauth takes any token
            said: (Health::Degraded, "in steps of 60 s instead of 15: "),
            step: 60.0,
            ..plain("VictoriaMetrics, which counts the samples that a span holds", |asked| {
                let (from, to, _) = asked.range()?;
                let words = "cannot select more than -search.maxSamplesPerQuery=1 samples; possible solutions: …";
                (to - from > 1000.0).then(|| refusal(422, "422", words))
            })
        },
        Backend {
            prefix: "/select/0/prometheus",
            said: (Health::Degraded, "partial: a storage node did not answer"),
            quality: Quality::Partial,
            ..plain("VictoriaMetrics without one of its storage nodes", |asked| {
                Some(asked.answered().replacen(r#""success","#, r#""success","isPartial":true,"#, 1).into())
            })
        },
        Backend {
            said: (Health::Degraded, AWAY),
            quality: Quality::Partial,
            ..plain("Thanos with a store that is away", |asked| {
                let warned = format!(r#""success","warnings":["{AWAY}"],"#);
                Some(asked.answered().replacen(r#""success","#, &warned, 1).into())
            })
        },
        Backend {
            prefix: "/prometheus",
            keys: "url = \"URL\"\nhttp_config_file = \"DIR/http.yml\"",
            said: (Health::Degraded, "in steps of 30 s instead of 15: "),
            step: 30.0,
            ..plain("Mimir, its tenant in Prometheus' own http_config", |asked| {
                if asked.header("x-scope-orgid") != "team-a" {
                    return Some(Response::plain(401, "no org id"));
                }
                let (from, to, _) = asked.range()?;
                let words = "the query exceeded the maximum number of chunks (limit: 1 chunks) (err-mimir-max-chunks-per-query)";
                (to - from > 2000.0).then(|| refusal(422, "execution", words))
            })
        },
        Backend {
            prefix: "/api/prom",
            keys: "url = \"URL\"\nbasic = { user = \"123\", password = \"token\" }",
            said: (Health::Degraded, "it limits our requests · vllm; "),
            ..plain("Grafana Cloud at its limit", |asked| {
                if asked.header("authorization") != "Basic MTIzOnRva2Vu" {
                    return Some(Response::plain(401, "authentication error: invalid authentication credentials"));
                }
                (asked.before < 2).then(|| Response::plain(429, "too many requests"))
            })
        },
        Backend {
            prefix: "/v1/projects/p/location/global/prometheus",
            keys: "url = \"URL\"\nbearer_token = { command = [\"cat\", \"DIR/google\"] }",
            ..plain("Google Cloud Monitoring: short-lived tokens, GET only, one name at a time", move |asked| {
                if asked.header("authorization") != "Bearer ya29.new" {
                    std::fs::write(&google, "ya29.new\n").unwrap();
                    return Some(Response::plain(401, ""));
                }
                if asked.method != "GET" {
                    return Some(Response::plain(405, ""));
                }
                let regex = asked.text.contains("__name__=~");
                regex.then(|| refusal(400, "bad_data", "matchers on __name__ must be equalities"))
            })
        },
        Backend {
            prefix: "/workspaces/ws-1",
            keys: "url = \"URL\"\nsigv4 = { region = \"eu-west-1\", credentials = { file = \"DIR/amazon\" } }",
            ..plain("Amazon Managed Prometheus, keys of a session", move |asked| {
                let told = |text: &str| Some(Response::plain(403, &format!(r#"{{"message":"{text}"}}"#)));
                match amazon::signed_by(asked) {
                    Ok("new") => None,
                    Ok(_) => {
                        std::fs::write(&amazon, amazon::keys("new")).unwrap();
                        told("The security token included in the request is expired")
                    }
                    Err(why) => told(&why),
                }
            })
        },
        Backend {
            keys: "url = [\"http://127.0.0.1:GONE\", \"URL\"]\noauth2 = { client_id = \"app\", \
                   client_secret = { file = \"DIR/azure\" }, token_url = \"URL/api/v1/oauth2/token\", scopes = [\"s\"] }",
            said: (Health::Degraded, "read from http://"),
            ..plain("Azure Monitor with client credentials, behind an address that is gone", |asked| {
                if asked.path.ends_with("/oauth2/token") {
                    let good = asked.text == "grant_type=client_credentials&scope=s&client_id=app&client_secret=p&";
                    let granted = format!(r#"{{"access_token":"eyJ{}","expires_in":3599}}"#, asked.before);
                    let refused = || Response::plain(401, r#"{"error":"invalid_client"}"#);
                    return Some(if good { granted.into() } else { refused() });
                }
                // The first token of either address is withdrawn.
                let number = asked.header("authorization").strip_prefix("Bearer eyJ").and_then(|n| n.parse().ok());
                (number.unwrap_or(0) < 2).then(|| Response::plain(401, ""))
            })
        },
    ]
}

/// What an operator's file makes of the keys.
fn settings(backend: &Backend, url: &str, folder: &Path) -> PrometheusSettings {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let keys = backend.keys.replace("URL", url).replace("DIR", folder.to_str().unwrap());
    let text = format!("[prometheus.main]\n{}\nbackfill = \"1h\"\n", keys.replace("GONE", &gone.to_string()));
    let config = Config::parse(&text, "highwater.toml", true).unwrap_or_else(|e| panic!("{}: {e}", backend.name));
    PrometheusSettings { refresh: 0.1, ..config.prometheus[0].clone() }
}

/// Reads until the status says what it should and the history came: the state of then, and the backlog's history.
async fn read(backend: &Backend, settings: PrometheusSettings) -> (Arc<MlState>, Vec<Sample>) {
    let (out, mut seen) = mpsc::channel(1024);
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    let (mut state, mut history, mut last) = (None, Vec::new(), String::new());
    let wait = async {
        loop {
            match seen.recv().await {
                Some(Observation::Ml(ml)) => state = Some(ml),
                Some(Observation::Backfill { key, samples }) if key.role == Role::Backlog => history.extend(samples),
                Some(Observation::Health(status)) => {
                    last = format!("{:?}: {}", status.health, status.detail);
                    let said = status.health == backend.said.0 && status.detail.as_str().contains(backend.said.1);
                    let told = backend.quality == Quality::Partial || !history.is_empty();
                    if let Some(state) = state.clone().filter(|_| said && told) {
                        return (state, std::mem::take(&mut history));
                    }
                }
                Some(_) => {}
                None => panic!("{}: the task ended", backend.name),
            }
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(60), wait).await;
    task.abort();
    read.unwrap_or_else(|_| panic!("{}: {last}", backend.name))
}

/// One backend: the state, the history, a long query.
async fn tried(backend: &Backend, folder: &Path) {
    let url = serve(backend.prefix, Arc::clone(&backend.quirk)).await;
    let settings = settings(backend, &url, folder);
    let (state, mut history) = read(backend, settings.clone()).await;
    let (name, step) = (backend.name, backend.step);
    let running = state.services.first().and_then(|s| s.running.clone());
    let running = running.unwrap_or_else(|| panic!("{name}: {:?}", state.warnings));
    assert_eq!((running.value, running.quality), (4.0, backend.quality), "{name}");
    history.sort_by_key(|s| s.at);
    let steps: Vec<f64> = history.windows(2).map(|w| w[1].at.since(w[0].at)).collect();
    assert!(steps.iter().all(|s| (s - step).abs() < 1e-6), "{name}: {steps:?}");
    if backend.quality == Quality::Partial {
        assert_eq!(history, [], "{name}: what is known in part is not learned from");
    } else {
        assert!(steps.iter().sum::<f64>() >= 3600.0 - 2.0 * step, "{name}: an hour of history");
    }
    // Where forms are taken it goes as one.
    let client = Client::new(&PrometheusSettings { url, ..settings }).await.unwrap();
    let long = format!("sum by (model_name) (vllm:num_requests_running{{}}){}", " ".repeat(3000));
    for _ in 0..2 {
        let answer = client.instant(&long).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(answer.series.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn every_backend_is_read_with_its_quirks() {
    let folder = tempfile::tempdir().unwrap();
    let all = backends(folder.path());
    futures_util::future::join_all(all.iter().map(|backend| tried(backend, folder.path()))).await;
}
