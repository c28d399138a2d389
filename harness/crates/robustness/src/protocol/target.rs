//! The request line: forms of the target, its size, and bytes that don't belong there.

use super::judge::{
    Judgement, answered, deviates, follows, permitted, refused_or_kept, taken_or_too_large,
    unanswered,
};
use super::script::{Script, get_with, head_of, ping};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Rule, rule};

const INVALID: Rule = rule("9112 §3: an invalid request line should be answered 400");

pub(super) const CASES: &[Case] = &[
    Concern::Target.case(
        "absolute-form",
        "GET http://localhost/ping",
        rule("9112 §3.2.2: a server must accept the absolute form"),
        || {
            vec![Script::wanting(
                get_with("http://localhost/ping", ""),
                ping(),
            )]
        },
        absolute,
    ),
    Concern::Target.case(
        "target-8k",
        "a target of 8,000 bytes",
        rule("9112 §3: request lines of at least 8,000 bytes should be supported"),
        || vec![long_target(8_000)],
        taken_or_too_large,
    ),
    Concern::Target.case(
        "target-64k",
        "a target of 64 KiB",
        rule("9112 §3: a target that is too long is answered 414"),
        || vec![long_target(64 * 1024)],
        taken_or_too_large,
    ),
    Concern::Target.case(
        "target-nul",
        "a NUL in the path",
        INVALID,
        || vec![Script::one(get_with("/pi\0ng", ""))],
        refused_or_kept,
    ),
    Concern::Target.case(
        "target-nul-query",
        "a NUL in an unknown parameter",
        INVALID,
        || vec![Script::one(get_with("/api/v1/users?x=\0", ""))],
        refused_or_kept,
    ),
    Concern::Target.case(
        "target-not-utf8",
        "bytes that are no UTF-8 in the path",
        INVALID,
        || vec![with_bytes("/api/v1/users/", b"\xff\xfe", "")],
        refused_unless_opaque,
    ),
    Concern::Target.case(
        "target-not-utf8-query",
        "bytes that are no UTF-8 in an unknown parameter",
        INVALID,
        || vec![with_bytes("/api/v1/users?x=", b"\xff\xfe", "&limit=1")],
        refused_unless_opaque,
    ),
    Concern::Target.case(
        "target-space",
        "a space within the path",
        INVALID,
        || vec![Script::one(get_with("/pi ng", ""))],
        refused_or_kept,
    ),
    Concern::Target.case(
        "version-9",
        "GET /ping HTTP/9.9",
        rule("9110 §15.6.6: an unsupported major version may be answered 505"),
        || vec![Script::one(head_of("GET /ping HTTP/9.9"))],
        another_protocol,
    ),
    Concern::Target.case(
        "version-none",
        "GET /ping without a version, as in HTTP/0.9",
        INVALID,
        || vec![Script::one("GET /ping\r\n\r\n")],
        another_protocol,
    ),
    Concern::Target.case(
        "http2-preface",
        "the beginning of an HTTP/2 connection",
        rule("9113 §3.4: the preface is designed so that an HTTP/1.1 server fails on it"),
        || {
            // An empty SETTINGS frame follows it.
            let frame = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let wire = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame].concat();
            vec![Script::one(wire)]
        },
        preface,
    ),
    Concern::Target.case(
        "tls-hello",
        "the beginning of a TLS connection",
        INVALID,
        || {
            let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x80, 0x01, 0x00, 0x00, 0x7c];
            hello.resize(5 + 0x80, 0xa5);
            vec![Script::one(hello)]
        },
        another_protocol,
    ),
];

fn long_target(bytes: usize) -> Script {
    let path = "/ping?pad=";
    let target = format!("{path}{}", "x".repeat(bytes - path.len()));
    Script::wanting(get_with(&target, ""), ping())
}

fn with_bytes(before: &str, bytes: &[u8], after: &str) -> Script {
    let mut wire = format!("GET {before}").into_bytes();
    wire.extend_from_slice(bytes);
    wire.extend_from_slice(format!("{after} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
    Script::one(wire)
}

fn absolute(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(404) => deviates(
            "the absolute form is not found: clients that use the server as a proxy send it",
        ),
        _ => answered(seen),
    }
}

/// Such bytes are not allowed in a target, but accepting them unchanged does no harm.
fn refused_unless_opaque(seen: &Seen) -> Judgement {
    match (seen.status(), seen.rest) {
        (Some(200..=299 | 404), Rest::Kept | Rest::Closed) => {
            permitted("accepted unchanged, although 400 is recommended")
        }
        _ => refused_or_kept(seen),
    }
}

fn another_protocol(seen: &Seen) -> Judgement {
    match (seen.status(), seen.rest) {
        (Some(400 | 505), Rest::Closed | Rest::Reset) => follows(),
        (Some(400..=499 | 505), _) => permitted("refused, and the connection kept"),
        (Some(200..=299), _) => permitted("answered as if it were HTTP/1.1"),
        (None, Rest::Closed | Rest::Reset) => {
            permitted("the connection ends without a response; 400 is recommended")
        }
        _ => unanswered(seen),
    }
}

fn preface(seen: &Seen) -> Judgement {
    // An HTTP/2 frame: SETTINGS (type 4), after three bytes of length.
    match seen.replies.excess.get(3) {
        Some(4) => follows(),
        _ => another_protocol(seen),
    }
}
