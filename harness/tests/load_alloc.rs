//! The load generator allocates nothing per request once it runs.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod counting;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use counting::Counting;
use harness::load::{
    Config, Control, EngineKind, Expect, Measurement, Pace, Request, Script, drive,
};
use serde_json::json;

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Connections of each drive.
const CONNECTIONS: usize = 8;

/// Answers without allocating: a split body, or an order with a new id.
fn serve(mut stream: TcpStream, ids: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 4096];
    let mut response = [0; 256];
    while stream.read(&mut request)? > 0 {
        if request.starts_with(b"GET") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[1,")?;
            stream.write_all(b"2,3]")?;
        } else {
            let id = ids.fetch_add(1, Ordering::Relaxed) + 100_000;
            let mut rest = &mut response[..];
            write!(
                rest,
                "HTTP/1.1 201 Created\r\nContent-Length: 22\r\n\r\n{{\"id\":{id:06},\"qty\":11}}"
            )?;
            let length = 256 - rest.len();
            stream.write_all(&response[..length])?;
        }
    }
    Ok(())
}

fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        static IDS: AtomicU64 = AtomicU64::new(0);
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream, &IDS));
        }
    });
    addr
}

fn script() -> Script {
    let serde_json::Value::Object(members) = json!({"qty": 11}) else {
        unreachable!()
    };
    Script::new(vec![
        Request {
            wire: b"GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(),
            expect: Expect::Body {
                status: 200,
                bytes: b"[1,2,3]".to_vec(),
                json: json!([1, 2, 3]),
            },
        },
        Request {
            wire: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n".to_vec(),
            expect: Expect::Numbered {
                status: 201,
                bytes: br#"{"id":123456,"qty":11}"#.to_vec(),
                members,
                id_member: "id".into(),
            },
        },
    ])
    .unwrap()
}

/// A drive of that length, and the allocations of the whole process during it.
fn allocations(
    addr: SocketAddr,
    script: &Script,
    (engine, pace): (EngineKind, Pace),
    ms: u64,
) -> (Measurement, u64) {
    let duration = Duration::from_millis(ms);
    let config = Config {
        connections: CONNECTIONS,
        engine,
        pace,
        warmup: Duration::ZERO,
        duration,
        // As many intervals in each drive.
        interval: duration / 4,
        ..Config::new(addr)
    };
    let control = Control::default();
    let before = counting::allocations();
    let m = drive(&config, script, &control).unwrap();
    let after = counting::allocations();
    assert_eq!(m.errors_total(), 0, "{:?}", m.first_error);
    (m, after - before)
}

#[test]
fn nothing_is_allocated_per_request() {
    let addr = start();
    let script = script();
    let paces = [Pace::Closed, Pace::Rate { per_second: 2000.0 }];
    let all = EngineKind::ALL.into_iter();
    for how in all.flat_map(|engine| paces.map(|pace| (engine, pace))) {
        if let Err(refused) = how.0.available() {
            eprintln!("not run: {refused}");
            continue;
        }
        let (short, few) = allocations(addr, &script, how, 200);
        let (long, many) = allocations(addr, &script, how, 1000);
        let more = long.answered_total.saturating_sub(short.answered_total);
        assert!(more > 500, "{more}");
        // A connection may grow its buffers for the first body that came in two reads; both
        // for head and body, and once more should the split lie elsewhere the next time.
        let growth = 4 * CONNECTIONS as u64;
        assert!(
            many <= few + growth,
            "{how:?}: {few} allocations, then {many}, for {more} more requests"
        );
    }
}
