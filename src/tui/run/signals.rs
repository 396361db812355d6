//! The signals that concern the screen.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that concerns the screen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caught {
    /// Leave with this exit code.
    End(u8),
    /// Give the terminal back and stop.
    Stop,
    /// Somebody brought us back.
    Continue,
    /// The terminal has another size.
    Resize,
}

pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    stop: Signal,
    proceed: Signal,
    resize: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        use rustix::process::Signal as Number;
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            stop: signal(SignalKind::from_raw(Number::TSTP.as_raw()))?,
            proceed: signal(SignalKind::from_raw(Number::CONT.as_raw()))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// The next signal, those that end the screen first. Cancel-safe.
    pub(super) async fn next(&mut self) -> Caught {
        tokio::select! {
            biased;
            _ = self.hangup.recv() => Caught::End(129),
            _ = self.interrupt.recv() => Caught::End(130),
            _ = self.quit.recv() => Caught::End(131),
            _ = self.terminate.recv() => Caught::End(143),
            _ = self.stop.recv() => Caught::Stop,
            _ = self.proceed.recv() => Caught::Continue,
            _ = self.resize.recv() => Caught::Resize,
        }
    }
}
