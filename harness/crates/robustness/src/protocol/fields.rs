//! Header fields: how many, how large, and bytes and lines that don't belong there.

use super::judge::{
    Agreement, Judgement, answered, deviates, either, follows, permitted, refused_or_kept,
    taken_or_too_large,
};
use super::script::{Script, get_with, ping};
use super::seen::Seen;
use super::{Case, Concern, Plan, Rule};

const ANY_NUMBER: Rule = Rule {
    section: "9110 §5.4",
    asks: "the standard sets no limit; a server with one responds with a 4xx beyond it",
};
const HOST: Rule = Rule {
    section: "9112 §3.2",
    asks: "no Host, or more than one, must be answered 400",
};
const NO_CONTROLS: Rule = Rule {
    section: "9110 §5.5",
    asks: "CR, LF and NUL in a value: refuse the request, or read a space in their place",
};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "headers-8",
        concern: Concern::Fields,
        sends: "8 headers",
        rule: ANY_NUMBER,
        in_terms: true,
        plan: Plan::Talks(|| vec![headers(8)]),
        judge: answered,
    },
    Case {
        id: "headers-16",
        concern: Concern::Fields,
        sends: "16 headers",
        rule: ANY_NUMBER,
        in_terms: true,
        plan: Plan::Talks(|| vec![headers(16)]),
        judge: answered,
    },
    Case {
        id: "headers-64",
        concern: Concern::Fields,
        sends: "64 headers",
        rule: ANY_NUMBER,
        in_terms: false,
        plan: Plan::Talks(|| vec![headers(64)]),
        judge: many,
    },
    Case {
        id: "headers-200",
        concern: Concern::Fields,
        sends: "200 headers",
        rule: ANY_NUMBER,
        in_terms: false,
        plan: Plan::Talks(|| vec![headers(200)]),
        judge: many,
    },
    Case {
        id: "header-8k",
        concern: Concern::Fields,
        sends: "a header line of 8 KiB",
        rule: ANY_NUMBER,
        in_terms: false,
        plan: Plan::Talks(|| vec![long(8 * 1024)]),
        judge: taken_or_too_large,
    },
    Case {
        id: "header-64k",
        concern: Concern::Fields,
        sends: "a header line of 64 KiB",
        rule: ANY_NUMBER,
        in_terms: false,
        plan: Plan::Talks(|| vec![long(64 * 1024)]),
        judge: taken_or_too_large,
    },
    Case {
        id: "header-name-64k",
        concern: Concern::Fields,
        sends: "a header whose name is 64 KiB",
        rule: ANY_NUMBER,
        in_terms: false,
        plan: Plan::Talks(|| vec![with(&format!("{}: a\r\n", "x".repeat(64 * 1024)))]),
        judge: taken_or_too_large,
    },
    Case {
        id: "header-nul",
        concern: Concern::Fields,
        sends: "a NUL in a header's value",
        rule: NO_CONTROLS,
        in_terms: false,
        plan: Plan::Talks(|| vec![with("X-Test: a\0b\r\n")]),
        judge: no_controls,
    },
    Case {
        id: "header-cr",
        concern: Concern::Fields,
        sends: "a bare CR in a header's value",
        rule: NO_CONTROLS,
        in_terms: false,
        plan: Plan::Talks(|| vec![with("X-Test: a\rb\r\n")]),
        judge: no_controls,
    },
    Case {
        id: "header-not-utf8",
        concern: Concern::Fields,
        sends: "bytes that are no UTF-8 in a header's value",
        rule: Rule {
            section: "9110 §5.5",
            asks: "bytes above 0x7F should be accepted unchanged",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            let mut wire = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX-Test: ".to_vec();
            wire.extend_from_slice(b"caf\xe9 \xff\r\n\r\n");
            vec![Script::wanting(wire, ping())]
        }),
        judge: opaque,
    },
    Case {
        id: "header-name-invalid",
        concern: Concern::Fields,
        sends: "a header's name that is no token: X(Test)",
        rule: Rule {
            section: "9110 §5.1",
            asks: "a name is a token; how to handle any other is left open",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![with("X(Test): a\r\n")]),
        judge: either,
    },
    Case {
        id: "header-space-colon",
        concern: Concern::Fields,
        sends: "a space between a header's name and its colon",
        rule: Rule {
            section: "9112 §5.1",
            asks: "must be answered 400",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![with("X-Test : a\r\n")]),
        judge: refused_or_kept,
    },
    Case {
        id: "header-folded",
        concern: Concern::Fields,
        sends: "a header folded over two lines",
        rule: Rule {
            section: "9112 §5.2",
            asks: "refuse it with 400, or read spaces in place of the fold",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![with("X-Test: a\r\n b\r\n")]),
        judge: either,
    },
    Case {
        id: "header-no-colon",
        concern: Concern::Fields,
        sends: "a header line without a colon",
        rule: Rule {
            section: "9112 §5",
            asks: "every field line has a colon; such a line should be answered 400",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![with("X-Test\r\n")]),
        judge: skips_line,
    },
    Case {
        id: "bare-lf",
        concern: Concern::Fields,
        sends: "a GET whose lines end in LF alone",
        rule: Rule {
            section: "9112 §2.2",
            asks: "a bare LF may be accepted as a line end",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            vec![Script::wanting(
                "GET /ping HTTP/1.1\nHost: localhost\n\n",
                ping(),
            )]
        }),
        judge: either,
    },
    Case {
        id: "host-missing",
        concern: Concern::Fields,
        sends: "HTTP/1.1 without Host",
        rule: HOST,
        in_terms: false,
        plan: Plan::Talks(|| vec![Script::one("GET /ping HTTP/1.1\r\nX-Test: a\r\n\r\n")]),
        judge: host,
    },
    Case {
        id: "host-twice",
        concern: Concern::Fields,
        sends: "two different Hosts",
        rule: HOST,
        in_terms: false,
        plan: Plan::Talks(|| vec![with("Host: example.com\r\n")]),
        judge: host,
    },
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
