//! What the scenarios are made of: their parts, and what happens when.

use super::{build::Builder, state::Event};
use crate::simulate::{
    demand::{DemandSettings, Surge},
    fleet::FleetSettings,
    group::{Assignor, GroupSettings, Protocol},
};

/// A scenario: its name, what it shows, how it is put together.
pub(super) type Scenario = (&'static str, &'static str, fn(&mut Builder));

/// Every scenario, the default first.
pub(super) const SCENARIOS: [Scenario; 3] = [
    ("fraud", "a nightly upload outruns fraud-scorer; the model behind it is next; the rest is quiet", fraud),
    ("quiet", "nothing is wrong: every group keeps up with room to spare", quiet),
    ("incident", "a broker freezes, a group rebalances without end, a partition meets a poison record", incident),
];

/// A steady group that changes nothing for minutes.
fn steady(mean: f64) -> DemandSettings {
    DemandSettings { mean, daily: 0.2, peak: 7200.0, noise: 0.03, ..DemandSettings::default() }
}

/// Indices of the groups that an incident happens to.
struct House {
    etl: usize,
    clickstream: usize,
}

/// The house's groups, with the demand on `transactions` that the scenario wants.
fn house(b: &mut Builder, transactions: DemandSettings, scorers: u32) -> House {
    let topic = b.topic("transactions", 24, 0.12, transactions, 900.0);
    let cooperative = GroupSettings { rate_spread: 0.02, ..GroupSettings::default() };
    let scorer = b.consumers("fraud-scorer", topic, cooperative.clone(), scorers, ("payments", "fraud-scorer"));
    b.service("fraud-model", scorer, 0.0205, FleetSettings::default(), 3, ("ml", "fraud-model"));

    let audit = GroupSettings { consumer_rate: 4000.0, ..cooperative.clone() };
    b.consumers("payments-audit", topic, audit, 3, ("payments", "payments-audit"));

    let orders = b.topic("orders", 24, 0.1, steady(3100.0), 1400.0);
    let eager = GroupSettings {
        protocol: Protocol::Eager,
        assignor: Assignor::Range,
        rebalance: 12.0,
        consumer_rate: 900.0,
        ..cooperative.clone()
    };
    let etl = b.consumers("orders-etl", orders, eager, 12, ("orders", "orders-etl"));
    b.hpa("orders", "orders-etl", etl, (12, 24), 2500); // never near its target: pinned by its min

    let clicks = b.topic("clickstream", 24, 0.25, steady(18_000.0), 350.0);
    let modern = GroupSettings { protocol: Protocol::Consumer, rebalance: 2.0, consumer_rate: 3200.0, ..cooperative };
    let clickstream = b.consumers("clickstream", clicks, modern, 14, ("web", "clickstream"));
    b.scaled_object("web", "clickstream", clickstream, (2, 30), 3000);
    // Where fraud-scorer puts what it cannot read; nobody reads it.
    b.topic("fraud-dlq", 3, 0.0, steady(0.3), 900.0);
    House { etl, clickstream }
}

/// The day before the show had two smaller rushes, so that what one consumer can do has been seen.
fn rush(start: f64, factor: f64) -> Surge {
    Surge { start, ramp: 240.0, hold: 600.0, factor, every: 0.0 }
}

fn fraud(b: &mut Builder) {
    let upload = Surge { start: -460.0, ramp: 900.0, hold: 2700.0, factor: 2.05, every: 86_400.0 };
    let demand = DemandSettings {
        mean: 3700.0,
        daily: 0.25,
        peak: 5400.0,
        surges: vec![upload, rush(-24_000.0, 1.9), rush(-9_500.0, 1.45)],
        noise: 0.04,
        ..DemandSettings::default()
    };
    house(b, demand, 6);
}

fn quiet(b: &mut Builder) {
    house(b, steady(3700.0), 8);
}

fn incident(b: &mut Builder) {
    let house = house(b, steady(3700.0), 8);
    let (freeze, thaw) = (45.0, 225.0);
    b.event(freeze, Event::Freeze(1));
    b.event(thaw, Event::Thaw(1));
    // A consumer that runs out of memory every 20 s: nine rebalances in ten minutes, each stopping all of orders-etl.
    for crash in 0..60_u32 {
        b.event(f64::from(crash) * 20.0 - 300.0, Event::Crash { group: house.etl, consumer: (crash % 3) as usize });
    }
    b.event(-600.0, Event::Poison { group: house.clickstream, partition: 17, stuck: true });
    // XID 79: the GPU has fallen off the bus.
    b.event(120.0, Event::Xid { gpu: 6, code: 79 });
}
