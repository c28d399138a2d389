//! The server's one thread: connections, due times, responses.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Instant;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use super::delay::{Delay, even};
use super::given::Given;
use super::{Arguments, GIVEN};

/// Events per wait.
const BATCH: usize = 256;
/// Maximum bytes of incomplete requests on one connection.
const MOST_WAITING: usize = 64 * 1024;
/// Even without `--spin`, it spins just before a response is due, so that no wake-up delays it.
const SPIN_NS: u64 = 60_000;
/// The listening socket's key; a connection's is its file descriptor.
const LISTENER: u64 = u64::MAX;

/// A connection and the bytes of its incomplete requests.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    waiting: Vec<u8>,
    /// Tells apart connections that had the same descriptor.
    generation: u64,
    /// Whether a delayed request came on it.
    used: bool,
}

/// A due response: when, on which connection and generation, to a request received when.
type Due = Reverse<(u64, u64, u64, u64)>;

/// The state of the server.
#[derive(Debug)]
pub(super) struct Desk {
    epoll: OwnedFd,
    listener: TcpListener,
    delay: Delay,
    seed: u64,
    spin: bool,
    base: Instant,
    /// When the first delayed request arrived, by `base`.
    first: Option<u64>,
    /// How many of those have arrived.
    drawn: u64,
    /// When the last of them is answered.
    last_due: u64,
    generations: u64,
    connections: HashMap<u64, Connection>,
    due: BinaryHeap<Due>,
    given: Given,
}

impl Desk {
    pub(super) fn new(listener: TcpListener, arguments: &Arguments) -> anyhow::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(LISTENER);
        epoll::add(&epoll, &listener, data, epoll::EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            delay: arguments.delay,
            seed: arguments.seed,
            spin: arguments.spin,
            base: Instant::now(),
            first: None,
            drawn: 0,
            last_due: 0,
            generations: 0,
            connections: HashMap::new(),
            due: BinaryHeap::new(),
            given: Given::new()?,
        })
    }

    /// Serves until waiting fails, and returns why.
    pub(super) fn run(&mut self) -> Errno {
        let mut events = [epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        }; BATCH];
        loop {
            let limit = self.limit();
            match epoll::wait(&self.epoll, &mut events[..], limit.as_ref()) {
                Ok(ready) => {
                    for event in &events[..ready] {
                        self.attend(event.data.u64());
                        // A long batch must not delay responses that are due.
                        self.answer_due();
                    }
                }
                Err(Errno::INTR) => {}
                Err(errno) => return errno,
            }
            self.answer_due();
        }
    }

    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    /// How long to wait for requests; forever if no response is due.
    fn limit(&self) -> Option<Timespec> {
        let ns = match self.due.peek() {
            _ if self.spin => 0,
            None => return None,
            Some(Reverse((due, ..))) => due.saturating_sub(self.now() + SPIN_NS),
        };
        Some(Timespec {
            tv_sec: (ns / 1_000_000_000) as i64,
            tv_nsec: (ns % 1_000_000_000) as i64,
        })
    }

    fn attend(&mut self, key: u64) {
        if key == LISTENER {
            return self.accept();
        }
        let now = self.now();
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        match connection.requests() {
            Ok(paths) => {
                let generation = connection.generation;
                for path in paths {
                    self.take(&path, now, key, generation);
                }
            }
            // An error on one connection is that client's problem.
            Err(_) => drop(self.connections.remove(&key)),
        }
    }

    /// Accepts all waiting connections.
    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let key = stream.as_raw_fd() as u64;
            let data = epoll::EventData::new_u64(key);
            let ready = stream
                .set_nodelay(true)
                .and_then(|()| stream.set_nonblocking(true))
                .and_then(|()| {
                    Ok(epoll::add(
                        &self.epoll,
                        &stream,
                        data,
                        epoll::EventFlags::IN,
                    )?)
                });
            if ready.is_ok() {
                self.generations += 1;
                let connection = Connection {
                    stream,
                    waiting: Vec::new(),
                    generation: self.generations,
                    used: false,
                };
                self.connections.insert(key, connection);
            }
        }
    }

    /// Handles a request.
    fn take(&mut self, path: &str, now: u64, key: u64, generation: u64) {
        match path {
            "/ping" => self.answer(key, generation, r#"{"status":"ok"}"#),
            GIVEN => {
                let body = self.given.json().to_string();
                self.given.restart_most(self.due.len());
                self.answer(key, generation, &body);
            }
            _ => {
                let first = *self.first.get_or_insert(now);
                let u = even(self.drawn, self.seed);
                self.drawn += 1;
                let begins = match self.delay {
                    Delay::Queue(_) => now.max(self.last_due),
                    _ => now,
                };
                let due = first + self.delay.due_ns(begins - first, u);
                self.last_due = due;
                self.due.push(Reverse((due, key, generation, now)));
                let connection = self.connections.get_mut(&key);
                let is_new = connection.is_some_and(|of| !std::mem::replace(&mut of.used, true));
                self.given.count(is_new, self.due.len());
            }
        }
    }

    /// Sends all responses that are due.
    fn answer_due(&mut self) {
        while let Some(Reverse((due, key, generation, arrived))) = self.due.peek().copied() {
            let now = self.now();
            if due > now {
                return;
            }
            self.due.pop();
            self.given.add(now - arrived);
            self.answer(key, generation, r#"{"late":true}"#);
        }
    }

    fn answer(&mut self, key: u64, generation: u64, body: &str) {
        let Some(connection) = self.connections.get_mut(&key) else {
            return;
        };
        if connection.generation != generation {
            return;
        }
        let length = body.len();
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        // A response is far smaller than any socket buffer. If it doesn't fit, the client is not reading.
        if !matches!(connection.stream.write(text.as_bytes()), Ok(sent) if sent == text.len()) {
            self.connections.remove(&key);
        }
    }
}

impl Connection {
    /// The paths of the complete requests; none has a body.
    fn requests(&mut self) -> io::Result<Vec<String>> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => self.waiting.extend_from_slice(&chunk[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let mut paths = Vec::new();
        while let Some(end) = self.waiting.windows(4).position(|w| w == b"\r\n\r\n") {
            let line = self.waiting.split(|byte| *byte == b'\r').next();
            let line = String::from_utf8_lossy(line.unwrap_or_default());
            let path = line.split(' ').nth(1).ok_or(ErrorKind::InvalidData)?;
            paths.push(path.to_owned());
            self.waiting.drain(..end + 4);
        }
        match self.waiting.len() {
            ..MOST_WAITING => Ok(paths),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}
