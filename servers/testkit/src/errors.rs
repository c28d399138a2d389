//! Every row of the table of errors, and the order of precedence between them.

use crate::faults::Faults;
use crate::{Answer, Server};

const JSON: Option<&str> = Some("application/json");
const MAX_BODY_BYTES: usize = 16 * 1024;
/// Nothing is wrong with it, so an answer other than the error due would show.
const GOOD_ORDER: &[u8] = br#"{"item_id":"SKU-001","qty":1}"#;

/// Every error, with status, code, envelope, `Content-Type`, and `Allow` on a 405;
/// 404 before 405 before 400, 413 and 415 before 400, 400 before 422.
///
/// # Panics
/// With all that differs from the contract.
pub fn errors(program: &str) {
    let check = &mut Check {
        server: Server::boot(program),
        faults: Faults::default(),
    };
    not_found(check);
    method_not_allowed(check);
    invalid_parameter(check);
    payload_too_large(check);
    unsupported_media_type(check);
    malformed_json(check);
    invalid_order(check);
    out_of_stock(check);
    std::mem::take(&mut check.faults).assert_none();
}

struct Check {
    server: Server,
    faults: Faults,
}

impl Check {
    fn get(&mut self, target: &str, status: u16, code: &str) {
        self.send("GET", target, None, None, status, code);
    }

    fn order(&mut self, body: &[u8], status: u16, code: &str) {
        self.send("POST", "/api/v1/orders", JSON, Some(body), status, code);
    }

    fn send(
        &mut self,
        method: &str,
        target: &str,
        content_type: Option<&str>,
        body: Option<&[u8]>,
        status: u16,
        code: &str,
    ) -> Answer {
        let answer = self.server.send(method, target, content_type, body);
        let shown = String::from_utf8_lossy(body.unwrap_or_default()).into_owned();
        let shown: String = shown.chars().take(80).collect();
        let right = answer.status == status
            && is_envelope(&answer, code)
            && is_json(answer.header("content-type"));
        self.faults.check(right, || {
            format!(
                "{method} {target} {} {shown}\n  got {} {} {}\n  due {status} {code}",
                content_type.unwrap_or_default(),
                answer.status,
                answer.header("content-type"),
                answer.body
            )
        });
        answer
    }
}

/// `{"error":{"code":CODE,"message":TEXT}}` and nothing more.
fn is_envelope(answer: &Answer, code: &str) -> bool {
    let Some(outer) = answer.body.as_object() else {
        return false;
    };
    let Some(inner) = outer.get("error").and_then(|error| error.as_object()) else {
        return false;
    };
    outer.len() == 1
        && inner.len() == 2
        && inner.get("code").is_some_and(|found| found == code)
        && inner
            .get("message")
            .is_some_and(|message| message.is_string())
}

pub(crate) fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim() == "application/json"
}

fn not_found(check: &mut Check) {
    for target in [
        "/",
        "/nope",
        "/PING",
        "/ping/",
        "/ping/1",
        "/api/v1",
        "/api/v1/",
        "/api/v2/users",
        "/api/v1/users/",
        "/api/v1/users/1/",
        "/api/v1/users/1/orders",
        "/api/v1/orders/",
        "/api/v1/orders/1/",
        "/api/v1/users/0",
        "/api/v1/users/10001",
        "/api/v1/users/9007199254740991",
        "/api/v1/orders/0",
        "/api/v1/orders/1",
        "/api/v1/orders/9007199254740991",
        // The route comes before its parameters.
        "/api/v1/users/?limit=0",
    ] {
        check.get(target, 404, "not_found");
    }
    check.send("DELETE", "/nope", None, None, 404, "not_found");
    check.send("POST", "/ping/", None, Some(b"{"), 404, "not_found");
    check.send(
        "POST",
        "/api/v1/orders/",
        JSON,
        Some(GOOD_ORDER),
        404,
        "not_found",
    );
}

fn method_not_allowed(check: &mut Check) {
    for (target, methods) in [
        ("/ping", &["GET"][..]),
        ("/api/v1/users", &["GET"]),
        ("/api/v1/users/1", &["GET"]),
        ("/api/v1/orders", &["GET", "POST"]),
        ("/api/v1/orders/1", &["GET"]),
        // Before 400: the parameters are wrong too.
        ("/api/v1/users?limit=0", &["GET"]),
        ("/api/v1/users/abc", &["GET"]),
        ("/api/v1/orders?page=0", &["GET", "POST"]),
        ("/api/v1/orders/abc", &["GET"]),
    ] {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            if !methods.contains(&method) {
                wrong_method(check, method, target, methods, None);
                // Before 415 and 400: neither type nor body is right.
                wrong_method(check, method, target, methods, Some(b"{"));
            }
        }
    }
}

fn wrong_method(check: &mut Check, method: &str, target: &str, due: &[&str], body: Option<&[u8]>) {
    let content_type = body.map(|_| "text/plain");
    let answer = check.send(
        method,
        target,
        content_type,
        body,
        405,
        "method_not_allowed",
    );
    let allow = answer.header("allow");
    let allowed: Vec<&str> = allow.split(',').map(str::trim).collect();
    let right = due.iter().all(|method| allowed.contains(method)) && !allowed.contains(&method);
    check.faults.check(right, || {
        format!("{method} {target}\n  got Allow: {allow}\n  due Allow: {due:?}")
    });
}

fn invalid_parameter(check: &mut Check) {
    const CODE: &str = "invalid_parameter";
    for route in ["/api/v1/users", "/api/v1/orders"] {
        for value in [
            "",
            "-1",
            "%2B1",
            "+1",
            "1.0",
            "1e1",
            "0x1",
            "%201",
            "1%20",
            "abc",
            "1_0",
            "%D9%A1",
            "18446744073709551616",
            "99999999999999999999999999",
            "0",
        ] {
            check.get(&format!("{route}?limit={value}"), 400, CODE);
            check.get(&format!("{route}?page={value}"), 400, CODE);
        }
        check.get(&format!("{route}?limit=101"), 400, CODE);
        check.get(&format!("{route}?limit=18446744073709551617"), 400, CODE);
        check.get(&format!("{route}?page=1000001"), 400, CODE);
        check.get(&format!("{route}?limit=5&page=x"), 400, CODE);
        for id in [
            "abc",
            "-1",
            "+1",
            "1.5",
            "1x",
            "0x10",
            "1e3",
            "9007199254740992",
            "18446744073709551616",
            "18446744073709551617",
            "99999999999999999999999999",
        ] {
            check.get(&format!("{route}/{id}"), 400, CODE);
        }
    }
    for status in [
        "",
        "Active",
        "ACTIVE",
        "deleted",
        "active%20",
        "active,pending",
        "1",
    ] {
        check.get(&format!("/api/v1/users?status={status}"), 400, CODE);
    }
}

/// An order that can be placed, of exactly so many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let mut body = GOOD_ORDER.to_vec();
    body.resize(bytes, b' ');
    body
}

fn payload_too_large(check: &mut Check) {
    const CODE: &str = "payload_too_large";
    let largest = check.server.post_order(&padded(MAX_BODY_BYTES));
    check.faults.check(largest.status == 201, || {
        format!(
            "an order of 16,384 bytes\n  got {} {}\n  due 201",
            largest.status, largest.body
        )
    });
    check.order(&padded(MAX_BODY_BYTES + 1), 413, CODE);
    check.order(&padded(2 * MAX_BODY_BYTES), 413, CODE);
    // Before 400.
    check.order(&vec![b'x'; MAX_BODY_BYTES + 1], 413, CODE);
}

fn unsupported_media_type(check: &mut Check) {
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonx"),
        Some("text/json"),
        Some("text/plain; a=application/json"),
    ] {
        // The second and third bodies: before 400 and before 422.
        for body in [GOOD_ORDER, b"{", b"[]"] {
            let (status, code) = (415, "unsupported_media_type");
            check.send(
                "POST",
                "/api/v1/orders",
                content_type,
                Some(body),
                status,
                code,
            );
        }
    }
}

fn malformed_json(check: &mut Check) {
    for body in [
        &b""[..],
        b" ",
        b"{",
        b"}",
        b"nul",
        b"item_id=SKU-001&qty=1",
        b"{'item_id':'SKU-001','qty':1}",
        br#"{"item_id":"SKU-001","qty":1"#,
        br#"{"item_id":"SKU-001","qty":1,}"#,
        br#"{"item_id":"SKU-001","qty":01}"#,
        br#"{"item_id":"SKU-001","qty":+1}"#,
        br#"{"item_id":"SKU-001" "qty":1}"#,
        br#"{"item_id":"SKU-001","qty":1}x"#,
        br#"{"item_id":"SKU-001","qty":1}{}"#,
        b"{\"item_id\":\"SKU-001\xff\",\"qty\":1}",
        // Before 422: an early wrong type or shape in what turns out not to be JSON.
        br#"{"item_id":1,"qty":"#,
        br#"{"item_id":"nope","qty":"1","#,
        br#"{"qty":-1"#,
        br#"["SKU-001",1"#,
        br#""SKU-001"#,
    ] {
        check.order(body, 400, "malformed_json");
    }
}

fn invalid_order(check: &mut Check) {
    let items = [
        "\"SKU-1000\"",
        "\"SKU-1\"",
        "\"SKU-01\"",
        "\"SKU-0001\"",
        "\"sku-001\"",
        "\"SKU-+01\"",
        "\"SKU--01\"",
        "\" SKU-001\"",
        "\"SKU-limited\"",
        "\"SKU-\"",
        "\"\"",
        "\"LIMITED\"",
        "null",
        "1",
        "-1",
        "1.5",
        "true",
        "[]",
        "[\"SKU-001\"]",
        "{}",
        "{\"item_id\":\"SKU-001\"}",
    ];
    let quantities = [
        "0",
        "-1",
        "1001",
        "65537",
        "4294967297",
        "18446744073709551615",
        "18446744073709551617",
        "1.5",
        "\"1\"",
        "null",
        "true",
        "[]",
        "[1]",
        "{}",
        "{\"qty\":1}",
    ];
    let whole = [
        "{}",
        "[]",
        "null",
        "true",
        "1",
        "-1",
        "1.5",
        "\"SKU-001\"",
        "[\"SKU-001\",1]",
        "[{\"item_id\":\"SKU-001\",\"qty\":1}]",
        "{\"qty\":1}",
        "{\"item_id\":\"SKU-001\"}",
        "{\"order\":{\"item_id\":\"SKU-001\",\"qty\":1}}",
        "{\"Item_id\":\"SKU-001\",\"Qty\":1}",
    ];
    let by_item = items.map(|item| format!(r#"{{"item_id":{item},"qty":1}}"#));
    let by_qty = quantities.map(|qty| format!(r#"{{"item_id":"SKU-001","qty":{qty}}}"#));
    let whole = whole.map(str::to_owned);
    for body in by_item.iter().chain(&by_qty).chain(&whole) {
        check.order(body.as_bytes(), 422, "invalid_order");
    }
}

/// Of 1,000 units; what is refused takes neither units nor an id.
fn out_of_stock(check: &mut Check) {
    let body = |qty: u32| format!(r#"{{"item_id":"SKU-LIMITED","qty":{qty}}}"#).into_bytes();
    let mut ids = Vec::new();
    for (qty, enough) in [
        (999, true),
        (2, false),
        (1_000, false),
        (1, true),
        (1, false),
    ] {
        if enough {
            let answer = check.server.post_order(&body(qty));
            check.faults.check(answer.status == 201, || {
                format!(
                    "{qty} of SKU-LIMITED\n  got {} {}\n  due 201",
                    answer.status, answer.body
                )
            });
            ids.extend(answer.body["id"].as_u64());
        } else {
            check.order(&body(qty), 409, "out_of_stock");
        }
    }
    // One order was placed before, by the test of the largest body.
    check.faults.check(ids == [2, 3], || {
        format!("ids of the orders placed\n  got {ids:?}\n  due [2, 3]: a refused order takes none")
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_envelope_has_two_members_and_no_more() {
        let judge = |body: Value| {
            let headers = Default::default();
            is_envelope(
                &Answer {
                    status: 404,
                    headers,
                    body,
                },
                "not_found",
            )
        };
        assert!(judge(
            json!({"error": {"code": "not_found", "message": "any"}})
        ));
        for wrong in [
            json!({"error": {"code": "other", "message": "any"}}),
            json!({"error": {"code": "not_found"}}),
            json!({"error": {"code": "not_found", "message": 1}}),
            json!({"error": {"code": "not_found", "message": "any", "more": 1}}),
            json!({"error": {"code": "not_found", "message": "any"}, "more": 1}),
            json!({"code": "not_found", "message": "any"}),
            json!({"error": "not_found"}),
            json!("not found"),
        ] {
            assert!(!judge(wrong.clone()), "{wrong}");
        }
    }
}
