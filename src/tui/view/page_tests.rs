//! Every page at every size: snapshots of what a person sees, and that no data and no size break it.

use crate::{
    advise::what_if::{Event, Question},
    model::{
        Confirm, Found, Grid, KafkaCluster, Label, MlState, Mode, Picture, Reading, Role, Time, Track, UserCommand,
        Workload,
    },
    simulate::arena::Score,
    tui::{
        self, State, Theme, View,
        backtest::{Answer, Backtest},
        command::{Ask, Ran, Said, in_words},
        dialog::Dialog,
        export, fixture,
        input::Input,
        state::{Heat, Pane},
        theme::{Charset, Depth},
    },
};
use proptest::prelude::*;
use ratatui::{buffer::Buffer, layout::Rect};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write, sync::Arc, time::Duration};

pub(super) fn state(view: View) -> State {
    State { view, ..State::default() }
}

pub(super) fn screen(picture: &Picture, state: &State, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(area);
    tui::draw(picture, state, theme, fixture::NOW, area, &mut buf);
    buf
}

/// The page alone, in the room that header and footer leave it.
pub(super) fn page(picture: &Picture, state: &State, theme: &Theme, (width, height): (u16, u16)) -> String {
    let area = Rect::new(0, 0, width, height - 3);
    let mut buf = Buffer::empty(area);
    let frame = tui::frame::Frame::new(picture, state);
    super::page(&tui::Cx { picture, state, theme, now: fixture::NOW, frame: &frame, hits: None }, area, &mut buf);
    export::text(&buf)
}

/// Columns and lines that every page is looked at.
const SIZES: [(u16, u16); 4] = [(60, 15), (80, 24), (120, 40), (200, 60)];

/// What a backtest says.
pub(super) fn backtest() -> Backtest {
    let row = |name: &str, price: f64, pod_hours: f64, slo_minutes: f64, actions: f64| {
        let score = Score { price, pod_hours, slo_minutes, actions, ..Score::default() };
        (name.to_owned(), score)
    };
    let workload = Label::new("fraud-scorer");
    let answer = Answer {
        workload: workload.clone(),
        span: (fixture::NOW.plus(-16_200.0), 16_200.0),
        rows: vec![
            row("planner", 36.1, 34.8, 0.4, 11.0),
            row("KEDA, lag threshold 16.2k", 61.0, 60.3, 0.0, 14.0),
            row("HPA on CPU, 70 %", 98.2, 31.0, 22.5, 6.0),
            row("always 6", 140.0, 27.0, 41.0, 0.0),
        ],
        assumed: vec!["an eager group: its protocol is not known".to_owned()],
        seeds: 3,
    };
    Backtest { workload, number: 1, played: None, answer: Some(Ok(Arc::new(answer))) }
}

/// A state with something in the log, and a backtest that was played.
fn busy(view: View) -> State {
    let mut state = State { backtest: Some(backtest()), ..state(view) };
    let (before, after) = (fixture::picture(Mode::Operate), fixture::later(&fixture::picture(Mode::Operate), 30.0));
    let mut worse = after.clone();
    worse.sources[1].health = crate::model::Health::Down;
    let audit = Arc::make_mut(&mut worse.workloads[5]);
    (audit.severity, audit.headline) = (crate::model::Severity::Act, "41 s behind, the objective is 30 s".into());
    state.log.extend(tui::log::changes(&before, &worse));
    state.log.extend(tui::log::changes(&worse, &after));
    state
}

/// What was found and not written down: a certain target, a guessed one, a proposed pipeline with a guessed link.
#[test]
fn guesses_are_marked() {
    let mut picture = fixture::picture(Mode::Operate);
    let link = Found::guess("MODEL_URL of deploy/payments/fraud-scorer names fraud-model.ml");
    let mut pipelines = (*picture.pipelines).clone();
    pipelines[0].links = vec![link];
    picture.pipelines = Arc::new(pipelines);
    for view in picture.workloads.iter_mut() {
        let found = match view.workload.name.as_str() {
            "fraud-scorer" => Found::guess("it has the name of the group"),
            "fraud-model" => Found::certain("4 of 4 pods that export its series are its own"),
            _ => continue,
        };
        let workload = Workload { found: Some(found), configured: false, ..(*view.workload).clone() };
        Arc::make_mut(view).workload = Arc::new(workload);
    }
    let shot = |view: View, selected: Option<&str>, theme: &Theme| {
        let mut state = state(view);
        let stage = selected.map(|s| (Pane::Stages, Label::new(s)));
        state.selected.extend(stage);
        page(&picture, &state, theme, (120, 40))
    };
    let ascii = Theme::fallback(Depth::None, Charset::Ascii);
    let group = shot(View::Pipeline, Some("fraud/fraud-scorer"), &Theme::default());
    assert!(group.contains("a guess: it has the name of the group") && group.contains("~fraud"), "{group}");
    let model = shot(View::Pipeline, Some("fraud/fraud-model"), &ascii);
    assert!(model.contains("fed by what is before it: a guess: MODEL_URL"), "{model}");
    assert!(
        model.contains("4 of 4 pods that export its series are its own") && !model.contains("a guess: 4"),
        "{model}"
    );
}

/// What can be shown: every page at every size with braille and in ASCII, as text. Colours are in [`styles`].
#[test]
fn pages() {
    let picture = fixture::picture(Mode::Operate);
    for view in View::ALL {
        for (name, theme) in [("", Theme::default()), ("_ascii", Theme::fallback(Depth::None, Charset::Ascii))] {
            let shots = SIZES.map(|size| {
                let text = export::text(&screen(&picture, &State { size, ..busy(view) }, &theme, size));
                format!("{}x{}\n{text}", size.0, size.1)
            });
            insta::assert_snapshot!(format!("{}{name}", view.name()), shots.join("\n"));
        }
    }
}

/// How the same screens are coloured in each depth: a digest of every cell's style, and how many cells have which
/// foreground and background, so that a changed digest tells what it is about.
#[test]
fn styles() {
    let picture = fixture::picture(Mode::Operate);
    let mut out = String::new();
    for (depth, view, size) in [Depth::True, Depth::Ansi16, Depth::None]
        .into_iter()
        .flat_map(|d| View::ALL.into_iter().flat_map(move |v| SIZES.map(|s| (d, v, s))))
    {
        let theme = Theme::fallback(depth, Charset::Braille);
        let buf = screen(&picture, &State { size, ..busy(view) }, &theme, size);
        let mut uses = BTreeMap::<String, usize>::new();
        let mut digest = Sha256::new();
        for cell in &buf.content {
            let style = format!("{}/{}/{:?}", cell.fg, cell.bg, cell.modifier);
            digest.update(&style);
            *uses.entry(style.replace("/NONE", "").replace("Reset", "-")).or_default() += 1;
        }
        let uses: Vec<String> = uses.into_iter().map(|(style, n)| format!("{style} {n}")).collect();
        let digest = digest.finalize().iter().take(4).fold(0_u32, |d, b| d << 8 | u32::from(*b));
        let (columns, lines) = size;
        writeln!(out, "{depth:?} {} {columns}x{lines} {digest:08x}: {}", view.name(), uses.join(", ")).unwrap();
    }
    insta::assert_snapshot!("styles", out);
}

/// With fewer colours the same is said: no word goes, and nothing is drawn in a colour that the terminal has not.
#[test]
fn pages_with_fewer_colours() {
    use ratatui::style::Color;
    let picture = fixture::picture(Mode::Operate);
    for (view, size) in View::ALL.into_iter().flat_map(|v| SIZES.map(|s| (v, s))) {
        let state = busy(view);
        let drawn = |depth, charset| screen(&picture, &state, &Theme::fallback(depth, charset), size);
        let full = export::text(&drawn(Depth::True, Charset::Braille));
        for depth in [Depth::Ansi256, Depth::Ansi16, Depth::None] {
            let buf = drawn(depth, Charset::Braille);
            // Without colour the cursor is a glyph at the left, and the forecast's band a shade.
            let words = |line: &str| line.replace(['▌', '░', '▒', '▓', '▁', '▂', '▃', '▄', '▅', '▆', '▇'], " ");
            let text = export::text(&buf);
            let same = |(a, b): (&str, &str)| words(a).trim_end() == words(b).trim_end();
            assert!(text.lines().zip(full.lines()).all(same), "{} {size:?}:\n{text}\n{full}", view.name());
            let known = |c: Color| match depth {
                Depth::None => c == Color::Reset,
                Depth::Ansi16 => !matches!(c, Color::Rgb(..) | Color::Indexed(_)),
                _ => !matches!(c, Color::Rgb(..)),
            };
            assert!(buf.content.iter().all(|c| known(c.fg) && known(c.bg)), "{} {size:?} {depth:?}", view.name());
        }
        let text = export::text(&drawn(Depth::None, Charset::Ascii));
        assert!(text.is_ascii(), "{} {size:?}:\n{text}", view.name());
    }
}

#[test]
fn before_anything_was_seen_every_page_teaches() {
    let picture = Picture::empty(Mode::Watch, "prod", fixture::NOW);
    for (view, words) in [
        (View::Overview, "no source is configured"),
        (View::Workload, "no workload is chosen"),
        (View::Kafka, "no Kafka cluster is configured"),
        (View::Ml, "no Prometheus is configured"),
    ] {
        let text = export::text(&screen(&picture, &state(view), &Theme::default(), (80, 24)));
        assert!(text.contains(words), "{}: {text}", view.name());
    }
}

#[test]
fn a_cluster_that_shows_no_groups_says_what_is_needed() {
    let mut picture = fixture::picture(Mode::Watch);
    let mut cluster = (*picture.clusters[0]).clone();
    cluster.groups.clear();
    picture.clusters = vec![Arc::new(cluster)];
    let text = export::text(&screen(&picture, &state(View::Kafka), &Theme::default(), (80, 24)));
    // The sentence is broken over lines inside a frame.
    let text = text.replace('│', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("2 brokers answered, 0 groups visible") && text.contains("needs Describe on groups"),
        "{text}"
    );
}

#[test]
fn what_an_operator_must_tell_apart_differs_on_screen() {
    let picture = fixture::picture(Mode::Operate);
    let text = export::text(&screen(&picture, &state(View::Overview), &Theme::default(), (200, 60)));
    let line = |name: &str| text.lines().find(|l| l.contains(name)).unwrap_or_default().to_owned();
    assert!(line("clickstream").contains("2 of 40 ?") && line("clickstream").contains("no advice"), "partial: {text}");
    assert!(line("clickstream").contains("≥96.4k"), "a lower bound: {text}");
    assert!(line("legacy-mailer").contains("24 (6m)"), "stale: {text}");
    assert!(line("fraud-scorer").contains("6 → 10"), "a change: {text}");
    assert!(line("orders-etl").contains("12 → 8 ◷"), "a change held for a while: {text}");
    assert!(line("search-ranker").contains("6 » 8 applied"), "under way: {text}");
}

/// A picture of extremes: huge numbers, absent parts, names that are long or wide, odd grids.
fn hostile(big: f64, grid: usize, rows: usize) -> Picture {
    let mut picture = fixture::crowd(rows);
    for (i, view) in picture.workloads.iter_mut().enumerate().take(40) {
        let view = Arc::make_mut(view);
        let mut workload = (*view.workload).clone();
        workload.name = Label::new(&["数据".repeat(i * 7 + 1), "x".repeat(i * 20), String::new()][i % 3]);
        view.workload = Arc::new(workload);
        for signal in &mut view.signals {
            signal.now = Reading::new(big * i as f64, fixture::NOW.plus(-big), "");
            let value = |n: usize| (n % 3 != 1).then_some(if n.is_multiple_of(2) { big } else { 0.0 });
            let step = [0.0, 1.0, 1e-3, 1e12][i % 4];
            let start = [Time::default(), fixture::NOW, fixture::NOW.plus(-1e7)][i % 3];
            signal.track = Arc::new(Track::of(&Grid { start, step, values: (0..grid).map(value).collect() }));
        }
        if i % 5 == 0 {
            view.signals.retain(|s| s.role == Role::Replicas);
        }
        if let Some(forecast) = &mut Arc::make_mut(&mut view.advice).forecast {
            forecast.step = [0.0, 60.0, 1e9][i % 3];
            for q in &mut forecast.points {
                (q.p50, q.p80, q.p95) = (big, big, big * 2.0);
            }
            if i % 2 == 0 {
                forecast.points.clear();
            }
        }
        if let Some(capacity) = &mut Arc::make_mut(&mut view.advice).capacity {
            capacity.per_replica = big;
        }
    }
    if rows == 0 {
        picture.clusters = vec![Arc::new(KafkaCluster::default())];
        picture.ml = vec![Arc::new(MlState::default())];
    }
    picture
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn no_size_and_no_data_break_a_page(
        width in 1_u16..=300, height in 1_u16..=100,
        view in prop::sample::select(View::ALL.to_vec()),
        big in prop::sample::select(vec![0.0, 1e-300, 1.0, 4e9, 1e18, 1e300]),
        grid in prop::sample::select(vec![0_usize, 1, 3, 700]),
        rows in prop::sample::select(vec![0_usize, 1, 40]),
        ascii in any::<bool>(),
        pane in 0_usize..4,
    ) {
        let charset = if ascii { Charset::Ascii } else { Charset::Braille };
        let theme = Theme::fallback(if ascii { Depth::None } else { Depth::True }, charset);
        let mut state = state(view);
        let panes = view.panes();
        state.focus.insert(view, panes[pane % panes.len()]);
        state.selected.insert(Pane::Workloads, Label::new("no-such-row"));
        for picture in [fixture::picture(Mode::Operate), hostile(big, grid, rows)] {
            let buf = screen(&picture, &state, &theme, (width, height));
            let text = export::text(&buf);
            prop_assert!(!text.contains("NaN") && !text.contains("inf/s"), "{text}");
            export::ansi(&buf);
        }
    }
}

#[test]
fn ten_thousand_rows_draw_like_ten() {
    let picture = fixture::crowd(10_000);
    let mut state = state(View::Overview);
    state.selected.insert(Pane::Workloads, picture.workloads[7_777].workload.name.clone());
    let text = export::text(&screen(&picture, &state, &Theme::default(), (120, 40)));
    assert!(text.contains("-07777") && text.contains("/10000"), "{text}");
}

/// The map of a group's partitions by each of what it can tell, on the partitions' own table.
#[test]
fn partitions_at_one_look() {
    let picture = fixture::picture(Mode::Watch);
    for (name, theme) in [("", Theme::default()), ("_ascii", Theme::fallback(Depth::None, Charset::Ascii))] {
        let mut shots = Vec::new();
        for (heat, size) in [Heat::Lag, Heat::Age, Heat::Rate].into_iter().flat_map(|h| SIZES.map(|s| (h, s))) {
            let mut state = State { heat, size, ..state(View::Kafka) };
            state.selected.insert(Pane::Groups, Label::new("prod/fraud-scorer"));
            state.focus.insert(View::Kafka, Pane::Partitions);
            shots.push(format!("{heat:?} {}x{}\n{}", size.0, size.1, page(&picture, &state, &theme, size)));
        }
        insta::assert_snapshot!(format!("partitions{name}"), shots.join("\n"));
    }
}

/// What a command of the operator's own asks and says.
#[test]
fn own_commands() {
    let picture = fixture::picture(Mode::Operate);
    let command = UserCommand {
        name: Label::new("drain"),
        key: Some("D".to_owned()),
        about: Label::new("Let the consumers of the group stop at a record's end."),
        argv: Vec::new(),
        env: Vec::new(),
        read_only: false,
        confirm: Confirm::Yes,
        timeout: 20.0,
    };
    let argv = ["/opt/ops/drain", "--group=fraud scorer"].map(str::to_owned).to_vec();
    let opener = "D".parse().unwrap();
    let (since, uptime) = (Duration::from_secs(1), Duration::from_secs(5));
    let ask = |confirm| {
        let command = UserCommand { confirm, ..command.clone() };
        let (name, typed) = (Label::new("fraud scorer"), Input::new("fra"));
        Dialog::Ask(Box::new(Ask { command, argv: argv.clone(), opener, since, name, typed }))
    };
    let ran = |answer| {
        let words = in_words(&argv);
        let ran = Ran { number: 1, name: Label::new("drain"), words, began: since, timeout: 20.0, answer };
        Dialog::Ran { ran, scroll: 0 }
    };
    let said = Said {
        code: Some(3),
        out: vec!["NAME      DRAINED".to_owned(), format!("fraud     {}", "yes ".repeat(30))],
        err: vec!["one consumer did not answer".to_owned()],
        cut: true,
    };
    let dialogs = [
        ask(Confirm::Yes),
        ask(Confirm::TypeName),
        ran(None),
        ran(Some(Err("cannot start".to_owned()))),
        ran(Some(Ok(Arc::new(said)))),
    ];
    let size = (80, 24);
    let shots = dialogs.map(|dialog| {
        let state = State { dialogs: vec![dialog], size, uptime, ..state(View::Overview) };
        export::text(&screen(&picture, &state, &Theme::default(), size))
    });
    insta::assert_snapshot!(shots.join("\n"));
}

#[test]
fn a_backtest_says_how_far_it_has_come() {
    let playing = Backtest { played: Some((7, 18)), answer: None, ..backtest() };
    let state = State { backtest: Some(playing), ..state(View::Backtest) };
    let text = page(&fixture::picture(Mode::Watch), &state, &Theme::default(), (80, 24));
    assert!(text.contains("7 of 18 games"), "{text}");
}

#[test]
fn what_if_fits_a_small_terminal() {
    let picture = fixture::picture(Mode::Watch);
    let workload = Label::new("fraud-scorer");
    let answer = Some(Ok(Arc::new(Question::of(&picture, &workload).unwrap().answer(&|| true).unwrap())));
    let dialog = Dialog::WhatIf { workload, number: 1, answer, scroll: 0 };
    for size in [(60, 20), (72, 24)] {
        let state = State { dialogs: vec![dialog.clone()], size, ..state(View::Workload) };
        let text = export::text(&screen(&picture, &state, &Theme::default(), size));
        let rows: Vec<&str> = text.lines().filter(|l| l.contains("followed") && !l.contains("minute")).collect();
        assert!(rows.len() >= 3 && rows.iter().all(|l| l.contains("at 14:")), "{text}");
        assert!(text.contains("CAUGHT UP"), "{text}");
    }
}

#[test]
fn what_if_and_explain() {
    let picture = fixture::picture(Mode::Watch);
    let workload = Label::new("fraud-scorer");
    let answer = Question::of(&picture, &workload).unwrap().answer(&|| true).unwrap();
    assert!(answer.cases.iter().any(|c| matches!(c.event, Event::BrokerLost(_))), "{answer:?}");
    let answer = Some(Ok(Arc::new(answer)));
    for (name, dialog) in [
        ("what_if", Dialog::WhatIf { workload: workload.clone(), number: 1, answer, scroll: 0 }),
        ("explain", Dialog::Explain { workload: workload.clone(), scroll: 0 }),
    ] {
        for size in [(80, 24), (200, 60)] {
            let state = State { dialogs: vec![dialog.clone()], size, ..state(View::Workload) };
            let text = export::text(&screen(&picture, &state, &Theme::default(), size));
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text);
        }
    }
}

#[test]
fn counts_are_compared_with_no_price_that_is_not_there() {
    let mut picture = fixture::picture(Mode::Watch);
    let view = Arc::make_mut(&mut picture.workloads[0]);
    let workload = view.workload.name.clone();
    let advice = Arc::make_mut(&mut view.advice);
    let Ok(recommendation) = &mut advice.recommendation else { panic!("the fixture has one") };
    let recommended = recommendation.recommended;
    recommendation.alternatives.retain(|a| a.replicas != recommended);
    let state = State { dialogs: vec![Dialog::Explain { workload, scroll: 0 }], ..state(View::Workload) };
    let text = export::text(&screen(&picture, &state, &Theme::default(), (200, 60)));
    assert!(text.contains("19.7 (8 min over the objective), as it is now") && !text.contains("NaN"), "{text}");
}

#[test]
fn a_day_is_planned_missing_or_on_its_way() {
    let mut picture = fixture::picture(Mode::Watch);
    let text = |picture: &Picture| page(picture, &state(View::Day), &Theme::default(), (160, 50));
    let planned = text(&picture);
    for part in ["fraud-scorer  the next 24 h", "What the day costs", "keep 6", "6 → 10", "12 → 8", "IF BUSY"] {
        assert!(planned.contains(part), "{part}\n{planned}");
    }
    let many = |size| {
        let mut picture = picture.clone();
        let view = Arc::make_mut(&mut picture.workloads[0]);
        let mut plan = view.day.as_deref().unwrap().clone().unwrap();
        let step = |i: u32| crate::model::PlanStep {
            at: plan.at.plus(f64::from(i) * 1_800.0),
            replicas: if i.is_multiple_of(2) { 6 } else { 10 },
        };
        plan.steps = (0..=20).map(step).collect();
        plan.courses[0].slo_minutes_high = 900.0; // later than the others when it is busy
        view.day = Some(Arc::new(Ok(plan)));
        page(&picture, &state(View::Day), &Theme::default(), size)
    };
    let low = many((80, 24));
    assert!(low.contains("15:04 10→6  18:34 6→10") && low.contains("… 7 more") && low.contains("PRICE"), "{low}");
    let marked = |text: &str| text.contains("▌ plan");
    assert!(marked(&planned) && !marked(&low) && !low.contains("▌ K"), "{low}");
    let mut without = |day| {
        Arc::make_mut(&mut picture.workloads[0]).day = day;
        text(&picture)
    };
    assert!(without(None).contains("is being worked out"));
    let young = "a day is known from days before: 2 d of demand are needed, 6 h were seen";
    let said = without(Some(Arc::new(Err(young.to_owned()))));
    assert!(said.contains("no plan of the day") && said.contains("6 h were seen"), "{said}");
    let view = Arc::make_mut(&mut picture.workloads[0]);
    (view.day, Arc::make_mut(&mut view.workload).configured) = (None, false);
    assert!(text(&picture).contains("of the configuration only"), "what will never come is not on its way");
}

#[test]
fn brokers_are_advised_on_the_page_of_kafka() {
    let mut picture = fixture::picture(Mode::Watch);
    let sentence = "3 → 4 brokers with one down (3.27 TiB stored, disks 75 % full at most): 845 GiB to move, 5 h at 47.7 MiB/s a broker";
    let pool = Arc::make_mut(&mut picture.workloads[0]);
    let mut workload = (*pool.workload).clone();
    workload.entity.kind = crate::model::WorkloadKind::Brokers;
    pool.workload = Arc::new(workload);
    if let Ok(r) = &mut Arc::make_mut(&mut pool.advice).recommendation {
        r.reasons = vec![sentence.to_owned()];
    }
    for size in [(200, 60), (120, 40)] {
        let text = page(&picture, &state(View::Kafka), &Theme::default(), size);
        assert!(text.contains("845 GiB to move"), "{size:?}\n{text}");
    }
    let text = page(&picture, &state(View::Workload), &Theme::default(), (200, 60));
    assert!(text.contains("6 → 10 brokers, now"), "{text}");
    // Nobody can approve it, so the mend is what it says.
    let mends = page(&picture, &state(View::Alerts), &Theme::default(), (200, 60));
    assert!(mends.lines().any(|l| l.contains("fraud-scorer") && l.contains("3 → 4 brokers")), "{mends}");
}
