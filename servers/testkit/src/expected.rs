//! The contract's data, written out from its text.

use serde_json::{Value, json};

pub(crate) const USERS: u64 = 10_000;

const FIRST: [&str; 16] = [
    "Ada",
    "Alan",
    "Barbara",
    "Claude",
    "Donald",
    "Edsger",
    "Frances",
    "Grace",
    "Hedy",
    "John",
    "Katherine",
    "Leslie",
    "Margaret",
    "Niklaus",
    "Zoë",
    "明",
];
const LAST: [&str; 16] = [
    "Allen",
    "Backus",
    "Dijkstra",
    "Engelbart",
    "Hamilton",
    "Hopper",
    "Johnson",
    "Knuth",
    "Lamarr",
    "Lamport",
    "Liskov",
    "Lovelace",
    "Shannon",
    "Turing",
    "Wirth",
    "Łukasiewicz",
];

pub(crate) fn user(id: u64) -> Value {
    let (first, last) = (id as usize % 16, id as usize / 16 % 16);
    let name = format!("{} {}", FIRST[first], LAST[last]);
    json!({
        "id": id,
        "name": name,
        "email": format!("user{id}@example.com"),
        "status": status_of(id),
        "created_at": 1_700_000_000 + 60 * id,
    })
}

fn status_of(id: u64) -> &'static str {
    [
        "active", "active", "active", "active", "active", "active", "pending", "pending",
        "archived", "archived",
    ][id as usize % 10]
}

/// All users, or those of one status, in id order.
pub(crate) fn users(status: Option<&str>) -> Vec<Value> {
    (1..=USERS)
        .filter(|id| status.is_none_or(|status| status == status_of(*id)))
        .map(user)
        .collect()
}

/// The part of `entries` that is on a page, in the envelope of its route.
pub(crate) fn page(member: &str, entries: &[Value], limit: usize, page: usize) -> Value {
    let start = entries.len().min(limit * (page - 1));
    let end = entries.len().min(start + limit);
    json!({ member: entries[start..end], "page": page, "limit": limit, "total": entries.len() })
}

/// `SKU-000` to `SKU-999`.
pub(crate) fn item(number: u64) -> String {
    format!("SKU-{number:03}")
}

pub(crate) fn price_cents(item: &str) -> u64 {
    if item == "SKU-LIMITED" {
        return 4999;
    }
    let number: u64 = item[4..]
        .parse()
        .expect("tests name items of the catalogue");
    100 + (37 * number) % 9900
}

pub(crate) fn order(id: u64, item: &str, qty: u64) -> Value {
    let price = price_cents(item);
    json!({
        "id": id,
        "item_id": item,
        "qty": qty,
        "unit_price_cents": price,
        "total_cents": price * qty,
        "status": "created",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by hand from the contract.
    #[test]
    fn values_are_those_of_the_contract() {
        // 9999 = 624 * 16 + 15, and 624 = 39 * 16: the last first name, the first last name.
        let due = json!({
            "id": 9999, "name": "明 Allen", "email": "user9999@example.com",
            "status": "archived", "created_at": 1_700_599_940,
        });
        assert_eq!(user(9_999), due);
        assert_eq!(users(Some("pending")).len(), 2_000);
        assert_eq!(price_cents("SKU-789"), 9_493);
        assert_eq!(price_cents("SKU-LIMITED"), 4_999);
        assert_eq!(order(1, "SKU-001", 3)["total_cents"], 411);
        let last = page("x", &[json!(1), json!(2), json!(3)], 2, 2);
        assert_eq!(last, json!({"x": [3], "page": 2, "limit": 2, "total": 3}));
    }
}
