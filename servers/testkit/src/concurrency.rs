//! Many buyers at once.

use std::thread;

use crate::Server;
use crate::expected::order;
use crate::faults::Faults;

const BUYERS: u64 = 8;
const ORDERS_EACH: u64 = 100;
const LIMITED_UNITS: u64 = 1_000;
/// Does not divide the stock: some are left for single buyers.
const LIMITED_QTY: u64 = 7;

/// An order as accepted: its id, item and quantity.
type Accepted = (u64, String, u64);

/// Eight threads buying: ids without gaps or repeats, each order as it was placed, and
/// `SKU-LIMITED` sold to the last unit and no further.
///
/// # Panics
/// With all that differs from the contract.
pub fn orders_concurrently(program: &str) {
    let server = &Server::boot(program);
    let mut accepted: Vec<Accepted> = thread::scope(|scope| {
        let buyers: Vec<_> = (0..BUYERS)
            .map(|buyer| scope.spawn(move || buy(server, buyer)))
            .collect();
        let join =
            |buyer: thread::ScopedJoinHandle<'_, _>| buyer.join().expect("a buyer's own fault");
        buyers.into_iter().flat_map(join).collect()
    });
    let mut faults = Faults::default();
    sell_the_rest(server, &mut faults, &mut accepted);
    ids_are_whole(&mut faults, &mut accepted);
    for (id, item, qty) in accepted.iter().step_by(11) {
        let got = server.get(&format!("/api/v1/orders/{id}"));
        faults.check_answer(&format!("order {id}"), &got, 200, &order(*id, item, *qty));
    }
    let total = server.get("/api/v1/orders?limit=1").body["total"].as_u64();
    faults.check(total == Some(accepted.len() as u64), || {
        format!("total of orders\n  got {total:?}\n  due {}", accepted.len())
    });
    faults.assert_none();
}

/// Alternately an order of its own item and one of the limited one, until that is sold out.
fn buy(server: &Server, buyer: u64) -> Vec<Accepted> {
    let mut accepted = Vec::new();
    let mut in_stock = true;
    for round in 0..ORDERS_EACH {
        let qty = round % 1_000 + 1;
        let own = place(server, &crate::expected::item(buyer), qty);
        accepted.push(own.expect("unlimited stock"));
        if in_stock {
            let limited = place(server, "SKU-LIMITED", LIMITED_QTY);
            in_stock = limited.is_some();
            accepted.extend(limited);
        }
    }
    accepted
}

/// None where it is out of stock.
fn place(server: &Server, item: &str, qty: u64) -> Option<Accepted> {
    let body = format!(r#"{{"item_id":"{item}","qty":{qty}}}"#);
    let answer = server.post_order(body.as_bytes());
    if answer.status == 409 {
        return None;
    }
    assert_eq!(answer.status, 201, "{body} was answered {}", answer.body);
    let id = answer.body["id"]
        .as_u64()
        .expect("an accepted order has an id");
    assert_eq!(answer.body, order(id, item, qty), "{body}");
    Some((id, item.to_owned(), qty))
}

fn sell_the_rest(server: &Server, faults: &mut Faults, accepted: &mut Vec<Accepted>) {
    let sold = |accepted: &[Accepted]| -> u64 {
        let limited = accepted.iter().filter(|(_, item, _)| item == "SKU-LIMITED");
        limited.map(|(_, _, qty)| qty).sum()
    };
    let left = LIMITED_UNITS.saturating_sub(sold(accepted));
    faults.check(left < LIMITED_QTY, || {
        format!("{left} units of SKU-LIMITED left, yet {LIMITED_QTY} were refused")
    });
    for _ in 0..=LIMITED_QTY {
        accepted.extend(place(server, "SKU-LIMITED", 1));
    }
    let sold = sold(accepted);
    faults.check(sold == LIMITED_UNITS, || {
        format!("units of SKU-LIMITED sold\n  got {sold}\n  due {LIMITED_UNITS}")
    });
}

fn ids_are_whole(faults: &mut Faults, accepted: &mut [Accepted]) {
    accepted.sort_unstable();
    let right = accepted
        .iter()
        .map(|(id, ..)| *id)
        .eq(1..=accepted.len() as u64);
    faults.check(right, || {
        let ids: Vec<u64> = accepted.iter().map(|(id, ..)| *id).collect();
        format!("ids with gaps or repeats: {ids:?}")
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "gaps or repeats")]
    fn a_gap_is_found() {
        judge(&[1, 3, 2, 5]);
    }

    #[test]
    #[should_panic(expected = "gaps or repeats")]
    fn a_repeat_is_found() {
        judge(&[1, 2, 2, 3]);
    }

    #[test]
    fn any_order_of_arrival_will_do() {
        judge(&[3, 1, 2]);
    }

    fn judge(ids: &[u64]) {
        let mut accepted: Vec<Accepted> = ids.iter().map(|id| (*id, String::new(), 1)).collect();
        let mut faults = Faults::default();
        ids_are_whole(&mut faults, &mut accepted);
        faults.assert_none();
    }
}
