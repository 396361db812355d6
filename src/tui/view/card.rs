//! The recommendation with its reasons, its price against the alternatives, what others would do, what holds it back.

use crate::{
    model::{Recommendation, Severity, WorkloadView, duration, si},
    tui::{
        Cx, format,
        theme::Slot,
        widget::{self, span, value},
    },
};
use ratatui::{buffer::Buffer, layout::Rect, text::Line};

/// Draws the panel; what does not fit is cut from the end, where the least important stands.
pub(super) fn draw(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let recommendation = view.advice.recommendation.as_deref().ok();
    let left = recommendation.filter(|r| r.is_change()).map(|r| r.expires.since(cx.now));
    let remark = match left {
        Some(s) if s > 0.0 => format!("expires {}", format::countdown(s)),
        Some(_) => "expired".to_owned(),
        None => String::new(),
    };
    let inner = widget::panel(cx.theme, "Recommendation", &remark, false, area, buf);
    let room = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let lines = lines(cx, view, usize::from(room.width));
    for (y, line) in (room.top()..room.bottom()).zip(lines) {
        widget::put(&line, room.x, y, room, buf);
    }
}

/// The card's lines at a width.
fn lines(cx: &Cx<'_>, view: &WorkloadView, width: usize) -> Vec<Line<'static>> {
    let mut card = Card { cx, width, lines: Vec::new() };
    match &view.advice.recommendation {
        Ok(r) => card.recommendation(view, r),
        Err(why) => {
            card.heading("no recommendation", Slot::Unknown);
            card.text(why, Slot::Text);
            card.text(&view.headline, Slot::Dim);
        }
    }
    card.forecast(view);
    for notice in &view.state.notices {
        card.text(notice.as_str(), Slot::Look);
    }
    card.lines
}

struct Card<'a> {
    cx: &'a Cx<'a>,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Card<'_> {
    fn heading(&mut self, text: &str, slot: Slot) {
        let text = widget::fit(self.cx.theme, text, self.width);
        self.lines.push(Line::from(span(text, self.cx.theme.strong(slot))));
    }

    fn text(&mut self, text: &str, slot: Slot) {
        for line in widget::wrap(text, self.width) {
            let line = widget::fit(self.cx.theme, &line, self.width);
            self.lines.push(Line::from(span(line, self.cx.theme.style(slot))));
        }
    }

    fn recommendation(&mut self, view: &WorkloadView, r: &Recommendation) {
        let g = self.cx.theme.glyphs();
        if let Some(action) = &view.action {
            self.heading(
                &format!("{} {} {} {}", action.from, g.under_way, action.to, action.state.name()),
                Slot::Accent,
            );
        }
        let held = !r.blocked_by.is_empty();
        if r.is_change() {
            let slot = if held {
                Slot::Dim
            } else if view.severity == Severity::Act {
                Slot::Act
            } else {
                Slot::Look
            };
            let when = if held { "held" } else { "now" };
            self.heading(&format!("{} {} {} replicas, {when}", r.current.desired, g.arrow, r.recommended), slot);
        } else {
            self.heading(&format!("stay at {} replicas", r.recommended), Slot::Good);
        }
        for blocked in &r.blocked_by {
            let until = blocked.until.map_or_else(String::new, |t| format!(", until {}", format::clock(t)));
            self.text(&format!("held by {}: {}{until}", blocked.guard, blocked.detail), Slot::Look);
        }
        for reason in &r.reasons {
            self.text(reason, Slot::Text);
        }
        if r.wanted != r.recommended {
            self.text(&format!("the planner wanted {}; guards allow {} now", r.wanted, r.recommended), Slot::Text);
        }
        self.prices(r);
        self.others(r);
        let target = r.target.as_ref().map_or_else(|| "no target: advice only".to_owned(), ToString::to_string);
        let limits = format!("{target} {} {} to {}", g.dot, r.limits.min, r.limits.max);
        self.text(&limits, Slot::Dim);
        self.text(&format!("plan {}", r.plan_hash), Slot::Dim);
    }

    /// What staying costs, what the recommended count costs, then the others.
    fn prices(&mut self, r: &Recommendation) {
        let over = |a: &crate::model::Alternative| match a.slo_minutes {
            m if m >= 0.05 => format!(": {} over the SLO", duration(m * 60.0)),
            _ => String::new(),
        };
        if let Some(stay) = r.price_of(r.current.desired).filter(|_| r.is_change()) {
            self.text(&format!("staying costs {}{}", format::price(stay.price), over(stay)), Slot::Text);
        }
        let others = r.alternatives.iter().filter(|a| a.replicas != r.current.desired || !r.is_change());
        let mut priced: Vec<_> = others.collect();
        priced.sort_by_key(|a| (a.replicas != r.recommended, a.replicas));
        let part = |(i, a): (usize, &&crate::model::Alternative)| {
            let verb = if i == 0 { " costs" } else { "" };
            format!("{}{verb} {}", a.replicas, format::price(a.price))
        };
        if !priced.is_empty() {
            self.text(&priced.iter().enumerate().take(5).map(part).collect::<Vec<_>>().join("; "), Slot::Text);
        }
    }

    fn others(&mut self, r: &Recommendation) {
        let say = |name: &str, n: Option<u32>| n.map(|n| format!("{name} {n}"));
        let parts = [say("HPA", r.others.hpa), say("KEDA", r.others.keda), say("threshold", r.others.threshold)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if !parts.is_empty() {
            self.text(&format!("others would say: {}", parts.join(", ")), Slot::Rival);
        }
    }

    fn forecast(&mut self, view: &WorkloadView) {
        if let Some(f) = &view.advice.forecast {
            let error = f
                .relative_error
                .map_or_else(String::new, |e| format!(", error {} of last value's", format::percent(e)));
            self.text(&format!("forecast: {}{error}", f.model), Slot::Dim);
            for warning in &f.warnings {
                self.text(warning, Slot::Look);
            }
        }
        if let Some(c) = &view.advice.capacity {
            let text = format!(
                "{}/s each ({} to {}), ready in {}",
                si(c.per_replica),
                si(c.low),
                si(c.high),
                duration(c.start_up)
            );
            self.text(&format!("capacity: {text}"), Slot::Dim);
            for assumption in &c.assumptions {
                self.text(assumption, Slot::Dim);
            }
        }
        if view.state.is_stale() {
            let age =
                if view.state.data_age.is_finite() { duration(view.state.data_age) } else { "not known".to_owned() };
            self.text(&format!("data are old: {age}"), value::slot(Severity::Unknown));
        }
    }
}
