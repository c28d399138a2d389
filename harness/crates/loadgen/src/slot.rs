//! One connection of a worker.

use super::Unfinished;
use super::recorder::{Ended, Nanos};
use super::response::Parser;

/// The longest pause before reconnecting to a server that sent no response.
const LONGEST_PAUSE: Nanos = 100_000_000;

/// One connection.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: State,
    /// The request in flight, or the last one.
    pub(crate) entry: u32,
    pub(crate) intended: Nanos,
    pub(crate) sent: Nanos,
    /// 0 until the first byte arrives.
    pub(crate) first_byte: Nanos,
    /// When it last became free to send.
    pub(crate) free_at: Nanos,
    /// Number of requests sent from its own schedule.
    pub(crate) next: u64,
    /// Number of requests due from its own schedule.
    pub(crate) due: u64,
    /// Connections opened since the last response.
    pub(crate) barren: u32,
    /// Requests its connection may still take, if that is limited. 0 if none is open.
    pub(crate) allowed: u32,
    /// Whether the parser was fed any of the response in flight.
    pub(crate) fed: bool,
    pub(crate) parser: Parser,
}

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Closed, and not to be opened before this time.
    Closed { until: Nanos },
    /// Being opened.
    Opening { since: Nanos },
    /// Waiting for room in the server's listen queue: connecting to a Unix socket does not wait for it.
    Queued { since: Nanos },
    /// Free to send. Not open yet if requests open their own connections.
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

    /// How long to wait before reconnecting: not at all after a response, otherwise 2 ms, doubled each time up
    /// to 100 ms, so that a server that closes at once does not cause a busy loop.
    pub(crate) fn pause(&self) -> Nanos {
        match self.barren {
            0 => 0,
            n => (1_000_000 << n.min(10)).min(LONGEST_PAUSE),
        }
    }

    /// The request in flight, if any, as unfinished at `now`. `kept`: connections are opened before they have a
    /// request.
    pub(crate) fn unfinished(&self, now: Nanos, kept: bool) -> Option<Unfinished> {
        let first_byte = match self.state {
            State::Busy => self.ended(now).first_byte,
            // Until it is sent, `sent` still belongs to the previous request.
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
