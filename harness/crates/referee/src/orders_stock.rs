//! The item with limited stock: no more units are sold than there are.

use std::collections::HashSet;

use rand::RngExt;

use super::model::{LIMITED, LIMITED_UNITS, ordered};
use super::orders_concurrent::{CLIENTS, clients};
use super::response::OUT_OF_STOCK;
use super::subject::Subject;
use super::{CheckDef, Outcome};

/// Maximum number of units a client buys at a time.
const MOST: u64 = 3;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "orders-out-of-stock" => out_of_stock: "an order beyond the limited item's stock returns 409 and takes nothing",
    "orders-limited-concurrent" => limited_concurrent:
        "64 concurrent clients buy exactly the 1,000 units in stock; every other order gets 409",
};

/// Buys units of the limited item; returns the order's id, or `None` if it is out of stock.
fn buy(subject: &Subject, units: u64) -> Result<Option<u64>, String> {
    let answer = subject.order(LIMITED, units)?;
    if answer.status == 409 {
        answer.is_error(OUT_OF_STOCK)?;
        return Ok(None);
    }
    let members = ordered(LIMITED, units)?;
    let id = answer.is_order(&members)?;
    subject.note_limited_units_sold(units);
    Ok(Some(id))
}

fn expect(subject: &Subject, units: u64, sold: bool) -> Outcome {
    let left = LIMITED_UNITS.saturating_sub(subject.limited_units_sold());
    if buy(subject, units)?.is_some() == sold {
        return Ok(());
    }
    Err(format!(
        "sent: an order of {units} units of {LIMITED}\ngot:  {}\nexpected: {}, with {left} left",
        if sold { "409" } else { "201" },
        if sold { "201" } else { "409" },
    ))
}

/// Buys the remaining units one by one.
pub(super) fn sell_out(subject: &Subject) -> Outcome {
    for _ in 0..=LIMITED_UNITS {
        if buy(subject, 1)?.is_none() {
            return Ok(());
        }
    }
    Err(format!(
        "sent: orders of one {LIMITED} each\ngot:  {} accepted\nexpected: 409 after {LIMITED_UNITS}",
        subject.limited_units_sold()
    ))
}

/// Sells one of the 1,000 units first, because an order can't ask for more than 1,000.
fn out_of_stock(subject: &Subject) -> Outcome {
    let total = subject.orders_total()?;
    expect(subject, 1, true)?;
    expect(subject, LIMITED_UNITS, false)?;
    expect(subject, LIMITED_UNITS, false)?;
    // The refused orders took nothing: this one is still within the stock, and the next is not.
    expect(subject, 2, true)?;
    expect(subject, LIMITED_UNITS - 2, false)?;
    let after = subject.orders_total()?;
    if after != total + 2 {
        return Err(format!(
            "sent: five orders, two of them within the stock\ngot:  {} more in total\nexpected: 2",
            after.saturating_sub(total)
        ));
    }
    Ok(())
}

/// Units and ids that one client bought.
struct Bought {
    units: u64,
    ids: Vec<u64>,
}

/// Every client buys until a single unit is refused.
fn limited_concurrent(subject: &Subject) -> Outcome {
    let left = LIMITED_UNITS.saturating_sub(subject.limited_units_sold());
    let before = subject.orders_total()?;
    let bought = clients(CLIENTS, |client| {
        let mut rng = subject.rng(&format!("orders-limited-concurrent-{client}"));
        let mut bought = Bought {
            units: 0,
            ids: Vec::new(),
        };
        let mut most = MOST;
        while most > 0 && bought.units <= LIMITED_UNITS {
            let units = rng.random_range(1..=most);
            match buy(subject, units)? {
                Some(id) => {
                    bought.units += units;
                    bought.ids.push(id);
                }
                // The rest may be enough for a smaller order.
                None => most = units - 1,
            }
        }
        Ok(bought)
    })?;
    let units: u64 = bought.iter().map(|bought| bought.units).sum();
    let orders: usize = bought.iter().map(|bought| bought.ids.len()).sum();
    let ids: HashSet<u64> = bought.into_iter().flat_map(|bought| bought.ids).collect();
    let growth = subject.orders_total()?.saturating_sub(before);
    if units != left || ids.len() != orders || growth != orders as u64 {
        return Err(format!(
            "sent: orders of one to {MOST} {LIMITED} from {CLIENTS} clients at once\n\
             got:  {units} units in {orders} orders with {} different ids, and total grew by {growth}\n\
             expected: {left} units, 409 for the others; an id for each order, all counted",
            ids.len()
        ));
    }
    expect(subject, 1, false)
}
