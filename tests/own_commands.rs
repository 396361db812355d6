//! Commands of the operator's own, run by the binary in a pseudo-terminal.

use crate::support::terminal::Terminal;
use std::{fs, path::PathBuf};

/// A configuration whose only source never answers; its commands write a line into a file that is given back.
fn desk(mode: &str) -> (tempfile::TempDir, PathBuf, Terminal) {
    let home = tempfile::tempdir().unwrap();
    let (file, trace) = (home.path().join("highwater.toml"), home.path().join("trace"));
    let text = format!(
        r#"
[kafka.k]
"bootstrap.servers" = "127.0.0.1:1"
[[command]]
name = "write-it"
key = "D"
argv = ["sh", "-c", 'echo "$1" >> "$2"; echo "wrote it"; exit 3', "sh", "a name; $(false)", "{}"]
[[command]]
name = "read-it"
key = "E"
argv = ["printf", 'two words\033[2J\n']
read_only = true
[[command]]
name = "of-a-group"
key = "F"
argv = ["echo", "{{group}}"]
read_only = true
"#,
        trace.display()
    );
    fs::write(&file, text).unwrap();
    let mut terminal = Terminal::start(&[mode, "--config", file.to_str().unwrap()], home.path(), (110, 30));
    terminal.wait_text(&mode.to_uppercase());
    terminal.press("F");
    terminal.wait_text("of-a-group: there is no group under the cursor");
    (home, trace, terminal)
}

#[test]
fn a_command_runs_once_and_what_it_wrote_is_shown() {
    let (_home, trace, mut t) = desk("operate");
    t.press("D");
    t.wait_text("not declared read-only");
    t.wait_text("[y] run it");
    assert!(!trace.exists(), "the key alone runs nothing");
    t.press("y");
    t.wait_text("exited with 3");
    t.wait_text("wrote it");
    assert_eq!(fs::read_to_string(&trace).unwrap(), "a name; $(false)\n");
    t.press("\u{1b}");
    t.wait("the dialog is left", |s| (!s.contains("wrote it")).then_some(()));
    t.press("7");
    t.wait_text("write-it: exited with 3");
    t.press("q");
    assert_eq!(t.code(), 0);
}

#[test]
fn watching_runs_what_is_declared_read_only_and_nothing_else() {
    let (_home, trace, mut t) = desk("watch");
    t.press("D");
    t.wait_text("it runs in `highwater operate`");
    t.press("E");
    t.wait_text("ended well");
    t.wait_text("two words\\u{1b}[2J");
    assert!(!trace.exists());
    t.press("q");
    t.wait("the dialog is left", |s| (!s.contains("ended well")).then_some(()));
    t.press("q");
    assert_eq!(t.code(), 0);
}
