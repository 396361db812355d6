//! Recordings of the screen as asciicast v2 (one JSON document a line): what the terminal was sent, and when.

use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    time::Instant,
};

/// A recording that is being written.
#[derive(Debug)]
pub struct Cast {
    file: BufWriter<File>,
    began: Instant,
    sized: bool,
}

impl Cast {
    /// A recording into a file; it begins with the first frame.
    pub fn new(file: File) -> Self {
        Self { file: BufWriter::new(file), began: Instant::now(), sized: false }
    }

    /// Writes what the terminal is sent; `size` when it is drawn anew at that size.
    pub fn write(&mut self, bytes: &[u8], size: Option<(u16, u16)>) -> io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        if let Some((columns, lines)) = size {
            if self.sized {
                self.line(&json!([seconds, "r", format!("{columns}x{lines}")]))?;
            } else {
                let term = json!({ "TERM": "xterm-256color" });
                self.line(
                    &json!({ "version": 2, "width": columns, "height": lines, "title": "Highwater", "env": term }),
                )?;
                self.line(&json!([0.0, "o", "\x1b[?25l"]))?;
                self.sized = true;
            }
        }
        self.line(&json!([seconds, "o", String::from_utf8_lossy(bytes)]))?;
        self.file.flush()
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        writeln!(self.file, "{value}")
    }
}

/// One event of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Seconds since the beginning.
    pub at: f64,
    /// What the terminal is sent.
    pub text: String,
}

/// Reads a recording: its size and what was sent.
///
/// # Errors
/// A sentence that names the line.
pub fn read(text: &str) -> Result<((u16, u16), Vec<Event>), String> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().and_then(|(_, line)| serde_json::from_str::<Value>(line).ok());
    let header = header.filter(|h| h["version"] == 2).ok_or("line 1 is no header of an asciicast, version 2")?;
    let side = |name: &str| header[name].as_u64().and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    let size = side("width").zip(side("height")).ok_or("line 1: width and height are missing")?;
    let mut events = Vec::new();
    for (i, line) in lines.filter(|(_, l)| !l.trim().is_empty()) {
        let event: (f64, String, String) =
            serde_json::from_str(line).map_err(|e| format!("line {}: no event [seconds, kind, text]: {e}", i + 1))?;
        if event.1 == "o" && event.0.is_finite() {
            events.push(Event { at: event.0, text: event.2 });
        }
    }
    Ok((size, events))
}

/// What may be sent to a terminal of a recording that somebody else made: characters, line ends and CSI sequences. What
/// sets titles, clipboards or asks the terminal something is left out.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' if chars.peek() == Some(&'[') => {
                let mut sequence = String::from("\x1b");
                let end = chars.by_ref().find(|c| {
                    sequence.push(*c);
                    *c != '[' && ('\x40'..='\x7e').contains(c)
                });
                // n, c and t ask the terminal for an answer, which would be typed into the shell.
                if end.is_some_and(|c| !matches!(c, 'n' | 'c' | 't')) {
                    out.push_str(&sequence);
                }
            }
            // A string sequence (OSC, DCS, …) goes as far as its terminator.
            '\x1b' if matches!(chars.peek(), Some(']' | 'P' | 'X' | '^' | '_')) => {
                let mut escape = false;
                let _ = chars.by_ref().find(|c| {
                    let over = *c == '\x07' || (escape && *c == '\\');
                    escape = *c == '\x1b';
                    over
                });
            }
            '\x1b' => {
                chars.next();
            }
            '\n' | '\r' | '\t' | '\x08' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.cast");
        let mut cast = Cast::new(File::create(&path).unwrap());
        cast.write(b"\x1b[1mhello", Some((80, 24))).unwrap();
        cast.write("wörld".as_bytes(), None).unwrap();
        cast.write(b"again", Some((100, 30))).unwrap();
        let (size, events) = read(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let texts: Vec<&str> = events.iter().map(|e| e.text.as_str()).collect();
        assert_eq!((size, texts), ((80, 24), vec!["\x1b[?25l", "\x1b[1mhello", "wörld", "again"]));
        assert!(events.is_sorted_by(|a, b| a.at <= b.at));
    }

    #[test]
    fn mistakes_name_the_line() {
        let header = "{\"version\":2,\"width\":80,\"height\":24}";
        assert!(read("hello").unwrap_err().contains("line 1"));
        assert!(read("{\"version\":2}").unwrap_err().contains("width"));
        assert!(read(&format!("{header}\n[1,\"o\"]")).unwrap_err().starts_with("line 2:"));
    }

    #[test]
    fn a_recording_cannot_reach_the_clipboard_or_ask_for_an_answer() {
        let hostile = "a\x1b]52;c;eA==\x07b\x1b[31mc\x1b[6nd\x1bP+q\x1b\\e\x1b]0;t\x1b\\f\x1bcg\x07h\n";
        assert_eq!(harmless(hostile), "ab\x1b[31mcdefgh\n");
        assert_eq!(harmless("x\x1b]52;never ends"), "x");
        assert_eq!(harmless("x\x1b[31"), "x");
    }
}
