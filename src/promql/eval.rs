//! Evaluates PromQL over promql-parser's syntax tree, by Prometheus' own rules (promql/engine.go, v2.42).
//!
//! What is not implemented is an error, never a made-up value.

use super::{
    aggregate, binary, functions,
    store::{Labels, NAME, Storage, Stored},
};
use crate::model::Time;
use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{self, AtModifier, Expr, Offset, VectorSelector, value::ValueType},
};
use std::{collections::HashMap, time::Duration};

/// How far back an instant selector looks, milliseconds.
const LOOKBACK: i64 = 300_000;

/// Why a query has no result.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryError {
    /// 400 `bad_data`: the query is wrong.
    BadData(String),
    /// 422 `execution`: the query has no result over these series, or uses what is not evaluated here.
    Execution(String),
}

pub(super) fn unsupported<T>(what: &str) -> Result<T, QueryError> {
    Err(QueryError::Execution(format!("{what} is not evaluated here")))
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Labels.
    pub labels: Labels,
    /// Value.
    pub value: f64,
}

/// What an expression evaluates to at one instant.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(f64),
    /// A text.
    Text(String),
    /// An instant vector.
    Vector(Vec<Sample>),
}

impl Value {
    pub(super) fn vector(self) -> Result<Vec<Sample>, QueryError> {
        match self {
            Self::Vector(samples) => Ok(samples),
            _ => Err(QueryError::BadData("expected an instant vector".into())),
        }
    }

    pub(super) fn scalar(self) -> Result<f64, QueryError> {
        match self {
            Self::Scalar(v) => Ok(v),
            _ => Err(QueryError::BadData("expected a scalar".into())),
        }
    }

    pub(super) fn text(self) -> Result<String, QueryError> {
        match self {
            Self::Text(s) => Ok(s),
            _ => Err(QueryError::BadData("expected a string".into())),
        }
    }
}

/// The result of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A value.
    Value(Value),
    /// A range selector on its own: raw samples.
    Matrix(Vec<Stored>),
}

/// Evaluates at one instant.
pub fn instant(storage: &dyn Storage, query: &str, at: Time) -> Result<Outcome, QueryError> {
    let expr = parse(query)?;
    let engine = Engine::load(storage, &expr, at, at)?;
    if let Expr::MatrixSelector(m) = &expr {
        let series = engine.range(&m.vs, m.range, at.millis());
        let live = |points: &[(i64, f64)]| points.iter().map(|(t, v)| (*t, Some(*v))).collect();
        let stored =
            series.into_iter().map(|(labels, points)| Stored { labels: labels.clone(), points: live(&points) });
        return Ok(Outcome::Matrix(stored.filter(|s| !s.points.is_empty()).collect()));
    }
    engine.eval(&expr, at.millis()).map(Outcome::Value)
}

/// Evaluates from `from` to `to` in steps (milliseconds); the caller has checked the number of steps.
pub fn range(
    storage: &dyn Storage,
    query: &str,
    (from, to, step): (Time, Time, i64),
) -> Result<Vec<Stored>, QueryError> {
    let expr = parse(query)?;
    let kind = expr.value_type();
    if !matches!(kind, ValueType::Scalar | ValueType::Vector) {
        let text = format!("invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector");
        return Err(QueryError::BadData(format!("invalid parameter \"query\": {text}")));
    }
    let engine = Engine::load(storage, &expr, from, to)?;
    let mut rows: HashMap<Labels, usize> = HashMap::new();
    let mut out: Vec<Stored> = Vec::new();
    let mut t = from.millis();
    while t <= to.millis() {
        let samples = match engine.eval(&expr, t)? {
            Value::Scalar(value) => vec![Sample { labels: Labels::new(), value }],
            Value::Vector(samples) => samples,
            Value::Text(_) => Vec::new(),
        };
        for sample in samples {
            let row = *rows.entry(sample.labels).or_insert_with_key(|labels| {
                out.push(Stored { labels: labels.clone(), points: Vec::new() });
                out.len() - 1
            });
            out[row].points.push((t, Some(sample.value)));
        }
        t += step;
    }
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(out)
}

/// The matchers of a bare selector, as `match[]` has it.
pub fn selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
    match parser::parse(text) {
        Ok(Expr::VectorSelector(vs)) if vs.offset.is_none() && vs.at.is_none() => matchers(&vs),
        Ok(_) => Err(QueryError::BadData("invalid parameter \"match[]\": not a series selector".into())),
        Err(e) => Err(QueryError::BadData(format!("invalid parameter \"match[]\": parse error: {e}"))),
    }
}

fn parse(query: &str) -> Result<Expr, QueryError> {
    parser::parse(query).map_err(|e| QueryError::BadData(format!("invalid parameter \"query\": parse error: {e}")))
}

fn matchers(vs: &VectorSelector) -> Result<Vec<Matcher>, QueryError> {
    if !vs.matchers.or_matchers.is_empty() {
        return unsupported("`or` between matchers");
    }
    let name = vs.name.as_ref().map(|name| Matcher::new(MatchOp::Equal, NAME, name));
    Ok(name.into_iter().chain(vs.matchers.matchers.iter().cloned()).collect())
}

/// Labels and live points of a series in a window.
pub(super) type Window<'s> = (&'s Labels, Vec<(i64, f64)>);

/// An expression's data, selected once for all steps.
pub(super) struct Engine {
    /// By the address of the selector in the tree, which lives as long as the evaluation.
    selected: HashMap<usize, Vec<Stored>>,
    start: i64,
    end: i64,
}

impl Engine {
    fn load(storage: &dyn Storage, expr: &Expr, from: Time, to: Time) -> Result<Self, QueryError> {
        let mut engine = Self { selected: HashMap::new(), start: from.millis(), end: to.millis() };
        engine.select_all(storage, expr)?;
        Ok(engine)
    }

    fn select_all(&mut self, storage: &dyn Storage, expr: &Expr) -> Result<(), QueryError> {
        match expr {
            Expr::VectorSelector(vs) => self.select(storage, vs, LOOKBACK),
            Expr::MatrixSelector(m) => self.select(storage, &m.vs, millis(m.range)),
            Expr::Aggregate(e) => {
                if let Some(param) = &e.param {
                    self.select_all(storage, param)?;
                }
                self.select_all(storage, &e.expr)
            }
            Expr::Unary(e) => self.select_all(storage, &e.expr),
            Expr::Paren(e) => self.select_all(storage, &e.expr),
            Expr::Binary(e) => {
                self.select_all(storage, &e.lhs)?;
                self.select_all(storage, &e.rhs)
            }
            Expr::Call(call) => call.args.args.iter().try_for_each(|arg| self.select_all(storage, arg)),
            Expr::Subquery(_) => unsupported("a subquery"),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Ok(()),
        }
    }

    fn select(&mut self, storage: &dyn Storage, vs: &VectorSelector, back: i64) -> Result<(), QueryError> {
        let (first, last) = (self.moved(vs, self.start), self.moved(vs, self.end));
        let (from, to) = (Time::from_millis(first - back), Time::from_millis(last));
        self.selected.insert(address(vs), storage.select(&matchers(vs)?, from, to));
        Ok(())
    }

    /// `t` after `@` and `offset`.
    fn moved(&self, vs: &VectorSelector, t: i64) -> i64 {
        let t = match &vs.at {
            None => t,
            Some(AtModifier::Start) => self.start,
            Some(AtModifier::End) => self.end,
            Some(AtModifier::At(at)) => at.duration_since(std::time::UNIX_EPOCH).map_or(0, millis),
        };
        match &vs.offset {
            None => t,
            Some(Offset::Pos(d)) => t - millis(*d),
            Some(Offset::Neg(d)) => t + millis(*d),
        }
    }

    fn series(&self, vs: &VectorSelector) -> &[Stored] {
        self.selected.get(&address(vs)).map_or(&[], Vec::as_slice)
    }

    /// The newest live points of an instant selector: `(t − 5 min, t]`, ended by a stale marker.
    pub(super) fn newest(&self, vs: &VectorSelector, t: i64) -> impl Iterator<Item = (&Labels, i64, f64)> {
        let t = self.moved(vs, t);
        self.series(vs).iter().filter_map(move |s| {
            let end = s.points.partition_point(|(at, _)| *at <= t);
            let (at, value) = *s.points.get(end.checked_sub(1)?)?;
            (at > t - LOOKBACK).then_some((&s.labels, at, value?))
        })
    }

    /// The points of a range selector: `[t − range, t]`, stale markers left out.
    pub(super) fn range(&self, vs: &VectorSelector, range: Duration, t: i64) -> Vec<Window<'_>> {
        let t = self.moved(vs, t);
        let from = t - millis(range);
        self.series(vs)
            .iter()
            .map(|s| {
                let begin = s.points.partition_point(|(at, _)| *at < from);
                let end = s.points.partition_point(|(at, _)| *at <= t);
                let points = s.points.get(begin..end).unwrap_or_default();
                (&s.labels, points.iter().filter_map(|(at, v)| Some((*at, (*v)?))).collect())
            })
            .collect()
    }

    /// The instant that a range selector's window ends at.
    pub(super) fn window_end(&self, vs: &VectorSelector, t: i64) -> i64 {
        self.moved(vs, t)
    }

    pub(super) fn eval(&self, expr: &Expr, t: i64) -> Result<Value, QueryError> {
        match expr {
            Expr::NumberLiteral(n) => Ok(Value::Scalar(n.val)),
            Expr::StringLiteral(s) => Ok(Value::Text(s.val.clone())),
            Expr::Paren(e) => self.eval(&e.expr, t),
            Expr::VectorSelector(vs) => {
                let sample = |(labels, _, value): (&Labels, i64, f64)| Sample { labels: labels.clone(), value };
                Ok(Value::Vector(self.newest(vs, t).map(sample).collect()))
            }
            Expr::Unary(e) => match self.eval(&e.expr, t)? {
                Value::Scalar(v) => Ok(Value::Scalar(-v)),
                value => {
                    let samples = value.vector()?.into_iter();
                    Ok(Value::Vector(samples.map(|s| Sample { value: -s.value, labels: nameless(s.labels) }).collect()))
                }
            },
            Expr::Binary(e) => binary::eval(self, e, t),
            Expr::Aggregate(e) => aggregate::eval(self, e, t),
            Expr::Call(call) => unique(functions::eval(self, call, t)?),
            Expr::MatrixSelector(_) => Err(QueryError::BadData("a range vector has no value on its own".into())),
            Expr::Subquery(_) => unsupported("a subquery"),
            Expr::Extension(_) => unsupported("an extension"),
        }
    }
}

/// Two elements with the same labels are an error, as they are in Prometheus.
fn unique(value: Value) -> Result<Value, QueryError> {
    if let Value::Vector(samples) = &value {
        let mut seen = std::collections::HashSet::with_capacity(samples.len());
        if !samples.iter().all(|s| seen.insert(&s.labels)) {
            return Err(QueryError::Execution("vector cannot contain metrics with the same labelset".into()));
        }
    }
    Ok(value)
}

/// The labels without the metric's name.
pub(super) fn nameless(mut labels: Labels) -> Labels {
    labels.remove(NAME);
    labels
}

fn address(vs: &VectorSelector) -> usize {
    std::ptr::from_ref(vs) as usize
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX / 4)
}
