//! `Content-Length`: absent, repeated, and invalid values.

use super::judge::{Judgement, deviates, either, follows, permitted, refused, unanswered};
use super::script::{ORDER, Script, order, order_saying};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Plan, Rule};

const INVALID: Rule = Rule {
    section: "9112 §6.3",
    asks: "an invalid Content-Length must be answered 400 and the connection closed",
};
const SAME: Rule = Rule {
    section: "9110 §8.6",
    asks: "the same length twice: use it once, or refuse the request",
};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "length-missing",
        concern: Concern::Length,
        sends: "an order with neither Content-Length nor Transfer-Encoding",
        rule: Rule {
            section: "9112 §6.3",
            asks: "such a request has no body; 411 is allowed too",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![Script::one(order_saying(""))]),
        judge: no_length,
    },
    Case {
        id: "length-twice",
        concern: Concern::Length,
        sends: "an order with the same Content-Length in two lines",
        rule: SAME,
        in_terms: false,
        plan: Plan::Talks(|| {
            let line = format!("Content-Length: {}\r\n", ORDER.len());
            let wire = order_saying(&line.repeat(2));
            vec![Script::wanting(wire, order())]
        }),
        judge: either,
    },
    Case {
        id: "length-list",
        concern: Concern::Length,
        sends: "an order with the same Content-Length twice in one line",
        rule: SAME,
        in_terms: false,
        plan: Plan::Talks(|| {
            let length = ORDER.len();
            let wire = order_saying(&format!("Content-Length: {length}, {length}\r\n"));
            vec![Script::wanting(wire, order())]
        }),
        judge: either,
    },
    Case {
        id: "length-differs",
        concern: Concern::Length,
        sends: "an order with two Content-Lengths that differ",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| {
            let length = ORDER.len();
            let lines = |a, b| format!("Content-Length: {a}\r\nContent-Length: {b}\r\n");
            vec![
                Script::one(order_saying(&lines(length, length - 2))).called("the larger first"),
                Script::one(order_saying(&lines(length - 2, length))).called("the smaller first"),
            ]
        }),
        judge: refused,
    },
    Case {
        id: "length-negative",
        concern: Concern::Length,
        sends: "Content-Length: -1",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![saying("-1")]),
        judge: refused,
    },
    Case {
        id: "length-plus",
        concern: Concern::Length,
        sends: "Content-Length: +29",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![saying(&format!("+{}", ORDER.len()))]),
        judge: refused,
    },
    Case {
        id: "length-text",
        concern: Concern::Length,
        sends: "Content-Length: ten",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![saying("ten")]),
        judge: refused,
    },
    Case {
        id: "length-hex",
        concern: Concern::Length,
        sends: "Content-Length: 0x1d",
        rule: INVALID,
        in_terms: false,
        plan: Plan::Talks(|| vec![saying("0x1d")]),
        judge: refused,
    },
    Case {
        id: "length-huge",
        concern: Concern::Length,
        sends: "a Content-Length of 2^64 + 10, which wraps round to 10",
        rule: Rule {
            section: "9110 §8.6",
            asks: "large lengths must be expected, and none may overflow",
        },
        in_terms: false,
        plan: Plan::Talks(|| vec![saying("18446744073709551626")]),
        judge: refused,
    },
];

fn saying(length: &str) -> Script {
    Script::one(order_saying(&format!("Content-Length: {length}\r\n")))
}

/// The body is sent anyway but is not a request, so something ends the connection.
fn no_length(seen: &Seen) -> Judgement {
    let first = (seen.status(), seen.code());
    match (first, seen.rest) {
        ((Some(201), _), _) => deviates("an order is placed from bytes that belong to no request"),
        ((Some(400..=499), _), Rest::Closed | Rest::Reset) => follows(),
        ((Some(400..=499), _), _) => {
            permitted("refused; the bytes after it are kept as the start of a request")
        }
        ((Some(_), _), _) => deviates("accepted as a valid request"),
        ((None, _), _) => unanswered(seen),
    }
}
