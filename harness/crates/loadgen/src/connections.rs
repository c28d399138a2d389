//! How a worker opens its connections, and reconnects.

use std::time::Duration;

use rustix::io::Errno;

use super::ErrorKind;
use super::engine::{Engine, Event};
use super::recorder::Nanos;
use super::slot::State;
use super::worker::Worker;

/// Connections being opened at a time before the clock runs, so that no listen queue overflows.
const OPENING: usize = 64;

/// How soon to retry when the listen queue was full.
const QUEUED: Nanos = 5_000_000;

/// How long a slice waits for reconnects.
const RECONNECT: Nanos = 20_000_000;

/// Why the connections could not be opened.
#[derive(Debug)]
pub(crate) enum NotReady {
    /// The system's error.
    Errno(Errno),
    /// The stop flag was set.
    Stopped,
}

impl From<Errno> for NotReady {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl<'w, E: Engine<'w>> Worker<'w, E> {
    /// Opens all connections; each may take up to the timeout.
    pub(crate) fn establish(&mut self) -> Result<(), NotReady> {
        let mut begun = 0;
        let mut deadline = self.now() + self.timeout;
        loop {
            while begun < self.slots.len() && self.opening < OPENING {
                match self.engine.open(begun) {
                    // The listen queue of a Unix socket is full: continue when some are accepted.
                    Err(Errno::AGAIN) => break,
                    opened => opened?,
                }
                self.opening_since(begun, self.now());
                begun += 1;
            }
            if self.opening == 0 && begun == self.slots.len() {
                return Ok(());
            }
            self.engine.wait(Duration::from_millis(10))?;
            while let Some((slot, event)) = self.engine.next() {
                match event {
                    Event::Opened => {
                        self.tally.counts.established += 1;
                        deadline = self.now() + self.timeout;
                    }
                    Event::OpenFailed(errno) => return Err(errno.into()),
                    _ => {}
                }
                self.handle(slot, event);
            }
            if self.control.is_stopped() {
                return Err(NotReady::Stopped);
            }
            if self.now() > deadline {
                return Err(Errno::TIMEDOUT.into());
            }
        }
    }

    /// Before a slice, reopens the connections that the server closed since the last one.
    pub(crate) fn reconnect(&mut self) -> Result<(), Errno> {
        let deadline = self.now() + RECONNECT;
        loop {
            while self.engine.wait(Duration::ZERO)? {
                while let Some((slot, event)) = self.engine.next() {
                    self.handle(slot, event);
                }
            }
            let now = self.now();
            let mut all_stand = true;
            for index in 0..self.slots.len() {
                match self.slots[index].state {
                    State::Closed { until } if until <= now => self.open(index, now),
                    State::Idle => continue,
                    _ => {}
                }
                all_stand = false;
            }
            if all_stand || now > deadline {
                return Ok(());
            }
        }
    }

    /// Closes all connections. Opening them has shown that it works; requests will open their own.
    pub(crate) fn close_all(&mut self) {
        for index in 0..self.slots.len() {
            self.engine.close(index);
            let slot = &mut self.slots[index];
            slot.state = State::Idle;
            (slot.barren, slot.allowed) = (0, 0);
        }
    }

    /// Closes a connection and reopens it, at once or after a pause.
    pub(crate) fn reopen(&mut self, index: usize, now: Nanos) {
        self.engine.close(index);
        let slot = &mut self.slots[index];
        let pause = slot.pause();
        slot.allowed = 0;
        slot.state = State::Closed { until: now + pause };
        match pause {
            0 => self.resume(index, now),
            _ => self.look_by(now + pause),
        }
    }

    /// Uses a closed connection whose pause is over.
    pub(crate) fn resume(&mut self, index: usize, now: Nanos) {
        if self.per_connection > 0 {
            let slot = &mut self.slots[index];
            slot.state = State::Idle;
            slot.free_at = now;
            self.free(index);
        } else if self.sending {
            self.open(index, now);
        }
    }

    pub(crate) fn open(&mut self, index: usize, now: Nanos) {
        let opened = self.engine.open(index);
        self.opening_since(index, now);
        if let Err(errno) = opened {
            self.handle(index, Event::OpenFailed(errno));
        }
    }

    fn opening_since(&mut self, index: usize, now: Nanos) {
        self.opening += 1;
        let slot = &mut self.slots[index];
        slot.state = State::Opening { since: now };
        slot.barren += 1;
    }

    /// Retries a listen queue that has been full since `since`.
    pub(crate) fn open_again(&mut self, index: usize, since: Nanos, now: Nanos) {
        match self.engine.open(index) {
            Ok(()) => {
                self.slots[index].state = State::Opening { since };
                self.opening += 1;
            }
            Err(Errno::AGAIN) => self.look_by(now + QUEUED),
            Err(errno) => self.open_failed(index, errno, now),
        }
    }

    /// A connection is open.
    pub(crate) fn opened(&mut self, index: usize, now: Nanos) {
        self.opening -= 1;
        let slot = &mut self.slots[index];
        if let State::Opening { since } = slot.state {
            self.tally.recorder.connected(now - since);
        }
        // Before the clock runs, nothing is reopened.
        let running = self.plan.origin != Nanos::MAX;
        self.tally.counts.reconnects += u64::from(running);
        if running && self.per_connection > 0 {
            slot.allowed = self.per_connection;
            self.transmit(index, now);
        } else {
            slot.state = State::Idle;
            slot.free_at = now;
            self.free(index);
        }
    }

    /// Opening a connection failed.
    pub(crate) fn open_failed(&mut self, index: usize, errno: Errno, now: Nanos) {
        if let State::Opening { since } = self.slots[index].state {
            self.opening -= 1;
            if errno == Errno::AGAIN {
                self.slots[index].state = State::Queued { since };
                return self.look_by(now + QUEUED);
            }
        }
        if self.per_connection > 0 {
            let got = format!("no connection: {}", why_not(errno));
            return self.lost(index, ErrorKind::Connect, &got, now);
        }
        self.tally.error(ErrorKind::Connect, now, || {
            format!("reconnecting failed: {}", why_not(errno))
        });
        self.reopen(index, now);
    }
}

/// The system's error when a connection fails, with a fix if one is known.
#[cold]
fn why_not(errno: Errno) -> String {
    let help = match errno {
        Errno::ADDRNOTAVAIL => {
            ": no local port is free, because closed connections hold theirs for a minute \
             (TIME_WAIT); open fewer connections per second, keep connections \
             open, use more source addresses (--bind), or widen net.ipv4.ip_local_port_range"
        }
        Errno::MFILE => ": too many open files; raise the limit with `ulimit -n`",
        Errno::CONNREFUSED => ": nothing listens there any more",
        _ => "",
    };
    format!("{errno}{help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_helped_is_said() {
        for (errno, word) in [
            (Errno::ADDRNOTAVAIL, "net.ipv4.ip_local_port_range"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::CONNREFUSED, "nothing listens there any more"),
        ] {
            let said = why_not(errno);
            assert!(said.starts_with(&errno.to_string()), "{said}");
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(why_not(Errno::TIMEDOUT), Errno::TIMEDOUT.to_string());
    }
}
