//! The engine over the crate `polling` (kqueue, event ports, poll...) and plain sockets, for systems that have
//! no other. It is run and tested on Linux alone.
//!
//! Interest is level-triggered and only in reading, but while a connection is being made and after a
//! short write. No event tells of the end of a stream everywhere, so each read is followed by a look at what
//! is next.

use std::io;
use std::time::Duration;

use polling::{Event as Ready, Events, PollMode, Poller};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{RecvFlags, SendFlags, SocketType, connect, recv, send, socket, sockopt};

use super::dial::Dial;
use super::engine::{Engine, Event, SURE, holds_back, takes_no_more};

/// The buffer all connections of a thread are read into, bytes.
const BUFFER: usize = 64 * 1024;

/// The connections of one thread.
pub(crate) struct Portable<'w> {
    poller: Poller,
    dial: Dial,
    sockets: Vec<Socket<'w>>,
    events: Events,
    /// The events of the last wait, and the one being worked on.
    ready: Vec<Ready>,
    at: usize,
    /// Counts the waits, so that events of a socket closed since are known as such.
    wait: u64,
    buffer: Vec<u8>,
    filled: usize,
}

#[derive(Debug, Default)]
struct Socket<'w> {
    fd: Option<OwnedFd>,
    /// The wait after which it was opened.
    since: u64,
    opening: bool,
    /// The end of a request the socket would not take.
    unsent: &'w [u8],
    /// Whether a request was too large to be sure that it went out whole.
    large: bool,
    /// Why the peer takes no more of it.
    broken: Option<Errno>,
}

impl Portable<'_> {
    /// An engine for that many connections, none of them open.
    pub(crate) fn new(dial: Dial, connections: usize) -> Result<Self, Errno> {
        let poller = Poller::new().map_err(errno)?;
        if !poller.supports_level() {
            return Err(Errno::NOTSUP);
        }
        let events = Events::new();
        Ok(Self {
            poller,
            dial,
            sockets: (0..connections).map(|_| Socket::default()).collect(),
            ready: Vec::with_capacity(events.capacity().get()),
            events,
            at: 0,
            wait: 0,
            buffer: vec![0; BUFFER],
            filled: 0,
        })
    }

    /// Sets what a connection waits for besides reading.
    fn interest(&self, connection: usize, writable: bool) -> Result<(), Errno> {
        let fd = self.sockets[connection].fd.as_ref().ok_or(Errno::BADF)?;
        let interest = Ready::new(connection, true, writable);
        let set = self.poller.modify_with_mode(fd, interest, PollMode::Level);
        set.map_err(errno)
    }

    fn opened(&mut self, connection: usize) -> Event {
        let made = self.sockets[connection]
            .fd
            .as_ref()
            .ok_or(Errno::BADF)
            .and_then(|fd| sockopt::socket_error(fd).and_then(|result| result))
            .and_then(|()| self.interest(connection, false));
        match made {
            Ok(()) => {
                self.sockets[connection].opening = false;
                Event::Opened
            }
            Err(errno) => Event::OpenFailed(errno),
        }
    }

    /// Sends what a short write left.
    fn send_rest(&mut self, connection: usize) -> Result<(), Errno> {
        let unsent = std::mem::take(&mut self.sockets[connection].unsent);
        if unsent.is_empty() {
            return Ok(());
        }
        self.send(connection, unsent)?;
        match self.sockets[connection].unsent.is_empty() {
            true => self.interest(connection, false),
            false => Ok(()),
        }
    }

    fn read(&mut self, connection: usize) -> Option<Event> {
        let socket = &self.sockets[connection];
        let fd = socket.fd.as_ref()?;
        match retried(|| recv(fd, &mut self.buffer[..], RecvFlags::empty()).map(|(_, n)| n)) {
            Ok(0) => Some(socket.broken.map_or(Event::Ended, Event::Failed)),
            Ok(read) => {
                self.filled = read;
                let mut next = [0];
                let next = retried(|| recv(fd, &mut next, RecvFlags::PEEK).map(|(_, n)| n));
                Some(Event::Received {
                    ended: next == Ok(0),
                })
            }
            Err(Errno::AGAIN) => None,
            Err(errno) => Some(Event::Failed(errno)),
        }
    }
}

impl<'w> Engine<'w> for Portable<'w> {
    fn open(&mut self, connection: usize) -> Result<(), Errno> {
        self.close(connection);
        let fd = socket(self.dial.family(), SocketType::STREAM, None)?;
        fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        ioctl_fionbio(&fd, true)?;
        self.dial.prepare(&fd, connection)?;
        match connect(&fd, self.dial.to()) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        #[allow(unsafe_code, reason = "`polling` can't know how long a socket lives")]
        // SAFETY: it is taken out again before it is closed, in `close` or in `Drop`.
        let added = unsafe {
            let interest = Ready::all(connection);
            self.poller.add_with_mode(&fd, interest, PollMode::Level)
        };
        added.map_err(errno)?;
        self.sockets[connection] = Socket {
            fd: Some(fd),
            since: self.wait,
            opening: true,
            ..Socket::default()
        };
        Ok(())
    }

    fn close(&mut self, connection: usize) {
        let socket = std::mem::take(&mut self.sockets[connection]);
        if let Some(fd) = socket.fd {
            // It was added, and can't be taken out twice.
            let _ = self.poller.delete(&fd);
        }
    }

    fn send(&mut self, connection: usize, wire: &'w [u8]) -> Result<(), Errno> {
        let socket = &mut self.sockets[connection];
        let fd = socket.fd.as_ref().ok_or(Errno::BADF)?;
        socket.large |= wire.len() > SURE;
        let mut left = wire;
        while !left.is_empty() {
            // Rust has SIGPIPE ignored; not every system has a flag for it.
            match retried(|| send(fd, left, SendFlags::empty())) {
                Ok(sent) => left = &left[sent..],
                Err(Errno::AGAIN) => {
                    socket.unsent = left;
                    return self.interest(connection, true);
                }
                Err(errno) if takes_no_more(errno) => {
                    socket.broken = Some(errno);
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn sent_whole(&self, connection: usize) -> bool {
        let socket = &self.sockets[connection];
        let held = || socket.large && socket.fd.as_ref().is_some_and(holds_back);
        socket.unsent.is_empty() && socket.broken.is_none() && !held()
    }

    fn wait(&mut self, limit: Duration) -> Result<bool, Errno> {
        self.at = 0;
        self.wait += 1;
        self.ready.clear();
        self.events.clear();
        let waited = self.poller.wait(&mut self.events, Some(limit));
        waited.map_err(errno)?;
        self.ready.extend(self.events.iter());
        Ok(!self.ready.is_empty())
    }

    fn next(&mut self) -> Option<(usize, Event)> {
        while let Some(ready) = self.ready.get_mut(self.at) {
            let connection = ready.key;
            let socket = &self.sockets[connection];
            // Opened after this wait, it has no event yet.
            if socket.fd.is_none() || socket.since == self.wait {
                self.at += 1;
                continue;
            }
            let opening = socket.opening;
            if std::mem::take(&mut ready.writable) {
                if opening {
                    return Some((connection, self.opened(connection)));
                }
                if let Err(errno) = self.send_rest(connection) {
                    return Some((connection, Event::Failed(errno)));
                }
            }
            self.at += 1;
            // What is left is told of again by the next wait.
            if !opening && let Some(event) = self.read(connection) {
                return Some((connection, event));
            }
        }
        None
    }

    fn received(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

impl Drop for Portable<'_> {
    fn drop(&mut self) {
        for connection in 0..self.sockets.len() {
            self.close(connection);
        }
    }
}

/// Calls again where a signal came between.
fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}
