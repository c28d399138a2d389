//! Sends a mutated request and looks, not for long, at what comes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::Shot;

/// How long a connection, or the server's taking of a request, is waited for.
const CONNECT: Duration = Duration::from_secs(2);
const MAX_HEADERS: usize = 64;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The status of the first answer that is no interim one.
    Status(u16),
    /// Bytes that are no HTTP answer.
    Garbled,
    /// The server ended the connection without an answer.
    Ended,
    /// Nothing came while it was watched.
    Silent,
    /// There was no connection.
    NotConnected(String),
}

/// Sends it on a connection of its own, and waits for an answer, but not longer than `wait`.
pub fn fire(addr: SocketAddr, shot: &Shot, wait: Duration) -> Answer {
    let stream = match connect(addr) {
        Ok(stream) => stream,
        Err(error) => return Answer::NotConnected(error.to_string()),
    };
    if shot.resets {
        // Closing the socket then resets it. Nothing is left to wait on either side, so ports
        // do not run out. Where it can't be set, the connection is closed as usual.
        let _ = set_socket_linger(&stream, Some(Duration::ZERO));
    }
    // What can't be sent because the server has ended the connection shows in its answer.
    let _ = send(&stream, shot);
    receive(&stream, wait)
}

/// Many connections at once may for a moment leave no port free.
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
        // A limit of zero would be none.
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

/// The answer at the start, past interim ones; none where more has to come.
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
