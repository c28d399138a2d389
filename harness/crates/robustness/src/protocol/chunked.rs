//! `Transfer-Encoding`: chunked bodies, broken ones, and both framings at once.

use super::judge::{Judgement, answered, deviates, follows, permitted, refused, unanswered};
use super::script::{ORDER, Script, order, order_with, ping};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Rule, rule};
use referee::raw;

const DECODE: Rule =
    rule("9112 §7.1: every recipient must be able to decode chunks, and ignores their extensions");
const BROKEN: Rule = rule("9112 §7.1: invalid chunks break the message's framing: 400, and close");
const BOTH: Rule = rule(
    "9112 §6.1: both: refuse, or use Transfer-Encoding alone; close after the response either way",
);

pub(super) const CASES: &[Case] = &[
    Concern::Chunked.case(
        "chunked",
        "an order in two chunks",
        DECODE,
        || {
            let (first, second) = ORDER.split_at(10);
            let body = format!("{}{}0\r\n\r\n", chunk(first), chunk(second));
            vec![Script::wanting(chunked(&body), order())]
        },
        decodes,
    ),
    Concern::Chunked.case(
        "chunked-extras",
        "an order in a chunk with an extension, and a trailer",
        DECODE,
        || {
            let body = format!(
                "{:x};a=\"b\"\r\n{ORDER}\r\n0\r\nX-Trailer: a\r\n\r\n",
                ORDER.len()
            );
            vec![Script::wanting(chunked(&body), order())]
        },
        decodes,
    ),
    Concern::Chunked.case(
        "chunked-pipelined",
        "an order in a chunk and a GET in one write",
        DECODE,
        || {
            let mut wire = chunked(&format!("{}0\r\n\r\n", chunk(ORDER)));
            wire.extend(raw::get("/ping"));
            vec![Script::wanting(wire, order()).asking(Some(ping()))]
        },
        decodes,
    ),
    Concern::Chunked.case(
        "chunk-size-text",
        "a chunk whose size is no number",
        BROKEN,
        || {
            let body = format!("zz\r\n{ORDER}\r\n0\r\n\r\n");
            vec![Script::one(chunked(&body))]
        },
        refused,
    ),
    Concern::Chunked.case(
        "chunk-size-huge",
        "a chunk of 2^64 + 29 bytes, which wraps round to the order's own length",
        rule("9112 §7.1: large sizes must be expected, and none may overflow"),
        || {
            let size = (1_u128 << 64) + ORDER.len() as u128;
            let body = format!("{size:x}\r\n{ORDER}\r\n0\r\n\r\n");
            vec![Script::one(chunked(&body))]
        },
        refused,
    ),
    Concern::Chunked.case(
        "chunk-overrun",
        "a chunk with more bytes than its size says",
        BROKEN,
        || {
            let body = format!("{:x}\r\n{ORDER}xx\r\n0\r\n\r\n", ORDER.len());
            vec![Script::one(chunked(&body))]
        },
        refused,
    ),
    Concern::Chunked.case(
        "encoding-unknown",
        "Transfer-Encoding: rot13, chunked",
        rule("9112 §6.1: an encoding that is not understood should be answered 501"),
        || {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let wire = order_with("Transfer-Encoding: rot13, chunked\r\n", body);
            vec![Script::one(wire)]
        },
        unknown_encoding,
    ),
    Concern::Chunked.case(
        "encoding-not-chunked",
        "a request whose last encoding is not chunked: chunked, gzip",
        rule("9112 §6.3: its length is unknown: 400, and close"),
        || {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let wire = order_with("Transfer-Encoding: chunked, gzip\r\n", body);
            vec![Script::one(wire)]
        },
        refused,
    ),
    Concern::Chunked.case(
        "chunked-http10",
        "an order in a chunk by HTTP/1.0",
        rule("9112 §6.1: HTTP/1.0 has no chunks: the framing is faulty, close after the response"),
        || {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let wire = String::from_utf8_lossy(&chunked(&body)).replacen("1.1", "1.0", 1);
            vec![Script::one(wire)]
        },
        faulty_framing,
    ),
    Concern::Chunked.case(
        "length-and-chunked",
        "an order in a chunk, and a Content-Length over all of it",
        BOTH,
        || {
            let body = format!("{}0\r\n\r\n", chunk(ORDER));
            let lines = format!(
                "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                body.len()
            );
            vec![Script::one(order_with(&lines, body))]
        },
        both,
    ),
    Concern::Chunked.case(
        "smuggled",
        "an empty chunked body, and behind it a GET that the Content-Length covers",
        BOTH,
        || {
            let body = [b"0\r\n\r\n".to_vec(), raw::get("/api/v1/users/5")].concat();
            let lines = format!(
                "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
                body.len()
            );
            vec![Script::one(order_with(&lines, body))]
        },
        covered,
    ),
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
