//! The small language of the filter line: words, `marked`, `kind:group`, `state:blocked`, `source:prod`, `target:deploy`,
//! `lag>10k`, `behind>90s`, `replicas<3`; all must hold, and `!` turns one round.

use crate::model::{ActionState, Glance, Severity, WorkloadKind, WorkloadView};

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
    /// Seconds behind.
    pub behind: Option<f64>,
    /// The state of an action.
    pub action: Option<ActionState>,
    /// Whether the operator marked it.
    pub marked: bool,
    /// The workload that it is, for what else can be asked.
    pub view: Option<(&'a Glance, &'a WorkloadView)>,
}

impl<'a> Facts<'a> {
    /// Of something that only has a name.
    pub fn named(name: &'a str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Of a workload.
    pub fn of(glance: &'a Glance, view: &'a WorkloadView) -> Self {
        Self {
            name: glance.name.as_str(),
            kind: Some(glance.kind),
            severity: Some(glance.severity),
            lag: glance.backlog,
            behind: glance.behind,
            action: None,
            marked: false,
            view: Some((glance, view)),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Term {
    Word(String),
    Marked,
    Kind(WorkloadKind),
    State(State),
    Source(String),
    Target(String),
    Number { field: Field, above: bool, limit: f64 },
}

/// What `state:` can ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Severity(Severity),
    Action(ActionState),
    Blocked,
    Snoozed,
    Changing,
    Stale,
}

/// Its words.
const STATES: [(&str, State); 8] = [
    ("act", State::Severity(Severity::Act)),
    ("look", State::Severity(Severity::Look)),
    ("unknown", State::Severity(Severity::Unknown)),
    ("ok", State::Severity(Severity::Ok)),
    ("blocked", State::Blocked),
    ("snoozed", State::Snoozed),
    ("changing", State::Changing),
    ("stale", State::Stale),
];

/// States of actions; `unknown` stands above.
const ACTIONS: [ActionState; 10] = [
    ActionState::Proposed,
    ActionState::Superseded,
    ActionState::Expired,
    ActionState::Rejected,
    ActionState::Approved,
    ActionState::Applying,
    ActionState::Applied,
    ActionState::Verified,
    ActionState::Failed,
    ActionState::RolledBack,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Lag,
    Demand,
    Behind,
    Replicas,
    Need,
}

const FIELDS: [(&str, Field); 5] = [
    ("lag", Field::Lag),
    ("demand", Field::Demand),
    ("behind", Field::Behind),
    ("replicas", Field::Replicas),
    ("need", Field::Need),
];

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

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether every term holds.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        self.terms.iter().all(|(term, wanted)| holds(term, facts) == *wanted)
    }
}

fn holds(term: &Term, facts: &Facts<'_>) -> bool {
    match term {
        Term::Word(word) => has(facts.name, word),
        Term::Marked => facts.marked,
        Term::Kind(kind) => facts.kind == Some(*kind),
        // `unknown` is also a state of actions.
        Term::State(State::Severity(Severity::Unknown)) if facts.action.is_some() => {
            facts.action == Some(ActionState::Unknown)
        }
        Term::State(State::Severity(severity)) => facts.severity == Some(*severity),
        Term::State(State::Action(state)) => facts.action == Some(*state),
        Term::State(state) => facts.view.is_some_and(|(_, v)| is(v, *state)),
        Term::Source(part) => facts.view.is_some_and(|(_, v)| has(v.workload.entity.source.as_str(), part)),
        Term::Target(part) => {
            facts.view.and_then(|(_, v)| v.workload.target.as_ref()).is_some_and(|t| has(&t.to_string(), part))
        }
        Term::Number { field, above, limit } => {
            value(*field, facts).is_some_and(|v| if *above { v > *limit } else { v < *limit })
        }
    }
}

/// Whether a text has a part, which is in small letters. Thousands are asked in a frame: no copy is made of what is ASCII.
fn has(text: &str, part: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(part);
    }
    part.is_empty() || text.as_bytes().windows(part.len()).any(|w| w.eq_ignore_ascii_case(part.as_bytes()))
}

fn is(view: &WorkloadView, state: State) -> bool {
    match state {
        State::Severity(severity) => view.severity == severity,
        State::Action(state) => view.action.as_ref().is_some_and(|a| a.state == state),
        State::Blocked => view.advice.recommendation.as_ref().is_ok_and(|r| !r.blocked_by.is_empty()),
        State::Snoozed => view.snoozed.is_some(),
        State::Changing => view.action.as_ref().is_some_and(|a| !a.state.is_final()),
        State::Stale => view.state.is_stale(),
    }
}

fn value(field: Field, facts: &Facts<'_>) -> Option<f64> {
    match field {
        Field::Lag => facts.lag,
        Field::Behind => facts.behind,
        Field::Demand => facts.view?.0.demand,
        Field::Replicas => facts.view?.1.state.replicas.as_ref().map(|r| f64::from(r.desired)),
        Field::Need => facts.view?.1.advice.recommendation.as_ref().ok().map(|r| f64::from(r.recommended)),
    }
}

fn term(word: &str) -> Result<Term, String> {
    let word = word.to_lowercase();
    match word.split_once(':') {
        Some(("kind", kind)) => {
            return match kind {
                "group" | "consumer-group" => Ok(Term::Kind(WorkloadKind::ConsumerGroup)),
                "inference" => Ok(Term::Kind(WorkloadKind::Inference)),
                "batch" => Ok(Term::Kind(WorkloadKind::Batch)),
                "brokers" => Ok(Term::Kind(WorkloadKind::Brokers)),
                _ => Err("kind: is one of group, inference, batch, brokers".to_owned()),
            };
        }
        Some(("state", state)) => {
            let names: Vec<&str> = STATES.iter().map(|(name, _)| *name).collect();
            let of_row = STATES.iter().find(|(name, _)| *name == state).map(|(_, s)| *s);
            let of_action = || ACTIONS.into_iter().find(|a| a.name() == state).map(State::Action);
            let known = of_row.or_else(of_action).map(Term::State);
            return known.ok_or_else(|| {
                format!("state: is one of {}, or of an action: verified, failed, rejected, ...", names.join(", "))
            });
        }
        Some(("source", part)) => return Ok(Term::Source(part.to_owned())),
        Some(("target", part)) => return Ok(Term::Target(part.to_owned())),
        _ if word == "marked" => return Ok(Term::Marked),
        _ => {}
    }
    for (name, field) in FIELDS {
        let Some(rest) = word.strip_prefix(name) else { continue };
        let above = rest.starts_with('>');
        if above || rest.starts_with('<') {
            let limit = number(&rest[1..], field)
                .ok_or_else(|| format!("{word}: write a number such as {name}>10k or {name}>90s"))?;
            return Ok(Term::Number { field, above, limit });
        }
    }
    Ok(Term::Word(word))
}

/// `10k`, `1.5m`, `2g`; of a time `90s`, `5m`, `2h`, as durations are written everywhere.
fn number(text: &str, field: Field) -> Option<f64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let factor = match &text[digits..] {
        "" | "s" => 1.0,
        "m" if field == Field::Behind => 60.0,
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
        behind: Some(34.0),
        action: None,
        marked: false,
        view: None,
    };

    #[test]
    fn actions_are_asked_for_by_their_state() {
        let action = |state| Facts { action: Some(state), ..Facts::named("orders-etl alice@corp") };
        for (text, state, expected) in [
            ("state:verified", ActionState::Verified, true),
            ("state:rolled-back", ActionState::RolledBack, true),
            ("state:unknown", ActionState::Unknown, true),
            ("state:unknown", ActionState::Failed, false),
            ("alice !state:failed", ActionState::Failed, false),
        ] {
            assert_eq!(Filter::parse(text).matches(&action(state)), expected, "{text} {state:?}");
        }
        assert!(Filter::parse("state:done").problem().is_some_and(|p| p.contains("verified")));
    }

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
            ("behind<5m", true),
            ("behind>0.5m", true),
            ("demand>0", false),
            ("lag", false),
            ("marked", false),
            ("!marked !state:blocked", true),
        ] {
            assert_eq!(Filter::parse(text).matches(&ROW), expected, "{text}");
        }
    }

    #[test]
    fn workloads_can_be_asked_for_all_that_is_known() {
        let picture = crate::tui::fixture::picture(crate::model::Mode::Operate);
        let names = |text: &str| {
            let filter = Filter::parse(text);
            let all = picture.workloads.iter().map(|w| (Glance::of(w), w));
            let hits = all.filter(|(glance, w)| filter.matches(&Facts::of(glance, w)));
            hits.map(|(glance, _)| glance.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        for (text, expected) in [
            ("state:blocked", "orders-etl"),
            ("state:changing", "search-ranker"),
            ("demand>40k", "clickstream"),
            ("replicas>10 kind:group !state:unknown", "orders-etl"),
            ("need>9 state:act", "fraud-scorer"),
            ("target:payments/fraud", "fraud-scorer fraud-model"),
            ("source:prod kind:inference", ""),
        ] {
            assert_eq!(names(text), expected, "{text}");
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
