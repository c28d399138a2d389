//! Clients that stop sending: how long the server keeps the connection open.

use std::time::Duration;

use super::judge::{Judgement, deviates, let_go};
use super::script::{Action, Finish, ORDER, Script, bytes_of, get_with, order_with};
use super::seen::Seen;
use super::{Case, Concern, Rule, rule};
use referee::raw;

const EVERY: Duration = Duration::from_secs(1);
const IDLE: Rule = rule("9112 §9.5: servers usually have a timeout; the standard sets none");
const LATE: Rule = rule(
    "9110 §15.5.9: a request that does not arrive in time may get a 408, and the connection closed",
);

pub(super) const CASES: &[Case] = &[
    Concern::Slow.case(
        "silent",
        "nothing at all",
        IDLE,
        || vec![Script::new(Vec::new()).until(Finish::LetGo)],
        let_go,
    ),
    Concern::Slow.case(
        "kept-idle",
        "a GET, and nothing after its answer",
        IDLE,
        || vec![Script::one(raw::get("/ping")).until(Finish::LetGo)],
        let_go,
    ),
    Concern::Slow.case(
        "half-head",
        "half of a head, and then nothing",
        LATE,
        || {
            let wire = b"GET /ping HTTP/1.1\r\nHost: local";
            vec![Script::one(*wire).until(Finish::LetGo)]
        },
        let_go,
    ),
    Concern::Slow.case(
        "slow-head",
        "a head, one byte a second",
        LATE,
        || {
            let wire = get_with("/ping", &format!("X-Slow: {}\r\n", "x".repeat(600)));
            let steps = vec![Action::Trickle(bytes_of(&wire), EVERY)];
            vec![Script::new(steps).asking(None).until(Finish::LetGo)]
        },
        let_go,
    ),
    Concern::Slow.case(
        "short-body",
        "half of an order's body, and then nothing",
        LATE,
        || {
            let lines = format!("Content-Length: {}\r\n", ORDER.len());
            let wire = order_with(&lines, &ORDER[..ORDER.len() / 2]);
            vec![Script::one(wire).until(Finish::LetGo)]
        },
        no_order,
    ),
    Concern::Slow.case(
        "slow-body",
        "an order of 1,000 bytes, its body one byte a second",
        LATE,
        || {
            let head = order_with("Content-Length: 1000\r\n", "");
            let body = format!("{ORDER:<1000}");
            let steps = vec![
                Action::Send(head),
                Action::Trickle(bytes_of(body.as_bytes()), EVERY),
            ];
            vec![Script::new(steps).asking(None).until(Finish::LetGo)]
        },
        no_order,
    ),
];

fn no_order(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(201) => deviates("an order is placed from a part of its body"),
        _ => let_go(seen),
    }
}
