//! A server of a few threads for the tests of the load generator, over real sockets. It does
//! what a closure says, right or wrong.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test file uses a part of it"
)]

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use loadgen::{Config, Control, EngineKind, Expect, Measurement, Pace, Request, Script, drive};

thread_local! {
    /// What [`config`] asks for in this test.
    static ENGINE: Cell<EngineKind> = const { Cell::new(EngineKind::Epoll) };
}

/// Runs a test over an engine. Where the system refuses the engine, that is said instead.
pub fn over(engine: EngineKind, test: fn()) {
    if let Err(refused) = engine.available() {
        eprintln!("not run: {refused}");
        return;
    }
    ENGINE.set(engine);
    test();
}

/// Makes of each function named a test for every engine.
macro_rules! over_each_engine {
    ($($test:ident),* $(,)?) => {
        mod over_epoll {
            $(#[test] fn $test() { super::over(loadgen::EngineKind::Epoll, super::$test) })*
        }
        mod over_io_uring {
            $(#[test] fn $test() { super::over(loadgen::EngineKind::IoUring, super::$test) })*
        }
    };
}
pub(crate) use over_each_engine;

/// Lets `serve` have a listener, on a thread of its own; returns where it listens.
pub fn with_listener(serve: impl FnOnce(TcpListener) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener));
    addr
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Reads the head of a request and nothing behind it; false if it doesn't come.
pub fn read_head(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// What is done in answer to a request.
pub enum Act {
    Write(Vec<u8>),
    /// One byte at a time.
    Drip(Vec<u8>),
    Sleep(Duration),
    Close,
    /// Resets the connection.
    Reset,
    /// Never answers.
    Hang,
}

/// A running server.
pub struct TestServer {
    pub addr: SocketAddr,
    pub requests: Arc<AtomicU64>,
    pub connections: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl TestServer {
    /// Answers the n-th request (from 1, over all connections) with what `answer` says.
    pub fn start(answer: impl Fn(u64, &str) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            addr: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
            over: Arc::default(),
            open: Arc::default(),
        };
        let (requests, connections) = (server.requests.clone(), server.connections.clone());
        let (over, open) = (server.over.clone(), server.open.clone());
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (requests, answer) = (requests.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &requests, &*answer));
            }
        });
        server
    }

    /// Writes `answer` to every request.
    pub fn says(answer: &str) -> Self {
        let answer = answer.as_bytes().to_vec();
        Self::start(move |_, _| vec![Act::Write(answer.clone())])
    }

    pub fn seen(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut stream: TcpStream, requests: &AtomicU64, answer: &dyn Fn(u64, &str) -> Vec<Act>) {
    let mut bytes = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut bytes) {
        let n = requests.fetch_add(1, Ordering::SeqCst) + 1;
        for act in answer(n, &request) {
            let done = match act {
                Act::Write(bytes) => stream.write_all(&bytes),
                Act::Drip(bytes) => bytes.chunks(1).try_for_each(|b| stream.write_all(b)),
                Act::Sleep(time) => {
                    std::thread::sleep(time);
                    Ok(())
                }
                Act::Close => {
                    let _ = stream.shutdown(Shutdown::Both);
                    return;
                }
                Act::Reset => {
                    // Works on every copy of the descriptor, unlike a close with no linger.
                    rustix::net::connect_unspec(&stream).unwrap();
                    return;
                }
                Act::Hang => {
                    // Until the peer is gone.
                    let _ = std::io::copy(&mut stream, &mut std::io::sink());
                    return;
                }
            };
            if done.is_err() {
                return;
            }
        }
    }
}

fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<String> {
    let mut buffer = vec![0; 64 * 1024];
    let mut more = |bytes: &mut Vec<u8>| match stream.read(&mut buffer) {
        Ok(0) | Err(_) => None,
        Ok(read) => {
            bytes.extend_from_slice(&buffer[..read]);
            Some(())
        }
    };
    let head = loop {
        if let Some(head) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break head + 4;
        }
        more(bytes)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text
        .lines()
        .find_map(|l| l.strip_prefix("Content-Length: "));
    let end = head + length.map_or(0, |l| l.trim().parse::<usize>().unwrap());
    while bytes.len() < end {
        more(bytes)?;
    }
    let request = bytes.drain(..end).collect();
    Some(String::from_utf8(request).unwrap())
}

/// A response with a body and its length.
pub fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

pub const PONG: &str = r#"{"status":"ok"}"#;

/// A script of one GET that expects [`PONG`].
pub fn ping() -> Script {
    script(Expect::Body {
        status: 200,
        bytes: PONG.into(),
    })
}

pub fn script(expect: Expect) -> Script {
    let wire = b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n".to_vec();
    Script::new(vec![Request { wire, expect }]).unwrap()
}

/// A script of one POST whose answers are numbered.
pub fn order() -> Script {
    let wire = b"POST /orders HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}".to_vec();
    let serde_json::Value::Object(members) = serde_json::json!({"qty": 1}) else {
        unreachable!()
    };
    let expect = Expect::Numbered {
        status: 201,
        bytes: br#"{"id":1,"qty":1}"#.to_vec(),
        members,
        id_member: "id".into(),
    };
    Script::new(vec![Request { wire, expect }]).unwrap()
}

/// Four connections over the engine under test, no warm-up, a window of 300 ms.
pub fn config(addr: SocketAddr) -> Config {
    Config {
        connections: 4,
        engine: ENGINE.get(),
        warmup: Duration::ZERO,
        duration: Duration::from_millis(300),
        timeout: Duration::from_secs(10),
        ..Config::new(addr)
    }
}

pub fn paced(addr: SocketAddr, per_second: f64) -> Config {
    Config {
        pace: Pace::Rate { per_second },
        ..config(addr)
    }
}

/// Drives, and checks what is true of every measurement.
pub fn measure(config: &Config, script: &Script) -> Measurement {
    let control = Control::default();
    let m = drive(config, script, &control).unwrap();
    assert!(control.is_over());
    assert_eq!(control.requests(), m.answered_total);
    assert_eq!(control.errors(), m.errors_total());
    assert_eq!(m.sent_total, m.answered_total + m.unanswered_total);
    assert_eq!(m.established, config.connections);
    assert_eq!(m.connect.len(), m.established as u64 + m.reconnects);
    let interval_sum: u64 = m.intervals.iter().map(|i| i.requests).sum();
    assert_eq!(interval_sum, m.requests);
    assert!(m.bytes_expected <= m.bytes_received);
    for histogram in [&m.wire, &m.first_byte] {
        assert_eq!(histogram.len(), m.latency.len());
        for step in 0..=20 {
            let q = f64::from(step) / 20.0;
            assert!(histogram.value_at_quantile(q) <= m.latency.value_at_quantile(q));
        }
    }
    m
}

/// Every request that was sent was answered, ended with an error, or was still in flight.
pub fn assert_counted(m: &Measurement) {
    // With kept connections, one that could not be made again is no request.
    let connect = m.errors.get("connect").copied().unwrap_or(0);
    let ended = m.answered_total + m.errors_total() - connect + m.unanswered;
    assert_eq!(m.sent_total, ended, "{:?}", m.errors);
}

/// What is true where nothing went wrong.
pub fn assert_clean(m: &Measurement) {
    assert_eq!(m.errors_total(), 0, "{:?}", m.first_error);
    assert_eq!(m.first_error, None);
    assert_eq!((m.unanswered, m.unanswered_total), (0, 0));
    assert_eq!(m.bytes_received, m.bytes_expected);
    assert_eq!(m.latency.len(), m.requests);
    assert!(m.requests > 0);
}
