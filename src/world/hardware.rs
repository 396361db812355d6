//! The machines of the world: Kafka brokers and the GPUs of two hosts.

use crate::{model::Time, simulate::Random};

/// Seconds after a broker froze until the controller fences it: leaders move, ISRs shrink (measured on Kafka 4.3 with
/// default settings: the survivors report a full ISR at first and leaderless partitions after about twelve seconds).
const FENCED_AFTER: f64 = 10.0;
/// Seconds after a broker came back until its replicas have caught up.
const CAUGHT_UP_AFTER: f64 = 20.0;

/// One broker.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    pub(super) id: i32,
    pub(super) rack: &'static str,
    /// When it stopped answering, and when it answered again.
    pub(super) frozen: Option<Time>,
    pub(super) back: Option<Time>,
    /// Counters, all topics together.
    pub(super) cpu: f64,
    pub(super) bytes_in: f64,
    pub(super) bytes_out: f64,
    pub(super) messages: f64,
    /// The same per topic: bytes in, bytes out, messages in.
    pub(super) topics: Vec<[f64; 3]>,
    /// Cores in use, and bytes of heap in use.
    pub(super) load: f64,
    pub(super) heap: f64,
}

impl Broker {
    pub(super) fn new(id: i32, rack: &'static str, random: &mut Random) -> Self {
        Self {
            id,
            rack,
            frozen: None,
            back: None,
            cpu: random.between(80_000.0, 90_000.0),
            bytes_in: 0.0,
            bytes_out: 0.0,
            messages: 0.0,
            topics: Vec::new(),
            load: 0.4,
            heap: random.between(1.4e9, 2.4e9),
        }
    }

    /// Whether it answers requests.
    pub(super) fn answers(&self) -> bool {
        self.frozen.is_none()
    }

    /// Whether the controller still thinks that it is there.
    pub(super) fn is_registered(&self, now: Time) -> bool {
        self.frozen.is_none_or(|since| now.since(since) < FENCED_AFTER)
    }

    /// Whether its replicas are in sync.
    pub(super) fn is_in_sync(&self, now: Time) -> bool {
        self.is_registered(now) && self.back.is_none_or(|back| now.since(back) >= CAUGHT_UP_AFTER)
    }

    /// What came and went in `seconds`, per topic: bytes in, bytes out, messages in.
    pub(super) fn step(&mut self, traffic: &[[f64; 3]], seconds: f64, random: &mut Random) {
        if !self.answers() {
            return;
        }
        self.topics.resize(traffic.len(), [0.0; 3]);
        let (mut bytes_in, mut bytes_out) = (0.0, 0.0);
        for (sum, add) in self.topics.iter_mut().zip(traffic) {
            for (s, a) in sum.iter_mut().zip(add) {
                *s += a;
            }
            bytes_in += add[0];
            bytes_out += add[1];
            self.messages += add[2];
        }
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
        self.load = (0.15 + (bytes_in * 3.0 + bytes_out) / seconds / 40e6) * random.between(0.92, 1.08);
        self.cpu += self.load * seconds;
        // A young collection every so often takes the heap back to what lives.
        self.heap += bytes_in * 0.9;
        if self.heap > 3.0e9 {
            self.heap = random.between(1.1e9, 1.5e9);
        }
    }
}

/// Who holds a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A replica of the inference fleet with this index.
    Replica { fleet: usize, serial: u64 },
    /// A training job.
    Job { serial: u64 },
}

/// One GPU: an H100 of 80 GB.
#[derive(Clone, Debug)]
pub(super) struct Gpu {
    pub(super) host: &'static str,
    pub(super) index: u32,
    pub(super) uuid: String,
    pub(super) holder: Option<Holder>,
    /// Busy, 0–1.
    pub(super) busy: f64,
    /// °C.
    pub(super) temperature: f64,
    /// Millijoules since boot.
    pub(super) energy: f64,
    /// Last XID error code; 0: none.
    pub(super) xid: f64,
}

impl Gpu {
    /// MiB of memory in all, and reserved by the driver.
    pub(super) const MEMORY: f64 = 81_559.0;
    pub(super) const RESERVED: f64 = 520.0;

    pub(super) fn new(host: &'static str, index: u32, random: &mut Random) -> Self {
        let id = random.bits();
        let uuid = format!("GPU-{:08x}-{:04x}-4a36-9a31-{:012x}", id >> 32, id & 0xffff, random.bits() >> 16);
        Self { host, index, uuid, holder: None, busy: 0.0, temperature: 34.0, energy: 0.0, xid: 0.0 }
    }

    /// One second at `busy` (0–1).
    pub(super) fn step(&mut self, busy: f64) {
        self.busy = busy;
        self.energy += self.power() * 1000.0;
        let settles_at = 31.0 + 44.0 * self.power() / 700.0;
        self.temperature += (settles_at - self.temperature) * 0.02;
    }

    /// Watts.
    pub(super) fn power(&self) -> f64 {
        let idle = if self.holder.is_some() { 112.0 } else { 70.0 };
        idle + 560.0 * self.busy
    }

    /// MiB in use: an engine reserves its KV cache at start, a training job holds weights and optimiser state.
    pub(super) fn memory_used(&self) -> f64 {
        match self.holder {
            Some(Holder::Replica { .. }) => 0.9 * Self::MEMORY,
            Some(Holder::Job { serial }) => (0.62 + 0.05 * (serial % 4) as f64) * Self::MEMORY,
            None => 4.0,
        }
    }
}
