//! `Transfer-Encoding`: chunked bodies, broken ones, and both framings at once.

use super::judge::{Judgement, answered, deviates, follows, permitted, refused, unanswered};
use super::script::{ORDER, Script, order, order_with, ping};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Plan, Rule};
use referee::raw;

const DECODE: Rule = Rule {
    section: "9112 §7.1",
    asks: "every recipient must be able to decode chunks, and ignores their extensions",
};
const BROKEN: Rule = Rule {
    section: "9112 §7.1",
    asks: "invalid chunks break the message's framing: 400, and close",
};
const BOTH: Rule = Rule {
    section: "9112 §6.1",
    asks: "both: refuse, or use Transfer-Encoding alone; close after the response either way",
};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "chunked",
        concern: Concern::Chunked,
        sends: "an order in two chunks",
        rule: DECODE,
        in_terms: false,
        plan: Plan::Talks(|| {
            let (first, second) = ORDER.split_at(10);
            let body = format!("{}{}0\r\n\r\n", chunk(first), chunk(second));
            vec![Script::wanting(chunked(&body), order())]
        }),
        judge: decodes,
    },
    Case {
        id: "chunked-extras",
        concern: Concern::Chunked,
        sends: "an order in a chunk with an extension, and a trailer",
        rule: DECODE,
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = format!(
                "{:x};a=\"b\"\r\n{ORDER}\r\n0\r\nX-Trailer: a\r\n\r\n",
                ORDER.len()
            );
            vec![Script::wanting(chunked(&body), order())]
        }),
        judge: decodes,
    },
    Case {
        id: "chunked-pipelined",
        concern: Concern::Chunked,
        sends: "an order in a chunk and a GET in one write",
        rule: DECODE,
        in_terms: false,
        plan: Plan::Talks(|| {
            let mut wire = chunked(&format!("{}0\r\n\r\n", chunk(ORDER)));
            wire.extend(raw::get("/ping"));
            vec![Script::wanting(wire, order()).asking(Some(ping()))]
        }),
        judge: decodes,
    },
    Case {
        id: "chunk-size-text",
        concern: Concern::Chunked,
        sends: "a chunk whose size is no number",
        rule: BROKEN,
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = format!("zz\r\n{ORDER}\r\n0\r\n\r\n");
            vec![Script::one(chunked(&body))]
        }),
        judge: refused,
    },
    Case {
        id: "chunk-size-huge",
        concern: Concern::Chunked,
        sends: "a chunk of 2^64 + 29 bytes, which wraps round to the order's own length",
        rule: Rule {
            section: "9112 §7.1",
            asks: "large sizes must be expected, and none may overflow",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            let size = (1_u128 << 64) + ORDER.len() as u128;
            let body = format!("{size:x}\r\n{ORDER}\r\n0\r\n\r\n");
            vec![Script::one(chunked(&body))]
        }),
        judge: refused,
    },
    Case {
        id: "chunk-overrun",
        concern: Concern::Chunked,
        sends: "a chunk with more bytes than its size says",
        rule: BROKEN,
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = format!("{:x}\r\n{ORDER}xx\r\n0\r\n\r\n", ORDER.len());
            vec![Script::one(chunked(&body))]
        }),
        judge: refused,
    },
    Case {
        id: "encoding-unknown",
        concern: Concern::Chunked,
        sends: "Transfer-Encoding: rot13, chunked",
        rule: Rule {
            section: "9112 §6.1",
            asks: "an encoding that is not understood should be answered 501",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let wire = order_with("Transfer-Encoding: rot13, chunked\r\n", body);
            vec![Script::one(wire)]
        }),
        judge: unknown_encoding,
    },
    Case {
        id: "encoding-not-chunked",
        concern: Concern::Chunked,
        sends: "a request whose last encoding is not chunked: chunked, gzip",
        rule: Rule {
            section: "9112 §6.3",
            asks: "its length is unknown: 400, and close",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let wire = order_with("Transfer-Encoding: chunked, gzip\r\n", body);
            vec![Script::one(wire)]
        }),
        judge: refused,
    },
    Case {
        id: "chunked-http10",
        concern: Concern::Chunked,
        sends: "an order in a chunk by HTTP/1.0",
        rule: Rule {
            section: "9112 §6.1",
            asks: "HTTP/1.0 has no chunks: the framing is faulty, close after the response",
        },
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let wire = String::from_utf8_lossy(&chunked(&body)).replacen("1.1", "1.0", 1);
            vec![Script::one(wire)]
        }),
        judge: faulty_framing,
    },
    Case {
        id: "length-and-chunked",
        concern: Concern::Chunked,
        sends: "an order in a chunk, and a Content-Length over all of it",
        rule: BOTH,
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let lines = format!(
                "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                body.len()
            );
            vec![Script::one(order_with(&lines, body))]
        }),
        judge: both,
    },
    Case {
        id: "smuggled",
        concern: Concern::Chunked,
        sends: "an empty chunked body, and behind it a GET that the Content-Length covers",
        rule: BOTH,
        in_terms: false,
        plan: Plan::Talks(|| {
            let body = [b"0\r\n\r\n".to_vec(), raw::get("/api/v1/users/5")].concat();
            let lines = format!(
                "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                body.len()
            );
            vec![Script::one(order_with(&lines, body))]
        }),
        judge: covered,
    },
];

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

fn chunked(body: &str) -> Vec<u8> {
    order_with("Transfer-Encoding: chunked\r\n", body)
}

fn decodes(seen: &Seen) -> Judgement {
    match (seen.status(), seen.ended()) {
        (Some(411), _) => permitted("refused with 411: clients have to send a Content-Length"),
        (Some(201), _) => answered(seen),
        (Some(_), _) => deviates(
            "a chunked body is not supported: clients that stream their bodies can't use it without a \
             proxy that buffers them",
        ),
        (None, true) => deviates(
            "a chunked body ends the connection without a response: clients that stream their bodies \
             can't use it without a proxy that buffers them",
        ),
        (None, false) => unanswered(seen),
    }
}

fn unknown_encoding(seen: &Seen) -> Judgement {
    match (seen.status(), seen.ended()) {
        (Some(501 | 400), true) => follows(),
        (Some(201), _) => deviates("an unknown encoding is ignored"),
        _ => refused(seen),
    }
}

fn faulty_framing(seen: &Seen) -> Judgement {
    match (seen.status(), seen.ended()) {
        (Some(201 | 400..=499), true) if seen.replies.finals().count() == 1 => follows(),
        (Some(201 | 400..=499), _) => deviates("the connection is kept after a faulty framing"),
        _ => refused(seen),
    }
}

/// An order that both framings cover; `malformed_json` means the chunks were read as the body.
fn both(seen: &Seen) -> Judgement {
    match (seen.status(), seen.code().as_deref()) {
        (Some(400), Some("malformed_json")) => deviates(
            "Content-Length is used although Transfer-Encoding must be: behind a proxy that uses \
             the latter, requests can be smuggled",
        ),
        _ => covered(seen),
    }
}

/// The body is empty by one framing and garbage by the other, so both lead to a refusal.
fn covered(seen: &Seen) -> Judgement {
    if seen.replies.finals().count() > 1 || seen.rest == Rest::OutOfStep {
        return deviates(
            "what the Content-Length covers is executed as a second request: behind a proxy that uses \
             Content-Length, requests can be smuggled",
        );
    }
    match (seen.status(), seen.ended()) {
        (Some(201 | 400), true) => follows(),
        (Some(201 | 400), false) => {
            deviates("the connection is kept although both framings require its end")
        }
        _ => refused(seen),
    }
}
