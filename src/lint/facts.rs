//! What is known about a workload, and from where: numbers that no manifest holds.

use crate::{
    manifest::{Complaint, Grade, MOST_PARTITIONS},
    model::seconds,
};
use serde_json::Value;
use std::fmt;

/// Where a number comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody said so: `--commit`, `annotation highwater/commit`, `scenario base.toml`.
    Told(String),
    /// Nobody said; the reason for taking it.
    Assumed(String),
}

/// A number with its origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Known<T> {
    /// The number.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
}

impl<T> Known<T> {
    /// A number that somebody told.
    pub fn told(value: T, by: &str) -> Self {
        Self { value, origin: Origin::Told(by.to_owned()) }
    }

    /// A number that is taken for granted.
    pub fn assumed(value: T, why: &str) -> Self {
        Self { value, origin: Origin::Assumed(why.to_owned()) }
    }

    /// Whether somebody told it.
    pub fn is_told(&self) -> bool {
        matches!(self.origin, Origin::Told(_))
    }

    /// `(--commit)` or `(assumed: Kafka's default; --commit tells)`.
    pub fn source(&self) -> String {
        match &self.origin {
            Origin::Told(by) => format!("({by})"),
            Origin::Assumed(why) => format!("(assumed: {why})"),
        }
    }
}

/// How a group hands partitions over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Everybody stops: the classic protocol with range or round-robin.
    Eager,
    /// Only what moves stops: cooperative-sticky.
    Cooperative,
    /// Only what moves stops, and the broker leads: KIP-848.
    Consumer,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eager => "eager",
            Self::Cooperative => "cooperative",
            Self::Consumer => "consumer",
        })
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "eager" => Ok(Self::Eager),
            "cooperative" => Ok(Self::Cooperative),
            "consumer" => Ok(Self::Consumer),
            other => Err(format!("{other:?} is no protocol: eager, cooperative or consumer")),
        }
    }
}

/// What is known about the workload behind an object. Seconds, records per second.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Partitions of what the group reads.
    pub partitions: Option<Known<u32>>,
    /// Records per second: the mean.
    pub rate: Option<Known<f64>>,
    /// Lowest and highest records per second that lasted some minutes.
    pub range: Option<Known<(f64, f64)>>,
    /// Records per second that one consumer can process.
    pub consumer_rate: Option<Known<f64>>,
    /// Seconds between two commits of a consumer.
    pub commit: Known<f64>,
    /// How partitions are handed over.
    pub protocol: Known<Protocol>,
    /// Most seconds behind.
    pub slo: Known<f64>,
    /// The lag target per replica that the arena found cheapest, records.
    pub cheapest_target: Option<f64>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            partitions: None,
            rate: None,
            range: None,
            consumer_rate: None,
            commit: Known::assumed(5.0, "auto.commit.interval.ms's default; --commit tells"),
            protocol: Known::assumed(Protocol::Eager, "the classic consumer's default; --protocol tells"),
            slo: Known::assumed(30.0, "--slo tells"),
            cheapest_target: None,
        }
    }
}

/// Share of what a consumer can do that one plans with.
pub(super) const BUSY: f64 = 0.8;

impl Facts {
    /// Lag that is seen although nothing is behind: on the average half a commit interval of the demand has been
    /// processed and not been committed.
    pub fn visible_floor(&self) -> Option<f64> {
        Some(self.rate.as_ref()?.value * self.commit.value / 2.0)
    }

    /// Consumers that a rate needs.
    pub fn needs(&self, rate: f64) -> Option<u32> {
        let one = self.consumer_rate.as_ref()?.value * BUSY;
        (one > 0.0).then(|| (rate / one).ceil().max(1.0) as u32)
    }

    /// These facts with what the object's annotations tell over them, and what of those tells nothing.
    #[must_use]
    pub fn with_annotations(&self, object: &Value) -> (Self, Vec<Complaint>) {
        let (mut facts, mut wrong) = (self.clone(), Vec::new());
        let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
        for (key, value) in annotations.into_iter().flatten() {
            let Some(name) = key.strip_prefix("highwater/") else { continue };
            let told = match value.as_str() {
                Some(text) => facts.take(name, text.trim()),
                None => Err(format!("annotations are texts: write \"{value}\" in quotes")),
            };
            if let Err(what) = told {
                let pointer =
                    format!("/metadata/annotations/highwater~1{}", name.replace('~', "~0").replace('/', "~1"));
                wrong.push(Complaint {
                    grade: Grade::Unreadable,
                    pointer,
                    what: format!("{key}: {what}"),
                    meant: None,
                });
            }
        }
        (facts, wrong)
    }

    /// Takes what one annotation tells.
    fn take(&mut self, name: &str, text: &str) -> Result<(), String> {
        let by = format!("annotation highwater/{name}");
        let rate = || {
            let rate = text.parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
            rate.map(|n| Known::told(n, &by)).ok_or_else(|| format!("{text:?}: a number above zero belongs here"))
        };
        match name {
            "partitions" => {
                let count = text.parse::<u32>().ok().filter(|n| (1..=MOST_PARTITIONS).contains(n));
                let what = || format!("{text:?}: a count from 1 to {MOST_PARTITIONS} belongs here");
                self.partitions = Some(Known::told(count.ok_or_else(what)?, &by));
            }
            "rate" => self.rate = Some(rate()?),
            "consumer-rate" => self.consumer_rate = Some(rate()?),
            "commit" => self.commit = Known::told(seconds(text)?, &by),
            "slo" => self.slo = Known::told(seconds(text)?, &by),
            "protocol" => self.protocol = Known::told(text.parse()?, &by),
            _ => {
                let names = annotations().map(|(name, _)| name.trim_start_matches("highwater/")).join(", ");
                return Err(format!("nobody reads it: {names} are read"));
            }
        }
        Ok(())
    }
}

/// Annotations that are read, with what they hold.
pub fn annotations() -> [(&'static str, &'static str); 6] {
    [
        ("highwater/partitions", "partitions of what the group reads"),
        ("highwater/rate", "records per second, on the average"),
        ("highwater/consumer-rate", "records per second that one consumer can process"),
        ("highwater/commit", "time between two commits: 5s"),
        ("highwater/protocol", "eager, cooperative or consumer"),
        ("highwater/slo", "most time behind: 30s"),
    ]
}
