//! Functions over range and instant vectors, by Prometheus' own rules (promql/functions.go and quantile.go, v2.42).

use super::{
    eval::{Engine, QueryError, Sample, Value, nameless, unsupported},
    store::Labels,
};
use promql_parser::parser::{Call, Expr, MatrixSelector};
use regex::Regex;
use std::collections::BTreeMap;

pub(super) fn eval(engine: &Engine, call: &Call, t: i64) -> Result<Value, QueryError> {
    let name = call.func.name;
    let args = &call.args.args;
    let arg = |i: usize| match args.get(i) {
        Some(arg) => engine.eval(arg, t),
        None => Err(QueryError::BadData(format!("expected more arguments in call to \"{name}\""))),
    };
    let matrix = args.iter().find_map(|a| match unwrapped(a) {
        Expr::MatrixSelector(m) => Some(m),
        _ => None,
    });
    if let Some(matrix) = matrix {
        let number = args.iter().find(|a| !matches!(unwrapped(a), Expr::MatrixSelector(_)));
        let number = number.map(|a| engine.eval(a, t)?.scalar()).transpose()?;
        return over_range(engine, name, matrix, number, t);
    }
    match name {
        "time" => Ok(Value::Scalar(t as f64 / 1000.0)),
        "pi" => Ok(Value::Scalar(std::f64::consts::PI)),
        "vector" => Ok(Value::Vector(vec![Sample { labels: Labels::new(), value: arg(0)?.scalar()? }])),
        "scalar" => {
            let samples = arg(0)?.vector()?;
            Ok(Value::Scalar(if let [one] = samples.as_slice() { one.value } else { f64::NAN }))
        }
        "timestamp" => timestamps(engine, args.first().map(|a| unwrapped(a)), t),
        "absent" => {
            let none = arg(0)?.vector()?.is_empty();
            Ok(Value::Vector(if none { vec![Sample { labels: Labels::new(), value: 1.0 }] } else { Vec::new() }))
        }
        "histogram_quantile" => Ok(Value::Vector(histogram_quantile(arg(0)?.scalar()?, arg(1)?.vector()?))),
        "label_replace" => {
            let texts = [arg(1)?.text()?, arg(2)?.text()?, arg(3)?.text()?, arg(4)?.text()?];
            label_replace(arg(0)?.vector()?, &texts)
        }
        "sort" | "sort_desc" => {
            let mut samples = arg(0)?.vector()?;
            samples.sort_by(|a, b| a.value.total_cmp(&b.value));
            if name == "sort_desc" {
                samples.reverse();
            }
            Ok(Value::Vector(samples))
        }
        "clamp" | "clamp_min" | "clamp_max" => {
            let (samples, a) = (arg(0)?.vector()?, arg(1)?.scalar()?);
            let (low, high) = match name {
                "clamp" => (a, arg(2)?.scalar()?),
                "clamp_min" => (a, f64::INFINITY),
                _ => (f64::NEG_INFINITY, a),
            };
            Ok(Value::Vector(if low > high {
                Vec::new()
            } else {
                map(samples, |v| if v.is_nan() { v } else { v.max(low).min(high) })
            }))
        }
        "round" => {
            let samples = arg(0)?.vector()?;
            let nearest = if args.len() > 1 { arg(1)?.scalar()? } else { 1.0 };
            Ok(Value::Vector(map(samples, |v| (v / nearest + 0.5).floor() * nearest)))
        }
        _ => match plain(name) {
            Some(f) => Ok(Value::Vector(map(arg(0)?.vector()?, f))),
            None => unsupported(&format!("the function {name}()")),
        },
    }
}

/// Functions over a range vector.
const OVER_RANGE: [&str; 20] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "predict_linear",
    "changes",
    "resets",
    "absent_over_time",
    "sum_over_time",
    "avg_over_time",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "last_over_time",
    "present_over_time",
    "stdvar_over_time",
    "stddev_over_time",
    "quantile_over_time",
];

fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(e) => unwrapped(&e.expr),
        other => other,
    }
}

/// Functions of one number.
fn plain(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "ceil" => f64::ceil,
        "floor" => f64::floor,
        "exp" => f64::exp,
        "ln" => f64::ln,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "sqrt" => f64::sqrt,
        "sgn" => |v| if v == 0.0 || v.is_nan() { v } else { v.signum() },
        _ => return None,
    })
}

fn map(samples: Vec<Sample>, f: impl Fn(f64) -> f64) -> Vec<Sample> {
    samples.into_iter().map(|s| Sample { value: f(s.value), labels: nameless(s.labels) }).collect()
}

fn timestamps(engine: &Engine, arg: Option<&Expr>, t: i64) -> Result<Value, QueryError> {
    match arg {
        Some(Expr::VectorSelector(vs)) => {
            let sample = |(labels, at, _): (&Labels, i64, f64)| Sample {
                labels: nameless(labels.clone()),
                value: at as f64 / 1000.0,
            };
            Ok(Value::Vector(engine.newest(vs, t).map(sample).collect()))
        }
        Some(other) => Ok(Value::Vector(map(engine.eval(other, t)?.vector()?, |_| t as f64 / 1000.0))),
        None => Err(QueryError::BadData("expected 1 argument in call to \"timestamp\"".into())),
    }
}

fn over_range(
    engine: &Engine,
    name: &str,
    matrix: &MatrixSelector,
    number: Option<f64>,
    t: i64,
) -> Result<Value, QueryError> {
    if !OVER_RANGE.contains(&name) {
        return unsupported(&format!("the function {name}()"));
    }
    let end = engine.window_end(&matrix.vs, t);
    let span = matrix.range.as_secs_f64();
    let windows = engine.range(&matrix.vs, matrix.range, t);
    if name == "absent_over_time" {
        let none = windows.iter().all(|(_, points)| points.is_empty());
        return Ok(Value::Vector(if none { vec![Sample { labels: Labels::new(), value: 1.0 }] } else { Vec::new() }));
    }
    let mut out = Vec::with_capacity(windows.len());
    for (labels, points) in windows.into_iter().filter(|(_, points)| !points.is_empty()) {
        let values = || points.iter().map(|(_, v)| *v);
        let count = points.len() as f64;
        let mean = || values().sum::<f64>() / count;
        let value = match name {
            "rate" => extrapolated(&points, end, span, true).map(|v| v / span),
            "increase" => extrapolated(&points, end, span, true),
            "delta" => extrapolated(&points, end, span, false),
            "irate" | "idelta" => last_step(&points, name == "irate"),
            "deriv" => regression(&points, points[0].0).map(|(slope, _)| slope),
            "predict_linear" => {
                regression(&points, end).map(|(slope, at_end)| at_end + slope * number.unwrap_or(f64::NAN))
            }
            "changes" => Some(
                pairs(&points)
                    .filter(|(a, b)| {
                        a.partial_cmp(b).is_some_and(std::cmp::Ordering::is_ne) || a.is_nan() != b.is_nan()
                    })
                    .count() as f64,
            ),
            "resets" => Some(pairs(&points).filter(|(a, b)| b < a).count() as f64),
            "sum_over_time" => Some(values().sum()),
            "avg_over_time" => Some(mean()),
            "count_over_time" => Some(count),
            "min_over_time" => Some(values().fold(f64::NAN, f64::min)),
            "max_over_time" => Some(values().fold(f64::NAN, f64::max)),
            "last_over_time" => values().next_back(),
            "present_over_time" => Some(1.0),
            "stdvar_over_time" | "stddev_over_time" => {
                let mean = mean();
                let variance = values().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
                Some(if name == "stdvar_over_time" { variance } else { variance.sqrt() })
            }
            "quantile_over_time" => Some(quantile(number.unwrap_or(f64::NAN), values().collect())),
            _ => return unsupported(&format!("the function {name}()")),
        };
        let labels = if name == "last_over_time" { labels.clone() } else { nameless(labels.clone()) };
        out.extend(value.map(|value| Sample { labels, value }));
    }
    Ok(Value::Vector(out))
}

fn pairs(points: &[(i64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    points.windows(2).map(|w| (w[0].1, w[1].1))
}

/// `extrapolatedRate`: the increase seen, stretched to the window's edges where the series seems to go on to them.
fn extrapolated(points: &[(i64, f64)], end: i64, span: f64, counter: bool) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let resets: f64 = if counter { pairs(points).filter(|(a, b)| b < a).map(|(a, _)| a).sum() } else { 0.0 };
    let increase = last.1 - first.1 + resets;
    let seen = (last.0 - first.0) as f64 / 1000.0;
    let between = seen / (points.len() - 1) as f64;
    let mut before = span - (end - first.0) as f64 / 1000.0;
    let after = (end - last.0) as f64 / 1000.0;
    if counter && increase > 0.0 && first.1 >= 0.0 {
        before = before.min(seen * (first.1 / increase)); // a counter does not come from below zero
    }
    let stretch = |gap: f64| if gap < between * 1.1 { gap } else { between / 2.0 };
    Some(increase * (seen + stretch(before) + stretch(after)) / seen)
}

fn last_step(points: &[(i64, f64)], per_second: bool) -> Option<f64> {
    let [.., a, b] = points else { return None };
    let step = if per_second && b.1 < a.1 { b.1 } else { b.1 - a.1 };
    let seconds = (b.0 - a.0) as f64 / 1000.0;
    Some(if per_second { step / seconds } else { step })
}

/// Slope per second and value at `origin` of the least squares line.
fn regression(points: &[(i64, f64)], origin: i64) -> Option<(f64, f64)> {
    if points.len() < 2 {
        return None;
    }
    let n = points.len() as f64;
    let x = |t: i64| (t - origin) as f64 / 1000.0;
    let (mut sx, mut sy, mut sxy, mut sxx) = (0.0, 0.0, 0.0, 0.0);
    for (t, y) in points {
        let x = x(*t);
        sx += x;
        sy += y;
        sxy += x * y;
        sxx += x * x;
    }
    let slope = (sxy - sx * sy / n) / (sxx - sx * sx / n);
    Some((slope, sy / n - slope * sx / n))
}

/// The φ-quantile, interpolated linearly between the two nearest values.
pub(super) fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    values.sort_by(f64::total_cmp);
    let rank = q * (values.len() - 1) as f64;
    let (low, high) = (rank.floor() as usize, rank.ceil() as usize);
    let weight = rank - rank.floor();
    values[low] * (1.0 - weight) + values[high] * weight
}

fn histogram_quantile(q: f64, samples: Vec<Sample>) -> Vec<Sample> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for sample in samples {
        let Some(bound) = sample.labels.get("le").and_then(|le| le.parse().ok()) else { continue };
        let mut labels = nameless(sample.labels);
        labels.remove("le");
        histograms.entry(labels).or_default().push((bound, sample.value));
    }
    let quantile = |(labels, buckets)| Sample { labels, value: bucket_quantile(q, buckets) };
    histograms.into_iter().map(quantile).collect()
}

/// Interpolates inside the bucket that holds the quantile.
fn bucket_quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // The same bound written twice (`1`, `1.0`) is one bucket; counts that fall are rounding or a race.
    buckets.dedup_by(|later, kept| {
        later.0.total_cmp(&kept.0).is_eq() && {
            kept.1 += later.1;
            true
        }
    });
    let mut most = f64::NEG_INFINITY;
    for bucket in &mut buckets {
        most = most.max(bucket.1);
        bucket.1 = most;
    }
    let [.., before, (top, all)] = buckets.as_slice() else { return f64::NAN };
    if *top != f64::INFINITY || *all == 0.0 || all.is_nan() {
        return f64::NAN;
    }
    let rank = q * all;
    let at = buckets[..buckets.len() - 1].partition_point(|(_, count)| *count < rank);
    if at == buckets.len() - 1 {
        return before.0;
    }
    let (end, count) = buckets[at];
    if at == 0 && end <= 0.0 {
        return end;
    }
    let (start, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    start + (end - start) * ((rank - below) / (count - below))
}

/// `label_replace(v, dst, replacement, src, regex)`; Go's `$1` is the regex crate's `${1}`.
fn label_replace(mut samples: Vec<Sample>, [dst, replacement, src, regex]: &[String; 4]) -> Result<Value, QueryError> {
    let regex = Regex::new(&format!("^(?s:{regex})$"))
        .map_err(|_| QueryError::Execution(format!("invalid regular expression in label_replace(): {regex}")))?;
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if dst.is_empty() || !dst.chars().all(valid) || dst.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(QueryError::Execution(format!("invalid destination label name in label_replace(): {dst}")));
    }
    for sample in &mut samples {
        let value = sample.labels.get(src).map_or("", String::as_str);
        let Some(found) = regex.captures(value) else { continue };
        let mut text = String::new();
        found.expand(replacement, &mut text);
        if text.is_empty() {
            sample.labels.remove(dst);
        } else {
            sample.labels.insert(dst.clone(), text);
        }
    }
    Ok(Value::Vector(samples))
}
