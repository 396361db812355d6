//! The recommendation: what to do, what holds it back, why, what it costs against the alternatives, what others would
//! do, and last, in small print, what it rests on.

use crate::{
    model::{Advice, Alternative, Recommendation, Severity, WorkloadKind, WorkloadView, duration, si},
    tui::{
        Cx, action, alerts, format,
        theme::Slot,
        widget::{self, span},
    },
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};

/// Rows of the table of prices beside the present and the recommended count.
const NEAR: usize = 6;
/// Members of the forecast that are named.
const MEMBERS: usize = 5;
/// From so many lines on the prices are a table.
const TALL: u16 = 18;
/// Columns from which the words beside a price are whole.
const NARROW: usize = 40;
/// Cells of a bar in the small print.
const BAR: usize = 10;

/// Draws the panel; what does not fit is cut from the end, where the least important stands, and says where to find it.
pub(super) fn draw(cx: &Cx<'_>, view: &WorkloadView, area: Rect, buf: &mut Buffer) {
    let recommendation = view.advice.recommendation.as_deref().ok();
    let left = recommendation.filter(|r| r.is_change()).map(|r| r.expires.since(cx.now));
    let remark = match left {
        Some(s) if s > 0.0 => format!("expires in {}", format::countdown(s)),
        Some(_) => "expired".to_owned(),
        None => String::new(),
    };
    let inner = widget::panel(cx.theme, "Recommendation", &remark, false, area, buf);
    let room = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let mut card = Card { cx, width: usize::from(room.width), tall: room.height >= TALL, lines: Vec::new() };
    card.write(view);
    let mut lines = card.lines;
    if lines.len() > usize::from(room.height) {
        lines.truncate(usize::from(room.height.saturating_sub(1)));
        lines.push(more(cx, usize::from(room.width)));
    }
    for (y, line) in (room.top()..room.bottom()).zip(lines) {
        widget::put(&line, room.x, y, room, buf);
    }
}

/// Says that there is more, and the key that shows it.
fn more(cx: &Cx<'_>, width: usize) -> Line<'static> {
    let dim = cx.theme.style(Slot::Dim);
    let cut = span(format!("{} ", cx.theme.glyphs().cut), dim);
    let line = match cx.state.keymap.hint(action::Action::Explain) {
        Some(key) => vec![cut, span(key, cx.theme.style(Slot::Key)), span(" explains it all", dim)],
        None => vec![cut],
    };
    widget::fit_line(cx.theme, Line::from(line), width)
}

struct Card<'c, 'a> {
    cx: &'c Cx<'a>,
    width: usize,
    tall: bool,
    lines: Vec<Line<'static>>,
}

impl Card<'_, '_> {
    fn write(&mut self, view: &WorkloadView) {
        match &view.advice.recommendation {
            Ok(r) => self.recommendation(view, r),
            Err(why) => {
                match super::overview::young(self.cx, view) {
                    Some(why) => self.heading(&format!("no recommendation yet: {why}"), Slot::Unknown),
                    None => self.heading("no recommendation", Slot::Unknown),
                }
                self.text(why, Slot::Text);
                self.text(&view.headline, Slot::Dim);
            }
        }
        if view.state.is_stale() {
            let age = view.state.data_age;
            let age = if age.is_finite() { format!("{} old", duration(age)) } else { "not there yet".to_owned() };
            self.text(&format!("the data are {age}"), Slot::Unknown);
        }
        for notice in &view.state.notices {
            self.text(notice.as_str(), Slot::Look);
        }
        self.pipeline(view);
        self.basis(&view.advice);
        if let Ok(r) = &view.advice.recommendation {
            self.plan(view, r);
        }
        self.vertical(view);
    }

    /// What its pods should ask for, by a VPA.
    fn vertical(&mut self, view: &WorkloadView) {
        let Some(v) = &view.state.vertical else { return };
        let age = format::age(self.cx.now.since(v.at));
        self.text(&format!("{} {} {age} old, {}", v.vpa, self.cx.theme.glyphs().dot, v.origin), Slot::Dim);
    }

    /// The first pipeline that it is part of, where nobody wrote that down: guessed links are marked.
    fn pipeline(&mut self, view: &WorkloadView) {
        let name = &view.workload.name;
        let mut all = self.cx.picture.pipelines.iter().filter(|p| p.is_proposed());
        let Some(pipeline) = all.find(|p| p.workloads.contains(name)) else { return };
        let g = self.cx.theme.glyphs();
        let link = |i: usize| match pipeline.link_to(i) {
            None => String::new(),
            Some(link) => format!(" {}{} ", if link.certain { "" } else { g.about }, g.arrow),
        };
        let flow = pipeline.workloads.iter().enumerate().map(|(i, w)| [link(i), w.to_string()].concat());
        let flow = flow.collect::<Vec<_>>().concat();
        let key = self.cx.state.keymap.hint(action::Action::Pipeline);
        let how = key.map_or_else(String::new, |key| format!("; {key} shows what speaks for it"));
        self.text(&format!("proposed pipeline: {flow}{how}"), Slot::Dim);
    }

    fn heading(&mut self, text: &str, slot: Slot) {
        let text = widget::fit(self.cx.theme, text, self.width);
        self.lines.push(Line::from(span(text, self.cx.theme.strong(slot))));
    }

    fn text(&mut self, text: &str, slot: Slot) {
        if text.is_empty() {
            return;
        }
        for line in widget::wrap(text, self.width) {
            self.lines.push(Line::from(span(line, self.cx.theme.style(slot))));
        }
    }

    fn gap(&mut self) {
        if self.tall {
            self.lines.push(Line::default());
        }
    }

    fn recommendation(&mut self, view: &WorkloadView, r: &Recommendation) {
        let (g, noun) = (self.cx.theme.glyphs(), format::noun(view.workload.entity.kind));
        if let Some(a) = &view.action {
            self.heading(&format!("{} {} {} {}", a.from, g.under_way, a.to, a.state.name()), Slot::Accent);
        }
        let held = !r.blocked_by.is_empty();
        if r.is_change() {
            let (slot, when) = match view.severity {
                _ if held => (Slot::Dim, "held"),
                // Some fewer are no answer to what is wrong.
                Severity::Act if r.recommended > r.current.desired => (Slot::Act, "now"),
                _ => (Slot::Look, "now"),
            };
            self.heading(&format!("{} {} {} {noun}, {when}", r.current.desired, g.arrow, r.recommended), slot);
        } else if held {
            self.heading(&format!("{} {noun}, held", r.recommended), Slot::Unknown);
        } else {
            let slot = if view.severity == Severity::Act { Slot::Act } else { Slot::Good };
            self.heading(&format!("stay at {} {noun}", r.recommended), slot);
        }
        self.useless(view, r);
        for blocked in &r.blocked_by {
            let until = blocked.until.map_or_else(String::new, |t| format!(", until {}", self.cx.clock(t)));
            self.text(&format!("held by {}: {}{until}", blocked.guard, blocked.detail), Slot::Look);
        }
        // A low card is cut at its end: what the counts cost is asked for sooner than the third reason.
        let mut reasons = r.reasons.iter().filter(|reason| r.blocked_by.iter().all(|b| b.detail != **reason));
        for reason in reasons.by_ref().take(if self.tall { usize::MAX } else { 2 }) {
            self.text(reason, Slot::Text);
        }
        self.prices(view, r);
        self.others(view, r);
        for reason in reasons {
            self.text(reason, Slot::Text);
        }
    }

    /// Why more replicas would not help a group that is behind: the engineer has to look elsewhere, and is told where.
    fn useless(&mut self, view: &WorkloadView, r: &Recommendation) {
        if view.severity != Severity::Act {
            return;
        }
        if view.state.partitions.is_some_and(|p| r.current.desired >= p && r.recommended >= p) {
            self.text(
                &format!("more cannot help: {} partitions, one replica each", r.recommended.min(r.current.desired)),
                Slot::Look,
            );
        } else if !r.is_change() && r.recommended >= r.limits.max {
            self.text(&format!("{} is the most that its limits allow", r.limits.max), Slot::Look);
        }
        if let Some(words) = alerts::concentrated(view) {
            let key = self.cx.state.keymap.hint(action::Action::Kafka);
            let look = key.map_or_else(String::new, |key| format!("; {key} shows which"));
            self.text(&format!("{words}{look}"), Slot::Look);
        }
    }

    /// What staying costs, what the recommended count costs, and the counts around the two.
    fn prices(&mut self, view: &WorkloadView, r: &Recommendation) {
        if r.alternatives.is_empty() {
            return;
        }
        let unit = format::price_unit(&view.workload.price);
        // A queue is priced to its end, whatever is forecast of it.
        let queue = view.workload.entity.kind == WorkloadKind::Batch;
        let over_next = view.advice.forecast.as_ref().filter(|_| !queue).map(|f| duration(f.horizon()));
        if self.tall {
            let ahead = over_next.map_or_else(String::new, |t| format!(", next {t}"));
            let ahead = if queue { ", until what waits is done".to_owned() } else { ahead };
            self.price_table(r);
            self.text(
                &format!("price: {unit}{ahead}; of each count as kept, of the chosen one as its plan goes on"),
                Slot::Dim,
            );
            return self.gap();
        }
        let ahead = over_next.map_or_else(String::new, |t| format!(" in {t}"));
        let ahead = if queue { " until what waits is done".to_owned() } else { ahead };
        let beside = |a: &Alternative| format!("{}: {}", a.replicas, format::price(a.price));
        let beside = neighbours(r).map(beside).collect::<Vec<_>>().join(", ");
        let beside = if beside.is_empty() { beside } else { format!(" ({beside})") };
        let chosen = r.price_of(r.recommended);
        let chosen = chosen.map(|a| format!("{} costs {} {unit}{ahead}{beside}", a.replicas, format::price(a.price)));
        let stay = r.price_of(r.current.desired).filter(|_| r.is_change());
        let stay = stay.map(|a| format!("staying costs {}, {}", format::price(a.price), over(a)));
        self.text(&chosen.into_iter().chain(stay).collect::<Vec<_>>().join("; "), Slot::Text);
    }

    fn price_table(&mut self, r: &Recommendation) {
        let theme = self.cx.theme;
        let chosen = r.price_of(r.recommended);
        // In a narrow card shorter words: they say which line is which.
        let (gap, room, head, own) = if self.width < NARROW {
            (" ", 7, "REPLICAS    PRICE OVER", ["keep", "plan"])
        } else {
            ("  ", 8, "REPLICAS    PRICE  OVER THE OBJECTIVE", ["now: keep", "recommended"])
        };
        self.gap();
        self.lines.push(Line::from(span(head, theme.style(Slot::Head))));
        for a in nearest(r) {
            let (word, slot) = match a.replicas {
                n if n == r.recommended && !r.is_change() => (own[0], Slot::Good),
                n if n == r.recommended => (own[1], Slot::Accent),
                n if n == r.current.desired => ("now", Slot::Text),
                _ => ("", Slot::Dim),
            };
            let minutes = if a.slo_minutes >= 0.05 { duration(a.slo_minutes * 60.0) } else { "never".to_owned() };
            // Red: clearly worse than what is recommended.
            let worse = chosen.is_some_and(|c| a.slo_minutes > c.slo_minutes + 1.0);
            let late = if worse { Slot::Act } else { slot };
            let line = Line::from(vec![
                span(format!("{:>8}", a.replicas), theme.style(slot)),
                span(format!("{:>9}", format::price(a.price)), theme.style(slot)),
                span(format!("{gap}{minutes:<room$}"), theme.style(late)),
                span(format!("{gap}{word}"), theme.style(slot)),
            ]);
            self.lines.push(widget::fit_line(theme, line, self.width));
        }
    }

    fn others(&mut self, view: &WorkloadView, r: &Recommendation) {
        let said = format::rivals(&view.state, r).into_iter();
        let parts: Vec<String> = said.filter_map(|(name, n)| Some(format!("{name} {}", n?))).collect();
        if !parts.is_empty() {
            self.text(&format!("others would say: {}", parts.join(", ")), Slot::Rival);
        }
    }

    /// Whether it can be trusted: forecast and capacity, their errors and what was assumed.
    fn basis(&mut self, advice: &Advice) {
        self.gap();
        if let Some(f) = &advice.forecast {
            let error = f.relative_error.map_or_else(
                || "its error is not known yet".to_owned(),
                |e| format!("its error is {} of repeating the last value", format::percent(e)),
            );
            let slot = if super::explain::is_worse(f) { Slot::Look } else { Slot::Dim };
            self.text(&format!("forecast {}: {error}", f.model), slot);
            self.text(super::explain::used_all_the_same(f), Slot::Dim);
            if self.tall {
                if let Some(c) = &f.covered {
                    let (within, count) = (format::percent(c.at_80), c.count);
                    self.text(&format!("of {count} past values {within} came within p80"), Slot::Dim);
                }
                self.weights(&f.weights);
            }
            for warning in &f.warnings {
                self.text(warning, Slot::Look);
            }
        }
        if let Some(c) = &advice.capacity {
            let seen = match c.samples {
                0 => " or more".to_owned(),
                n => format!(", {} to {} in {n} observations", si(c.low), si(c.high)),
            };
            let ready = duration(c.start_up);
            self.text(&format!("capacity {}/s a replica{seen}; ready in {ready}", si(c.per_replica)), Slot::Dim);
            for assumption in &c.assumptions {
                self.text(assumption, Slot::Dim);
            }
        }
    }

    /// The share that each member has in the forecast.
    fn weights(&mut self, weights: &[(String, f64)]) {
        let theme = self.cx.theme;
        let dim = theme.style(Slot::Dim);
        for (name, weight) in weights.iter().take(MEMBERS).filter(|(_, w)| *w >= 0.005) {
            let mut spans: Vec<Span<'static>> = vec![span(format!("  {name:<12} "), dim)];
            spans.extend(widget::gauge(theme, Some(*weight), BAR, Slot::Forecast));
            spans.push(span(format!(" {:>4}", format::percent(*weight)), dim));
            self.lines.push(widget::fit_line(theme, Line::from(spans), self.width));
        }
    }

    fn plan(&mut self, view: &WorkloadView, r: &Recommendation) {
        let dot = self.cx.theme.glyphs().dot;
        let target = r.target.as_ref().map_or_else(|| "no target: advice only".to_owned(), ToString::to_string);
        let guess = view.workload.found.as_ref().filter(|f| !f.certain);
        let target = guess.map_or_else(
            || target.clone(),
            |f| format!("{}{target}, a guess: {}", self.cx.theme.glyphs().about, f.why()),
        );
        let limits = format!("{target} {dot} allowed {} to {}", r.limits.min, r.limits.max);
        self.text(&limits, Slot::Dim);
        self.text(&format!("plan {}", r.plan_hash), Slot::Dim);
    }
}

/// How long a count is over the objective, in words.
pub(super) fn over(a: &Alternative) -> String {
    if a.slo_minutes >= 0.05 {
        format!("{} over the objective", duration(a.slo_minutes * 60.0))
    } else {
        "within the objective".to_owned()
    }
}

/// The counts just below and just above the recommended one: "why not one less, why not one more?".
fn neighbours(r: &Recommendation) -> impl Iterator<Item = &Alternative> {
    let below = r.alternatives.iter().filter(|a| a.replicas < r.recommended).max_by_key(|a| a.replicas);
    let above = r.alternatives.iter().filter(|a| a.replicas > r.recommended).min_by_key(|a| a.replicas);
    // What staying costs stands in a sentence of its own.
    below.into_iter().chain(above).filter(|a| a.replicas != r.current.desired)
}

/// The present and the recommended count and the others nearest to one of them, by count.
fn nearest(r: &Recommendation) -> Vec<&Alternative> {
    let distance = |a: &Alternative| a.replicas.abs_diff(r.recommended).min(a.replicas.abs_diff(r.current.desired));
    let mut all: Vec<&Alternative> = r.alternatives.iter().collect();
    all.sort_by_key(|a| (distance(a), a.replicas.abs_diff(r.recommended)));
    let own = all.iter().filter(|a| distance(a) == 0).count();
    all.truncate(own + NEAR);
    all.sort_by_key(|a| a.replicas);
    all
}
