//! What is not JSON, what is no order, and what can be placed.

// A test's unwrap is its assertion; the helpers here are not marked as tests themselves.
#![allow(clippy::unwrap_used)]

use contract::{OrderRequest, Store};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Debug, PartialEq)]
enum Reading {
    Malformed,
    Invalid,
    /// Item and quantity, as the placed order has them.
    Placed(String, u64),
}

fn read(body: &[u8]) -> Reading {
    let Ok(request) = serde_json::from_slice::<OrderRequest>(body) else {
        return Reading::Malformed;
    };
    match request.validate() {
        Ok(order) => {
            let placed = Store::new().place(order).unwrap();
            Reading::Placed(placed.item_id.to_string(), placed.qty.into())
        }
        Err(error) => {
            assert_eq!((error.status(), error.code()), (422, "invalid_order"));
            Reading::Invalid
        }
    }
}

#[test]
fn an_order_is_read_whatever_else_is_in_it() {
    for body in [
        r#"{"item_id":"SKU-789","qty":1}"#,
        " {\"qty\" : 1 ,\r\n\t\"item_id\":\"SKU-789\"}\n",
        r#"{"a":{"qty":2},"item_id":"SKU-789","b":[null,1.5,-1],"qty":1,"c":1e400}"#,
        r#"{"item\u005fid":"\u0053KU-789","qty":1}"#,
    ] {
        assert_eq!(
            read(body.as_bytes()),
            Reading::Placed("SKU-789".into(), 1),
            "{body}"
        );
    }
    let largest = br#"{"item_id":"SKU-LIMITED","qty":1000}"#;
    assert_eq!(read(largest), Reading::Placed("SKU-LIMITED".into(), 1_000));
}

#[test]
fn json_of_the_wrong_shape_is_no_order() {
    for body in [
        "null",
        "true",
        "0",
        "-1",
        "1.5",
        "\"SKU-001\"",
        "[]",
        "{}",
        "[\"SKU-001\",1]",
        "[{\"item_id\":\"SKU-001\",\"qty\":1}]",
        "{\"item_id\":\"SKU-001\"}",
        "{\"qty\":1}",
        "{\"item_id\":[\"SKU-001\"],\"qty\":1}",
        "{\"item_id\":{\"item_id\":\"SKU-001\"},\"qty\":1}",
        "{\"item_id\":1,\"qty\":1}",
        "{\"item_id\":\"SKU-001\",\"qty\":\"1\"}",
        "{\"item_id\":\"SKU-001\",\"qty\":0}",
        "{\"item_id\":\"SKU-001\",\"qty\":1001}",
        "{\"item_id\":\"SKU-001\",\"qty\":-1}",
        "{\"item_id\":\"SKU-001\",\"qty\":1.5}",
        // 2^16 + 1, 2^32 + 1 and 2^64 + 1: what wraps round would be 1.
        "{\"item_id\":\"SKU-001\",\"qty\":65537}",
        "{\"item_id\":\"SKU-001\",\"qty\":4294967297}",
        "{\"item_id\":\"SKU-001\",\"qty\":18446744073709551617}",
        "{\"item_id\":\"SKU-1000\",\"qty\":1}",
    ] {
        assert_eq!(read(body.as_bytes()), Reading::Invalid, "{body}");
    }
}

#[test]
fn depth_is_no_reason_to_call_json_malformed() {
    let deep = "[".repeat(8_000) + &"]".repeat(8_000);
    for body in [
        deep.clone(),
        format!(r#"{{"item_id":{deep},"qty":1}}"#),
        format!(r#"{{"qty":{deep}}}"#),
    ] {
        assert_eq!(read(body.as_bytes()), Reading::Invalid);
    }
    let unknown = format!(r#"{{"x":{deep},"item_id":"SKU-001","qty":1}}"#);
    assert_eq!(
        read(unknown.as_bytes()),
        Reading::Placed("SKU-001".into(), 1)
    );
}

#[test]
fn what_breaks_off_is_malformed_even_after_a_wrong_type() {
    for body in [
        &b""[..],
        b"{",
        b"nul",
        br#"{"item_id":1,"qty":"#,
        br#"{"item_id":null,"qty":"1""#,
        br#"{"item_id":["SKU-001","qty":1}"#,
        br#"{"qty":-1"#,
        br#"{"qty":{"a":1}"#,
        br#"["SKU-001",1"#,
        br#"[1,2}"#,
        br#""SKU-001"#,
        br#"{"item_id":"SKU-001","qty":1,}"#,
        br#"{"item_id":"SKU-001","qty":01}"#,
        br#"{"item_id":"SKU-001","qty":1}x"#,
        b"{\"item_id\":\"SKU-001\xff\",\"qty\":1}",
    ] {
        let shown = String::from_utf8_lossy(body).into_owned();
        assert_eq!(read(body), Reading::Malformed, "{shown}");
    }
}

/// Known, and told in the README: where serde_json draws the line elsewhere.
#[test]
fn two_corners_go_by_serde_json() {
    let not_utf8 = b"{\"x\":\"\xff\",\"item_id\":\"SKU-001\",\"qty\":1}";
    assert_eq!(read(not_utf8), Reading::Placed("SKU-001".into(), 1));
    let half_a_pair = br#"{"item_id":"\ud800","qty":1}"#;
    assert_eq!(read(half_a_pair), Reading::Malformed);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "SKU-[0-9]{3}".prop_map(Value::from),
        (0..1_100u64).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let name = prop_oneof![Just("item_id".to_owned()), Just("qty".to_owned()), ".{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// By the contract's words, on a value already parsed.
fn due(value: &Value) -> Reading {
    let item = value.get("item_id").and_then(Value::as_str).filter(|item| {
        let digits = |rest: &str| rest.len() == 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
        *item == "SKU-LIMITED" || item.strip_prefix("SKU-").is_some_and(digits)
    });
    let qty = value.get("qty").and_then(Value::as_u64);
    match (item, qty) {
        (Some(item), Some(qty @ 1..=1_000)) => Reading::Placed(item.to_owned(), qty),
        _ => Reading::Invalid,
    }
}

proptest! {
    #[test]
    fn any_json_is_an_order_or_an_invalid_one(value in any_json()) {
        prop_assert_eq!(read(value.to_string().as_bytes()), due(&value));
    }

    #[test]
    fn nothing_that_breaks_off_is_an_order(value in any_json(), part in 0.0..1.0f64) {
        let object = json!({ "item_id": value, "qty": value, "x": value });
        let text = object.to_string();
        let cut = (text.len() as f64 * part) as usize;
        prop_assert_eq!(read(&text.as_bytes()[..cut]), Reading::Malformed);
    }
}
