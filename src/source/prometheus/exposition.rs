//! The text that exporters serve: Prometheus' text format 0.0.4 and OpenMetrics 1.0, one line at a time. Pure.
//!
//! Sources: prometheus.io "Exposition formats", the OpenMetrics specification, Prometheus 3's quoted (UTF-8) names.
//! Timestamps, exemplars, units and help are read over: a scrape's own time is what counts.

use std::{borrow::Cow, fmt, iter::Peekable, str::CharIndices};

/// Longest line that is read, bytes: real ones have some hundred.
const LINE: usize = 64 * 1024;
/// Labels that one sample may have.
const LABELS: usize = 128;

/// One line that says something.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'t> {
    /// A sample.
    Sample(Sample<'t>),
    /// `# TYPE family kind`.
    Type {
        /// Name of the family: of a histogram without `_bucket`, of an OpenMetrics counter without `_total`.
        family: Cow<'t, str>,
        /// `counter`, `gauge`, `histogram`, `summary`, `untyped`, …
        kind: &'t str,
    },
}

/// One sample as the exporter wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'t> {
    /// Name.
    pub name: Cow<'t, str>,
    /// Labels in the order they were written.
    pub labels: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    /// Value; may be NaN or infinite.
    pub value: f64,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads an exposition up to its end or to OpenMetrics' `# EOF`. A wrong line costs itself alone.
///
/// ```
/// use highwater::source::prometheus::exposition::{Line, lines};
/// let text = "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"a}\\\"b\",} 4 1700000000000\n";
/// let Some(Ok(Line::Sample(sample))) = lines(text).nth(1) else { panic!() };
/// assert_eq!((&*sample.name, &*sample.labels[0].1, sample.value), ("vllm:num_requests_running", "a}\"b", 4.0));
/// ```
pub fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, Wrong>> {
    text.split('\n')
        .map(|line| line.trim_matches([' ', '\t', '\r']))
        .take_while(|line| *line != "# EOF")
        .enumerate()
        .filter_map(|(i, line)| one(line).transpose().map(|l| l.map_err(|what| Wrong { line: i + 1, what })))
}

/// What one line says; `None`: nothing to us.
fn one(line: &str) -> Result<Option<Line<'_>>, &'static str> {
    if line.len() > LINE {
        return Err("longer than 64 KiB");
    }
    if line.is_empty() {
        return Ok(None);
    }
    if let Some(comment) = line.strip_prefix('#') {
        return Ok(family(comment));
    }
    let mut rest = Rest { text: line, chars: line.char_indices().peekable() };
    let mut name = Cow::Borrowed(rest.word(|c| !c.is_whitespace() && c != '{'));
    let mut labels = Vec::new();
    rest.blank();
    if rest.eat('{') {
        rest.labels(&mut name, &mut labels)?;
    }
    if name.is_empty() {
        return Err("a sample without a name");
    }
    rest.blank();
    let value = rest.word(|c| !c.is_whitespace());
    let value = value.parse().map_err(|_| if value.is_empty() { "no value" } else { "the value is no number" })?;
    Ok(Some(Line::Sample(Sample { name, labels, value })))
}

/// `TYPE name kind` of a comment.
fn family(comment: &str) -> Option<Line<'_>> {
    let rest = comment.trim_start().strip_prefix("TYPE")?.strip_prefix([' ', '\t'])?.trim_start();
    let mut rest = Rest { text: rest, chars: rest.char_indices().peekable() };
    let family = if rest.eat('"') { rest.quoted().ok()? } else { rest.word(|c| !c.is_whitespace()).into() };
    rest.blank();
    let kind = rest.word(|c| !c.is_whitespace());
    (!family.is_empty() && !kind.is_empty()).then_some(Line::Type { family, kind })
}

/// What is left of a line.
struct Rest<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
}

impl<'t> Rest<'t> {
    fn at(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(i, _)| *i)
    }

    fn blank(&mut self) {
        while self.chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.chars.next_if(|(_, c)| *c == wanted).is_some()
    }

    fn word(&mut self, inside: impl Fn(char) -> bool) -> &'t str {
        let from = self.at();
        while self.chars.next_if(|(_, c)| inside(*c)).is_some() {}
        let to = self.at();
        self.text.get(from..to).unwrap_or_default()
    }

    /// The labels after `{`, up to `}`; a quoted text without `=` is the metric's name.
    fn labels(
        &mut self,
        name: &mut Cow<'t, str>,
        labels: &mut Vec<(Cow<'t, str>, Cow<'t, str>)>,
    ) -> Result<(), &'static str> {
        loop {
            self.blank();
            if self.eat('}') {
                return Ok(());
            }
            let quoted = self.eat('"');
            let key = if quoted {
                self.quoted()?
            } else {
                self.word(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | ':')).into()
            };
            self.blank();
            if self.eat('=') {
                self.blank();
                if key.is_empty() || !self.eat('"') {
                    return Err("a label is written name=\"value\"");
                }
                labels.push((key, self.quoted()?));
            } else if quoted && name.is_empty() {
                *name = key;
            } else {
                return Err("a label is written name=\"value\"");
            }
            if labels.len() > LABELS {
                return Err("more than 128 labels");
            }
            self.blank();
            if !self.eat(',') && self.chars.peek().is_none_or(|(_, c)| *c != '}') {
                return Err("labels are parted by commas and end with }");
            }
        }
    }

    /// A text after its opening quote: `\\`, `\"` and `\n` are escapes, other backslashes are themselves.
    fn quoted(&mut self) -> Result<Cow<'t, str>, &'static str> {
        const OPEN: &str = "a quote is not closed";
        let plain = self.word(|c| !matches!(c, '"' | '\\'));
        if self.eat('"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut out = plain.to_owned();
        loop {
            match self.chars.next().ok_or(OPEN)?.1 {
                '"' => return Ok(Cow::Owned(out)),
                '\\' => match self.chars.next().ok_or(OPEN)?.1 {
                    'n' => out.push('\n'),
                    c @ ('"' | '\\') => out.push(c),
                    c => out.extend(['\\', c]),
                },
                c => out.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = (String, Vec<(String, String)>, f64);

    fn samples(text: &str) -> Vec<Read> {
        let owned = |s: Sample<'_>| {
            let labels = s.labels.into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            (s.name.into_owned(), labels, s.value)
        };
        let sample = |line| match line {
            Ok(Line::Sample(sample)) => Some(owned(sample)),
            Ok(Line::Type { .. }) => None,
            Err(wrong) => panic!("{wrong}"),
        };
        lines(text).filter_map(sample).collect()
    }

    #[test]
    fn both_formats_and_their_oddities_are_read() {
        let text = "# HELP :tensorflow:serving:request_count the \"name\" starts with a colon\n\
            # TYPE :tensorflow:serving:request_count counter\r\n\
            :tensorflow:serving:request_count{model_name=\"m\",} 3\n\
            \tqueue {a = \"x\" , b=\"y{,}=\"} +Inf 1700000000000\n\
            tgi_queue_size NaN\n\
            http_requests_total{code=\"200\"} 7 1700000000.123 # {trace_id=\"a b\"} 1.5 1700000000\n\
            {\"utf8.metric\",\"a.b\"=\"c\"} 1e-3\n\
            # EOF\nafter_the_end 1\n";
        let read = samples(text);
        let names: Vec<&str> = read.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            [":tensorflow:serving:request_count", "queue", "tgi_queue_size", "http_requests_total", "utf8.metric"]
        );
        assert_eq!(read[1].1, [("a".to_owned(), "x".to_owned()), ("b".to_owned(), "y{,}=".to_owned())]);
        assert!(read[1].2.is_infinite() && read[2].2.is_nan());
        assert_eq!((read[4].1[0].0.as_str(), read[4].2.to_bits()), ("a.b", 1e-3_f64.to_bits()));
        let Some(Ok(Line::Type { family, kind })) = lines(text).next() else { panic!() };
        assert_eq!((&*family, kind), (":tensorflow:serving:request_count", "counter"));
    }

    #[test]
    fn a_wrong_line_is_named_and_costs_itself_alone() {
        for (wrong, what) in [
            ("a{b=\"c} 1", "not closed"),
            ("a{b} 1", "name=\"value\""),
            ("a{b=\"c\" d=\"e\"} 1", "commas"),
            ("a{b=\"c\"", "name=\"value\""),
            ("a one", "no number"),
            ("a", "no value"),
            ("{b=\"c\"} 1", "without a name"),
        ] {
            let text = format!("good 1\n{wrong}\nbetter 2\n");
            let read: Vec<_> = lines(&text).collect();
            assert!(matches!(&read[..], [Ok(_), Err(Wrong { line: 2, .. }), Ok(_)]), "{wrong}: {read:?}");
            let said = read[1].as_ref().unwrap_err().to_string();
            assert!(said.contains(what) || wrong == "a{b=\"c\"", "{wrong}: {said}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,20}",
            labels in proptest::collection::vec(("[a-zA-Z_][a-zA-Z0-9_]{0,9}", any::<String>()), 0..5),
            value in any::<f64>(),
        ) {
            let quote = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let pairs: Vec<_> = labels.iter().map(|(n, v)| format!("{n}=\"{}\"", quote(v))).collect();
            let read = samples(&format!("{name}{{{}}} {value}\n", pairs.join(",")));
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!((&read[0].0, &read[0].1), (&name, &labels));
            prop_assert!(read[0].2.to_bits() == value.to_bits() || value.is_nan());
        }

        #[test]
        fn any_bytes_are_read_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(lines(&text).count() <= text.split('\n').count());
        }

        #[test]
        fn anything_that_looks_like_it_is_read_to_its_end(text in "([a-z\"\\\\{}=, #\n0-9]|TYPE |# EOF){0,60}") {
            prop_assert!(lines(&text).count() <= text.split('\n').count());
        }
    }
}
