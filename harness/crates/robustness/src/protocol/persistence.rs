//! How long a connection lasts, and who ends it.

use super::judge::{Judgement, answered, deviates, follows, permitted, unanswered};
use super::script::{Action, ORDER, Script, get_with, head_of, order_with, ping, user};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Rule, rule};
use referee::raw;

const CLOSES: Rule =
    rule("9112 §9.6: after `close` the server responds, closes, and accepts no further request");

pub(super) const CASES: &[Case] = &[
    Concern::Persistence.case_in_terms(
        "close",
        "a GET with Connection: close",
        CLOSES,
        || {
            let wire = get_with("/ping", "Connection: close\r\n");
            vec![Script::wanting(wire, ping())]
        },
        closes,
    ),
    Concern::Persistence.case(
        "close-then-more",
        "a GET with Connection: close and another GET in one write",
        CLOSES,
        || {
            let mut wire = get_with("/ping", "Connection: close\r\n");
            wire.extend(raw::get("/api/v1/users/5"));
            vec![Script::wanting(wire, ping())]
        },
        takes_no_more,
    ),
    Concern::Persistence.case(
        "http10",
        "a GET by HTTP/1.0",
        rule("9112 §9.3: an HTTP/1.0 connection ends after the response unless keep-alive is requested"),
        || vec![Script::wanting(head_of("GET /ping HTTP/1.0"), ping())],
        closes,
    ),
    Concern::Persistence.case(
        "http10-keep-alive",
        "a GET by HTTP/1.0 with Connection: keep-alive",
        rule("9112 §9.3: the connection may be kept if the client asks for it"),
        || {
            let wire = "GET /ping HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
            vec![Script::wanting(wire, ping())]
        },
        keeps_if_said,
    ),
    Concern::Persistence.case(
        "leading-crlf",
        "an empty line, then a GET",
        rule("9112 §2.2: at least one empty line before a request should be ignored"),
        || {
            let wire = [b"\r\n".to_vec(), raw::get("/ping")].concat();
            vec![Script::wanting(wire, ping())]
        },
        ignores_empty_line,
    ),
    Concern::Persistence.case(
        "half-close",
        "a GET, then the end of the client's side",
        rule("9293 §3.6: TCP lets one side end before the other; HTTP does not forbid it"),
        || {
            let steps = vec![Action::Send(raw::get("/ping")), Action::HalfClose];
            vec![Script::new(steps).asking(Some(ping()))]
        },
        answers_half_closed,
    ),
    Concern::Persistence.case(
        "half-close-later",
        "a GET, and the end of the client's side once the answer has begun",
        rule("9293 §3.6: TCP lets one side end before the other; HTTP does not forbid it"),
        || {
            let steps = vec![
                Action::Send(raw::get("/api/v1/users?limit=100")),
                Action::AwaitFirstByte,
                Action::HalfClose,
            ];
            vec![Script::new(steps).asking(None)]
        },
        answers_half_closed,
    ),
    Concern::Persistence.case(
        "half-body-half-close",
        "half of an order's body, then the end of the client's side",
        rule("9112 §8: a body shorter than its Content-Length makes the request incomplete"),
        || {
            let head = format!("Content-Length: {}\r\n", ORDER.len());
            let steps = vec![
                Action::Send(order_with(&head, &ORDER[..ORDER.len() / 2])),
                Action::HalfClose,
            ];
            vec![Script::new(steps).asking(None)]
        },
        incomplete,
    ),
    Concern::Persistence.case(
        "get-with-body",
        "a GET with a body, then another request",
        rule("9110 §9.3.1: the body of a GET has no meaning, but is framed like any other"),
        || {
            let mut wire = get_with("/ping", "Content-Length: 27\r\n");
            wire.extend(b"GET /nothing HTTP/1.1\r\nX: y");
            let mut further = wire.clone();
            further.extend(raw::get("/api/v1/users/5"));
            vec![
                Script::wanting(wire, ping()).called("alone"),
                Script::wanting(further, ping())
                    .asking(Some(user(5)))
                    .called("pipelined"),
            ]
        },
        body_is_skipped,
    ),
    Concern::Persistence.case(
        "refused-with-body",
        "a POST with a body to no route, then another request",
        rule("9112 §9.3: the body is read to its end, or the connection closed after the response"),
        || {
            let wire = "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 27\r\n\r\n\
                        GET /nothing HTTP/1.1\r\nX: y";
            vec![Script::one(wire)]
        },
        body_is_skipped,
    ),
];

fn closes(seen: &Seen) -> Judgement {
    match (seen.wrong(), seen.rest) {
        (None, Rest::Closed) => follows(),
        (None, Rest::Reset) => permitted("the connection is reset instead of closed"),
        (None, _) => deviates(
            "the connection stays open: a client that waits for its end, like HTTP/1.0 clients and \
             simple tools, hangs until its own timeout",
        ),
        (Some(_), _) if seen.status().is_none() => unanswered(seen),
        (Some(_), _) => answered(seen),
    }
}

fn takes_no_more(seen: &Seen) -> Judgement {
    match (seen.replies.finals().count(), seen.rest) {
        (0, _) => unanswered(seen),
        (1, Rest::Closed | Rest::Reset) => follows(),
        (1, _) => closes(seen),
        (_, _) => deviates(
            "a request after `close` is executed: a client that has given up on it may repeat it",
        ),
    }
}

fn keeps_if_said(seen: &Seen) -> Judgement {
    let said = seen
        .replies
        .first()
        .and_then(|reply| reply.field("connection"))
        .is_some_and(|value| value.to_ascii_lowercase().contains("keep-alive"));
    match (seen.wrong(), seen.rest, said) {
        (None, Rest::Kept, true) => follows(),
        (None, Rest::Kept, false) => permitted(
            "kept, but the response does not say so: an HTTP/1.0 client can't know and waits for the end",
        ),
        (None, Rest::Closed | Rest::Reset, _) => {
            permitted("closed anyway; such a client reconnects for each request")
        }
        _ => answered(seen),
    }
}

fn ignores_empty_line(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(400..=499) => {
            permitted("refused; a client that ends its bodies with an extra CRLF fails")
        }
        _ => answered(seen),
    }
}

fn answers_half_closed(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(_) if seen.wrong().is_none() => follows(),
        None if seen.ended() => permitted(
            "a client that ends its side after its request, like `nc -N` or some probes, gets no response",
        ),
        _ => answered(seen),
    }
}

fn incomplete(seen: &Seen) -> Judgement {
    match (seen.status(), seen.ended()) {
        (Some(201), _) => deviates("an order is placed from half a body"),
        (Some(400..=499) | None, true) => follows(),
        (Some(_), true) => permitted("half a request is answered with an unusual status"),
        (_, false) => permitted("the connection is kept although its client can send nothing more"),
    }
}

/// Whatever the response, no byte of the body may be taken for a request.
fn body_is_skipped(seen: &Seen) -> Judgement {
    match (seen.status(), seen.rest) {
        (None, _) => unanswered(seen),
        (_, Rest::OutOfStep | Rest::Mute) => {
            deviates("an unexpected body is read as the next request: requests can be smuggled")
        }
        (Some(status), Rest::Closed | Rest::Reset) if status < 500 => {
            match seen.replies.excess.is_empty() {
                true => follows(),
                false => answered(seen),
            }
        }
        _ => answered(seen),
    }
}
