//! A connection without a client library, which would hide some things: the moment of the first byte, bytes
//! that do not belong to a response, and an unannounced close.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const MAX_HEADERS: usize = 64;
/// More than any response of the contract.
const MAX_ANSWER: usize = 1 << 20;

/// An open connection. Any error leaves it unusable.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    timeout: Duration,
    /// Received, but not yet part of a response.
    buffer: Vec<u8>,
    /// Bytes received since the last request was sent.
    received: usize,
}

/// A complete response.
#[derive(Debug)]
pub struct RawResponse {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Without its chunks.
    pub body: Vec<u8>,
    /// From just before the request was written to the first byte of the status line.
    pub first_byte: Duration,
    /// From the same moment to the last byte of the body.
    pub last_byte: Duration,
    /// Whether the server says that it closes the connection now.
    pub closes: bool,
}

/// Why there is no response.
#[derive(Debug)]
pub enum NoResponse {
    /// It was not complete in this time.
    Timeout(Duration),
    /// Anything else, as text.
    Other(String),
}

impl RawResponse {
    /// A header's value, without white space around it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim())
    }
}

impl<T: Into<String>> From<T> for NoResponse {
    fn from(reason: T) -> Self {
        Self::Other(reason.into())
    }
}

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(limit) => {
                write!(f, "no complete response within {} s", limit.as_secs())
            }
            Self::Other(reason) => f.write_str(reason),
        }
    }
}

struct ParsedHead {
    length: usize,
    status: u16,
    version: u8,
    headers: Vec<(String, String)>,
    closes: bool,
    body: Framing,
}

enum Framing {
    Length(usize),
    Chunked,
    Unknown,
}

impl Connection {
    /// Connects; `timeout` limits that and each wait afterwards.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self {
            stream,
            timeout,
            buffer: Vec::with_capacity(16 * 1024),
            received: 0,
        })
    }

    /// Whether anything came since the last request was sent.
    pub fn has_received(&self) -> bool {
        self.received > 0
    }

    /// Sends one request and reads its response.
    ///
    /// # Errors
    /// Why there is no complete one.
    pub fn exchange(&mut self, wire: &[u8]) -> Result<RawResponse, NoResponse> {
        let sent = Instant::now();
        self.send(wire)?;
        self.answer(sent)
    }

    /// Sends bytes unmodified.
    ///
    /// # Errors
    /// If that fails, or something came after the last response.
    pub fn send(&mut self, wire: &[u8]) -> Result<(), NoResponse> {
        if !self.buffer.is_empty() {
            let excess = super::response::excerpt(&self.buffer);
            return Err(format!("bytes after the end of the last response: {excess}").into());
        }
        self.received = 0;
        self.stream
            .write_all(wire)
            .map_err(|error| format!("the request could not be sent: {error}").into())
    }

    /// Reads the response to a request sent at `sent`.
    ///
    /// # Errors
    /// Why there is no complete one.
    pub fn answer(&mut self, sent: Instant) -> Result<RawResponse, NoResponse> {
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
        Ok(RawResponse {
            status: head.status,
            headers: head.headers,
            body,
            first_byte,
            last_byte: sent.elapsed(),
            closes: head.closes,
        })
    }

    /// Says that nothing more will be sent, and reads what still comes, to the end.
    ///
    /// # Errors
    /// Those of the socket; `WouldBlock` if the server keeps the connection open.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.read_to_end(&mut self.buffer)?;
        Ok(self.buffer)
    }

    fn receive(&mut self) -> Result<(), NoResponse> {
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
                Err(NoResponse::Timeout(self.timeout))
            }
            Err(error) => Err(error.to_string().into()),
        }
    }

    fn head(&mut self) -> Result<ParsedHead, NoResponse> {
        loop {
            if let Some(head) = parse_head(&self.buffer)? {
                return Ok(head);
            }
            self.receive()?;
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, NoResponse> {
        while self.buffer.len() < length {
            self.receive()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunks(&mut self) -> Result<Vec<u8>, NoResponse> {
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
fn parse_head(bytes: &[u8]) -> Result<Option<ParsedHead>, NoResponse> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => {
            let got = super::response::excerpt(bytes);
            return Err(format!("not an HTTP response ({error}): {got}").into());
        }
    };
    let mut head = ParsedHead {
        length,
        status: response.code.unwrap_or(0),
        version: response.version.unwrap_or(0),
        headers: Vec::with_capacity(response.headers.len()),
        closes: false,
        body: Framing::Unknown,
    };
    for header in response.headers.iter() {
        let name = header.name.to_ascii_lowercase();
        let text = String::from_utf8_lossy(header.value);
        let value = text.to_ascii_lowercase();
        match name.as_str() {
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
        head.headers.push((name, text.into_owned()));
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What a connection makes of these bytes, sent in two pieces and then closed.
    fn received(
        first: &'static str,
        second: &'static str,
    ) -> (Result<RawResponse, NoResponse>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(first.as_bytes()).unwrap();
            stream.write_all(second.as_bytes()).unwrap();
        });
        let mut connection = Connection::open(addr, Duration::from_secs(10)).unwrap();
        let response = connection.answer(Instant::now());
        peer.join().unwrap();
        (response, connection.finish().unwrap_or_default())
    }

    #[test]
    fn a_body_is_as_long_as_content_length_says() {
        let head = "HTTP/1.1 404 Not Found\r\nContent-LENGTH: 2\r\nA: b \r\n";
        let (response, rest) = received(head, "\r\n{}more");
        let response = response.unwrap();
        assert_eq!((response.status, &response.body[..]), (404, &b"{}"[..]));
        let headers = (response.header("a"), response.header("b"));
        assert_eq!(headers, (Some("b"), None));
        assert_eq!(rest, b"more");
    }

    #[test]
    fn what_is_cut_off_or_not_http_is_an_error() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let nine = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        for (first, second, why) in [
            (nine, "{}", "closed before the end"),
            (ok, "Conte", "closed before the end"),
            ("", "", "closed before the end"),
            (ok, "\r\n{}", "neither Content-Length nor"),
            (ok, "Content-Length: -1\r\n\r\n", "not a number"),
            ("nonsense\r\n\r\n", "", "not an HTTP response"),
        ] {
            let error = received(first, second).0.unwrap_err().to_string();
            assert!(error.contains(why), "{first}{second}: {error}");
        }
    }
}
