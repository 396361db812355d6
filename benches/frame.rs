//! What one frame costs: the overview at 200×60, with few and with many workloads, and its export.

use highwater::{
    model::{Mode, Picture},
    tui::{State, Theme, View, draw, export, fixture, rows, state::Sort},
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
    frame(bencher, &fixture::picture(Mode::Operate), &State { view, ..State::default() });
}

/// The same pages of 5,000 workloads and 20,000 partitions; a cursor far down, so that it has to be looked for.
#[divan::bench(args = View::ALL)]
fn platform(bencher: divan::Bencher<'_, '_>, view: View) {
    let picture = fixture::platform(5_000, 20_000);
    let mut state = State { view, size: (AREA.width, AREA.height), ..State::default() };
    for pane in view.panes() {
        let last = rows::ids(*pane, &picture, &state).pop();
        state.selected.extend(last.map(|id| (*pane, id)));
    }
    frame(bencher, &picture, &state);
}

/// The overview in each order, and filtered.
#[divan::bench(args = ["worst", "demand", "name", "filtered"])]
fn platform_overview(bencher: divan::Bencher<'_, '_>, order: &str) {
    let sort = match order {
        "demand" => Sort::Demand,
        "name" => Sort::Name,
        _ => Sort::Worst,
    };
    let filter = if order == "filtered" { "lag>1 !state:ok" } else { "" };
    let state = State { sort, filter: filter.into(), ..State::default() };
    frame(bencher, &fixture::platform(5_000, 20_000), &state);
}

/// The first frame of a new picture, whose workloads nobody has looked through.
#[divan::bench(args = ["worst", "name"])]
fn platform_anew(bencher: divan::Bencher<'_, '_>, order: &str) {
    let sort = if order == "name" { Sort::Name } else { Sort::Worst };
    let (state, theme) = (State { sort, ..State::default() }, Theme::default());
    let picture = fixture::platform(5_000, 20_000);
    let mut buf = Buffer::empty(AREA);
    bencher
        .with_inputs(|| Picture { workloads: picture.workloads.to_vec().into(), ..picture.clone() })
        .bench_local_refs(|picture| draw(picture, &state, &theme, fixture::NOW, AREA, &mut buf));
}

/// A frame as the loop makes it: drawn, and compared with the last one.
fn frame(bencher: divan::Bencher<'_, '_>, picture: &Picture, state: &State) {
    let theme = Theme::default();
    let (mut drawn, mut next) = (Buffer::empty(AREA), Buffer::empty(AREA));
    bencher.bench_local(|| {
        next.reset();
        draw(picture, state, &theme, fixture::NOW, AREA, &mut next);
        let changes = drawn.diff(&next).is_empty();
        std::mem::swap(&mut drawn, &mut next);
        changes
    });
}

#[divan::bench]
fn svg(bencher: divan::Bencher<'_, '_>) {
    let picture = fixture::picture(Mode::Operate);
    let mut buf = Buffer::empty(AREA);
    draw(&picture, &State::default(), &Theme::default(), fixture::NOW, AREA, &mut buf);
    bencher.bench_local(|| export::svg(&buf, &export::SvgOptions::default()).len());
}
