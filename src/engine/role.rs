//! What a process may do, as types: a watching engine has no way to say "do it", because there is nobody to say it to.
//!
//! [`super::watch`] gives a `Handle<Watching>`. Nothing in its process could carry a decision out: the task that owns
//! ledger and actuators is started by [`super::operate`] alone, and what only an actuator needs is dropped from the
//! configuration before anything else is started.
//!
//! ```
//! use highwater::{engine::{Handle, Operating}, model::Intent};
//! fn decide(handle: &Handle<Operating>, intent: Intent) {
//!     let _ = handle.intents().try_send(intent);
//! }
//! ```
//! ```compile_fail,E0599
//! use highwater::{engine::{Handle, Watching}, model::Intent};
//! fn decide(handle: &Handle<Watching>, intent: Intent) {
//!     let _ = handle.intents().try_send(intent);
//! }
//! ```
//! A handle of one kind does not become one of the other, and neither can be made by hand:
//! ```compile_fail,E0308
//! use highwater::engine::{Handle, Operating, Watching};
//! fn promote(handle: Handle<Watching>) -> Handle<Operating> { handle }
//! ```
//! ```compile_fail,E0451
//! use highwater::{engine::Operating, model::Intent};
//! fn forge(intents: tokio::sync::mpsc::Sender<Intent>) -> Operating { Operating { intents } }
//! ```

use crate::{
    config::Config,
    model::{Intent, LedgerSettings},
};
use tokio::sync::mpsc;

/// The engine looks and cannot act.
#[derive(Debug)]
pub struct Watching(());

/// The engine carries out what an operator approves.
#[derive(Debug)]
pub struct Operating {
    intents: mpsc::Sender<Intent>,
}

impl Watching {
    pub(super) fn new() -> Self {
        Self(())
    }
}

impl Operating {
    /// With the other end, for the task that owns ledger and actuators.
    pub(super) fn new() -> (Self, mpsc::Receiver<Intent>) {
        let (intents, heard) = mpsc::channel(16);
        (Self { intents }, heard)
    }
}

impl super::Handle<Operating> {
    /// Where decisions go.
    pub fn intents(&self) -> mpsc::Sender<Intent> {
        self.role.intents.clone()
    }
}

/// The configuration without what only an actuator needs: how commands and webhooks change something. What looks with a
/// bearer token keeps it.
pub(super) fn disarmed(mut config: Config) -> Config {
    for command in &mut config.commands {
        command.apply.clear();
        command.dry_run = None;
    }
    config.jobs.clear();
    for webhook in &mut config.webhooks {
        webhook.url.clear();
        webhook.secret = None;
        webhook.body = None;
    }
    config.ledger = LedgerSettings::default(); // who may write the shared ledger is no business of who watches
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_changes_anything_is_left_in_a_watching_configuration() {
        let example = include_str!("../../config/example.toml");
        let armed = Config::parse(example, "example.toml", false).unwrap();
        assert!(format!("{armed:?}").contains("scale-model\", \"{to}"), "there was something to take away");
        let config = disarmed(armed.clone());
        assert!(!format!("{config:?}").contains("scale-model\", \"{to}"));
        assert!(config.ledger.kafka.is_none() && armed.ledger.kafka.is_some());
        assert!(config.commands.iter().all(|c| c.observe.is_some()), "looking is left");
    }
}
