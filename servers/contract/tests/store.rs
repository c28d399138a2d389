//! The store of orders under many threads, as servers use it.

// A test's unwrap is its assertion; the helpers here are not marked as tests themselves.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use contract::{NewOrder, Order, OrderRequest, PageParams, PageQuery, Store};
use serde_json::{Value, json};

const KEPT: u64 = 65_536;
const THREADS: u64 = 8;

fn new_order(item: &str, qty: u64) -> NewOrder {
    let request = json!({"item_id": item, "qty": qty});
    let request: OrderRequest = serde_json::from_value(request).unwrap();
    request.validate().unwrap()
}

fn query(limit: u64, page: u64) -> PageQuery {
    let params = json!({"limit": limit.to_string(), "page": page.to_string()});
    let params: PageParams = serde_json::from_value(params).unwrap();
    params.validate().unwrap()
}

fn page(store: &Store, limit: u64, number: u64) -> Value {
    serde_json::to_value(store.orders(query(limit, number))).unwrap()
}

fn ids(page: &Value) -> Vec<u64> {
    let orders = page["orders"].as_array().unwrap();
    orders
        .iter()
        .map(|order| order["id"].as_u64().unwrap())
        .collect()
}

#[test]
fn an_order_has_every_member_and_is_read_back() {
    let store = Store::new();
    let placed = store.place(new_order("SKU-789", 3)).unwrap();
    let due = json!({
        "id": 1, "item_id": "SKU-789", "qty": 3,
        // 37 * 789 = 29193; less twice 9900, plus 100.
        "unit_price_cents": 9493, "total_cents": 28479, "status": "created",
    });
    assert_eq!(serde_json::to_value(placed).unwrap(), due);
    assert_eq!(store.order(1).unwrap(), placed);
    assert_eq!(
        page(&store, 20, 1),
        json!({"orders": [due], "page": 1, "limit": 20, "total": 1})
    );
    for id in [0, 2, (1 << 53) - 1, u64::MAX] {
        assert_eq!(store.order(id).unwrap_err().code(), "not_found", "{id}");
    }
}

#[test]
fn pages_go_from_the_newest_to_the_oldest_and_no_further() {
    let store = Store::new();
    assert_eq!(
        page(&store, 5, 1),
        json!({"orders": [], "page": 1, "limit": 5, "total": 0})
    );
    for _ in 0..12 {
        store.place(new_order("SKU-001", 1)).unwrap();
    }
    assert_eq!(ids(&page(&store, 5, 1)), [12, 11, 10, 9, 8]);
    assert_eq!(ids(&page(&store, 5, 3)), [2, 1]);
    assert_eq!(ids(&page(&store, 12, 1)).len(), 12);
    let past = json!({"orders": [], "page": 4, "limit": 5, "total": 12});
    assert_eq!(page(&store, 5, 4), past);
    assert_eq!(page(&store, 100, 1_000_000)["orders"], json!([]));
}

#[test]
fn the_newest_65536_are_kept_and_the_total_counts_them_all() {
    let store = Store::new();
    let total = KEPT + 150;
    for _ in 0..total {
        store.place(new_order("SKU-002", 2)).unwrap();
    }
    let oldest = total - KEPT + 1;
    assert_eq!(store.order(oldest).unwrap().id, oldest);
    assert_eq!(store.order(oldest - 1).unwrap_err().code(), "not_found");
    assert_eq!(store.order(1).unwrap_err().code(), "not_found");
    // 65,536 is 655 pages of 100 and 36.
    let last = page(&store, 100, 656);
    assert_eq!(last["total"], total);
    let due: Vec<u64> = (oldest..oldest + 36).rev().collect();
    assert_eq!(ids(&last), due);
    let past = json!({"orders": [], "page": 657, "limit": 100, "total": total});
    assert_eq!(page(&store, 100, 657), past);
}

/// Buys more than is in stock, in steps that don't divide it.
fn buy(store: &Store, thread: u64) -> Vec<Order> {
    let item = format!("SKU-{thread:03}");
    let mut placed = Vec::new();
    for n in 0..2_000 {
        let order = store.place(new_order(&item, n % 1_000 + 1)).unwrap();
        assert_eq!(
            store.order(order.id),
            Ok(order),
            "not there once it is placed"
        );
        placed.push(order);
        placed.extend(store.place(new_order("SKU-LIMITED", thread + 3)));
    }
    placed
}

/// Ids as a page should have them: from its total downwards without a hole.
fn read_until(store: &Store, done: &AtomicBool) {
    let mut last_total = 0;
    loop {
        let page = page(store, 100, 1);
        let total = page["total"].as_u64().unwrap();
        assert!(
            total >= last_total,
            "the total fell from {last_total} to {total}"
        );
        last_total = total;
        let due: Vec<u64> = (1..=total).rev().take(100).collect();
        assert_eq!(ids(&page), due);
        for order in page["orders"].as_array().unwrap() {
            let price = order["unit_price_cents"].as_u64().unwrap();
            let qty = order["qty"].as_u64().unwrap();
            assert_eq!(order["total_cents"], price * qty, "torn: {order}");
        }
        if done.load(Ordering::Relaxed) {
            break;
        }
    }
}

#[test]
fn threads_lose_repeat_tear_and_oversell_nothing() {
    let store = &Store::new();
    let done = &AtomicBool::new(false);
    let mut placed: Vec<Order> = thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(store, done));
        let buyers: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || buy(store, thread)))
            .collect();
        let placed: Vec<_> = buyers.into_iter().map(|buyer| buyer.join()).collect();
        // Before a buyer's panic is passed on: else the reader would never end.
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        placed.into_iter().flat_map(Result::unwrap).collect()
    });
    placed.sort_unstable_by_key(|order| order.id);
    assert!(
        placed
            .iter()
            .map(|order| order.id)
            .eq(1..=placed.len() as u64)
    );
    // Each order is there with what was asked for, not with another's.
    for order in &placed {
        assert_eq!(store.order(order.id), Ok(*order));
    }
    let limited = placed
        .iter()
        .filter(|order| order.item_id.to_string() == "SKU-LIMITED");
    let sold: u64 = limited.map(|order| u64::from(order.qty)).sum();
    // The smallest step is 3: fewer than that may be left.
    assert!((998..=1_000).contains(&sold), "{sold} of 1,000 sold");
    assert_eq!(
        store.place(new_order("SKU-LIMITED", 3)).unwrap_err().code(),
        "out_of_stock"
    );
    let left = 1_000 - sold;
    assert_eq!(
        store.place(new_order("SKU-LIMITED", left.max(1))).is_ok(),
        left > 0
    );
}
