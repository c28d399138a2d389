//! The request line: forms of the target, its size, and bytes that don't belong there.

use super::judge::{
    Judgement, answered, deviates, follows, permitted, refused_or_kept, taken_or_too_large,
    unanswered,
};
use super::script::{Script, get_with, ping};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Plan, Rule};

const INVALID: Rule = Rule {
    section: "9112 §3",
    asks: "an invalid request line should be answered 400",
};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "absolute-form",
        concern: Concern::Target,
        sends: "GET http://localhost/ping",
        rule: Rule {
            section: "9112 §3.2.2",
            asks: "a server must accept the absolute form",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            vec![Script::wanting(
                get_with("http://localhost/ping", ""),
                ping(),
            )]
        }),
        judge: absolute,
    },
    Case {
        id: "target-8k",
        concern: Concern::Target,
        sends: "a target of 8,000 bytes",
        rule: Rule {
            section: "9112 §3",
            asks: "request lines of at least 8,000 bytes should be supported",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![long_target(8_000)]),
        judge: taken_or_too_large,
    },
    Case {
        id: "target-64k",
        concern: Concern::Target,
        sends: "a target of 64 KiB",
        rule: Rule {
            section: "9112 §3",
            asks: "a target that is too long is answered 414",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![long_target(64 * 1024)]),
        judge: taken_or_too_large,
    },
    Case {
        id: "target-nul",
        concern: Concern::Target,
        sends: "a NUL in the path",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![Script::one(get_with("/pi\0ng", ""))]),
        judge: refused_or_kept,
    },
    Case {
        id: "target-nul-query",
        concern: Concern::Target,
        sends: "a NUL in an unknown parameter",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![Script::one(get_with("/api/v1/users?x=\0", ""))]),
        judge: refused_or_kept,
    },
    Case {
        id: "target-not-utf8",
        concern: Concern::Target,
        sends: "bytes that are no UTF-8 in the path",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![with_bytes("/api/v1/users/", b"\xff\xfe", "")]),
        judge: refused_unless_opaque,
    },
    Case {
        id: "target-not-utf8-query",
        concern: Concern::Target,
        sends: "bytes that are no UTF-8 in an unknown parameter",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![with_bytes("/api/v1/users?x=", b"\xff\xfe", "&limit=1")]),
        judge: refused_unless_opaque,
    },
    Case {
        id: "target-space",
        concern: Concern::Target,
        sends: "a space within the path",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![Script::one(get_with("/pi ng", ""))]),
        judge: refused_or_kept,
    },
    Case {
        id: "version-9",
        concern: Concern::Target,
        sends: "GET /ping HTTP/9.9",
        rule: Rule {
            section: "9110 §15.6.6",
            asks: "an unsupported major version may be answered 505",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![Script::one("GET /ping HTTP/9.9\r\nHost: localhost\r\n\r\n")]),
        judge: another_protocol,
    },
    Case {
        id: "version-none",
        concern: Concern::Target,
        sends: "GET /ping without a version, as in HTTP/0.9",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![Script::one("GET /ping\r\n\r\n")]),
        judge: another_protocol,
    },
    Case {
        id: "http2-preface",
        concern: Concern::Target,
        sends: "the beginning of an HTTP/2 connection",
        rule: Rule {
            section: "9113 §3.4",
            asks: "the preface is designed so that an HTTP/1.1 server fails on it",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            // An empty SETTINGS frame follows it.
            let frame = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            let wire = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame].concat();
            vec![Script::one(wire)]
        }),
        judge: preface,
    },
    Case {
        id: "tls-hello",
        concern: Concern::Target,
        sends: "the beginning of a TLS connection",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| {
            let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x80, 0x01, 0x00, 0x00, 0x7c];
            hello.resize(5 + 0x80, 0xa5);
            vec![Script::one(hello)]
        }),
        judge: another_protocol,
    },
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
