//! `sum by (…) (…)` and its kin.

use super::{
    eval::{Engine, QueryError, Sample, Value, nameless, unsupported},
    functions::quantile,
    store::Labels,
};
use promql_parser::parser::{AggregateExpr, LabelModifier};
use std::collections::BTreeMap;

pub(super) fn eval(engine: &Engine, e: &AggregateExpr, t: i64) -> Result<Value, QueryError> {
    let op = e.op.to_string();
    if !OPS.contains(&op.as_str()) {
        return unsupported(&format!("the aggregation {op}"));
    }
    let param = e.param.as_ref().map(|param| engine.eval(param, t)?.scalar()).transpose()?;
    let samples = engine.eval(&e.expr, t)?.vector()?;
    let mut groups: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
    for sample in samples {
        groups.entry(group(&sample.labels, e.modifier.as_ref())).or_default().push(sample);
    }
    let mut out = Vec::with_capacity(groups.len());
    for (labels, members) in groups {
        match op.as_str() {
            "topk" | "bottomk" => out.extend(extreme(members, param.unwrap_or(0.0), op == "topk")),
            _ => out.push(Sample { labels, value: fold(&op, &members, param)? }),
        }
    }
    Ok(Value::Vector(out))
}

const OPS: [&str; 11] =
    ["sum", "avg", "count", "group", "min", "max", "stdvar", "stddev", "quantile", "topk", "bottomk"];

fn group(labels: &Labels, modifier: Option<&LabelModifier>) -> Labels {
    match modifier {
        None => Labels::new(),
        Some(LabelModifier::Include(by)) => {
            let kept = by.labels.iter().filter_map(|name| Some((name.clone(), labels.get(name)?.clone())));
            kept.filter(|(_, value)| !value.is_empty()).collect()
        }
        Some(LabelModifier::Exclude(without)) => {
            let mut kept = nameless(labels.clone());
            kept.retain(|name, _| !without.labels.contains(name));
            kept
        }
    }
}

/// The k largest or smallest of a group, with their own labels; NaN loses against everything.
fn extreme(mut members: Vec<Sample>, k: f64, largest: bool) -> Vec<Sample> {
    let rank = |s: &Sample| match (s.value.is_nan(), largest) {
        (true, _) => f64::INFINITY,
        (false, true) => -s.value,
        (false, false) => s.value,
    };
    members.sort_by(|a, b| a.value.is_nan().cmp(&b.value.is_nan()).then(rank(a).total_cmp(&rank(b))));
    members.truncate(k.max(0.0) as usize);
    members
}

fn fold(op: &str, members: &[Sample], param: Option<f64>) -> Result<f64, QueryError> {
    let values = || members.iter().map(|s| s.value);
    let count = members.len() as f64;
    let mean = || values().sum::<f64>() / count;
    let variance = || {
        let mean = mean();
        values().map(|v| (v - mean).powi(2)).sum::<f64>() / count
    };
    Ok(match op {
        "sum" => values().sum(),
        "avg" => mean(),
        "count" => count,
        "group" => 1.0,
        "min" => values().fold(f64::NAN, f64::min),
        "max" => values().fold(f64::NAN, f64::max),
        "stdvar" => variance(),
        "stddev" => variance().sqrt(),
        "quantile" => quantile(param.unwrap_or(f64::NAN), values().collect()),
        _ => return unsupported(&format!("the aggregation {op}")),
    })
}
