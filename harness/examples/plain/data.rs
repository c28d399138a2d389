//! Users, catalogue and orders.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

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
const USERS: u64 = 10_000;
const KEPT: usize = 65_536;
const LIMITED: &str = "SKU-LIMITED";

/// Entries of a page and its number, from 1.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    pub(crate) limit: u64,
    pub(crate) page: u64,
}

impl Page {
    fn skip(self) -> usize {
        usize::try_from((self.page - 1) * self.limit).unwrap_or(usize::MAX)
    }

    fn json(self, name: &str, entries: &[String], total: u64) -> String {
        format!(
            r#"{{"{name}":[{}],"page":{},"limit":{},"total":{total}}}"#,
            entries.join(","),
            self.page,
            self.limit
        )
    }
}

fn status(id: u64) -> &'static str {
    match id % 10 {
        0..=5 => "active",
        6 | 7 => "pending",
        _ => "archived",
    }
}

/// A user as JSON, where there is one.
pub(crate) fn user(id: u64) -> Option<String> {
    if !(1..=USERS).contains(&id) {
        return None;
    }
    Some(format!(
        r#"{{"id":{id},"name":"{} {}","email":"user{id}@example.com","status":"{}","created_at":{}}}"#,
        FIRST[(id % 16) as usize],
        LAST[(id / 16 % 16) as usize],
        status(id),
        1_700_000_000 + 60 * id
    ))
}

/// A page of users as JSON.
pub(crate) fn users(wanted: Option<&str>, page: Page) -> String {
    let matching = || (1..=USERS).filter(|id| wanted.is_none_or(|wanted| status(*id) == wanted));
    let on_page: Vec<String> = matching()
        .skip(page.skip())
        .take(page.limit as usize)
        .filter_map(user)
        .collect();
    page.json("users", &on_page, matching().count() as u64)
}

/// The price of an item, where there is one of that name.
pub(crate) fn price(item: &str) -> Option<u64> {
    if item == LIMITED {
        return Some(4_999);
    }
    let digits = item.strip_prefix("SKU-")?;
    let three = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| three)?;
    Some(100 + 37 * number % 9_900)
}

/// All orders, and the stock of the item that has one.
pub(crate) struct Orders {
    state: Mutex<State>,
}

struct State {
    /// As JSON, the oldest that is kept first.
    kept: VecDeque<String>,
    total: u64,
    limited_left: u64,
}

impl Orders {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                kept: VecDeque::new(),
                total: 0,
                limited_left: 1_000,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The order as JSON; `None` where too few units are left.
    pub(crate) fn place(&self, item: &str, qty: u64, price: u64) -> Option<String> {
        let mut state = self.lock();
        if item == LIMITED {
            state.limited_left = state.limited_left.checked_sub(qty)?;
        }
        state.total += 1;
        let order = format!(
            r#"{{"id":{},"item_id":"{item}","qty":{qty},"unit_price_cents":{price},"total_cents":{},"status":"created"}}"#,
            state.total,
            price * qty
        );
        state.kept.push_back(order.clone());
        if state.kept.len() > KEPT {
            state.kept.pop_front();
        }
        Some(order)
    }

    pub(crate) fn get(&self, id: u64) -> Option<String> {
        let state = self.lock();
        let after = usize::try_from(state.total.checked_sub(id)?).ok()?;
        let place = state.kept.len().checked_sub(after + 1)?;
        state.kept.get(place).cloned()
    }

    pub(crate) fn page(&self, page: Page) -> String {
        let state = self.lock();
        let newest = state.kept.iter().rev().skip(page.skip());
        let on_page: Vec<String> = newest.take(page.limit as usize).cloned().collect();
        page.json("orders", &on_page, state.total)
    }
}
