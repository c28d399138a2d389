//! Methods other than the contract's, and `Expect`.

use std::time::Duration;

use super::judge::{
    Judgement, answered, deviates, follows, permitted, refused_or_kept, unanswered,
};
use super::script::{Action, ORDER, Script, head_of, order, order_with};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Rule, rule};

/// A client that waits for 100 continues by itself after about this time.
const CLIENTS_WAIT: Duration = Duration::from_secs(1);
const CONTINUE: Rule =
    rule("9110 §10.1.1: 100 at once, or the final status if the head decides it");

pub(super) const CASES: &[Case] = &[
    Concern::Methods.case(
        "head",
        "HEAD /ping",
        rule("9110 §9.3.2: every server supports HEAD: the response to GET without its body"),
        || {
            let wire = head_of("HEAD /ping HTTP/1.1");
            vec![Script::new(vec![Action::Send(wire)]).asking_head()]
        },
        head,
    ),
    Concern::Methods.case(
        "options",
        "OPTIONS /api/v1/orders",
        rule("9110 §9.3.7: optional; if it is not allowed, 405 with Allow"),
        || vec![Script::one(head_of("OPTIONS /api/v1/orders HTTP/1.1"))],
        not_allowed,
    ),
    Concern::Methods.case(
        "options-star",
        "OPTIONS *",
        rule("9112 §3.2.4: `*` asks about the server as a whole; any response will do"),
        || vec![Script::one(head_of("OPTIONS * HTTP/1.1"))],
        super::judge::either,
    ),
    Concern::Methods.case_in_terms(
        "expect-continue",
        "an order with Expect: 100-continue; its body after 100, or after 1 s",
        CONTINUE,
        || {
            let lines = format!(
                "Content-Length: {}\r\nExpect: 100-continue\r\n",
                ORDER.len()
            );
            let steps = vec![
                Action::Send(order_with(&lines, "")),
                Action::AwaitAnswer(CLIENTS_WAIT),
                Action::Send(ORDER.into()),
            ];
            vec![Script::new(steps).asking(Some(order()))]
        },
        continues,
    ),
    Concern::Methods.case(
        "expect-too-large",
        "the head of an order of 100,000 bytes with Expect: 100-continue, and no body",
        CONTINUE,
        || {
            let lines = "Content-Length: 100000\r\nExpect: 100-continue\r\n";
            let steps = vec![
                Action::Send(order_with(lines, "")),
                Action::AwaitAnswer(CLIENTS_WAIT),
                Action::HalfClose,
            ];
            vec![Script::new(steps).asking(None)]
        },
        refuses_early,
    ),
    Concern::Methods.case(
        "method-unknown",
        "BREW /ping",
        rule("9110 §9.1: 501 for an unknown method, or 405 with Allow"),
        || vec![Script::one(head_of("BREW /ping HTTP/1.1"))],
        not_allowed,
    ),
    Concern::Methods.case(
        "method-invalid",
        "a method that is no token: G@T /ping",
        rule("9112 §3: an invalid request line should be answered 400"),
        || vec![Script::one(head_of("G@T /ping HTTP/1.1"))],
        refused_or_kept,
    ),
    Concern::Methods.case(
        "connect",
        "CONNECT localhost:80",
        rule("9110 §9.3.6: an origin server that is not a proxy does not open a tunnel"),
        || {
            let wire = "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n";
            vec![Script::one(wire)]
        },
        no_tunnel,
    ),
];

fn head(seen: &Seen) -> Judgement {
    if !seen.replies.excess.is_empty() || seen.rest == Rest::OutOfStep {
        return deviates(
            "the response to HEAD has a body, which a client takes for the next response",
        );
    }
    match seen.status() {
        Some(200) => follows(),
        Some(_) => deviates("HEAD is not supported: health checks and link checkers use it"),
        None => unanswered(seen),
    }
}

fn not_allowed(seen: &Seen) -> Judgement {
    let Some(reply) = seen.replies.first() else {
        return unanswered(seen);
    };
    match (reply.status, seen.rest) {
        (_, Rest::OutOfStep | Rest::Mute) => deviates("the connection is out of step after it"),
        (405, _) if reply.field("allow").is_none() => deviates("405 without the Allow it requires"),
        (200..=299 | 405 | 501, _) => follows(),
        (400..=499, _) => permitted("refused with another status than 405 or 501"),
        _ => deviates("a client error is answered as a server error"),
    }
}

fn continues(seen: &Seen) -> Judgement {
    let went_on = seen.replies.all.first().map(|reply| reply.status) == Some(100);
    match (seen.wrong(), went_on) {
        (None, true) => follows(),
        (None, false) => deviates(
            "100 never arrives: clients that ask for it, such as curl with a larger body, lose a second on \
             each request",
        ),
        (Some(_), _) => answered(seen),
    }
}

fn refuses_early(seen: &Seen) -> Judgement {
    let statuses: Vec<u16> = seen.replies.all.iter().map(|reply| reply.status).collect();
    match statuses.first() {
        Some(413 | 417) => follows(),
        Some(100) => permitted("a body that is too large is requested before it is refused"),
        Some(400..=499) => permitted("refused before the body, with another status than 413"),
        Some(_) => deviates("accepted without its body"),
        None => deviates("neither 100 nor a refusal: such a client waits until its own timeout"),
    }
}

fn no_tunnel(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(200..=299) => deviates("a tunnel that leads nowhere is opened"),
        Some(400..=499 | 501) => follows(),
        Some(_) => deviates("a client error is answered as a server error"),
        None => unanswered(seen),
    }
}
