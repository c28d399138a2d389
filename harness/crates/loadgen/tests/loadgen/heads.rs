//! Heads that are lawful and unusual, over every engine.

use std::time::Duration;

use crate::load_server::*;
use loadgen::{Config, Expect, Request, Script};

over_each_engine!(
    a_folded_header_is_read_as_spaces,
    an_answer_without_a_body_has_none_whatever_it_says,
    the_answer_to_head_has_none_either,
    many_headers_are_taken,
    large_cookies_are_taken,
);

const LIMIT: u64 = 24;

/// Each request of `method` must be answered with that status, over connections that are kept.
#[track_caller]
fn assert_taken(method: &str, status: u16, answer: &str) {
    let server = TestServer::says(answer);
    let request = Request {
        wire: format!("{method} / HTTP/1.1\r\nHost: test\r\n\r\n").into(),
        expect: Expect::Status(status),
    };
    let config = Config {
        limit: Some(LIMIT),
        duration: Duration::from_secs(100),
        ..config(server.addr)
    };
    let m = measure(&config, &Script::new(vec![request]).unwrap());
    assert_clean(&m);
    assert_eq!((m.requests, m.reconnects), (LIMIT, 0));
}

fn a_folded_header_is_read_as_spaces() {
    let text = "HTTP/1.1 200 OK\r\nX-A: one\r\n  two\r\nContent-Length: 2\r\n\r\n{}";
    assert_taken("GET", 200, text);
}

fn an_answer_without_a_body_has_none_whatever_it_says() {
    let differ = "Content-Length: 2\r\nContent-Length: 3\r\n\r\n";
    assert_taken(
        "GET",
        304,
        &format!("HTTP/1.1 304 Not Modified\r\n{differ}"),
    );
    let both = "Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_taken("GET", 204, &format!("HTTP/1.1 204 No Content\r\n{both}"));
    let hints = format!("HTTP/1.1 103 Early Hints\r\n{differ}");
    assert_taken("GET", 200, &(hints + &response("200 OK", "{}")));
}

fn the_answer_to_head_has_none_either() {
    let differ = "Content-Length: 2\r\nContent-Length: 3\r\n\r\n";
    assert_taken("HEAD", 200, &format!("HTTP/1.1 200 OK\r\n{differ}"));
}

fn many_headers_are_taken() {
    let fields = "X-Field: value\r\n".repeat(256);
    let text = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\n{{}}");
    assert_taken("GET", 200, &text);
}

fn large_cookies_are_taken() {
    let cookies = format!("Set-Cookie: a={}\r\n", "x".repeat(4080)).repeat(60);
    let text = format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: 2\r\n\r\n{{}}");
    assert!(text.len() > 240_000);
    assert_taken("GET", 200, &text);
}
