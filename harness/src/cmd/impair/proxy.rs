//! The proxy: one thread, one epoll instance, and a queue of bytes with due times for each direction of each
//! connection.
//!
//! Bytes keep their order: none is due before those ahead of it, and the end of a direction is queued like bytes. So a
//! half-closed connection stays open the other way. A reset is queued too, so that it doesn't overtake a response.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rustix::event::{Timespec, epoll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, connect, recv, send,
    shutdown, socket_with, sockopt,
};

use super::conditions::Conditions;
use runner::Interrupt;

/// Bytes that wait in one direction of a connection at most: nothing more is read until some are sent.
pub(super) const QUEUE: usize = 256 << 10;
/// Reads that wait at most: each takes memory, however short.
const READS: usize = 1_024;
/// Bytes per read, so that connections take turns on a slow line.
const READ: usize = 16 << 10;
/// Payload of a packet on Ethernet: 1,500 bytes less the headers of IP and TCP with time stamps.
const PACKET: usize = 1_448;
/// Events per wait.
const BATCH: usize = 256;
/// How often to look for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);
/// The token of the listener.
const LISTENER: u64 = u64::MAX;

/// What went through.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) connections: u64,
    /// Connections that the server refused, or that failed otherwise.
    pub(super) failed: u64,
    /// To the server, and back.
    pub(super) bytes: [u64; 2],
    pub(super) stalls: u64,
    /// How late bytes were sent, in nanoseconds: the error of the delays.
    pub(super) late: Histogram<u64>,
}

impl Passed {
    fn new() -> Self {
        Self {
            connections: 0,
            failed: 0,
            bytes: [0; 2],
            stalls: 0,
            // From 1 ns to a minute.
            late: Histogram::new_with_bounds(1, 60_000_000_000, 3)
                .expect("the bounds of the histogram are valid"),
        }
    }
}

/// A proxy in front of a server.
pub(super) struct Proxy {
    epoll: OwnedFd,
    listener: TcpListener,
    to: SocketAddr,
    conditions: Conditions,
    rng: Pcg64,
    connections: Vec<Connection>,
    /// Indices of closed connections.
    free: Vec<usize>,
    /// When something becomes due, with its direction of a connection. Entries of closed connections are skipped.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    /// When the line is free again, for each direction.
    line_free: [Instant; 2],
    /// When to accept again after the system refused a connection.
    accept_at: Option<Instant>,
    buffer: Vec<u8>,
    passed: Passed,
}

struct Connection {
    /// The client's and the server's; `None` if it is closed.
    sockets: Option<[OwnedFd; 2]>,
    /// Counts its uses, to recognise what belongs to an earlier one.
    generation: u32,
    connecting: bool,
    /// To the server, and back.
    pipes: [Pipe; 2],
    /// What each socket waits for; `None` once it has nothing more to report.
    waits: [Option<epoll::EventFlags>; 2],
}

/// One direction.
struct Pipe {
    queue: VecDeque<Chunk>,
    queued: usize,
    /// When the last of the queue is due: nothing overtakes.
    last_due: Instant,
    /// The sender has ended or reset it: nothing more is read.
    ended: bool,
    /// The receiver knows that, or is gone.
    done: bool,
    /// The receiver's socket is full, or not open yet.
    blocked: bool,
    /// Whether an entry of [`Proxy::due`] stands for it.
    timed: bool,
}

struct Chunk {
    due: Instant,
    content: Content,
}

enum Content {
    Bytes { bytes: Vec<u8>, sent: usize },
    End,
    Reset,
}

impl Pipe {
    fn new(last_due: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            last_due,
            ended: false,
            done: false,
            blocked: false,
            timed: false,
        }
    }

    fn is_full(&self) -> bool {
        self.queued >= QUEUE || self.queue.len() >= READS
    }

    /// The receiver takes nothing more.
    fn discard(&mut self) {
        self.queue.clear();
        (self.queued, self.ended, self.done, self.blocked) = (0, true, true, false);
    }
}

impl Proxy {
    /// Prepares a proxy from a listener to an address.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new(
        listener: TcpListener,
        to: SocketAddr,
        conditions: Conditions,
        seed: u64,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, data, epoll::EventFlags::IN)?;
        let now = Instant::now();
        Ok(Self {
            epoll,
            listener,
            to,
            conditions,
            rng: Pcg64::seed_from_u64(seed),
            connections: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            line_free: [now; 2],
            accept_at: None,
            buffer: vec![0; READ],
            passed: Passed::new(),
        })
    }

    /// Passes bytes on until Ctrl-C or `end`.
    ///
    /// # Errors
    /// If the system refuses to wait.
    pub(super) fn run(mut self, interrupt: &Interrupt, end: Option<Instant>) -> io::Result<Passed> {
        let empty = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        };
        let mut events = vec![empty; BATCH];
        loop {
            let now = Instant::now();
            if interrupt.is_set() || end.is_some_and(|end| now >= end) {
                return Ok(self.passed);
            }
            self.send_due(now);
            if self.accept_at.is_some_and(|at| at <= now) {
                self.accept_at = None;
                self.accept();
            }
            let next = self.due.peek().map(|Reverse((due, _))| *due);
            let wake = next.map_or(LOOK, |due| due.saturating_duration_since(now).min(LOOK));
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: wake.subsec_nanos().into(),
            };
            let ready = match epoll::wait(&self.epoll, &mut events[..], Some(&wait)) {
                Err(Errno::INTR) => 0,
                ready => ready?,
            };
            for event in &events[..ready] {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    token => self.handle(token, event.flags),
                }
            }
        }
    }

    fn accept(&mut self) {
        if self.accept_at.is_some() {
            return;
        }
        loop {
            let client = match self.listener.accept() {
                Ok((client, _)) => OwnedFd::from(client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    if self.passed.failed == 0 {
                        eprintln!("cannot accept a connection: {error}");
                    }
                    self.passed.failed += 1;
                    self.accept_at = Some(Instant::now() + LOOK);
                    return;
                }
            };
            self.passed.connections += 1;
            if let Err(errno) = self.connect(client) {
                if self.passed.failed == 0 {
                    eprintln!("cannot connect to {}: {errno}", self.to);
                }
                self.passed.failed += 1;
            }
        }
    }

    /// Opens the server's side of a connection.
    fn connect(&mut self, client: OwnedFd) -> Result<(), Errno> {
        rustix::io::ioctl_fionbio(&client, true)?;
        sockopt::set_tcp_nodelay(&client, true)?;
        let family = match self.to {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let server = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&server, true)?;
        match connect(&server, &self.to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => {
                reset(&client);
                return Err(errno);
            }
        }
        let now = Instant::now();
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.connections.push(Connection {
                    sockets: None,
                    generation: 0,
                    connecting: false,
                    pipes: [Pipe::new(now), Pipe::new(now)],
                    waits: [None; 2],
                });
                self.connections.len() - 1
            }
        };
        // A real connection is open after one round trip; here the client's is open at once, so its first bytes wait
        // that much longer.
        let first = now + 3 * self.conditions.delay;
        let connection = &mut self.connections[index];
        connection.pipes = [Pipe::new(first), Pipe::new(now)];
        connection.generation = connection.generation.wrapping_add(1);
        connection.connecting = true;
        let waits = [epoll::EventFlags::IN, epoll::EventFlags::OUT];
        connection.waits = waits.map(Some);
        let sockets = [client, server];
        for (side, socket) in sockets.iter().enumerate() {
            let data = epoll::EventData::new_u64(token(index, connection.generation, side));
            if let Err(errno) = epoll::add(&self.epoll, socket, data, waits[side]) {
                self.free.push(index);
                return Err(errno);
            }
        }
        connection.sockets = Some(sockets);
        Ok(())
    }

    /// The index of an open connection and a side of it.
    fn find(&self, token: u64) -> Option<(usize, usize)> {
        let (index, side) = ((token >> 1) as usize & 0x7fff_ffff, (token & 1) as usize);
        let connection = self.connections.get(index)?;
        let is_same = connection.generation == (token >> 32) as u32;
        (is_same && connection.sockets.is_some()).then_some((index, side))
    }

    fn handle(&mut self, token: u64, flags: epoll::EventFlags) {
        let Some((index, side)) = self.find(token) else {
            return;
        };
        let connection = &mut self.connections[index];
        if side == 1 && connection.connecting {
            let Some([_, server]) = &connection.sockets else {
                return;
            };
            match sockopt::socket_error(server).and_then(|result| result) {
                Ok(()) => connection.connecting = false,
                Err(_) => return self.fail(index),
            }
        }
        if flags.contains(epoll::EventFlags::OUT) {
            // What goes to this side.
            connection.pipes[1 - side].blocked = false;
            if !self.send(index, 1 - side) {
                return;
            }
        }
        let arrived = epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if flags.intersects(arrived) {
            let over = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
            self.read(index, side, flags.intersects(over));
        }
        self.wait_for(index);
    }

    /// Reads once from a side; `over`: both of its directions have ended, or it is broken.
    fn read(&mut self, index: usize, side: usize, over: bool) {
        let connection = &mut self.connections[index];
        let (Some(sockets), pipe) = (&connection.sockets, &mut connection.pipes[side]) else {
            return;
        };
        if pipe.ended {
            if over {
                // Nothing can be written to it either.
                connection.pipes[1 - side].discard();
                connection.waits[side] = None;
                let _ = epoll::delete(&self.epoll, &sockets[side]);
                if connection.pipes[side].done {
                    self.close(index);
                }
            }
            return;
        }
        if pipe.is_full() && !over {
            return;
        }
        let (content, count) = match recv(&sockets[side], &mut self.buffer[..], RecvFlags::empty())
        {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) => (Content::Reset, 0),
            Ok((_, 0)) => (Content::End, 0),
            Ok((_, count)) => {
                let bytes = self.buffer[..count].to_vec();
                (Content::Bytes { bytes, sent: 0 }, count)
            }
        };
        if matches!(content, Content::Reset) {
            connection.pipes[1 - side].discard();
            connection.waits[side] = None;
            // Its error would be reported again and again.
            let _ = epoll::delete(&self.epoll, &sockets[side]);
        }
        let due = self.due_at(side, count, Instant::now());
        let connection = &mut self.connections[index];
        let key = token(index, connection.generation, side);
        let pipe = &mut connection.pipes[side];
        pipe.ended = count == 0;
        pipe.last_due = pipe.last_due.max(due);
        pipe.queued += count;
        pipe.queue.push_back(Chunk {
            due: pipe.last_due,
            content,
        });
        if pipe.queue.len() == 1 && !pipe.timed {
            pipe.timed = true;
            self.due.push(Reverse((pipe.last_due, key)));
        }
    }

    /// When bytes that arrived now are due at the other end.
    fn due_at(&mut self, direction: usize, count: usize, now: Instant) -> Instant {
        let conditions = &self.conditions;
        let mut sent = now;
        if let Some(rate) = conditions.rate {
            let line = &mut self.line_free[direction];
            sent = now.max(*line) + Duration::from_secs_f64(count as f64 / rate);
            *line = sent;
        }
        let spread = self.rng.random_range(-1.0..=1.0_f64);
        let delay = conditions.delay + conditions.jitter;
        // From delay - jitter to delay + jitter.
        let delay = delay.saturating_sub(conditions.jitter.mul_f64(1.0 - spread));
        let packets = count.div_ceil(PACKET) as i32;
        let lost = 1.0 - (1.0 - conditions.stalls).powi(packets);
        let mut due = sent + delay;
        if lost > 0.0 && self.rng.random::<f64>() < lost {
            self.passed.stalls += 1;
            due += conditions.stall();
        }
        due
    }

    /// Sends everything that is due.
    fn send_due(&mut self, now: Instant) {
        while let Some(Reverse((due, key))) = self.due.peek().copied() {
            if due > now {
                return;
            }
            self.due.pop();
            let Some((index, direction)) = self.find(key) else {
                continue;
            };
            self.connections[index].pipes[direction].timed = false;
            if self.send(index, direction) {
                self.wait_for(index);
            }
        }
    }

    /// Sends what is due in a direction of a connection. False if the connection is gone.
    fn send(&mut self, index: usize, direction: usize) -> bool {
        let connection = &mut self.connections[index];
        let key = token(index, connection.generation, direction);
        let Some(sockets) = &connection.sockets else {
            return false;
        };
        if direction == 0 && connection.connecting {
            // The event of the open connection sends it.
            connection.pipes[0].blocked = true;
            return true;
        }
        let to = &sockets[1 - direction];
        let pipe = &mut connection.pipes[direction];
        while let Some(chunk) = pipe.queue.front_mut().filter(|_| !pipe.blocked) {
            let now = Instant::now();
            if chunk.due > now {
                if !pipe.timed {
                    pipe.timed = true;
                    self.due.push(Reverse((chunk.due, key)));
                }
                break;
            }
            let mut late = || {
                let late = (now - chunk.due).as_nanos().try_into();
                self.passed.late.saturating_record(late.unwrap_or(u64::MAX));
            };
            let sent = match &mut chunk.content {
                Content::Reset => {
                    self.fail(index);
                    return false;
                }
                Content::End => {
                    pipe.done = true;
                    shutdown(to, Shutdown::Write).map(|()| true)
                }
                Content::Bytes { bytes, sent } => {
                    if *sent == 0 {
                        late();
                    }
                    send(to, &bytes[*sent..], SendFlags::NOSIGNAL).map(|count| {
                        *sent += count;
                        pipe.queued -= count;
                        self.passed.bytes[direction] += count as u64;
                        *sent == bytes.len()
                    })
                }
            };
            match sent {
                Ok(true) => drop(pipe.queue.pop_front()),
                Ok(false) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => pipe.blocked = true,
                Err(_) => pipe.discard(),
            }
        }
        if connection.pipes.iter().all(|pipe| pipe.done) {
            self.close(index);
            return false;
        }
        true
    }

    /// Tells epoll what each side of a connection waits for.
    fn wait_for(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let Some(sockets) = &connection.sockets else {
            return;
        };
        for (side, socket) in sockets.iter().enumerate() {
            let (from, to) = (&connection.pipes[side], &connection.pipes[1 - side]);
            let Some(before) = connection.waits[side] else {
                continue;
            };
            let connecting = side == 1 && connection.connecting;
            // These only fail for a socket that reports its end by itself.
            if from.ended && to.done {
                // Otherwise it reports that without end.
                let _ = epoll::delete(&self.epoll, socket);
                connection.waits[side] = None;
                continue;
            }
            let mut waits = epoll::EventFlags::empty();
            let reads = !connecting && !from.ended && !from.is_full();
            waits.set(epoll::EventFlags::IN, reads);
            waits.set(epoll::EventFlags::OUT, connecting || to.blocked);
            if waits != before {
                let data = epoll::EventData::new_u64(token(index, connection.generation, side));
                let _ = epoll::modify(&self.epoll, socket, data, waits);
                connection.waits[side] = Some(waits);
            }
        }
    }

    /// One side is gone: so is the other.
    fn fail(&mut self, index: usize) {
        self.passed.failed += 1;
        if let Some(sockets) = &self.connections[index].sockets {
            sockets.iter().for_each(reset);
        }
        self.close(index);
    }

    /// Closing its sockets also removes them from epoll.
    fn close(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.sockets.take().is_some() {
            let now = Instant::now();
            connection.pipes = [Pipe::new(now), Pipe::new(now)];
            self.free.push(index);
        }
    }
}

/// Closing then resets the connection, so that the peer sees an error and not an end.
fn reset(socket: impl AsFd) {
    // If it fails, the peer sees an end.
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// A direction of a connection, or the side it comes from.
fn token(index: usize, generation: u32, side: usize) -> u64 {
    u64::from(generation) << 32 | (index as u64) << 1 | side as u64
}
