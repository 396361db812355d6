//! What would happen if: a table of what was played, two lines to an event: with the present count, and with what the
//! planner would then ask for as the guards allow it.

use super::{
    super::{format, theme::Slot},
    text::{Line, wrap},
};
use crate::{
    advise::what_if::{Answer, Case, Course},
    model::{Time, duration, lateness, si},
};
use std::sync::Arc;

/// Columns of the event, and from how many on the highest lag is shown too.
const EVENT: usize = 30;
const WIDE: usize = 73;
/// Columns of what is told of an event on a narrow screen.
const TOLD: usize = 34;

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
    let wide = columns >= WIDE;
    let event = if wide { EVENT } else { columns.saturating_sub(TOLD).clamp(12, EVENT) };
    let peak = if wide { " LAG PEAK" } else { "" };
    let head = format!("{:<event$}{:>5}{peak}{:>8}{:>7}  {}", "IF THERE IS", "COUNT", "BEHIND", "OVER", "CAUGHT UP");
    text.push(vec![(Slot::Head, head)]);
    for case in &answer.cases {
        text.extend(rows(answer, case, event, wide));
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
fn rows(answer: &Answer, case: &Case, columns: usize, wide: bool) -> Vec<Line> {
    let event = |slot: Slot, text: &str| {
        let cut: String = text.chars().take(columns.saturating_sub(1)).collect();
        (slot, format!("{cut:<columns$}"))
    };
    let mut rows = vec![row(answer, event(Slot::Text, &case.event.words()), &case.held, wide)];
    let is_followed = if wide { "  and the planner is followed" } else { "  planner followed" };
    rows.push(match &case.followed {
        Some(followed) => row(answer, event(Slot::Dim, is_followed), followed, wide),
        None => vec![(Slot::Dim, format!("  the planner stays at {}", answer.replicas))],
    });
    rows
}

fn row(answer: &Answer, event: (Slot, String), course: &Course, wide: bool) -> Line {
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
        event,
        (changed, format!("{:>5}", course.replicas)),
        (Slot::Text, if wide { format!("{:>9}", si(course.lag_peak)) } else { String::new() }),
        (
            if course.late_peak > answer.objective { Slot::Act } else { Slot::Text },
            format!("{:>8}", lateness(course.late_peak)),
        ),
        (bad, format!("{over:>7}")),
        (late, format!("  {caught}")),
    ]
}
