//! What one refresh makes of queries that fail, are answered in part, or take long, and of the history beside them.

use super::{
    check, run,
    tests::{NOTHING, health, own, server},
};
use crate::{
    model::{
        CheckLine, Entity, Health, MlState, Observation, PrometheusSettings, Quality, Role, Selected, SignalKey,
        WorkloadKind,
    },
    process::Clock,
};
use axum::{http::StatusCode, response::IntoResponse};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc::{self, Receiver};

/// The next state for which this holds.
async fn state(seen: &mut Receiver<Observation>, holds: impl Fn(&MlState) -> bool) -> Arc<MlState> {
    let wait = async {
        loop {
            match seen.recv().await.unwrap() {
                Observation::Ml(state) if holds(&state) => return state,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
}

fn chat(id: &str) -> Entity {
    Entity { kind: WorkloadKind::Inference, source: "main".into(), id: id.into() }
}

#[tokio::test]
async fn one_query_that_is_given_up_takes_neither_the_others_nor_their_history_with_it() {
    let server = server(|request| {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let result = r#"[{"metric":{"model_name":"fraud"},"value":[1,"2"]}]"#;
        let data = |kind: &str, result: &str| {
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#).into_response()
        };
        match path.rsplit('/').next() {
            _ if query.contains("heavy") => StatusCode::GATEWAY_TIMEOUT.into_response(),
            _ if query.contains("time") => NOTHING.into_response(),
            Some("values") => r#"{"status":"success","data":["vllm:num_requests_running"]}"#.into_response(),
            Some("query_range") => {
                data("matrix", &result.replace("value", "values").replace("[1,\"2\"]", "[[1,\"2\"]]"))
            }
            _ => data("vector", result),
        }
    })
    .await;
    let custom = vec![own(Role::Demand, "heavy"), own(Role::Throughput, "light"), own(Role::Backlog, "light")];
    let settings = PrometheusSettings { refresh: 0.1, custom, ..server.settings.clone() };
    let (out, mut seen) = mpsc::channel(64);
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    let (mut live, mut past, mut untold) = (false, false, Vec::new());
    let wait = async {
        while let Some(observation) = seen.recv().await {
            match observation {
                Observation::Ml(state) => untold.clone_from(&state.untold),
                Observation::Signal { key, .. } => live |= key.role == Role::Backlog,
                Observation::Backfill { key, .. } => {
                    assert_ne!(key.role, Role::Demand, "a pack's demand is not this workload's");
                    past |= key.role == Role::Backlog;
                }
                Observation::Health(status) if live && past => return status,
                _ => {}
            }
        }
        panic!("the source ended");
    };
    let status = tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    task.abort();
    assert_eq!((status.health, untold.as_slice()), (Health::Degraded, &[own(Role::Demand, "").key][..]), "{status:?}");
    let detail = status.detail.as_str();
    // The packs ask 11, and one query fills two series.
    assert!(detail.contains("1 of 13 queries failed, the first: demand of fraud: "), "{detail}");
    assert!(detail.contains("history of 1 query in steps of 30 s instead of 15"), "{detail}");
}

#[tokio::test]
async fn what_came_up_two_minutes_ago_is_not_taken_for_scraped_rarely() {
    let server = server(|request| match request.uri().query().unwrap_or_default() {
        _ if request.uri().path().ends_with("/values") => {
            r#"{"status":"success","data":["vllm:num_requests_running"]}"#.into_response()
        }
        query if query.contains("time%28%29") => NOTHING.into_response(),
        _ => r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"__name__":"vllm:num_requests_running","model_name":"m"},"value":[1,"8"]}]}}"#
            .into_response(),
    })
    .await;
    let (out, mut seen) = mpsc::channel(64);
    let task = tokio::spawn(run(server.settings.clone(), Clock::wall(), out));
    let state = loop {
        if let Observation::Ml(state) = seen.recv().await.unwrap() {
            break state;
        }
    };
    task.abort();
    let origin = state.services[0].request_rate.as_ref().unwrap().origin.as_str();
    assert!(origin.contains("[60s]"), "8 samples, all of the last two minutes: {origin}");
}

#[tokio::test]
async fn a_series_that_is_answered_in_part_is_not_taken_for_the_whole() {
    let server = server(|request| {
        if request.uri().path().ends_with("/values") {
            return r#"{"status":"success","data":[]}"#.into_response();
        }
        let (kind, point) = if request.uri().path().ends_with("_range") {
            ("matrix", r#""values":[[1,"2"]]"#)
        } else {
            ("vector", r#""value":[1,"2"]"#)
        };
        format!(
            r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{{"metric":{{}},{point}}}]}},"warnings":["store a:1 is out"]}}"#
        )
        .into_response()
    })
    .await;
    let settings =
        PrometheusSettings { refresh: 0.1, custom: vec![own(Role::Demand, "sum(x)")], ..server.settings.clone() };
    let (out, mut seen) = mpsc::channel(64);
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    let wait = async {
        let (mut untold, mut refreshes) = (Vec::new(), 0);
        while let Some(observation) = seen.recv().await {
            match observation {
                Observation::Ml(state) => (untold, refreshes) = (state.untold.clone(), refreshes + 1),
                // The history is filled after the first.
                Observation::Health(status) if refreshes > 1 => return (status, untold),
                Observation::Health(_) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("the source ended");
    };
    let (status, untold) = tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
    task.abort();
    assert_eq!((status.health, untold), (Health::Degraded, vec![own(Role::Demand, "").key]));
    assert!(status.detail.as_str().contains("in part only"), "{status:?}");
}

#[tokio::test]
async fn a_sign_in_page_or_a_refusal_leads_on_to_the_next_url() {
    let sound = server(|request| {
        let names = r#"{"status":"success","data":[]}"#;
        if request.uri().path().ends_with("/values") { names.into_response() } else { NOTHING.into_response() }
    })
    .await;
    let refusal = r#"{"status":"error","errorType":"execution","error":"not ready"}"#;
    for (status, body, said) in [(200, "<html>Sign in</html>", "not as Prometheus"), (422, refusal, "not ready")] {
        let first = server(move |_| (StatusCode::from_u16(status).unwrap(), body).into_response()).await;
        let others = vec![sound.settings.url.clone()];
        let settings = PrometheusSettings { refresh: 0.1, others, ..first.settings.clone() };
        let (out, mut seen) = mpsc::channel(16);
        let task = tokio::spawn(run(settings, Clock::wall(), out));
        let status = health(&mut seen, Health::Degraded).await;
        task.abort();
        let url = "http://127.0.0.1:1".to_owned();
        let lines =
            check(&PrometheusSettings { url, others: vec![sound.settings.url.clone()], ..first.settings.clone() })
                .await;
        assert!(lines.iter().any(|l| !l.ok) && !lines.iter().any(|l| l.unreachable), "it is reached: {lines:?}");
        let detail = status.detail.as_str();
        assert!(detail.starts_with("read from http://127.0.0.1") && detail.contains(said), "{detail}");
    }
}

#[tokio::test]
async fn a_slow_source_is_refreshed_as_often_as_it_answers() {
    let server = server(|request| {
        std::thread::sleep(Duration::from_millis(100)); // the fault: so slow is each answer, of two at least
        let names = r#"{"status":"success","data":[]}"#;
        if request.uri().path().ends_with("/values") { names.into_response() } else { NOTHING.into_response() }
    })
    .await;
    let (out, mut seen) = mpsc::channel(16);
    let task = tokio::spawn(run(PrometheusSettings { refresh: 0.1, ..server.settings.clone() }, Clock::wall(), out));
    let cadence = health(&mut seen, Health::Ok).await.cadence;
    task.abort();
    assert!(cadence >= 0.2, "what is read every {cadence} s is not old after 0.1 s");
}

#[tokio::test]
async fn what_is_answered_in_part_for_ever_does_not_keep_older_history_away() {
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let starts = Arc::clone(&asked);
    let server = server(move |request| {
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        if path.ends_with("/values") {
            return r#"{"status":"success","data":[]}"#.into_response();
        }
        if path.ends_with("_range") {
            starts.lock().unwrap().extend(query.split('&').find(|p| p.starts_with("start=")).map(str::to_owned));
        }
        let result = r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]}"#;
        format!(r#"{{"status":"success","data":{result},"warnings":["store a:1 is out"]}}"#).into_response()
    })
    .await;
    let custom = vec![own(Role::Demand, "sum(x)")];
    let settings = PrometheusSettings { refresh: 0.1, backfill: 6.0 * 3600.0, custom, ..server.settings.clone() };
    let (out, mut seen) = mpsc::channel(64);
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    for _ in 0..6 {
        state(&mut seen, |_| true).await;
    }
    task.abort();
    assert_eq!(asked.lock().unwrap().len(), 3, "an hour, two before it, three before those: each once");
}

#[tokio::test]
async fn a_silent_exporter_holds_what_it_tells_of_and_nothing_else() {
    let waiting = |models: &[&str]| -> String {
        let one = |m: &&str| {
            let of = format!("{{model_name=\"{m}\"}}");
            format!("vllm:num_requests_running{of} 1\nvllm:num_requests_waiting{of} 3\n")
        };
        models.iter().map(one).collect()
    };
    let (one, two) = (waiting(&["alone", "both"]), waiting(&["both", "gone"]));
    let first = server(move |_| one.clone().into_response()).await;
    let down = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&down);
    let second = server(move |_| {
        if switch.load(Relaxed) { StatusCode::BAD_GATEWAY.into_response() } else { two.clone().into_response() }
    })
    .await;
    let urls = vec![first.settings.url.clone(), second.settings.url.clone()];
    let settings = PrometheusSettings {
        url: String::new(),
        scrape: [("vllm".to_owned(), urls)].into(),
        refresh: 0.1,
        custom: vec![own(Role::Demand, "sum(vllm:num_requests_waiting{model_name=\"alone\"})")],
        ..first.settings.clone()
    };
    let (out, mut seen) = mpsc::channel(64);
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    let quality = |state: &MlState, name: &str| {
        let service = state.services.iter().find(|s| s.name == *name)?;
        service.waiting.as_ref().map(|r| (r.value, r.quality))
    };
    let well = state(&mut seen, |s| s.services.len() == 3).await;
    assert_eq!((quality(&well, "both"), well.untold.len()), (Some((6.0, Quality::Measured)), 0), "{well:?}");
    down.store(true, Relaxed);
    let ill = state(&mut seen, |s| s.services.len() == 2).await;
    assert_eq!(quality(&ill, "alone"), Some((3.0, Quality::Measured)), "the other one tells of it");
    assert_eq!(quality(&ill, "both"), Some((3.0, Quality::Partial)));
    assert!(ill.untold.contains(&SignalKey { entity: chat("gone"), role: Role::Backlog }), "{:?}", ill.untold);
    assert!(ill.untold.iter().all(|key| key.entity == chat("gone")), "{:?}", ill.untold);
    assert!(ill.warnings[0].as_str().contains("1 of 2 exporters cannot be read (what they tell of is missing)"));
    down.store(false, Relaxed);
    let back = state(&mut seen, |s| s.services.len() == 3).await;
    assert_eq!((quality(&back, "both"), back.untold.len()), (Some((6.0, Quality::Measured)), 0));
    task.abort();
}

#[tokio::test]
async fn a_workload_with_matchers_of_its_own_is_asked_for_alone() {
    let server = server(|request| {
        let query = request.uri().query().unwrap_or_default();
        let row = |model: &str, value: u32| format!(r#"{{"metric":{{"model_name":"{model}"}},"value":[1,"{value}"]}}"#);
        let rows = match query {
            _ if request.uri().path().ends_with("/values") => {
                return r#"{"status":"success","data":["vllm:num_requests_running"]}"#.into_response();
            }
            _ if query.contains("time%28%29") => return NOTHING.into_response(),
            _ if query.contains("prod") => row("chat", 1),
            _ if query.contains("torn") => format!("{},{}", row("a", 1), row("b", 1)),
            _ => format!("{},{}", row("chat", 7), row("other", 2)),
        };
        let result = format!(r#"{{"resultType":"vector","result":[{rows}]}}"#);
        format!(r#"{{"status":"success","data":{result}}}"#).into_response()
    })
    .await;
    let by = |id: &str, namespace: &str| Selected {
        entity: chat(id),
        select: [("namespace".to_owned(), namespace.to_owned())].into(),
    };
    let selected = vec![by("chat", "prod"), by("two", "torn")];
    let (out, mut seen) = mpsc::channel(64);
    let settings = PrometheusSettings { selected, backfill: 0.0, ..server.settings.clone() };
    let lines = check(&settings).await;
    let narrow = |l: &CheckLine| l.mend.as_ref().is_some_and(|m| m.as_str().contains("narrow the `select`"));
    let told: Vec<&str> = lines.iter().filter(|l| narrow(l)).map(|l| l.what.as_str()).collect();
    assert!(
        told.contains(&"prometheus main: vllm queue_waiting of two") && told.iter().all(|w| w.ends_with("of two")),
        "{told:?}"
    );
    let task = tokio::spawn(run(settings, Clock::wall(), out));
    let state = state(&mut seen, |_| true).await;
    task.abort();
    let waiting: Vec<_> =
        state.services.iter().filter_map(|s| Some((s.name.as_str(), s.waiting.as_ref()?.value))).collect();
    assert_eq!(waiting, [("chat", 1.0), ("other", 2.0)], "not the chat of every namespace");
    assert!(state.services[0].waiting.as_ref().unwrap().origin.as_str().contains(r#"namespace="prod""#));
    assert!(state.untold.contains(&SignalKey { entity: chat("two"), role: Role::Backlog }), "{:?}", state.untold);
    assert!(state.warnings.iter().any(|w| w.as_str().contains("of two gives 2 series for its select")), "{state:?}");
}
