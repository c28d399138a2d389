//! Every route, and every value behind it.

use serde_json::{Value, json};

use crate::expected::{self, item, order, page, user, users};
use crate::faults::Faults;
use crate::{Answer, Server};

/// Every route with its parameters, all users by page and by status, one order of every
/// numbered item, each read back.
///
/// # Panics
/// With all that differs from the contract.
pub fn routes(program: &str) {
    let server = Server::boot(program);
    let mut faults = Faults::default();
    ping(&server, &mut faults);
    single_users(&server, &mut faults);
    users_pages(&server, &mut faults);
    no_orders_yet(&server, &mut faults);
    let placed = place_orders(&server, &mut faults);
    read_back(&server, &mut faults, &placed);
    faults.assert_none();
}

fn get(server: &Server, faults: &mut Faults, target: &str, body: &Value) {
    let request = format!("GET {target}");
    faults.check_answer(&request, &server.get(target), 200, body);
}

fn ping(server: &Server, faults: &mut Faults) {
    get(server, faults, "/ping", &json!({"status": "ok"}));
    get(server, faults, "/ping?a=1", &json!({"status": "ok"}));
}

fn single_users(server: &Server, faults: &mut Faults) {
    for id in (1..=expected::USERS).step_by(97).chain([9_999, 10_000]) {
        get(server, faults, &format!("/api/v1/users/{id}"), &user(id));
    }
}

fn users_pages(server: &Server, faults: &mut Faults) {
    for status in [None, Some("active"), Some("pending"), Some("archived")] {
        let matching = users(status);
        let filter = status.map_or(String::new(), |status| format!("status={status}&"));
        let mut check = |query: &str, limit: usize, number: usize| {
            let target = format!("/api/v1/users?{filter}{query}");
            get(
                server,
                faults,
                &target,
                &page("users", &matching, limit, number),
            );
        };
        for number in 1..=matching.len() / 100 + 1 {
            check(&format!("limit=100&page={number}"), 100, number);
        }
        check("", 20, 1);
        check("page=3", 20, 3);
        check("limit=1", 1, 1);
        check("page=2&limit=7", 7, 2);
        // The last page of 30 is not full, except that of the archived and the pending.
        check("limit=30&page=334", 30, 334);
        check("limit=100&page=1000000", 100, 1_000_000);
        check("colour=red&limit=3&x", 3, 1);
        check("limit=%31%30&page=%32", 10, 2);
    }
    let bare = page("users", &users(None), 20, 1);
    get(server, faults, "/api/v1/users", &bare);
    let decoded = page("users", &users(Some("active")), 20, 1);
    get(server, faults, "/api/v1/users?status=%61ctiv%65", &decoded);
}

fn no_orders_yet(server: &Server, faults: &mut Faults) {
    get(
        server,
        faults,
        "/api/v1/orders",
        &page("orders", &[], 20, 1),
    );
    let none = page("orders", &[], 7, 1_000_000);
    get(server, faults, "/api/v1/orders?limit=7&page=1000000", &none);
}

/// All that was accepted, in order of id.
fn place_orders(server: &Server, faults: &mut Faults) -> Vec<Value> {
    let mut placed = Vec::new();
    let mut accepted = |request: &str, answer: &Answer, item: &str, qty: u64| {
        let due = order(placed.len() as u64 + 1, item, qty);
        faults.check_answer(request, answer, 201, &due);
        placed.push(due);
    };
    for number in 0..1_000 {
        let (item, qty) = (item(number), number + 1);
        let body = format!(r#"{{"item_id":"{item}","qty":{qty}}}"#);
        accepted(&body, &server.post_order(body.as_bytes()), &item, qty);
    }
    for (body, item, qty) in [
        (r#"{"item_id":"SKU-LIMITED","qty":1}"#, "SKU-LIMITED", 1),
        (
            " {\n\t\"qty\" : 2 ,\r\n \"item_id\" : \"SKU-789\" } ",
            "SKU-789",
            2,
        ),
        (
            r#"{"a":[1,{"qty":9}],"item_id":"SKU-001","b":null,"qty":3,"c":{"d":"e"}}"#,
            "SKU-001",
            3,
        ),
        (r#"{"item_id":"\u0053KU-002","qty":4}"#, "SKU-002", 4),
    ] {
        accepted(body, &server.post_order(body.as_bytes()), item, qty);
    }
    for content_type in [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
    ] {
        let body = br#"{"item_id":"SKU-500","qty":1}"#;
        let answer = server.send("POST", "/api/v1/orders", Some(content_type), Some(body));
        accepted(content_type, &answer, "SKU-500", 1);
    }
    let answer = server.send(
        "POST",
        "/api/v1/orders?limit=0",
        Some("application/json"),
        Some(br#"{"item_id":"SKU-501","qty":1}"#),
    );
    accepted("POST with an unknown parameter", &answer, "SKU-501", 1);
    placed
}

fn read_back(server: &Server, faults: &mut Faults, placed: &[Value]) {
    for (id, due) in (1..).zip(placed) {
        get(server, faults, &format!("/api/v1/orders/{id}"), due);
    }
    let newest_first: Vec<Value> = placed.iter().rev().cloned().collect();
    let mut check = |query: &str, limit: usize, number: usize| {
        let target = format!("/api/v1/orders{query}");
        get(
            server,
            faults,
            &target,
            &page("orders", &newest_first, limit, number),
        );
    };
    for number in 1..=placed.len() / 100 + 2 {
        check(&format!("?limit=100&page={number}"), 100, number);
    }
    check("", 20, 1);
    check("?page=2", 20, 2);
    check("?limit=1", 1, 1);
    check("?limit=%33&x=y&status=none", 3, 1);
    check("?page=1000000&limit=100", 100, 1_000_000);
}
