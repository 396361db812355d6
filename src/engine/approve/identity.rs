//! Who acts, and how an action is named.

use crate::model::{ActionId, Actor, Label, Time};
use std::hash::{BuildHasher, RandomState};

/// The person at this terminal, as the operating system knows them.
pub(super) fn actor() -> Actor {
    let variable = |name: &str| std::env::var(name).ok().map(|v| Label::new(&v));
    let host = rustix::system::uname();
    Actor {
        server_user: None,
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
