//! Each kind of error under load, through the real driver over real sockets.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::load_server::*;
use loadgen::{Config, Malformed, Measurement};
use rustix::net::sockopt::set_socket_linger;

/// So many requests over two connections.
fn few(addr: SocketAddr, limit: u64) -> Config {
    Config {
        connections: 2,
        limit: Some(limit),
        duration: Duration::from_secs(100),
        ..config(addr)
    }
}

#[track_caller]
fn assert_only(m: &Measurement, kind: &str, word: &str) {
    let kinds: Vec<_> = m.errors.keys().copied().collect();
    assert_eq!(kinds, [kind], "{:?}", m.first_error);
    assert_eq!((m.requests, m.answered_total), (0, 0));
    let first = m.first_error.as_deref().unwrap();
    assert!(first.contains(word), "\"{word}\" is not in {first}");
}

#[test]
fn a_server_that_stops_listening_refuses_to_connect() {
    let addr = with_listener(|listener| {
        let both = [(); 2].map(|()| listener.accept().unwrap().0);
        drop(listener);
        for mut stream in both {
            assert!(read_head(&mut stream));
            let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{PONG}");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let config = Config {
        connections: 2,
        ..config(addr)
    };
    let m = measure(&config, &ping());
    assert_eq!(m.errors.keys().copied().collect::<Vec<_>>(), ["connect"]);
    assert_eq!((m.answered_total, m.sent_total, m.reconnects), (2, 2, 0));
    let first = m.first_error.unwrap();
    assert!(first.contains("reconnecting failed"), "{first}");
}

#[test]
fn a_reset_is_told_from_a_close() {
    for answered in ["", "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"] {
        let addr = with_listener(move |listener| {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if read_head(&mut stream) {
                    let _ = stream.write_all(answered.as_bytes());
                    // Closing then sends a reset, whatever is still to be sent.
                    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
                }
            }
        });
        let m = measure(&few(addr, 6), &ping());
        assert_only(&m, "reset", "reset");
        assert_eq!(m.errors["reset"], 6);
    }
}

#[test]
fn an_answer_that_is_not_finished_is_closed_early() {
    for begun in [
        "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 O",
    ] {
        let server = TestServer::start(move |_, _| vec![Act::Write(begun.into()), Act::Close]);
        let m = measure(&few(server.addr, 6), &ping());
        assert_only(&m, "closed", "before a complete response");
        assert_eq!(m.errors["closed"], 6);
    }
}

#[test]
fn an_answer_that_stops_is_a_timeout() {
    let server =
        TestServer::start(|_, _| vec![Act::Write("HTTP/1.1 200 OK\r\nConte".into()), Act::Hang]);
    let config = Config {
        timeout: Duration::from_millis(50),
        ..few(server.addr, 4)
    };
    let m = measure(&config, &ping());
    assert_only(&m, "timeout", "only part of a response in time");
    assert_eq!((m.errors["timeout"], m.latency.len()), (4, 4));
}

#[test]
fn a_broken_answer_is_named_by_what_is_wrong_with_it() {
    let ok = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}");
    let chunks = |body: &str| ok(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    for (text, kind) in [
        ("220 mail ready\r\n".to_owned(), Malformed::StatusLine),
        (
            "HTTP/1.1 101 Switching Protocols\r\n\r\n".to_owned(),
            Malformed::Status,
        ),
        (ok("no colon\r\n\r\n"), Malformed::Header),
        (ok(&"x".repeat(300_000)), Malformed::HeadTooLarge),
        (ok(&"a: b\r\n".repeat(1025)), Malformed::TooManyHeaders),
        (ok("Content-Length: 1x\r\n\r\n"), Malformed::ContentLength),
        (
            ok("Content-Length: 1, 2\r\n\r\n"),
            Malformed::ConflictingLength,
        ),
        (
            ok("Transfer-Encoding: chunked, chunked\r\n\r\n"),
            Malformed::TransferCoding,
        ),
        (chunks("z\r\n"), Malformed::ChunkSize),
        (chunks("1\r\nab"), Malformed::ChunkEnd),
        (chunks("0\r\nno colon\r\n"), Malformed::Trailer),
        (
            chunks(&format!("1;{}", "x".repeat(9000))),
            Malformed::LineTooLong,
        ),
        (response("200 OK", PONG) + "HTTP/1.1", Malformed::Surplus),
    ] {
        let word = kind.to_string();
        // Whole, and in pieces where a byte is a packet.
        let drip = text.clone();
        let whole = TestServer::says(&text);
        assert_only(&measure(&few(whole.addr, 4), &ping()), "protocol", &word);
        if drip.len() < 1000 && kind != Malformed::Surplus {
            let pieces = TestServer::start(move |_, _| vec![Act::Drip(drip.clone().into())]);
            assert_only(&measure(&few(pieces.addr, 4), &ping()), "protocol", &word);
        }
    }
}

#[test]
fn another_meaning_is_a_wrong_body_and_another_order_is_not() {
    let order = TestServer::start(|n, _| {
        let body = match n % 3 {
            0 => r#"{"qty":1,"id":1,"id":2}"#.to_owned(),
            1 => format!(r#" {{ "qty":1, "i\u0064":{n} }}"#),
            _ => format!(r#"{{"id":{n},"qty":1.0}}"#),
        };
        vec![Act::Write(response("201 Created", &body).into())]
    });
    let m = measure(&few(order.addr, 30), &crate::load_server::order());
    assert_eq!(
        (m.answered_total, m.errors["body"], m.ids_repeated),
        (10, 20, 0)
    );
}

#[test]
fn headers_that_change_are_no_error() {
    let server = TestServer::start(|n, _| {
        let length = PONG.len();
        let text = format!(
            "HTTP/1.1 200 OK\r\nDate: Mon, 02 Nov 2026 10:00:{:02} GMT\r\nX: {n}\r\n\
             Content-Length: {length}\r\n\r\n{PONG}",
            n % 60
        );
        vec![Act::Write(text.into())]
    });
    let m = measure(&few(server.addr, 100), &ping());
    assert_clean(&m);
    assert_eq!(m.requests, 100);
}
