//! Operators between scalars and vectors: arithmetic, comparison, `and`, `or`, `unless`, and how vectors are matched.

use super::{
    eval::{Engine, QueryError, Sample, Value, nameless, unsupported},
    store::{Labels, NAME},
};
use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality as Card};
use std::collections::{HashMap, HashSet};

pub(super) fn eval(engine: &Engine, e: &BinaryExpr, t: i64) -> Result<Value, QueryError> {
    let (left, right) = (engine.eval(&e.lhs, t)?, engine.eval(&e.rhs, t)?);
    let name = e.op.to_string();
    let op = Op::new(&name, e.modifier.as_ref().is_some_and(|m| m.return_bool));
    match (left, right) {
        (Value::Scalar(a), Value::Scalar(b)) => Ok(Value::Scalar(op.number(a, b)?)),
        (Value::Vector(samples), Value::Scalar(b)) => with_scalar(&op, samples, |a| (a, b)),
        (Value::Scalar(a), Value::Vector(samples)) => with_scalar(&op, samples, |b| (a, b)),
        (left, right) => {
            let default = BinModifier::default();
            let modifier = e.modifier.as_ref().unwrap_or(&default);
            if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
                return unsupported("fill");
            }
            let (left, right) = (left.vector()?, right.vector()?);
            match op.name {
                "and" | "or" | "unless" => Ok(Value::Vector(set(op.name, left, right, modifier))),
                _ => vectors(&op, left, right, modifier),
            }
        }
    }
}

/// An operator, and whether a comparison gives 0 or 1 instead of filtering.
struct Op<'n> {
    name: &'n str,
    bool: bool,
}

impl<'n> Op<'n> {
    fn new(name: &'n str, bool: bool) -> Self {
        Self { name, bool }
    }

    fn compare(&self, a: f64, b: f64) -> Option<bool> {
        #[allow(clippy::float_cmp)] // PromQL's == is exact
        Some(match self.name {
            "==" => a == b,
            "!=" => a != b,
            ">" => a > b,
            "<" => a < b,
            ">=" => a >= b,
            "<=" => a <= b,
            _ => return None,
        })
    }

    /// The value; for a comparison 0 or 1.
    fn number(&self, a: f64, b: f64) -> Result<f64, QueryError> {
        Ok(match self.name {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "%" => a % b,
            "^" => a.powf(b),
            "atan2" => a.atan2(b),
            name => match self.compare(a, b) {
                Some(true) => 1.0,
                Some(false) => 0.0,
                None => return unsupported(&format!("the operator {name}")),
            },
        })
    }

    /// What stands in the result for `a` op `b`; a filtering comparison keeps `kept` or nothing.
    fn element(&self, a: f64, b: f64, kept: f64) -> Result<Option<f64>, QueryError> {
        match self.compare(a, b) {
            Some(holds) if !self.bool => Ok(holds.then_some(kept)),
            _ => self.number(a, b).map(Some),
        }
    }

    /// Whether the metric's name means nothing any more.
    fn drops_name(&self) -> bool {
        self.bool || self.compare(0.0, 0.0).is_none()
    }
}

fn with_scalar(op: &Op<'_>, samples: Vec<Sample>, pair: impl Fn(f64) -> (f64, f64)) -> Result<Value, QueryError> {
    let mut out = Vec::with_capacity(samples.len());
    for sample in samples {
        let (a, b) = pair(sample.value);
        if let Some(value) = op.element(a, b, sample.value)? {
            let labels = if op.drops_name() { nameless(sample.labels) } else { sample.labels };
            out.push(Sample { labels, value });
        }
    }
    Ok(Value::Vector(out))
}

/// The labels that two elements must agree on.
fn signature(labels: &Labels, modifier: &BinModifier) -> Labels {
    let mut key = nameless(labels.clone());
    match &modifier.matching {
        Some(LabelModifier::Include(on)) => {
            key = labels.iter().filter(|(n, _)| on.labels.contains(n)).map(|(n, v)| (n.clone(), v.clone())).collect();
        }
        Some(LabelModifier::Exclude(ignoring)) => key.retain(|name, _| !ignoring.labels.contains(name)),
        None => {}
    }
    key.retain(|_, value| !value.is_empty());
    key
}

fn set(name: &str, left: Vec<Sample>, right: Vec<Sample>, modifier: &BinModifier) -> Vec<Sample> {
    let keys =
        |samples: &[Sample]| -> HashSet<Labels> { samples.iter().map(|s| signature(&s.labels, modifier)).collect() };
    if name == "or" {
        let there = keys(&left);
        let more = right.into_iter().filter(|s| !there.contains(&signature(&s.labels, modifier)));
        return left.into_iter().chain(more).collect();
    }
    let there = keys(&right);
    left.into_iter().filter(|s| there.contains(&signature(&s.labels, modifier)) == (name == "and")).collect()
}

fn vectors(op: &Op<'_>, left: Vec<Sample>, right: Vec<Sample>, modifier: &BinModifier) -> Result<Value, QueryError> {
    let swapped = matches!(modifier.card, Card::OneToMany(_));
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let side = if swapped { "left" } else { "right" };
    let mut ones: HashMap<Labels, &Sample> = HashMap::new();
    for sample in &one {
        let key = signature(&sample.labels, modifier);
        if let Some(other) = ones.insert(key.clone(), sample) {
            return Err(QueryError::Execution(format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                show(&key),
                show(&sample.labels),
                show(&other.labels),
            )));
        }
    }
    let mut matched: HashSet<Labels> = HashSet::new();
    let mut out: Vec<Sample> = Vec::new();
    for sample in &many {
        let key = signature(&sample.labels, modifier);
        let Some(other) = ones.get(&key) else { continue };
        let (a, b) = if swapped { (other.value, sample.value) } else { (sample.value, other.value) };
        let Some(value) = op.element(a, b, a)? else { continue };
        let labels = result_labels(op, sample, other, modifier);
        let taken = if modifier.card == Card::OneToOne { key } else { labels.clone() };
        if !matched.insert(taken) {
            return Err(QueryError::Execution(match modifier.card {
                Card::OneToOne => {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".into()
                }
                _ => "multiple matches for labels: grouping labels must ensure unique matches".to_owned(),
            }));
        }
        out.push(Sample { labels, value });
    }
    Ok(Value::Vector(out))
}

fn result_labels(op: &Op<'_>, many: &Sample, one: &Sample, modifier: &BinModifier) -> Labels {
    let mut labels = many.labels.clone();
    if op.drops_name() {
        labels.remove(NAME);
    }
    match (&modifier.card, &modifier.matching) {
        (Card::ManyToOne(extra) | Card::OneToMany(extra), _) => {
            for name in &extra.labels {
                match one.labels.get(name).filter(|v| !v.is_empty()) {
                    Some(value) => labels.insert(name.clone(), value.clone()),
                    None => labels.remove(name),
                };
            }
        }
        (_, Some(LabelModifier::Include(on))) => labels.retain(|name, _| on.labels.contains(name)),
        (_, Some(LabelModifier::Exclude(ignoring))) => labels.retain(|name, _| !ignoring.labels.contains(name)),
        (_, None) => {}
    }
    labels
}

fn show(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
