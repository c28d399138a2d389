//! What this server adds to its framework's handling of a connection.
#![allow(clippy::unwrap_used)] // A test ends where something is not as it should be.

use testkit::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_server-may-minihttp");

fn post(target: &str, length: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The framework alone would keep such a connection, and its coroutine, for ever.
#[test]
fn a_client_gone_before_the_end_of_a_body_leaves_nothing_behind() {
    let server = Server::boot(PROGRAM);
    // A whole order, but for a space: were it placed, nobody would know.
    let order = r#"{"item_id":"SKU-789","qty":1}"#;
    for target in ["/api/v1/orders", "/ping", "/nowhere"] {
        for length in ["30", "20000"] {
            let mut connection = server.connect();
            connection.send(&post(target, length, order)).unwrap();
            let rest = connection.finish().unwrap();
            assert_eq!(String::from_utf8_lossy(&rest), "", "{target} {length}");
        }
    }
    assert_eq!(server.get("/api/v1/orders").body["total"], 0);
}

/// What follows such a length can't be told from a body.
#[test]
fn a_length_that_is_no_number_ends_the_connection_alone() {
    let server = Server::boot(PROGRAM);
    let mut other = server.connect();
    for target in ["/api/v1/orders", "/ping", "/nowhere"] {
        let mut connection = server.connect();
        let hidden = "DELETE /ping HTTP/1.1\r\n\r\n";
        connection.send(&post(target, "24x", hidden)).unwrap();
        let rest = connection.finish().unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "", "{target}");
        let ping = other.exchange(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(ping.unwrap().status, 200);
    }
}

/// Else a client takes the body of a HEAD's answer for the next response.
#[test]
fn the_answer_to_a_head_has_no_body() {
    let server = Server::boot(PROGRAM);
    let mut connection = server.connect();
    let head = connection.exchange(b"HEAD /ping HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(head.unwrap().status, 405);
    let ping = connection.exchange(b"GET /ping HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(ping.unwrap().body, br#"{"status":"ok"}"#);
}
