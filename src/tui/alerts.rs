//! What is wrong, worst first, each with its mend and the place where it is seen: gathered from the whole picture.

use super::state::{Pane, View};
use crate::model::{
    Action, ActionState, Gpu, Health, KafkaCluster, Label, Mode, Picture, Severity, Subject, Time, WorkloadView,
};

/// Seconds that a failed action is worth an alert.
const RECENT: f64 = 3_600.0;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Trouble {
    /// What the cursor holds; the same thing keeps its id from refresh to refresh.
    pub id: Label,
    /// How bad.
    pub severity: Severity,
    /// What it is about: `fraud-scorer`, `kafka prod`.
    pub subject: String,
    /// What is wrong, with numbers.
    pub text: String,
    /// What to do about it.
    pub mend: String,
    /// From which numbers and requests it follows, where that is not plain.
    pub evidence: String,
    /// Since when, where that is known.
    pub since: Option<Time>,
    /// Where it is seen.
    pub place: Place,
}

/// Where something is seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// On a workload's own page.
    Workload(Label),
    /// In a row of a table.
    Row(View, Pane, Label),
    /// Nowhere else.
    Here,
}

/// The word of a severity in a list of alerts.
pub fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Act => "CRITICAL",
        Severity::Look => "WARNING",
        Severity::Unknown => "UNKNOWN",
        Severity::Ok => "NOTICE",
    }
}

/// Everything that is wrong in a picture, worst first.
pub fn alerts(picture: &Picture) -> Vec<Trouble> {
    let mut all = Vec::new();
    sources(picture, &mut all);
    for action in picture.actions.iter() {
        of_action(action, picture.at, &mut all);
    }
    for cluster in &picture.clusters {
        of_cluster(cluster, &mut all);
    }
    for (source, gpu) in picture.ml.iter().flat_map(|m| m.gpus.iter().map(move |g| (&m.source, g))) {
        of_gpu(source, gpu, &mut all);
    }
    for view in picture.workloads.iter().filter(|w| w.snoozed.is_none_or(|t| t <= picture.at)) {
        of_workload(view, picture, &mut all);
    }
    all.sort_by_key(|a| std::cmp::Reverse(a.severity)); // stable: equals keep the order above
    all
}

fn id(parts: &[&str]) -> Label {
    Label::new(&parts.join("/"))
}

fn sources(picture: &Picture, all: &mut Vec<Trouble>) {
    for source in &picture.sources {
        let (severity, words) = match source.health {
            Health::Down => (Severity::Act, "does not answer"),
            Health::Degraded => (Severity::Look, "answers in part"),
            Health::Ok if source.is_stale(picture.at) => (Severity::Unknown, "has gone silent"),
            Health::Ok | Health::Connecting => continue,
        };
        all.push(Trouble {
            id: id(&["source", source.kind.name(), source.name.as_str()]),
            severity,
            subject: format!("{} {}", source.kind.name(), source.name),
            text: format!("{words}: {}", source.detail),
            mend: "`highwater check` tries every step of it and names the mend; until then its values are old".into(),
            evidence: String::new(),
            since: Some(source.since),
            place: Place::Here,
        });
    }
    if picture.mode == Mode::Operate && !picture.ledger.writable {
        all.push(Trouble {
            id: id(&["ledger"]),
            severity: Severity::Act,
            subject: "ledger".into(),
            text: format!("cannot be written: {}", picture.ledger.detail),
            mend: "nothing can be approved until decisions can be recorded".into(),
            evidence: String::new(),
            since: None,
            place: Place::Here,
        });
    }
}

fn of_action(action: &Action, now: Time, all: &mut Vec<Trouble>) {
    let (severity, mend) = match action.state {
        ActionState::Unknown => (Severity::Act, "its outcome is being observed: do not repeat it by hand"),
        ActionState::Failed if now.since(action.updated) < RECENT => {
            (Severity::Look, "open it to see the request and the answer; undo is U")
        }
        _ => return,
    };
    all.push(Trouble {
        id: id(&["action", action.id.0.as_str()]),
        severity,
        subject: action.workload.to_string(),
        text: format!("{} to {} {}: {}", action.from, action.to, action.state.name(), action.reason),
        mend: mend.into(),
        evidence: action.evidence.to_string(),
        since: Some(action.updated),
        place: Place::Row(View::Actions, Pane::Actions, action.id.0.clone()),
    });
}

/// What the rules found on a cluster, and what its reader has to say.
fn of_cluster(cluster: &KafkaCluster, all: &mut Vec<Trouble>) {
    let name = cluster.name.as_str();
    for alert in &cluster.alerts {
        let subject = alert.subject.to_string();
        let place = match &alert.subject {
            Subject::Cluster => Place::Here,
            Subject::Broker(broker) => Place::Row(View::Kafka, Pane::Brokers, id(&[name, &broker.to_string()])),
            Subject::Topic(topic) => Place::Row(View::Kafka, Pane::Topics, id(&[name, topic.as_str()])),
            Subject::Group(group) | Subject::GroupPartition { group, .. } => {
                Place::Row(View::Kafka, Pane::Groups, id(&[name, group.as_str()]))
            }
        };
        all.push(Trouble {
            id: id(&["kafka", name, alert.rule, &subject]),
            severity: alert.severity,
            subject: if alert.subject == Subject::Cluster { format!("kafka {name}") } else { subject },
            text: alert.sentence.to_string(),
            mend: alert.mend.to_string(),
            evidence: alert.evidence.to_string(),
            since: Some(alert.since),
            place,
        });
    }
    for (i, notice) in cluster.notices.iter().enumerate() {
        all.push(Trouble {
            id: id(&["cluster", name, &i.to_string()]),
            severity: Severity::Look,
            subject: format!("kafka {name}"),
            text: notice.to_string(),
            mend: String::new(),
            evidence: String::new(),
            since: None,
            place: Place::Here,
        });
    }
}

fn of_gpu(source: &Label, gpu: &Gpu, all: &mut Vec<Trouble>) {
    let Some(xid) = gpu.xid.as_ref().filter(|x| x.value > 0.0) else { return };
    let held = gpu.pod.as_ref().map_or(String::new(), |pod| format!(", held by {pod}"));
    all.push(Trouble {
        id: id(&["gpu", source.as_str(), gpu.host.as_str(), gpu.gpu.as_str()]),
        severity: Severity::Act,
        subject: format!("{} GPU {}", gpu.host, gpu.gpu),
        text: format!("hardware error XID {:.0}{held}", xid.value),
        mend: "drain the node; NVIDIA's XID catalogue says whether a reset is enough".into(),
        evidence: xid.origin.to_string(),
        since: Some(xid.at),
        place: Place::Row(View::Ml, Pane::Gpus, id(&[source.as_str(), gpu.host.as_str(), gpu.gpu.as_str()])),
    });
}

fn of_workload(view: &WorkloadView, picture: &Picture, all: &mut Vec<Trouble>) {
    let name = view.workload.name.as_str();
    let mut push = |what: &str, severity, text: String, mend: String| {
        all.push(Trouble {
            id: id(&["workload", name, what]),
            severity,
            subject: name.to_owned(),
            text,
            mend,
            evidence: String::new(),
            since: None,
            place: Place::Workload(view.workload.name.clone()),
        });
    };
    let notices = &view.state.notices;
    if matches!(view.severity, Severity::Act | Severity::Unknown)
        || (view.severity == Severity::Look && !notices.iter().any(|n| n == view.headline.as_str()))
    {
        push("state", view.severity, view.headline.clone(), mend(view, picture));
    }
    for (i, notice) in notices.iter().enumerate() {
        push(&i.to_string(), Severity::Look, notice.to_string(), "e explains what it rests on".into());
    }
}

/// What to do about a workload's state: the recommendation, or what stands in its way.
fn mend(view: &WorkloadView, picture: &Picture) -> String {
    if let Some(action) = &view.action {
        return format!("{} to {} is {}: wait for it", action.from, action.to, action.state.name());
    }
    match &view.advice.recommendation {
        Err(why) => format!("no advice: {why}"),
        Ok(r) if !r.is_change() => format!("{} replicas are what it needs: look at what is slow", r.recommended),
        Ok(r) => {
            let change = format!("{} to {} replicas", r.current.desired, r.recommended);
            match (r.blocked_by.first(), &r.target) {
                (Some(b), _) => format!("{change}, held back by {}: {}", b.guard, b.detail),
                (None, None) => format!("{change} by hand: no target is configured for it"),
                (None, Some(_)) if picture.mode == Mode::Watch => format!("{change}, in `highwater operate`"),
                (None, Some(_)) => format!("{change}: a approves"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::fixture;

    #[test]
    fn the_worst_comes_first_and_each_thing_once() {
        let picture = fixture::picture(Mode::Operate);
        let all = alerts(&picture);
        assert!(all.is_sorted_by_key(|a| std::cmp::Reverse(a.severity)));
        let mut ids: Vec<&str> = all.iter().map(|a| a.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all.len(), "{all:#?}");
        for subject in ["fraud-scorer", "broker 3"] {
            assert!(all.iter().any(|a| a.subject == subject), "{subject}: {all:#?}");
        }
        assert!(!all.iter().any(|a| a.subject == "payments-audit"), "what is well is no alert");
    }

    #[test]
    fn the_mend_says_what_one_may_do_here() {
        let mend = |mode: Mode| {
            let all = alerts(&fixture::picture(mode));
            all.into_iter().find(|a| a.id == "workload/fraud-scorer/state").map(|a| a.mend).unwrap_or_default()
        };
        assert_eq!(mend(Mode::Operate), "6 to 10 replicas: a approves");
        assert!(mend(Mode::Watch).contains("highwater operate"));
    }
}
