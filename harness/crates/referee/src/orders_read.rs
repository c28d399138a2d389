//! `GET /api/v1/orders` and `GET /api/v1/orders/{id}`.

use rand::RngExt;
use serde_json::{Value, json};

use super::model::{MAX_ID, MAX_PAGE, Page, order_members};
use super::orders_create::place;
use super::subject::Subject;
use super::user::NOT_IDS;
use super::users::refuses_values;
use super::{CheckDef, Outcome};

/// They must run before the first order.
pub(super) const CHECKS_AT_START: &[CheckDef] = &[CheckDef {
    id: "orders-none-at-start",
    about: "a freshly started server has no orders",
    run: none_at_start,
}];

pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef {
        id: "order-by-id",
        about: "an order can be read by its id, exactly as it was created",
        run: by_id,
    },
    CheckDef {
        id: "order-missing",
        about: "an unknown id up to 2^53 - 1 returns 404 not_found",
        run: missing,
    },
    CheckDef {
        id: "order-id-invalid",
        about: "an id that is not digits or is above 2^53 - 1 returns 400 invalid_parameter",
        run: id_invalid,
    },
    CheckDef {
        id: "orders-newest-first",
        about: "pages list orders newest first, and total counts all of them",
        run: newest_first,
    },
    CheckDef {
        id: "orders-past-the-end",
        about: "a page of orders past the end is empty, up to page 1,000,000",
        run: past_the_end,
    },
    CheckDef {
        id: "orders-limit-range",
        about: "a limit is digits from 1 to 100, otherwise 400 invalid_parameter",
        run: limit_range,
    },
    CheckDef {
        id: "orders-page-range",
        about: "a page is digits from 1 to 1,000,000, otherwise 400 invalid_parameter",
        run: page_range,
    },
    CheckDef {
        id: "orders-unknown-parameter",
        about: "unknown parameters are ignored, including status, and values are percent-decoded",
        run: unknown_parameter,
    },
];

fn none_at_start(subject: &Subject) -> Outcome {
    let empty = json!({"orders": [], "page": 1, "limit": 20, "total": 0});
    subject.get("/api/v1/orders")?.is(200, &empty)?;
    let far = json!({"orders": [], "page": MAX_PAGE, "limit": 7, "total": 0});
    let target = format!("/api/v1/orders?limit=7&page={MAX_PAGE}");
    subject.get(target)?.is(200, &far)?;
    subject.get("/api/v1/orders/1")?.is_error(404, "not_found")
}

/// An order as it must be returned.
fn order(id: u64, item: &str, qty: u64) -> Value {
    let mut members = order_members(item, qty).unwrap_or_default();
    members.insert("id".to_owned(), id.into());
    Value::Object(members)
}

fn by_id(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("order-by-id");
    for _ in 0..20 {
        let item = format!("SKU-{:03}", rng.random_range(0..1_000));
        let qty = rng.random_range(1..=1_000);
        let id = place(subject, &item, qty)?;
        let expected = order(id, &item, qty);
        subject
            .get(format!("/api/v1/orders/{id}"))?
            .is(200, &expected)?;
    }
    Ok(())
}

fn missing(subject: &Subject) -> Outcome {
    let next = subject.orders_total()? + 1;
    for id in [0, next, next + 1_000_000, MAX_ID] {
        subject
            .get(format!("/api/v1/orders/{id}"))?
            .is_error(404, "not_found")?;
    }
    Ok(())
}

fn id_invalid(subject: &Subject) -> Outcome {
    for id in NOT_IDS {
        subject
            .get(format!("/api/v1/orders/{id}"))?
            .is_error(400, "invalid_parameter")?;
    }
    Ok(())
}

fn newest_first(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("orders-newest-first");
    let mut newest = Vec::new();
    for _ in 0..45 {
        let item = format!("SKU-{:03}", rng.random_range(0..1_000));
        let qty = rng.random_range(1..=1_000);
        let id = place(subject, &item, qty)?;
        newest.insert(0, order(id, &item, qty));
    }
    let total = subject.orders_total()?;
    for (limit, page) in [(20, 1), (20, 2), (45, 1), (7, 3), (1, 45), (44, 1)] {
        let at = Page { limit, page }.offset() as usize;
        let on_page = &newest[at..at + limit as usize];
        let expected = json!({"orders": on_page, "page": page, "limit": limit, "total": total});
        subject
            .get(format!("/api/v1/orders?page={page}&limit={limit}&sort=id"))?
            .is(200, &expected)?;
    }
    let expected = json!({"orders": &newest[..20], "page": 1, "limit": 20, "total": total});
    subject.get("/api/v1/orders")?.is(200, &expected)
}

fn unknown_parameter(subject: &Subject) -> Outcome {
    let newest = place(subject, "SKU-600", 6)?;
    let total = subject.orders_total()?;
    let on_page = [order(newest, "SKU-600", 6)];
    let expected = json!({"orders": on_page, "page": 1, "limit": 1, "total": total});
    for query in [
        "limit=1&status=none",
        "Limit=0&limit=1&pages=0",
        "limit=%31&page=%30%31",
        "page=01&limit=001&q=%C3%A9",
    ] {
        subject
            .get(format!("/api/v1/orders?{query}"))?
            .is(200, &expected)?;
    }
    Ok(())
}

fn past_the_end(subject: &Subject) -> Outcome {
    place(subject, "SKU-500", 5)?;
    let total = subject.orders_total()?;
    for (limit, page) in [(100, total / 100 + 2), (1, total + 1), (100, MAX_PAGE)] {
        let expected = json!({"orders": [], "page": page, "limit": limit, "total": total});
        subject
            .get(format!("/api/v1/orders?limit={limit}&page={page}"))?
            .is(200, &expected)?;
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
