//! Who acts, and how an action is named.

use super::{Desk, Event};
use crate::model::{ActionId, Actor, Label, Time};
use std::hash::{BuildHasher, RandomState};

impl Desk {
    /// A server says who this operator is.
    pub(super) async fn known_as(&mut self, user: Label, vouched_by: Label) {
        self.actor.server_user = Some(user);
        self.actor.vouched_by = Some(vouched_by);
        self.book.set_actor(self.actor.clone());
        self.send(Event::Identity(Label::new(&self.actor.to_string()))).await;
    }

    /// Where no cluster says who we are, the brokers do that let us in. The cluster comes first: who is called by another
    /// name from time to time could be two people.
    pub(super) async fn learn_identity(&mut self) {
        if self.actor.server_user.is_none()
            && self.connecting.is_empty()
            && let Some((user, cluster)) = self.book.shared().and_then(|s| s.identity())
        {
            self.known_as(user, cluster).await;
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
