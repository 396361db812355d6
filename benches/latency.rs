//! From a key to the screen while every source hangs: the binary in a pseudo-terminal, beside a Kafka and a Prometheus that
//! take connections and never answer. `HIGHWATER` names another binary.

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
    time::{Duration, Instant},
};

/// Keys that are timed: each opens or leaves the help.
const KEYS: usize = 400;
/// Longer than this no key may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let hanging = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port on loopback"));
    let ports = [0, 1].map(|i: usize| hanging[i].local_addr().expect("it is bound").port());
    let home = std::env::temp_dir().join(format!("highwater-latency-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("a folder in the system's temporary one"); // where it is started
    let pair = native_pty_system().openpty(PtySize { rows: 60, cols: 200, ..PtySize::default() }).expect("a terminal");
    let binary = std::env::var_os("HIGHWATER").unwrap_or_else(|| env!("CARGO_BIN_EXE_highwater").into());
    let mut command = CommandBuilder::new(binary);
    let (kafka, prometheus) = (format!("127.0.0.1:{}", ports[0]), format!("http://127.0.0.1:{}", ports[1]));
    command.args(["watch", "--kafka", &kafka, "--prometheus", &prometheus]);
    for (key, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("COLORTERM", "truecolor")] {
        command.env(key, value);
    }
    command.env("HOME", &home);
    command.env("XDG_STATE_HOME", home.join("state"));
    command.env("XDG_CONFIG_HOME", home.join("config"));
    let mut child = pair.slave.spawn_command(command).expect("the binary starts");
    drop(pair.slave);
    let (sender, screens) = mpsc::channel();
    let mut reader = pair.master.try_clone_reader().expect("the terminal can be read");
    std::thread::spawn(move || {
        let cells = |n: u16| -> std::num::NonZeroU16 { n.try_into().expect("not zero") };
        let mut screen = vt100::Parser::new(cells(60), cells(200), 0);
        let mut chunk = vec![0_u8; 65_536];
        while let Ok(n @ 1..) = reader.read(&mut chunk) {
            screen.process(&chunk[..n]);
            let helps = screen.screen().contents().contains("view-kafka");
            if sender.send((Instant::now(), helps)).is_err() {
                break;
            }
        }
    });
    let mut keys = pair.master.take_writer().expect("the terminal takes keys");
    // Until both sources have been waited for, and the screen is up.
    std::thread::sleep(Duration::from_secs(3));
    let mut times = Vec::new();
    for n in 0..KEYS {
        while screens.try_recv().is_ok() {} // ages and the clock
        std::thread::sleep(Duration::from_millis(20 + (n as u64 * 37) % 90)); // no hand is faster, none is even
        let (key, helps) = if n % 2 == 0 { ("?", true) } else { ("q", false) };
        let pressed = Instant::now();
        keys.write_all(key.as_bytes()).expect("it takes a key");
        loop {
            let (at, shown) = screens.recv_timeout(PATIENCE).expect("the screen answers");
            if shown == helps && at >= pressed {
                times.push(at - pressed);
                break;
            }
        }
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!(
        "{KEYS} keys at 200x60 while Kafka and Prometheus hang: p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    keys.write_all(b"q").expect("it takes a key");
    let _ = child.wait(); // it leaves by itself
    let _ = std::fs::remove_dir_all(home); // a folder of ours in the system's temporary one
}
