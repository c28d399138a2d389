//! One thread of the responder, with its own epoll instance.
//!
//! It is level-triggered and normally waits for reads only. If the socket would not take a response, it waits
//! until that connection is writable, and doesn't read from it meanwhile.

use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use super::answers::Answers;
use super::connection::Connection;

/// Events per wait.
const BATCH: usize = 256;
/// Read buffer shared by all connections of a thread, in bytes.
const BUFFER: usize = 64 * 1024;

/// Where the acceptor leaves new connections for one worker.
#[derive(Debug)]
pub(super) struct Desk {
    epoll: OwnedFd,
    arrived: Mutex<Vec<OwnedFd>>,
}

impl Desk {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            arrived: Mutex::default(),
        })
    }

    /// Hands a connection to the worker, which notices it with the first request.
    pub(super) fn hand(&self, socket: OwnedFd) -> Result<(), Errno> {
        // Hold the lock until the socket is stored: the worker may notice it at once.
        let mut arrived = self.arrived();
        let data = epoll::EventData::new_u64(key(&socket) as u64);
        epoll::add(&self.epoll, &socket, data, epoll::EventFlags::IN)?;
        arrived.push(socket);
        Ok(())
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers requests on the connections left at one [`Desk`].
#[derive(Debug)]
pub(super) struct Worker<'a> {
    desk: &'a Desk,
    answers: &'a Answers,
    /// Indexed by file descriptor, which the kernel keeps small.
    connections: Vec<Option<Connection<'a>>>,
    buffer: Vec<u8>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(desk: &'a Desk, answers: &'a Answers) -> Self {
        Self {
            desk,
            answers,
            connections: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Works until waiting fails, and returns why.
    pub(super) fn run(&mut self) -> Errno {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; BATCH];
        loop {
            match epoll::wait(&self.desk.epoll, &mut events[..], None) {
                Ok(ready) => events[..ready]
                    .iter()
                    .for_each(|event| self.attend(event.data.u64() as usize)),
                Err(Errno::INTR) => {}
                Err(errno) => return errno,
            }
        }
    }

    fn attend(&mut self, key: usize) {
        if !matches!(self.connections.get(key), Some(Some(_))) {
            self.take_arrived();
        }
        let Some(slot) = self.connections.get_mut(key) else {
            return;
        };
        let Some(connection) = slot else { return };
        let was_blocked = connection.is_blocked();
        let attended = connection.attend(self.answers, &mut self.buffer);
        let waits = match attended {
            Ok(()) if connection.is_blocked() == was_blocked => Ok(()),
            Ok(()) => wait_for_other(&self.desk.epoll, connection, key),
            Err(_) => Err(Errno::CONNRESET),
        };
        if waits.is_err() {
            // Closing the last descriptor removes it from the epoll instance.
            *slot = None;
        }
    }

    fn take_arrived(&mut self) {
        for socket in self.desk.arrived().drain(..) {
            let key = key(&socket);
            if key >= self.connections.len() {
                self.connections.resize_with(key + 1, || None);
            }
            self.connections[key] = Some(Connection::new(socket));
        }
    }
}

fn key(socket: &OwnedFd) -> usize {
    // An open descriptor is never negative.
    socket.as_raw_fd() as usize
}

/// Switches between waiting for requests and waiting for room to write.
fn wait_for_other(epoll: &OwnedFd, connection: &Connection<'_>, key: usize) -> Result<(), Errno> {
    let interest = match connection.is_blocked() {
        true => epoll::EventFlags::OUT,
        false => epoll::EventFlags::IN,
    };
    let data = epoll::EventData::new_u64(key as u64);
    epoll::modify(epoll, &connection.socket, data, interest)
}
