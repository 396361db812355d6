//! Faults for as long as one likes: whatever happens to the brokers, a refresh ends in time, nothing known disappears,
//! requests stay bounded, and everything is whole again soon after the brokers are.

use crate::{
    real::{self, Kafka},
    support::PATIENCE,
};
use highwater::{
    model::{BrokerState, KafkaCluster},
    process::Clock,
    source::kafka::Reader,
};
use rustix::process::Signal;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A refresh may take the deadlines of its three steps and of a new connection, and something for a busy machine.
const LONGEST: f64 = 9.0;

/// What happens to the brokers. Each ends with all of them running.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// One of them is frozen for so many seconds.
    Freeze(i32, u64),
    /// One of them is killed and started again.
    Kill(i32),
    /// All of them are frozen for so many seconds.
    FreezeAll(u64),
    /// One after the other is killed and started again.
    Rolling,
}

/// xorshift64*: the same faults in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn fault(&mut self) -> Fault {
        let broker = 1 + self.below(3) as i32;
        match self.below(8) {
            0..=2 => Fault::Freeze(broker, 3 + self.below(20)),
            3 => Fault::Freeze(broker, 60),
            4..=5 => Fault::Kill(broker),
            6 => Fault::FreezeAll(5 + self.below(10)),
            _ => Fault::Rolling,
        }
    }
}

/// A reader under observation.
struct Watched {
    reader: Reader,
    groups: usize,
    refreshes: u64,
    slowest: f64,
}

impl Watched {
    async fn look(&mut self) -> KafkaCluster {
        let cluster = self.reader.refresh().await;
        self.refreshes += 1;
        self.slowest = self.slowest.max(cluster.seconds);
        assert!(cluster.seconds < LONGEST, "a refresh took {:.1} s", cluster.seconds);
        // Three bootstrap servers may be asked beside the budget when no broker answers.
        assert!(cluster.requests <= 6 * 3 + 1 + 3, "{} requests", cluster.requests);
        let seen = cluster.groups.iter().filter(|g| g.group.as_str().starts_with("soak-")).count();
        assert_eq!(seen, self.groups, "groups disappeared");
        for g in cluster.groups.iter().filter(|g| g.group.as_str().starts_with("soak-")) {
            assert_eq!(g.lag, Some(30), "{}: the last value stays", g.group);
        }
        cluster
    }

    async fn look_for(&mut self, seconds: u64) {
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            self.look().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn whole_again(&mut self) -> f64 {
        let began = Instant::now();
        loop {
            let cluster = self.look().await;
            let up = cluster.brokers.len() == 3 && cluster.brokers.iter().all(|b| b.state == BrokerState::Up);
            if up && cluster.groups.iter().all(|g| g.coverage > 0.999) {
                return began.elapsed().as_secs_f64();
            }
            assert!(began.elapsed() < PATIENCE, "not whole again: {:?}", cluster.brokers);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn happen(kafka: &Arc<Kafka>, fault: Fault, watched: &mut Watched) {
    let all = 1..=3;
    match fault {
        Fault::Freeze(broker, seconds) => {
            kafka.signal(broker, Signal::STOP);
            watched.look_for(seconds).await;
            kafka.signal(broker, Signal::CONT);
        }
        Fault::FreezeAll(seconds) => {
            all.clone().for_each(|b| kafka.signal(b, Signal::STOP));
            watched.look_for(seconds).await;
            all.for_each(|b| kafka.signal(b, Signal::CONT));
        }
        Fault::Kill(broker) => {
            kafka.signal(broker, Signal::KILL);
            watched.look_for(5).await;
            kafka.restart(broker);
        }
        Fault::Rolling => {
            for broker in all {
                kafka.signal(broker, Signal::KILL);
                watched.look_for(2).await;
                kafka.restart(broker);
                watched.whole_again().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour: make soak"]
async fn faults_of_all_kinds_never_stop_the_reader() {
    let start = || real::kafka_alone("soak");
    let Some(kafka) = tokio::task::spawn_blocking(start).await.unwrap() else { return };
    let seconds = std::env::var("HIGHWATER_SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1_800);
    kafka.create("soak", 3).await;
    kafka.produce("soak", 3, 20).await;
    for i in 0..12 {
        kafka.commit(&format!("soak-{i}"), &[("soak", &[(0, 10), (1, 10), (2, 10)])]);
    }
    let mut reader = Reader::connect(&kafka.settings(&[]), Clock::wall()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while reader.refresh().await.groups.iter().filter(|g| g.lag == Some(30)).count() < 12 {
        assert!(Instant::now() < deadline, "the groups were not seen");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let mut watched = Watched { reader, groups: 12, refreshes: 0, slowest: 0.0 };
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut faults = 0;
    while Instant::now() < until {
        let fault = random.fault();
        happen(&kafka, fault, &mut watched).await;
        let healed = watched.whole_again().await;
        faults += 1;
        println!("{fault:?}: whole again after {healed:.1} s");
    }
    println!("{faults} faults, {} refreshes, the slowest {:.2} s", watched.refreshes, watched.slowest);
}
