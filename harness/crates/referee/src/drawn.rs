//! Requests drawn at random from the seed: any limit, page, status, id and order, right or wrong and in every
//! spelling. The load draws from far fewer.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_pcg::Pcg64;
use serde_json::json;

use super::model::{MAX_ID, MAX_PAGE, Page, STATUSES, USERS, number, ordered};
use super::response::{INVALID_PARAMETER, NOT_FOUND, Response};
use super::subject::{Ask, Subject};
use super::{CheckDef, Outcome, text};

const QUERIES: usize = 60;
const IDS: usize = 50;
const ORDERS: usize = 60;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "users-query-drawn" => users_query:
        "any status, limit and page, valid or not, percent-encoded or not, in any order",
    "orders-query-drawn" => orders_query: "any limit and page of orders, valid or not, percent-encoded or not, in any order",
    "ids-drawn" => ids:
        "any text as an id: returns the user or order, 404 if there is none, 400 if it is not an id",
    "orders-drawn" => orders: "any item and quantity in any spelling of the JSON, with unknown members",
};

/// A parameter whose text is drawn for numbers up to `around`, or no parameter. Returns its value, which is
/// `None` if the text must be refused.
fn parameter(
    rng: &mut Pcg64,
    (name, around, max): (&str, u64, u64),
    default: u64,
    into: &mut Vec<String>,
) -> Option<u64> {
    if rng.random_range(0..4) == 0 {
        return Some(default);
    }
    let drawn = text::number(rng, around);
    into.push(format!("{name}={}", text::in_query(rng, &drawn)));
    number(&drawn, 1, max)
}

/// A limit and a page; `None` if one of them must be refused.
fn page(rng: &mut Pcg64, pages: u64, into: &mut Vec<String>) -> Option<Page> {
    let default = Page::default();
    // Half of the pages are near those that contain something.
    let around = match rng.random() {
        true => pages,
        false => MAX_PAGE,
    };
    let limit = parameter(rng, ("limit", 100, 100), default.limit, into);
    let page = parameter(rng, ("page", around, MAX_PAGE), default.page, into);
    Some(Page {
        limit: limit?,
        page: page?,
    })
}

/// A status, or none; `Err` if it must be refused.
fn status(rng: &mut Pcg64, into: &mut Vec<String>) -> Result<Option<&'static str>, ()> {
    const WRONG: [&str; 5] = ["Active", "archive", "active ", "pending,active", ""];
    let (drawn, result) = match rng.random_range(0..8) {
        0..=2 => return Ok(None),
        3 => (*WRONG.choose(rng).unwrap_or(&""), Err(())),
        _ => {
            let status = *STATUSES.choose(rng).unwrap_or(&"active");
            (status, Ok(Some(status)))
        }
    };
    into.push(format!("status={}", text::in_query(rng, drawn)));
    result
}

fn users_query(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("users-query-drawn");
    for _ in 0..QUERIES {
        let mut parameters = Vec::new();
        let page = page(&mut rng, USERS / 20, &mut parameters);
        let status = status(&mut rng, &mut parameters);
        let query = text::query(&mut rng, parameters);
        let answer = subject.get(format!("/api/v1/users{query}"))?;
        match (status, page) {
            (Ok(status), Some(page)) => answer.is(200, &subject.model.users(status, page))?,
            _ => answer.is_error(INVALID_PARAMETER)?,
        }
    }
    Ok(())
}

fn orders_query(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("orders-query-drawn");
    for _ in 0..5 {
        super::orders_create::place(subject, "SKU-555", rng.random_range(1..=1_000))?;
    }
    let total = subject.orders_total()?;
    for _ in 0..QUERIES {
        let mut parameters = Vec::new();
        let page = page(&mut rng, total / 10 + 1, &mut parameters);
        // An unknown parameter to orders.
        let _ = status(&mut rng, &mut parameters);
        let query = text::query(&mut rng, parameters);
        let answer = subject.get(format!("/api/v1/orders{query}"))?;
        match page {
            Some(page) => is_page(&answer, page, total)?,
            None => answer.is_error(INVALID_PARAMETER)?,
        }
    }
    Ok(())
}

/// Checks a page of orders by its ids, all of which are still kept.
fn is_page(answer: &Response, page: Page, total: u64) -> Outcome {
    let body = answer.json()?;
    let newest = total.saturating_sub(page.offset());
    let wanted: Vec<u64> = (newest.saturating_sub(page.limit) + 1..=newest)
        .rev()
        .collect();
    let rest = json!({"page": page.page, "limit": page.limit, "total": total});
    let right = rest.as_object().is_some_and(|rest| {
        body.as_object().map(serde_json::Map::len) == Some(4)
            && rest.iter().all(|(name, value)| body[name] == *value)
    });
    if answer.status == 200 && answer.order_ids()?.as_ref() == Some(&wanted) && right {
        return Ok(());
    }
    Err(answer.wrong(format!("200, the orders {wanted:?} and {rest}")))
}

fn ids(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("ids-drawn");
    let total = subject.orders_total()?;
    for _ in 0..IDS {
        let max = *[12, USERS, MAX_ID].choose(&mut rng).unwrap_or(&USERS);
        let drawn = text::number(&mut rng, max);
        // A query has no meaning here.
        let query = *["", "?limit=0", "?"].choose(&mut rng).unwrap_or(&"");
        let id = number(&drawn, 0, MAX_ID);
        let answer = subject.get(format!("/api/v1/users/{drawn}{query}"))?;
        match id.map(|id| subject.model.user(id)) {
            Some(Some(user)) => answer.is(200, user)?,
            Some(None) => answer.is_error(NOT_FOUND)?,
            None => answer.is_error(INVALID_PARAMETER)?,
        }
        let answer = subject.get(format!("/api/v1/orders/{drawn}{query}"))?;
        match id {
            Some(id) if (1..=total).contains(&id) => {
                if answer.status != 200 || answer.json()?["id"] != id {
                    return Err(answer.wrong(format!("200, the order {id}")));
                }
            }
            Some(_) => answer.is_error(NOT_FOUND)?,
            None => answer.is_error(INVALID_PARAMETER)?,
        }
    }
    Ok(())
}

fn orders(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("orders-drawn");
    for _ in 0..ORDERS {
        let item = format!("SKU-{:03}", rng.random_range(0..1_000));
        let qty = rng.random_range(1..=1_000);
        let spelt = text::string(&mut rng, &item);
        let body = text::order(&mut rng, &spelt, &qty.to_string());
        let members = ordered(&item, qty)?;
        subject.ask(&Ask::order(body))?.is_order(&members)?;
    }
    Ok(())
}
