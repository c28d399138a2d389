//! A request as the network may deliver it: in pieces, or several at once.

use std::time::Duration;

use super::judge::answered;
use super::script::{Action, Finish, ORDER, Script, Want, bytes_of, order, ping, user};
use super::{Case, Concern, Rule, rule};
use referee::raw;

/// Between two halves, so that they arrive separately.
const APART: Duration = Duration::from_millis(2);
const SLOWLY: Duration = Duration::from_millis(30);
const PIPELINED: u64 = 16;

const ANY_SEGMENTS: Rule =
    rule("9112 §2.2: a message is a sequence of octets, however the network cuts it");
const IN_ORDER: Rule = rule("9112 §9.3.2: pipelined requests are answered in the order they came");

pub(super) const CASES: &[Case] = &[
    Concern::Delivery.case_in_terms(
        "cut-get",
        "a GET in two pieces, cut once at every byte",
        ANY_SEGMENTS,
        || cut_everywhere(&raw::get("/api/v1/users/42"), &user(42)),
        answered,
    ),
    Concern::Delivery.case_in_terms(
        "cut-order",
        "an order in two pieces, cut once at every byte",
        ANY_SEGMENTS,
        || cut_everywhere(&raw::order(ORDER), &order()),
        answered,
    ),
    Concern::Delivery.case_in_terms(
        "bytes-30ms",
        "an order byte by byte, 30 ms apart",
        ANY_SEGMENTS,
        || vec![apart(bytes_of(&raw::order(ORDER)))],
        answered,
    ),
    Concern::Delivery.case_in_terms(
        "pieces-30ms",
        "an order in pieces of 16 bytes, 30 ms apart",
        ANY_SEGMENTS,
        || vec![apart(pieces_of(&raw::order(ORDER), 16))],
        answered,
    ),
    Concern::Delivery.case_in_terms(
        "pipelined",
        "16 GETs of different users in one write",
        IN_ORDER,
        || vec![gets()],
        answered,
    ),
    Concern::Delivery.case_in_terms(
        "pipelined-orders",
        "an order, a GET, a refused order, a 404, a GET in one write",
        IN_ORDER,
        || vec![mixed()],
        answered,
    ),
];

fn cut_everywhere(wire: &[u8], want: &Want) -> Vec<Script> {
    let cut = |at: usize| {
        let (first, second) = wire.split_at(at);
        let pieces = vec![first.to_vec(), second.to_vec()];
        Script::new(vec![Action::Trickle(pieces, APART)])
            .asking(Some(want.clone()))
            .until(Finish::Answered)
            .called(format!("cut at byte {at}"))
    };
    (1..wire.len()).map(cut).collect()
}

fn apart(pieces: Vec<Vec<u8>>) -> Script {
    Script::new(vec![Action::Trickle(pieces, SLOWLY)]).asking(Some(order()))
}

fn pieces_of(wire: &[u8], size: usize) -> Vec<Vec<u8>> {
    wire.chunks(size).map(<[u8]>::to_vec).collect()
}

fn gets() -> Script {
    let ids = 101..=100 + PIPELINED;
    let wire: Vec<u8> = ids
        .clone()
        .flat_map(|id| raw::get(&format!("/api/v1/users/{id}")))
        .collect();
    let script = Script::new(vec![Action::Send(wire)]);
    ids.fold(script, |script, id| script.asking(Some(user(id))))
}

fn mixed() -> Script {
    let refused = r#"{"item_id":"SKU-789","qty":0}"#;
    let wire = [
        raw::order(ORDER),
        raw::get("/api/v1/users/9"),
        raw::order(refused),
        raw::get("/nothing"),
        raw::get("/ping"),
    ]
    .concat();
    Script::wanting(wire, order())
        .asking(Some(user(9)))
        .asking(Some(Want::Error(422, "invalid_order")))
        .asking(Some(Want::Error(404, "not_found")))
        .asking(Some(ping()))
}
