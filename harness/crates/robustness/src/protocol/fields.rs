//! Header fields: how many, how large, and bytes and lines that don't belong there.

use super::judge::{
    Agreement, Judgement, answered, deviates, either, follows, permitted, refused_or_kept,
    taken_or_too_large,
};
use super::script::{Script, get_with, ping};
use super::seen::Seen;
use super::{Case, Concern, Rule, rule};

const ANY_NUMBER: Rule =
    rule("9110 §5.4: the standard sets no limit; a server with one responds with a 4xx beyond it");
const HOST: Rule = rule("9112 §3.2: no Host, or more than one, must be answered 400");
const NO_CONTROLS: Rule = rule(
    "9110 §5.5: CR, LF and NUL in a value: refuse the request, or read a space in their place",
);

pub(super) const CASES: &[Case] = &[
    Concern::Fields.case_in_terms(
        "headers-8",
        "8 headers",
        ANY_NUMBER,
        || vec![headers(8)],
        answered,
    ),
    Concern::Fields.case_in_terms(
        "headers-16",
        "16 headers",
        ANY_NUMBER,
        || vec![headers(16)],
        answered,
    ),
    Concern::Fields.case(
        "headers-64",
        "64 headers",
        ANY_NUMBER,
        || vec![headers(64)],
        many,
    ),
    Concern::Fields.case(
        "headers-200",
        "200 headers",
        ANY_NUMBER,
        || vec![headers(200)],
        many,
    ),
    Concern::Fields.case(
        "header-8k",
        "a header line of 8 KiB",
        ANY_NUMBER,
        || vec![long(8 * 1024)],
        taken_or_too_large,
    ),
    Concern::Fields.case(
        "header-64k",
        "a header line of 64 KiB",
        ANY_NUMBER,
        || vec![long(64 * 1024)],
        taken_or_too_large,
    ),
    Concern::Fields.case(
        "header-name-64k",
        "a header whose name is 64 KiB",
        ANY_NUMBER,
        || vec![with(&format!("{}: a\r\n", "x".repeat(64 * 1024)))],
        taken_or_too_large,
    ),
    Concern::Fields.case(
        "header-nul",
        "a NUL in a header's value",
        NO_CONTROLS,
        || vec![with("X-Test: a\0b\r\n")],
        no_controls,
    ),
    Concern::Fields.case(
        "header-cr",
        "a bare CR in a header's value",
        NO_CONTROLS,
        || vec![with("X-Test: a\rb\r\n")],
        no_controls,
    ),
    Concern::Fields.case(
        "header-not-utf8",
        "bytes that are no UTF-8 in a header's value",
        rule("9110 §5.5: bytes above 0x7F should be accepted unchanged"),
        || {
            let mut wire = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX-Test: ".to_vec();
            wire.extend_from_slice(b"caf\xe9 \xff\r\n\r\n");
            vec![Script::wanting(wire, ping())]
        },
        opaque,
    ),
    Concern::Fields.case(
        "header-name-invalid",
        "a header's name that is no token: X(Test)",
        rule("9110 §5.1: a name is a token; how to handle any other is left open"),
        || vec![with("X(Test): a\r\n")],
        either,
    ),
    Concern::Fields.case(
        "header-space-colon",
        "a space between a header's name and its colon",
        rule("9112 §5.1: must be answered 400"),
        || vec![with("X-Test : a\r\n")],
        refused_or_kept,
    ),
    Concern::Fields.case(
        "header-folded",
        "a header folded over two lines",
        rule("9112 §5.2: refuse it with 400, or read spaces in place of the fold"),
        || vec![with("X-Test: a\r\n b\r\n")],
        either,
    ),
    Concern::Fields.case(
        "header-no-colon",
        "a header line without a colon",
        rule("9112 §5: every field line has a colon; such a line should be answered 400"),
        || vec![with("X-Test\r\n")],
        skips_line,
    ),
    Concern::Fields.case(
        "bare-lf",
        "a GET whose lines end in LF alone",
        rule("9112 §2.2: a bare LF may be accepted as a line end"),
        || {
            vec![Script::wanting(
                "GET /ping HTTP/1.1\nHost: localhost\n\n",
                ping(),
            )]
        },
        either,
    ),
    Concern::Fields.case(
        "host-missing",
        "HTTP/1.1 without Host",
        HOST,
        || vec![Script::one("GET /ping HTTP/1.1\r\nX-Test: a\r\n\r\n")],
        host,
    ),
    Concern::Fields.case(
        "host-twice",
        "two different Hosts",
        HOST,
        || vec![with("Host: example.com\r\n")],
        host,
    ),
];

/// This many headers, `Host` among them.
fn headers(count: usize) -> Script {
    let lines: String = (1..count).map(|n| format!("X-Test-{n}: {n}\r\n")).collect();
    Script::wanting(get_with("/ping", &lines), ping())
}

fn long(bytes: usize) -> Script {
    let name = "X-Test: ";
    let line = format!("{name}{}\r\n", "x".repeat(bytes - name.len() - 2));
    Script::wanting(get_with("/ping", &line), ping())
}

fn with(lines: &str) -> Script {
    Script::wanting(get_with("/ping", lines), ping())
}

fn many(seen: &Seen) -> Judgement {
    let judgement = taken_or_too_large(seen);
    match judgement.agreement {
        Agreement::Deviates if seen.status().is_none() => deviates(
            "too many headers end the connection without a response: browsers behind a few \
             proxies send up to 30, and can't tell this from a crash",
        ),
        _ => judgement,
    }
}

fn no_controls(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(200..=299) => permitted("accepted; log such values with care"),
        _ => refused_or_kept(seen),
    }
}

fn opaque(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(400..=499) => permitted("refused, although accepting such bytes is recommended"),
        _ => answered(seen),
    }
}

fn skips_line(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(200..=299) => permitted("the line is ignored, although 400 is recommended"),
        _ => refused_or_kept(seen),
    }
}

fn host(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(400) => follows(),
        Some(200..=299) => deviates(
            "accepted: code that builds links or picks a site by Host has to check it, because the server does not",
        ),
        _ => refused_or_kept(seen),
    }
}
