//! Many clients order at once: nothing is lost, repeated or oversold.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::model::{LIMITED, LIMITED_UNITS, order_members};
use super::subject::Subject;
use super::{CheckDef, Outcome};

const CLIENTS: u64 = 64;
/// Orders of each client.
const ORDERS: u64 = 8;
/// Units bought one after another, so that few enough are left to be fought over.
const BOUGHT_ALONE: u64 = 800;

pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef {
        id: "orders-out-of-stock",
        about: "too large an order of the limited item answers 409 and takes nothing",
        run: out_of_stock,
    },
    CheckDef {
        id: "orders-limited-concurrent",
        about: "64 clients at once buy exactly the 1,000 units there are",
        run: limited_concurrent,
    },
    CheckDef {
        id: "orders-concurrent",
        about: "orders of 64 clients at once get ids without gap or repeat and are all kept",
        run: concurrent,
    },
];

/// Runs a closure on as many threads as there are clients; the first failure counts.
fn clients<T: Send>(work: impl Fn(u64) -> Result<T, String> + Sync) -> Result<Vec<T>, String> {
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..CLIENTS)
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

/// Buys units of the limited item; `false` where it is out of stock.
fn buy_limited(subject: &Subject, units: u64) -> Result<bool, String> {
    let answer = subject.order(LIMITED, units)?;
    if answer.status == 409 {
        answer.is_error(409, "out_of_stock")?;
        return Ok(false);
    }
    let members = order_members(LIMITED, units).ok_or("the referee lacks an item")?;
    answer.is_order(&members)?;
    subject.note_limited_units_sold(units);
    Ok(true)
}

fn expect_limited(subject: &Subject, units: u64, sold: bool) -> Outcome {
    if buy_limited(subject, units)? == sold {
        return Ok(());
    }
    let left = LIMITED_UNITS.saturating_sub(subject.limited_units_sold());
    Err(format!(
        "sent: an order of {units} units of {LIMITED}\ngot:  {}\nexpected: {}, with {left} left",
        if sold { "409" } else { "201" },
        if sold { "201" } else { "409" },
    ))
}

fn out_of_stock(subject: &Subject) -> Outcome {
    let total = subject.orders_total()?;
    expect_limited(subject, BOUGHT_ALONE, true)?;
    let left = LIMITED_UNITS - BOUGHT_ALONE;
    expect_limited(subject, left + 1, false)?;
    expect_limited(subject, LIMITED_UNITS, false)?;
    // Nothing was taken by those: the next is still within the stock.
    expect_limited(subject, left / 2, true)?;
    expect_limited(subject, left / 2 + 1, false)?;
    let after = subject.orders_total()?;
    if after != total + 2 {
        return Err(format!(
            "sent: five orders, two of them within the stock\ngot:  {} more in total\nexpected: 2",
            after.saturating_sub(total)
        ));
    }
    Ok(())
}

fn limited_concurrent(subject: &Subject) -> Outcome {
    let left = LIMITED_UNITS.saturating_sub(subject.limited_units_sold());
    // So many more than there are that all clients meet the end of the stock.
    let attempts_left = AtomicU64::new(left + CLIENTS);
    let take = || {
        attempts_left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    };
    let sold: u64 = clients(|_| {
        let mut sold = 0;
        while take() {
            sold += u64::from(buy_limited(subject, 1)?);
        }
        Ok(sold)
    })?
    .iter()
    .sum();
    if sold != left {
        return Err(format!(
            "sent: {} orders of one {LIMITED} from {CLIENTS} clients at once\n\
             got:  {sold} accepted\nexpected: {left} accepted, the others 409",
            left + CLIENTS
        ));
    }
    expect_limited(subject, 1, false)
}

/// Every client buys other quantities of its own item, so that each order is told apart.
fn concurrent(subject: &Subject) -> Outcome {
    let before = subject.orders_total()?;
    let accepted = clients(|client| {
        let item = format!("SKU-{:03}", 10 * client);
        (1..=ORDERS)
            .map(|qty| {
                let mut members = order_members(&item, qty).ok_or("the referee lacks an item")?;
                let id = subject.order(&item, qty)?.is_order(&members)?;
                members.insert("id".to_owned(), id.into());
                Ok((id, Value::Object(members)))
            })
            .collect::<Result<Vec<_>, String>>()
    })?;
    let count = CLIENTS * ORDERS;
    let by_id: BTreeMap<u64, Value> = accepted.into_iter().flatten().collect();
    let first_and_last = (by_id.keys().next(), by_id.keys().next_back());
    if by_id.len() as u64 != count
        || first_and_last != (Some(&(before + 1)), Some(&(before + count)))
    {
        return Err(format!(
            "sent: {count} orders from {CLIENTS} clients at once\n\
             got:  {} different ids, first and last {first_and_last:?}\n\
             expected: each id from {} to {} once",
            by_id.len(),
            before + 1,
            before + count
        ));
    }
    find_again(subject, before + count, &by_id)
}

/// Pages and single reads hold exactly the orders accepted.
fn find_again(subject: &Subject, total: u64, by_id: &BTreeMap<u64, Value>) -> Outcome {
    let newest_first: Vec<&Value> = by_id.values().rev().collect();
    for (page, orders) in (1..).zip(newest_first.chunks_exact(100)) {
        let expected = json!({"orders": orders, "page": page, "limit": 100, "total": total});
        subject
            .get(format!("/api/v1/orders?limit=100&page={page}"))?
            .is(200, &expected)?;
    }
    for (id, order) in by_id.iter().step_by(7) {
        subject
            .get(format!("/api/v1/orders/{id}"))?
            .is(200, order)?;
    }
    Ok(())
}
