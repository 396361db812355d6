//! The small language of the filter line: words, `kind:group`, `state:act`, `lag>10k`; all must hold.

use crate::model::{Role, Severity, WorkloadKind, WorkloadView};

/// What a row says of itself to the filter. What a table does not know is `None`, and a term on it does not match.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Its name.
    pub name: &'a str,
    /// Kind of workload.
    pub kind: Option<WorkloadKind>,
    /// How bad.
    pub severity: Option<Severity>,
    /// Records or requests waiting.
    pub lag: Option<f64>,
    /// Per second.
    pub demand: Option<f64>,
    /// Seconds behind.
    pub behind: Option<f64>,
}

impl<'a> Facts<'a> {
    /// Of something that only has a name.
    pub fn named(name: &'a str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Of a workload.
    pub fn of(view: &'a WorkloadView) -> Self {
        let now = |role| view.signal(role).and_then(|s| s.now.as_ref()).map(|r| r.value);
        Self {
            name: view.workload.name.as_str(),
            kind: Some(view.workload.entity.kind),
            severity: Some(view.severity),
            lag: now(Role::Backlog),
            demand: now(Role::Demand),
            behind: now(Role::TimeLag),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Word(String),
    Kind(WorkloadKind),
    State(Severity),
    Number { field: Field, above: bool, limit: f64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Lag,
    Demand,
    Behind,
}

/// A filter as typed. A term that is not (yet) understood hides nothing and is named in [`Filter::problem`].
///
/// ```
/// use highwater::tui::filter::{Facts, Filter};
/// let filter = Filter::parse("fraud lag>10k");
/// assert!(filter.matches(&Facts { name: "Fraud-scorer", lag: Some(12e3), ..Facts::default() }));
/// assert!(!filter.matches(&Facts::named("fraud-model")), "its lag is not known");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    terms: Vec<(Term, bool)>,
    problem: Option<String>,
}

impl Filter {
    /// Reads the text of the filter line; `!` before a term turns it round.
    pub fn parse(text: &str) -> Self {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            let (word, wanted) = word.strip_prefix('!').map_or((word, true), |rest| (rest, false));
            if word.is_empty() {
                continue;
            }
            match term(word) {
                Ok(term) => filter.terms.push((term, wanted)),
                Err(problem) => filter.problem = Some(problem),
            }
        }
        filter
    }

    /// What was not understood, as a sentence with the mend.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether every term holds.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.terms.iter().all(|(term, wanted)| holds(term, facts) == *wanted)
    }
}

fn holds(term: &Term, facts: &Facts<'_>) -> bool {
    match term {
        Term::Word(word) => facts.name.to_lowercase().contains(word),
        Term::Kind(kind) => facts.kind == Some(*kind),
        Term::State(severity) => facts.severity == Some(*severity),
        Term::Number { field, above, limit } => {
            let value = match field {
                Field::Lag => facts.lag,
                Field::Demand => facts.demand,
                Field::Behind => facts.behind,
            };
            value.is_some_and(|v| if *above { v > *limit } else { v < *limit })
        }
    }
}

fn term(word: &str) -> Result<Term, String> {
    let word = word.to_lowercase();
    if let Some(kind) = word.strip_prefix("kind:") {
        return match kind {
            "group" | "consumer-group" => Ok(Term::Kind(WorkloadKind::ConsumerGroup)),
            "inference" => Ok(Term::Kind(WorkloadKind::Inference)),
            "batch" => Ok(Term::Kind(WorkloadKind::Batch)),
            "brokers" => Ok(Term::Kind(WorkloadKind::Brokers)),
            _ => Err("kind: is one of group, inference, batch, brokers".to_owned()),
        };
    }
    if let Some(state) = word.strip_prefix("state:") {
        return match state {
            "act" => Ok(Term::State(Severity::Act)),
            "look" => Ok(Term::State(Severity::Look)),
            "unknown" => Ok(Term::State(Severity::Unknown)),
            "ok" => Ok(Term::State(Severity::Ok)),
            _ => Err("state: is one of act, look, unknown, ok".to_owned()),
        };
    }
    for (name, field) in [("lag", Field::Lag), ("demand", Field::Demand), ("behind", Field::Behind)] {
        let Some(rest) = word.strip_prefix(name) else { continue };
        let above = rest.starts_with('>');
        if above || rest.starts_with('<') {
            let limit =
                number(&rest[1..]).ok_or_else(|| format!("{word}: write a number such as {name}>10k or {name}>90s"))?;
            return Ok(Term::Number { field, above, limit });
        }
    }
    Ok(Term::Word(word))
}

/// `10k`, `1.5m`, `2g`, `90s`, `5min`, `2h`.
fn number(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let factor = match &text[digits..] {
        "" | "s" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    text[..digits].parse::<f64>().ok().map(|n| n * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Facts<'static> = Facts {
        name: "Fraud-Scorer",
        kind: Some(WorkloadKind::ConsumerGroup),
        severity: Some(Severity::Act),
        lag: Some(12_000.0),
        demand: None,
        behind: Some(34.0),
    };

    #[test]
    fn terms_hold_together() {
        for (text, expected) in [
            ("", true),
            ("fraud", true),
            ("FRAUD score", true),
            ("fraud orders", false),
            ("!orders", true),
            ("!fraud", false),
            ("kind:group state:act", true),
            ("kind:inference", false),
            ("lag>10k", true),
            ("lag>0.1m", false),
            ("lag<20k behind>30s", true),
            ("behind>1min", false),
            ("demand>0", false),
            ("lag", false),
        ] {
            assert_eq!(Filter::parse(text).matches(&ROW), expected, "{text}");
        }
    }

    #[test]
    fn what_is_half_typed_hides_nothing_and_says_what_it_wants() {
        for text in ["lag>", "kind:", "state:a", "lag>ten"] {
            let filter = Filter::parse(text);
            assert!(filter.matches(&ROW), "{text}");
            assert!(filter.problem().is_some(), "{text}");
        }
    }
}
