//! A request as the network may deliver it: in pieces, or several at once.

use std::time::Duration;

use super::judge::answered;
use super::script::{Finish, ORDER, Script, Step, Want, bytes_of, order, ping, user};
use super::{Case, Concern, Plan, Rule};
use referee::raw;

/// Between two halves, so that they arrive separately.
const APART: Duration = Duration::from_millis(2);
const SLOWLY: Duration = Duration::from_millis(30);
const PIPELINED: u64 = 16;

const ANY_SEGMENTS: Rule = Rule {
    section: "9112 §2.2",
    asks: "a message is a sequence of octets, however the network cuts it",
};
const IN_ORDER: Rule = Rule {
    section: "9112 §9.3.2",
    asks: "pipelined requests are answered in the order they came",
};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "cut-get",
        concern: Concern::Delivery,
        sends: "a GET in two pieces, cut once at every byte",
        rule: ANY_SEGMENTS,
        in_terms: true,
        plan: Plan::Talks(|| cut_everywhere(&raw::get("/api/v1/users/42"), &user(42))),
        judge: answered,
    },
    Case {
        id: "cut-order",
        concern: Concern::Delivery,
        sends: "an order in two pieces, cut once at every byte",
        rule: ANY_SEGMENTS,
        in_terms: true,
        plan: Plan::Talks(|| cut_everywhere(&raw::order(ORDER), &order())),
        judge: answered,
    },
    Case {
        id: "bytes-30ms",
        concern: Concern::Delivery,
        sends: "an order byte by byte, 30 ms apart",
        rule: ANY_SEGMENTS,
        in_terms: true,
        plan: Plan::Talks(|| vec![apart(bytes_of(&raw::order(ORDER)))]),
        judge: answered,
    },
    Case {
        id: "pieces-30ms",
        concern: Concern::Delivery,
        sends: "an order in pieces of 16 bytes, 30 ms apart",
        rule: ANY_SEGMENTS,
        in_terms: true,
        plan: Plan::Talks(|| vec![apart(pieces_of(&raw::order(ORDER), 16))]),
        judge: answered,
    },
    Case {
        id: "pipelined",
        concern: Concern::Delivery,
        sends: "16 GETs of different users in one write",
        rule: IN_ORDER,
        in_terms: true,
        plan: Plan::Talks(|| vec![gets()]),
        judge: answered,
    },
    Case {
        id: "pipelined-orders",
        concern: Concern::Delivery,
        sends: "an order, a GET, a refused order, a 404, a GET in one write",
        rule: IN_ORDER,
        in_terms: true,
        plan: Plan::Talks(|| vec![mixed()]),
        judge: answered,
    },
];

fn cut_everywhere(wire: &[u8], want: &Want) -> Vec<Script> {
    let cut = |at: usize| {
        let (first, second) = wire.split_at(at);
        let pieces = vec![first.to_vec(), second.to_vec()];
        Script::new(vec![Step::Trickle(pieces, APART)])
            .asking(Some(want.clone()))
            .until(Finish::Answered)
            .called(format!("cut at byte {at}"))
    };
    (1..wire.len()).map(cut).collect()
}

fn apart(pieces: Vec<Vec<u8>>) -> Script {
    Script::new(vec![Step::Trickle(pieces, SLOWLY)]).asking(Some(order()))
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
    let script = Script::new(vec![Step::Send(wire)]);
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
