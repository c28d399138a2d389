//! How many orders a server keeps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value;

use super::orders_concurrent::clients;
use super::raw;
use super::response::NOT_FOUND;
use super::subject::Subject;
use super::{CheckDef, Outcome};

const KEPT: u64 = 65_536;
/// This many orders are older than the oldest kept one. Less than a page, so that the page at the boundary
/// contains both kinds.
const BEYOND: u64 = 50;
const CLIENTS: u64 = 8;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "orders-kept" => kept: "the newest 65,536 orders are kept (not judged if placing that many takes too long)",
};

fn kept(subject: &Subject) -> Outcome {
    let before = subject.orders_total()?;
    let wanted = (KEPT + BEYOND).saturating_sub(before);
    let Some(()) = fill(subject, wanted)? else {
        return Ok(());
    };
    let total = subject.orders_total()?;
    if total != before + wanted {
        return Err(format!(
            "sent: {wanted} orders\ngot:  total {total}\nexpected: total {}",
            before + wanted
        ));
    }
    let oldest = total - KEPT + 1;
    for id in [1, oldest - 1] {
        subject.refuses(format!("/api/v1/orders/{id}"), NOT_FOUND)?;
    }
    let answer = subject.get(format!("/api/v1/orders/{oldest}"))?;
    if answer.status != 200 || answer.json()?["id"] != oldest {
        return Err(answer.wrong(format!("200, the oldest kept order, id {oldest}")));
    }
    edge_page(subject, total, oldest)
}

/// Checks the page that begins before the oldest kept order and would end after it, and the page after that.
fn edge_page(subject: &Subject, total: u64, oldest: u64) -> Outcome {
    let page = KEPT / 100 + 1;
    let newest = total - 100 * (page - 1);
    for (page, expected) in [
        (page, (oldest..=newest).rev().collect()),
        (page + 1, vec![]),
    ] {
        let answer = subject.get(format!("/api/v1/orders?limit=100&page={page}"))?;
        let right = answer.order_ids()?.as_ref() == Some(&expected);
        if answer.status != 200 || !right || answer.json()?["total"] != total {
            let (first, last) = (expected.first(), expected.last());
            return Err(answer.wrong(format!(
                "200, the ids from {first:?} down to {last:?}, total {total}"
            )));
        }
    }
    Ok(())
}

/// Places this many orders; `None` if that takes longer than the limit.
fn fill(subject: &Subject, wanted: u64) -> Result<Option<()>, String> {
    let placed = AtomicU64::new(0);
    let deadline = Instant::now() + subject.fill_limit;
    let done = clients(CLIENTS, |_| {
        let wire = raw::order(r#"{"item_id":"SKU-900","qty":9}"#);
        let mut connection = None;
        while placed.fetch_add(1, Ordering::Relaxed) < wanted {
            if Instant::now() > deadline {
                return Ok(None);
            }
            let answer = subject.exchange(&mut connection, &wire).and_then(|answer| {
                match serde_json::from_slice::<Value>(&answer.body) {
                    Ok(_) if answer.status == 201 => Ok(()),
                    _ => Err(format!("{}", answer.status)),
                }
            });
            answer.map_err(|got| {
                format!("sent: one of {wanted} orders on {CLIENTS} connections\ngot:  {got}\nexpected: 201")
            })?;
        }
        Ok(Some(()))
    })?;
    Ok(done.into_iter().collect())
}
