//! The simulated world as a Prometheus server: the HTTP API on loopback, PromQL evaluated over the world's own scrapes.

mod http;
mod scrapes;

use super::World;
use crate::promql::Storage;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};

/// A running face; it stops when this is dropped.
#[derive(Debug)]
pub struct PrometheusFace {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for PrometheusFace {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Puts the Prometheus face on a world.
pub async fn serve(world: World) -> Result<PrometheusFace, String> {
    serve_storage(world).await
}

/// The same over any storage; [`SeriesStore`](crate::promql::SeriesStore) holds what a test needs.
pub async fn serve_storage(storage: impl Storage) -> Result<PrometheusFace, String> {
    let failed = |e| format!("the simulated Prometheus cannot listen on loopback: {e}");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
    let url = format!("http://{}", listener.local_addr().map_err(failed)?);
    let router = http::router(Arc::new(storage));
    let task = tokio::spawn(async move {
        if let Err(e) = axum::serve(listener, router).await {
            tracing::error!("the simulated Prometheus ended: {e}");
        }
    });
    Ok(PrometheusFace { url, task })
}
