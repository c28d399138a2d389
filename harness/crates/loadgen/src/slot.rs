//! One connection of a worker.

use super::known::KnownHead;
use super::recorder::{Nanos, RequestTimes};
use super::response::{ParsedResponse, Parser};
use super::{Malformed, Unfinished};

/// The longest pause before reconnecting to a server that sent no response.
const LONGEST_PAUSE: Nanos = 100_000_000;

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: SlotState,
    /// The request in flight, or the last one.
    pub(crate) entry: u32,
    pub(crate) intended: Nanos,
    pub(crate) sent: Nanos,
    /// How often the request has been sent before.
    pub(crate) attempt: u32,
    /// 0 until the first byte arrives.
    pub(crate) first_byte: Nanos,
    /// When it last became free to send.
    pub(crate) free_at: Nanos,
    /// Connections opened since the last response.
    pub(crate) barren: u32,
    /// Requests its connection may still take, if that is limited. 0 if none is open.
    pub(crate) allowed: u32,
    /// Whether the parser was fed any of the response in flight.
    pub(crate) fed: bool,
    pub(crate) parser: Parser,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotState {
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
            state: SlotState::Closed { until: 0 },
            entry: 0,
            intended: 0,
            sent: 0,
            attempt: 0,
            first_byte: 0,
            free_at: 0,
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

    /// Parses more of the response in flight, except if a whole one arrived under a known head. `None` if it is
    /// incomplete.
    #[inline]
    pub(crate) fn read<'a>(
        &'a mut self,
        input: &'a [u8],
        head_only: bool,
        known: &mut KnownHead,
        keep: usize,
    ) -> Result<Option<ParsedResponse<'a>>, Malformed> {
        if !self.fed {
            if let Some(whole) = known.answer(input, head_only) {
                return Ok(Some(whole));
            }
            self.parser.start(head_only, keep);
            self.fed = true;
        }
        let response = self.parser.feed(input)?;
        if let Some(response) = &response {
            known.learn(response, head_only);
        }
        Ok(response)
    }

    /// After [`Self::read`] of an incomplete response.
    pub(crate) fn part_arrived(&mut self, now: Nanos) {
        if self.parser.begins() {
            self.first_byte = now;
        } else if !self.parser.has_begun() {
            // It was the beginning of an interim response, which doesn't count.
            self.first_byte = 0;
        }
    }

    /// Whether some of the response in flight has arrived.
    pub(crate) fn has_begun(&self) -> bool {
        self.fed && self.parser.has_begun()
    }

    /// The request in flight, if any, as unfinished at `now`. `kept`: connections are opened before they have a
    /// request.
    pub(crate) fn unfinished(&self, now: Nanos, kept: bool) -> Option<Unfinished> {
        let first_byte = match self.state {
            SlotState::Busy => self.ended(now).first_byte,
            // Until it is sent, `sent` still belongs to the previous request.
            SlotState::Opening { .. } | SlotState::Queued { .. } if !kept => now,
            SlotState::Opening { .. } | SlotState::Queued { .. } => return None,
            SlotState::Closed { .. } | SlotState::Idle => return None,
        };
        Some(Unfinished {
            waited_ns: now.saturating_sub(self.intended),
            first_byte_ns: first_byte.saturating_sub(self.intended),
        })
    }

    /// The request in flight as one that ended at `ended`.
    pub(crate) fn ended(&self, ended: Nanos) -> RequestTimes {
        RequestTimes {
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
