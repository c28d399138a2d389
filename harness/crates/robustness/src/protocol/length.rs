//! `Content-Length`: absent, repeated, and invalid values.

use super::judge::{Judgement, deviates, either, follows, permitted, refused, unanswered};
use super::script::{ORDER, Script, order, order_saying};
use super::seen::{Rest, Seen};
use super::{Case, Concern, Rule, rule};

const INVALID: Rule =
    rule("9112 §6.3: an invalid Content-Length must be answered 400 and the connection closed");
const SAME: Rule = rule("9110 §8.6: the same length twice: use it once, or refuse the request");

pub(super) const CASES: &[Case] = &[
    Concern::Length.case(
        "length-missing",
        "an order with neither Content-Length nor Transfer-Encoding",
        rule("9112 §6.3: such a request has no body; 411 is allowed too"),
        || vec![Script::one(order_saying(""))],
        no_length,
    ),
    Concern::Length.case(
        "length-twice",
        "an order with the same Content-Length in two lines",
        SAME,
        || {
            let line = format!("Content-Length: {}\r\n", ORDER.len());
            let wire = order_saying(&line.repeat(2));
            vec![Script::wanting(wire, order())]
        },
        either,
    ),
    Concern::Length.case(
        "length-list",
        "an order with the same Content-Length twice in one line",
        SAME,
        || {
            let length = ORDER.len();
            let wire = order_saying(&format!("Content-Length: {length}, {length}\r\n"));
            vec![Script::wanting(wire, order())]
        },
        either,
    ),
    Concern::Length.case(
        "length-differs",
        "an order with two Content-Lengths that differ",
        INVALID,
        || {
            let length = ORDER.len();
            let lines = |a, b| format!("Content-Length: {a}\r\nContent-Length: {b}\r\n");
            vec![
                Script::one(order_saying(&lines(length, length - 2))).called("the larger first"),
                Script::one(order_saying(&lines(length - 2, length))).called("the smaller first"),
            ]
        },
        refused,
    ),
    Concern::Length.case(
        "length-negative",
        "Content-Length: -1",
        INVALID,
        || vec![saying("-1")],
        refused,
    ),
    Concern::Length.case(
        "length-plus",
        "Content-Length: +29",
        INVALID,
        || vec![saying(&format!("+{}", ORDER.len()))],
        refused,
    ),
    Concern::Length.case(
        "length-text",
        "Content-Length: ten",
        INVALID,
        || vec![saying("ten")],
        refused,
    ),
    Concern::Length.case(
        "length-hex",
        "Content-Length: 0x1d",
        INVALID,
        || vec![saying("0x1d")],
        refused,
    ),
    Concern::Length.case(
        "length-huge",
        "a Content-Length of 2^64 + 10, which wraps round to 10",
        rule("9110 §8.6: large lengths must be expected, and none may overflow"),
        || vec![saying("18446744073709551626")],
        refused,
    ),
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
