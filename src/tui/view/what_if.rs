//! What would happen if: a table of what was played, two lines to an event: with the present count, and with what the
//! planner would then ask for as the guards allow it.

use super::{
    super::{format, theme::Slot},
    text::{Line, wrap},
};
use crate::{
    advise::what_if::{Answer, Case, Course},
    model::{Time, duration, si},
};
use std::sync::Arc;

/// Columns of the event.
const EVENT: usize = 30;

/// The lines of the dialog.
pub(super) fn lines(answer: Option<&Result<Arc<Answer>, String>>, now: Time, columns: usize) -> Vec<Line> {
    match answer {
        None => vec![vec![(Slot::Dim, "playing the next half hour...".to_owned())]],
        Some(Err(why)) => wrap("", Slot::Unknown, why, columns),
        Some(Ok(answer)) => table(answer, now, columns),
    }
}

fn table(answer: &Answer, now: Time, columns: usize) -> Vec<Line> {
    let age = format::age(now.since(answer.at).max(0.0));
    let intro = format!(
        "The next {} from {} UTC ({age} ago), played second by second; the objective is {} behind.",
        duration(answer.seconds),
        format::clock_seconds(answer.at),
        duration(answer.objective)
    );
    let mut text = wrap("", Slot::Dim, &intro, columns);
    text.push(Line::new());
    let head = format!(
        "{:<EVENT$}{:>5}{:>9}{:>8}{:>9}  {}",
        "IF THERE IS", "COUNT", "LAG PEAK", "BEHIND", "OVER", "CAUGHT UP"
    );
    text.push(vec![(Slot::Head, head)]);
    for case in &answer.cases {
        text.extend(rows(answer, case));
    }
    text.push(Line::new());
    let legend = "OVER is time over the objective. The second line of an event: the planner is asked a minute later and each minute from then on, and what the guards leave of it (step limit, cooldown) is done. COUNT is the most that is asked for.";
    text.extend(wrap("", Slot::Dim, legend, columns));
    for sentence in &answer.basis {
        text.extend(wrap("", Slot::Dim, sentence, columns));
    }
    text
}

/// The event with the present count; and with the other count, or that none is asked for.
fn rows(answer: &Answer, case: &Case) -> Vec<Line> {
    let mut event = case.event.words();
    if event.chars().count() >= EVENT {
        event = event.chars().take(EVENT - 1).collect();
    }
    let mut rows = vec![row(answer, (Slot::Text, event), &case.held)];
    rows.push(match &case.followed {
        Some(followed) => row(answer, (Slot::Dim, "  and the planner is followed".to_owned()), followed),
        None => vec![(Slot::Dim, format!("  the planner stays at {}", answer.replicas))],
    });
    rows
}

fn row(answer: &Answer, (slot, event): (Slot, String), course: &Course) -> Line {
    let minutes = course.slo_minutes;
    let over = if minutes > 0.0 { duration(minutes * 60.0) } else { "never".to_owned() };
    let bad = if minutes >= 0.5 { Slot::Act } else { Slot::Text };
    let (caught, late) = match course.caught_up {
        None => (format!("after {}", format::clock(answer.at.plus(answer.seconds))), Slot::Act),
        Some(0.0) => ("never behind".to_owned(), Slot::Good),
        Some(seconds) => (format!("at {}", format::clock(answer.at.plus(seconds))), Slot::Text),
    };
    let changed = if course.replicas == answer.replicas { Slot::Text } else { Slot::Accent };
    vec![
        (slot, format!("{event:<EVENT$}")),
        (changed, format!("{:>5}", course.replicas)),
        (Slot::Text, format!("{:>9}", si(course.lag_peak))),
        (
            if course.late_peak > answer.objective { Slot::Act } else { Slot::Text },
            format!("{:>8}", duration(course.late_peak)),
        ),
        (bad, format!("{over:>9}")),
        (late, format!("  {caught}")),
    ]
}
