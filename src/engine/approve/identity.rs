//! Who acts, and how an action is named.

use super::{Desk, Event};
use crate::model::{ActionId, Actor, Label, Severity, Target, Time};
use std::hash::{BuildHasher, RandomState};

impl Desk {
    /// A server says who this operator is.
    pub(super) fn known_as(&mut self, user: Label, vouched_by: Label) {
        self.actor.server_user = Some(user);
        self.actor.vouched_by = Some(vouched_by);
        self.book.set_actor(self.actor.clone());
    }

    /// Connects to the cluster of a target where that failed before: we may have logged in since.
    pub(super) async fn connect_again(&mut self, target: &Target) {
        let Some(before) = self.actuator.lost_kubernetes().filter(|_| target.is_kubernetes()).cloned() else { return };
        self.actuator = super::actuator(&self.options).await;
        match self.actuator.lost_kubernetes() {
            Some(why) if *why == before => {}
            Some(why) => self.notice(Severity::Look, why.to_string()).await,
            None => {
                self.leases = self.actuator.leases();
                self.ask_who_we_are().await;
            }
        }
    }

    /// Asks the cluster who we are, as long as it has not said: at the start it may have been down, or we not logged in.
    pub(super) async fn ask_who_we_are(&mut self) {
        if self.actor.server_user.is_none()
            && let Some(user) = self.actuator.identity().await
        {
            self.known_as(user, "kubernetes".into());
            self.send(Event::Identity(Label::new(&self.actor.to_string()))).await;
        }
    }

    /// Where no cluster says who we are, the brokers do that let us in.
    pub(super) async fn learn_identity(&mut self) {
        if self.actor.server_user.is_none()
            && let Some((user, cluster)) = self.book.shared().and_then(|s| s.identity())
        {
            self.known_as(user, cluster);
            self.send(Event::Identity(Label::new(&self.actor.to_string()))).await;
        }
    }
}

/// The person at this terminal, as the operating system knows them.
pub(super) fn actor() -> Actor {
    let variable = |name: &str| std::env::var(name).ok().map(|v| Label::new(&v));
    let host = rustix::system::uname();
    Actor {
        server_user: None,
        vouched_by: None,
        os_user: variable("USER")
            .or_else(|| variable("LOGNAME"))
            .unwrap_or_else(|| Label::new(&format!("uid {}", rustix::process::getuid().as_raw()))),
        host: Label::new(&host.nodename().to_string_lossy()),
        pid: std::process::id(),
        ssh: variable("SSH_CONNECTION"),
    }
}

/// A name that sorts by creation: milliseconds, then 64 random bits, in Crockford's base 32 like a ULID.
pub(super) fn action_id(now: Time) -> ActionId {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let random = RandomState::new().hash_one(std::process::id()); // std seeds each RandomState from the system
    let bits = (u128::from(now.millis().max(0).unsigned_abs()) << 64) | u128::from(random);
    let text: String = (0..23).rev().map(|i| char::from(DIGITS[(bits >> (5 * i)) as usize & 31])).collect();
    ActionId(Label::new(&text))
}
