//! Text and notices for the terminal itself: OSC 52 (clipboard), OSC 9 (desktop notice), the bell; wrapped for tmux and
//! screen, which would swallow them. The terminal may ignore all of it, so the screen says "sent", never "copied".

use crate::model::Alarm;
use base64::{Engine, prelude::BASE64_STANDARD};

/// Longest payload that terminals in use take, in base64: hterm's limit of 100,000 bytes less what wraps it.
const LONGEST: usize = 74_994;

/// What stands between us and the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// Nothing.
    #[default]
    Nothing,
    /// tmux: sequences go through with `allow-passthrough` on; OSC 52 also with `set-clipboard on`.
    Tmux,
    /// GNU screen.
    Screen,
}

impl Between {
    /// From the environment.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| variable(name).is_some_and(|v| !v.is_empty());
        match () {
            () if is_set("TMUX") => Self::Tmux,
            () if is_set("STY") => Self::Screen,
            () => Self::Nothing,
        }
    }

    /// Wraps a sequence so that it reaches the terminal.
    fn wrap(self, sequence: &str) -> String {
        match self {
            Self::Nothing => sequence.to_owned(),
            Self::Tmux => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
            // screen takes at most 768 bytes in one string: the sequence goes in pieces.
            Self::Screen => {
                let all: Vec<char> = sequence.chars().collect();
                let mut out = String::with_capacity(sequence.len() + 16);
                for piece in all.chunks(700) {
                    out.push_str("\x1bP");
                    out.extend(piece);
                    out.push_str("\x1b\\");
                }
                out
            }
        }
    }
}

/// The bytes that ask the terminal to put `text` into its clipboard.
///
/// # Errors
/// A sentence: the text is too long for any terminal.
pub fn copy(text: &str, between: Between) -> Result<String, String> {
    let payload = BASE64_STANDARD.encode(text);
    if payload.len() > LONGEST {
        return Err(format!("{} bytes are more than a terminal takes at once", text.len()));
    }
    Ok(between.wrap(&format!("\x1b]52;c;{payload}\x07")))
}

/// The bytes that draw the operator's eye to a sentence; empty when they are not wanted.
pub fn alarm(alarm: Alarm, text: &str, between: Between) -> String {
    match alarm {
        Alarm::Off => String::new(),
        Alarm::Bell => "\x07".to_owned(),
        Alarm::Desktop => {
            let plain: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
            format!("\x07{}", between.wrap(&format!("\x1b]9;{plain}\x07")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_the_terminal() {
        assert_eq!(copy("hé", Between::Nothing).unwrap(), "\x1b]52;c;aMOp\x07");
        assert_eq!(copy("a", Between::Tmux).unwrap(), "\x1bPtmux;\x1b\x1b]52;c;YQ==\x07\x1b\\");
        let long = copy(&"x".repeat(1_500), Between::Screen).unwrap();
        assert!(long.split("\x1b\\").all(|part| part.len() < 768));
        assert!(copy(&"x".repeat(60_000), Between::Nothing).unwrap_err().contains("60000 bytes"));
    }

    #[test]
    fn a_notice_cannot_carry_a_sequence() {
        assert_eq!(alarm(Alarm::Desktop, "a\x1b]52;c;x\x07b", Between::Nothing), "\x07\x1b]9;a]52;c;xb\x07");
        assert_eq!(alarm(Alarm::Bell, "a", Between::Tmux), "\x07");
        assert_eq!(alarm(Alarm::Off, "a", Between::Nothing), "");
    }

    #[test]
    fn multiplexers_are_known_by_their_variables() {
        let between = |set: &'static str| Between::detect(|n| (n == set).then(|| "x".to_owned()));
        assert_eq!(
            [between("TMUX"), between("STY"), between("TERM")],
            [Between::Tmux, Between::Screen, Between::Nothing]
        );
    }
}
