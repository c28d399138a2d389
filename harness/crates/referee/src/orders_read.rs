//! `GET /api/v1/orders` and `GET /api/v1/orders/{id}`.

use rand::RngExt;
use serde_json::json;

use super::model::{MAX_ID, MAX_PAGE, Page};
use super::orders_create::place;
use super::response::NOT_FOUND;
use super::subject::Subject;
use super::user::refuses_ids;
use super::users::refuses_values;
use super::{CheckDef, Outcome};

/// They must run before the first order.
pub(super) const CHECKS_AT_START: &[CheckDef] = checks! {
    "orders-none-at-start" => none_at_start: "a freshly started server has no orders",
};

pub(super) const CHECKS: &[CheckDef] = checks! {
    "order-by-id" => by_id: "an order can be read by its id, exactly as it was created",
    "order-missing" => missing: "an unknown id up to 2^53 - 1 returns 404 not_found",
    "order-id-invalid" => id_invalid: "an id that is not digits or is above 2^53 - 1 returns 400 invalid_parameter",
    "orders-newest-first" => newest_first: "pages list orders newest first, and total counts all of them",
    "orders-past-the-end" => past_the_end: "a page of orders past the end is empty, up to page 1,000,000",
    "orders-limit-range" => limit_range: "a limit is digits from 1 to 100, otherwise 400 invalid_parameter",
    "orders-page-range" => page_range: "a page is digits from 1 to 1,000,000, otherwise 400 invalid_parameter",
    "orders-unknown-parameter" => unknown_parameter:
        "unknown parameters are ignored, including status, and values are percent-decoded",
};

fn none_at_start(subject: &Subject) -> Outcome {
    let empty = json!({"orders": [], "page": 1, "limit": 20, "total": 0});
    subject.returns("/api/v1/orders", &empty)?;
    let far = json!({"orders": [], "page": MAX_PAGE, "limit": 7, "total": 0});
    let target = format!("/api/v1/orders?limit=7&page={MAX_PAGE}");
    subject.returns(target, &far)?;
    subject.refuses("/api/v1/orders/1", NOT_FOUND)
}

fn by_id(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("order-by-id");
    for _ in 0..20 {
        let item = format!("SKU-{:03}", rng.random_range(0..1_000));
        let qty = rng.random_range(1..=1_000);
        let (id, expected) = place(subject, &item, qty)?;
        subject.returns(format!("/api/v1/orders/{id}"), &expected)?;
    }
    Ok(())
}

fn missing(subject: &Subject) -> Outcome {
    let next = subject.orders_total()? + 1;
    for id in [0, next, next + 1_000_000, MAX_ID] {
        subject.refuses(format!("/api/v1/orders/{id}"), NOT_FOUND)?;
    }
    Ok(())
}

fn id_invalid(subject: &Subject) -> Outcome {
    refuses_ids(subject, "/api/v1/orders")
}

fn newest_first(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("orders-newest-first");
    let mut newest = Vec::new();
    for _ in 0..45 {
        let item = format!("SKU-{:03}", rng.random_range(0..1_000));
        let qty = rng.random_range(1..=1_000);
        newest.insert(0, place(subject, &item, qty)?.1);
    }
    let total = subject.orders_total()?;
    for (limit, page) in [(20, 1), (20, 2), (45, 1), (7, 3), (1, 45), (44, 1)] {
        let at = Page { limit, page }.offset() as usize;
        let on_page = &newest[at..at + limit as usize];
        let expected = json!({"orders": on_page, "page": page, "limit": limit, "total": total});
        subject.returns(
            format!("/api/v1/orders?page={page}&limit={limit}&sort=id"),
            &expected,
        )?;
    }
    let expected = json!({"orders": &newest[..20], "page": 1, "limit": 20, "total": total});
    subject.returns("/api/v1/orders", &expected)
}

fn unknown_parameter(subject: &Subject) -> Outcome {
    let (_, newest) = place(subject, "SKU-600", 6)?;
    let total = subject.orders_total()?;
    let expected = json!({"orders": [newest], "page": 1, "limit": 1, "total": total});
    for query in [
        "limit=1&status=none",
        "Limit=0&limit=1&pages=0",
        "limit=%31&page=%30%31",
        "page=01&limit=001&q=%C3%A9",
    ] {
        subject.returns(format!("/api/v1/orders?{query}"), &expected)?;
    }
    Ok(())
}

fn past_the_end(subject: &Subject) -> Outcome {
    place(subject, "SKU-500", 5)?;
    let total = subject.orders_total()?;
    for (limit, page) in [(100, total / 100 + 2), (1, total + 1), (100, MAX_PAGE)] {
        let expected = json!({"orders": [], "page": page, "limit": limit, "total": total});
        subject.returns(
            format!("/api/v1/orders?limit={limit}&page={page}"),
            &expected,
        )?;
    }
    // The last page with orders contains the very first one, as long as all are kept.
    let answer = subject.get(format!("/api/v1/orders?limit=1&page={total}"))?;
    match answer.json()?["orders"][0]["id"].as_u64() {
        Some(1) => Ok(()),
        _ => Err(answer.wrong("the order with id 1")),
    }
}

fn limit_range(subject: &Subject) -> Outcome {
    refuses_values(subject, "/api/v1/orders", "limit", "101")
}

fn page_range(subject: &Subject) -> Outcome {
    refuses_values(subject, "/api/v1/orders", "page", "1000001")
}
