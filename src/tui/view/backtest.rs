//! Who would have cost what on the demand that was seen.

use super::{footer::others, plot};
use crate::{
    model::{WorkloadKind, duration},
    simulate::arena::Score,
    tui::{
        Cx,
        action::Action,
        backtest::Answer,
        format,
        theme::Slot,
        widget::{
            self, span,
            table::{self, Column},
        },
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Direction, Layout, Rect},
    text::Line,
};

const COLUMNS: [Column; 8] = [
    Column::words("  RULE", 16, 40, 0),
    Column::numbers("PRICE", 7, 0),
    Column::words("", 14, 14, 4),
    Column::numbers("MORE", 6, 1),
    Column::numbers("POD-HOURS", 9, 2),
    Column::numbers("LATE MIN", 8, 1),
    Column::numbers("CHANGES", 7, 3),
    Column::numbers("FLAPS", 5, 5),
];
/// Cells of the bar.
const BAR: usize = 14;
/// Lines of the results with six rules and what was assumed.
const RESULTS: u16 = 17;
/// Fewest lines of the charts below them.
const CHART: u16 = 12;

pub(super) fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let Some(view) = cx.frame.workload() else {
        let inner = widget::panel(cx.theme, "Backtest", "", false, area, buf);
        return widget::empty(cx.theme, "there is no workload to play: 1 goes to the overview", inner, buf);
    };
    let name = &view.workload.name;
    // What was asked for stands above what arrived, as far as both have room.
    let [area, below] = match area.height.checked_sub(RESULTS).filter(|left| *left >= CHART) {
        Some(_) => Layout::vertical([Constraint::Length(RESULTS), Constraint::Fill(1)]).areas(area),
        None => [area, Rect::default()],
    };
    if !below.is_empty() {
        plot::both(cx, view, Direction::Horizontal, below, buf);
    }
    let inner = widget::panel(cx.theme, &format!("Backtest of {name}"), "", true, area, buf);
    if view.workload.entity.kind != WorkloadKind::ConsumerGroup {
        let text = format!("{name}: only consumer groups are played so far; {} choose another workload", others(cx));
        return widget::empty(cx.theme, &text, inner, buf);
    }
    let key = cx.state.keymap.hint(Action::Open).unwrap_or_else(|| ":open".into());
    let invite = format!(
        "{key} plays the hours on the chart of {name} under the planner, HPA, KEDA, a CPU rule and a fixed count, three \
         times each, and prices them. {} choose another workload.",
        others(cx)
    );
    let mine = cx.state.backtest.as_ref().filter(|b| b.workload == *name);
    match mine.map(|b| &b.answer) {
        None => widget::empty(cx.theme, &invite, inner, buf),
        Some(None) => playing(cx, mine.and_then(|b| b.played), inner, buf),
        Some(Some(Err(why))) => widget::empty(cx.theme, why, inner, buf),
        Some(Some(Ok(answer))) => results(cx, answer, inner, buf),
    }
}

/// How far it has come.
fn playing(cx: &Cx<'_>, played: Option<(usize, usize)>, area: Rect, buf: &mut Buffer) {
    widget::empty(cx.theme, "playing; the screen goes on meanwhile", area, buf);
    let Some((played, games)) = played.filter(|_| area.height > 2) else { return };
    let share = played as f64 / games.max(1) as f64;
    let mut line = Line::from(widget::gauge(cx.theme, Some(share), BAR, Slot::Accent));
    line.spans.push(span(format!(" {played} of {games} games"), cx.theme.style(Slot::Dim)));
    widget::put(&line, area.x + 1, area.y + 2, area, buf);
}

fn results(cx: &Cx<'_>, answer: &Answer, area: Rect, buf: &mut Buffer) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(answer.rows.len() as u16 + 2),
        Constraint::Fill(1),
    ])
    .areas(area);
    let (begin, seconds) = answer.span;
    let what = format!(
        "{} from {} {}, played {} times; price = pod-hours + minutes late + changes, as configured",
        duration(seconds),
        cx.clock(begin),
        cx.zone(begin),
        answer.seeds
    );
    widget::empty(cx.theme, &what, head, buf);
    let least = answer.rows.first().map_or(0.0, |r| r.1.price);
    let most = answer.rows.iter().map(|r| r.1.price).fold(f64::MIN_POSITIVE, f64::max);
    table::draw(cx.theme, &COLUMNS, answer.rows.len(), None, body, buf, |i| {
        let (name, score) = &answer.rows[i];
        cells(cx, name, score, (least, most))
    });
    let assumed = match answer.assumed.as_slice() {
        [] => String::new(),
        some => format!("assumed: {}", some.join("; ")),
    };
    widget::empty(cx.theme, &assumed, foot, buf);
}

fn cells(cx: &Cx<'_>, name: &str, score: &Score, (least, most): (f64, f64)) -> Vec<Line<'static>> {
    let theme = cx.theme;
    let text = |text: String| Line::from(span(text, theme.style(Slot::Text)));
    // Of several plays: a tenth is as much as it means.
    let mean = |n: f64| Line::from(span(format!("{n:.1}"), theme.style(if n < 0.05 { Slot::Dim } else { Slot::Text })));
    let best = score.price <= least;
    let slot = if best { Slot::Good } else { Slot::Rival };
    let more =
        if best { "best".to_owned() } else { format!("+{}", format::percent(score.price / least.max(1e-9) - 1.0)) };
    let late = if score.slo_minutes > 0.05 { Slot::Act } else { Slot::Dim };
    vec![
        Line::from(span(format!("  {name}"), theme.style(if best { Slot::Good } else { Slot::Text }))),
        text(format::price(score.price)),
        Line::from(widget::gauge(theme, Some(score.price / most), BAR, slot)),
        Line::from(span(more, theme.style(slot))),
        text(format::price(score.pod_hours)),
        Line::from(span(format!("{:.1}", score.slo_minutes), theme.style(late))),
        mean(score.actions),
        mean(score.flaps),
    ]
}
