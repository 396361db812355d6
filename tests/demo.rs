//! The binary as a newcomer runs it: the demo in a pseudo-terminal, every way in and out.

use crate::support::terminal::Terminal;

fn demo(args: &[&str]) -> (tempfile::TempDir, Terminal) {
    let home = tempfile::tempdir().unwrap();
    let args: Vec<&str> = ["demo"].into_iter().chain(args.iter().copied()).collect();
    let terminal = Terminal::start(&args, home.path(), (140, 40));
    (home, terminal)
}

#[test]
fn the_main_job_on_the_simulated_world() {
    let (_home, mut t) = demo(&["--speed", "5"]);
    t.wait_text("OPERATE");
    t.wait("fraud-scorer needs more replicas", |s| {
        s.lines().any(|l| l.contains("fraud-scorer") && l.contains('→')).then_some(())
    });
    t.press("/"); // the cursor stays with the workload that was on top at first, which may be another
    t.press("fraud-scorer");
    t.wait("only it is shown", |s| (!s.contains("clickstream")).then_some(()));
    t.press("\r");
    t.wait_text("a approve");
    t.press("a");
    t.wait_text("deploy/payments/fraud-scorer");
    t.wait_text("dry run");
    t.wait("the change may be confirmed", |s| s.contains("[y]").then_some(()));
    t.press("y");
    t.wait("the dialog is done", |s| (!s.contains("[y]")).then_some(()));
    t.press("4");
    t.wait("the change is verified", |s| s.contains("verified").then_some(()));
    t.press("q");
    assert_eq!(t.code(), 0);
}

#[test]
fn watch_shows_it_all_and_can_do_nothing() {
    let (_home, mut t) = demo(&["--watch"]);
    t.wait_text("WATCH");
    t.wait_text("fraud-scorer");
    t.press("a");
    t.press("?");
    let help = t.wait("the help", |s| s.contains("view-kafka").then(|| s.to_owned()));
    assert!(!help.contains("approve"), "{help}");
    t.press("\u{1b}"); // and nothing right behind it: Esc and a letter in one write would be Alt with that letter
    t.wait("the help is left", |s| (!s.contains("view-kafka")).then_some(()));
    t.press("q");
    assert_eq!(t.code(), 0);
}

#[test]
fn yesterday_is_drawn_beside_today() {
    let (_home, mut t) = demo(&["--watch"]);
    t.wait("there is advice", |s| s.lines().any(|l| l.contains("fraud-scorer") && l.contains("→")).then_some(()));
    t.press("=");
    t.wait_text("beside yesterday");
    t.press("q");
    assert_eq!(t.code(), 0);
}

#[test]
fn whatever_is_pasted_is_read_to_its_end() {
    let (_home, mut t) = demo(&["--watch", "--scenario", "quiet"]);
    t.wait_text("WATCH");
    // Three times what is read at once; the help is the last key of it, and nothing follows that would wake anybody.
    t.press(&format!("{}?", "j".repeat(3_000)));
    t.wait("the help", |s| s.contains("view-kafka").then_some(()));
    t.press("qq");
    assert_eq!(t.code(), 0);
}

#[test]
fn every_signal_gives_the_terminal_back() {
    for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130)] {
        let (_home, mut t) = demo(&["--watch", "--scenario", "quiet"]);
        t.wait_text("WATCH");
        assert!(t.is_alternate());
        t.signal(signal);
        assert_eq!(t.code(), code, "{signal}");
        crate::support::wait_for("the main screen is back", || (!t.is_alternate()).then_some(()));
    }
}

#[test]
fn nothing_to_look_at_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let mut t = Terminal::start(&[], home.path(), (100, 30));
    t.wait_text("highwater demo");
    t.wait_text("[y/N]");
    t.press("n\r");
    assert_eq!(t.code(), 2);
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_is_told_what_works() {
    let home = tempfile::tempdir().unwrap();
    let args = ["demo", "--scenario", "quiet"];
    let mut t = Terminal::start_with(&args, home.path(), (100, 30), &[("TERM", "dumb")]);
    t.wait_text("--accessible");
    assert_eq!(t.code(), 2);
}

#[test]
fn three_questions_make_a_configuration() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("mine.toml");
    let args = ["init", "--config", file.to_str().unwrap()];
    let mut t = Terminal::start(&args, home.path(), (100, 30));
    t.wait_text("Kafka brokers");
    t.press("no-port\r");
    t.wait_text("write host:port");
    t.press("k1:9092\r");
    t.wait_text("Prometheus (");
    t.press("\r");
    t.wait_text("Context of your kubeconfig");
    t.press("\r");
    assert_eq!(t.code(), 0);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("\n\"bootstrap.servers\" = \"k1:9092\"") && text.contains("\n# url = "), "{text}");
    let mut again = Terminal::start(&args, home.path(), (100, 30));
    again.wait_text("--force");
    assert_eq!(again.code(), 2);
}

#[test]
fn a_recording_plays_what_was_drawn() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("demo.cast");
    let path = file.to_str().unwrap();
    let mut t = Terminal::start(&["record", path, "--demo", "quiet"], home.path(), (100, 30));
    t.wait_text("WATCH");
    t.wait_text("orders-etl");
    t.press("q");
    assert_eq!(t.code(), 0);
    let mut t = Terminal::start(&["play", path, "--speed", "20"], home.path(), (100, 30));
    t.wait_text("orders-etl");
    assert_eq!(t.code(), 0);
    for (signal, code) in [("-TERM", 143), ("-HUP", 129), ("-INT", 130)] {
        let mut t = Terminal::start(&["play", path, "--speed", "0.01"], home.path(), (100, 30));
        t.wait("it plays", |_| t.is_alternate().then_some(()));
        t.signal(signal);
        assert_eq!(t.code(), code);
        t.wait("the terminal is as it was", |_| (!t.is_alternate()).then_some(()));
    }
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with('{') && text.lines().count() > 2 && text.contains("orders-etl"), "{text}");
}
