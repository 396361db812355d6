//! Consumers that do nothing and are members still: dead, or paused for too long. The group waits for their session to end.

use super::{Group, STEP, Starting};

/// What is left of a member's session, or of its pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Silence {
    left: f64,
    /// It is expelled then, and joins again so many seconds later; `None`: it goes on as if nothing had been.
    back_in: Option<f64>,
}

impl Group {
    /// Sets how long a consumer that dies or pauses stays a member (`session.timeout.ms`), its partitions standing still;
    /// 0, as in a new group: it is out at once.
    pub fn set_session(&mut self, seconds: f64) {
        self.session = seconds;
    }

    /// A consumer dies without committing and starts again at once: what it had processed since its last commit is
    /// processed once more by whoever gets its partitions. It joins again once its old self is out of the group.
    pub fn crash(&mut self, consumer: usize) {
        if !self.answers(consumer) {
            return;
        }
        for reading in self.readings.iter_mut().filter(|r| r.owner == Some(consumer)) {
            self.processed -= reading.position - reading.committed;
            reading.position = reading.committed;
        }
        let (back_in, session) = (self.start_up_time(), self.session);
        self.fall_silent(consumer, Silence { left: session, back_in: Some(back_in - session) });
    }

    /// A consumer that pauses for so many seconds: it goes on afterwards, or is thrown out when its session ends before,
    /// and joins again.
    pub fn absent(&mut self, consumer: usize, seconds: f64) {
        let session = self.session;
        let goes_on = seconds <= session;
        let silence =
            Silence { left: seconds.min(session), back_in: if goes_on { None } else { Some(seconds - session) } };
        if self.answers(consumer) {
            self.fall_silent(consumer, silence);
        }
    }

    fn answers(&self, consumer: usize) -> bool {
        self.consumers.get(consumer).is_some_and(|c| c.silence.is_none())
    }

    fn fall_silent(&mut self, consumer: usize, silence: Silence) {
        (self.caught_up, self.holds) = (false, None);
        self.consumers[consumer].silence = Some(silence);
        if silence.left <= 0.0 {
            self.end_silence(consumer, silence);
        }
    }

    /// Ends a step for those that are silent.
    pub(super) fn end_silences(&mut self) {
        for consumer in (0..self.consumers.len()).rev() {
            let Some(silence) = &mut self.consumers[consumer].silence else { continue };
            silence.left -= STEP;
            if silence.left <= 0.0 {
                let silence = *silence;
                self.end_silence(consumer, silence);
            }
        }
    }

    fn end_silence(&mut self, consumer: usize, silence: Silence) {
        self.holds = None;
        let Some(back_in) = silence.back_in else {
            self.consumers[consumer].silence = None;
            return;
        };
        self.leave(consumer);
        let serial = self.serial();
        self.starting.push(Starting { serial, ready_in: back_in.max(STEP) });
        self.rebalance();
    }
}
