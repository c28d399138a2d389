//! One blocking request.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, SocketFlags, connect, recv, send};

use super::dial::Dial;
use super::engine::{SURE, holds_back, takes_no_more};
use super::judge::clip;
use super::malformed::Malformed;
use super::response::{ParsedResponse, Parser};
use super::{Address, Config};

const MAX_BODY: usize = 16 << 20;
/// Maximum response size on the wire in bytes, including head, chunk sizes and interim responses.
const MAX_WIRE: usize = 2 * MAX_BODY;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Status line and headers as received, with the empty line that ends them.
    pub head: Vec<u8>,
    /// The body, with its chunks joined.
    pub body: Vec<u8>,
    /// All of it as received, including interim (1xx) responses.
    pub wire: Vec<u8>,
    /// Whether the connection can't be used again.
    pub close: bool,
    /// From before sending to the read that brought the first byte of the status line.
    pub first_byte: Duration,
    /// From before sending to the end of the body.
    pub total: Duration,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// No connection could be made.
    #[error("could not connect to {addr}: {cause}")]
    Connect {
        /// Target address.
        addr: Address,
        /// The system's error.
        cause: io::Error,
    },
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The server closed the connection before the response was complete.
    #[error("the connection was closed after {received} bytes of the response")]
    Closed {
        /// Bytes received.
        received: u64,
    },
    /// No complete response in time.
    #[error("no complete response within {limit:?}, {received} bytes received")]
    Timeout {
        /// The time limit.
        limit: Duration,
        /// Bytes received.
        received: u64,
    },
    /// What came back is not one HTTP/1.1 response.
    #[error("not an HTTP/1.1 response: {kind}; it begins with {begin:?}")]
    Protocol {
        /// What is wrong with it.
        kind: Malformed,
        /// The beginning of what was received.
        begin: String,
    },
}

/// Sends `wire`, a complete request, and waits for the complete response.
///
/// A response may arrive before the request is sent completely. After an error, or if [`Response::close`] is
/// true, the stream must not be used again.
///
/// # Errors
/// See [`ExchangeError`]; `timeout` limits the whole exchange.
pub fn exchange(
    stream: &mut impl AsFd,
    wire: &[u8],
    timeout: Duration,
) -> Result<Response, ExchangeError> {
    let start = Instant::now();
    let mut parser = Parser::new();
    parser.start(wire.starts_with(b"HEAD "), MAX_BODY);
    let mut request = Sending {
        left: wire,
        broken: None,
    };
    let mut came = Vec::new();
    let mut first_byte = Duration::ZERO;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let received = came.len() as u64;
        request.go_on(stream)?;
        let left = timeout.saturating_sub(start.elapsed());
        if !wait(stream, request.interest(), left)? {
            let limit = timeout;
            return Err(ExchangeError::Timeout { limit, received });
        }
        let read = match recv(&*stream, &mut buffer[..], RecvFlags::DONTWAIT) {
            Err(Errno::INTR | Errno::AGAIN) => continue,
            read => read.map_err(io::Error::from)?.1,
        };
        let now = start.elapsed();
        if read == 0 {
            request
                .broken
                .map_or(Ok(()), |errno| Err(io::Error::from(errno)))?;
            let answer = parser.finish().ok_or(ExchangeError::Closed { received })?;
            return respond(&answer, came, first_byte, now);
        }
        let input = &buffer[..read];
        came.extend_from_slice(input);
        if let Some(answer) = parser.feed(input).map_err(|kind| protocol(kind, input))? {
            if answer.consumed < read {
                return Err(protocol(Malformed::Surplus, answer.head));
            }
            let first = if answer.begins { now } else { first_byte };
            let response = respond(&answer, came, first, now)?;
            // The server would read whatever follows an incomplete request as the rest of it.
            let held = wire.len() > SURE && holds_back(&*stream);
            let close = response.close || held || !request.left.is_empty();
            return Ok(Response { close, ..response });
        }
        if came.len() > MAX_WIRE {
            return Err(protocol(Malformed::AnswerTooLarge, &came));
        }
        if parser.begins() {
            first_byte = now;
        }
    }
}

fn respond(
    answer: &ParsedResponse<'_>,
    wire: Vec<u8>,
    first_byte: Duration,
    total: Duration,
) -> Result<Response, ExchangeError> {
    if !answer.is_whole() {
        return Err(protocol(Malformed::AnswerTooLarge, answer.head));
    }
    Ok(Response {
        status: answer.status,
        head: answer.head.to_vec(),
        body: answer.body.to_vec(),
        wire,
        close: answer.close,
        first_byte,
        total,
    })
}

fn protocol(kind: Malformed, begin: &[u8]) -> ExchangeError {
    let begin = clip(begin);
    ExchangeError::Protocol { kind, begin }
}

/// A request that may not be sent completely yet.
struct Sending<'a> {
    left: &'a [u8],
    /// Why the peer takes no more of it. What the peer sent earlier can still be read.
    broken: Option<Errno>,
}

impl Sending<'_> {
    /// Sends as much as the socket accepts now.
    fn go_on(&mut self, stream: &impl AsFd) -> io::Result<()> {
        while !self.left.is_empty() && self.broken.is_none() {
            match send(stream, self.left, SendFlags::DONTWAIT) {
                Ok(sent) => self.left = &self.left[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) if takes_no_more(errno) => self.broken = Some(errno),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Events to wait for.
    fn interest(&self) -> PollFlags {
        match self.left {
            [_, ..] if self.broken.is_none() => PollFlags::IN | PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }
}

/// Waits up to `limit` until the socket is ready for one of these; returns whether it is.
fn wait(stream: &impl AsFd, interest: PollFlags, limit: Duration) -> io::Result<bool> {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(stream, interest)], Some(&limit)) {
        Err(Errno::INTR) => Ok(true),
        ready => Ok(ready? > 0),
    }
}

/// Exchanges with one address over one connection, reconnecting if it can't be reused.
#[derive(Debug)]
pub struct Client {
    addr: Address,
    from: Vec<IpAddr>,
    timeout: Duration,
    stream: Option<OwnedFd>,
}

impl Client {
    /// A client that allows `timeout` for connecting and for each exchange.
    pub fn new(addr: impl Into<Address>, timeout: Duration) -> Self {
        Self {
            addr: addr.into(),
            from: Vec::new(),
            timeout,
            stream: None,
        }
    }

    /// A client that connects the way a drive with this configuration does.
    pub fn of(config: &Config) -> Self {
        Self {
            from: config.from.clone(),
            ..Self::new(config.addr.clone(), config.timeout)
        }
    }

    /// Sends `wire`, a complete request, and waits for the complete response.
    ///
    /// # Errors
    /// See [`ExchangeError`]; the next exchange then reconnects. Nothing is sent twice: if a kept connection
    /// turns out to be closed, that is an error.
    pub fn exchange(&mut self, wire: &[u8]) -> Result<Response, ExchangeError> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect().map_err(|errno| ExchangeError::Connect {
                addr: self.addr.clone(),
                cause: errno.into(),
            })?,
        };
        let response = exchange(&mut stream, wire, self.timeout)?;
        if !response.close {
            self.stream = Some(stream);
        }
        Ok(response)
    }

    fn connect(&self) -> Result<OwnedFd, Errno> {
        let dial = Dial::new(&self.addr, &self.from, (0, 1))?;
        let fd = dial.socket(SocketFlags::CLOEXEC, 0)?;
        // It also limits how long connecting may take (socket(7)).
        set_socket_timeout(&fd, Timeout::Send, Some(self.timeout))?;
        match connect(&fd, dial.to()) {
            Ok(()) => Ok(fd),
            Err(Errno::INPROGRESS | Errno::AGAIN) => Err(Errno::TIMEDOUT),
            Err(errno) => Err(errno),
        }
    }
}
