//! The operator's terminal: taken over, written to without ever blocking the loop, and put back on every way out.
//!
//! - What is changed is saved first and put back byte for byte ([`restore`]); it works from a panic hook, on a dead or a
//!   stalled terminal, and twice.
//! - Frames go to a thread of their own. While a slow line still takes the last frame no new one is made, so changes
//!   pile up in the state and not in a pipe.
//! - A frame without a changed cell is not written at all; one with changes lies between the marks of a synchronized
//!   update, so that it never shows half.

use super::cast::Cast;
use crate::model::Label;
use crossterm::{
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event},
    queue,
    style::ResetColor,
    terminal::{
        BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    },
};
use ratatui::{
    backend::{Backend, CrosstermBackend},
    buffer::Buffer,
    layout::Rect,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Signal, getpgid, getsid, kill_current_process_group},
    termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr},
};
use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, MutexGuard, Once, PoisonError, mpsc},
    time::{Duration, Instant},
};
use tokio::sync::mpsc as channel;

/// Longest wait for a slow terminal before it is put back without the last words.
const PATIENCE: Duration = Duration::from_millis(500);

/// What has to be put back; `None`: the terminal is not ours.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);
/// Held while bytes are written, so that a frame and the farewell do not mix.
static WRITING: Mutex<()> = Mutex::new(());
/// The last panic outside of the screen's own task.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

tokio::task_local! {
    /// Set in the task that draws: a panic there ends the screen, one elsewhere is its owner's to handle.
    pub(super) static SCREEN: ();
}

#[derive(Debug)]
struct Taken {
    tty: OwnedFd,
    before: Termios,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal while it is ours. Dropping it puts everything back.
#[derive(Debug)]
pub(super) struct Terminal {
    mouse: bool,
    screen: Screen,
    frames: mpsc::SyncSender<Frame>,
    written: channel::Receiver<io::Result<()>>,
    busy: bool,
    /// Sequences that go out with the next frame, whether or not a cell changed.
    beside: Vec<u8>,
}

/// What the writing thread is given.
struct Frame {
    bytes: Vec<u8>,
    /// When it is drawn anew: its columns and lines.
    size: Option<(u16, u16)>,
}

impl Terminal {
    /// Takes the terminal over; what it is sent also goes into `record`. The error is a sentence with the mend.
    pub(super) fn take(mouse: bool, mut record: Option<Cast>) -> Result<Self, String> {
        if !io::stdout().is_terminal() {
            return Err("standard output is no terminal: use `highwater snapshot` to print a screen".to_owned());
        }
        install_hook();
        let (frames, queue) = mpsc::sync_channel::<Frame>(1);
        let (done, written) = channel::channel(1);
        std::thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || {
                for frame in queue {
                    if let Some(cast) = &mut record
                        && let Err(e) = cast.write(&frame.bytes, frame.size)
                    {
                        tracing::error!("the recording ends here, it cannot be written: {e}");
                        record = None;
                    }
                    // A closed channel means that the loop ended: then this thread does too.
                    if done.blocking_send(write_frame(&frame.bytes)).is_err() {
                        break;
                    }
                }
            })
            .map_err(|e| format!("cannot start the thread that writes to the terminal: {e}"))?;
        let terminal = Self { mouse, screen: Screen::default(), frames, written, busy: false, beside: Vec::new() };
        terminal.enter()?;
        Ok(terminal)
    }

    /// Saves the terminal's state and changes it. Safe to call again after somebody else changed it (a shell that had
    /// us stopped); what was saved first stays what is put back.
    fn enter(&self) -> Result<(), String> {
        let fail = |e: rustix::io::Errno| format!("cannot set up the terminal: {e}");
        let tty = open_tty()?;
        let before = tcgetattr(&tty).map_err(fail)?;
        let mut raw = before.clone();
        raw.make_raw();
        // A child that writes to /dev/tty is stopped instead of garbling the screen; its deadline ends it.
        raw.local_modes |= LocalModes::TOSTOP;
        {
            let mut taken = lock(&TAKEN);
            if taken.is_none() {
                *taken =
                    Some(Taken { tty: tty.try_clone().map_err(|e| format!("cannot keep the terminal: {e}"))?, before });
            }
        }
        tcsetattr(&tty, OptionalActions::Now, &raw).map_err(fail)?;
        let mut bytes = Vec::new();
        queue!(bytes, EnterAlternateScreen, Hide, EnableBracketedPaste, Clear(ClearType::All))
            .and_then(|()| if self.mouse { queue!(bytes, EnableMouseCapture) } else { Ok(()) })
            .and_then(|()| write_frame(&bytes))
            .map_err(|e| format!("cannot write to the terminal: {e}"))
    }

    /// Whether the last frame has been taken by the terminal, so that a new one may be made.
    pub(super) fn is_ready(&self) -> bool {
        !self.busy
    }

    /// Waits until the terminal has taken the last frame. Cancel-safe. Pending for ever when there is none.
    pub(super) async fn written(&mut self) -> io::Result<()> {
        if !self.busy {
            return std::future::pending().await;
        }
        let result = self.written.recv().await;
        self.busy = false;
        result.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into()))
    }

    /// Draws a screen of this size and sends what differs from the last one; whether anything was sent.
    pub(super) fn draw(
        &mut self,
        (columns, lines): (u16, u16),
        view: impl FnOnce(Rect, &mut Buffer),
    ) -> io::Result<bool> {
        let area = Rect::new(0, 0, columns, lines);
        let size = (self.screen.drawn.area != area).then_some((columns, lines));
        let mut bytes = self.screen.frame(area, view)?;
        bytes.append(&mut self.beside);
        if bytes.is_empty() {
            return Ok(false);
        }
        self.busy = true;
        self.frames.try_send(Frame { bytes, size }).map_err(|_| io::ErrorKind::BrokenPipe.into()).map(|()| true)
    }

    /// Sends a sequence with the next frame.
    pub(super) fn add(&mut self, sequence: &str) {
        self.beside.extend_from_slice(sequence.as_bytes());
    }

    /// Forgets what is on screen: the next frame draws every cell.
    pub(super) fn forget(&mut self) {
        self.screen = Screen::default();
    }

    /// Takes the terminal over again, after SIGCONT.
    pub(super) fn resume(&mut self) -> Result<(), String> {
        self.forget();
        self.enter()
    }

    /// Gives the terminal back and stops the whole process group. `false`: there is no shell that could continue us,
    /// nothing was done.
    ///
    /// Another thread may be the one that takes the signal, so this can return before the process stands still: the
    /// terminal is taken again when SIGCONT comes ([`Self::resume`]), not here.
    pub(super) fn suspend() -> Result<bool, String> {
        // In the session leader's own group nobody does job control (`ssh -t host highwater`).
        if getsid(None).ok() == getpgid(None).ok() {
            return Ok(false);
        }
        restore();
        kill_current_process_group(Signal::STOP).map_err(|e| format!("cannot stop: {e}"))?;
        Ok(true)
    }
}

/// What is on screen, and the frame before it, whose half a megabyte the next one is drawn into.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) drawn: Buffer,
    spare: Buffer,
}

impl Screen {
    /// Draws a frame: the bytes that turn what was drawn into it. None when nothing differs, every cell when the size does.
    pub(super) fn frame(&mut self, area: Rect, view: impl FnOnce(Rect, &mut Buffer)) -> io::Result<Vec<u8>> {
        self.spare.resize(area);
        self.spare.reset();
        view(area, &mut self.spare);
        let anew = self.drawn.area != area;
        if anew {
            self.drawn = Buffer::empty(area);
        }
        let changes = self.drawn.diff(&self.spare);
        let mut bytes = Vec::new();
        if !changes.is_empty() || anew {
            bytes.reserve(changes.len() * 8 + 32);
            queue!(bytes, BeginSynchronizedUpdate)?;
            if anew {
                queue!(bytes, ResetColor, Clear(ClearType::All))?;
            }
            CrosstermBackend::new(&mut bytes).draw(changes.into_iter())?;
            queue!(bytes, EndSynchronizedUpdate)?;
        }
        std::mem::swap(&mut self.drawn, &mut self.spare);
        Ok(bytes)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let alive = is_alive();
        restore();
        // A panic beside the screen, in the same task, unwinds through here: now it can be told.
        if std::thread::panicking()
            && alive
            && let Some(text) = take_panic()
        {
            let _ = writeln!(io::stderr(), "{text}"); // on the way out there is nobody left to tell
        }
    }
}

/// Longest wait for a key before the reading thread looks whether anybody still listens, and whether the terminal is there.
const LISTENING: Duration = Duration::from_millis(250);

/// Starts the thread that reads keys. It ends when nobody receives them; the channel closes when the terminal is gone, or
/// cannot be read: the log says why.
///
/// crossterm's own stream is not used: on a dead terminal its reader never returns ("nothing" is read again and again),
/// and inside of a task that takes a worker of the runtime with it, sometimes the one that drives timers and signals.
/// Here each wait has an end, and before each the terminal is asked for a hang-up. With its feature `use-dev-tty` it looks
/// whether there is anything to read, each time; without, it waits to be told of what is new, and of a paste of more than
/// it reads at once (1 KiB) the rest would lie there until the next key.
pub(super) fn read_inputs(sender: channel::Sender<Event>) -> Result<(), String> {
    let tty = open_tty()?;
    let read = move || {
        if let Err(error) = listen(&sender, || is_hung_up(&tty), next_input)
            && !is_hung_up(&tty)
        {
            tracing::error!("keys cannot be read from the terminal any more: {error}");
        }
    };
    let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(read);
    thread.map(drop).map_err(|e| format!("cannot start the thread that reads keys: {e}"))
}

/// Sends on what comes until nobody receives it or the terminal is gone.
///
/// `next` alone is asked whether there is anything, never the terminal itself: of what crossterm read at once it holds all
/// but the first key back, and where its thread lost the processor for as long as it may wait it says that there is none.
/// Those keys would lie there until somebody pressed another.
fn listen(
    sender: &channel::Sender<Event>,
    is_gone: impl Fn() -> bool,
    mut next: impl FnMut(Duration) -> io::Result<Option<Event>>,
) -> io::Result<()> {
    while !sender.is_closed() && !is_gone() {
        if let Some(event) = next(LISTENING)?
            && sender.blocking_send(event).is_err()
        {
            break;
        }
    }
    Ok(())
}

/// The next key, paste or new size; `None`: none came in this time.
fn next_input(wait: Duration) -> io::Result<Option<Event>> {
    if crossterm::event::poll(wait)? { crossterm::event::read().map(Some) } else { Ok(None) }
}

/// Whether the other end of the terminal is closed.
fn is_hung_up(tty: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(tty, PollFlags::IN)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(_) => fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
        Err(rustix::io::Errno::INTR) => false,
        Err(_) => true,
    }
}

/// Whether the terminal still exists: a hung-up one answers every call with an error.
pub(super) fn is_alive() -> bool {
    lock(&TAKEN).as_ref().is_none_or(|taken| tcgetattr(&taken.tty).is_ok())
}

/// Puts the terminal back as it was. Does nothing when it is not ours; never panics, never waits long, tells nobody of
/// errors: on a dead terminal there is nobody to tell.
pub fn restore() {
    let Some(taken) = lock(&TAKEN).take() else { return };
    let mut bytes = Vec::new();
    // Into memory: cannot fail.
    let _ = queue!(
        bytes,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        ResetColor,
        Show,
        LeaveAlternateScreen
    );
    let until = Instant::now() + PATIENCE;
    let mut writing = WRITING.try_lock();
    while writing.is_err() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5)); // the last frame is still on its way
        writing = WRITING.try_lock();
    }
    if writing.is_ok() && has_room() {
        let _ = write_all(&bytes);
    }
    let _ = tcsetattr(&taken.tty, OptionalActions::Now, &taken.before);
}

/// Whether the terminal takes bytes now; a stopped or stalled one would block us for good.
fn has_room() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::OUT)];
    let wait = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
    matches!(poll(&mut fds, Some(&wait)), Ok(1..)) && fds[0].revents().contains(PollFlags::OUT)
}

fn write_frame(bytes: &[u8]) -> io::Result<()> {
    let _writing = lock(&WRITING);
    // Between frames somebody may have put the terminal back: then it is not ours to write to.
    if lock(&TAKEN).is_none() {
        return Ok(());
    }
    write_all(bytes)
}

/// Writes past the standard library's buffer and lock, which a panicking thread may hold.
fn write_all(mut bytes: &[u8]) -> io::Result<()> {
    let stdout = io::stdout();
    while !bytes.is_empty() {
        match rustix::io::write(stdout.as_fd(), bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                has_room();
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The terminal that keys come from: standard input, else the controlling terminal (as crossterm does).
fn open_tty() -> Result<OwnedFd, String> {
    let stdin = io::stdin();
    let opened = if isatty(&stdin) {
        stdin.as_fd().try_clone_to_owned()
    } else {
        File::options().read(true).write(true).open("/dev/tty").map(Into::into)
    };
    opened.map_err(|e| format!("there is no terminal to read keys from: {e}"))
}

/// Text of a panic elsewhere since the last call.
pub(super) fn take_panic() -> Option<String> {
    lock(&PANIC).take()
}

/// A panic of the screen's own task puts the terminal back before anything is printed. A panic elsewhere, while the
/// screen is up, goes to the log and into a notice: printed it would garble the screen, and whoever started that task
/// decides what it means (some panics are caught on purpose).
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let ours = SCREEN.try_with(|()| ()).is_ok();
            if !ours && lock(&TAKEN).is_some() {
                let text = Label::new(&info.to_string().replace('\n', " ")).to_string(); // there may be anything in it
                tracing::error!("{text}");
                *lock(&PANIC) = Some(text);
                return;
            }
            let alive = is_alive();
            restore();
            // Printing on a dead terminal would panic inside of the panic.
            if alive {
                previous(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests;
