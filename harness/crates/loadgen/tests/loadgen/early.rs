//! Servers that answer before they have read the request: it has that answer for its one result.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::load_server::*;
use loadgen::{Client, Config, ExchangeError, Expect, Measurement, Request, Script, exchange};

over_each_engine!(
    an_early_answer_is_the_result_of_its_request,
    an_early_refusal_is_a_wrong_status,
    a_part_of_an_early_answer_is_a_reset,
);

const LIMIT: u64 = 24;
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n";

/// More than the sockets between two processes hold.
fn large() -> Vec<u8> {
    let body = "z".repeat(12_000_000);
    let length = body.len();
    format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}").into()
}

/// Reads the head of one request on each connection, and leaves its body to `answer`.
fn head_reader(answer: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> SocketAddr {
    with_listener(move |listener| {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                if read_head(&mut stream) {
                    answer(stream);
                }
            });
        }
    })
}

/// Keeps the connection for a while without reading from it.
fn keep(_stream: &TcpStream) {
    std::thread::sleep(Duration::from_millis(200));
}

/// In one write, so that the reset can't overtake the end of it.
fn refuse(mut stream: TcpStream) {
    let answer = format!("{TOO_LARGE}\r\n");
    stream.write_all(answer.as_bytes()).unwrap();
}

fn drive_large(addr: SocketAddr) -> Measurement {
    let request = Request {
        wire: large(),
        expect: Expect::Success,
    };
    let config = Config {
        limit: Some(LIMIT),
        duration: Duration::from_secs(100),
        ..config(addr)
    };
    let m = measure(&config, &Script::new(vec![request]).unwrap());
    assert_eq!((m.sent_total, m.unanswered), (LIMIT, 0));
    assert_counted(&m);
    m
}

/// The connection of each request was closed and made again, but for the last ones.
fn assert_made_again(m: &Measurement) {
    let made_again = LIMIT - m.established as u64..=LIMIT;
    assert!(made_again.contains(&m.reconnects), "{}", m.reconnects);
}

fn an_early_answer_is_the_result_of_its_request() {
    let whole = head_reader(|mut stream| {
        stream.write_all(OK.as_bytes()).unwrap();
        keep(&stream);
    });
    let in_pieces = head_reader(|mut stream| {
        for piece in OK.as_bytes().chunks(20) {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        keep(&stream);
    });
    for addr in [whole, in_pieces] {
        let m = drive_large(addr);
        assert_clean(&m);
        assert_eq!(m.requests, LIMIT);
        assert_made_again(&m);
    }
}

/// Closing a connection with unread bytes resets it, while the client still sends.
fn an_early_refusal_is_a_wrong_status() {
    let with_a_word = head_reader(|mut stream| {
        let answer = format!("{TOO_LARGE}Connection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let without = head_reader(refuse);
    for addr in [with_a_word, without] {
        let m = drive_large(addr);
        assert_eq!(m.errors.get("status"), Some(&LIMIT), "{:?}", m.errors);
        assert_eq!(m.errors_total(), LIMIT, "{:?}", m.errors);
        let first = m.first_error.as_deref().unwrap();
        assert!(first.contains("got 413"), "{first}");
        assert_made_again(&m);
    }
}

fn a_part_of_an_early_answer_is_a_reset() {
    let addr = head_reader(|mut stream| {
        stream.write_all(&OK.as_bytes()[..OK.len() - 1]).unwrap();
    });
    let m = drive_large(addr);
    assert_eq!(m.answered_total, 0);
    let resets = m.errors.get("reset").copied().unwrap_or(0);
    let closes = m.errors.get("closed").copied().unwrap_or(0);
    assert_eq!(resets + closes, LIMIT, "{:?}", m.errors);
    assert!(resets > 0, "{:?}", m.errors);
}

#[test]
fn a_blocking_exchange_takes_an_early_answer() {
    let patience = Duration::from_secs(20);
    let kept = head_reader(|mut stream| {
        stream.write_all(OK.as_bytes()).unwrap();
        keep(&stream);
    });
    let mut client = Client::new(kept, patience);
    for _ in 0..2 {
        let response = client.exchange(&large()).unwrap();
        assert_eq!((response.status, response.close), (200, true));
    }
    let refused = head_reader(refuse);
    let response = Client::new(refused, patience).exchange(&large()).unwrap();
    assert_eq!((response.status, response.close), (413, true));
}

#[test]
fn a_blocking_exchange_ends_in_time_where_nothing_is_read() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(nobody.local_addr().unwrap()).unwrap();
    let error = exchange(&mut stream, &large(), Duration::from_millis(100)).unwrap_err();
    assert!(
        matches!(error, ExchangeError::Timeout { received: 0, .. }),
        "{error}"
    );
}
