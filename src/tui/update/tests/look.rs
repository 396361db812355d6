//! Keys that change what is shown and take things away from the screen.

use super::*;
use crate::{
    model::Link,
    tui::{
        Theme, draw, fixture,
        state::{Compare, Sort},
        under,
    },
};
use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
};

fn desk() -> Desk {
    let mut desk = Desk::new(Mode::Operate);
    desk.picture = Arc::new(fixture::picture(Mode::Operate));
    desk
}

#[test]
fn marked_workloads_stand_on_top_and_can_be_shown_alone() {
    let mut desk = desk();
    desk.press("G m g j m");
    let names = |desk: &Desk| {
        let rows = rows::workloads(&desk.picture, &desk.state);
        rows.iter().map(|w| w.workload.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&desk)[..3], ["fraud-scorer", "train-embeddings", "fraud-model"], "worst first among the marked");
    desk.press("/ m a r k e d enter");
    assert_eq!(names(&desk), ["fraud-scorer", "train-embeddings"]);
    desk.press("m esc");
    assert_eq!(desk.state.marked.len(), 1, "the same key takes the mark away");
}

#[test]
fn a_theme_is_seen_while_it_is_chosen_and_esc_brings_the_old_one_back() {
    let mut desk = desk();
    desk.state.themes = ["harbor-dark", "nord", "mono"].map(str::to_owned).to_vec();
    desk.state.theme = "harbor-dark".into();
    desk.press("T");
    assert_eq!(desk.press("j"), [Effect::Theme("nord".into())]);
    assert_eq!(desk.press("esc"), [Effect::Theme("harbor-dark".into())]);
    desk.press("T j j");
    assert_eq!(desk.press("enter"), []);
    assert!(desk.state.theme == "mono" && desk.said().contains("theme = \"mono\""), "{}", desk.said());
}

#[test]
fn the_log_stays_on_its_newest_line() {
    let mut desk = desk();
    let told = |desk: &mut Desk, text: &str| {
        let entry = crate::tui::log::Entry::new(fixture::NOW, crate::model::Severity::Ok, text.to_owned());
        desk.state.log.extend([entry]);
    };
    let under = |desk: &Desk| {
        let rows = rows::log(&desk.state);
        rows[rows::log_at(&rows, &desk.state)].text.clone()
    };
    told(&mut desk, "first");
    desk.press("7 ? esc 1");
    told(&mut desk, "second");
    desk.press("7");
    assert_eq!(under(&desk), "second", "nobody moved away from the newest line");
    desk.press("j");
    told(&mut desk, "third");
    desk.press("? esc");
    assert_eq!(under(&desk), "first", "one that was chosen is kept");
}

#[test]
fn columns_come_and_go() {
    let mut desk = desk();
    desk.press("C space");
    assert_eq!(desk.state.hidden.len(), 1);
    desk.press("space j enter esc");
    assert_eq!(desk.state.hidden.iter().map(String::as_str).collect::<Vec<_>>(), ["demand"]);
}

#[test]
fn a_note_is_saved_and_sent() {
    let mut desk = desk();
    let effects = desk.press("n");
    let [Effect::Copy(text), Effect::Save { folder: "notes", files }] = &effects[..] else { panic!("{effects:?}") };
    assert!(text.starts_with("# fraud-scorer\n") && files[0].1 == *text);
    assert!(files[0].0.starts_with("fraud-scorer-2023111") && files[0].0.ends_with("Z.md"), "{}", files[0].0);
    desk.press("m j m");
    let effects = desk.press("n");
    assert!(matches!(&effects[0], Effect::Copy(text) if text.matches("\n# ").count() == 1), "one note of both");
}

#[test]
fn links_are_filled_in_for_the_workload() {
    let mut desk = desk();
    desk.press("o");
    assert!(desk.said().contains("[links]"), "{}", desk.said());
    let template = "https://g/d?g={id}&ns={namespace}".to_owned();
    desk.state.links = Arc::new(vec![Link { name: "grafana".into(), template }]);
    assert_eq!(desk.press("o enter"), [Effect::Copy("https://g/d?g=fraud-scorer&ns=payments".into())]);
}

#[test]
fn the_row_under_the_cursor_is_sent_whole() {
    let mut desk = desk();
    assert_eq!(desk.press("Y"), [Effect::Copy("fraud-scorer".into())]);
    let effects = desk.press("5 Y");
    assert!(matches!(&effects[..], [Effect::Copy(text)] if text.starts_with("CRITICAL ")), "{effects:?}");
}

#[test]
fn an_alert_leads_to_where_it_is_seen_and_back() {
    let mut desk = desk();
    desk.press("5");
    let alerts = rows::alerts(&desk.picture, &desk.state);
    let at = alerts.iter().position(|a| a.subject() == "fraud-model").unwrap();
    let id = alerts[at].id().label();
    desk.state.selected.insert(Pane::Alerts, id);
    let effects = desk.press("a");
    assert!(matches!(&effects[..], [Effect::Send(Intent::Prepare { workload, .. })] if workload == "fraud-model"));
    desk.press("esc enter");
    assert_eq!(desk.state.view, View::Workload);
    assert_eq!(rows::current_workload(&desk.picture, &desk.state).unwrap().workload.name, *"fraud-model");
    desk.press("esc");
    assert_eq!(desk.state.view, View::Alerts);
}

#[test]
fn a_group_a_service_and_a_queue_are_decided_on_where_they_stand() {
    for (keys, pane, id) in [
        ("2", Pane::Groups, "prod/orders-etl"),
        ("2 tab", Pane::Groups, "prod/orders-etl"),
        ("3", Pane::Services, "main/search-ranker"),
    ] {
        let mut desk = desk();
        desk.press(keys);
        desk.state.selected.insert(pane, Label::new(id));
        let name = &id[5..];
        let workload = |desk: &Desk| rows::current_workload(&desk.picture, &desk.state).unwrap().workload.name.clone();
        assert_eq!(workload(&desk), *name, "{keys}");
        desk.press("e");
        let Some(Dialog::Explain { workload: explained, .. }) = desk.state.dialogs.last() else { panic!("{keys}") };
        assert_eq!(*explained, *name, "{keys}");
        let view = desk.state.view;
        desk.press("esc enter enter");
        assert_eq!((desk.state.view, workload(&desk).as_str()), (View::Workload, name), "{keys}");
        desk.press("esc");
        assert_eq!(desk.state.view, view, "{keys}");
    }
    let mut desk = desk();
    desk.press("j j j 2 c"); // from the workload to its group
    assert!(matches!(desk.state.dialogs.last(), Some(Dialog::Count { plan, .. }) if plan.workload == *"orders-etl"));
}

#[test]
fn what_a_rule_finds_raises_an_alarm_and_stands_in_the_log() {
    let mut desk = desk();
    let found = desk.picture.clusters[0].alerts.clone();
    assert!(!found.is_empty());
    let mut quiet = (*desk.picture).clone();
    Arc::make_mut(&mut quiet.clusters[0]).alerts.clear();
    desk.picture = Arc::new(quiet);
    desk.publish(|_| {});
    let effects = desk.publish(|p| {
        let cluster = Arc::make_mut(&mut p.clusters[0]);
        cluster.alerts = found[..1].to_vec();
        cluster.alerts[0].severity = Severity::Act;
    });
    let text = found[0].sentence.as_str().replacen("broker 3 ", "broker 3: ", 1); // its name once
    assert_eq!(effects, [Effect::Alarm(text.clone())]);
    assert_eq!(desk.publish(|p| p.seq += 1), [], "once");
    desk.publish(|p| Arc::make_mut(&mut p.clusters[0]).alerts.clear());
    let said: Vec<&str> = desk.state.log.newest().map(|e| e.text.as_str()).collect();
    assert_eq!(said, [text.replacen(": ", ": no longer so: ", 1), text]);
}

#[test]
fn what_became_critical_raises_one_alarm_and_stands_in_the_log() {
    let mut desk = desk();
    desk.publish(|_| {});
    let effects = desk.publish(|p| {
        for i in [5, 7] {
            let view = Arc::make_mut(&mut p.workloads[i]);
            (view.severity, view.headline) = (Severity::Act, "41 s behind".into());
        }
    });
    assert_eq!(effects, [Effect::Alarm("payments-audit: 41 s behind (was ok) (and 1 more)".into())]);
    assert_eq!(desk.publish(|_| {}), [], "once");
    assert_eq!(desk.state.log.newest().count(), 2);
}

#[test]
fn an_earlier_screen_cannot_be_decided_on() {
    let mut desk = desk();
    desk.publish(|_| {});
    let start = desk.picture.at;
    for _ in 0..5 {
        let next = fixture::later(&desk.picture, 60.0);
        desk.publish(|p| *p = next);
    }
    desk.press(", ,");
    assert_eq!(desk.state.frozen.as_ref().map(|f| f.at), Some(start.plus(180.0)));
    assert_eq!(desk.press("a"), []);
    assert!(desk.said().contains("frozen"), "{}", desk.said());
    desk.press(". .");
    assert!(desk.state.frozen.is_none(), "the screen goes on");
    desk.press("@ - 3 enter");
    assert_eq!(desk.state.frozen.as_ref().map(|f| f.at), Some(start.plus(120.0)));
    desk.press("space");
    assert!(desk.state.frozen.is_none());
}

#[test]
fn stepping_forth_goes_on_where_pictures_are_kept_somewhat_more_than_a_minute_apart() {
    let mut desk = desk();
    desk.publish(|_| {});
    for _ in 0..4 {
        let next = fixture::later(&desk.picture, 60.7);
        desk.publish(|p| *p = next);
    }
    let at = |desk: &Desk| desk.state.frozen.as_ref().map(|f| f.at);
    desk.press(", ,");
    let second = at(&desk);
    desk.press(",");
    assert!(at(&desk) < second);
    desk.press(".");
    assert_eq!(at(&desk), second);
    desk.press(". .");
    assert_eq!(at(&desk), None, "after the last one the screen goes on");
    desk.press("@");
    desk.event(Event::Paste("-3\n".into()));
    desk.press("enter");
    assert!(at(&desk).is_some(), "an instant may be pasted");
}

#[test]
fn what_changed_and_what_was_done_lead_to_the_workload() {
    let mut desk = desk();
    desk.publish(|_| {});
    desk.publish(|p| {
        Arc::make_mut(&mut p.workloads[5]).severity = Severity::Act;
        p.sources[1].health = crate::model::Health::Down;
    });
    let name = desk.picture.workloads[5].workload.name.clone();
    desk.press("7 enter");
    assert_eq!((desk.state.view, desk.state.selected(Pane::Workloads)), (View::Workload, Some(&name)));
    desk.press("esc");
    assert_eq!(desk.state.view, View::Log);
    desk.press("G enter");
    assert!(desk.state.view == View::Log && desk.said().contains("no workload"), "{}", desk.said());
    desk.press("U");
    assert!(desk.said().contains("go to the overview"), "nobody sees what it would be about: {}", desk.said());
    desk.press("4 e");
    let first = desk.picture.actions[0].workload.clone();
    assert!(matches!(desk.state.dialogs.last(), Some(Dialog::Explain { workload, .. }) if *workload == first));
}

#[test]
fn no_row_is_passed_over_by_the_page_key() {
    for size in [(60, 15), (80, 24), (120, 30), (200, 60), (300, 100)] {
        let mut desk = Desk::new(Mode::Watch);
        desk.state.size = size;
        desk.publish(|p| {
            *p = fixture::crowd(130);
            for (i, view) in p.workloads.iter_mut().enumerate() {
                Arc::make_mut(&mut Arc::make_mut(view).workload).name = Label::new(&format!("w-{i:03}"));
            }
        });
        let mut seen = screen(&desk);
        for _ in 0..30 {
            desk.press("pgdn");
            seen += &screen(&desk);
        }
        for i in 0..130 {
            assert!(seen.contains(&format!("w-{i:03} ")), "{i} at {size:?}");
        }
    }
}

#[test]
fn the_group_whose_partitions_are_looked_at_stays_in_sight() {
    let mut desk = Desk::new(Mode::Watch);
    desk.state.size = (200, 60);
    desk.publish(|p| *p = fixture::platform(300, 1_200));
    desk.press("2 G");
    let last = rows::groups(&desk.picture, &desk.state).pop().map(|row| row.item.group.to_string()).unwrap();
    desk.press("enter");
    assert_eq!(desk.state.pane(), Pane::Partitions);
    let rows = screen(&desk).lines().filter(|l| l.starts_with("│") && l.contains(&format!("{last} "))).count();
    assert_eq!(rows, 1, "{last}: {}", screen(&desk));
}

#[test]
fn latencies_below_a_second_are_in_order() {
    let mut picture = fixture::crowd(3);
    for (view, seconds) in picture.workloads.iter_mut().zip([0.084, 0.9, 0.25]) {
        let view = Arc::make_mut(view);
        let reading = crate::model::Reading::new(seconds, fixture::NOW, "test");
        view.signals.retain(|s| s.role != crate::model::Role::TimeLag);
        view.signals[0].role = crate::model::Role::Latency;
        view.signals[0].now = reading;
    }
    let state = State { sort: crate::tui::state::Sort::Behind, ..State::default() };
    let names = rows::workloads(&picture, &state).into_iter().map(|w| w.workload.name.clone()).collect::<Vec<_>>();
    assert!([1, 2, 0].iter().zip(&names).all(|(i, name)| name.as_str().ends_with(&format!("{i}"))), "{names:?}");
}

#[test]
fn another_day_is_looked_up_once_for_what_is_on_screen() {
    let mut desk = desk();
    let effects = desk.press("=");
    let [Effect::Recall { key, compare: Compare::Yesterday, span }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((key.entity.id.as_str(), key.role), ("fraud-scorer", crate::model::Role::Demand));
    assert!(desk.picture.at.since(span.0) > 86_400.0 && desk.picture.at.since(span.1) < 86_400.0);
    assert_eq!(desk.press("k"), [], "it is on its way");
    assert!(matches!(&desk.press("j")[..], [Effect::Recall { key, .. }] if key.entity.id == "fraud-model"));
    let grid = Grid { start: span.0, step: 60.0, values: vec![Some(1.0); 90] };
    desk.event(Event::Recalled(key.clone(), Compare::Yesterday, Some(Arc::new(grid.clone()))));
    assert!(desk.state.recalled.as_ref().unwrap().track.is_none(), "that was another one's");
    let key = desk.state.recalled.as_ref().unwrap().key.clone();
    desk.event(Event::Recalled(key, Compare::Yesterday, Some(Arc::new(grid))));
    let track = desk.state.recalled.as_ref().unwrap().track.clone().unwrap();
    assert_eq!(track.start, span.0.plus(86_400.0), "moved to the present");
}

#[test]
fn what_is_compared_reaches_as_far_as_the_charts_can_go() {
    let mut desk = desk();
    let effects = desk.press("=");
    let [Effect::Recall { span: (begin, _), .. }] = &effects[..] else { panic!("{effects:?}") };
    let begin = begin.plus(86_400.0); // moved to the present
    // A longer past, and an earlier one: neither looks anything up again.
    for keys in ["< < < <", "[ [ [", "[ [ [", "< <"] {
        assert_eq!(desk.press(keys), [], "it is on its way");
        let edge = desk.picture.at.plus(-desk.state.pan - desk.state.zoom.back());
        assert!(begin <= edge, "{keys}: the left edge at {edge} has nothing beside it before {begin}");
        assert!(desk.picture.at.since(edge) <= 86_400.0, "{keys}: no sample is kept before {edge}");
    }
}

#[test]
fn a_page_about_one_workload_stays_with_it() {
    let mut desk = Desk::new(Mode::Operate);
    let shown = |desk: &Desk| rows::current_workload(&desk.picture, &desk.state).map(|v| v.workload.name.to_string());
    // The cursor was on fraud; where the filter moved it, it stays, and the filter outlives the page.
    desk.press("j k / a u d i enter enter");
    assert_eq!((desk.state.view, shown(&desk).as_deref()), (View::Workload, Some("audit")));
    desk.press("esc");
    assert_eq!((desk.state.view, desk.state.filter.as_str()), (View::Overview, "audi"));
    desk.press("esc");
    assert_eq!((desk.state.filter.as_str(), shown(&desk).as_deref()), ("", Some("audit")));
    // What the filter asks for may come to be untrue of it.
    desk.press("enter");
    desk.state.filter = "lag>10k".into();
    assert_eq!(shown(&desk).as_deref(), Some("audit"));
    desk.publish(|p| p.workloads.truncate(2));
    assert_eq!(shown(&desk), None, "what is gone is not another one");
    assert_eq!(desk.press("a"), []);
    assert!(desk.state.dialogs.is_empty());
    assert!(screen(&desk).contains("audit is not seen any more"), "{}", screen(&desk));
}

#[test]
fn charts_are_read_at_an_instant_until_esc() {
    let mut desk = desk();
    desk.press("enter left left");
    assert_eq!(desk.state.cross, Some(-120.0));
    desk.press("esc");
    assert_eq!((desk.state.cross, desk.state.view), (None, View::Workload));
}

fn screen(desk: &Desk) -> String {
    let mut buf = Buffer::empty(Rect::new(0, 0, desk.state.size.0, desk.state.size.1));
    let area = buf.area;
    draw(&desk.picture, &desk.state, &Theme::default(), fixture::NOW, area, &mut buf);
    crate::tui::export::text(&buf)
}

/// Where a text stands on the screen.
fn place(desk: &Desk, text: &str) -> Position {
    let screen = screen(desk);
    let (y, line) = screen.lines().enumerate().find(|(_, l)| l.contains(text)).unwrap_or_else(|| panic!("{screen}"));
    Position::new(line.split(text).next().map_or(0, |l| l.chars().count()) as u16, y as u16)
}

fn click(desk: &mut Desk, text: &str) {
    let at = place(desk, text);
    let hit = under(&desk.picture, &desk.state, &Theme::default(), desk.at().now, at);
    desk.event(Event::Click(hit.unwrap_or_else(|| panic!("nothing lies under {text}"))));
}

#[test]
fn a_click_chooses_a_row_a_tab_and_an_order() {
    let mut desk = desk();
    click(&mut desk, "orders-etl");
    assert_eq!(desk.state.selected(Pane::Workloads), Some(&Label::new("orders-etl")));
    click(&mut desk, "BEHIND");
    assert_eq!((desk.state.sort, desk.state.reverse), (Sort::Behind, false));
    click(&mut desk, "BEHIND");
    assert!(desk.state.reverse);
    desk.press("2");
    desk.state.size = (80, 24);
    click(&mut desk, "topics");
    assert_eq!(desk.state.pane(), Pane::Topics);
    click(&mut desk, "orders.v2");
    assert_eq!(desk.state.selected(Pane::Topics), Some(&Label::new("prod/orders.v2")));
}

#[test]
fn a_click_does_nothing_to_what_lies_above_the_page() {
    let mut desk = desk();
    desk.press("a");
    let before = format!("{:?}", desk.state);
    for hit in [Hit::Row(Pane::Workloads, 2), Hit::Tab(Pane::Workloads), Hit::Head(Sort::Name)] {
        assert_eq!(desk.event(Event::Click(hit)), []);
    }
    assert_eq!(format!("{:?}", desk.state), before);
}

#[test]
fn the_charts_move_into_the_past_and_back() {
    let mut desk = desk();
    desk.press("enter < <");
    let text = screen(&desk);
    assert!(text.contains("60 min up to 13:37 UTC") && !text.contains("14:10"), "{text}");
    desk.press(">");
    assert!(screen(&desk).contains("up to 13:52 UTC"));
    desk.press("esc");
    assert!(desk.state.pan <= 0.0 && desk.state.view == View::Workload, "esc leads back to the present first");
    desk.press("[ [ [ [ [ <");
    assert!(desk.said().contains("no older samples"), "{}", desk.said());
}

#[test]
fn times_are_written_by_the_clock_that_was_asked_for() {
    let mut desk = desk();
    desk.press("L");
    assert!(desk.said().contains("own clock is UTC"));
    desk.state.local = "+02:00".parse().unwrap();
    desk.press("L");
    let text = screen(&desk);
    assert!(text.contains("16:07:32 +02") && text.contains("16:00") && !text.contains("14:07:32"), "{text}");
    desk.press("@ 1 6 : 0 0 enter");
    let frozen = desk.state.frozen.as_ref().map(|f| f.at);
    assert!(frozen.is_some_and(|at| at < fixture::NOW), "16:00 there is 14:00 UTC: {frozen:?}");
    desk.press("L");
    assert!(screen(&desk).contains(" UTC"));
}
