//! What a person must be able to tell from a page: one thing each, on the fixture or a small change of it.

use super::page_tests::{page, screen, state};
use crate::{
    model::{
        ActionState, Blocked, Health, Label, Mode, Picture, PlanStep, Reading, Role, Severity, Track, WorkloadKind,
    },
    tui::{
        self, State, Theme, View,
        dialog::Dialog,
        export, fixture, rows,
        state::Pane,
        theme::{Charset, Depth},
    },
};
use std::sync::Arc;

#[test]
fn the_worst_stands_first() {
    let picture = fixture::picture(Mode::Operate);
    let state = State::default();
    assert_eq!(rows::brokers(&picture, &state)[0].item.id, 3, "the broker that does not answer");
    assert!(rows::gpus(&picture, &state)[0].item.xid.is_some(), "the GPU with a hardware error");
    let lags = |group: &str| -> Vec<Option<u64>> {
        let state = State { selected: [(Pane::Groups, Label::new(group))].into(), ..State::default() };
        rows::partitions(&picture, &state).iter().map(|r| r.item.lag).collect()
    };
    let scorer: Vec<u64> = lags("prod/fraud-scorer").into_iter().flatten().collect();
    assert!(scorer[0] == *scorer.iter().max().unwrap() && scorer[0] > scorer[23] * 2, "{scorer:?}");
    assert_eq!(lags("prod/clickstream")[0], None, "what is not known comes before what is");
}

#[test]
fn a_group_whose_members_are_not_told_is_not_said_to_have_none() {
    let mut picture = fixture::picture(Mode::Operate);
    let cluster = Arc::make_mut(&mut picture.clusters[0]);
    cluster.groups.retain(|g| g.group == "fraud-scorer");
    (cluster.groups[0].untold, cluster.groups[0].members) = (true, Vec::new());
    let chosen = State { selected: [(Pane::Workloads, Label::new("fraud-scorer"))].into(), ..state(View::Workload) };
    let text = page(&picture, &chosen, &Theme::default(), (200, 60));
    assert!(text.contains("? members") && text.contains("who is in it is not told"), "{text}");
    let text = page(&picture, &state(View::Kafka), &Theme::default(), (200, 60));
    assert!(text.lines().any(|l| l.contains("fraud-scorer") && l.contains("?  classic")), "{text}");
}

#[test]
fn the_card_says_each_thing_once() {
    let mut picture = fixture::picture(Mode::Operate);
    let advice = Arc::make_mut(&mut Arc::make_mut(&mut picture.workloads[0]).advice);
    if let Some(capacity) = &mut advice.capacity {
        capacity.assumptions = vec!["standstill of 30 s assumed".to_owned()];
    }
    for (size, once) in [
        ((120, 32), vec!["staying costs", "10 costs", "14: ", "standstill of 30 s assumed", "demand reaches"]),
        (
            (200, 60),
            vec![
                "REPLICAS    PRICE",
                "price: pod-hours, next 30 min",
                "recommended",
                "standstill of 30 s assumed",
                "demand reaches",
            ],
        ),
    ] {
        let text = export::text(&screen(&picture, &state(View::Overview), &Theme::default(), size));
        for words in once {
            assert_eq!(text.matches(words).count(), 1, "{words} at {size:?}\n{text}");
        }
    }
}

#[test]
fn a_capacity_that_is_a_lower_bound_colours_nothing() {
    let mut picture = fixture::picture(Mode::Operate);
    picture.workloads.truncate(1);
    let red = |picture: &Picture| {
        let theme = Theme::default();
        let buf = screen(picture, &state(View::Overview), &theme, (120, 30));
        let red = theme.style(tui::theme::Slot::Act).fg;
        buf.content.iter().filter(|c| "▁▂▃▄▅▆▇".contains(c.symbol()) && Some(c.fg) == red).count()
    };
    assert!(red(&picture) > 0, "demand is above what six replicas are known to hold");
    let advice = Arc::make_mut(&mut Arc::make_mut(&mut picture.workloads[0]).advice);
    if let Some(capacity) = &mut advice.capacity {
        capacity.samples = 0;
    }
    assert_eq!(red(&picture), 0);
}

#[test]
fn from_a_workload_one_key_leads_to_its_group_and_its_service() {
    let picture = Arc::new(fixture::picture(Mode::Operate));
    let at = tui::Moment { now: fixture::NOW, uptime: std::time::Duration::from_secs(9) };
    for (workload, key, pane, id) in [
        ("orders-etl", '2', Pane::Groups, "prod/orders-etl"),
        ("search-ranker", '3', Pane::Services, "main/search-ranker"),
    ] {
        let mut state = State { size: (120, 40), ..State::default() };
        state.selected.insert(Pane::Workloads, Label::new(workload));
        let event = tui::Event::Key(crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char(key)));
        tui::update(&mut state, event, &picture, at);
        assert_eq!((state.pane(), state.selected(pane).map(Label::as_str)), (pane, Some(id)));
    }
}

#[test]
fn young_history_is_not_the_same_as_no_advice() {
    let mut picture = fixture::picture(Mode::Watch);
    picture.workloads.truncate(1);
    let view = Arc::make_mut(&mut picture.workloads[0]);
    Arc::make_mut(&mut view.advice).recommendation = Err("2 minutes of history; 10 are needed".to_owned());
    let text = |picture: &Picture| export::text(&screen(picture, &state(View::Overview), &Theme::default(), (120, 30)));
    assert!(text(&picture).contains("6 no advice"), "six hours of history are there");
    let signal = &mut Arc::make_mut(&mut picture.workloads[0]).signals[0];
    let mut track = signal.track.grid();
    let old = track.values.len() - 8;
    track.values[..old].fill(None);
    signal.track = Arc::new(Track::of(&track));
    let young = text(&picture);
    assert!(young.contains("6 learning") && young.contains("seen since 14:05: no forecast yet"), "{young}");
    picture.sources[1].answered = None;
    assert!(text(&picture).contains("6 loading"));
}

#[test]
fn the_plan_stands_in_the_chart_at_its_times_and_rivals_on_demand() {
    let picture = fixture::picture(Mode::Watch);
    let mut state = state(View::Workload);
    let text = |state: &State| page(&picture, state, &Theme::default(), (160, 50));
    let plain = text(&state);
    assert!(plain.contains("-4 at 14:25") && plain.contains("10 hold") && plain.contains("╎"), "{plain}");
    assert!(
        plain.contains("usual HPA 34  usual KEDA 24  usual CPU rule 24") && !plain.contains("CPU rule: 24 hold"),
        "{plain}"
    );
    state.rivals = true;
    assert!(text(&state).contains("usual KEDA, usual CPU rule: 24 hold"), "{}", text(&state));
}

#[test]
fn an_objective_is_judged_by_what_it_is_about() {
    let mut picture = fixture::picture(Mode::Watch);
    let state = |view| {
        let mut state = state(view);
        state.selected.insert(Pane::Workloads, Label::new("fraud-model"));
        state
    };
    let text = |picture: &Picture, view| page(picture, &state(view), &Theme::default(), (160, 50));
    let own = text(&picture, View::Workload);
    assert!(own.contains("fraud-model  ttft p95") && own.contains("objective 1.5 s"), "{own}");
    // The first token is in time, the whole answer is what was promised.
    let at = picture.workloads.iter().position(|w| w.workload.name == *"fraud-model").unwrap();
    let view = Arc::make_mut(&mut picture.workloads[at]);
    let slo = view.slo.as_mut().unwrap();
    slo.objective = "latency_p95";
    slo.value = Reading::new(4.2, fixture::NOW, "histogram_quantile(0.95, e2e)");
    let other = text(&picture, View::Workload);
    assert!(other.contains("fraud-model  latency p95") && !other.contains("objective 1.5 s"), "{other}");
    assert!(text(&picture, View::Overview).contains("4.2 s"), "{}", text(&picture, View::Overview));
    Arc::make_mut(&mut picture.workloads[at]).slo.as_mut().unwrap().value = None;
    let unknown = text(&picture, View::Workload);
    assert!(!unknown.contains("objective 1.5 s"), "{unknown}");
    let row = text(&picture, View::Overview);
    assert!(row.lines().any(|l| l.contains("fraud-model") && l.contains("–  1.5 s")), "{row}");
}

#[test]
fn what_is_critical_beside_the_workloads_stands_in_the_header() {
    let mut picture = fixture::picture(Mode::Watch);
    picture.workloads.clear();
    Arc::make_mut(&mut picture.clusters[0]).alerts.truncate(1);
    Arc::make_mut(&mut picture.ml[0]).gpus.clear();
    Arc::make_mut(&mut picture.ml[0]).trainings.clear();
    let alert = &mut Arc::make_mut(&mut picture.clusters[0]).alerts[0];
    alert.severity = Severity::Act;
    let text = |picture: &Picture| export::text(&screen(picture, &state(View::Overview), &Theme::default(), (80, 24)));
    assert!(text(&picture).contains("1 critical alert "), "{}", text(&picture));
    Arc::make_mut(&mut picture.clusters[0]).alerts.clear();
    assert!(!text(&picture).contains("critical"));
}

#[test]
fn nobody_knows_that_nobody_is_needed() {
    let mut picture = fixture::picture(Mode::Watch);
    picture.workloads.truncate(2);
    let mut with = |severity: Severity| {
        Arc::make_mut(&mut picture.workloads[0]).severity = Severity::Ok;
        Arc::make_mut(&mut picture.workloads[1]).severity = severity;
        export::text(&screen(&picture, &state(View::Overview), &Theme::default(), (80, 24)))
    };
    assert!(with(Severity::Ok).contains("none needs you"));
    let text = with(Severity::Unknown);
    assert!(!text.contains("none needs you") && text.contains("1 not known"), "{text}");
}

#[test]
fn a_count_that_is_only_kept_says_so() {
    let mut picture = fixture::picture(Mode::Watch);
    let advice = Arc::make_mut(&mut Arc::make_mut(&mut picture.workloads[0]).advice);
    if let Ok(r) = &mut advice.recommendation {
        r.recommended = r.current.desired;
        r.blocked_by = vec![Blocked { guard: "stale", detail: "the oldest input is 16 s old".into(), until: None }];
    }
    let text = page(&picture, &state(View::Overview), &Theme::default(), (80, 24));
    assert!(text.lines().any(|l| l.contains("fraud-scorer") && l.contains("6 held")), "{text}");
}

#[test]
fn what_was_told_long_ago_says_so_on_the_page_of_kafka() {
    let mut picture = fixture::picture(Mode::Watch);
    let text = |picture: &Picture| page(picture, &state(View::Kafka), &Theme::default(), (200, 60));
    assert!(text(&picture).contains("╭ Topics ─"));
    picture.sources[0].health = Health::Down;
    picture.sources[0].answered = Some(fixture::NOW.plus(-50.0));
    for broker in &mut Arc::make_mut(&mut picture.ml[0]).brokers {
        broker.offline = Reading::new(0.0, fixture::NOW.plus(-300.0), "jmx");
    }
    let text = text(&picture);
    assert!(text.contains("╭ Topics, as told 50s ago ─") && text.contains(" 0 (5m) "), "{text}");
}

#[test]
fn in_a_narrow_card_each_price_says_whose_it_is() {
    let picture = fixture::picture(Mode::Watch);
    let text = page(&picture, &state(View::Workload), &Theme::default(), (80, 45));
    assert!(text.contains("8 min   now") && text.contains("never   plan"), "{text}");
}

#[test]
fn a_batch_has_two_different_charts() {
    let picture = fixture::picture(Mode::Watch);
    let mut state = state(View::Workload);
    state.selected.insert(Pane::Workloads, Label::new("train-embeddings"));
    let text = page(&picture, &state, &Theme::default(), (160, 50));
    for title in ["train-embeddings  queue, jobs", "train-embeddings  progress"] {
        assert_eq!(text.matches(title).count(), 1, "{title}\n{text}");
    }
    let mut picture = picture;
    let at = picture.workloads.iter().position(|w| w.workload.name == *"train-embeddings").unwrap();
    let signals = &mut Arc::make_mut(&mut picture.workloads[at]).signals;
    let progress = signals.iter_mut().find(|s| s.role == Role::Progress).unwrap();
    (progress.now, progress.track) = (None, Arc::new(Track::default()));
    let text = page(&picture, &state, &Theme::default(), (160, 50));
    assert!(!text.contains("train-embeddings  progress") && !text.contains("no history yet"), "{text}");
}

#[test]
fn a_line_has_its_name_in_a_narrow_chart_too() {
    let mut picture = fixture::picture(Mode::Watch);
    let advice = Arc::make_mut(&mut Arc::make_mut(&mut picture.workloads[0]).advice);
    if let Some(capacity) = &mut advice.capacity {
        capacity.samples = 0;
    }
    let text = page(&picture, &state(View::Workload), &Theme::default(), (60, 15));
    assert!(text.contains("10 tried with 13.7k/s"), "{text}");
}

#[test]
fn of_a_time_that_is_not_kept_nothing_is_said_of_the_sources() {
    let live = fixture::picture(Mode::Operate);
    let then = tui::past::Past::default().at(fixture::NOW.plus(-1_800.0), &live);
    let text = |view: View| {
        let state = State { frozen: Some(Arc::new(then.clone())), ..state(view) };
        export::text(&screen(&then, &state, &Theme::default(), (140, 40)))
    };
    let overview = text(View::Overview);
    assert!(overview.contains("sources not known"), "{overview}");
    for view in [View::Overview, View::Kafka, View::Ml, View::Alerts] {
        let text = text(view);
        for of_now in ["degraded", "kafka-3", "is scraped here", "the right cluster", "sources tell"] {
            assert!(!text.contains(of_now), "{of_now} at a time that nobody knows:\n{text}");
        }
    }
}

#[test]
fn a_group_that_needs_somebody_is_marked_on_every_page() {
    let picture = fixture::picture(Mode::Operate);
    let act = Theme::default().glyphs().act;
    for view in [View::Overview, View::Kafka] {
        let text = page(&picture, &state(view), &Theme::default(), (140, 40));
        let marked = text
            .lines()
            .any(|l| l.contains(&format!("{act} fraud-scorer")) || l.contains(&format!("{act}  fraud-scorer")));
        assert!(marked, "{text}");
    }
}

#[test]
fn a_chart_that_is_read_says_the_value_on_every_screen() {
    let picture = fixture::picture(Mode::Operate);
    let state = State { cross: Some(-60.0), ..state(View::Overview) };
    let told = format!("{} UTC: 12.", tui::format::clock_seconds(fixture::NOW.plus(-60.0)));
    for size in [(80, 24), (100, 30), (120, 30), (200, 60)] {
        let text = export::text(&screen(&picture, &state, &Theme::default(), size));
        assert!(text.contains(&told), "no {told:?} at {size:?}:\n{text}");
    }
}

#[test]
fn no_count_of_a_day_is_cut_to_another_one() {
    let mut picture = fixture::picture(Mode::Operate);
    let view = Arc::make_mut(&mut picture.workloads[0]);
    let mut plan = view.day.as_deref().unwrap().clone().unwrap();
    let step = |i: u32| PlanStep { at: fixture::NOW.plus(f64::from(i) * 900.0), replicas: 100 + i % 2 * 20 };
    plan.steps = (0..30).map(step).collect();
    view.day = Some(Arc::new(Ok(plan)));
    for charset in [Charset::Braille, Charset::Ascii] {
        let theme = Theme::fallback(Depth::None, charset);
        let arrow = theme.glyphs().arrow;
        for size in [(60, 15), (80, 24), (120, 30)] {
            let text = page(&picture, &state(View::Day), &theme, size);
            let (mut told, mut rest) = (0, text.as_str());
            while let Some((before, after)) = rest.split_once(arrow) {
                let to: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
                assert!(!before.ends_with("00") || to == "120", "100 {arrow} {to} at {size:?}:\n{text}");
                (told, rest) = (told + 1, after);
            }
            assert!(told > 2, "{text}");
        }
    }
}

#[test]
fn what_is_put_off_is_not_said_to_need_nobody() {
    let mut picture = fixture::picture(Mode::Operate);
    picture.workloads.retain(|w| w.severity == Severity::Act);
    for view in picture.workloads.iter_mut() {
        Arc::make_mut(view).snoozed = Some(fixture::NOW.plus(600.0));
    }
    let text = export::text(&screen(&picture, &state(View::Overview), &Theme::default(), (140, 40)));
    let snoozed = format!("{} snoozed", picture.workloads.len());
    assert!(text.contains(&snoozed) && !text.contains("none needs you"), "{text}");
}

#[test]
fn a_change_that_the_target_refused_is_not_drawn_as_one() {
    let mut picture = fixture::picture(Mode::Operate);
    let text = |picture: &Picture| {
        let state = State { selected: [(Pane::Workloads, Label::new("fraud-scorer"))].into(), ..State::default() };
        export::text(&screen(picture, &state, &Theme::default(), (140, 40)))
    };
    let mut failed = picture.actions[0].clone();
    failed.workload = Label::new("fraud-scorer");
    (failed.state, failed.from, failed.to) = (ActionState::Failed, 6, 11);
    (failed.updated, failed.verify_by) = (fixture::NOW.plus(-1_200.0), Some(fixture::NOW.plus(-1_100.0)));
    picture.actions = Arc::new(vec![failed.clone()]);
    assert!(text(&picture).contains("6→11"), "it was written and not ready in time");
    failed.verify_by = None;
    picture.actions = Arc::new(vec![failed]);
    assert!(!text(&picture).contains("6→11"), "nothing was written:\n{}", text(&picture));
}

#[test]
fn whether_the_sources_are_good_is_told_on_every_screen() {
    let mut picture = fixture::picture(Mode::Operate);
    picture.title = Label::new("demo · simulated");
    let frozen = State { frozen: Some(Arc::new(picture.clone())), ..state(View::Overview) };
    for size in [(60, 15), (80, 24), (100, 30)] {
        for state in [&state(View::Overview), &frozen] {
            let text = export::text(&screen(&picture, state, &Theme::default(), size));
            let told = text.contains("2/3") || text.contains("degraded");
            assert!(told && text.contains("demo · simulated"), "at {size:?}:\n{text}");
        }
    }
}

#[test]
fn what_a_queue_costs_is_not_said_to_be_of_the_next_half_hour() {
    let mut picture = fixture::picture(Mode::Operate);
    Arc::make_mut(&mut Arc::make_mut(&mut picture.workloads[0]).workload).entity.kind = WorkloadKind::Batch;
    let explain = Dialog::Explain { workload: picture.workloads[0].workload.name.clone(), scroll: 0 };
    for (size, dialogs) in [((200, 60), vec![]), ((120, 30), vec![]), ((120, 90), vec![explain])] {
        let state = State { size, dialogs, ..state(View::Overview) };
        let text = export::text(&screen(&picture, &state, &Theme::default(), size));
        let half_hour = ["next 30 min", "pod-hours in 30 min"].iter().any(|words| text.contains(words));
        let told = text.contains("until what waits") || text.contains("until") && text.contains("what waits now");
        assert!(told && !half_hour, "at {size:?}:\n{text}");
    }
}
