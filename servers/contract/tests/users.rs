//! The users, their index by status and their pages.

// A test's unwrap is its assertion; the helpers here are not marked as tests themselves.
#![allow(clippy::unwrap_used)]

use contract::{Store, UsersParams};
use proptest::prelude::*;
use serde_json::{Value, json};

const FIRST: &str = "Ada, Alan, Barbara, Claude, Donald, Edsger, Frances, Grace, Hedy, John, \
                     Katherine, Leslie, Margaret, Niklaus, Zoë, 明";
const LAST: &str = "Allen, Backus, Dijkstra, Engelbart, Hamilton, Hopper, Johnson, Knuth, \
                    Lamarr, Lamport, Liskov, Lovelace, Shannon, Turing, Wirth, Łukasiewicz";

/// What the contract says, in another way than the crate computes it.
fn user(id: u64) -> Value {
    let first = FIRST.split(", ").nth(id as usize % 16).unwrap();
    let last = LAST.split(", ").nth(id as usize / 16 % 16).unwrap();
    let status = match id.to_string().chars().last().unwrap() {
        '0'..='5' => "active",
        '6' | '7' => "pending",
        _ => "archived",
    };
    json!({
        "id": id,
        "name": format!("{first} {last}"),
        "email": format!("user{id}@example.com"),
        "status": status,
        "created_at": 1_700_000_000 + 60 * id,
    })
}

fn users(store: &Store, query: &Value) -> Value {
    let params: UsersParams = serde_json::from_value(query.clone()).unwrap();
    serde_json::to_value(store.users(params.validate().unwrap())).unwrap()
}

/// By scanning all users, which the index must agree with.
fn due(status: Option<&str>, limit: usize, page: usize) -> Value {
    let matching: Vec<Value> = (1..=10_000)
        .map(user)
        .filter(|user| status.is_none_or(|status| user["status"] == status))
        .collect();
    let shown: Vec<&Value> = matching
        .iter()
        .skip(limit * (page - 1))
        .take(limit)
        .collect();
    json!({"users": shown, "page": page, "limit": limit, "total": matching.len()})
}

#[test]
fn every_user_has_every_field() {
    let store = Store::new();
    for id in 1..=10_000 {
        assert_eq!(
            serde_json::to_value(store.user(id).unwrap()).unwrap(),
            user(id)
        );
    }
    for id in [0, 10_001, (1 << 53) - 1, u64::MAX] {
        assert_eq!(store.user(id).unwrap_err().code(), "not_found", "{id}");
    }
}

#[test]
fn totals_are_of_all_that_match() {
    let store = Store::new();
    let total = |query: Value| users(&store, &query)["total"].clone();
    assert_eq!(total(json!({})), 10_000);
    assert_eq!(total(json!({"status": "active"})), 6_000);
    assert_eq!(total(json!({"status": "pending"})), 2_000);
    assert_eq!(total(json!({"status": "archived"})), 2_000);
}

#[test]
fn pages_end_with_the_users() {
    let store = Store::new();
    for (status, limit, page) in [
        (None, 20, 1),
        (None, 100, 100),
        (None, 100, 101),
        (None, 30, 334),
        (None, 30, 335),
        (Some("active"), 7, 858),
        (Some("pending"), 100, 21),
        (Some("archived"), 1, 2_000),
        (Some("archived"), 1, 2_001),
        (Some("active"), 100, 1_000_000),
    ] {
        let mut query = json!({"limit": limit.to_string(), "page": page.to_string()});
        if let Some(status) = status {
            query["status"] = status.into();
        }
        assert_eq!(users(&store, &query), due(status, limit, page), "{query}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_page_is_what_a_scan_finds(
        status in prop::option::of(prop::sample::select(vec!["active", "pending", "archived"])),
        limit in 1..=100usize,
        page in 1..=700usize,
    ) {
        let mut query = json!({"limit": limit.to_string(), "page": page.to_string()});
        if let Some(status) = status {
            query["status"] = status.into();
        }
        prop_assert_eq!(users(&Store::new(), &query), due(status, limit, page));
    }
}
