//! The epoll backend: two system calls per request, one write and one read.
//!
//! Read interest is edge-triggered and set once per connection: an edge costs the kernel less than a level,
//! which is checked again on every wait. A read that doesn't fill the buffer has emptied the socket, so it is
//! not repeated, unless the event reported the end of the stream, which no later event would report again.
//! Write interest is set only while connecting and after a short write.

use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, connect, recv, send, sockopt};

use super::dial::Dial;
use super::engine::{Drafts, Engine, Event, SURE, holds_back, takes_no_more};

/// Events per wait.
const BATCH: usize = 256;
/// Read buffer shared by all connections of a thread, in bytes.
const BUFFER: usize = 64 * 1024;

/// The peer has ended its side, or the connection is gone.
const END: epoll::EventFlags = epoll::EventFlags::RDHUP
    .union(epoll::EventFlags::HUP)
    .union(epoll::EventFlags::ERR);
const READ: epoll::EventFlags = epoll::EventFlags::IN
    .union(epoll::EventFlags::RDHUP)
    .union(epoll::EventFlags::ET);
const READ_AND_WRITE: epoll::EventFlags = READ.union(epoll::EventFlags::OUT);

/// The connections of one thread.
pub(crate) struct Epoll<'w> {
    epoll: OwnedFd,
    dial: Dial,
    sockets: Vec<Socket<'w>>,
    events: Vec<epoll::Event>,
    /// The current event, and the number of events.
    at: usize,
    ready: usize,
    /// Flags of the current event still to handle; `None` before it is looked at.
    flags: Option<epoll::EventFlags>,
    buffer: Vec<u8>,
    filled: usize,
    drafts: Drafts,
}

#[derive(Debug, Default)]
struct Socket<'w> {
    fd: Option<OwnedFd>,
    /// Counts openings, to recognise events of a closed socket.
    generation: u32,
    opening: bool,
    /// The rest of a request that the socket would not take.
    unsent: &'w [u8],
    /// Whether a request was too large to be sure that it was sent completely.
    large: bool,
    /// Why the peer takes no more of it.
    broken: Option<Errno>,
}

impl Epoll<'_> {
    /// For this many connections, all closed, with this much room for the draft of each.
    pub(crate) fn new(dial: Dial, connections: usize, room: usize) -> Result<Self, Errno> {
        let empty = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        };
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            dial,
            sockets: (0..connections).map(|_| Socket::default()).collect(),
            events: vec![empty; BATCH],
            at: 0,
            ready: 0,
            flags: None,
            buffer: vec![0; BUFFER],
            filled: 0,
            drafts: Drafts::new(connections, room),
        })
    }

    /// Handles the remaining flags of the current event.
    fn look(&mut self, connection: usize, flags: epoll::EventFlags) -> Option<Event> {
        if self.sockets[connection].opening {
            // Data may already be there: check that next.
            self.flags = Some(flags.difference(epoll::EventFlags::OUT));
            return Some(self.opened(connection));
        }
        if flags.contains(epoll::EventFlags::OUT) {
            self.flags = Some(flags.difference(epoll::EventFlags::OUT));
            if let Err(errno) = self.flush(connection) {
                return Some(Event::Failed(errno));
            }
        }
        if flags.intersects(END.union(epoll::EventFlags::IN)) {
            return self.read(connection, flags);
        }
        None
    }

    fn opened(&mut self, connection: usize) -> Event {
        let data = event_data(connection, self.sockets[connection].generation);
        let socket = &mut self.sockets[connection];
        let Some(fd) = &socket.fd else {
            return Event::OpenFailed(Errno::BADF);
        };
        let made = sockopt::socket_error(fd)
            .and_then(|result| result)
            .and_then(|()| epoll::modify(&self.epoll, fd, data, READ));
        match made {
            Ok(()) => {
                socket.opening = false;
                Event::Opened
            }
            Err(errno) => Event::OpenFailed(errno),
        }
    }

    /// Sends the rest of a short write.
    fn flush(&mut self, connection: usize) -> Result<(), Errno> {
        let unsent = std::mem::take(&mut self.sockets[connection].unsent);
        if unsent.is_empty() {
            return Ok(());
        }
        self.send(connection, unsent)?;
        let socket = &self.sockets[connection];
        match &socket.fd {
            Some(fd) if socket.unsent.is_empty() => {
                let data = event_data(connection, socket.generation);
                epoll::modify(&self.epoll, fd, data, READ)
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, connection: usize, flags: epoll::EventFlags) -> Option<Event> {
        let fd = self.sockets[connection].fd.as_ref()?;
        let read = loop {
            match recv(fd, &mut self.buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                Ok((_, read)) => break Ok(read),
                Err(errno) => break Err(errno),
            }
        };
        match read {
            Ok(0) => {
                self.flags = Some(epoll::EventFlags::empty());
                let broken = self.sockets[connection].broken;
                Some(broken.map_or(Event::Ended, Event::Failed))
            }
            Ok(read) => {
                self.filled = read;
                let full = read == self.buffer.len();
                let ended = flags.intersects(END);
                if !full && !ended {
                    self.flags = Some(epoll::EventFlags::empty());
                }
                Some(Event::Received {
                    ended: ended && !full,
                })
            }
            Err(Errno::AGAIN) => None,
            Err(errno) => {
                self.flags = Some(epoll::EventFlags::empty());
                Some(Event::Failed(errno))
            }
        }
    }
}

impl<'w> Engine<'w> for Epoll<'w> {
    fn open(&mut self, connection: usize) -> Result<(), Errno> {
        self.close(connection);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = self.dial.socket(flags, connection)?;
        match connect(&fd, self.dial.to()) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        let socket = &mut self.sockets[connection];
        let data = event_data(connection, socket.generation);
        epoll::add(&self.epoll, &fd, data, READ_AND_WRITE)?;
        socket.fd = Some(fd);
        socket.opening = true;
        Ok(())
    }

    fn close(&mut self, connection: usize) {
        let socket = &mut self.sockets[connection];
        // Closing the last descriptor removes it from the epoll instance.
        socket.fd = None;
        socket.opening = false;
        socket.unsent = &[];
        (socket.large, socket.broken) = (false, None);
        socket.generation = socket.generation.wrapping_add(1);
    }

    fn send(&mut self, connection: usize, wire: &'w [u8]) -> Result<(), Errno> {
        let socket = &mut self.sockets[connection];
        let fd = socket.fd.as_ref().ok_or(Errno::BADF)?;
        socket.large |= wire.len() > SURE;
        let mut left = wire;
        loop {
            match send(fd, left, SendFlags::NOSIGNAL) {
                Ok(sent) if sent == left.len() => return Ok(()),
                Ok(sent) => left = &left[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) if takes_no_more(errno) => {
                    // The end of the stream is an event, still to come or being handled.
                    socket.broken = Some(errno);
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
        }
        socket.unsent = left;
        let data = event_data(connection, socket.generation);
        epoll::modify(&self.epoll, fd, data, READ_AND_WRITE)
    }

    fn draft(&mut self, connection: usize) -> &mut [u8] {
        self.drafts.of(connection)
    }

    fn send_draft(&mut self, connection: usize, length: usize) -> Result<(), Errno> {
        let socket = &mut self.sockets[connection];
        let fd = socket.fd.as_ref().ok_or(Errno::BADF)?;
        let draft = &self.drafts.of(connection)[..length];
        loop {
            match send(fd, draft, SendFlags::NOSIGNAL) {
                Ok(sent) if sent == length => return Ok(()),
                // It is so short that this can't be.
                Ok(_) => return Err(Errno::NOBUFS),
                Err(Errno::INTR) => {}
                Err(errno) if takes_no_more(errno) => {
                    // The end of the stream is an event, still to come or being handled.
                    socket.broken = Some(errno);
                    return Ok(());
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    fn sent_whole(&self, connection: usize) -> bool {
        let socket = &self.sockets[connection];
        let held = || socket.large && socket.fd.as_ref().is_some_and(holds_back);
        socket.unsent.is_empty() && socket.broken.is_none() && !held()
    }

    fn wait(&mut self, limit: Duration) -> Result<bool, Errno> {
        self.at = 0;
        self.ready = 0;
        self.flags = None;
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        // With its feature `linux_5_11`, rustix uses epoll_pwait2 here, which takes nanoseconds.
        match epoll::wait(&self.epoll, &mut self.events[..], Some(&limit)) {
            Ok(ready) => self.ready = ready,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(self.ready > 0)
    }

    fn next(&mut self) -> Option<(usize, Event)> {
        while self.at < self.ready {
            let event = self.events[self.at];
            let data = event.data.u64();
            let (connection, generation) = (data as u32 as usize, (data >> 32) as u32);
            let flags = *self.flags.get_or_insert(event.flags);
            if self.sockets[connection].generation == generation
                && let Some(event) = self.look(connection, flags)
            {
                return Some((connection, event));
            }
            self.at += 1;
            self.flags = None;
        }
        None
    }

    fn received(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }
}

fn event_data(connection: usize, generation: u32) -> epoll::EventData {
    epoll::EventData::new_u64(u64::from(generation) << 32 | connection as u64)
}
