//! A raw connection, for what a well-behaved client doesn't send and for framing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Long enough for a loaded machine; a right server never makes a test wait for it.
const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// One TCP connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Received, not yet taken.
    buffer: Vec<u8>,
}

/// An answer as it was on the wire.
#[derive(Debug, Clone)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, values trimmed, in the order received.
    pub headers: Vec<(String, String)>,
    /// The body, as long as `Content-Length` says.
    pub body: Vec<u8>,
}

impl RawAnswer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Connection {
    /// Connects, with a bound on each wait.
    ///
    /// # Panics
    /// Where the server does not accept.
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, TIMEOUT)
            .unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"));
        for result in [
            stream.set_read_timeout(Some(TIMEOUT)),
            stream.set_write_timeout(Some(TIMEOUT)),
            stream.set_nodelay(true),
        ] {
            result.expect("a connected socket takes its options");
        }
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// What the socket says.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request and reads the answer to it.
    ///
    /// # Errors
    /// As [`Connection::send`] and [`Connection::receive`].
    pub fn exchange(&mut self, request: &[u8]) -> io::Result<RawAnswer> {
        self.send(request)?;
        self.receive()
    }

    /// Reads one answer, its body by `Content-Length`.
    ///
    /// # Errors
    /// What the socket says; `UnexpectedEof` where the answer is cut off; `InvalidData`
    /// where it is not HTTP/1.1 or has no right `Content-Length`.
    pub fn receive(&mut self) -> io::Result<RawAnswer> {
        let (head_bytes, mut answer, length) = loop {
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(invalid("a head without end"));
            }
            self.fill()?;
        };
        while self.buffer.len() < head_bytes + length {
            self.fill()?;
        }
        let rest = self.buffer.split_off(head_bytes + length);
        answer.body = self.buffer.split_off(head_bytes);
        self.buffer = rest;
        Ok(answer)
    }

    /// Whether no byte has come that isn't part of an answer taken.
    pub(crate) fn has_received_nothing(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Says that nothing more will be sent and reads what still comes, to the end.
    ///
    /// # Errors
    /// What the socket says; `WouldBlock` where the server keeps the connection open.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.read_to_end(&mut self.buffer)?;
        Ok(self.buffer)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = [0; 4096];
        let got = self.stream.read(&mut chunk)?;
        if got == 0 {
            let error = format!("closed after {} bytes of an answer", self.buffer.len());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        self.buffer.extend_from_slice(&chunk[..got]);
        Ok(())
    }
}

/// The head's length, the answer without its body, the body's length; None where more is needed.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(usize, RawAnswer, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(bytes)
        .map_err(|error| invalid(&error.to_string()))?;
    let httparse::Status::Complete(head_bytes) = parsed else {
        return Ok(None);
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
    let answer = RawAnswer {
        status: response.code.ok_or_else(|| invalid("no status"))?,
        headers: response
            .headers
            .iter()
            .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
            .collect(),
        body: Vec::new(),
    };
    let length = answer
        .header("content-length")
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| invalid(&format!("no right Content-Length: {:?}", answer.headers)))?;
    Ok(Some((head_bytes, answer, length)))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What a connection makes of these bytes, sent in two pieces and then closed.
    fn received(first: &'static str, second: &'static str) -> (io::Result<RawAnswer>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let peer = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(first.as_bytes()).unwrap();
            stream.write_all(second.as_bytes()).unwrap();
        });
        let mut connection = Connection::open(addr);
        let answer = connection.receive();
        peer.join().unwrap();
        (answer, connection.finish().unwrap_or_default())
    }

    #[test]
    fn a_body_is_as_long_as_content_length_says() {
        let head = "HTTP/1.1 404 Not Found\r\nContent-LENGTH: 2\r\nA: b \r\n";
        let (answer, rest) = received(head, "\r\n{}more");
        let answer = answer.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (404, &b"{}"[..]));
        assert_eq!((answer.header("a"), answer.header("b")), (Some("b"), None));
        assert_eq!(rest, b"more");
    }

    #[test]
    fn what_is_cut_off_or_not_http_is_an_error() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        for (first, second, due) in [
            (head, "{}", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\nConte", "", io::ErrorKind::UnexpectedEof),
            ("", "", io::ErrorKind::UnexpectedEof),
            ("HTTP/1.1 200 OK\r\n\r\n", "{}", io::ErrorKind::InvalidData),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                "",
                io::ErrorKind::InvalidData,
            ),
            ("nonsense\r\n\r\n", "", io::ErrorKind::InvalidData),
        ] {
            let error = received(first, second).0.unwrap_err();
            assert_eq!(error.kind(), due, "{first}{second}: {error}");
        }
    }
}
