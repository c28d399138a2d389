//! Thousands of connections: exactly as many as asked for, each of little memory. A file of its own, as it
//! counts what the whole process allocates.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../crates/loadgen/tests/counting/mod.rs"]
mod counting;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use counting::{Counting, most_bytes};
use loadgen::{Config, Control, EngineKind, Expect, Measurement, Request, Script, drive};
use machine::probe::limits;

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Fewer where the limit on descriptors says so.
const CONNECTIONS: usize = 4_000;
/// What a connection may take in the driver, bytes.
const EACH: u64 = 16 * 1024;
const BODY: &str = "[1,2,3]";

/// The harness's own responder, in a process of its own.
struct Responder {
    addr: SocketAddr,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Responder {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        std::fs::write(&path, answers()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["respond", "--addr", "127.0.0.1:0", "--answers"])
            .arg(&path)
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

    /// Its connections that are established, as the kernel lists them.
    fn connections(&self) -> usize {
        let local = format!("0100007F:{:04X}", self.addr.port());
        // Line by line, as all that is allocated meanwhile is counted.
        let mut table = BufReader::new(File::open("/proc/net/tcp").unwrap());
        // The kernel lists one twice where others come and go while the table is read.
        let (mut line, mut ports) = (String::new(), [false; 1 << 16]);
        while table.read_line(&mut line).unwrap() > 0 {
            let mut fields = line.split_whitespace().skip(1);
            let (own, peer, state) = (fields.next(), fields.next(), fields.next());
            if own == Some(&local) && state == Some("01") {
                let port = peer.and_then(|peer| peer.rsplit(':').next()).unwrap();
                ports[usize::from_str_radix(port, 16).unwrap()] = true;
            }
            line.clear();
        }
        ports.iter().filter(|port| **port).count()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One answer, in a file as `respond::answers` describes it.
fn answers() -> Vec<u8> {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{BODY}");
    let parts = ["GET /list", "", "", &answer];
    let mut file = b"answers2\x01\0\0\0".to_vec();
    for part in parts {
        file.extend((part.len() as u32).to_le_bytes());
    }
    file.extend(parts.concat().into_bytes());
    file
}

fn script() -> Script {
    let expect = Expect::Body {
        status: 200,
        bytes: BODY.into(),
    };
    let wire = b"GET /list HTTP/1.1\r\nHost: test\r\n\r\n".to_vec();
    Script::new(vec![Request { wire, expect }]).unwrap()
}

/// At least as many requests as connections; the most that was allocated, and how many connections the server
/// had meanwhile.
fn load(
    responder: &Responder,
    engine: EngineKind,
    connections: usize,
) -> (Measurement, u64, usize) {
    let config = Config {
        connections,
        engine,
        threads: 3,
        warmup: Duration::ZERO,
        duration: Duration::from_secs(100),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(20),
        ..Config::new(responder.addr)
    };
    let (control, script) = (Control::default(), script());
    let ((measured, open), bytes) = most_bytes(|| {
        thread::scope(|scope| {
            let open = scope.spawn(|| {
                // One connection may ask twice before another one is accepted, so wait for both.
                let all_asked = || control.requests() >= connections as u64;
                let open = loop {
                    let open = responder.connections();
                    if control.is_over() || (all_asked() && open >= connections) {
                        break open;
                    }
                    thread::sleep(Duration::from_millis(10));
                };
                control.stop();
                open
            });
            let measured = drive(&config, &script, &control).unwrap();
            (measured, open.join().unwrap())
        })
    });
    (measured, bytes, open)
}

#[test]
fn a_connection_takes_little_and_none_is_left_out() {
    let limit = limits::raise_descriptor_limit().unwrap();
    let connections = CONNECTIONS.min(limit as usize - 200);
    assert!(connections > 500, "{limit} descriptors are too few to tell");
    let responder = Responder::start();
    for engine in EngineKind::ALL {
        if let Err(refused) = engine.available() {
            eprintln!("not run: {refused}");
            continue;
        }
        let (_, fixed, _) = load(&responder, engine, 3);
        let (measured, all, open) = load(&responder, engine, connections);
        assert_eq!(measured.first_error, None, "{engine}");
        assert_eq!(
            (measured.established, measured.reconnects),
            (connections, 0),
            "{engine}"
        );
        assert!(measured.answered_total >= connections as u64, "{engine}");
        assert_eq!(open, connections, "{engine}");
        let each = all.saturating_sub(fixed) / connections as u64;
        println!("{engine}: {each} bytes a connection, {fixed} besides");
        assert!(
            each > 0 && each < EACH,
            "{engine}: {each} bytes a connection"
        );
    }
}
