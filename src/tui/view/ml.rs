//! The ML side: inference services, GPUs, queues, training runs.

use super::{
    overview,
    tables::{self, Page, Part, Places, Sheet},
    training,
};
use crate::{
    model::{Gpu, Queue, Reading, Service, SourceKind, Training, WorkloadKind, WorkloadView, duration, si},
    tui::{
        Cx, format,
        past::not_kept,
        rows,
        state::Pane,
        theme::Slot,
        widget::{self, span, table::Column, value},
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    text::Line,
};
use std::sync::Arc;

/// Age beyond which a reading is old: Prometheus itself looks back five minutes, scrapes are seconds apart.
const OLD: f64 = 60.0;
/// From here on a GPU or a cache is nearly full.
const NEARLY_FULL: f64 = 0.9;
/// Cells of a gauge.
pub(super) const GAUGE: usize = 8;

/// Draws the page.
pub fn draw(cx: &Cx<'_>, area: Rect, buf: &mut Buffer) {
    let rows = Rows {
        cx,
        several: cx.picture.ml.len() > 1,
        services: rows::services(cx.picture, cx.state),
        gpus: rows::gpus(cx.picture, cx.state),
        queues: rows::queues(cx.picture, cx.state),
        trainings: rows::trainings(cx.picture, cx.state),
    };
    let rows = &rows;
    let part = |pane, tab, charted, draw| Part { pane, tab, more: 0, charted, draw };
    Page {
        cx,
        parts: [
            part(
                Pane::Services,
                ("services", rows.services.len()),
                true,
                Box::new(|area, buf| rows.services(area, buf)),
            ),
            part(Pane::Gpus, ("GPUs", rows.gpus.len()), false, Box::new(|area, buf| rows.gpus(area, buf))),
            part(Pane::Queues, ("queues", rows.queues.len()), true, Box::new(|area, buf| rows.queues(area, buf))),
            part(
                Pane::Trainings,
                ("training", rows.trainings.len()),
                true,
                Box::new(|area, buf| rows.trainings(area, buf)),
            ),
        ],
        charts: rows.charts(),
        roomy: (100, 24),
    }
    .draw(arrange, area, buf);
}

/// Services above, their charts, the GPUs with what is left, queues and training side by side.
fn arrange([services, gpus, queues, trainings]: [usize; 4], area: Rect, charted: bool) -> Places {
    let tall = |n: usize| n.clamp(2, 12) as u16 + 3;
    let services = tall(services).min(area.height / 3);
    let work = tall(queues.max(trainings)).min(area.height / 4);
    let left = area.height.saturating_sub(services + work + gpus.max(2) as u16 + 3);
    let charts = tables::room_for_charts(if charted { left } else { 0 });
    let [top, charts, middle, bottom] = Layout::vertical([
        Constraint::Length(services),
        Constraint::Length(charts),
        Constraint::Fill(1),
        Constraint::Length(work),
    ])
    .areas(area);
    let [left, right] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(bottom);
    Places { parts: [top, middle, left, right], charts }
}

struct Rows<'c, 'a> {
    cx: &'c Cx<'a>,
    several: bool,
    services: Vec<rows::Row<'a, Service>>,
    gpus: Vec<rows::Row<'a, Gpu>>,
    queues: Vec<rows::Row<'a, Queue>>,
    trainings: Vec<rows::Row<'a, Training>>,
}

impl<'a> Rows<'_, 'a> {
    /// The loss of the run under the cursor where the cursor is among the runs, else the charts of a workload.
    fn charts(&self) -> Option<tables::Draw<'_>> {
        let state = self.cx.state;
        if state.pane() == Pane::Trainings && !self.trainings.is_empty() {
            let run = self.trainings.get(rows::cursor(Pane::Trainings, &self.trainings, state))?.item;
            return Some(Box::new(move |area, buf| training::chart(self.cx, run, area, buf)));
        }
        self.current().map(|view| tables::charts_of(self.cx, view))
    }

    /// The workload that the service under the cursor is; among the queues, the one that the queue is.
    fn current(&self) -> Option<&'a WorkloadView> {
        let state = self.cx.state;
        let view = if state.pane() == Pane::Queues {
            let row = self.queues.get(rows::cursor(Pane::Queues, &self.queues, state))?;
            self.cx.picture.workloads.entity(WorkloadKind::Batch, row.source, &row.item.name)
        } else {
            self.services
                .get(rows::cursor(Pane::Services, &self.services, state))
                .and_then(|row| workload(self.cx, row))
        };
        view.map(AsRef::as_ref)
    }

    fn services(&self, area: Rect, buf: &mut Buffer) {
        let sheet = Sheet {
            pane: Pane::Services,
            title: "Inference services".to_owned(),
            columns: &SERVICES,
            rows: &self.services,
            at: rows::cursor(Pane::Services, &self.services, self.cx.state),
            above: Vec::new(),
            empty: nothing(
                self.cx,
                "no inference services: none of vLLM, Triton, TGI, Ray Serve, KServe… exports metrics here",
            ),
        };
        sheet.draw(self.cx, area, buf, |row| service(self.cx, row, self.several));
    }

    fn gpus(&self, area: Rect, buf: &mut Buffer) {
        let known: Vec<f64> = self.gpus.iter().filter_map(|g| Some(g.item.utilisation.as_ref()?.value)).collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        let title = if known.is_empty() {
            "GPUs".to_owned()
        } else {
            format!("GPUs, {} busy on average", format::percent(mean))
        };
        let sheet = Sheet {
            pane: Pane::Gpus,
            title,
            columns: &GPUS,
            rows: &self.gpus,
            at: rows::cursor(Pane::Gpus, &self.gpus, self.cx.state),
            above: Vec::new(),
            empty: nothing(self.cx, "no GPUs: neither DCGM nor another GPU exporter is scraped here"),
        };
        sheet.draw(self.cx, area, buf, |row| gpu(self.cx, row, self.several));
    }

    fn queues(&self, area: Rect, buf: &mut Buffer) {
        let sheet = Sheet {
            pane: Pane::Queues,
            title: "Queues".to_owned(),
            columns: &QUEUES,
            rows: &self.queues,
            at: rows::cursor(Pane::Queues, &self.queues, self.cx.state),
            above: Vec::new(),
            empty: nothing(self.cx, "no work queues: neither Kueue nor Celery nor RabbitMQ exports metrics here"),
        };
        sheet.draw(self.cx, area, buf, |row| queue(self.cx, row, self.several));
    }

    fn trainings(&self, area: Rect, buf: &mut Buffer) {
        let sheet = Sheet {
            pane: Pane::Trainings,
            title: "Training".to_owned(),
            columns: &training::COLUMNS,
            rows: &self.trainings,
            at: rows::cursor(Pane::Trainings, &self.trainings, self.cx.state),
            above: Vec::new(),
            empty: nothing(
                self.cx,
                "no training runs: export training_step and training_loss, or give a pack the names that yours has",
            ),
        };
        sheet.draw(self.cx, area, buf, |row| training::cells(self.cx, row, self.several));
    }
}

/// Adds what the sources say to a sentence about nothing.
fn nothing(cx: &Cx<'_>, text: &str) -> String {
    if !cx.state.filter.is_empty() {
        return format!("nothing matches the filter {:?}; Esc clears it", cx.state.filter);
    }
    if let Some(why) = not_kept(cx.picture, cx.state) {
        return why.to_owned();
    }
    let Some(source) = cx.picture.sources.iter().find(|s| s.kind == SourceKind::Prometheus) else {
        return "no Prometheus is configured: `--prometheus URL`, or [prometheus.NAME] in the configuration".to_owned();
    };
    let packs: Vec<&str> = cx.picture.ml.iter().flat_map(|m| &m.packs).map(crate::model::Label::as_str).collect();
    let packs = if packs.is_empty() {
        "no pack matched".to_owned()
    } else {
        format!("packs that matched: {}", packs.join(", "))
    };
    format!("{text}. {}: {}; {packs}", format::source(source), source.detail)
}

pub(super) fn read(cx: &Cx<'_>, reading: Option<&Reading>, print: impl Fn(f64) -> String) -> Line<'static> {
    value::reading(cx.theme, reading, cx.now, OLD, print)
}

fn workload<'a>(cx: &Cx<'a>, row: &rows::Row<'_, Service>) -> Option<&'a Arc<WorkloadView>> {
    cx.picture.workloads.entity(WorkloadKind::Inference, row.source, &row.item.name)
}

const SERVICES: [Column; 14] = [
    Column::words("SERVICE", 12, 40, 0),
    Column::words("PACK", 6, 12, 9),
    Column::numbers("REPLICAS", 8, 6),
    Column::words("NOW → NEED", 10, 18, 4),
    Column::numbers("WAITING", 7, 0),
    Column::numbers("RUNNING", 7, 3),
    Column::numbers("REQ/S", 6, 2),
    Column::numbers("TOKENS/S", 8, 7),
    Column::numbers("TTFT P95", 8, 1),
    Column::numbers("ITL P95", 7, 4),
    Column::numbers("E2E P95", 7, 2),
    Column::numbers("QUEUE P95", 9, 8),
    Column::numbers("KV CACHE", 8, 3),
    Column::words("OBJECTIVE", 9, 24, 5),
];

fn service(cx: &Cx<'_>, row: &rows::Row<'_, Service>, several: bool) -> Vec<Line<'static>> {
    let s = row.item;
    let view = workload(cx, row);
    // Red: over the workload's own objective.
    let timed = |reading: Option<&Reading>, limit: Option<f64>| {
        let line = read(cx, reading, duration);
        let over = reading.zip(limit).is_some_and(|(r, limit)| r.value > limit && r.age(cx.now) <= OLD);
        if over { value::restyle(line, cx.theme, Slot::Act) } else { line }
    };
    let slo = view.map(|v| v.workload.slo.clone()).unwrap_or_default();
    let full = s.kv_cache.as_ref().is_some_and(|r| r.value >= NEARLY_FULL);
    let cache = read(cx, s.kv_cache.as_ref(), format::percent);
    vec![
        tables::name(cx, row.source, several, s.name.as_str()),
        Line::from(span(s.pack.to_string(), cx.theme.style(Slot::Dim))),
        read(cx, s.replicas.as_ref(), si),
        view.map_or_else(|| value::missing(cx.theme), |v| overview::need(cx, v)),
        read(cx, s.waiting.as_ref(), si),
        read(cx, s.running.as_ref(), si),
        read(cx, s.request_rate.as_ref(), si),
        read(cx, s.token_rate.as_ref(), si),
        timed(s.ttft_p95.as_ref(), slo.ttft_p95),
        timed(s.inter_token_p95.as_ref(), slo.inter_token_p95),
        timed(s.latency_p95.as_ref(), slo.latency_p95),
        timed(s.queue_p95.as_ref(), slo.queue_p95),
        if full { value::restyle(cache, cx.theme, Slot::Look) } else { cache },
        view.map_or_else(|| value::missing(cx.theme), |v| overview::objective(cx, v)),
    ]
}

const GPUS: [Column; 9] = [
    Column::words("GPU", 9, 40, 0),
    Column::words("UTILISATION", 13, 20, 0),
    Column::words("MEMORY", 13, 34, 1),
    Column::numbers("POWER", 6, 3),
    Column::numbers("TEMP", 6, 2),
    Column::words("POD", 10, 40, 4),
    Column::words("MODEL", 10, 30, 6),
    Column::words("XID", 5, 26, 2),
    Column::numbers("SEEN", 5, 5),
];

fn gpu(cx: &Cx<'_>, row: &rows::Row<'_, Gpu>, several: bool) -> Vec<Line<'static>> {
    let (theme, g) = (cx.theme, row.item);
    let dim = theme.style(Slot::Dim);
    let share = g.memory_used.as_ref().zip(g.memory_total.as_ref()).filter(|(_, all)| all.value > 0.0);
    let share = share.map(|(used, all)| (used.value / all.value, used, all.value));
    // A busy GPU is as it should be; a full memory is what ends a service.
    let bar = |ratio: Option<f64>, slot: Slot| {
        let mut line = Line::from(widget::gauge(theme, ratio, GAUGE, slot));
        line.spans.push(span(" ", dim));
        line
    };
    let full = share.as_ref().is_some_and(|s| s.0 >= NEARLY_FULL);
    let old = g.utilisation.as_ref().is_some_and(|r| r.age(cx.now) > OLD);
    let mut busy = bar(g.utilisation.as_ref().map(|r| r.value), if old { Slot::Dim } else { Slot::Gauge });
    busy.spans.extend(read(cx, g.utilisation.as_ref(), format::percent).spans);
    let mut memory = bar(
        share.map(|s| s.0),
        if old {
            Slot::Dim
        } else if full {
            Slot::Look
        } else {
            Slot::Gauge
        },
    );
    memory.spans.extend(match share {
        Some((_, used, all)) => {
            read(cx, Some(used), |v| format!("{:.1}/{}", v / 1024_f64.powi(3), format::bytes(all))).spans
        }
        None => read(cx, g.memory_used.as_ref(), format::bytes).spans,
    });
    let xid = match &g.xid {
        Some(r) if r.value > 0.0 => {
            Line::from(span(format!("{} XID {}", theme.glyphs().act, si(r.value)), theme.style(Slot::Act)))
        }
        Some(_) => Line::from(span("none", dim)),
        None => value::missing(theme), // its exporter tells none, which is not the same
    };
    let words = |l: Option<&crate::model::Label>, free: &str| {
        Line::from(span(l.map_or_else(|| free.to_owned(), ToString::to_string), dim))
    };
    vec![
        tables::name(cx, row.source, several, &format!("{}/{}", g.host, g.gpu)),
        busy,
        memory,
        read(cx, g.power.as_ref(), |w| format!("{w:.0} W")),
        read(cx, g.temperature.as_ref(), |t| format!("{t:.0} °C")),
        words(g.pod.as_ref(), theme.glyphs().missing),
        words(g.model.as_ref(), theme.glyphs().missing),
        xid,
        g.utilisation
            .as_ref()
            .map_or_else(|| value::missing(theme), |r| Line::from(span(format::age(r.age(cx.now)), dim))),
    ]
}

const QUEUES: [Column; 5] = [
    Column::words("QUEUE", 12, 40, 0),
    Column::words("PACK", 6, 12, 3),
    Column::numbers("WAITING", 7, 0),
    Column::numbers("RUNNING", 7, 1),
    Column::numbers("WORKERS", 7, 2),
];

fn queue(cx: &Cx<'_>, row: &rows::Row<'_, Queue>, several: bool) -> Vec<Line<'static>> {
    let q = row.item;
    vec![
        tables::name(cx, row.source, several, q.name.as_str()),
        Line::from(span(q.pack.to_string(), cx.theme.style(Slot::Dim))),
        read(cx, q.waiting.as_ref(), si),
        read(cx, q.running.as_ref(), si),
        read(cx, q.workers.as_ref(), si),
    ]
}
