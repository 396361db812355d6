//! One connection to one broker: frames, correlation ids, pipelining, deadlines. What is asked is typed by the codecs.

use super::{
    shape::{self, Asked},
    share,
};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes, encode_request_header_into_buffer};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI32, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};

/// Largest response accepted. 200 000 committed offsets are about 5 MB; a garbage length (`HTTP` reads as 1.2 GB) is refused.
pub(super) const FRAME_LIMIT: usize = 64 * 1024 * 1024;
/// Requests under way on one connection; more wait for room.
const PIPELINE: usize = 16;

/// Anything that carries bytes both ways: TCP, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Pending = Arc<Mutex<HashMap<i32, oneshot::Sender<Bytes>>>>;

/// What both tasks and the callers of a connection share.
struct Shared {
    /// Why it ended; set once.
    end: OnceLock<String>,
    ended: Notify,
    pending: Pending,
}

impl Shared {
    fn close(&self, reason: String) {
        let _ = self.end.set(reason); // the first reason is the true one
        // Dropping the senders wakes every caller.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.ended.notify_waiters();
        self.ended.notify_one();
    }
}

/// An open connection. Dropping it closes the socket.
pub(super) struct Connection {
    client_id: StrBytes,
    next: AtomicI32,
    out: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
    versions: HashMap<i16, (i16, i16)>,
    /// Requests sent on this connection.
    sent: AtomicU32,
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Connection {
    /// Starts the two tasks of a connection over an open stream. Versions are not negotiated yet.
    pub(super) fn over(stream: impl Stream + 'static, client_id: &str) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let shared = Arc::new(Shared { end: OnceLock::new(), ended: Notify::new(), pending: Pending::default() });
        let (out, queue) = mpsc::channel(PIPELINE);
        let tasks = [tokio::spawn(write(writer, queue, shared.clone())), tokio::spawn(read(reader, shared.clone()))];
        Self {
            client_id: StrBytes::from_string(client_id.to_owned()),
            next: AtomicI32::new(1),
            out,
            shared,
            tasks,
            versions: HashMap::new(),
            sent: AtomicU32::new(0),
        }
    }

    /// Keeps what ApiVersions said: lowest and highest version per API key.
    pub(super) fn set_versions(&mut self, versions: HashMap<i16, (i16, i16)>) {
        self.versions = versions;
    }

    /// The highest version of a request that both sides speak. A broker that gets another one closes the connection
    /// without a word, so nothing is ever sent without this. `None`: no common version.
    pub(super) fn version<R: Asked>(&self) -> Option<i16> {
        if self.versions.is_empty() {
            return Some(R::SPOKEN.0); // before the negotiation, which itself uses a version that all know
        }
        let (low, high) = *self.versions.get(&R::KEY)?;
        let version = high.min(R::SPOKEN.1);
        (version >= low.max(R::SPOKEN.0)).then_some(version)
    }

    /// Whether the broker speaks this version of a request.
    pub(super) fn speaks(&self, key: i16, version: i16) -> bool {
        self.versions.get(&key).is_some_and(|(low, high)| (*low..=*high).contains(&version))
    }

    /// How many requests were sent since the last call of this.
    pub(super) fn take_sent(&self) -> u32 {
        self.sent.swap(0, Ordering::Relaxed)
    }

    /// Whether it still stands; else why not.
    pub(super) fn ended(&self) -> Option<&str> {
        self.shared.end.get().map(String::as_str)
    }

    /// Ends it; everybody who waits on it gets `reason`.
    pub(super) fn close(&self, reason: String) {
        self.shared.close(reason);
    }

    /// Waits for its end.
    pub(super) async fn closed(&self) -> String {
        loop {
            let notified = self.shared.ended.notified();
            if let Some(reason) = self.ended() {
                return reason.to_owned();
            }
            notified.await;
        }
    }

    /// Asks and waits for the answer. A passed deadline ends the connection: a broker answers in order, so everything
    /// behind that request would be late too, and an answer must never be taken for that of a later refresh.
    pub(super) async fn call<R: Asked>(&self, request: &R, deadline: Duration) -> Result<R::Response, String> {
        let Some(version) = self.version::<R>() else {
            let theirs = self.versions.get(&R::KEY).map_or("not at all".to_owned(), |(a, b)| format!("v{a} to v{b}"));
            return Err(format!(
                "the broker speaks {} {theirs}, Highwater v{} to v{}: Kafka 2.8 or later is needed",
                R::NAME,
                R::SPOKEN.0,
                R::SPOKEN.1
            ));
        };
        let body = self.exchange(R::KEY, version, R::NAME, deadline, |b| request.encode(b, version)).await?;
        decode::<R>(body, version).map_err(|e| self.garbage(R::NAME, version, &e))
    }

    /// How far share groups are, in the version that tells their lag (see `share.rs`).
    pub(super) async fn share_offsets(
        &self,
        groups: &[StrBytes],
        deadline: Duration,
    ) -> Result<Vec<share::ShareOffsets>, String> {
        let request = share::request(groups);
        let encode = |b: &mut BytesMut| request.encode(b, 0);
        let mut body = self.exchange(share::KEY, share::VERSION, share::NAME, deadline, encode).await?;
        let read = shape::skip_tags(&mut body).and_then(|()| share::decode(&body));
        read.map_err(|e| self.garbage(share::NAME, share::VERSION, &e))
    }

    /// What follows makes no sense either: ends the connection.
    fn garbage(&self, name: &str, version: i16, error: &str) -> String {
        let reason = format!("the answer to {name} v{version} is no Kafka response: {error}");
        self.close(reason.clone());
        reason
    }

    /// Sends one request and waits for what follows the correlation id of its answer.
    async fn exchange<E: std::fmt::Display>(
        &self,
        key: i16,
        version: i16,
        name: &str,
        deadline: Duration,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Bytes, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let frame = self.frame(key, version, id, encode).map_err(|e| format!("cannot encode {name}: {e}"))?;
        let (tell, told) = oneshot::channel();
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner).insert(id, tell);
        if let Some(reason) = self.ended() {
            return Err(reason.to_owned());
        }
        let exchange = async {
            self.out.send(frame).await.ok()?;
            self.sent.fetch_add(1, Ordering::Relaxed);
            told.await.ok()
        };
        match tokio::time::timeout(deadline, exchange).await {
            Ok(Some(body)) => Ok(body),
            Ok(None) => Err(self.ended().unwrap_or("the connection was closed").to_owned()),
            Err(_) => {
                let reason = format!("no answer to {name} within {} s", deadline.as_secs_f64());
                self.close(reason.clone());
                Err(reason)
            }
        }
    }

    fn frame<E: std::fmt::Display>(
        &self,
        key: i16,
        version: i16,
        id: i32,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Bytes, String> {
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(id)
            .with_client_id(Some(self.client_id.clone()));
        let mut buffer = BytesMut::with_capacity(256);
        buffer.put_i32(0);
        encode_request_header_into_buffer(&mut buffer, &header).map_err(|e| e.to_string())?;
        encode(&mut buffer).map_err(|e| e.to_string())?;
        let length = i32::try_from(buffer.len() - 4).map_err(|_| "more than 2 GB".to_owned())?;
        buffer[..4].copy_from_slice(&length.to_be_bytes());
        Ok(buffer.freeze())
    }
}

/// Decodes what follows the correlation id.
pub(super) fn decode<R: Asked>(mut body: Bytes, version: i16) -> Result<R::Response, String> {
    let header = R::Response::header_version(version);
    if header >= 1 {
        shape::skip_tags(&mut body)?; // header v0 is the correlation id alone; v1 adds tagged fields
    }
    shape::check(&R::SHAPE, version, &body)?;
    R::Response::decode(&mut body, version).map_err(|e| e.to_string())
}

async fn write(mut stream: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Bytes>, shared: Arc<Shared>) {
    while let Some(frame) = queue.recv().await {
        if let Err(e) = stream.write_all(&frame).await {
            return shared.close(format!("sending failed: {e}"));
        }
        if let Err(e) = stream.flush().await {
            return shared.close(format!("sending failed: {e}"));
        }
    }
}

async fn read(mut stream: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let reason = loop {
        match frame(&mut stream).await {
            Ok((id, body)) => {
                let waiting = shared.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                if let Some(waiting) = waiting {
                    let _ = waiting.send(body); // nobody waits any more: the answer is of no use
                }
            }
            Err(reason) => break reason,
        }
    };
    shared.close(reason);
}

/// Reads one frame: its correlation id and what follows.
async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> Result<(i32, Bytes), String> {
    let length = stream.read_i32().await.map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => "the broker closed the connection".to_owned(),
        _ => format!("receiving failed: {e}"),
    })?;
    let size = usize::try_from(length).ok().filter(|n| (4..=FRAME_LIMIT).contains(n)).ok_or_else(|| {
        format!("a frame of {length} bytes is no Kafka response: is this the port of another protocol, or of TLS?")
    })?;
    let id = stream.read_i32().await.map_err(|e| format!("receiving failed: {e}"))?;
    // The buffer grows with what arrives, not with what was announced.
    let mut body = BytesMut::with_capacity((size - 4).min(64 * 1024));
    let mut rest = stream.take((size - 4) as u64);
    while rest.limit() > 0 {
        match rest.read_buf(&mut body).await {
            Ok(0) => return Err("the broker closed the connection within an answer".to_owned()),
            Ok(_) => {}
            Err(e) => return Err(format!("receiving failed: {e}")),
        }
    }
    Ok((id, body.freeze()))
}
