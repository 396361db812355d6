//! Training runs: the row of each, and its loss with the end that was fitted to it.

use super::{
    ml::{GAUGE, read},
    tables,
};
use crate::{
    model::{Forecast, Label, LossFit, Quantiles, Severity, Training, duration, si},
    tui::{
        Cx, format, rows,
        theme::Slot,
        widget::{self, chart::Chart, span, table::Column, value},
    },
};
use ratatui::{buffer::Buffer, layout::Rect, text::Line};

/// Points of the fitted curve ahead.
const AHEAD: usize = 60;
/// The fitted curve is drawn at most this many times as far ahead as its past reaches back.
const FAR: f64 = 2.0;
/// Seconds of the past, at least.
const BACK: f64 = 600.0;

pub(super) const COLUMNS: [Column; 8] = [
    Column::words("RUN", 12, 40, 0),
    Column::words("PROGRESS", 13, 16, 0),
    Column::numbers("STEP", 6, 2),
    Column::numbers("STEPS/S", 7, 4),
    Column::numbers("TOKENS/S", 8, 5),
    Column::numbers("LOSS", 6, 1),
    Column::numbers("AT THE END", 10, 3),
    Column::numbers("DONE IN", 7, 1),
];

/// The cells of a run's row.
pub(super) fn cells(cx: &Cx<'_>, row: &rows::Row<'_, Training>, several: bool) -> Vec<Line<'static>> {
    let t = row.item;
    let share = t.step.as_ref().zip(t.total_steps.as_ref()).filter(|(_, all)| all.value > 0.0);
    let done = share.map(|(step, all)| step.value / all.value);
    let mut progress = Line::from(widget::gauge(cx.theme, done, GAUGE, Slot::Gauge));
    progress.spans.push(match done {
        Some(done) => span(format!(" {}", format::percent(done)), cx.theme.style(Slot::Text)),
        None => span(format!(" {}", cx.theme.glyphs().missing), cx.theme.style(Slot::Dim)),
    });
    let mut name = tables::name(cx, row.source, several, t.name.as_str());
    let worst = t.course.alerts.iter().map(|a| a.severity).max();
    if let Some(worst) = worst.filter(|w| *w >= Severity::Look) {
        name.spans.push(span(" ", cx.theme.style(Slot::Text)));
        name.spans.push(value::severity(cx.theme, worst));
    }
    let end = match (&t.course.fit, end(t)) {
        (None, _) => value::missing(cx.theme),
        (Some(_), Some((_, loss))) => Line::from(span(si(loss), cx.theme.style(Slot::Forecast))),
        (Some(_), None) => value::unknown(cx.theme),
    };
    vec![
        name,
        progress,
        read(cx, t.step.as_ref(), si),
        read(cx, t.course.pace.as_ref(), si),
        read(cx, t.token_rate.as_ref(), si),
        read(cx, t.loss.as_ref(), si),
        end,
        read(cx, t.eta.as_ref(), duration),
    ]
}

/// The last step and the loss that is expected there.
fn end(t: &Training) -> Option<(f64, f64)> {
    let fit = t.course.fit.as_ref()?.as_ref().ok()?;
    let last = t.total_steps.as_ref()?.value;
    (last > 0.0).then(|| (last, fit.at(last))).filter(|(_, loss)| loss.is_finite())
}

/// The loss as far as it was seen, and the fitted curve to the end.
pub(super) fn chart(cx: &Cx<'_>, t: &Training, area: Rect, buf: &mut Buffer) {
    let title = format!("{}  loss", t.name);
    let inner = widget::panel(cx.theme, &title, &remark(t), false, area, buf);
    let curve = &t.course.curve;
    if curve.values.is_empty() {
        return widget::empty(cx.theme, "no loss with its step was seen of this run yet", inner, buf);
    }
    let inner = match t.course.alerts.first() {
        Some(alert) if inner.height > 5 => {
            let text = widget::fit(cx.theme, &format!(" {}", alert.sentence), usize::from(inner.width));
            widget::put(&Line::from(span(text, cx.theme.style(Slot::Look))), inner.x, inner.y, inner, buf);
            Rect { y: inner.y + 1, height: inner.height - 1, ..inner }
        }
        _ => inner,
    };
    let now = cx.picture.at;
    let back = now.since(curve.start).max(BACK);
    let left = t.eta.as_ref().map_or(0.0, |eta| eta.value).min(FAR * back);
    let ahead = t.course.fit.as_ref().and_then(|fit| expected(cx, t, fit.as_ref().ok()?, left));
    Chart {
        theme: cx.theme,
        now,
        back,
        ahead: left.max(60.0),
        pan: 0.0,
        zone: &cx.state.zone,
        unit: "",
        from_zero: false,
        history: Some(curve),
        second: None,
        forecast: ahead.as_ref(),
        limits: Vec::new(),
        steps: Vec::new(),
        marks: Vec::new(),
        cross: None,
    }
    .draw(inner, buf);
}

/// The fitted curve over the seconds that are left, at the pace of late: a line, since its error is said beside it.
fn expected(cx: &Cx<'_>, t: &Training, fit: &LossFit, left: f64) -> Option<Forecast> {
    let (step, pace) = (t.step.as_ref()?.value, t.course.pace.as_ref()?.value);
    let each = left / AHEAD as f64;
    let point = |i: usize| {
        let seconds = each * i as f64;
        let p50 = fit.at(step + pace * seconds);
        Quantiles { t: cx.picture.at.plus(seconds), p10: p50, p50, p80: p50, p95: p50 }
    };
    (each > 0.0).then(|| Forecast {
        at: cx.picture.at,
        step: each,
        points: (1..=AHEAD).map(point).collect(),
        model: "power law".to_owned(),
        weights: Vec::new(),
        relative_error: None,
        covered: None,
        warnings: Vec::new(),
    })
}

/// What the fit says, or why there is none.
fn remark(t: &Training) -> String {
    let fit = match &t.course.fit {
        None => return String::new(),
        Some(Err(why)) => return Label::to_string(why),
        Some(Ok(fit)) => fit,
    };
    let missed = fit.missed.map_or_else(String::new, |m| format!(", off by {} on its last quarter", si(m)));
    match end(t) {
        Some((step, loss)) => format!("{} expected at step {}{missed}", si(loss), si(step)),
        None => format!("tends to {}{missed}", si(fit.floor)),
    }
}
