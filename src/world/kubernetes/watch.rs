//! Lists and watches. A watch compares versions with what it sent before, so it needs no history of events and can be
//! resumed from any version.

use super::{
    Face, gone,
    objects::{Resource, Served},
    status::Status,
};
use axum::{
    Json,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// A watch ends after this unless the client says otherwise; the real server picks 30 to 60 minutes.
const LONGEST: u64 = 1800;
/// Between two bookmarks; the real server's are about a minute apart.
const BOOKMARK: Duration = Duration::from_secs(60);

/// What a list or watch is about.
#[derive(Clone)]
struct Scope {
    resource: Resource,
    namespace: Option<String>,
    name: Option<String>,
}

impl Scope {
    /// The newest version and every object in scope.
    fn look(&self, face: &Face) -> (u64, Vec<Served>) {
        let (version, all) = face.world.with(|state| (state.version(), self.resource.all(state)));
        let within = |o: &Served| {
            self.namespace.as_ref().is_none_or(|n| *n == o.namespace) && self.name.as_ref().is_none_or(|n| *n == o.name)
        };
        (version, all.into_iter().filter(within).collect())
    }
}

/// GET on a collection.
pub(super) fn list_or_watch(
    face: Face,
    resource: Resource,
    namespace: Option<String>,
    parameters: &BTreeMap<String, String>,
) -> Response {
    let name = match parameters.get("fieldSelector").map(|s| s.strip_prefix("metadata.name=")) {
        None => None,
        Some(Some(name)) => Some(name.to_owned()),
        Some(None) if parameters.get("fieldSelector").is_some_and(|s| s == "status.phase=Running") => None, // all are
        Some(None) => return Status::bad_request("only metadata.name can be selected here").into_response(),
    };
    if parameters.contains_key("labelSelector") {
        return Status::bad_request("label selectors are not served here").into_response();
    }
    let scope = Scope { resource, namespace, name };
    if parameters.get("watch").is_some_and(|w| matches!(w.as_str(), "true" | "1")) {
        watch(face, scope, parameters)
    } else {
        list(&face, &scope)
    }
}

fn list(face: &Face, scope: &Scope) -> Response {
    let (version, objects) = scope.look(face);
    let items: Vec<Value> = objects.into_iter().map(|o| o.json).collect();
    Json(json!({
        "kind": format!("{}List", scope.resource.kind()),
        "apiVersion": scope.resource.api_version(),
        "metadata": {"resourceVersion": version.to_string()},
        "items": items,
    }))
    .into_response()
}

fn watch(face: Face, scope: Scope, parameters: &BTreeMap<String, String>) -> Response {
    let from: u64 = match parameters.get("resourceVersion").map_or(Ok(0), |v| v.parse()) {
        Ok(from) => from,
        Err(_) => return Status::bad_request("resourceVersion is not a number").into_response(),
    };
    let seconds = parameters.get("timeoutSeconds").and_then(|s| s.parse().ok()).unwrap_or(LONGEST).min(LONGEST);
    let bookmarks = parameters.get("allowWatchBookmarks").is_some_and(|b| b == "true");
    let end = Instant::now() + Duration::from_secs(seconds);
    let follower = Follower::new(face, scope, from, bookmarks, end);
    let lines = stream::unfold(follower, |mut follower| async move {
        let line = follower.next().await?;
        Some((Ok::<Bytes, Infallible>(line), follower))
    });
    let body = Body::from_stream(lines.boxed());
    ([("content-type", "application/json")], body).into_response()
}

/// One client's watch.
struct Follower {
    face: Face,
    scope: Scope,
    /// Version of each object as the client knows it.
    known: BTreeMap<(String, String), u64>,
    /// The version that was last looked at.
    version: u64,
    pending: VecDeque<Bytes>,
    bookmarks: bool,
    next_bookmark: Instant,
    end: Instant,
}

impl Follower {
    /// From version 0 everything there is comes first, as the real server does it.
    fn new(face: Face, scope: Scope, from: u64, bookmarks: bool, end: Instant) -> Self {
        let (_, objects) = scope.look(&face);
        let known = objects.into_iter().filter(|o| o.version <= from).map(|o| ((o.namespace, o.name), o.version));
        let known = known.collect();
        let next_bookmark = Instant::now() + BOOKMARK;
        let mut follower =
            Self { face, scope, known, version: from, pending: VecDeque::new(), bookmarks, next_bookmark, end };
        follower.compare();
        follower
    }

    /// The next line; `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                return Some(line);
            }
            if Instant::now() >= self.end {
                return None;
            }
            let until = self.end.min(self.next_bookmark);
            tokio::select! {
                changed = timeout_at(until, self.face.world.changed(self.version)) => match changed {
                    Ok(_) => self.compare(),
                    Err(_) => self.bookmark(),
                },
                () = gone(self.face.alive.clone()) => return None,
            }
        }
    }

    /// Queues what is new since the last look.
    fn compare(&mut self) {
        let (version, objects) = self.scope.look(&self.face);
        self.version = version.max(self.version);
        let mut gone = std::mem::take(&mut self.known);
        for object in objects {
            let key = (object.namespace, object.name);
            let event = match gone.remove(&key) {
                Some(known) if known == object.version => None,
                Some(_) => Some("MODIFIED"),
                None => Some("ADDED"),
            };
            self.known.insert(key, object.version);
            self.pending.extend(event.map(|event| line(event, &object.json)));
        }
        for (namespace, name) in gone.into_keys() {
            let metadata = json!({"namespace": namespace, "name": name, "resourceVersion": self.version.to_string()});
            self.pending.push_back(self.bare("DELETED", &metadata));
        }
    }

    fn bookmark(&mut self) {
        self.next_bookmark = Instant::now() + BOOKMARK;
        if self.bookmarks {
            let metadata = json!({"resourceVersion": self.version.to_string(), "creationTimestamp": null});
            self.pending.push_back(self.bare("BOOKMARK", &metadata));
        }
    }

    fn bare(&self, event: &str, metadata: &Value) -> Bytes {
        let (kind, api_version) = (self.scope.resource.kind(), self.scope.resource.api_version());
        line(event, &json!({"kind": kind, "apiVersion": api_version, "metadata": metadata}))
    }
}

fn line(event: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": event, "object": object})))
}
