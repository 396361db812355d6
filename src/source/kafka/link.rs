//! The circuit breaker of one broker: a task that keeps one connection standing, with back-off and jitter.

use super::{dial::Dialer, wire::Connection};
use crate::{model::Time, process::Clock};
use std::{
    hash::BuildHasher,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};

/// Back-off after the first failure, and what it doubles up to: a broker that answers again is noticed within that.
const SILENT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(4));
/// Likewise when our credentials were refused: every attempt counts towards an account lockout.
const REFUSED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

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
        let (reason, credentials) = match dialer.dial(&host, port).await {
            Ok(dialed) => {
                let begun = Instant::now();
                since = None;
                let connection = Arc::new(dialed.connection);
                tell.send_replace(LinkState::Up(connection.clone()));
                // KIP-368: renewed at 85 % of the session, while the old connection still answers.
                let renewal = dialed.lifetime.map_or(Duration::from_secs(u32::MAX.into()), |l| l.mul_f64(0.85));
                let reason = tokio::select! {
                    reason = connection.closed() => Some(reason),
                    () = tokio::time::sleep(renewal) => None,
                };
                // Who opens and closes at once is no better than who does not open.
                if begun.elapsed() > SILENT.1 {
                    failures = 0;
                }
                let Some(reason) = reason else { continue };
                (reason, false)
            }
            Err(refused) => (refused.reason, refused.credentials),
        };
        tracing::debug!(host, port, reason, "broker down");
        let began = *since.get_or_insert_with(|| clock.now());
        tell.send_replace(LinkState::Down { since: began, reason });
        let pause = backoff(failures, credentials);
        failures += 1;
        tokio::time::sleep(pause).await;
    }
}

/// How long to wait after so many failures in a row: half of it fixed, half of it chance.
pub(super) fn backoff(failures: u32, credentials: bool) -> Duration {
    let (first, most) = if credentials { REFUSED } else { SILENT };
    (first * 2_u32.pow(failures.min(16))).min(most).mul_f64(0.5 + 0.5 * jitter())
}

/// Uniform in 0–1, from the hash keys that the standard library draws at random.
fn jitter() -> f64 {
    (std::hash::RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}
