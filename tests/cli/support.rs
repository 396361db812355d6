//! The real binary without a terminal, in a home of its own; and servers that misbehave.

use crate::support::wait_for;
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A home directory for one test.
pub struct Home(tempfile::TempDir);

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Home {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the ledger of this home lies.
    pub fn ledger(&self) -> PathBuf {
        self.path().join("state/highwater/ledger")
    }

    /// Writes a file that only its owner may read, and gives its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs `highwater` with `args` to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(args).env_clear().current_dir(self.path());
        command.envs([("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin"), ("RUST_BACKTRACE", "1")]);
        command.env("HOME", self.path());
        command.env("XDG_STATE_HOME", self.path().join("state"));
        command.env("XDG_CONFIG_HOME", self.path().join("config"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let out = collect(child.stdout.take().unwrap());
        let err = collect(child.stderr.take().unwrap());
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(&format!("highwater {args:?} ends"), || child.try_wait().unwrap())
        }));
        if ended.is_err() {
            let _ = child.kill(); // it may have ended just now
        }
        let ran = Ran {
            code: ended.as_ref().ok().and_then(std::process::ExitStatus::code),
            out: out.join().unwrap(),
            err: err.join().unwrap(),
        };
        assert!(ended.is_ok(), "highwater {args:?} hangs: {ran:?}");
        assert!(!ran.err.contains("panicked"), "highwater {args:?} panics: {}", ran.err);
        ran
    }

    /// Runs it and expects an exit code.
    pub fn expect(&self, code: i32, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(code), "highwater {args:?}: {ran:#?}");
        ran
    }
}

impl Ran {
    /// Standard output, which must be one JSON document and nothing else.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("not one JSON document: {e}: {self:#?}"))
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("output can be read");
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}

/// What a server does with whoever connects.
#[derive(Clone, Copy)]
pub enum Manner {
    /// Takes the connection and says nothing.
    Silent,
    /// Reads a little, answers with these bytes and closes.
    Answers(&'static [u8]),
}

/// A server on loopback, for as long as the test runs (its thread ends with the process).
pub struct Server {
    pub port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, heard) = (listener.local_addr().unwrap().port(), Arc::default());
        let log: Arc<Mutex<Vec<u8>>> = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming().flatten() {
                match manner {
                    Manner::Silent => kept.push(stream),
                    Manner::Answers(answer) => serve(stream, answer, &log),
                }
            }
        });
        Self { port, heard }
    }

    /// Everything that was ever sent to it.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

fn serve(mut stream: TcpStream, answer: &[u8], log: &Mutex<Vec<u8>>) {
    // A client that leaves or is slow is no matter of this server.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let mut chunk = [0_u8; 16_384];
    if let Ok(n) = stream.read(&mut chunk) {
        log.lock().unwrap().extend_from_slice(&chunk[..n]);
    }
    let _ = stream.write_all(answer);
}

/// A port that nothing listens at.
pub fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Checks `value` against a shape: a JSON document whose texts name types (`number`, `text`, `bool`, `time`, `list`,
/// `map`, `any`; `number?` may be null) or stand for themselves, whose one-element arrays are the shape of every element (there must be one),
/// and whose objects list keys that must be there.
pub fn assert_shape(value: &Value, shape: &Value) {
    let mut problems = Vec::new();
    compare("$", value, shape, &mut problems);
    assert!(problems.is_empty(), "{}\nin {value:#}", problems.join("\n"));
}

fn compare(path: &str, value: &Value, shape: &Value, problems: &mut Vec<String>) {
    match shape {
        Value::String(kind) => {
            let (kind, may_miss) = kind.strip_suffix('?').map_or((kind.as_str(), false), |k| (k, true));
            let right = match kind {
                "number" => value.is_number(),
                "text" => value.is_string(),
                "bool" => value.is_boolean(),
                "time" => {
                    value.as_str().is_some_and(|t| t.ends_with('Z') && highwater::model::Time::parse(t).is_some())
                }
                "list" => value.is_array(),
                "map" => value.is_object(),
                "any" => true,
                exact => value == exact,
            };
            if !(right || may_miss && value.is_null()) {
                problems.push(format!("{path} is {value}, not {kind}"));
            }
        }
        Value::Array(of) => match value.as_array() {
            Some(all) if !all.is_empty() => {
                for (i, one) in all.iter().enumerate() {
                    compare(&format!("{path}[{i}]"), one, &of[0], problems);
                }
            }
            _ => problems.push(format!("{path} is {value}, not a list with entries")),
        },
        Value::Object(keys) => {
            for (key, inner) in keys {
                match value.get(key) {
                    Some(found) => compare(&format!("{path}.{key}"), found, inner, problems),
                    None => problems.push(format!("{path}.{key} is missing")),
                }
            }
        }
        exact if exact == value => {}
        exact => problems.push(format!("{path} is {value}, not {exact}")),
    }
}
