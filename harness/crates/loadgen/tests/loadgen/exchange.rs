//! One blocking request at a time over real sockets.

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::load_server::*;
use loadgen::{Client, ExchangeError, exchange};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn one_connection_serves_many_exchanges() {
    let server = TestServer::start(|n, _| {
        let text = response("200 OK", &n.to_string()).into_bytes();
        vec![if n % 2 == 0 {
            Act::Drip(text)
        } else {
            Act::Write(text)
        }]
    });
    let mut client = Client::new(server.addr, LIMIT);
    for n in 1..=5 {
        let response = client.exchange(GET).unwrap();
        assert_eq!(
            (response.status, response.body),
            (200, n.to_string().into_bytes())
        );
        assert!(response.head.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(response.head.ends_with(b"\r\n\r\n"));
        assert!(response.first_byte <= response.total);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn a_closed_connection_is_made_again() {
    let server = TestServer::start(|_, _| {
        vec![
            Act::Write(b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec()),
            Act::Close,
        ]
    });
    let mut client = Client::new(server.addr, LIMIT);
    for _ in 0..3 {
        let response = client.exchange(GET).unwrap();
        assert_eq!(response.body, b"to the end");
        assert!(response.close);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);
}

#[test]
fn what_goes_wrong_is_named() {
    let short = Duration::from_millis(50);
    let server = TestServer::start(|_, request| match request.split(' ').nth(1) {
        Some("/hang") => vec![Act::Write(b"HTTP/1.1 200 OK\r\n".to_vec()), Act::Hang],
        Some("/close") => vec![Act::Write(b"HTTP/1.1 ".to_vec()), Act::Close],
        Some("/junk") => vec![Act::Write(b"junk\r\n\r\n".to_vec())],
        _ => vec![Act::Write((response("200 OK", "a") + "bc").into())],
    });
    let ask = |target: &str, limit| {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        let wire = format!("GET {target} HTTP/1.1\r\n\r\n");
        exchange(&mut stream, wire.as_bytes(), limit).unwrap_err()
    };
    let error = ask("/hang", short);
    assert!(
        matches!(error, ExchangeError::Timeout { received: 17, .. }),
        "{error}"
    );
    let error = ask("/close", LIMIT);
    assert!(
        matches!(error, ExchangeError::Closed { received: 9 }),
        "{error}"
    );
    let error = ask("/junk", LIMIT);
    assert!(
        matches!(&error, ExchangeError::Protocol { begin, .. } if begin.starts_with("junk")),
        "{error}"
    );
    let error = ask("/surplus", LIMIT);
    assert!(matches!(error, ExchangeError::Protocol { .. }), "{error}");
}

#[test]
fn nobody_listening_is_named() {
    let error = Client::new(nobody(), LIMIT).exchange(GET).unwrap_err();
    assert!(matches!(error, ExchangeError::Connect { .. }), "{error}");
}

#[test]
fn interim_answers_are_not_the_first_byte() {
    let server = TestServer::start(|_, _| {
        vec![
            Act::Write(b"HTTP/1.1 102 Processing\r\n\r\n".to_vec()),
            Act::Sleep(Duration::from_millis(50)),
            Act::Write(response("200 OK", "late").into()),
        ]
    });
    let response = Client::new(server.addr, LIMIT).exchange(GET).unwrap();
    assert_eq!(response.body, b"late");
    assert!(response.first_byte >= Duration::from_millis(50));
}

#[test]
fn an_answer_is_kept_as_it_came() {
    const WIRE: &str = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: \
                        chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n";
    for act in [Act::Write, Act::Drip] {
        let server = TestServer::start(move |_, _| vec![act(WIRE.into())]);
        let response = Client::new(server.addr, LIMIT).exchange(GET).unwrap();
        assert_eq!(response.body, b"abcde");
        assert_eq!(response.wire, WIRE.as_bytes());
    }
}

#[test]
fn an_answer_without_end_is_given_up() {
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20)).into_bytes();
    let server = TestServer::start(move |_, _| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        let mut acts = vec![Act::Write(head)];
        acts.extend((0..64).map(|_| Act::Write(chunk.clone())));
        acts.push(Act::Hang);
        acts
    });
    let error = Client::new(server.addr, LIMIT).exchange(GET).unwrap_err();
    assert!(matches!(error, ExchangeError::Protocol { .. }), "{error}");
}
