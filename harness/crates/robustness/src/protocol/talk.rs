//! Runs a script over a socket, and records what comes back.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size};

use super::Limits;
use super::replies::Replies;
use super::script::{Action, Asked, Finish, Script, probe};

/// How long to watch a connection for its end, or for another response, before probing it with another request.
const QUIET: Duration = Duration::from_millis(200);
/// Time limit for that request.
const PROBE: Duration = Duration::from_secs(2);
/// How often a long wait checks whether to stop.
const SLICE: Duration = Duration::from_millis(100);
/// More than any response to a script needs; a server that never stops sending must not fill the memory.
const MAX_RECEIVED: usize = 8 << 20;
/// Receive buffer in bytes of a client that reads little; the kernel doubles it.
const SMALL: usize = 4 * 1024;

/// The final state of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Still open.
    Open,
    /// The server closed it.
    Closed,
    /// The server reset it.
    Reset,
    /// The client ended it, as the script says.
    Left,
    /// It could not be opened.
    NotConnected(String),
}

/// The result of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Talk {
    pub(super) received: Vec<u8>,
    /// How much had been received when the connection was probed.
    pub(super) probed_at: Option<usize>,
    pub(super) end: End,
    /// From the start to the end of the connection, or until it was no longer watched.
    pub(super) lasted: Duration,
}

struct LiveTalk<'a> {
    stream: TcpStream,
    received: Vec<u8>,
    end: End,
    limits: &'a Limits<'a>,
    asked: &'a [Asked],
    half_closed: bool,
    begin: Instant,
    /// Maximum time the connection is held open.
    watched: Duration,
}

/// Runs the script.
pub(super) fn talk(addr: SocketAddr, script: &Script, limits: &Limits<'_>) -> Talk {
    let begin = Instant::now();
    let stream = match connect(addr, script) {
        Ok(stream) => stream,
        Err(error) => {
            return Talk {
                received: Vec::new(),
                probed_at: None,
                end: End::NotConnected(error.to_string()),
                lasted: begin.elapsed(),
            };
        }
    };
    let mut line = LiveTalk {
        stream,
        received: Vec::new(),
        end: End::Open,
        limits,
        asked: &script.asked,
        half_closed: false,
        begin,
        watched: match script.finish {
            Finish::LetGo => limits.let_go,
            _ => Duration::MAX,
        },
    };
    for step in &script.steps {
        line.take(step);
    }
    let probed_at = line.finish(script.finish);
    Talk {
        received: line.received,
        probed_at,
        end: line.end,
        lasted: begin.elapsed(),
    }
}

fn connect(addr: SocketAddr, script: &Script) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, PROBE)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(PROBE))?;
    if script.small_window {
        set_socket_recv_buffer_size(&stream, SMALL)?;
    }
    Ok(stream)
}

impl LiveTalk<'_> {
    fn take(&mut self, step: &Action) {
        if self.end != End::Open {
            return;
        }
        match step {
            Action::Send(bytes) => self.send(bytes),
            Action::Trickle(pieces, apart) => self.trickle(pieces, *apart),
            Action::AwaitAnswer(limit) => self.wait(*limit, |line| !line.replies().all.is_empty()),
            Action::AwaitAnswers(count) => {
                self.wait(self.limits.patience, |line| {
                    line.replies().whole() >= *count
                });
            }
            Action::AwaitFirstByte => self.wait_readable(self.limits.patience),
            Action::HalfClose => {
                self.half_closed = true;
                // If the server has closed the connection meanwhile, reading will show that.
                let _ = self.stream.shutdown(Shutdown::Write);
            }
            Action::Reset => {
                // Makes closing the socket reset the connection.
                let _ = set_socket_linger(&self.stream, Some(Duration::ZERO));
                self.end = End::Left;
            }
        }
    }

    /// Errors are ignored: reading shows what the server did.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn trickle(&mut self, pieces: &[Vec<u8>], apart: Duration) {
        let begin = Instant::now();
        for (nth, piece) in (1_u32..).zip(pieces) {
            self.send(piece);
            if nth as usize == pieces.len() {
                return;
            }
            let due = begin + apart * nth;
            self.wait(due.saturating_duration_since(Instant::now()), |_| false);
            let watched_out = self.begin.elapsed() > self.watched;
            if self.end != End::Open || watched_out || (self.limits.stop)() {
                return;
            }
        }
    }

    /// Ends the script; returns how much had been received when the probe was sent.
    fn finish(&mut self, finish: Finish) -> Option<usize> {
        if matches!(self.end, End::Left | End::NotConnected(_)) {
            return None;
        }
        let wanted = self.asked.len();
        let patience = self.limits.patience;
        match finish {
            Finish::AtOnce => None,
            Finish::LetGo => {
                self.wait(self.watched.saturating_sub(self.begin.elapsed()), |_| false);
                None
            }
            Finish::Answered => {
                self.wait(patience, |line| line.replies().whole() >= wanted);
                None
            }
            Finish::Probed => {
                self.wait(patience, |line| line.replies().whole() >= wanted);
                if self.replies().whole() < wanted {
                    return None;
                }
                self.wait(QUIET, |_| false);
                self.probe()
            }
        }
    }

    /// A client that has ended its side can't send a probe. It only waits for the server to end its own.
    fn probe(&mut self) -> Option<usize> {
        if self.half_closed {
            self.wait(PROBE, |_| false);
        }
        if self.half_closed || self.end != End::Open {
            return None;
        }
        let at = self.received.len();
        self.send(&probe());
        self.wait(PROBE, |line| {
            Replies::read(&line.received[at..], &[Asked::PLAIN], false).whole() > 0
        });
        Some(at)
    }

    fn replies(&self) -> Replies {
        Replies::read(&self.received, self.asked, self.end != End::Open)
    }

    /// Reads until `done`, the end of the connection, or the limit.
    fn wait(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + limit;
        while self.end == End::Open && !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || (self.limits.stop)() {
                return;
            }
            if self.readable(left.min(SLICE)) {
                self.receive();
            }
        }
    }

    fn wait_readable(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline && !(self.limits.stop)() && !self.readable(SLICE) {}
    }

    fn readable(&self, limit: Duration) -> bool {
        let mut descriptors = [PollFd::new(&self.stream, PollFlags::IN)];
        let limit = rustix::event::Timespec::try_from(limit).ok();
        poll(&mut descriptors, limit.as_ref()).is_ok_and(|ready| ready > 0)
    }

    fn receive(&mut self) {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.end = End::Closed,
            Ok(count) if self.received.len() + count <= MAX_RECEIVED => {
                self.received.extend_from_slice(&chunk[..count]);
            }
            // Too much: ignore the rest.
            Ok(_) => self.end = End::Left,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.end = End::Reset,
        }
    }
}
