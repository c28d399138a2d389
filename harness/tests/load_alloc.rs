//! The load generator allocates nothing per request once it runs.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::load::{Config, Control, Expect, Measurement, Pace, Request, Script, drive};
use serde_json::json;

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[allow(
    unsafe_code,
    reason = "an allocator can't be counted without being one"
)]
// SAFETY: every call is handed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps what `GlobalAlloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Connections of each drive.
const CONNECTIONS: usize = 8;

/// What is answered to `GET /N`, in writes of their own: a body cut in two, a head cut in two,
/// chunks whole and in pieces, an interim response, the same meaning in another order.
const ANSWERS: [&[&str]; 6] = [
    &[
        "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"a\":1,",
        "\"b\":2}",
    ],
    &[
        "HTTP/1.1 200 OK\r\nContent-Le",
        "ngth: 13\r\n\r\n{\"a\":1,\"b\":2}",
    ],
    &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
       7\r\n{\"a\":1,\r\n6;x=y\r\n\"b\":2}\r\n0\r\nT: 1\r\n\r\n"],
    &[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7",
        "\r\n{\"a\"",
        ":1,\r\n",
        "6\r\n\"b\":2}\r\n0",
        "\r\n\r\n",
    ],
    &[
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n\
       {\"a\":1,\"b\":2}",
    ],
    &["HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{ \"b\":2, \"a\":1}"],
];

/// Answers without allocating: one of [`ANSWERS`], or an order with a new id, every other one
/// with its members in another order.
fn serve(mut stream: TcpStream, ids: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; 4096];
    let mut response = [0; 256];
    while stream.read(&mut request)? > 0 {
        if request.starts_with(b"GET") {
            for piece in ANSWERS[usize::from(request[5] - b'0')] {
                stream.write_all(piece.as_bytes())?;
            }
        } else {
            let id = ids.fetch_add(1, Ordering::Relaxed) + 100_000;
            let mut rest = &mut response[..];
            rest.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 22\r\n\r\n")?;
            match id % 2 {
                0 => write!(rest, "{{\"id\":{id:06},\"qty\":11}}")?,
                _ => write!(rest, "{{\"qty\":11,\"id\":{id:06}}}")?,
            }
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
    let order = Request {
        wire: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n".to_vec(),
        expect: Expect::Numbered {
            status: 201,
            bytes: br#"{"id":123456,"qty":11}"#.to_vec(),
            members,
            id_member: "id".into(),
        },
    };
    let page = |n: usize| Request {
        wire: format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes(),
        expect: Expect::Body {
            status: 200,
            bytes: br#"{"a":1,"b":2}"#.to_vec(),
            json: json!({"a": 1, "b": 2}),
        },
    };
    let requests = (0..ANSWERS.len()).map(page).chain([order]);
    Script::new(requests.collect()).unwrap()
}

/// A drive of that length, and the allocations of the whole process during it.
fn allocations(addr: SocketAddr, script: &Script, pace: Pace, ms: u64) -> (Measurement, u64) {
    let duration = Duration::from_millis(ms);
    let config = Config {
        connections: CONNECTIONS,
        pace,
        warmup: Duration::ZERO,
        duration,
        // As many intervals in each drive.
        interval: duration / 4,
        ..Config::new(addr)
    };
    let control = Control::default();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let m = drive(&config, script, &control).unwrap();
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert_eq!(m.errors_total(), 0, "{:?}", m.first_error);
    (m, after - before)
}

#[test]
fn nothing_is_allocated_per_request() {
    let addr = start();
    let script = script();
    for pace in [Pace::Closed, Pace::Rate { per_second: 2000.0 }] {
        let (short, few) = allocations(addr, &script, pace, 200);
        let (long, many) = allocations(addr, &script, pace, 2000);
        let more = long.answered_total.saturating_sub(short.answered_total);
        assert!(more > 500, "{more}");
        // A connection grows its buffers for the first head and body that come in several
        // reads, in steps, and once more should a split lie elsewhere the next time.
        let growth = 8 * CONNECTIONS as u64;
        assert!(
            many <= few + growth,
            "{few} allocations, then {many}, for {more} more requests"
        );
    }
}
