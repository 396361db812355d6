//! The plan of a whole day: what is expected, when how many would be asked for, and what that costs beside keeping the
//! present count and beside the autoscaler that is there.

use super::{plot, workload};
use crate::{
    advise,
    model::{DayCourse, DayPlan, PlanStep, WorkloadView, duration, si},
    tui::{
        Cx, format,
        theme::Slot,
        widget::{
            self, span,
            table::{self, Column},
        },
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    text::Line,
};
use unicode_width::UnicodeWidthStr;

/// Columns from which the numbers stand beside the chart.
const WIDE: u16 = 120;
/// Columns of the numbers then.
const SIDE: u16 = 56;

/// Draws the page.
pub fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let say = |text: &str, buf: &mut Buffer| {
        let inner = widget::panel(cx.theme, "A day ahead", "", false, area, buf);
        widget::empty(cx.theme, text, inner, buf);
    };
    let Some(view) = cx.frame.workload() else {
        return say(&workload::nobody(cx), buf);
    };
    let name = &view.workload.name;
    let none = |why: &str| format!("{name}: no plan of the day: {why}");
    match view.day.as_deref() {
        None => match advise::day::none_because(&view.workload, &view.state, view.advice.capacity.as_ref()) {
            Some(why) => say(&none(&why), buf),
            None => say(&format!("{name}: the plan of the day is being worked out"), buf),
        },
        Some(Err(why)) => say(&none(why), buf),
        Some(Ok(plan)) => page(cx, view, plan, area, buf),
    }
}

fn page(cx: &Cx<'_>, view: &WorkloadView, plan: &DayPlan, area: Rect, buf: &mut Buffer) {
    let courses = plan.courses.len() as u16 + 3;
    if area.width >= WIDE {
        let [left, side] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(SIDE)]).areas(area);
        plot::day(cx, view, plan, left, buf);
        let basis = basis(cx, plan, usize::from(SIDE - 4));
        let [one, two, three] = Layout::vertical([
            Constraint::Length(courses + HEAD_LINES),
            Constraint::Fill(1),
            Constraint::Length((basis.len() as u16 + 2).min(side.height / 3)),
        ])
        .areas(side);
        compared(cx, view, plan, one, buf);
        steps(cx, plan, two, buf);
        let inner = widget::panel(cx.theme, "It rests on", "", false, three, buf);
        for (y, line) in (inner.top()..inner.bottom()).zip(basis) {
            widget::put(&line, inner.x + 1, y, inner, buf);
        }
        return;
    }
    let foot = courses.max(9).min(area.height / 2);
    let [top, bottom] = Layout::vertical([Constraint::Fill(1), Constraint::Length(foot)]).areas(area);
    plot::day(cx, view, plan, top, buf);
    let [left, right] = Layout::horizontal([Constraint::Length(26), Constraint::Fill(1)]).areas(bottom);
    steps(cx, plan, left, buf);
    compared(cx, view, plan, right, buf);
}

const COURSES: [Column; 6] = [
    Column::words("  WHO", 14, 24, 0),
    Column::numbers("POD-HOURS", 9, 1),
    Column::numbers("LATE", 6, 0),
    Column::numbers("IF BUSY", 7, 2),
    Column::numbers("CHANGES", 7, 4),
    Column::numbers("PRICE", 6, 3),
];

/// What the table's heads mean; lines of it where the page is wide.
const HEADS: &str = "late: over the objective; if busy: all day on the p95 path with these same steps; price: pods, lateness and changes of the day";
const HEAD_LINES: u16 = 3;

/// What the day costs under each. The cheapest is marked where it is not the later one on a busy day: cheap because it
/// does not move is no merit.
fn compared(cx: &Cx<'_>, view: &WorkloadView, plan: &DayPlan, area: Rect, buf: &mut Buffer) {
    let theme = cx.theme;
    let unit = format::price_unit(&view.workload.price);
    let inner = widget::panel(theme, &format!("What the day costs, {unit}"), "", false, area, buf);
    let least = |of: fn(&DayCourse) -> f64| plan.courses.iter().map(of).fold(f64::INFINITY, f64::min);
    let (cheapest, calmest) = (least(|c| c.price), least(|c| c.slo_minutes_high));
    let late = |minutes: f64| if minutes >= 0.05 { duration(minutes * 60.0) } else { "never".to_owned() };
    table::draw(theme, &COURSES, plan.courses.len(), None, inner, buf, |i| {
        let course: &DayCourse = &plan.courses[i];
        let best = course.price <= cheapest && course.slo_minutes_high <= calmest + 1.0;
        let slot = if best { Slot::Good } else { Slot::Text };
        let text = |text: String, slot: Slot| Line::from(span(text, theme.style(slot)));
        let red = |minutes: f64, slot: Slot| text(late(minutes), if minutes >= 1.0 { Slot::Act } else { slot });
        vec![
            text(format!("{} {}", if best { theme.glyphs().cursor } else { " " }, course.name), slot),
            text(format!("{:.0}", course.pod_hours), slot),
            red(course.slo_minutes, slot),
            red(course.slo_minutes_high, slot),
            text(course.actions.to_string(), slot),
            text(format::price(course.price), slot),
        ]
    });
    let below = inner.top() + plan.courses.len() as u16 + 1;
    let heads = widget::wrap(HEADS, usize::from(inner.width.saturating_sub(2)));
    for (y, line) in (below..inner.bottom()).zip(heads) {
        widget::put(&Line::from(span(line, theme.style(Slot::Dim))), inner.x + 1, y, inner, buf);
    }
}

/// Columns of the time before a step.
const CLOCK: usize = 7;

/// When how many are asked for: one to a line, or two where they are too many for that.
fn steps(cx: &Cx<'_>, plan: &DayPlan, area: Rect, buf: &mut Buffer) {
    let theme = cx.theme;
    let changes = plan.steps.len().saturating_sub(1);
    let inner = widget::panel(theme, &format!("Steps, {}", cx.zone(cx.now)), &format!("{changes}"), false, area, buf);
    if changes == 0 {
        return widget::empty(theme, "the present count is right all day", inner, buf);
    }
    let rows = usize::from(inner.height).max(1);
    let arrow = theme.glyphs().arrow;
    let short = |pair: &[PlanStep]| format!("{}{arrow}{}", pair[0].replicas, pair[1].replicas);
    let widest = plan.steps.windows(2).map(|pair| short(pair).width()).max().unwrap_or_default();
    // A count that the next column overwrites would be another count.
    let fits = CLOCK + widest <= usize::from(inner.width / 2);
    let (columns, shown) = match changes {
        few if few <= rows => (1, few),
        _ if fits => (2, 2 * rows),
        _ => (1, rows),
    };
    // Since the plan was made: a step that has come due is the first thing to do, not gone.
    for (i, pair) in plan.steps.windows(2).take(shown).enumerate() {
        let (before, step): (&PlanStep, &PlanStep) = (&pair[0], &pair[1]);
        let change = i64::from(step.replicas) - i64::from(before.replicas);
        let slot = if change > 0 { Slot::Accent } else { Slot::Text };
        let left = changes - i;
        let words = match columns {
            _ if i + 1 == shown && left > 1 => format!("{} {left} more", theme.glyphs().cut),
            1 => format!(" {:>4} {arrow} {:<4}{change:+}", before.replicas, step.replicas),
            _ => short(pair),
        };
        let mut line = vec![span(format!(" {} ", cx.clock(step.at)), theme.style(Slot::Dim))];
        if i + 1 == shown && left > 1 {
            line.clear();
        }
        line.push(span(words, theme.style(slot)));
        let x = inner.x + (i / rows) as u16 * (inner.width / 2);
        widget::put(&Line::from(line), x, inner.y + (i % rows) as u16, inner, buf);
    }
}

fn basis(cx: &Cx<'_>, plan: &DayPlan, columns: usize) -> Vec<Line<'static>> {
    let forecast = &plan.forecast;
    let error = forecast
        .relative_error
        .map(|e| format!("forecast {}: {} of the error of the last value", forecast.model, format::percent(e)));
    let when = |at| format!("{} {}", cx.clock(at), cx.zone(at));
    let peak = forecast.peak(|q| q.p80).map(|(at, v)| format!("p80 peaks at {}/s at {}", si(v), when(at)));
    let own = ["each step comes up for approval at its time, planned anew".to_owned()];
    let all = plan.basis.iter().cloned().chain(error).chain(peak).chain(own);
    let lines = all.flat_map(|text| widget::wrap(&text, columns));
    lines.map(|line| Line::from(span(line, cx.theme.style(Slot::Dim)))).collect()
}
