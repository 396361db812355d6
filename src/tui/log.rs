//! What changed from one picture to the next, as sentences: the log page, notices to the terminal and the accessible
//! mode all tell the same.

use super::{
    alerts::{self, Spot},
    format,
};
use crate::model::{Action, Health, Label, Picture, Severity, SourceStatus, Time, WorkloadView};
use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

/// Entries kept; older ones go first.
const MOST: usize = 1_000;
/// Workloads and alerts that may come or go at once before they are told as a number.
const FEW: usize = 5;
/// Changes of workloads at once that are told one by one: more come from one cause, and would push all else out.
const MANY: usize = 20;

/// One thing that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Grows by one with each entry; 0 until it is in a log.
    pub number: u64,
    /// When it was seen.
    pub at: Time,
    /// How bad it is now.
    pub severity: Severity,
    /// What, as a sentence that begins with what it is about.
    pub text: String,
    /// The workload that it is about.
    pub about: Option<Label>,
    /// The workloads whose severity is another one since then, with that.
    turned: Vec<(Label, Severity)>,
}

impl Entry {
    /// One that is not in a log yet.
    pub fn new(at: Time, severity: Severity, text: String) -> Self {
        Self { number: 0, at, severity, text, about: None, turned: Vec::new() }
    }

    /// The id for the cursor.
    pub fn id(&self) -> Label {
        Label::new(&self.number.to_string())
    }
}

/// The newest entries.
#[derive(Clone, Debug, Default)]
pub struct Log {
    entries: VecDeque<Entry>,
    numbered: u64,
    /// The severity that each workload came to, and when; as long as the entry is kept.
    turned: HashMap<Label, (Severity, Time)>,
}

impl Log {
    /// Adds entries, oldest first.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for mut entry in entries {
            self.numbered += 1;
            entry.number = self.numbered;
            if self.entries.len() >= MOST
                && let Some(Entry { turned, at, .. }) = self.entries.pop_front()
            {
                let here = |(_, last): &(Severity, Time)| *last == at; // since then it may have turned again
                for (name, _) in turned {
                    if self.turned.get(&name).is_some_and(here) {
                        self.turned.remove(&name);
                    }
                }
            }
            for (name, severity) in &entry.turned {
                self.turned.insert(name.clone(), (*severity, entry.at));
            }
            self.entries.push_back(entry);
        }
    }

    /// Since when a workload is as bad as it is, where that was seen to begin.
    pub fn since(&self, view: &WorkloadView) -> Option<Time> {
        self.turned.get(&view.workload.name).filter(|(severity, _)| *severity == view.severity).map(|(_, at)| *at)
    }

    /// Entries, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().rev()
    }
}

/// What changed between two pictures, the worst kinds of thing first.
pub fn changes(before: &Picture, after: &Picture) -> Vec<Entry> {
    let at = after.at;
    let mut out = Vec::new();
    for source in &after.sources {
        let same = |s: &&SourceStatus| s.kind == source.kind && s.name == source.name;
        if before.sources.iter().find(same).is_none_or(|s| s.health != source.health) {
            out.push(Entry::new(at, health(source.health), of_source(source)));
        }
    }
    // What became of an action is told below, with who did it.
    let told_below = |text: &Label| after.actions.iter().any(|a| a.said() == *text);
    for notice in after.notices.iter().filter(|n| !before.notices.contains(n) && !told_below(&n.text)) {
        out.push(Entry::new(notice.at, notice.severity, notice.text.to_string()));
    }
    for action in after.actions.iter().rev() {
        let known = before.actions.iter().find(|a| a.id == action.id);
        if known.is_none_or(|a| a.state != action.state) && action.updated.since(before.at) > -60.0 {
            out.push(of_action(action));
        }
    }
    found(before, after, &mut out);
    workloads(before, after, &mut out);
    out
}

/// What was found on clusters, GPUs and training runs, and what is found no longer.
fn found(before: &Picture, after: &Picture, out: &mut Vec<Entry>) {
    let by_id =
        |spots: Vec<Spot<'_>>| spots.iter().map(|s| (s.id().to_string(), s.severity)).collect::<HashMap<_, _>>();
    let (old, new) = (alerts::found(before), alerts::found(after));
    let (had, has) = (by_id(old.clone()), by_id(new.clone()));
    let mut told = Vec::new();
    for spot in &new {
        if had.get(&spot.id().to_string()) != Some(&spot.severity) {
            told.push(Entry::new(after.at, spot.severity, of_spot(spot, after, "")));
        }
    }
    for spot in &old {
        if !has.contains_key(&spot.id().to_string()) {
            told.push(Entry::new(after.at, Severity::Ok, of_spot(spot, before, "no longer so: ")));
        }
    }
    told.sort_by_key(|e| Reverse(e.severity));
    out.extend(shortened(told, FEW, "alerts", "more came or went"));
}

/// What it is about and what is wrong; its name once, where the sentence begins with it.
fn of_spot(spot: &Spot<'_>, picture: &Picture, word: &str) -> String {
    let (subject, text) = (spot.subject(), spot.trouble(picture).text);
    match text.strip_prefix(&*subject).and_then(|rest| rest.strip_prefix(' ')) {
        Some(rest) => format!("{subject}: {word}{rest}"),
        None => format!("{subject}: {word}{text}"),
    }
}

/// Of more than `most` that came at once the worst, and how many more.
fn shortened(mut told: Vec<Entry>, most: usize, whose: &str, words: &str) -> Vec<Entry> {
    if told.len() > most {
        told.sort_by_key(|e| Reverse(e.severity));
    }
    let more = told.split_off(told.len().min(most));
    if let Some(worst) = more.first() {
        let entry = Entry::new(worst.at, worst.severity, format!("{whose}: {} {words}", more.len()));
        told.push(Entry { turned: more.into_iter().flat_map(|e| e.turned).collect(), ..entry });
    }
    told
}

fn health(health: Health) -> Severity {
    match health {
        Health::Ok => Severity::Ok,
        Health::Connecting => Severity::Unknown,
        Health::Degraded => Severity::Look,
        Health::Down => Severity::Act,
    }
}

fn of_source(source: &SourceStatus) -> String {
    let word = match source.health {
        Health::Connecting => "connecting",
        Health::Ok => "answers",
        Health::Degraded => "answers in part",
        Health::Down => "does not answer",
    };
    let says_more = !source.detail.is_empty() && source.detail != *word;
    let detail = if says_more { format!(": {}", source.detail) } else { String::new() };
    format!("{} {word}{detail}", format::source(source))
}

fn of_action(action: &Action) -> Entry {
    use crate::model::ActionState::{Applied, Applying, Approved, Expired, Failed, Superseded, Unknown};
    let severity = match action.state {
        Failed | Unknown => Severity::Act,
        Applied | Applying | Approved => Severity::Look,
        _ => Severity::Ok,
    };
    let (from, to, state) = (action.from, action.to, action.state.name());
    let why = if action.reason.is_empty() { String::new() } else { format!(": {}", action.reason) };
    // What ends without anybody's decision is nobody's.
    let by = match action.state {
        Expired | Superseded => String::new(),
        _ => format!(" by {}", action.actor),
    };
    let text = format!("{}: {from} to {to} {state}{by}{why}", action.workload);
    Entry { about: Some(action.workload.clone()), ..Entry::new(action.updated, severity, text) }
}

/// Severity, count and recommendation of each workload; those that came and went.
fn workloads(before: &Picture, after: &Picture, out: &mut Vec<Entry>) {
    let known: HashMap<&str, &Arc<WorkloadView>> =
        before.workloads.iter().map(|w| (w.workload.name.as_str(), w)).collect();
    let (mut new, mut told) = (Vec::new(), Vec::new());
    for view in &after.workloads {
        match known.get(view.workload.name.as_str()) {
            None => new.push(view.workload.name.as_str()),
            Some(old) if Arc::ptr_eq(old, view) => {}
            Some(old) => of_workload(old, view, after.at, &mut told),
        }
    }
    out.extend(shortened(told, MANY, "workloads", "more changes, none of them worse"));
    let gone: Vec<&str> = if known.len() + new.len() == after.workloads.len() {
        Vec::new()
    } else {
        let there: HashSet<&str> = after.workloads.iter().map(|w| w.workload.name.as_str()).collect();
        before.workloads.iter().map(|w| w.workload.name.as_str()).filter(|n| !there.contains(n)).collect()
    };
    for (names, word) in [(new, "appeared"), (gone, "is not seen any more")] {
        if names.len() > FEW {
            out.push(Entry::new(after.at, Severity::Ok, format!("{} workloads: each {word}", names.len())));
        } else {
            let told = names.into_iter().map(|n| Entry::new(after.at, Severity::Ok, format!("{n}: {word}")));
            out.extend(told);
        }
    }
}

fn of_workload(old: &WorkloadView, new: &WorkloadView, at: Time, out: &mut Vec<Entry>) {
    let name = &new.workload.name;
    let entry = |severity, text| Entry { about: Some(name.clone()), ..Entry::new(at, severity, text) };
    if old.severity != new.severity {
        let word = match (new.severity, &new.advice.recommendation) {
            (Severity::Ok, Ok(_)) => "as it should be".to_owned(),
            (Severity::Ok, Err(why)) => format!("nothing is seen to be wrong, no advice: {why}"),
            _ if new.headline.is_empty() => format::severity(new.severity).to_owned(),
            _ => new.headline.clone(),
        };
        let text = format!("{name}: {word} (was {})", format::severity(old.severity));
        // Nobody saw since when, where it was not known before, or is the first word of the advice.
        let first = old.advice.recommendation.is_err() && new.advice.recommendation.is_ok();
        let turned = (old.severity != Severity::Unknown && !first).then(|| (name.clone(), new.severity));
        out.push(Entry { turned: turned.into_iter().collect(), ..entry(new.severity, text) });
    }
    let count = |v: &WorkloadView| v.state.replicas.as_ref().map(|r| r.desired);
    if let (Some(from), Some(to)) = (count(old), count(new))
        && from != to
    {
        out.push(entry(Severity::Ok, format!("{name}: replicas {from} to {to}")));
    }
    let wanted = |v: &WorkloadView| {
        let change = v.advice.recommendation.as_ref().ok().filter(|r| r.is_change());
        change.map(|r| r.recommended)
    };
    if wanted(old) != wanted(new)
        && let (Some(to), Ok(r)) = (wanted(new), &new.advice.recommendation)
    {
        let why = r.reasons.first().map_or(String::new(), |why| format!(": {why}"));
        let instead = format!("{to} replicas recommended instead of {}", r.current.desired);
        out.push(entry(new.severity, format!("{name}: {instead}{why}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Mode, Subject},
        tui::fixture,
    };

    fn texts(before: &Picture, after: &Picture) -> Vec<String> {
        changes(before, after).into_iter().map(|e| e.text).collect()
    }

    #[test]
    fn only_what_changed_is_told() {
        let before = fixture::picture(Mode::Operate);
        assert_eq!(texts(&before, &before), [""; 0]);
        let mut after = before.clone();
        after.sources[1].health = Health::Down;
        after.sources[1].detail = Label::new("connection refused");
        let fraud = Arc::make_mut(&mut after.workloads[0]);
        fraud.severity = Severity::Ok;
        let audit = Arc::make_mut(&mut after.workloads[5]);
        audit.severity = Severity::Act;
        audit.headline = "40 s behind".into();
        after.workloads.remove(7);
        assert_eq!(
            texts(&before, &after),
            [
                "prometheus main does not answer: connection refused",
                "fraud-scorer: as it should be (was act)",
                "payments-audit: 40 s behind (was ok)",
                "train-embeddings: is not seen any more",
            ]
        );
    }

    #[test]
    fn what_became_of_an_action_is_told_once() {
        let before = fixture::picture(Mode::Operate);
        let mut after = fixture::later(&before, 1.0);
        let mut action = after.actions[0].clone();
        action.state = crate::model::ActionState::Expired;
        (action.updated, action.id) = (after.at, crate::model::ActionId(Label::new("another")));
        after.notices = vec![crate::model::Notice { at: after.at, severity: Severity::Ok, text: action.said() }];
        let name = action.workload.clone();
        after.actions = Arc::new([vec![action], after.actions.to_vec()].concat());
        let told: Vec<Entry> = changes(&before, &after);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].text.starts_with(&format!("{name}: ")) && told[0].severity == Severity::Ok, "{told:#?}");
    }

    #[test]
    fn before_the_first_advice_nothing_is_said_to_be_as_it_should_be() {
        let with = |severity: Severity, advice: Option<&str>| {
            let mut picture = fixture::picture(Mode::Operate);
            let view = Arc::make_mut(&mut picture.workloads[0]);
            (view.severity, view.headline) = (severity, String::new());
            if let Some(why) = advice {
                Arc::make_mut(&mut view.advice).recommendation = Err(why.to_owned());
            }
            picture
        };
        let [unknown, quiet, act] = [
            with(Severity::Unknown, Some("two looks are needed")),
            with(Severity::Ok, Some("two looks are needed")),
            with(Severity::Act, None),
        ];
        let first = texts(&unknown, &quiet);
        assert_eq!(first, ["fraud-scorer: nothing is seen to be wrong, no advice: two looks are needed (was unknown)"]);
        let mut log = Log::default();
        log.extend(changes(&quiet, &act));
        assert_eq!(log.since(&act.workloads[0]), None, "it was so before anybody could judge");
        log.extend(changes(&with(Severity::Ok, None), &act));
        assert_eq!(log.since(&act.workloads[0]), Some(act.at));
    }

    #[test]
    fn what_it_is_about_is_named_once() {
        let mut after = fixture::picture(Mode::Watch);
        let mut before = after.clone();
        Arc::make_mut(&mut before.clusters[0]).alerts.clear();
        let alerts = &mut Arc::make_mut(&mut after.clusters[0]).alerts;
        alerts.truncate(1);
        alerts[0].subject = Subject::Broker(3);
        alerts[0].sentence = Label::new("broker 3 does not answer us");
        assert_eq!(texts(&before, &after), ["broker 3: does not answer us"]);
        assert_eq!(texts(&after, &before), ["broker 3: no longer so: does not answer us"]);
    }

    #[test]
    fn many_that_come_at_once_are_a_number() {
        let before = Picture::empty(Mode::Watch, "x", fixture::NOW);
        let after = fixture::crowd(200);
        assert!(texts(&before, &after).contains(&"200 workloads: each appeared".to_owned()));
    }

    #[test]
    fn one_cause_that_changes_hundreds_leaves_room_for_what_was_before() {
        let before = fixture::crowd(500);
        let mut after = before.clone();
        for (i, view) in after.workloads.iter_mut().enumerate() {
            Arc::make_mut(view).severity = if i == 405 { Severity::Act } else { Severity::Unknown };
        }
        let entries = changes(&before, &after);
        assert_eq!(entries.len(), MANY + 1);
        assert_eq!(entries[0].about.as_ref(), Some(&after.workloads[405].workload.name), "the worst is told");
        assert!(entries[MANY].text.ends_with(" more changes, none of them worse"), "{}", entries[MANY].text);
        let mut log = Log::default();
        log.extend(entries);
        let turned = |i: usize| before.workloads[i].severity != after.workloads[i].severity;
        let seen = |i: &usize| before.workloads[*i].severity != Severity::Unknown && turned(*i);
        assert!((0..500).filter(seen).all(|i| log.since(&after.workloads[i]) == Some(after.at)), "told or not");
    }

    #[test]
    fn since_when_is_known_where_it_was_seen_to_begin() {
        let (before, mut log) = (fixture::picture(Mode::Operate), Log::default());
        let turn = |picture: &Picture, i: usize, severity: Severity| {
            let mut next = fixture::later(picture, 10.0);
            Arc::make_mut(&mut next.workloads[i]).severity = severity;
            next
        };
        let worse = turn(&before, 5, Severity::Act);
        log.extend(changes(&before, &worse));
        assert_eq!(log.since(&worse.workloads[5]), Some(worse.at));
        assert_eq!(log.since(&worse.workloads[0]), None, "it was so before we looked");
        let unknown = turn(&worse, 5, Severity::Unknown);
        log.extend(changes(&worse, &unknown));
        let look = turn(&unknown, 5, Severity::Look);
        log.extend(changes(&unknown, &look));
        assert_eq!(log.since(&look.workloads[5]), None, "nobody saw when it began");
        log.extend((0..MOST).map(|i| Entry::new(fixture::NOW, Severity::Ok, i.to_string())));
        assert!(log.turned.is_empty(), "it is kept as long as the entry is");
    }

    #[test]
    fn a_log_keeps_the_newest() {
        let mut log = Log::default();
        log.extend((0..MOST + 5).map(|i| Entry::new(fixture::NOW, Severity::Ok, i.to_string())));
        assert_eq!(log.newest().count(), MOST);
        assert_eq!(log.newest().next().map(|e| e.text.clone()), Some((MOST + 4).to_string()));
    }
}
