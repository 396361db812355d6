//! The HTTP API: the answers and errors of prometheus.io "HTTP API", v2.42.

use crate::{
    model::Time,
    promql::{self, Labels, NAME, Outcome, QueryError, Storage, Stored, Value},
};
use axum::{
    Form, Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use promql_parser::label::Matcher;
use serde_json::{Value as Document, json};
use std::{collections::BTreeSet, sync::Arc};

/// Prometheus' own limit on points per series.
const MAX_POINTS: i64 = 11_000;

type Store = Arc<dyn Storage>;
type Params = Form<Vec<(String, String)>>;

pub(super) fn router(storage: Store) -> Router {
    Router::new()
        .route("/-/ready", get(|| async { "Prometheus Server is Ready.\n" }))
        .route("/-/healthy", get(|| async { "Prometheus Server is Healthy.\n" }))
        .route("/api/v1/query", any(query))
        .route("/api/v1/query_range", any(query_range))
        .route("/api/v1/series", any(series))
        .route("/api/v1/labels", any(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .route("/api/v1/metadata", get(|| async { success(&json!({})) }))
        .route("/api/v1/status/buildinfo", get(|| async { success(&json!({"version": VERSION})) }))
        .with_state(storage)
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-simulated");

async fn query(State(storage): State<Store>, Form(params): Params) -> Response {
    answer(move || {
        let at = time(&params, "time")?.unwrap_or_else(|| storage.now());
        let outcome = promql::instant(&*storage, required(&params, "query")?, at)?;
        let point = |value: f64| json!([at.secs(), number(value)]);
        Ok(match outcome {
            Outcome::Matrix(rows) => json!({"resultType": "matrix", "result": matrix(&rows)}),
            Outcome::Value(Value::Scalar(value)) => json!({"resultType": "scalar", "result": point(value)}),
            Outcome::Value(Value::Text(text)) => json!({"resultType": "string", "result": [at.secs(), text]}),
            Outcome::Value(Value::Vector(samples)) => {
                let rows: Vec<_> =
                    samples.iter().map(|s| json!({"metric": s.labels, "value": point(s.value)})).collect();
                json!({"resultType": "vector", "result": rows})
            }
        })
    })
    .await
}

async fn query_range(State(storage): State<Store>, Form(params): Params) -> Response {
    answer(move || {
        let bad = |name: &str, what: &str| QueryError::BadData(format!("invalid parameter \"{name}\": {what}"));
        let start = time(&params, "start")?.ok_or_else(|| bad("start", "cannot parse \"\" to a valid timestamp"))?;
        let end = time(&params, "end")?.ok_or_else(|| bad("end", "cannot parse \"\" to a valid timestamp"))?;
        let step = step(required(&params, "step")?)?;
        if end < start {
            return Err(bad("end", "end timestamp must not be before start time"));
        }
        if step <= 0 {
            let text = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(bad("step", text));
        }
        if (end.millis() - start.millis()) / step > MAX_POINTS {
            let text = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
            return Err(QueryError::BadData(text.into()));
        }
        let rows = promql::range(&*storage, required(&params, "query")?, (start, end, step))?;
        Ok(json!({"resultType": "matrix", "result": matrix(&rows)}))
    })
    .await
}

async fn series(State(storage): State<Store>, Form(params): Params) -> Response {
    answer(move || {
        if !params.iter().any(|(name, _)| name == "match[]") {
            return Err(QueryError::BadData("no match[] parameter provided".into()));
        }
        let found: BTreeSet<Labels> = selected(&*storage, &params)?.into_iter().map(|s| s.labels).collect();
        Ok(json!(found))
    })
    .await
}

async fn labels(State(storage): State<Store>, Form(params): Params) -> Response {
    answer(move || {
        let found = selected(&*storage, &params)?;
        let names: BTreeSet<&String> = found.iter().flat_map(|s| s.labels.keys()).collect();
        Ok(json!(names))
    })
    .await
}

async fn label_values(State(storage): State<Store>, Path(name): Path<String>, Form(params): Params) -> Response {
    answer(move || {
        let found = selected(&*storage, &params)?;
        let values: BTreeSet<&String> = found.iter().filter_map(|s| s.labels.get(&name)).collect();
        Ok(json!(values))
    })
    .await
}

/// The series that any `match[]` selects, among those with points between `start` and `end`.
fn selected(storage: &dyn Storage, params: &[(String, String)]) -> Result<Vec<Stored>, QueryError> {
    let from = time(params, "start")?.unwrap_or(Time::from_millis(0));
    let to = time(params, "end")?.unwrap_or_else(|| storage.now());
    let mut selectors: Vec<Vec<Matcher>> = Vec::new();
    for (_, text) in params.iter().filter(|(name, _)| name == "match[]") {
        selectors.push(promql::selector(text)?);
    }
    if selectors.is_empty() {
        selectors.push(Vec::new());
    }
    let mut found: Vec<Stored> = selectors.iter().flat_map(|s| storage.select(s, from, to)).collect();
    found.retain(|s| s.labels.contains_key(NAME) && s.points.iter().any(|(_, v)| v.is_some()));
    Ok(found)
}

/// Evaluates off the runtime's threads and puts the envelope on.
async fn answer(work: impl FnOnce() -> Result<Document, QueryError> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(data)) => success(&data),
        Ok(Err(QueryError::BadData(text))) => error(StatusCode::BAD_REQUEST, "bad_data", &text),
        Ok(Err(QueryError::Execution(text))) => error(StatusCode::UNPROCESSABLE_ENTITY, "execution", &text),
        Err(e) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &e.to_string()),
    }
}

fn success(data: &Document) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

fn error(status: StatusCode, kind: &str, text: &str) -> Response {
    (status, Json(json!({"status": "error", "errorType": kind, "error": text}))).into_response()
}

fn matrix(rows: &[Stored]) -> Vec<Document> {
    let point = |(t, v): &(i64, Option<f64>)| v.map(|v| json!([*t as f64 / 1000.0, number(v)]));
    rows.iter()
        .map(|row| json!({"metric": row.labels, "values": row.points.iter().filter_map(point).collect::<Vec<_>>()}))
        .collect()
}

/// Go's `strconv.FormatFloat(v, 'f', -1, 64)`.
fn number(v: f64) -> String {
    if v.is_infinite() { if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned() } else { format!("{v}") }
}

fn param<'p>(params: &'p [(String, String)], name: &str) -> Option<&'p str> {
    params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
}

fn required<'p>(params: &'p [(String, String)], name: &str) -> Result<&'p str, QueryError> {
    let empty = if name == "query" { "unknown position: parse error: no expression found in input" } else { "empty" };
    param(params, name).ok_or_else(|| QueryError::BadData(format!("invalid parameter \"{name}\": {empty}")))
}

/// Seconds or RFC 3339.
fn time(params: &[(String, String)], name: &str) -> Result<Option<Time>, QueryError> {
    let Some(text) = param(params, name) else { return Ok(None) };
    let secs = text.parse::<f64>().ok().filter(|s| s.is_finite()).map(Time::from_secs);
    secs.or_else(|| Time::parse(text)).map(Some).ok_or_else(|| {
        QueryError::BadData(format!("invalid parameter \"{name}\": cannot parse {text:?} to a valid timestamp"))
    })
}

/// Seconds or a duration, as milliseconds.
fn step(text: &str) -> Result<i64, QueryError> {
    let secs = text.parse::<f64>().ok().filter(|s| s.is_finite());
    let duration = || promql_parser::util::parse_duration(text).ok().map(|d| d.as_secs_f64());
    let secs = secs.or_else(duration).ok_or_else(|| {
        QueryError::BadData(format!("invalid parameter \"step\": cannot parse {text:?} to a valid duration"))
    })?;
    Ok((secs * 1000.0) as i64)
}
