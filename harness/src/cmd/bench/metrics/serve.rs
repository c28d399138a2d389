//! One thread that serves `GET /metrics`, one connection at a time.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;

use machine::probe::affinity;

/// Content type of the OpenMetrics text format 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
/// Maximum size of a request head, bytes; Prometheus sends about 300.
const LONGEST_HEAD: usize = 8 << 10;
/// Maximum number of headers.
const MOST_HEADERS: usize = 64;
/// Time limit for a client to send its request, and to read the response.
const PATIENCE: Duration = Duration::from_secs(1);
/// The lowest scheduling priority: everyone else gets the CPU first.
const LAST_IN_LINE: i32 = 19;

/// Serves until it is dropped.
#[derive(Debug)]
pub(super) struct MetricsServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MetricsServer {
    /// Starts the thread, on these CPUs if any are given. `text` is called for each request.
    pub(super) fn begin(
        listener: TcpListener,
        cpus: Vec<u32>,
        text: impl Fn() -> String + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || {
                step_aside(&cpus);
                for stream in listener.incoming() {
                    if stopped.load(Ordering::Acquire) {
                        break;
                    }
                    match stream {
                        // A client that went away doesn't matter.
                        Ok(stream) => {
                            let _ = answer(stream, &text);
                        }
                        // For example out of descriptors, which may pass.
                        Err(_) => thread::sleep(PATIENCE / 10),
                    }
                }
            })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the thread. If that fails nobody waits: the process is about to end.
        if TcpStream::connect_timeout(&self.address, PATIENCE).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Keeps this thread out of the way if the system allows it; if not, it still serves.
fn step_aside(cpus: &[u32]) {
    if !cpus.is_empty() {
        let _ = affinity::pin_current_thread(cpus);
    }
    // On Linux the priority belongs to a thread, and `None` is the calling one.
    let _ = setpriority_process(None, LAST_IN_LINE);
}

fn answer(mut stream: TcpStream, text: &impl Fn() -> String) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let (status, kind, body) = match read_head(&mut stream, deadline)? {
        RequestKind::Metrics => ("200 OK", OPEN_METRICS, text()),
        RequestKind::Other => {
            let body = "Only /metrics is served.\n".to_owned();
            ("404 Not Found", PLAIN, body)
        }
        RequestKind::NotGet => {
            let body = "Only GET is supported.\n".to_owned();
            ("405 Method Not Allowed\r\nAllow: GET", PLAIN, body)
        }
        RequestKind::Nonsense => {
            let body = "Not an HTTP/1.1 request.\n".to_owned();
            ("400 Bad Request", PLAIN, body)
        }
    };
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.shutdown(Shutdown::Write)?;
    drain(&mut stream, deadline)
}

/// The kind of request.
enum RequestKind {
    Metrics,
    Other,
    NotGet,
    Nonsense,
}

fn read_head(stream: &mut TcpStream, deadline: Instant) -> io::Result<RequestKind> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let read = read_until(stream, &mut piece, deadline)?;
        head.extend_from_slice(&piece[..read]);
        if let Some(asked) = parse(&head) {
            return Ok(asked);
        }
        if read == 0 || head.len() > LONGEST_HEAD {
            return Ok(RequestKind::Nonsense);
        }
    }
}

/// `None` if the head is incomplete.
fn parse(head: &[u8]) -> Option<RequestKind> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some(RequestKind::Nonsense),
        Ok(httparse::Status::Complete(_)) => {
            let path = request.path.unwrap_or_default();
            let path = path.split_once('?').map_or(path, |(path, _)| path);
            Some(match (request.method, path) {
                (Some("GET"), "/metrics") => RequestKind::Metrics,
                (Some("GET"), _) => RequestKind::Other,
                _ => RequestKind::NotGet,
            })
        }
    }
}

/// Reads what the client still sends, so that closing the connection doesn't destroy the response.
fn drain(stream: &mut TcpStream, deadline: Instant) -> io::Result<()> {
    let mut piece = [0; 1024];
    while read_until(stream, &mut piece, deadline)? > 0 {}
    Ok(())
}

fn read_until(stream: &mut TcpStream, piece: &mut [u8], deadline: Instant) -> io::Result<usize> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    stream.read(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> MetricsServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        MetricsServer::begin(listener, Vec::new(), || "told\n".to_owned()).unwrap()
    }

    fn exchange(server: &MetricsServer, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    #[test]
    fn metrics_are_told_as_open_metrics() {
        let server = server();
        for target in ["/metrics", "/metrics?name=x"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            let response = exchange(&server, request.as_bytes());
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            let kind =
                "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
            assert!(head.contains(kind), "{head}");
            assert!(head.contains("Content-Length: 5\r\n"), "{head}");
            assert_eq!(body, "told\n");
        }
    }

    #[test]
    fn all_else_is_refused_and_the_next_one_is_answered() {
        let server = server();
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        for (request, status) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
            ("GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"),
            (
                "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                "405 Method Not Allowed\r\nAllow: GET",
            ),
            ("GET /metrics\r\n\r\n", "400 Bad Request"),
            ("GET /metrics HTTP/1.1\r\nHost", "400 Bad Request"),
            ("\u{1}\u{2}\r\n\r\n", "400 Bad Request"),
            ("", "400 Bad Request"),
            (&long, "400 Bad Request"),
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"),
        ] {
            let response = exchange(&server, request.as_bytes());
            let begin = format!("HTTP/1.1 {status}\r\n");
            let shown: String = request.chars().take(40).collect();
            assert!(response.starts_with(&begin), "{shown}: {response}");
        }
    }

    /// Otherwise the run would not end.
    #[test]
    fn a_client_that_says_nothing_keeps_nobody_for_long() {
        let server = server();
        let silent = TcpStream::connect(server.address()).unwrap();
        let response = exchange(&server, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(response.ends_with("told\n"), "{response}");
        drop(server);
        drop(silent);
    }

    #[test]
    fn nothing_listens_once_it_is_dropped() {
        let server = server();
        let address = server.address();
        drop(server);
        assert!(TcpListener::bind(address).is_ok());
    }
}
