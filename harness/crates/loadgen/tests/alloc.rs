//! The load generator allocates nothing per request once it runs.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod counting;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use counting::Counting;
use loadgen::{
    Arrivals, Config, Control, EngineKind, Expect, Measurement, Pace, Pointer, RateStage, Request,
    Script, Session, Step, Think, drive,
};
use serde_json::json;

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

static IDS: AtomicU64 = AtomicU64::new(0);

fn start(take: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(take));
    addr
}

/// Many connections at once.
fn each_in_its_thread(stream: TcpStream) {
    std::thread::spawn(move || serve(stream, &IDS));
}

/// For connections of one request each: a thread for each would allocate.
fn one_after_another(stream: TcpStream) {
    // A connection that is reset is the client's affair.
    let _ = serve(stream, &IDS);
}

fn order() -> Request {
    let serde_json::Value::Object(members) = json!({"qty": 11}) else {
        unreachable!()
    };
    Request {
        wire: b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n".to_vec(),
        expect: Expect::Numbered {
            status: 201,
            bytes: br#"{"id":123456,"qty":11}"#.to_vec(),
            members,
            id_member: "id".into(),
        },
    }
}

/// An order, and a page with its id in the query.
fn session() -> Script {
    let step = |name: &str, takes: &[&str]| Step {
        name: name.to_owned(),
        takes: takes
            .iter()
            .map(|at| (0, Pointer::parse(at).unwrap()))
            .collect(),
        same_as: None,
    };
    let page = Request {
        wire: b"GET /5?order={order} HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(),
        expect: Expect::Shape {
            status: 200,
            bytes: br#"{"a":3,"b":4}"#.to_vec(),
        },
    };
    let session = Session {
        steps: vec![step("place", &["/id"]), step("page", &[])],
        values: vec!["order".to_owned()],
    };
    Script::sessions(session, vec![vec![order(), page]]).unwrap()
}

fn script() -> Script {
    let page = |n: usize| Request {
        wire: format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes(),
        expect: Expect::Body {
            status: 200,
            bytes: br#"{"a":1,"b":2}"#.to_vec(),
        },
    };
    // Two classes, so that these are recorded too.
    let pages = (0..ANSWERS.len()).map(|n| ("page".to_owned(), page(n)));
    let orders = [("order".to_owned(), order())];
    Script::with_classes(pages.chain(orders).collect()).unwrap()
}

/// The loops in turn over that engine; each is to last `ms`. `one_each`: a server for connections of
/// one request.
fn loops(addr: SocketAddr, one_each: SocketAddr, engine: EngineKind, ms: u64) -> [Config; 7] {
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
            pace: Pace::Times((0..4 * ms).map(|n| n * 250_000).collect()),
            limit: Some(4 * ms),
            ..closed.clone()
        },
        Config {
            think: Some(Think::Exponential(Duration::from_millis(2))),
            ..closed.clone()
        },
        Config {
            addr: one_each.into(),
            requests_per_connection: Some(1),
            ..closed.clone()
        },
        Config {
            addr: one_each.into(),
            requests_per_connection: Some(3),
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
    let (kept, closed) = (start(each_in_its_thread), start(one_after_another));
    let scripts = [script(), session()];
    for engine in EngineKind::ALL {
        if let Err(refused) = engine.available() {
            eprintln!("not run: {refused}");
            continue;
        }
        of_engine(kept, closed, engine, &scripts);
    }
}

fn of_engine(kept: SocketAddr, closed: SocketAddr, engine: EngineKind, scripts: &[Script; 2]) {
    let of = |ms| loops(kept, closed, engine, ms);
    // Each loop with single requests, and the closed one with sessions too.
    let each = (0..of(200).len()).map(|at| (at, &scripts[0]));
    for (at, script) in each.chain([(0, &scripts[1])]) {
        let short = &of(200)[at];
        let (short, few) = allocations(short, script);
        // A busy machine answers fewer in a second, so it gets more of them.
        let (more, many) = [1_200, 5_000, 20_000]
            .into_iter()
            .map(|ms| {
                let (long, many) = allocations(&of(ms)[at], script);
                (
                    long.answered_total.saturating_sub(short.answered_total),
                    many,
                )
            })
            .find(|(more, _)| *more > 500)
            .expect("over 500 requests more in 20 s");
        // A connection grows its buffers for the first head and body that come in several
        // reads, in steps, and once more should a split lie elsewhere the next time.
        let growth = 8 * CONNECTIONS as u64;
        assert!(
            many <= few + growth,
            "{engine}: {few} allocations, then {many}, for {more} more requests"
        );
    }
}
