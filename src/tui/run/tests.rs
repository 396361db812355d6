//! The loop in a real pseudo-terminal, in a process of its own: every way out leaves the terminal as it was.
//!
//! The child is this very test binary, asked to run [`child`] only.

use super::*;
use crate::{
    model::{Mode, Time},
    tui::theme::{Charset, Depth},
};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::{
    io::{Read, Write},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// Names the way in which the child is to end; without it [`child`] does nothing.
const WAY: &str = "HIGHWATER_TEST_SCREEN";
/// File that the child writes its exit code to.
const CODE: &str = "HIGHWATER_TEST_CODE";
const DEADLINE: Duration = Duration::from_secs(30);

/// Not a test: the process in the pseudo-terminal.
#[test]
fn child() {
    let Ok(way) = std::env::var(WAY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let start = Time::from_millis(1_700_000_000_000);
    let picture = match way.as_str() {
        "workloads" => super::super::fixture::picture(Mode::Watch),
        _ => Picture::empty(Mode::Watch, "testing", start),
    };
    let options = Options::default();
    let options = if way == "slow-line" { options.low_bandwidth() } else { options };
    let picture = Arc::new(picture);
    let (sender, pictures) = watch::channel(picture);
    let cx = Context {
        pictures,
        intents: None,
        theme: Theme::default(),
        shelf: Shelf { folder: None, depth: Depth::True, charset: Charset::Braille },
        state: State::default(),
        home: None,
        saves: None,
        record: None,
        options,
        // A clock that stands still: then nothing on screen changes by itself.
        clock: Clock::scaled(start, 0.0),
    };
    let shortly = || tokio::time::sleep(Duration::from_millis(300));
    let exit = runtime.block_on(async move {
        match way.as_str() {
            "panic-beside" => tokio::select! {
                exit = run(cx) => exit,
                () = async { shortly().await; panic!("boom") } => unreachable!(),
            },
            "panic-inside" => {
                let both = async {
                    tokio::select! { exit = run(cx) => exit, () = async { shortly().await; panic!("boom") } => unreachable!() }
                };
                SCREEN.scope((), both).await
            }
            "panic-elsewhere" => {
                tokio::spawn(async move {
                    shortly().await;
                    panic!("boom")
                });
                run(cx).await
            }
            "engine" => {
                tokio::spawn(async move {
                    shortly().await;
                    drop(sender);
                });
                run(cx).await
            }
            _ => {
                let exit = run(cx).await;
                drop(sender);
                exit
            }
        }
    });
    let code = match exit {
        Ok(exit) => i32::from(exit.code),
        Err(error) => {
            println!("{error}");
            1
        }
    };
    if let Ok(path) = std::env::var(CODE) {
        std::fs::write(path, code.to_string()).unwrap();
    }
    std::process::exit(code);
}

fn parser(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0)
}

/// A pseudo-terminal with the child in it.
struct Session {
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Box<dyn Write + Send>,
    process: Box<dyn Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    bytes: Arc<AtomicUsize>,
    /// Begun frames.
    frames: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    reading: Option<std::thread::JoinHandle<()>>,
    before: String,
    code: PathBuf,
    _folder: tempfile::TempDir,
}

impl Session {
    /// Starts the child; `shell` wraps its command line, which stands there as `"$0" "$@"`.
    fn start(way: &str, shell: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let code = folder.path().join("code");
        let pair = native_pty_system().openpty(PtySize { rows: 30, cols: 100, ..PtySize::default() }).unwrap();
        let program = std::env::current_exe().unwrap();
        let words = ["tui::run::tests::child", "--exact", "--nocapture"];
        let mut command = match shell {
            None => CommandBuilder::new(program),
            Some(script) => {
                let mut command = CommandBuilder::new("sh");
                command.args(["-c", script]);
                command.arg(program);
                command
            }
        };
        command.args(words);
        command.env(WAY, way);
        command.env(CODE, &code);
        command.env("TERM", "xterm-256color");
        command.env("RUST_BACKTRACE", "0");
        let before = format!("{:?}", pair.master.get_termios().unwrap());
        let process = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let screen = Arc::new(Mutex::new(parser(30, 100)));
        let bytes = Arc::new(AtomicUsize::new(0));
        let frames = Arc::new(AtomicUsize::new(0));
        let (seen, count, over) = (screen.clone(), bytes.clone(), Arc::new(AtomicBool::new(false)));
        let framed = frames.clone();
        let stop = over.clone();
        let reading = std::thread::spawn(move || {
            let mut chunk = [0_u8; 4096];
            while !stop.load(Ordering::SeqCst)
                && let Ok(n @ 1..) = reader.read(&mut chunk)
            {
                count.fetch_add(n, Ordering::SeqCst);
                framed.fetch_add(chunk[..n].windows(8).filter(|w| *w == b"\x1b[?2026h").count(), Ordering::SeqCst);
                seen.lock().unwrap().process(&chunk[..n]);
            }
        });
        Self {
            master: Some(pair.master),
            keys,
            process,
            screen,
            bytes,
            frames,
            over,
            reading: Some(reading),
            before,
            code,
            _folder: folder,
        }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn wait(&self, what: &str, condition: impl Fn(&vt100::Screen) -> bool) {
        let until = std::time::Instant::now() + DEADLINE;
        while !condition(self.screen.lock().unwrap().screen()) {
            assert!(std::time::Instant::now() < until, "waited in vain for {what}:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the screen is up.
    fn up(self) -> Self {
        self.wait("the screen", |s| s.alternate_screen() && s.contents().contains("highwater"));
        self
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn kill(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.process.process_id().unwrap().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// The child's exit code, once it has ended.
    fn ended(&mut self) -> u32 {
        let until = std::time::Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(std::time::Instant::now() < until, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Closes every handle of the terminal, as the end of an SSH connection does.
    fn hang_up(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.press("?"); // the reader gives up its handle after the next bytes
        self.reading.take().unwrap().join().unwrap();
        self.keys = Box::new(std::io::sink());
        self.master = None;
    }

    /// Everything that was changed is as it was.
    fn assert_restored(&self) {
        self.wait("the terminal to be put back", |s| {
            !s.alternate_screen()
                && !s.bracketed_paste()
                && !s.hide_cursor()
                && s.mouse_protocol_mode() == vt100::MouseProtocolMode::None
        });
        let after = format!("{:?}", self.master.as_ref().unwrap().get_termios().unwrap());
        assert_eq!(after, self.before);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.process.kill(); // ended already, in a test that passed
    }
}

#[test]
fn quitting_puts_the_terminal_back() {
    let mut session = Session::start("quit", None).up();
    session.press("?");
    session.wait("the help", |s| s.contents().contains("view-kafka"));
    session.press("qq");
    assert_eq!(session.ended(), 0);
    session.assert_restored();
}

#[test]
fn signals_end_it_with_their_codes() {
    use rustix::process::Signal;
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let mut session = Session::start("signal", None).up();
        session.kill(signal);
        assert_eq!(session.ended(), code);
        session.assert_restored();
    }
}

#[test]
fn a_panic_is_told_on_a_terminal_that_was_put_back() {
    for way in ["panic-inside", "panic-beside"] {
        let mut session = Session::start(way, None);
        assert_ne!(session.ended(), 0, "{way}");
        session.assert_restored();
        session.wait(way, |s| s.contents().contains("boom"));
    }
}

#[test]
fn a_panic_in_another_task_leaves_the_screen_whole() {
    let mut session = Session::start("panic-elsewhere", None).up();
    session.wait("the notice", |s| s.alternate_screen() && s.contents().contains("internal error was caught"));
    session.press("q");
    assert_eq!(session.ended(), 0);
    session.assert_restored();
}

#[test]
fn without_an_engine_it_ends_and_says_so() {
    let mut session = Session::start("engine", None);
    assert_eq!(session.ended(), 1);
    session.assert_restored();
    session.wait("the reason", |s| s.contents().contains("engine stopped"));
}

#[test]
fn a_dead_terminal_ends_it_even_when_nobody_sends_a_signal() {
    // `setsid`: the terminal is not its controlling one, so its end sends no SIGHUP.
    for shell in [None, Some("setsid \"$0\" \"$@\"; true")] {
        let mut session = Session::start("hangup", shell).up();
        session.hang_up();
        let until = std::time::Instant::now() + DEADLINE;
        let code = loop {
            match std::fs::read_to_string(&session.code) {
                Ok(code) if !code.is_empty() => break code,
                _ => assert!(std::time::Instant::now() < until, "it outlives its terminal"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(code, "129", "{shell:?}");
    }
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let mut session = Session::start("quiet", None).up();
    let settled = || {
        let mut last = (session.bytes.load(Ordering::SeqCst), std::time::Instant::now());
        let until = std::time::Instant::now() + DEADLINE;
        // Three ticks of the loop without a byte.
        while last.1.elapsed() < Duration::from_millis(3_200) {
            assert!(std::time::Instant::now() < until, "it never falls silent");
            let now = session.bytes.load(Ordering::SeqCst);
            if now != last.0 {
                last = (now, std::time::Instant::now());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    settled();
    session.press("q");
    assert_eq!(session.ended(), 0);
}

#[test]
fn a_slow_line_gets_a_frame_a_second_however_many_keys_are_pressed() {
    let mut session = Session::start("slow-line", None).up();
    let (start, before) = (std::time::Instant::now(), session.frames.load(Ordering::SeqCst));
    for key in "j?j?j?j?j?j?j?j?j?j?j?j?j?j?j?".chars() {
        session.press(&key.to_string());
        std::thread::sleep(Duration::from_millis(100));
    }
    let frames = session.frames.load(Ordering::SeqCst) - before;
    assert!(frames > 0 && frames as f64 <= start.elapsed().as_secs_f64() + 1.0, "{frames} in {:?}", start.elapsed());
    session.kill(rustix::process::Signal::TERM);
    assert_eq!(session.ended(), 143);
    session.assert_restored();
}

#[test]
fn what_would_happen_comes_by_itself_while_the_keys_go_on_working() {
    let mut session = Session::start("workloads", None);
    session.wait("the workloads", |s| s.contents().contains("fraud-scorer"));
    session.press("wwww"); // opened, left, opened, left: what was begun is given up
    session.press("w");
    session.wait("the answer", |s| s.contents().contains("a consumer dies"));
    session.press("wq");
    assert_eq!(session.ended(), 0);
    session.assert_restored();
}

#[test]
fn it_follows_a_new_size_and_says_when_it_is_too_small() {
    let mut session = Session::start("resize", None).up();
    for (rows, cols, words) in [(10, 40, "too small"), (20, 70, "highwater")] {
        *session.screen.lock().unwrap() = parser(rows, cols);
        session.master.as_ref().unwrap().resize(PtySize { rows, cols, ..PtySize::default() }).unwrap();
        session.wait(words, |s| s.contents().contains(words));
    }
    session.press("q");
    assert_eq!(session.ended(), 0);
}

#[test]
fn it_suspends_for_a_shell_and_comes_back() {
    let mut session =
        Session::start("suspend", Some("set -m; \"$0\" \"$@\"; echo SUSPENDED; read x; fg; echo BACK")).up();
    session.press("\u{1a}");
    session.wait("the shell", |s| !s.alternate_screen() && s.contents().contains("SUSPENDED"));
    session.press("\n");
    let mut session = session.up();
    session.press("q");
    session.wait("the end", |s| !s.alternate_screen() && s.contents().contains("BACK"));
    session.ended();
    session.assert_restored();
}

#[test]
fn without_a_shell_it_stays() {
    let mut session = Session::start("stay", None).up();
    session.kill(rustix::process::Signal::TSTP);
    session.wait("the reason", |s| s.alternate_screen() && s.contents().contains("no shell"));
    session.press("q");
    assert_eq!(session.ended(), 0);
    session.assert_restored();
}
