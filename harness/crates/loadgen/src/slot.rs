//! One connection of a worker.

use super::Unfinished;
use super::recorder::{Ended, Nanos};
use super::response::Parser;

/// The longest pause before a server that gave no answer is connected to again.
const LONGEST_PAUSE: Nanos = 100_000_000;

/// One connection.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: State,
    /// The request in flight, or the last one.
    pub(crate) entry: u32,
    pub(crate) intended: Nanos,
    pub(crate) sent: Nanos,
    /// 0 before the first byte.
    pub(crate) first_byte: Nanos,
    /// When it last became free to send.
    pub(crate) free_at: Nanos,
    /// Requests of its own schedule that were sent.
    pub(crate) next: u64,
    /// Requests of its own schedule whose time has come.
    pub(crate) due: u64,
    /// Connections made since the last answer.
    pub(crate) barren: u32,
    /// Requests its connection may still take; counted only where that is limited. 0 is none open.
    pub(crate) allowed: u32,
    /// Whether the parser has been given something of the answer in flight.
    pub(crate) fed: bool,
    pub(crate) parser: Parser,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Not open, and not to be opened before that time.
    Closed { until: Nanos },
    /// Being made.
    Opening { since: Nanos },
    /// To be made once the server's listen queue has room, which a Unix socket does not wait for.
    Queued { since: Nanos },
    /// Free to send; without a connection yet, where one is made for a number of requests.
    Idle,
    /// A request is in flight.
    Busy,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Closed { until: 0 },
            entry: 0,
            intended: 0,
            sent: 0,
            first_byte: 0,
            free_at: 0,
            next: 0,
            due: 0,
            barren: 0,
            allowed: 0,
            fed: false,
            parser: Parser::new(),
        }
    }

    /// How long to wait before connecting again: not at all after an answer, else from 2 ms
    /// doubled up to 100 ms, so that a server which closes at once does not spin the run.
    pub(crate) fn pause(&self) -> Nanos {
        match self.barren {
            0 => 0,
            n => (1_000_000 << n.min(10)).min(LONGEST_PAUSE),
        }
    }

    /// The request in flight, if one is, as one that has not ended by `now`. `kept`: connections are
    /// made before they have a request.
    pub(crate) fn unfinished(&self, now: Nanos, kept: bool) -> Option<Unfinished> {
        let first_byte = match self.state {
            State::Busy => self.ended(now).first_byte,
            // Before it is sent, that of the request before is still there.
            State::Opening { .. } | State::Queued { .. } if !kept => now,
            State::Opening { .. } | State::Queued { .. } => return None,
            State::Closed { .. } | State::Idle => return None,
        };
        Some(Unfinished {
            waited_ns: now.saturating_sub(self.intended),
            first_byte_ns: first_byte.saturating_sub(self.intended),
        })
    }

    /// The request in flight as one that ended at `ended`.
    pub(crate) fn ended(&self, ended: Nanos) -> Ended {
        Ended {
            intended: self.intended,
            sent: self.sent,
            first_byte: if self.first_byte == 0 {
                ended
            } else {
                self.first_byte
            },
            ended,
        }
    }
}

/// When the load begins and ends, on the common clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// The schedule's start, before the warm-up.
    pub(crate) origin: Nanos,
    /// The measured window.
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut slot = Slot::new();
        assert_eq!(slot.pause(), 0);
        let mut last = 0;
        for barren in 1..100 {
            slot.barren = barren;
            assert!(slot.pause() >= last && slot.pause() <= LONGEST_PAUSE);
            last = slot.pause();
        }
        assert_eq!(last, LONGEST_PAUSE);
    }
}
