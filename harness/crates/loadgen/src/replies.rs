//! Handles what a worker receives.

use rustix::io::Errno;

use super::engine::{Engine, Event};
use super::judge::{clip, expected};
use super::recorder::Nanos;
use super::slot::State;
use super::worker::Worker;
use super::{ErrorKind, Malformed};

impl<'w, E: Engine<'w>> Worker<'w, E> {
    /// Handles one event.
    pub(crate) fn handle(&mut self, slot: usize, event: Event) {
        let now = self.now();
        match event {
            Event::Received { ended } => self.received(slot, ended, now),
            Event::Opened => self.opened(slot, now),
            Event::OpenFailed(errno) => self.open_failed(slot, errno, now),
            Event::Ended => self.ended(slot, now),
            Event::Failed(errno) => self.failed(slot, errno, now),
        }
    }

    fn received(&mut self, index: usize, ended: bool, now: Nanos) {
        let input = self.engine.received();
        self.tally.counts.bytes_received += input.len() as u64;
        let slot = &mut self.slots[index];
        if slot.state != State::Busy {
            self.tally.error(ErrorKind::Protocol, now, || {
                format!("{}: {}", Malformed::Unasked, clip(input))
            });
            return self.reopen(index, now);
        }
        let mut request = slot.ended(now);
        let entry = &self.entries[slot.entry as usize];
        let known = &mut self.known[entry.kind as usize];
        let answer = match known.answer(input, entry.head_only) {
            Some(answer) if !slot.fed => answer,
            _ => {
                if !slot.fed {
                    slot.parser.start(entry.head_only, self.keep);
                    slot.fed = true;
                }
                match slot.parser.feed(input) {
                    Ok(None) => {
                        if slot.parser.begins() {
                            slot.first_byte = now;
                        } else if !slot.parser.has_begun() {
                            // It was the beginning of an interim response, which doesn't count.
                            slot.first_byte = 0;
                        }
                        return;
                    }
                    Ok(Some(answer)) => {
                        known.learn(&answer, entry.head_only);
                        answer
                    }
                    Err(malformed) => {
                        let got = format!("{malformed}: {}", clip(input));
                        return self.lost(index, ErrorKind::Protocol, &got, now);
                    }
                }
            }
        };
        if answer.begins {
            request.first_byte = now;
        }
        let surplus = answer.consumed < input.len();
        // If a request was answered before it was sent completely, the rest is not sent, and the server would
        // read whatever follows as that rest (RFC 9112, section 9.3).
        let cut = !self.engine.sent_whole(index);
        let last = answer.close || ended || surplus || cut;
        self.tally.answer(entry, &answer, &request, surplus);
        self.done(index, last, now);
    }

    /// The server ended its side.
    fn ended(&mut self, index: usize, now: Nanos) {
        let slot = &mut self.slots[index];
        match slot.state {
            State::Busy => {}
            // The server may close a connection between requests.
            State::Idle => return self.reopen(index, now),
            State::Opening { .. } | State::Queued { .. } | State::Closed { .. } => return,
        }
        let request = slot.ended(now);
        if slot.fed
            && let Some(answer) = slot.parser.finish()
        {
            let entry = &self.entries[slot.entry as usize];
            self.tally.answer(entry, &answer, &request, false);
            self.done(index, true, now);
        } else {
            let got = "the end of the connection before a complete response";
            self.lost(index, ErrorKind::Closed, got, now);
        }
    }

    fn failed(&mut self, index: usize, errno: Errno, now: Nanos) {
        match self.slots[index].state {
            State::Busy if errno == Errno::PIPE => {
                let got = "a connection the server had closed";
                self.lost(index, ErrorKind::Closed, got, now);
            }
            State::Busy => self.lost(index, ErrorKind::Reset, &errno.to_string(), now),
            State::Idle => self.reopen(index, now),
            State::Opening { .. } | State::Queued { .. } | State::Closed { .. } => {}
        }
    }

    /// A request timed out.
    pub(crate) fn timed_out(&mut self, index: usize, at: Nanos) {
        let slot = &self.slots[index];
        let class = self.entries[slot.entry as usize].class;
        self.tally.recorder.timed_out(&slot.ended(at), class);
        let begun = slot.fed && slot.parser.has_begun();
        let got = if begun {
            "only part of a response in time"
        } else {
            "no response in time"
        };
        self.lost(index, ErrorKind::Timeout, got, at);
    }

    /// A response, right or wrong, is complete; `last`: it is the last on this connection.
    fn done(&mut self, index: usize, last: bool, now: Nanos) {
        self.in_flight -= 1;
        self.rest(index, now);
        let slot = &mut self.slots[index];
        slot.barren = 0;
        slot.free_at = now;
        slot.state = State::Idle;
        // It was the connection's last request.
        let spent = self.per_connection > 0 && slot.allowed == 0;
        if last || spent {
            self.reopen(index, now);
        } else {
            self.free(index);
        }
    }

    /// A request will get no response.
    pub(crate) fn lost(&mut self, index: usize, kind: ErrorKind, got: &str, now: Nanos) {
        self.in_flight -= 1;
        self.rest(index, now);
        let slot = &self.slots[index];
        let entry = &self.entries[slot.entry as usize];
        self.tally.failed(kind, entry, &slot.ended(now), || {
            format!(
                "{}\n  got {got}\n  expected {}",
                entry.line(),
                expected(entry)
            )
        });
        self.reopen(index, now);
    }
}
