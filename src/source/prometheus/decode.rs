//! Decodes the answers of the HTTP API: typed, from a slice, with every optional key optional.
//!
//! Sources: prometheus.io "HTTP API" (2.42 to 3.x); VictoriaMetrics and Thanos leave keys out or send `null`.

use crate::model::{Label, Time};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, SeqAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// Characters of what a body says, at most.
const LONGEST_WORDS: usize = 200;

/// What one query answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Series; none at all means *missing*, never 0.
    pub series: Vec<Series>,
    /// `warnings`, word for word. `infos` are left out: they are about how a query is written, whatever it answers
    /// (Prometheus 3 finds every rate of a counter odd whose name does not end in `_total`).
    pub warnings: Vec<Label>,
    /// Whether something is missing from it, and nobody knows what.
    pub partial: bool,
    /// Rows that are missing from it: what an exporter told that does not answer now.
    pub lacking: Vec<Series>,
}

/// One series of an answer: one point for an instant query, many for a range query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Labels; a scalar has none.
    pub labels: BTreeMap<Label, Label>,
    /// Float samples as the server gave them: they may be NaN or infinite.
    pub points: Vec<(Time, f64)>,
    /// Native histograms.
    pub histograms: Vec<(Time, NativeHistogram)>,
    /// Whether an exporter that does not answer would make another value of it.
    pub partial: bool,
}

impl Series {
    /// A label's value; an empty one counts as absent, as it does in Prometheus.
    pub fn label(&self, name: &str) -> Option<&Label> {
        self.labels.get(name).filter(|v| !v.is_empty())
    }

    /// The newest float sample, when it is a number.
    pub fn last(&self) -> Option<(Time, f64)> {
        self.points.last().copied().filter(|(_, v)| v.is_finite())
    }
}

/// A native histogram as the API prints it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// Observations.
    pub count: f64,
    /// Sum of what was observed.
    pub sum: f64,
    /// `(boundary rule, lower, upper, count)`; rule 0: open left, 1: open right, 2: open both, 3: closed both.
    pub buckets: Vec<(u8, f64, f64, f64)>,
}

/// Why an answer could not be used.
#[derive(Debug, PartialEq)]
pub(super) enum Bad {
    /// `status: error`: the type (`bad_data`, `execution`, …) and the text, as they came.
    Refused { kind: Label, text: Label },
    /// Not the API's JSON.
    Garbled(String),
}

/// Reads the answer of `/query` or `/query_range`.
pub(super) fn answer(body: &[u8]) -> Result<Answer, Bad> {
    let envelope = envelope::<Data>(body)?;
    let series = match envelope.data.ok_or_else(|| Bad::Garbled("`data` is missing".into()))? {
        Data::Vector(rows) | Data::Matrix(rows) => rows.unwrap_or_default().into_iter().map(Series::from).collect(),
        Data::Scalar(Point(at, value)) => vec![Series { points: vec![(at, value)], ..Series::default() }],
        Data::String(_) => Vec::new(),
    };
    let mut warnings = envelope.warnings.unwrap_or_default();
    if envelope.is_partial == Some(true) {
        warnings.push(Label::new("partial: a storage node did not answer"));
    }
    // What PromQL itself warns of is about the query, not about what was read.
    let partial = warnings.iter().any(|warning| !warning.as_str().starts_with("PromQL warning"));
    Ok(Answer { series, warnings, partial, lacking: Vec::new() })
}

/// Reads bytes as every kind of answer: what fuzzing calls. Nothing may panic, whatever a proxy puts in place of a server.
#[doc(hidden)]
pub fn decode_anything(body: &[u8]) {
    drop((answer(body), names(body), version(body)));
}

/// Reads an answer whose data is a list of strings (`/label/…/values`).
pub(super) fn names(body: &[u8]) -> Result<Vec<String>, Bad> {
    envelope::<Vec<String>>(body).map(|e| e.data.unwrap_or_default())
}

/// The `version` of `/status/buildinfo`; VictoriaMetrics sends an empty object.
pub(super) fn version(body: &[u8]) -> Result<Option<Label>, Bad> {
    #[derive(Deserialize)]
    struct Build {
        version: Option<Label>,
    }
    envelope::<Build>(body).map(|e| e.data?.version)
}

/// Takes the envelope off; errors inside it win over whatever else is there.
fn envelope<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<Envelope<T>, Bad> {
    let envelope: Envelope<T> =
        serde_json::from_slice(body).map_err(|e| refusal(body).unwrap_or_else(|| Bad::Garbled(e.to_string())))?;
    if envelope.status == "success" {
        return Ok(envelope);
    }
    Err(refusal(body).unwrap_or_else(|| Bad::Garbled("`status` is not \"success\"".into())))
}

/// The error that an envelope carries, whatever its `data` looks like.
pub(super) fn refusal(body: &[u8]) -> Option<Bad> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refusal {
        error_type: Option<Label>,
        error: Label,
    }
    let refusal: Refusal = serde_json::from_slice(body).ok()?;
    Some(Bad::Refused { kind: refusal.error_type.unwrap_or_default(), text: refusal.error })
}

/// What a body says that is not Prometheus': the `message` of Amazon's, or a line of plain text. Never more than the
/// first line: further ones may repeat what was sent.
pub(super) fn words(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(alias = "Message")]
        message: String,
    }
    let plain =
        || std::str::from_utf8(body).ok().filter(|text| !text.trim_start().starts_with(['<', '{'])).map(str::to_owned);
    let text = serde_json::from_slice::<Message>(body).ok().map(|m| m.message).or_else(plain)?;
    let line = text.trim().lines().next()?.trim();
    (line.chars().count() <= LONGEST_WORDS).then(|| Label::new(line).to_string())
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    warnings: Option<Vec<Label>>,
    /// A cluster of VictoriaMetrics says it this way.
    #[serde(rename = "isPartial")]
    is_partial: Option<bool>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Option<Vec<Row>>),
    Matrix(Option<Vec<Row>>),
    Scalar(Point),
    String(IgnoredAny),
}

#[derive(Deserialize)]
struct Row {
    metric: Option<BTreeMap<Label, Label>>,
    value: Option<Point>,
    values: Option<Vec<Point>>,
    histogram: Option<HistogramPoint>,
    histograms: Option<Vec<HistogramPoint>>,
}

impl From<Row> for Series {
    fn from(row: Row) -> Self {
        let points = row.values.unwrap_or_default().into_iter().chain(row.value);
        let histograms = row.histograms.unwrap_or_default().into_iter().chain(row.histogram);
        Self {
            labels: row.metric.unwrap_or_default(),
            points: points.map(|Point(at, value)| (at, value)).collect(),
            histograms: histograms.map(|HistogramPoint(at, h)| (seconds(at), h.into())).collect(),
            partial: false,
        }
    }
}

fn seconds(s: f64) -> Time {
    Time::from_secs(s)
}

/// `[1700000000.123, "1.5"]`: read by a visitor, which is twice as fast as by way of a JSON value.
struct Point(Time, f64);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a pair of seconds and a quoted number")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Point, A::Error> {
                let missing = || A::Error::custom("a sample has fewer than two parts");
                let at: f64 = pair.next_element()?.ok_or_else(missing)?;
                let Number(value) = pair.next_element()?.ok_or_else(missing)?;
                while pair.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Point(seconds(at), value))
            }
        }
        d.deserialize_seq(Pair)
    }
}

/// A number in quotes (`"NaN"`, `"+Inf"`, `"5e-324"`), or a bare one.
pub(super) struct Number(pub f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Quoted;
        impl Visitor<'_> for Quoted {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, quoted or not")
            }

            fn visit_str<E: Error>(self, s: &str) -> Result<Number, E> {
                s.parse().map(Number).map_err(|_| E::custom("a sample's value is not a number"))
            }

            fn visit_f64<E: Error>(self, v: f64) -> Result<Number, E> {
                Ok(Number(v))
            }

            fn visit_i64<E: Error>(self, v: i64) -> Result<Number, E> {
                Ok(Number(v as f64))
            }

            fn visit_u64<E: Error>(self, v: u64) -> Result<Number, E> {
                Ok(Number(v as f64))
            }
        }
        d.deserialize_any(Quoted)
    }
}

#[derive(Deserialize)]
struct HistogramPoint(f64, RawHistogram);

#[derive(Deserialize)]
struct RawHistogram {
    count: Number,
    sum: Number,
    buckets: Option<Vec<(u8, Number, Number, Number)>>,
}

impl From<RawHistogram> for NativeHistogram {
    fn from(raw: RawHistogram) -> Self {
        let buckets = raw.buckets.unwrap_or_default().into_iter();
        Self {
            count: raw.count.0,
            sum: raw.sum.0,
            buckets: buckets.map(|(rule, low, high, count)| (rule, low.0, high.0, count.0)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"__name__":"up","job":"a\u001b[31m\"}"},"value":[1700000000.25,"+Inf"]},
        {"metric":{"job":"b"},"value":[1700000000,"5e-324"]},
        {"metric":{"job":"h"},"histogram":[1700000000,{"count":"3","sum":"0.5","buckets":[[0,"0.1","0.2","3"]]}]}
    ]},"warnings":["partial response"],"infos":["metric might not be a counter"]}"#;

    #[test]
    fn a_vector_keeps_infinities_histograms_and_warnings_and_no_remarks_on_the_query() {
        let answer = answer(VECTOR.as_bytes()).unwrap();
        assert_eq!(answer.series[0].points, [(Time::from_millis(1_700_000_000_250), f64::INFINITY)]);
        assert_eq!(answer.series[0].last(), None, "infinity is no reading");
        assert_eq!(answer.series[0].label("job").unwrap().as_str(), "a\\u{1b}[31m\"}");
        assert_eq!(answer.series[1].last(), Some((Time::from_secs(1.7e9), 5e-324)));
        assert_eq!(answer.series[2].points, []);
        assert_eq!(answer.series[2].histograms[0].1.buckets, [(0, 0.1, 0.2, 3.0)]);
        assert_eq!(answer.warnings, [Label::new("partial response")]);
        assert!(answer.partial);
        let text = VECTOR.replace("partial response", "PromQL warning: encountered a mix of histograms and floats");
        assert!(!super::answer(text.as_bytes()).unwrap().partial);
    }

    #[test]
    fn other_backends_leave_things_out() {
        let empty = r#"{"status":"success","isPartial":false,"data":{"result":null,"resultType":"matrix"}}"#;
        assert_eq!(answer(empty.as_bytes()).unwrap(), Answer::default());
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]},"warnings":null}"#;
        assert_eq!(answer(scalar.as_bytes()).unwrap().series[0].points, [(Time::from_millis(1000), 2.0)]);
        assert_eq!(version(br#"{"status":"success","data":{}}"#).unwrap(), None);
        assert_eq!(names(br#"{"status":"success","data":null}"#).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_others_say_is_one_line_of_theirs() {
        let amazon = br#"{"message":"The signature does not match.\n\nThe Canonical String should have been 'GET\nx-amz-security-token:t'"}"#;
        assert_eq!(words(amazon).as_deref(), Some("The signature does not match."));
        assert_eq!(words(b"404 page not found\n").as_deref(), Some("404 page not found"));
        for page in [&b"<html>Sign in</html>"[..], b"{\"a\":1}", b"", &[b'x'; 300], &[0xff]] {
            assert_eq!(words(page), None);
        }
        let partial = br#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(answer(partial).unwrap().warnings.len(), 1);
    }

    #[test]
    fn an_error_is_shown_as_it_came() {
        let body = br#"{"status":"error","errorType":"bad_data","error":"1:3: parse error: unexpected <eof>"}"#;
        let text = Label::new("1:3: parse error: unexpected <eof>");
        assert_eq!(answer(body), Err(Bad::Refused { kind: "bad_data".into(), text }));
        assert!(matches!(answer(b"<html>Sign in</html>"), Err(Bad::Garbled(_))));
    }

    proptest! {
        /// Whatever a server sends: an answer or an error, never a panic, and nothing that was not in the body.
        #[test]
        fn garbage_is_an_error_or_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            drop((answer(&bytes), names(&bytes), version(&bytes)));
        }

        #[test]
        fn a_damaged_answer_is_no_larger_than_its_body(
            cut in 0..VECTOR.len(), at in 0..VECTOR.len(), byte in any::<u8>(), nest in 0..5000_usize,
        ) {
            let mut body = VECTOR.as_bytes().to_vec();
            body[at] = byte;
            body.truncate(cut.max(1));
            if let Ok(answer) = answer(&body) {
                let points: usize = answer.series.iter().map(|s| s.points.len() + s.histograms.len()).sum();
                prop_assert!(points + answer.warnings.len() <= body.len());
            }
            let deep = [vec![b'['; nest], vec![b'{'; nest]].concat();
            prop_assert!(answer(&deep).is_err(), "nesting must not end the process");
        }
    }
}
