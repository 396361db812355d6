//! The circuit breaker of one broker: a task that keeps one connection standing, with back-off and full jitter.

use super::{dial::Dialer, wire::Connection};
use crate::{model::Time, process::Clock};
use std::{hash::BuildHasher, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// Back-off after the first failure; it doubles up to [`CAP`].
const BASE: Duration = Duration::from_millis(200);
/// A broker that answers again is noticed within this.
const CAP: Duration = Duration::from_secs(4);
/// Likewise when the broker refused our credentials: gentle to account lockouts.
const CREDENTIALS_CAP: Duration = Duration::from_secs(60);

/// What a link is doing.
#[derive(Clone)]
pub(super) enum LinkState {
    /// First attempt under way.
    Connecting,
    /// Usable.
    Up(Arc<Connection>),
    /// Not usable; asked again with back-off.
    Down { since: Time, reason: String },
}

/// A broker's address and the task that keeps it connected. Dropping it ends both.
pub(super) struct Link {
    pub host: String,
    pub port: u16,
    state: watch::Receiver<LinkState>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    pub(super) fn start(host: String, port: u16, dialer: Arc<Dialer>, clock: Clock) -> Self {
        let (tell, state) = watch::channel(LinkState::Connecting);
        let task = tokio::spawn(keep(host.clone(), port, dialer, clock, tell));
        Self { host, port, state, task }
    }

    /// The connection, or since when and why there is none. Waits only for a first attempt.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, (Time, String)> {
        let mut state = self.state.clone();
        // The task lives as long as this link, and every attempt has a deadline.
        let settled = state.wait_for(|s| !matches!(s, LinkState::Connecting)).await;
        match settled.as_deref() {
            Ok(LinkState::Up(connection)) => match connection.ended() {
                None => Ok(connection.clone()),
                Some(reason) => Err((Time::default(), reason.to_owned())),
            },
            Ok(LinkState::Down { since, reason }) => Err((*since, reason.clone())),
            Ok(LinkState::Connecting) | Err(_) => Err((Time::default(), "the connection's task ended".to_owned())),
        }
    }
}

async fn keep(host: String, port: u16, dialer: Arc<Dialer>, clock: Clock, tell: watch::Sender<LinkState>) {
    let mut failures = 0;
    let mut since = None;
    loop {
        let (reason, cap) = match dialer.dial(&host, port).await {
            Ok(dialed) => {
                failures = 0;
                since = None;
                let connection = Arc::new(dialed.connection);
                tell.send_replace(LinkState::Up(connection.clone()));
                // KIP-368: renewed at 85 % of the session, while the old connection still answers.
                let renewal = dialed.lifetime.map_or(Duration::from_secs(u32::MAX.into()), |l| l.mul_f64(0.85));
                tokio::select! {
                    reason = connection.closed() => (reason, CAP),
                    () = tokio::time::sleep(renewal) => continue,
                }
            }
            Err(refused) => (refused.reason, if refused.credentials { CREDENTIALS_CAP } else { CAP }),
        };
        tracing::debug!(host, port, reason, "broker down");
        let began = *since.get_or_insert_with(|| clock.now());
        tell.send_replace(LinkState::Down { since: began, reason });
        let ceiling = (BASE * 2_u32.saturating_pow(failures)).min(cap);
        failures = (failures + 1).min(16);
        tokio::time::sleep(ceiling.mul_f64(jitter())).await;
    }
}

/// Uniform in 0–1, from the hash keys that the standard library draws at random.
fn jitter() -> f64 {
    (std::hash::RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}
