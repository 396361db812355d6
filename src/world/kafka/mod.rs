//! The world's Kafka face: brokers that speak the wire protocol.
//!
//! One listener per broker, each on a port of its own on loopback. Requests are answered as Apache Kafka 4 answers them,
//! for what a reader of lag asks: Metadata, groups, offsets, configurations. A frozen broker behaves as one under
//! SIGSTOP: the kernel still accepts connections, nothing is answered until it runs again.

mod cluster;
mod dispatch;
mod groups;

use super::{World, hardware::Broker};
use crate::model::{KafkaSettings, Property};
use bytes::{Bytes, BytesMut};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// Largest request taken. A reader's requests are kilobytes; a real broker takes 100 MiB.
const LARGEST_REQUEST: usize = 1 << 20;
/// Most connections to one broker at a time.
const MOST_CONNECTIONS: usize = 64;
/// Time between two looks at whether a frozen broker runs again.
const THAW_LOOK: Duration = Duration::from_millis(50);

/// The running listeners; dropping it closes them and every connection.
#[derive(Debug)]
pub struct KafkaFace {
    /// `bootstrap.servers`: all brokers, comma separated.
    pub bootstrap: String,
    listeners: Vec<AbortHandle>,
}

impl KafkaFace {
    /// How the source connects to this face, as the cluster `name`.
    pub fn settings(&self, name: &str) -> KafkaSettings {
        let bootstrap = Property::Text(self.bootstrap.clone());
        let properties = BTreeMap::from([("bootstrap.servers".to_owned(), bootstrap)]);
        KafkaSettings::new(name, properties)
    }
}

impl Drop for KafkaFace {
    fn drop(&mut self) {
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

/// What every connection knows.
#[derive(Clone, Debug)]
struct Face {
    world: World,
    /// Port of each broker, in the order of the world's brokers.
    ports: Arc<[u16]>,
    /// Index of the broker that is spoken to.
    broker: usize,
}

/// Binds one port per broker and answers from `world` until the face is dropped.
pub async fn serve(world: World) -> Result<KafkaFace, String> {
    let brokers = world.with(|state| state.brokers.len());
    let mut bound = Vec::with_capacity(brokers);
    for _ in 0..brokers {
        let failed = |e| format!("cannot listen on 127.0.0.1 for the simulated Kafka: {e}");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        bound.push((listener, port));
    }
    let ports: Arc<[u16]> = bound.iter().map(|(_, port)| *port).collect();
    let bootstrap = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",");
    let listeners = bound
        .into_iter()
        .enumerate()
        .map(|(broker, (listener, _))| {
            let face = Face { world: world.clone(), ports: Arc::clone(&ports), broker };
            tokio::spawn(listen(listener, face)).abort_handle()
        })
        .collect();
    Ok(KafkaFace { bootstrap, listeners })
}

/// Accepts until aborted; its connections end with it.
async fn listen(listener: TcpListener, face: Face) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                connections.spawn(converse(stream, face.clone()));
            }
            Ok(_) => tracing::warn!(broker = face.broker, "simulated broker: too many connections, one refused"),
            Err(error) => {
                tracing::warn!(%error, "simulated broker: accept failed");
                tokio::time::sleep(THAW_LOOK).await;
            }
        }
    }
}

/// Answers one connection's requests in order until it is closed or says something that a broker closes on.
async fn converse(mut stream: TcpStream, face: Face) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "simulated broker: no TCP_NODELAY");
    }
    loop {
        let Some(frame) = read_frame(&mut stream).await else { return };
        while !face.world.with(|state| state.brokers.get(face.broker).is_some_and(Broker::answers)) {
            tokio::time::sleep(THAW_LOOK).await;
        }
        let answer = match dispatch::answer(&face, frame) {
            Ok(answer) => answer,
            Err(why) => {
                tracing::debug!(broker = face.broker, why, "simulated broker: closes the connection");
                return;
            }
        };
        if write_frame(&mut stream, &answer).await.is_err() {
            return; // the reader went away: nothing is owed to it
        }
    }
}

/// One length-prefixed frame; `None`: closed, or longer than a request may be.
async fn read_frame(stream: &mut TcpStream) -> Option<Bytes> {
    let length = usize::try_from(stream.read_i32().await.ok()?).ok().filter(|n| *n <= LARGEST_REQUEST)?;
    let mut frame = BytesMut::zeroed(length);
    stream.read_exact(&mut frame).await.ok()?;
    Some(frame.freeze())
}

async fn write_frame(stream: &mut TcpStream, answer: &[u8]) -> std::io::Result<()> {
    let length = i32::try_from(answer.len()).map_err(std::io::Error::other)?;
    stream.write_i32(length).await?;
    stream.write_all(answer).await
}

#[cfg(test)]
mod tests;
