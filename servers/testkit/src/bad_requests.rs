//! Requests that are not judged by their answer, only by what they leave behind.

use referee::raw;

use crate::Server;

/// More than the workers, so that one lost to each bad request would be missed.
const TIMES: usize = 6;

/// After each kind of bad request, several times over, the process lives and answers
/// `GET /ping` on new connections and on one opened before.
///
/// # Panics
/// Where it does not.
pub fn survives_bad_requests(program: &str) {
    let mut server = Server::boot(program);
    let ping = raw::get("/ping");
    let mut earlier = server.connect();
    for (about, request) in bad_requests() {
        for _ in 0..TIMES {
            // The answer, a close or a reset: all are free here.
            let mut connection = server.connect();
            if connection.send(&request).is_ok() {
                let _ = connection.finish();
            }
        }
        assert_eq!(server.exited(), None, "the process ended: {about}");
        for _ in 0..TIMES {
            let answer = server.connect().exchange(&ping);
            let right = answer.as_ref().is_ok_and(|answer| answer.status == 200);
            assert!(right, "{about}: then GET /ping got {answer:?}");
        }
        let answer = earlier.exchange(&ping);
        let right = answer.as_ref().is_ok_and(|answer| answer.status == 200);
        assert!(
            right,
            "{about}: then GET /ping on an earlier connection got {answer:?}"
        );
    }
}

fn bad_requests() -> Vec<(&'static str, Vec<u8>)> {
    let post = "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n";
    let with = |rest: &str| format!("{post}{rest}").into_bytes();
    let headers = |count: usize| {
        let many: String = (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect();
        format!("GET /ping HTTP/1.1\r\nHost: test\r\n{many}\r\n").into_bytes()
    };
    let long_target = format!(
        "GET /{} HTTP/1.1\r\nHost: test\r\n\r\n",
        "a".repeat(100_000)
    );
    vec![
        ("a line that is no request", b"garbage\r\n\r\n".to_vec()),
        ("bytes that are no text", vec![0xff; 512]),
        (
            "a TLS client's greeting",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "a Content-Length that is no number",
            with("Content-Length: abc\r\n\r\n{}"),
        ),
        (
            "a negative Content-Length",
            with("Content-Length: -1\r\n\r\n{}"),
        ),
        (
            "an endless Content-Length",
            with("Content-Length: 99999999999999999999\r\n\r\n{}"),
        ),
        (
            "a large Content-Length, little sent",
            with("Content-Length: 9007199254740991\r\n\r\n{}"),
        ),
        (
            "a body cut off",
            with("Content-Length: 29\r\n\r\n{\"item_id\":"),
        ),
        ("20 headers", headers(19)),
        ("200 headers", headers(199)),
        (
            "a chunked body",
            with(
                "Transfer-Encoding: chunked\r\n\r\n1d\r\n{\"item_id\":\"SKU-789\",\"qty\":1}\r\n0\r\n\r\n",
            ),
        ),
        (
            "a chunk whose size is no number",
            with("Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
        ),
        ("a deep body", deep_body(post)),
        ("a long target", long_target.into_bytes()),
        ("nothing at all", Vec::new()),
    ]
}

/// As deep as 16 KiB allow: a recursive parser on a small stack would overflow it.
fn deep_body(post: &str) -> Vec<u8> {
    let body = "[".repeat(8_192) + &"]".repeat(8_192);
    format!("{post}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
