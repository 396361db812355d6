//! What one frame costs: the overview at 200×60, with few and with many workloads, and its export.

use highwater::{
    model::Mode,
    tui::{State, Theme, View, draw, export, fixture},
};
use ratatui::{buffer::Buffer, layout::Rect};

const AREA: Rect = Rect { x: 0, y: 0, width: 200, height: 60 };

fn main() {
    divan::main();
}

#[divan::bench(args = [8, 500, 5_000])]
fn overview(bencher: divan::Bencher<'_, '_>, workloads: usize) {
    let picture = fixture::crowd(workloads);
    let (state, theme) = (State::default(), Theme::default());
    let mut buf = Buffer::empty(AREA);
    bencher.bench_local(|| draw(&picture, &state, &theme, fixture::NOW, AREA, &mut buf));
}

#[divan::bench(args = [View::Workload, View::Kafka, View::Ml, View::Alerts, View::Pipeline])]
fn page(bencher: divan::Bencher<'_, '_>, view: View) {
    let picture = fixture::picture(Mode::Operate);
    let state = State { view, ..State::default() };
    let theme = Theme::default();
    let mut buf = Buffer::empty(AREA);
    bencher.bench_local(|| draw(&picture, &state, &theme, fixture::NOW, AREA, &mut buf));
}

#[divan::bench]
fn svg(bencher: divan::Bencher<'_, '_>) {
    let picture = fixture::picture(Mode::Operate);
    let mut buf = Buffer::empty(AREA);
    draw(&picture, &State::default(), &Theme::default(), fixture::NOW, AREA, &mut buf);
    bencher.bench_local(|| export::svg(&buf, &export::SvgOptions::default()).len());
}
