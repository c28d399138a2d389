//! The load generator allocates nothing per request once it runs.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod counting;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use counting::Counting;
use harness::load::{
    Arrivals, Config, Control, EngineKind, Expect, Measurement, Pace, RateStage, Request, Script,
    Think, drive,
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
    let requests = vec![
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
    ];
    // Each of a class of its own, so that these are recorded too.
    let classed = requests.into_iter().zip(["page", "order"]);
    Script::with_classes(classed.map(|(r, class)| (class.to_owned(), r)).collect()).unwrap()
}

/// The loops in turn over that engine; each is to last `ms`.
fn loops(addr: SocketAddr, engine: EngineKind, ms: u64) -> [Config; 4] {
    let duration = Duration::from_millis(ms);
    let closed = Config {
        connections: CONNECTIONS,
        engine,
        warmup: Duration::ZERO,
        duration,
        // As many intervals in each drive.
        interval: duration / 4,
        ..Config::new(addr)
    };
    let rate = |from, to| RateStage {
        length: duration / 2,
        from,
        to,
    };
    [
        closed.clone(),
        Config {
            pace: Pace::Rate { per_second: 4000.0 },
            ..closed.clone()
        },
        Config {
            pace: Pace::Stages(vec![rate(2000.0, 4000.0), rate(4000.0, 4000.0)]),
            arrivals: Arrivals::Poisson,
            ..closed.clone()
        },
        Config {
            think: Some(Think::Exponential(Duration::from_millis(2))),
            ..closed
        },
    ]
}

/// A drive, and the allocations of the whole process during it.
fn allocations(config: &Config, script: &Script) -> (Measurement, u64) {
    let control = Control::default();
    let before = counting::allocations();
    let m = drive(config, script, &control).unwrap();
    let after = counting::allocations();
    assert_eq!(m.errors_total(), 0, "{:?}", m.first_error);
    (m, after - before)
}

#[test]
fn nothing_is_allocated_per_request() {
    let addr = start();
    let script = script();
    for engine in EngineKind::ALL {
        if let Err(refused) = engine.available() {
            eprintln!("not run: {refused}");
            continue;
        }
        of_engine(addr, engine, &script);
    }
}

fn of_engine(addr: SocketAddr, engine: EngineKind, script: &Script) {
    let (short, long) = (loops(addr, engine, 200), loops(addr, engine, 1200));
    for (short, long) in short.iter().zip(&long) {
        let (short, few) = allocations(short, script);
        let (long, many) = allocations(long, script);
        let more = long.answered_total.saturating_sub(short.answered_total);
        assert!(more > 500, "{more}");
        // A connection may grow its buffers for the first body that came in two reads; both
        // for head and body, and once more should the split lie elsewhere the next time.
        let growth = 4 * CONNECTIONS as u64;
        assert!(
            many <= few + growth,
            "{engine}: {few} allocations, then {many}, for {more} more requests"
        );
    }
}
