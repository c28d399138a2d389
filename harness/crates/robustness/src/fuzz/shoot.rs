//! Sends a mutated request and waits briefly for a response.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::Shot;

/// How long to wait for a connection, or for the server to read a request.
const CONNECT: Duration = Duration::from_secs(2);
const MAX_HEADERS: usize = 64;

/// The result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The status of the first response that is not interim.
    Status(u16),
    /// Bytes that are not an HTTP response.
    Garbled,
    /// The server ended the connection without a response.
    Ended,
    /// Nothing arrived in time.
    Silent,
    /// The connection could not be opened.
    NotConnected(String),
}

/// Sends it on its own connection, and waits up to `wait` for a response.
pub fn fire(addr: SocketAddr, shot: &Shot, wait: Duration) -> Answer {
    let stream = match connect(addr) {
        Ok(stream) => stream,
        Err(error) => return Answer::NotConnected(error.to_string()),
    };
    if shot.resets {
        // Makes closing the socket reset it. Nothing lingers on either side, so ports don't run out. If this
        // fails, the connection is closed the usual way.
        let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    }
    // If the server ended the connection, the response will show it.
    let _ = send(&stream, shot);
    receive(&stream, wait)
}

/// With many connections at once, no port may be free for a moment.
fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT;
    loop {
        match TcpStream::connect_timeout(&addr, CONNECT) {
            Err(error)
                if error.kind() == ErrorKind::AddrNotAvailable && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(CONNECT))?;
                return Ok(stream);
            }
            Err(error) => return Err(error),
        }
    }
}

fn send(mut stream: &TcpStream, shot: &Shot) -> std::io::Result<()> {
    let mut from = 0;
    for to in shot.cuts.iter().copied().chain([shot.bytes.len()]) {
        stream.write_all(&shot.bytes[from..to])?;
        from = to;
    }
    Ok(())
}

fn receive(mut stream: &TcpStream, wait: Duration) -> Answer {
    let deadline = Instant::now() + wait;
    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(answer) = read(&received) {
            return answer;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // A limit of zero would mean no limit.
        let limit = left.max(Duration::from_micros(1));
        let count = stream
            .set_read_timeout(Some(limit))
            .and_then(|()| stream.read(&mut chunk));
        match count {
            Ok(0) if received.is_empty() => return Answer::Ended,
            Ok(0) => return Answer::Garbled,
            Ok(count) => received.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Answer::Silent;
            }
            Err(_) if received.is_empty() => return Answer::Ended,
            Err(_) => return Answer::Garbled,
        }
    }
}

/// The response at the start, after interim ones; `None` if more has to arrive.
fn read(received: &[u8]) -> Option<Answer> {
    let mut rest = received;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(rest) {
            Ok(httparse::Status::Complete(length)) => match response.code {
                Some(status @ 200..) => return Some(Answer::Status(status)),
                _ => rest = &rest[length..],
            },
            Ok(httparse::Status::Partial) => return None,
            Err(_) => return Some(Answer::Garbled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_final_status_is_the_answer() {
        let read = |text: &str| read(text.as_bytes());
        let continues = "HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(read(""), None);
        assert_eq!(read("HTTP/1.1 20"), None);
        assert_eq!(read(continues), None);
        assert_eq!(
            read(&format!("{continues}HTTP/1.1 201 Created\r\n\r\n")),
            Some(Answer::Status(201))
        );
        assert_eq!(read("\0\0\x12\x04\0\0\0\0\0"), Some(Answer::Garbled));
    }
}
