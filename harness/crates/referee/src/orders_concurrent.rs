//! Many clients order and read at the same time: nothing is lost, repeated, torn or out of order.

use rand::RngExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::model::{Page, order_members};
use super::orders_create::place;
use super::response::Response;
use super::subject::Subject;
use super::{CheckDef, Outcome};

/// Number of clients.
pub(super) const CLIENTS: u64 = 64;
/// Orders per client.
const ORDERS: u64 = 8;
/// Number of clients that write while the others read.
const WRITERS: u64 = 32;
/// Pages read by each reader: as many requests as a writer sends.
const READS: u64 = 2 * ORDERS;
/// The readers' pages are among this many newest orders, which change.
const NEWEST: u64 = 60;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "orders-concurrent" => concurrent:
        "concurrent orders from 64 clients get ids without gaps or repeats, and all are kept",
    "orders-read-while-written" => read_while_written:
        "pages read while 32 clients order are complete and consistent; an order is visible once confirmed",
};

/// Runs a closure on one thread for each of `count` clients; returns the first failure.
pub(super) fn clients<T: Send>(
    count: u64,
    work: impl Fn(u64) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..count)
            .map(|client| scope.spawn(move || work(client)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a client panicked".to_owned()))
            })
            .collect()
    })
}

/// Every client buys different quantities of its own item, so that each order is unique.
fn concurrent(subject: &Subject) -> Outcome {
    let before = subject.orders_total()?;
    let accepted = clients(CLIENTS, |client| {
        let item = format!("SKU-{:03}", 10 * client);
        (1..=ORDERS)
            .map(|qty| place(subject, &item, qty))
            .collect::<Result<Vec<_>, String>>()
    })?;
    let by_id = each_once(accepted, before, CLIENTS * ORDERS)?;
    find_again(subject, before + CLIENTS * ORDERS, &by_id)
}

/// The orders by id: checks that there are this many, numbered from `before` on.
fn each_once(
    accepted: Vec<Vec<(u64, Value)>>,
    before: u64,
    count: u64,
) -> Result<BTreeMap<u64, Value>, String> {
    let by_id: BTreeMap<u64, Value> = accepted.into_iter().flatten().collect();
    let first_and_last = (by_id.keys().next(), by_id.keys().next_back());
    if by_id.len() as u64 != count
        || first_and_last != (Some(&(before + 1)), Some(&(before + count)))
    {
        return Err(format!(
            "sent: {count} orders from several clients at once\n\
             got:  {} different ids, first and last {first_and_last:?}\n\
             expected: each id from {} to {} once",
            by_id.len(),
            before + 1,
            before + count
        ));
    }
    Ok(by_id)
}

/// Checks that pages and single reads return exactly the accepted orders.
fn find_again(subject: &Subject, total: u64, by_id: &BTreeMap<u64, Value>) -> Outcome {
    let newest_first: Vec<&Value> = by_id.values().rev().collect();
    for (page, orders) in (1..).zip(newest_first.chunks_exact(100)) {
        let expected = json!({"orders": orders, "page": page, "limit": 100, "total": total});
        subject.returns(format!("/api/v1/orders?limit=100&page={page}"), &expected)?;
    }
    for (id, order) in by_id {
        subject.returns(format!("/api/v1/orders/{id}"), order)?;
    }
    Ok(())
}

/// The orders that a client placed or read.
type Seen = Vec<(u64, Value)>;

fn read_while_written(subject: &Subject) -> Outcome {
    let before = subject.orders_total()?;
    let seen: Vec<(bool, Seen)> = clients(CLIENTS, |client| match client < WRITERS {
        true => write(subject, client).map(|placed| (true, placed)),
        false => read(subject, client, before).map(|read| (false, read)),
    })?;
    let (placed, read): (Vec<_>, Vec<_>) = seen.into_iter().partition(|(placed, _)| *placed);
    let placed = placed.into_iter().map(|(_, orders)| orders).collect();
    let by_id = each_once(placed, before, WRITERS * ORDERS)?;
    for (id, order) in read.into_iter().flat_map(|(_, orders)| orders) {
        // Earlier orders are unknown here.
        if id > before && by_id.get(&id) != Some(&order) {
            return Err(format!(
                "sent: GET /api/v1/orders while {WRITERS} clients ordered\ngot:  {order}\nexpected: {}",
                by_id.get(&id).unwrap_or(&Value::Null)
            ));
        }
    }
    find_again(subject, before + WRITERS * ORDERS, &by_id)
}

/// Reads each order again as soon as it is confirmed.
fn write(subject: &Subject, client: u64) -> Result<Seen, String> {
    let item = format!("SKU-{:03}", 7 * client + 3);
    (1..=ORDERS)
        .map(|qty| {
            let (id, order) = place(subject, &item, qty)?;
            subject.returns(format!("/api/v1/orders/{id}"), &order)?;
            Ok((id, order))
        })
        .collect()
}

/// Reads pages; returns the orders on them.
fn read(subject: &Subject, client: u64, mut least_total: u64) -> Result<Seen, String> {
    let mut rng = subject.rng(&format!("orders-read-while-written-{client}"));
    let mut seen = Vec::new();
    for _ in 0..READS {
        let limit = rng.random_range(1..=20);
        let page = rng.random_range(1..=NEWEST / limit);
        let answer = subject.get(format!("/api/v1/orders?limit={limit}&page={page}"))?;
        let (total, orders) = of_one_moment(&answer, Page { limit, page })?;
        if total < least_total {
            return Err(answer.wrong(format!("a total of at least {least_total}, as before")));
        }
        least_total = total;
        seen.extend(orders);
    }
    Ok(seen)
}

/// Total and orders of a page. They must be consistent: the newest order has the total as its id, and no id
/// down to the page's last is missing.
fn of_one_moment(answer: &Response, page: Page) -> Result<(u64, Seen), String> {
    let body = answer.json()?;
    let wrong = |what: &str| answer.wrong(format!("200, {what}"));
    let total = body["total"].as_u64().filter(|_| answer.status == 200);
    let total = total.ok_or_else(|| wrong("a total"))?;
    let newest = total.saturating_sub(page.offset());
    let oldest = newest.saturating_sub(page.limit) + 1;
    let orders = body["orders"].as_array().ok_or_else(|| wrong("orders"))?;
    let ids = orders.iter().map(|order| order["id"].as_u64());
    if !ids.eq((oldest..=newest).rev().map(Some)) {
        return Err(wrong(&format!(
            "as total is {total}, the ids from {newest} down to {oldest}, one by one"
        )));
    }
    for order in orders {
        let item = order["item_id"].as_str().unwrap_or_default();
        let members = order_members(item, order["qty"].as_u64().unwrap_or(0));
        let mut order = order.clone();
        if let Some(order) = order.as_object_mut() {
            order.remove("id");
        }
        if members.map(Value::Object) != Some(order) {
            return Err(wrong("orders with consistent members"));
        }
    }
    Ok((
        total,
        (oldest..=newest)
            .rev()
            .zip(orders.iter().cloned())
            .collect(),
    ))
}
