//! An inference fleet with continuous batching, as a fluid: requests wait, run together and slow each other down. While an
//! engine reads a prompt the answers of the others stand still, so what it reads costs what it can write.

use super::{Random, STEP, histogram::Histogram};

/// Bucket bounds of vLLM's V1 histograms, seconds (`vllm/v1/metrics/loggers.py`; the ones below the smallest that
/// occurs are left out).
const TTFT: &[f64] = &[0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
const INTER_TOKEN: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
const REQUEST: &[f64] = &[0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0];

/// Standard deviations of the logarithms of requests' times around their mean.
pub const TTFT_SPREAD: f64 = 0.45;
/// The same between tokens.
pub const INTER_TOKEN_SPREAD: f64 = 0.3;
/// A step is cut into parts of at most this share of the shortest stay in a batch, and into this many at most.
const STAY_PARTS: f64 = 4.0;
const MOST_PARTS: f64 = 64.0;
/// Share of an engine's time that goes to prompts at most: it reads a chunk, and then writes a token of every answer (vLLM:
/// 2,048 tokens of `--max-num-batched-tokens` take some three times as long as a step without any).
const READING_MOST: f64 = 0.75;

/// What a fleet is like.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetSettings {
    /// Mean and standard deviation of the time from asking for a replica to its taking requests, seconds: image, weights,
    /// warm-up.
    pub start_up: (f64, f64),
    /// Most requests that one replica runs together (`--max-num-seqs`).
    pub max_batch: f64,
    /// Tokens of a prompt.
    pub prompt: f64,
    /// Tokens of an answer.
    pub answer: f64,
    /// Prompt tokens that one replica reads per second.
    pub prefill: f64,
    /// Seconds per token of one request alone.
    pub token: f64,
    /// Seconds per token that each further request in the batch adds.
    pub token_batch: f64,
    /// Tokens that the KV cache of one replica holds.
    pub kv_tokens: f64,
}

impl Default for FleetSettings {
    /// A small model that scores a record with a short answer: about 65 requests per second and replica.
    fn default() -> Self {
        Self {
            start_up: (75.0, 12.0),
            max_batch: 64.0,
            prompt: 320.0,
            answer: 24.0,
            prefill: 240_000.0,
            token: 0.014,
            token_batch: 0.000_35,
            kv_tokens: 36_000.0,
        }
    }
}

impl FleetSettings {
    /// Requests that the KV cache of one replica has room for.
    fn kv_room(&self) -> f64 {
        self.kv_tokens / (self.prompt + self.answer / 2.0)
    }

    /// Most requests that one replica runs together.
    fn largest_batch(&self) -> f64 {
        self.max_batch.min(self.kv_room())
    }

    /// Requests per second that one replica finishes with a full batch: each takes its share of the writing, and its own
    /// reading.
    pub fn capacity(&self) -> f64 {
        let batch = self.largest_batch();
        let writing = self.answer * (self.token + self.token_batch * batch) / batch;
        (1.0 / (writing + self.reading())).min(READING_MOST / self.reading())
    }

    /// Requests per second that one replica finishes while its tokens come `per_token` seconds apart on average, or with
    /// a full batch if they never come so slowly.
    pub fn capacity_within(&self, per_token: f64) -> f64 {
        // `per_token` is what a token takes a batch, over the share of the time in which nothing is read; and the batch is
        // as many as come while one is answered.
        let each = self.token_batch * self.answer + self.reading();
        ((per_token - self.token).max(0.0) / (per_token * each)).min(self.capacity())
    }

    /// Seconds that an engine takes to read a prompt.
    fn reading(&self) -> f64 {
        self.prompt / self.prefill
    }
}

/// One replica: one engine on one GPU.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Number of this replica in the fleet's life.
    pub serial: u64,
    /// Seconds until it takes requests; 0: it does.
    pub ready_in: f64,
    /// Requests in its batch.
    pub running: f64,
    /// Requests that wait for a place in it.
    pub waiting: f64,
    /// Seconds that it reads the prompts of those that came into the batch last.
    reading: f64,
    /// Requests finished.
    pub finished: f64,
    /// Share of the KV cache in use, 0–1.
    pub kv_cache: f64,
    /// Time to first token.
    pub ttft: Histogram,
    /// Time between tokens.
    pub inter_token: Histogram,
    /// From arrival to the last token.
    pub latency: Histogram,
    /// Time waiting for a place in the batch.
    pub queued: Histogram,
    /// Finished, and their sums of latency parts, since the histograms were last brought up to date.
    pending: Pending,
    last: Served,
}

/// What one step was like for those who were served in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    /// Requests that finished.
    pub finished: f64,
    /// Mean time to first token of a request that comes now, seconds.
    pub first: f64,
    /// Mean time between tokens, seconds.
    pub per_token: f64,
}

/// Sums since the last observation, weighted by requests. Seconds × requests.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    finished: f64,
    queued: f64,
    first: f64,
    per_token: f64,
}

impl Replica {
    fn new(serial: u64, ready_in: f64) -> Self {
        Self {
            serial,
            ready_in,
            running: 0.0,
            waiting: 0.0,
            reading: 0.0,
            finished: 0.0,
            kv_cache: 0.0,
            ttft: Histogram::new(TTFT),
            inter_token: Histogram::new(INTER_TOKEN),
            latency: Histogram::new(REQUEST),
            queued: Histogram::new(REQUEST),
            pending: Pending::default(),
            last: Served::default(),
        }
    }

    /// Whether it takes requests.
    pub fn is_ready(&self) -> bool {
        self.ready_in <= 0.0
    }

    /// One step in which `arriving` requests come in, evenly. The batch is a fluid: requests leave it at `running / stay`, where
    /// the stay grows with the batch and with what is read meanwhile, and others take their places as far as sequences, KV
    /// cache and reading allow.
    fn step(&mut self, s: &FleetSettings, arriving: f64) -> f64 {
        let parts = (STAY_PARTS * STEP / (s.answer * s.token).max(1e-3)).ceil().clamp(1.0, MOST_PARTS);
        let dt = STEP / parts;
        // Answers × seconds, and the tokens that they got: what a token takes is the one over the other.
        let (mut done, mut stayed, mut written) = (0.0, 0.0, 0.0);
        for _ in 0..parts as u32 {
            let tokens = (dt - self.reading) / (s.token + s.token_batch * self.running);
            let ended = self.running * (tokens / s.answer).min(1.0);
            stayed += self.running * dt;
            written += self.running * tokens;
            done += ended;
            self.running -= ended;
            self.waiting += arriving / parts;
            let room = (s.largest_batch() - self.running).max(0.0);
            let admitted = self.waiting.min(room).min(READING_MOST * dt / s.reading());
            self.running += admitted;
            self.waiting -= admitted;
            self.reading = admitted * s.reading();
        }
        let per_token = if written > 0.0 { stayed / written } else { s.token };
        self.finished += done;
        self.kv_cache = (self.running / s.kv_room()).min(1.0);
        let queued = self.waiting / s.capacity();
        // A prompt shares the engine with the tokens of the others.
        let first = queued + s.reading() * (1.0 + self.running / 8.0) + per_token;
        self.last = Served { finished: done, first, per_token };
        let p = &mut self.pending;
        p.finished += done;
        p.queued += done * queued;
        p.first += done * first;
        p.per_token += done * per_token;
        done
    }

    /// Brings the histograms up to date with what happened since the last time.
    fn observe(&mut self, answer: f64) {
        let p = std::mem::take(&mut self.pending);
        if p.finished > 0.0 {
            let (queued, first, per_token) = (p.queued / p.finished, p.first / p.finished, p.per_token / p.finished);
            self.ttft.observe(p.finished, first, TTFT_SPREAD);
            self.queued.observe(p.finished, queued.max(1e-4), 0.9);
            self.inter_token.observe(p.finished * answer, per_token, INTER_TOKEN_SPREAD);
            self.latency.observe(p.finished, first + answer * per_token, 0.5);
        }
    }
}

/// An inference fleet behind a balancer that spreads requests evenly.
#[derive(Clone, Debug)]
pub struct Fleet {
    settings: FleetSettings,
    random: Random,
    replicas: Vec<Replica>,
    /// Requests that came while no replica was ready.
    unrouted: f64,
    next_serial: u64,
    arrived: f64,
    finished: f64,
}

impl Fleet {
    /// A fleet of `replicas` that are ready and idle.
    pub fn new(settings: FleetSettings, replicas: u32, seed: u64) -> Self {
        let random = Random::new(seed);
        let mut fleet =
            Self { settings, random, replicas: Vec::new(), unrouted: 0.0, next_serial: 0, arrived: 0.0, finished: 0.0 };
        fleet.scale(replicas);
        for replica in &mut fleet.replicas {
            replica.ready_in = 0.0;
        }
        fleet
    }

    /// Asks for `n` replicas. Those that leave finish what runs in their batch, and hand what waits back to the balancer.
    pub fn scale(&mut self, n: u32) {
        while self.replicas.len() < n as usize {
            let (mean, sd) = self.settings.start_up;
            let ready_in = (mean + sd * self.random.normal()).max(STEP);
            self.next_serial += 1;
            self.replicas.push(Replica::new(self.next_serial, ready_in));
        }
        for gone in self.replicas.drain(n as usize..) {
            self.unrouted += gone.waiting;
            self.finished += gone.running;
        }
    }

    /// One step at `rate` requests per second. Returns the requests that finished.
    pub fn step(&mut self, rate: f64) -> f64 {
        let arriving = rate.max(0.0) * STEP;
        self.arrived += arriving;
        for replica in &mut self.replicas {
            replica.ready_in = (replica.ready_in - STEP).max(0.0);
        }
        let ready = self.replicas.iter().filter(|r| r.is_ready()).count();
        if ready == 0 {
            self.unrouted += arriving;
            return 0.0;
        }
        // The balancer sends to whoever has least: what waits is level after a step.
        let total = self.unrouted + self.replicas.iter().map(|r| r.waiting).sum::<f64>();
        self.unrouted = 0.0;
        let each = total / ready as f64;
        let mut finished = 0.0;
        for replica in self.replicas.iter_mut().filter(|r| r.is_ready()) {
            replica.waiting = each;
            finished += replica.step(&self.settings, arriving / ready as f64);
        }
        self.finished += finished;
        finished
    }

    /// Brings the replicas' histograms up to date; call it before they are read.
    pub fn observe(&mut self) {
        for replica in &mut self.replicas {
            replica.observe(self.settings.answer);
        }
    }

    /// The replicas, starting ones included, oldest first.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// Replicas that take requests.
    pub fn ready(&self) -> usize {
        self.replicas.iter().filter(|r| r.is_ready()).count()
    }

    /// Requests that wait for a place in a batch or for a replica to go to.
    pub fn backlog(&self) -> f64 {
        self.unrouted + self.replicas.iter().map(|r| r.waiting).sum::<f64>()
    }

    /// Requests in batches.
    pub fn running(&self) -> f64 {
        self.replicas.iter().map(|r| r.running).sum()
    }

    /// The last step, over all replicas that take requests; `None` when none does.
    pub fn served(&self) -> Option<Served> {
        let ready: Vec<&Served> = self.replicas.iter().filter(|r| r.is_ready()).map(|r| &r.last).collect();
        let finished: f64 = ready.iter().map(|s| s.finished).sum();
        // While nobody finishes anything all count alike.
        let even = 1.0 / ready.len() as f64;
        let weight = |s: &Served| if finished > 0.0 { s.finished / finished } else { even };
        let mean = |of: fn(&Served) -> f64| ready.iter().map(|s| weight(s) * of(s)).sum();
        (!ready.is_empty()).then(|| Served { finished, first: mean(|s| s.first), per_token: mean(|s| s.per_token) })
    }

    /// A replica dies with its batch, which goes back to the balancer; another starts in its place.
    pub fn crash(&mut self, index: usize) {
        if index < self.replicas.len() {
            let gone = self.replicas.remove(index);
            self.unrouted += gone.waiting + gone.running;
            let n = u32::try_from(self.replicas.len() + 1).unwrap_or(u32::MAX);
            self.scale(n);
        }
    }

    /// Requests that came so far.
    pub fn arrived(&self) -> f64 {
        self.arrived
    }

    /// Requests that finished so far.
    pub fn finished(&self) -> f64 {
        self.finished
    }

    /// What the fleet is like.
    pub fn settings(&self) -> &FleetSettings {
        &self.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_request_is_somewhere(
            seed: u64, orders in prop::collection::vec((0_u32..9, 0.0..900.0), 1..10),
        ) {
            let mut fleet = Fleet::new(FleetSettings::default(), 3, seed);
            for (n, rate) in orders {
                fleet.scale(n);
                for _ in 0..100 {
                    fleet.step(rate);
                    let known = fleet.finished() + fleet.backlog() + fleet.running();
                    prop_assert!((fleet.arrived() - known).abs() < 1e-6 * (1.0 + known), "{} {known}", fleet.arrived());
                    for r in fleet.replicas() {
                        prop_assert!((0.0..=1.0).contains(&r.kv_cache) && r.running >= 0.0 && r.waiting >= 0.0);
                        prop_assert!(r.running <= fleet.settings().max_batch + 1e-9);
                    }
                }
                fleet.observe();
                for r in fleet.replicas() {
                    let last = r.ttft.buckets().map(|(_, n)| n).fold(0.0, f64::max);
                    prop_assert!(last.is_finite() && last <= r.ttft.count() + 1e-9);
                }
            }
        }
    }

    /// Mean time to first token of what was admitted in the last `seconds` at `rate`.
    fn mean_ttft(fleet: &mut Fleet, rate: f64, seconds: u32) -> f64 {
        let sums = |f: &Fleet| f.replicas().iter().fold((0.0, 0.0), |(s, n), r| (s + r.ttft.sum(), n + r.ttft.count()));
        fleet.observe();
        let before = sums(fleet);
        for _ in 0..seconds {
            fleet.step(rate);
        }
        fleet.observe();
        let after = sums(fleet);
        (after.0 - before.0) / (after.1 - before.1)
    }

    /// Requests per second that one replica finishes of `rate`, and seconds between their tokens.
    fn settled(settings: &FleetSettings, rate: f64) -> (f64, f64) {
        let mut fleet = Fleet::new(settings.clone(), 1, 1);
        let finished = (0..600).map(|_| fleet.step(rate)).skip(300).sum::<f64>() / 300.0;
        (finished, fleet.served().map_or(0.0, |s| s.per_token))
    }

    #[test]
    fn what_is_read_is_not_written_meanwhile() {
        // A full engine finishes as many as it can read and write one after the other.
        let writing: f64 = 24.0 * (0.014 + 64.0 * 0.000_35) / 64.0;
        for (prefill, reading) in [(1e12, 0.0), (64_000.0, 0.005), (16_000.0, 0.02)] {
            let settings = FleetSettings { prefill, kv_tokens: 1e6, ..FleetSettings::default() };
            let (rate, per_token) = settled(&settings, 500.0);
            let expected = 1.0 / (writing + reading);
            assert!((settings.capacity() / expected - 1.0).abs() < 1e-3, "{} {expected}", settings.capacity());
            assert!((rate / expected - 1.0).abs() < 0.02, "{rate} {expected}");
            assert!((per_token * 24.0 * expected / 64.0 - 1.0).abs() < 0.02, "{per_token}");
        }
    }

    #[test]
    fn a_rate_within_an_objective_is_where_its_tokens_come_as_fast() {
        let settings = FleetSettings { kv_tokens: 1e6, ..FleetSettings::default() };
        let (_, per_token) = settled(&settings, settings.capacity_within(0.02));
        assert!((per_token / 0.02 - 1.0).abs() < 0.02, "{per_token}");
    }

    #[test]
    fn latency_climbs_at_saturation_and_falls_when_replicas_are_ready() {
        let mut fleet = Fleet::new(FleetSettings::default(), 3, 1);
        let calm = mean_ttft(&mut fleet, 120.0, 300);
        assert!(calm < 0.2, "{calm}");
        let saturated = mean_ttft(&mut fleet, 260.0, 120);
        assert!(saturated > 1.5, "three replicas finish about 200 a second: {saturated}");
        fleet.scale(5);
        let starting = mean_ttft(&mut fleet, 260.0, 40);
        assert!(starting > saturated, "new replicas load weights first: {starting}");
        mean_ttft(&mut fleet, 260.0, 200);
        assert!(mean_ttft(&mut fleet, 260.0, 60) < 0.3);
    }
}
