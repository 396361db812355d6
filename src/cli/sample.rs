//! `highwater sample`: one record, by topic, partition and offset. Nothing else reads records.

use super::{
    Failure, Outcome,
    args::{Common, ListFormat},
    common, print,
};
use crate::source::kafka::{Record, Shown, sample};
use clap::Args;
use serde_json::json;
use std::fmt::Write;

/// `sample`.
#[derive(Debug, Args)]
pub struct Sample {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset [default: the newest record].
    #[arg(long, value_name = "N")]
    pub offset: Option<i64>,
    /// The cluster, as in `[kafka.NAME]` [default: the first].
    #[arg(long, value_name = "NAME")]
    pub cluster: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

pub(super) fn run(common: &Common, args: &Sample) -> Outcome {
    common::log(common, None)?;
    let config = common::config_with_sources(common)?;
    let named = |k: &&crate::model::KafkaSettings| args.cluster.as_ref().is_none_or(|name| k.name == **name);
    let settings = config.kafka.iter().find(named).ok_or_else(|| {
        Failure::usage(match &args.cluster {
            Some(name) => format!("no section [kafka.{name}] in the configuration"),
            None => "no Kafka cluster: give --kafka HOST:PORT or a configuration with [kafka.NAME]".to_owned(),
        })
    })?;
    let asked = sample(settings, &args.topic, args.partition, args.offset);
    let record = common::runtime()?.block_on(asked).map_err(Failure::failed)?;
    print(&match args.format {
        ListFormat::Json => format!("{:#}\n", json!({ "version": 1, "record": record })),
        ListFormat::Table => table(&record),
    })
}

fn table(r: &Record) -> String {
    let at = r.at.map_or("no timestamp".to_owned(), |t| t.to_string());
    let mut out = format!("{}/{} offset {}, {at}\n", r.topic, r.partition, r.offset);
    for (name, value) in &r.headers {
        let _ = writeln!(out, "header {name} {}", shown(value.as_ref(), "no value"));
    }
    let _ = writeln!(out, "key {}", shown(r.key.as_ref(), "none"));
    let _ = writeln!(out, "value {}", shown(r.value.as_ref(), "none (a tombstone)"));
    out
}

fn shown(value: Option<&Shown>, none: &str) -> String {
    match value {
        None => none.to_owned(),
        Some(s) => format!("({}, {} bytes): {}", s.kind, s.bytes, s.text),
    }
}
