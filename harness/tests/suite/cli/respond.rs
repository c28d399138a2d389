//! `harness respond` over real sockets: it answers with the stored bytes whatever way the
//! requests come.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use loadgen::{Config, Control, Expect, Request, Script, drive};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

const PING: &str = "GET /ping HTTP/1.1\r\nHost: one\r\n\r\n";
const PONG: &str = "HTTP/1.1 200 OK\r\nX-Kept: as it came\r\nContent-Length: 4\r\n\r\npong";
const BROTLI_PONG: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nbr";
const POST: &str = "POST /orders HTTP/1.1\r\nHost: two\r\nContent-Length: 9\r\n\r\n{\"qty\":1}";
const ORDER: &str = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n\
                     8;x=y\r\n{\"id\":1}\r\n0\r\n\r\n";
const OTHER_POST: &str =
    "POST /orders HTTP/1.1\r\nContent-Length: 9\r\nHost: three\r\n\r\n{\"qty\":2}";
const OTHER_ORDER: &str = "HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{\"id\":2}";
const LARGE: &str = "GET /large HTTP/1.1\r\n\r\n";
const UNKNOWN: &str = "GET /unknown HTTP/1.1\r\nHost: four\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// More than the sockets of both sides hold while nobody reads.
fn large() -> String {
    let body: String = (0..200_000).map(|n| format!("{n:07}\n")).collect();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A file of answers, made by hand as `respond::answers` describes it.
fn file(entries: &[[&str; 4]]) -> Vec<u8> {
    let mut bytes = b"answers2".to_vec();
    bytes.extend((entries.len() as u32).to_le_bytes());
    for entry in entries {
        for part in entry {
            bytes.extend((part.len() as u32).to_le_bytes());
        }
        bytes.extend(entry.concat().as_bytes());
    }
    bytes
}

struct Responder {
    addr: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Responder {
    fn start(workers: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        let large = large();
        let entries = [
            ["GET /ping", "", "", PONG],
            ["GET /ping", "", "br", BROTLI_PONG],
            ["POST /orders", "{\"qty\":1}", "", ORDER],
            ["POST /orders", "{\"qty\":2}", "", OTHER_ORDER],
            ["GET /large", "", "", &large],
        ];
        std::fs::write(&path, file(&entries)).unwrap();
        let mut child = command(&path, workers)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        Self {
            addr: line.trim().parse().unwrap(),
            child,
            _folder: folder,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_write_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn threads(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.child.id());
        std::fs::read_dir(tasks).unwrap().count()
    }

    fn signal(&mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(answers: &Path, workers: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command
        .args(["respond", "--addr", "127.0.0.1:0", "--answers"])
        .arg(answers)
        .args(["--workers", &workers.to_string()]);
    command
}

/// Fails unless exactly these bytes come next.
fn expect(stream: &mut TcpStream, expected: &str) {
    let mut came = vec![0; expected.len()];
    stream.read_exact(&mut came).unwrap();
    assert!(
        came == expected.as_bytes(),
        "{:.200}",
        String::from_utf8_lossy(&came)
    );
}

/// Fails unless the connection ends here, whether well or by a reset.
fn expect_closed(stream: &mut TcpStream) {
    match stream.read(&mut [0; 100]) {
        Ok(0) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_are_answered_byte_for_byte_wherever_they_are_cut() {
    let responder = Responder::start(1);
    let mut stream = responder.connect();
    for (request, answer) in [
        (PING, PONG),
        (POST, ORDER),
        (OTHER_POST, OTHER_ORDER),
        (UNKNOWN, NOT_FOUND),
    ] {
        for end in 1..request.len() {
            let (one, two) = request.split_at(end);
            stream.write_all(one.as_bytes()).unwrap();
            stream.write_all(two.as_bytes()).unwrap();
            expect(&mut stream, answer);
        }
        for byte in request.bytes() {
            stream.write_all(&[byte]).unwrap();
        }
        expect(&mut stream, answer);
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let responder = Responder::start(1);
    let mut stream = responder.connect();
    let all = [PING, POST, UNKNOWN, OTHER_POST, PING].concat();
    let answers = [PONG, ORDER, NOT_FOUND, OTHER_ORDER, PONG].concat();
    for end in 0..=all.len() {
        let (one, two) = all.split_at(end);
        stream.write_all(one.as_bytes()).unwrap();
        stream.write_all(two.as_bytes()).unwrap();
        expect(&mut stream, &answers);
    }
    // More than is read at once.
    let mut writer = stream.try_clone().unwrap();
    let sender = thread::spawn(move || writer.write_all(all.repeat(1_000).as_bytes()).unwrap());
    expect(&mut stream, &answers.repeat(1_000));
    sender.join().unwrap();
}

#[test]
fn line_body_and_accepted_codings_matter_but_no_other_header() {
    let responder = Responder::start(1);
    let mut stream = responder.connect();
    for (request, answer) in [
        ("GET /ping HTTP/1.1\r\n\r\n", PONG),
        ("GET /ping HTTP/1.1\r\nA: b\r\nHost: other\r\n\r\n", PONG),
        (
            "GET /ping HTTP/1.1\r\naccept-encoding: br\r\n\r\n",
            BROTLI_PONG,
        ),
        (
            "GET /ping HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
            NOT_FOUND,
        ),
        ("GET /ping? HTTP/1.1\r\n\r\n", NOT_FOUND),
        ("HEAD /ping HTTP/1.1\r\n\r\n", NOT_FOUND),
        (
            "GET /ping HTTP/1.1\r\nContent-Length: 1\r\n\r\na",
            NOT_FOUND,
        ),
        ("POST /orders HTTP/1.1\r\n\r\n", NOT_FOUND),
    ] {
        stream.write_all(request.as_bytes()).unwrap();
        expect(&mut stream, answer);
    }
}

#[test]
fn answers_wait_for_a_peer_that_does_not_read() {
    let responder = Responder::start(1);
    let large = large();
    let mut slow = responder.connect();
    // Most of these find the responder waiting to write, and are read only later.
    for _ in 0..10 {
        slow.write_all(LARGE.as_bytes()).unwrap();
        slow.write_all(POST.as_bytes()).unwrap();
    }
    // What was asked for still comes.
    slow.shutdown(Shutdown::Write).unwrap();
    // Nobody else waits for it.
    let mut other = responder.connect();
    other.write_all(PING.as_bytes()).unwrap();
    expect(&mut other, PONG);
    for _ in 0..10 {
        expect(&mut slow, &large);
        expect(&mut slow, ORDER);
    }
    expect_closed(&mut slow);
}

#[test]
fn a_flood_of_requests_is_not_kept_in_memory() {
    let responder = Responder::start(1);
    let mut flood = responder.connect();
    flood.set_nonblocking(true).unwrap();
    let requests = LARGE.repeat(1_000);
    let mut sent = 0;
    // No socket's buffers hold 64 MiB: all of it is taken only by a peer that goes on reading.
    while sent < 64 << 20 {
        match flood.write(requests.as_bytes()) {
            Ok(wrote) => sent += wrote,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                if is_full(&flood) {
                    break;
                }
            }
        }
    }
    assert!(sent < 64 << 20);
    let mut other = responder.connect();
    other.write_all(PING.as_bytes()).unwrap();
    expect(&mut other, PONG);
}

/// Whether the socket takes nothing for half a second.
fn is_full(stream: &TcpStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(stream, PollFlags::OUT)];
    let limit = Timespec {
        tv_sec: 0,
        tv_nsec: 500_000_000,
    };
    poll(&mut fds, Some(&limit)).unwrap() == 0
}

#[test]
fn what_is_no_request_closes_its_own_connection_only() {
    let responder = Responder::start(1);
    let mut kept = responder.connect();
    let too_long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    let endless = "a".repeat(100_000);
    let too_large = "POST /orders HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n";
    let no_number = "POST /orders HTTP/1.1\r\nContent-Length: x\r\n\r\n";
    for wrong in ["\0\r\n\r\n", &too_long, &endless, too_large, no_number] {
        let mut stream = responder.connect();
        stream.write_all(PING.as_bytes()).unwrap();
        expect(&mut stream, PONG);
        // It may be closed before all of it is written.
        let _ = stream.write_all(wrong.as_bytes());
        expect_closed(&mut stream);
        kept.write_all(PING.as_bytes()).unwrap();
        expect(&mut kept, PONG);
    }
}

#[test]
fn a_peer_that_goes_away_harms_nobody() {
    let responder = Responder::start(2);
    for _ in 0..50 {
        let mut stream = responder.connect();
        stream.write_all(LARGE.repeat(3).as_bytes()).unwrap();
        let mut cut = responder.connect();
        cut.write_all(&POST.as_bytes()[..20]).unwrap();
    }
    let mut stream = responder.connect();
    stream.write_all(PING.as_bytes()).unwrap();
    expect(&mut stream, PONG);
}

#[test]
fn two_workers_serve_many_connections_at_once() {
    let responder = Responder::start(2);
    let mut streams: Vec<TcpStream> = (0..64).map(|_| responder.connect()).collect();
    for round in 0..20 {
        for (n, stream) in streams.iter_mut().enumerate() {
            let request = [PING, POST, OTHER_POST][(n + round) % 3];
            stream.write_all(request.as_bytes()).unwrap();
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            expect(stream, [PONG, ORDER, OTHER_ORDER][(n + round) % 3]);
        }
    }
    // Beside the workers, the one that takes connections and the one that waits for all.
    assert_eq!(responder.threads(), 4);
}

#[test]
fn connections_are_dealt_to_the_workers_in_turn() {
    let responder = Responder::start(2);
    let mut first = responder.connect();
    first.write_all(PING.as_bytes()).unwrap();
    expect(&mut first, PONG);
    let mut second = responder.connect();
    second.write_all(PING.as_bytes()).unwrap();
    expect(&mut second, PONG);
    assert_eq!(epoll_sets_in_use(&responder), 2);
}

/// How many of the process's epoll sets watch something.
fn epoll_sets_in_use(responder: &Responder) -> usize {
    let folder = format!("/proc/{}/fdinfo", responder.child.id());
    let infos = std::fs::read_dir(folder).unwrap().flatten();
    let texts = infos.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.filter(|text| text.contains("tfd:")).count()
}

#[test]
fn the_load_generator_finds_nothing_wrong() {
    let responder = Responder::start(2);
    let request = |wire: &str, status, body: &str| Request {
        wire: wire.into(),
        expect: Expect::Body {
            status,
            bytes: body.into(),
        },
    };
    let script = Script::new(vec![
        request(PING, 200, "pong"),
        request(POST, 201, "{\"id\":1}"),
        request(OTHER_POST, 201, "{\"id\":2}"),
    ])
    .unwrap();
    let config = Config {
        connections: 64,
        threads: 2,
        warmup: Duration::ZERO,
        duration: LIMIT,
        limit: Some(10_000),
        ..Config::new(responder.addr)
    };
    let measured = drive(&config, &script, &Control::default()).unwrap();
    assert_eq!(measured.first_error, None);
    assert_eq!(measured.answered_total, 10_000);
    assert_eq!(measured.reconnects, 0);
}

#[test]
fn signals_end_it_with_status_0_and_free_its_port() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut responder = Responder::start(2);
        let mut stream = responder.connect();
        stream.write_all(PING.as_bytes()).unwrap();
        expect(&mut stream, PONG);
        assert_eq!(responder.signal(signal), Some(0));
        expect_closed(&mut stream);
        TcpListener::bind(responder.addr).unwrap();
    }
}

#[test]
fn what_it_cannot_serve_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("answers");
    let refused = |path: &PathBuf| -> (Option<i32>, String) {
        let Output { status, stderr, .. } = command(path, 1).output().unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    };
    let (status, text) = refused(&path);
    assert_eq!(status, Some(1));
    assert!(text.contains("answers"), "{text}");

    let whole = file(&[["GET /ping", "", "", PONG]]);
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (status, text) = refused(&path);
    assert_eq!(status, Some(1));
    assert!(text.contains("ends in the middle"), "{text}");

    std::fs::write(&path, &whole).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["respond", "--addr", &addr, "--answers"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&addr), "{text}");
}
