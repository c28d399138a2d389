//! `POST /api/v1/orders`.

use rand::RngExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::model::ordered;
use super::raw;
use super::response::{INVALID_ORDER, MALFORMED_JSON, PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE};
use super::subject::{Ask, Subject};
use super::{CheckDef, Outcome};

/// Maximum body size in bytes.
pub(super) const MAX_BODY: usize = 16 * 1024;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "orders-create" => create: "an order returns 201 with its members, the price and the total",
    "orders-catalogue" => catalogue: "each of the 1,000 items has its price",
    "orders-ids" => ids: "ids count up from 1 without gaps or repeats",
    "orders-qty-range" => qty_range: "qty is a whole number from 1 to 1,000, otherwise 422 invalid_order",
    "orders-item-unknown" => item_unknown: "an item that is not in the catalogue returns 422 invalid_order",
    "orders-wrong-shape" => wrong_shape: "JSON that is not an order, such as an array, returns 422 invalid_order",
    "orders-malformed-json" => malformed_json: "a body that is not JSON returns 400 malformed_json",
    "orders-unknown-members" => unknown_members:
        "unknown members, white space, member order and escapes do not change an order",
    "orders-content-type" => content_type: "a body that is not labelled application/json returns 415",
    "orders-body-limit" => body_limit: "a body of 16 KiB is accepted, one byte more returns 413 payload_too_large",
    "orders-refused-not-counted" => refused_not_counted: "a refused order uses no id and is not counted",
};

/// Places an order that must be accepted; returns its id and the order as it will be read later.
pub(super) fn place(subject: &Subject, item: &str, qty: u64) -> Result<(u64, Value), String> {
    let mut members = ordered(item, qty)?;
    let id = subject.order(item, qty)?.is_order(&members)?;
    members.insert("id".to_owned(), id.into());
    Ok((id, Value::Object(members)))
}

fn create(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("orders-create");
    for (number, qty) in [(0, 1), (999, 1_000), (267, 2), (268, 3)] {
        place(subject, &format!("SKU-{number:03}"), qty)?;
    }
    for _ in 0..30 {
        let item = format!("SKU-{:03}", rng.random_range(0..1_000));
        place(subject, &item, rng.random_range(1..=1_000))?;
    }
    Ok(())
}

fn catalogue(subject: &Subject) -> Outcome {
    let mut connection = None;
    for number in 0..1_000 {
        let item = format!("SKU-{number:03}");
        let qty = number % 7 + 1;
        let body = json!({"item_id": item, "qty": qty}).to_string();
        let wrong = |got: String| {
            let price = super::model::unit_price_cents(&item).unwrap_or_default();
            format!(
                "sent: POST /api/v1/orders {body}\ngot:  {got}\n\
                 expected: 201, unit_price_cents {price} and total_cents {}",
                price * qty
            )
        };
        let answer = subject
            .exchange(&mut connection, &raw::order(&body))
            .map_err(wrong)?;
        let mut order: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let members = ordered(&item, qty)?;
        if let Some(order) = order.as_object_mut() {
            order.remove("id");
        }
        if answer.status != 201 || order != Value::Object(members) {
            let body = super::response::excerpt(&answer.body);
            return Err(wrong(format!("{} {body}", answer.status)));
        }
    }
    Ok(())
}

fn ids(subject: &Subject) -> Outcome {
    let before = subject.orders_total()?;
    for position in 1..=40 {
        let members = ordered("SKU-123", position)?;
        let answer = subject.order("SKU-123", position)?;
        if answer.is_order(&members)? != before + position {
            return Err(answer.wrong(format!("id {}", before + position)));
        }
    }
    Ok(())
}

fn refuses(subject: &Subject, bodies: &[&str]) -> Outcome {
    for body in bodies {
        subject.ask(&Ask::order(*body))?.is_error(INVALID_ORDER)?;
    }
    Ok(())
}

fn qty_range(subject: &Subject) -> Outcome {
    for qty in [
        "0",
        "1001",
        "-1",
        "1.5",
        "4294967297",
        "18446744073709551617",
        "65537",
        "18446744073709551615",
        "\"1\"",
        "null",
        "true",
        "[]",
        "[1]",
        "{}",
        r#"{"qty":1}"#,
    ] {
        refuses(
            subject,
            &[&format!(r#"{{"item_id":"SKU-001","qty":{qty}}}"#)],
        )?;
    }
    refuses(subject, &[r#"{"item_id":"SKU-001"}"#])
}

fn item_unknown(subject: &Subject) -> Outcome {
    for item in [
        r#""""#,
        r#""SKU-1000""#,
        r#""SKU-1""#,
        r#""SKU-12""#,
        r#""SKU-0001""#,
        r#""SKU-""#,
        r#""SKU--12""#,
        r#"" SKU-001""#,
        r#""SKU-limited""#,
        r#""LIMITED""#,
        r#""SKU-+12""#,
        r#""sku-001""#,
        r#""SKU-001 ""#,
        r#""SKU-LIMITE""#,
        r#""SKU-１２３""#,
        "1",
        "-1",
        "1.5",
        "true",
        "null",
        "[]",
        r#"["SKU-001"]"#,
        "{}",
        r#"{"item_id":"SKU-001"}"#,
    ] {
        refuses(subject, &[&format!(r#"{{"item_id":{item},"qty":1}}"#)])?;
    }
    refuses(subject, &[r#"{"qty":1}"#])
}

fn wrong_shape(subject: &Subject) -> Outcome {
    refuses(
        subject,
        &[
            r#"["SKU-001",1]"#,
            "[]",
            "{}",
            "null",
            "1",
            "-1",
            "1.5",
            "true",
            r#""SKU-001""#,
            r#"{"Item_id":"SKU-001","Qty":1}"#,
            r#"[{"item_id":"SKU-001","qty":1}]"#,
            r#"{"order":{"item_id":"SKU-001","qty":1}}"#,
        ],
    )
}

fn malformed_json(subject: &Subject) -> Outcome {
    let bodies: [&[u8]; 23] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"nul",
        b"SKU-001",
        br#"{"item_id":"SKU-001","qty":1"#,
        br#"{"item_id":"SKU-001","qty":1,}"#,
        br#"{"item_id":"SKU-001","qty":1}}"#,
        br#"{"item_id":"SKU-001","qty":1} 2"#,
        br#"{'item_id':'SKU-001','qty':1}"#,
        br#"{"item_id":"SKU-001" "qty":1}"#,
        br#"{"item_id":"SKU-001","qty":01}"#,
        br#"{"item_id":"SKU-001","qty":+1}"#,
        br#"{"item_id":"SKU-001","qty":1}x"#,
        br#"{"item_id":"SKU-001","qty":1}{}"#,
        b"{\"item_id\":\"SKU-001\xff\",\"qty\":1}",
        b"item_id=SKU-001&qty=1",
        // An early wrong type or shape in what turns out not to be JSON.
        br#"{"item_id":1,"qty":"#,
        br#"{"item_id":"nope","qty":"1","#,
        br#"{"qty":-1"#,
        br#"["SKU-001",1"#,
        br#""SKU-001"#,
    ];
    for body in bodies {
        subject.ask(&Ask::order(body))?.is_error(MALFORMED_JSON)?;
    }
    Ok(())
}

fn unknown_members(subject: &Subject) -> Outcome {
    let members = ordered("SKU-321", 4)?;
    for body in [
        r#"{"item_id":"SKU-321","qty":4,"note":"é","extra":{"qty":[1,null]}}"#,
        r#"{"id":7,"status":"paid","total_cents":1,"qty":4,"item_id":"SKU-321"}"#,
        " {\r\n\t\"qty\" : 4 , \"item_id\" : \"SKU-321\" }\n",
        r#"{"item_id":"\u0053KU-\u0033\u00321","qty":4}"#,
    ] {
        subject.ask(&Ask::order(body))?.is_order(&members)?;
    }
    // Nor do parameters.
    let mut with_query = Ask::order(r#"{"item_id":"SKU-321","qty":4}"#);
    with_query.target += "?limit=0";
    subject.ask(&with_query)?.is_order(&members).map(drop)
}

fn content_type(subject: &Subject) -> Outcome {
    let body = r#"{"item_id":"SKU-007","qty":2}"#;
    let ask = |content_type| subject.ask(&Ask::to_orders(Method::POST, content_type, body));
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonx"),
        Some("application/xml; note=application/json"),
        Some("text/plain; a=application/json"),
        Some("text/json"),
        Some(""),
        Some("*/*"),
    ] {
        ask(content_type)?.is_error(UNSUPPORTED_MEDIA_TYPE)?;
    }
    let members = ordered("SKU-007", 2)?;
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        r#"application/json; charset="utf-8""#,
        // A media type's case does not matter (RFC 9110, section 8.3.1).
        "Application/JSON",
    ] {
        ask(Some(content_type))?.is_order(&members)?;
    }
    Ok(())
}

fn body_limit(subject: &Subject) -> Outcome {
    let body_of = |length: usize| {
        let frame = json!({"item_id": "SKU-042", "qty": 1, "note": ""}).to_string();
        let note = "x".repeat(length - frame.len());
        json!({"item_id": "SKU-042", "qty": 1, "note": note}).to_string()
    };
    let members = ordered("SKU-042", 1)?;
    subject
        .ask(&Ask::order(body_of(MAX_BODY)))?
        .is_order(&members)?;
    for length in [MAX_BODY + 1, MAX_BODY + 4_096, 2 * MAX_BODY] {
        subject
            .ask(&Ask::order(body_of(length)))?
            .is_error(PAYLOAD_TOO_LARGE)?;
        // The unread rest of a body must not be taken for the next request.
        subject.returns("/ping", &json!({"status": "ok"}))?;
    }
    Ok(())
}

fn refused_not_counted(subject: &Subject) -> Outcome {
    let (first, _) = place(subject, "SKU-001", 1)?;
    let total = subject.orders_total()?;
    for body in [
        "{",
        "[]",
        r#"{"item_id":"none","qty":1}"#,
        r#"{"item_id":"SKU-001","qty":0}"#,
    ] {
        subject.ask(&Ask::order(body))?;
    }
    let after = subject.orders_total()?;
    if after != total {
        return Err(format!(
            "sent: four orders that are refused\ngot:  total {after}\nexpected: total {total}"
        ));
    }
    let answer = subject.order("SKU-001", 1)?;
    let members = ordered("SKU-001", 1)?;
    match answer.is_order(&members)? {
        id if id == first + 1 => Ok(()),
        _ => Err(answer.wrong(format!("id {}", first + 1))),
    }
}
