//! The simulated world behind its three faces.

use highwater::{
    config::{Config, Overrides},
    engine::{self, Options},
    world::{
        World,
        kafka::{self, KafkaFace},
        kubernetes::{self, KubernetesFace},
        prometheus::{self, PrometheusFace},
    },
};

/// They are served for as long as this lives.
pub struct Faces {
    pub world: World,
    pub kafka: KafkaFace,
    pub prometheus: PrometheusFace,
    pub kubernetes: KubernetesFace,
}

impl Faces {
    /// A scenario at the pace of life.
    pub async fn of(scenario: &str) -> Self {
        let world = World::start(scenario, 7, 1.0).unwrap();
        Self {
            kafka: kafka::serve(world.clone()).await.unwrap(),
            prometheus: prometheus::serve(world.clone()).await.unwrap(),
            kubernetes: kubernetes::serve(world.clone()).await.unwrap(),
            world,
        }
    }

    /// An engine that watches it.
    pub fn watch(&self, mut config: Config) -> engine::Handle {
        config.kubernetes = Some(self.kubernetes.settings());
        config.apply(Overrides {
            kafka: Some(self.kafka.bootstrap.clone()),
            prometheus: Some(self.prometheus.url.clone()),
            ..Overrides::default()
        });
        engine::watch(Options { config, clock: self.world.clock(), state: None, past: None, days: false })
    }
}
