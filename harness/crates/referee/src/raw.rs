//! A connection without a client library, which would hide some things: the moment of the first byte, bytes
//! that do not belong to a response, and an unannounced close.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::subject::TIMEOUT;

const MAX_HEADERS: usize = 64;
/// More than any response of the contract.
const MAX_ANSWER: usize = 1 << 20;

/// An open connection. Any error leaves it unusable.
pub(super) struct RawConnection {
    stream: TcpStream,
    /// Received, but not yet part of a response.
    buffer: Vec<u8>,
    /// Bytes received since the last request was sent.
    received: usize,
}

/// A complete response.
#[derive(Debug)]
pub(super) struct RawAnswer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// From just before the request was written to the first byte of the status line.
    pub(super) first_byte: Duration,
    /// From the same moment to the last byte of the body.
    pub(super) last_byte: Duration,
    /// Whether the server says that it closes the connection now.
    pub(super) closes: bool,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It was not complete in time.
    Timeout,
    /// Anything else, as text.
    Other(String),
}

impl<T: Into<String>> From<T> for NoAnswer {
    fn from(reason: T) -> Self {
        Self::Other(reason.into())
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => write!(f, "no complete response within {} s", TIMEOUT.as_secs()),
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

struct Head {
    length: usize,
    status: u16,
    version: u8,
    closes: bool,
    body: Framing,
}

enum Framing {
    Length(usize),
    Chunked,
    Unknown,
}

impl RawConnection {
    pub(super) fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
            received: 0,
        })
    }

    /// Whether anything came since the last request was sent.
    pub(super) fn has_received(&self) -> bool {
        self.received > 0
    }

    /// Sends one request and reads its response.
    pub(super) fn exchange(&mut self, wire: &[u8]) -> Result<RawAnswer, NoAnswer> {
        let sent = Instant::now();
        self.send(wire)?;
        self.answer(sent)
    }

    /// Sends bytes unmodified.
    pub(super) fn send(&mut self, wire: &[u8]) -> Result<(), NoAnswer> {
        if !self.buffer.is_empty() {
            let excess = super::answer::excerpt(&self.buffer);
            return Err(format!("bytes after the end of the last response: {excess}").into());
        }
        self.received = 0;
        self.stream
            .write_all(wire)
            .map_err(|error| format!("the request could not be sent: {error}").into())
    }

    /// Reads the response to a request sent at `sent`.
    pub(super) fn answer(&mut self, sent: Instant) -> Result<RawAnswer, NoAnswer> {
        self.receive()?;
        let first_byte = sent.elapsed();
        let head = self.head()?;
        if head.version != 1 {
            return Err(format!("the response is HTTP/1.{}, not HTTP/1.1", head.version).into());
        }
        self.buffer.drain(..head.length);
        let body = match head.body {
            Framing::Length(length) => self.take(length)?,
            Framing::Chunked => self.chunks()?,
            Framing::Unknown => {
                return Err("neither Content-Length nor Transfer-Encoding: chunked".into());
            }
        };
        Ok(RawAnswer {
            status: head.status,
            body,
            first_byte,
            last_byte: sent.elapsed(),
            closes: head.closes,
        })
    }

    fn receive(&mut self) -> Result<(), NoAnswer> {
        if self.buffer.len() > MAX_ANSWER {
            return Err(format!("a response of more than {MAX_ANSWER} bytes").into());
        }
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err("the connection was closed before the end of the response".into()),
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                self.received += count;
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(NoAnswer::Timeout)
            }
            Err(error) => Err(error.to_string().into()),
        }
    }

    fn head(&mut self) -> Result<Head, NoAnswer> {
        loop {
            if let Some(head) = parse_head(&self.buffer)? {
                return Ok(head);
            }
            self.receive()?;
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, NoAnswer> {
        while self.buffer.len() < length {
            self.receive()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunks(&mut self) -> Result<Vec<u8>, NoAnswer> {
        let mut body = Vec::new();
        loop {
            let size = loop {
                let parsed = httparse::parse_chunk_size(&self.buffer);
                match parsed.map_err(|_| "an invalid chunk size")? {
                    httparse::Status::Complete((start, size)) => {
                        self.buffer.drain(..start);
                        break size;
                    }
                    httparse::Status::Partial => self.receive()?,
                }
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            if size > MAX_ANSWER {
                return Err(format!("a chunk of {size} bytes").into());
            }
            let chunk = self.take(size + 2)?;
            if !chunk.ends_with(b"\r\n") {
                return Err("a chunk that does not end where it says".into());
            }
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
}

/// `None` if the head is not complete.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, NoAnswer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => {
            let got = super::answer::excerpt(bytes);
            return Err(format!("not an HTTP response ({error}): {got}").into());
        }
    };
    let mut head = Head {
        length,
        status: response.code.unwrap_or(0),
        version: response.version.unwrap_or(0),
        closes: false,
        body: Framing::Unknown,
    };
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value).to_ascii_lowercase();
        match header.name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let length = value
                    .parse()
                    .map_err(|_| "Content-Length is not a number")?;
                head.body = Framing::Length(length);
            }
            "transfer-encoding" if value == "chunked" => head.body = Framing::Chunked,
            "connection" => head.closes = value.split(',').any(|token| token.trim() == "close"),
            _ => {}
        }
    }
    Ok(Some(head))
}

/// A GET in wire format.
pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// An order in wire format.
pub fn order(body: &str) -> Vec<u8> {
    format!(
        "POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
