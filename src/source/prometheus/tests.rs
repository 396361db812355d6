//! The client and the task against a server that misbehaves.

use super::*;
use crate::{
    model::{
        CustomSignal, Entity, Health, Observation, PrometheusSettings, Role, Secret, SecretSource, SignalKey,
        SourceStatus, WorkloadKind,
    },
    process::Clock,
};
use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

pub(super) const NOTHING: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

/// A server of one handler; it is gone when this is dropped.
pub(super) struct Server {
    pub(super) settings: PrometheusSettings,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn server(handler: impl Fn(Request) -> Response + Clone + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let settings = PrometheusSettings::new("main", format!("http://{}/", listener.local_addr().unwrap()));
    let router = Router::new().fallback(move |request: Request| {
        let answer = handler(request);
        async move { answer }
    });
    Server { settings, task: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
}

async fn failure(settings: &PrometheusSettings) -> (Failure, u32) {
    let client = Client::new(settings).await.unwrap();
    (client.instant("up").await.unwrap_err(), client.requests())
}

#[tokio::test]
async fn every_cause_has_its_own_sentence_and_mend() {
    let mut sentences = std::collections::BTreeSet::new();
    for (status, kind, requests, mend) in [
        (401, FailureKind::Unauthorised, 1, "bearer_token"),
        (403, FailureKind::Forbidden, 1, "X-Scope-OrgID"),
        (404, FailureKind::NotFound, 1, "/select/0/prometheus"),
        (307, FailureKind::Redirect, 1, "final address"),
        (400, FailureKind::BadQuery, 1, ""),
        (422, FailureKind::Execution, 1, ""),
        (503, FailureKind::Unavailable, 3, "asked again"),
        (200, FailureKind::Garbled, 1, "sign-in page"),
    ] {
        let server = server(move |_| (StatusCode::from_u16(status).unwrap(), "<html>").into_response()).await;
        let (failure, asked) = failure(&server.settings).await;
        assert_eq!((failure.kind, asked), (kind, requests), "{status}: {failure}");
        assert!(failure.to_string().contains(mend), "{status}: {failure}");
        sentences.insert(failure.to_string().split("127.0.0.1").last().unwrap_or_default().to_owned());
    }
    assert_eq!(sentences.len(), 8, "{sentences:?}");
}

#[tokio::test]
async fn a_closed_port_and_a_port_without_tls_are_told_apart() {
    let server = server(|_| NOTHING.into_response()).await;
    let mut settings = server.settings.clone();
    settings.url = settings.url.replace("http:", "https:");
    settings.tls.insecure = true;
    let (plain, _) = failure(&settings).await;
    assert_eq!(plain.kind, FailureKind::Tls, "{plain}");
    assert!(plain.to_string().contains("http://"), "{plain}");
    let settings = server.settings.clone();
    drop(server);
    let closed = loop {
        let client = Client::new(&settings).await.unwrap();
        if let Err(failure) = client.instant("up").await {
            break failure;
        }
        tokio::task::yield_now().await; // the aborted server has not let go of its port yet
    };
    assert_eq!(closed.kind, FailureKind::ConnectionRefused, "{closed}");
    assert!(closed.to_string().contains("nothing listens"), "{closed}");
}

#[tokio::test]
async fn a_silent_server_costs_its_deadline_and_a_flood_is_cut() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(); // accepts, never answers
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (late, _) = failure(&PrometheusSettings { timeout: 0.2, ..PrometheusSettings::new("main", url) }).await;
    assert_eq!(late.kind, FailureKind::Timeout, "{late}");
    assert!(late.to_string().contains("0.2 s"), "{late}");
    let server = server(|_| vec![b' '; 40 << 20].into_response()).await;
    assert_eq!(failure(&server.settings).await.0.kind, FailureKind::TooLarge);
}

#[tokio::test]
async fn an_expired_token_is_read_again_once() {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::FOUND] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "old\n").unwrap();
        let path = file.path().to_owned();
        let server = server(move |request| {
            if request.headers().get("authorization").is_some_and(|v| v == "Bearer new") {
                return NOTHING.into_response();
            }
            std::fs::write(&path, "new\n").unwrap(); // somebody renews it meanwhile
            status.into_response()
        })
        .await;
        let bearer = Some(SecretSource::File(file.path().to_owned()));
        let client = Client::new(&PrometheusSettings { bearer, ..server.settings.clone() }).await.unwrap();
        assert_eq!(client.instant("up").await.unwrap().series, [], "{status}");
        assert_eq!(client.requests(), 2, "{status}");
        let (_, asked) = failure(&server.settings).await;
        assert_eq!(asked, 1, "{status}: no credentials: asking again is of no use");
    }
}

#[tokio::test]
async fn a_limit_is_kept_and_a_long_query_is_posted() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let server = server(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
        1 => NOTHING.into_response(),
        _ if request.method() == "POST" => NOTHING.into_response(),
        _ => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")]).into_response(),
    })
    .await;
    let client = Client::new(&server.settings).await.unwrap();
    let begun = std::time::Instant::now();
    client.instant("up").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "a short wait is waited out");
    client.instant(&format!("up{}", " ".repeat(3000))).await.unwrap();
    let failure = client.instant("up").await.unwrap_err();
    assert_eq!((failure.kind, failure.retry_after), (FailureKind::TooMany, Some(60.0)), "a long one is not");
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_query_that_takes_too_long_fails_alone_and_is_not_repeated() {
    let late = r#"{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}"#;
    let server = server(move |_| (StatusCode::SERVICE_UNAVAILABLE, late).into_response()).await;
    let (failure, asked) = failure(&server.settings).await;
    assert_eq!((failure.kind, asked), (FailureKind::Execution, 1), "{failure}");
    assert!(failure.is_limit(), "its history is asked for in less");
}

#[tokio::test]
async fn words_that_repeat_a_credential_are_not_shown() {
    let server = server(|request| {
        let sent = request.headers()["authorization"].to_str().unwrap().to_owned();
        (StatusCode::FORBIDDEN, format!("not good: {sent}")).into_response()
    })
    .await;
    for (basic, bearer) in [(None, Some("canary")), (Some("canary"), None)] {
        let value = |text: &str| SecretSource::Value(Secret::new(text));
        let basic = basic.map(|password| ("viewer".to_owned(), value(password)));
        let settings = PrometheusSettings { basic, bearer: bearer.map(value), ..server.settings.clone() };
        let (failure, _) = failure(&settings).await;
        assert_eq!(failure.kind, FailureKind::Forbidden);
        assert!(failure.to_string().contains("repeat a credential"), "{failure}");
        assert!(!failure.to_string().contains("canary"), "{failure}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_before_anything_is_sent() {
    for (url, word) in [("ftp://x", "http://"), ("nonsense", "no URL"), ("http://u:p@x", "basic")] {
        let error = Client::new(&PrometheusSettings::new("main", url)).await.unwrap_err();
        assert!(error.kind == FailureKind::Settings && error.to_string().contains(word), "{error}");
    }
    let mut settings = PrometheusSettings::new("main", "https://127.0.0.1:1");
    settings.tls.ca = Some("/no/such/ca.pem".into());
    let error = Client::new(&settings).await.unwrap_err();
    assert!(error.to_string().contains("tls.ca") && error.to_string().contains("/no/such/ca.pem"), "{error}");
}

pub(super) async fn health(seen: &mut mpsc::Receiver<Observation>, wanted: Health) -> SourceStatus {
    let wait = async {
        loop {
            match seen.recv().await.unwrap() {
                Observation::Health(status) if status.health == wanted => return status,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
}

#[tokio::test]
async fn an_outage_is_told_with_its_reason_and_ends_by_itself() {
    let up = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = Arc::clone(&up);
    let server = server(move |request| match (switch.load(Ordering::Relaxed), request.uri().path()) {
        (false, _) => StatusCode::FORBIDDEN.into_response(),
        (true, path) if path.ends_with("/values") => r#"{"status":"success","data":[]}"#.into_response(),
        (true, _) => NOTHING.into_response(),
    })
    .await;
    let (out, mut seen) = mpsc::channel(16);
    let settings = PrometheusSettings { refresh: 0.1, ..server.settings.clone() };
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    let down = health(&mut seen, Health::Down).await;
    assert!(down.detail.as_str().contains("403") && down.answered.is_none(), "{down:?}");
    up.store(true, Ordering::Relaxed);
    let well = health(&mut seen, Health::Ok).await;
    assert!(well.detail.as_str().contains("no exporter") && well.since >= down.since, "{well:?}");
    drop(seen);
    tokio::time::timeout(Duration::from_secs(30), task).await.unwrap().unwrap();
}

pub(super) fn own(role: Role, query: &str) -> CustomSignal {
    let entity = Entity { kind: WorkloadKind::Inference, source: "main".into(), id: "fraud".into() };
    CustomSignal { key: SignalKey { entity, role }, query: query.into(), select: std::collections::BTreeMap::new() }
}

#[tokio::test]
async fn a_signal_of_several_series_is_refused_with_the_mend() {
    let server = server(|request| {
        let two = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"2"]}]}}"#;
        match request.uri().query().unwrap_or_default() {
            q if q.contains("many") => two.into_response(),
            _ if request.uri().path().ends_with("/values") => r#"{"status":"success","data":[]}"#.into_response(),
            _ => NOTHING.into_response(),
        }
    })
    .await;
    let custom = vec![own(Role::Demand, "many{$sel}")];
    let settings = PrometheusSettings { refresh: 0.1, custom, ..server.settings.clone() };
    let (out, mut seen) = mpsc::channel(16);
    let task = tokio::spawn(run(settings.clone(), Clock::wall(), out));
    let status = health(&mut seen, Health::Degraded).await;
    assert!(status.detail.as_str().contains("sum("), "{status:?}");
    task.abort();
    let lines = check(&settings).await;
    let line = lines.iter().find(|l| l.what.as_str().contains("demand of fraud")).unwrap();
    assert!(!line.ok && line.mend.as_ref().is_some_and(|m| m.as_str().contains("sum(")), "{line:?}");
}

/// A vLLM whose counters grow with the time since the server's start: 10 requests a second, half of them in (0.1, 0.5].
async fn vllm() -> Server {
    let begun = std::time::Instant::now();
    server(move |_| {
        let n = 1000.0 + 10.0 * begun.elapsed().as_secs_f64();
        let bucket = "vllm:time_to_first_token_seconds_bucket{model_name=\"fraud\",le=";
        format!(
            "vllm:num_requests_running{{model_name=\"fraud\"}} 4\nvllm:num_requests_waiting{{model_name=\"fraud\"}} 0\n\
             vllm:request_success_total{{model_name=\"fraud\"}} {n}\n{bucket}\"0.1\"}} {}\n{bucket}\"0.5\"}} {n}\n\
             {bucket}\"+Inf\"}} {n}\n",
            n / 2.0
        )
        .into_response()
    })
    .await
}

#[tokio::test]
async fn exporters_are_read_directly_until_the_server_is_back() {
    let up = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = Arc::clone(&up);
    let main = server(move |request| match (switch.load(Ordering::Relaxed), request.uri().path()) {
        (false, _) => StatusCode::FORBIDDEN.into_response(),
        (true, path) if path.ends_with("/values") => r#"{"status":"success","data":[]}"#.into_response(),
        (true, _) => NOTHING.into_response(),
    })
    .await;
    let vllm = vllm().await;
    let scrape = [("vllm".to_owned(), vec![format!("{}metrics", vllm.settings.url)])].into();
    let settings = PrometheusSettings { refresh: 0.3, scrape, ..main.settings.clone() };
    let (out, mut seen) = mpsc::channel(256);
    let task = tokio::spawn(run(settings.clone(), Clock::wall(), out));
    let wait = async {
        loop {
            let Some(Observation::Ml(state)) = seen.recv().await else { continue };
            if let Some((rate, ttft)) =
                state.services.first().and_then(|s| s.request_rate.clone().zip(s.ttft_p95.clone()))
            {
                return (state, rate, ttft);
            }
        }
    };
    let (state, rate, ttft) = tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    let service = &state.services[0];
    assert_eq!((service.name.as_str(), state.packs.as_slice()), ("fraud", &["vllm".into()][..]));
    assert!(rate.value > 8.0 && rate.value < 12.0, "10 requests a second: {rate:?}");
    assert!((ttft.value - 0.46).abs() < 0.01, "nine tenths into (0.1, 0.5]: {ttft:?}");
    assert!(rate.origin.as_str().starts_with("exporters of main: "), "{rate:?}");
    assert_eq!(service.waiting.as_ref().map(|r| r.value), Some(0.0), "zero is not missing");
    let status = health(&mut seen, Health::Degraded).await;
    assert!(
        status.detail.as_str().starts_with("1 exporter read directly · ") && status.detail.as_str().contains("403")
    );
    let lines = check(&settings).await;
    let line =
        |what: &str| lines.iter().find(|l| l.what.as_str().contains(what)).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(!line("main: answers").ok && line("exporter vllm").ok && line("metric packs").ok, "{lines:?}");
    assert!(!line("queries").detail.as_str().contains("req_rate"), "rates are there: {:?}", line("queries"));
    up.store(true, Ordering::Relaxed);
    let well = health(&mut seen, Health::Ok).await;
    assert!(!well.detail.as_str().contains("directly"), "{well:?}");
    task.abort();
}

#[tokio::test]
async fn without_a_server_a_dead_exporter_makes_what_is_left_partial() {
    let vllm = vllm().await;
    let dead = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let urls = |all: &[&str]| [("vllm".to_owned(), all.iter().map(|u| (*u).to_owned()).collect())].into();
    let settings = PrometheusSettings {
        url: String::new(),
        scrape: urls(&[&vllm.settings.url, &dead]),
        refresh: 0.2,
        ..vllm.settings.clone()
    };
    let (out, mut seen) = mpsc::channel(256);
    let task = tokio::spawn(run(settings.clone(), Clock::wall(), out));
    let wait = async {
        loop {
            if let Some(Observation::Ml(state)) = seen.recv().await {
                return state;
            }
        }
    };
    let state = tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    let running = state.services[0].running.clone().unwrap();
    assert_eq!((running.value, running.quality), (4.0, crate::model::Quality::Partial));
    let status = health(&mut seen, Health::Degraded).await;
    assert!(status.detail.as_str().contains("1 of 2 exporters cannot be read"), "{status:?}");
    task.abort();
    let (out, mut seen) = mpsc::channel(256);
    let task = tokio::spawn(run(PrometheusSettings { scrape: urls(&[&dead]), ..settings }, Clock::wall(), out));
    let down = health(&mut seen, Health::Down).await;
    assert!(
        down.detail.as_str().contains("none of 1 exporters") && down.detail.as_str().contains("`scrape`"),
        "{down:?}"
    );
    task.abort();
}
