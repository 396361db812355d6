//! The real binary in a pseudo-terminal: keys in, screen out.

use super::wait_for_else;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::{
    io::{Read, Write},
    path::Path,
    sync::{Arc, Mutex},
};

/// A program on a terminal of its own.
pub struct Terminal {
    screen: Arc<Mutex<vt100::Parser>>,
    /// Every byte that ever came.
    bytes: Arc<Mutex<Vec<u8>>>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Starts `highwater` with `args`; its home (configuration, state, ledger) is `home`.
    pub fn start(args: &[&str], home: &Path, size: (u16, u16)) -> Self {
        Self::start_with(args, home, size, &[])
    }

    /// The same with other variables in its environment.
    pub fn start_with(args: &[&str], home: &Path, (columns, rows): (u16, u16), env: &[(&str, &str)]) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_highwater"));
        command.args(args);
        command.env_clear();
        for (key, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("COLORTERM", "truecolor")] {
            command.env(key, value);
        }
        for (key, value) in env {
            command.env(key, value);
        }
        command.env("HOME", home);
        command.env("XDG_STATE_HOME", home.join("state"));
        command.env("XDG_CONFIG_HOME", home.join("config"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if let Some(user) = std::env::var_os("USER") {
            command.env("USER", user);
        }
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        let child = pair.slave.spawn_command(command).expect("the binary starts");
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().expect("the terminal can be read");
        let keys = pair.master.take_writer().expect("the terminal takes keys");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0)));
        let parser = screen.clone();
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let all = bytes.clone();
        std::thread::spawn(move || {
            let mut chunk = [0_u8; 8192];
            while let Ok(n @ 1..) = reader.read(&mut chunk) {
                parser.lock().unwrap().process(&chunk[..n]);
                all.lock().unwrap().extend_from_slice(&chunk[..n]);
            }
        });
        Self { screen, bytes, keys, child, _master: pair.master }
    }

    /// What stands on the screen now.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Whether a text was ever written to the terminal, however short it stood there.
    pub fn ever_showed(&self, text: &str) -> bool {
        self.bytes.lock().unwrap().windows(text.len()).any(|w| w == text.as_bytes())
    }

    /// Whether the alternate screen is on.
    pub fn is_alternate(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.keys.flush().expect("the terminal takes keys");
    }

    /// Waits until `look` finds something on the screen; shows the screen when it does not.
    pub fn wait<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        wait_for_else(what, || look(&self.text()), || format!(". The screen:\n{}", self.text()))
    }

    /// Waits for a text.
    pub fn wait_text(&self, text: &str) {
        self.wait(text, |screen| screen.contains(text).then_some(()));
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill").args([signal, &pid]).status().expect("kill is there");
        assert!(sent.success());
    }

    /// Waits for the program's end and gives its exit code; shows the screen when it does not end.
    pub fn code(&mut self) -> u32 {
        let (screen, child) = (self.screen.clone(), &mut self.child);
        let text = || format!(". The screen:\n{}", screen.lock().unwrap().screen().contents());
        wait_for_else("the program ends", || child.try_wait().expect("it can be waited for"), text).exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended in most tests
        let _ = self.child.wait();
    }
}
