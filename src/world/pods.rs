//! The pods behind consumers and replicas: their names and addresses, the same in every face.

use super::{
    State,
    objects::{Deployment, Part},
};
use crate::simulate::Random;
use std::net::Ipv4Addr;

/// The hash of the one pod template that a deployment ever had.
pub(super) const HASH: &str = "7c9d5b6f8d";

/// A running pod.
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
}

/// The name of a deployment's ReplicaSet.
pub(super) fn replica_set(deployment: &str) -> String {
    format!("{deployment}-{HASH}")
}

/// The pod name of a replica: stable for its life.
pub(super) fn name(deployment: &str, serial: u64) -> String {
    let mut random = Random::new(serial);
    let letters: Vec<char> = "bcdfghjklmnpqrstvwxz2456789".chars().collect();
    let suffix: String =
        (0..5).filter_map(|_| letters.get(random.between(0.0, letters.len() as f64) as usize)).collect();
    format!("{}-{suffix}", replica_set(deployment))
}

/// The address of a replica, for `whom` (a group, a model) alone.
pub(super) fn address(whom: &str, serial: u64) -> Ipv4Addr {
    let net = 16 + whom.bytes().map(u32::from).sum::<u32>() % 100;
    let (high, low) = (1 + serial / 200, 11 + serial % 200);
    Ipv4Addr::new(10, net as u8, (high % 250) as u8, low as u8)
}

/// The running pods of a deployment. The workers of the training queue are their runs' own.
pub(super) fn of(state: &State, deployment: &Deployment) -> Vec<Pod> {
    let pod = |whom: &str, serial: u64| Pod { name: name(&deployment.name, serial), address: address(whom, serial) };
    match deployment.part {
        Part::Group(group) => {
            let group = state.groups.get(group);
            let all = group.into_iter().flat_map(|g| g.group.consumers().iter().map(|c| pod(g.id, c.serial)));
            all.collect()
        }
        Part::Fleet(fleet) => {
            let service = state.services.get(fleet);
            let all = service.into_iter().flat_map(|s| s.fleet.replicas().iter().map(|r| pod(s.model, r.serial)));
            all.collect()
        }
        Part::Training => Vec::new(),
    }
}
