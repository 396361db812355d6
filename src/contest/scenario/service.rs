//! Scenarios with an inference service: behind the consumers of the topic, or in front of clients of its own.

use super::{
    Scenario,
    check::{Wrong, refuse},
    tables::{Count, Positive, Replicas, Seconds, Spread},
};
use crate::{
    contest::{Season, pipeline::Pair, pipeline::Pipeline, serving},
    model::{Limits, Price},
    simulate::{
        fleet::FleetSettings,
        serving::{Game, Objective, Service},
    },
};
use serde::Deserialize;

/// Who calls on the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Callers {
    /// The consumers, for what they process.
    #[default]
    Group,
    /// Clients: the demand is in requests per second, and there is no group.
    Clients,
}

/// `[service]`. What is absent is that of a chat model of some 8 billion parameters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceTable {
    callers: Callers,
    /// Requests per record of demand.
    per_record: Positive,
    start_up: Spread,
    max_batch: Positive,
    /// Tokens of a prompt and of an answer.
    prompt: Positive,
    answer: Positive,
    /// Prompt tokens per second.
    prefill: Positive,
    /// Seconds per token of one request alone, and what each further one in the batch adds.
    token: Positive,
    token_batch: Positive,
    kv_tokens: Positive,
    replicas: Replicas,
    /// GPUs of a replica, and of the pool; an absent pool has no limit.
    gpus: Count,
    pool: Option<Count>,
    ttft_p95: Option<Seconds>,
    inter_token_p95: Option<Seconds>,
}

impl Default for ServiceTable {
    fn default() -> Self {
        let FleetSettings { start_up, max_batch, prompt, answer, prefill, token, token_batch, kv_tokens } =
            Service::default().fleet;
        let limits = Service::default().limits;
        Self {
            callers: Callers::Group,
            per_record: Positive(1.0),
            start_up: Spread { mean: Seconds(start_up.0), sd: Seconds(start_up.1) },
            max_batch: Positive(max_batch),
            prompt: Positive(prompt),
            answer: Positive(answer),
            prefill: Positive(prefill),
            token: Positive(token),
            token_batch: Positive(token_batch),
            kv_tokens: Positive(kv_tokens),
            replicas: Replicas { start: None, min: limits.min, max: Count(limits.max) },
            gpus: Count(1),
            pool: None,
            ttft_p95: None,
            inter_token_p95: None,
        }
    }
}

impl ServiceTable {
    /// What no single value can tell.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        let promises = self.ttft_p95.is_some() || self.inter_token_p95.is_some();
        refuse(!promises, "service", "promise something: ttft_p95 or inter_token_p95")?;
        let r = self.replicas;
        let within = r.min <= r.max.0 && r.start.is_none_or(|n| (r.min..=r.max.0).contains(&n));
        refuse(!within, "service.replicas", "start must lie within min and max")?;
        let small = self.pool.is_some_and(|p| p.0 < self.gpus.0);
        refuse(small, "service.pool", "it holds not even one replica's gpus")?;
        let fits = self.kv_tokens.0 >= self.prompt.0 + self.answer.0;
        refuse(!fits, "service.kv_tokens", "not even one request fits: its prompt and its answer")
    }

    pub(super) fn has_clients(&self) -> bool {
        self.callers == Callers::Clients
    }
}

/// What is played in a scenario with a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Played {
    /// The consumers and the service that they call on.
    Pipeline(Box<Pipeline>),
    /// The service alone.
    Service(Box<Game>),
}

/// A policy of a scenario with a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Player {
    /// For consumers and service.
    Pipeline(Pair),
    /// For the service alone.
    Service(serving::Entrant),
}

impl Scenario {
    /// What is played, where the scenario has a service; `None`: the group alone.
    pub fn service(&self) -> Option<Played> {
        let s = self.service.as_ref()?;
        let Replicas { start, min, max } = s.replicas;
        let service = Service {
            fleet: FleetSettings {
                start_up: (s.start_up.mean.0, s.start_up.sd.0),
                max_batch: s.max_batch.0,
                prompt: s.prompt.0,
                answer: s.answer.0,
                prefill: s.prefill.0,
                token: s.token.0,
                token_batch: s.token_batch.0,
                kv_tokens: s.kv_tokens.0,
            },
            gpus: s.gpus.0,
            start: start.unwrap_or(max.0),
            limits: Limits { min, max: max.0 },
            objective: Objective { ttft: s.ttft_p95.map(|t| t.0), inter_token: s.inter_token_p95.map(|t| t.0) },
        };
        let group = self.game();
        let price = Price { ..group.price };
        let game = Game {
            services: vec![service],
            gpus: s.pool.map_or(u32::MAX, |p| p.0),
            scrape: group.scrape,
            price,
            ..Game::default()
        };
        Some(match s.callers {
            Callers::Clients => Played::Service(Box::new(game)),
            Callers::Group => Played::Pipeline(Box::new(Pipeline { group, service: game, per_record: s.per_record.0 })),
        })
    }

    /// The season of a service with clients of its own.
    pub fn service_season(&self, season: &Season) -> serving::Season {
        let more = self.service.as_ref().map_or(1.0, |s| s.per_record.0);
        serving::Season::of(season, &season.played, more)
    }

    /// The policy of a name, in a scenario with a service.
    pub fn player(&self, name: &str) -> Option<Player> {
        let s = self.service.as_ref()?;
        let half = (s.max_batch.0 / 2.0).max(1.0);
        let planner = serving::Settings { step: self.game().scrape, ..serving::Settings::default() };
        let behind = match name {
            "planner" => serving::Entrant::Planner(planner),
            "hpa" => serving::Entrant::Hpa(serving::Metric::Waiting(5.0)),
            "hpa-gpu" => serving::Entrant::Hpa(serving::Metric::Gpu(0.8)),
            "keda" | "keda-tuned" => serving::Entrant::Hpa(serving::Metric::InFlight(half)),
            "knative" => serving::Entrant::Knative(half),
            "fixed" => serving::Entrant::Peak,
            // Of both halves together nobody has searched.
            "oracle" if s.has_clients() => serving::Entrant::Clairvoyant,
            _ => return None,
        };
        Some(match (s.callers, name) {
            (Callers::Clients, _) => Player::Service(behind),
            (Callers::Group, "fixed") => Player::Pipeline(Pair::Peak),
            (Callers::Group, "hpa-gpu") => Player::Pipeline(Pair::Each(Box::new(self.entrant("hpa-cpu")?), behind)),
            (Callers::Group, "knative") => Player::Pipeline(Pair::Each(Box::new(self.entrant("hpa")?), behind)),
            (Callers::Group, _) => Player::Pipeline(Pair::Each(Box::new(self.entrant(name)?), behind)),
        })
    }
}
