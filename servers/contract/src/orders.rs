//! Orders as placed: their values, their pages, the stock.

use std::sync::atomic::{AtomicU16, Ordering};

use serde::Serialize;

use crate::ledger::{Ledger, StoredOrder};
use crate::{ApiError, NewOrder, PageQuery, Sku};

/// An order as placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Order {
    /// Counts up from 1.
    pub id: u64,
    /// The item.
    pub item_id: Sku,
    /// Units, 1 to 1,000.
    pub qty: u16,
    /// The price of one unit.
    pub unit_price_cents: u64,
    /// Price times units.
    pub total_cents: u64,
    /// Always `created`.
    pub status: &'static str,
}

impl Order {
    fn new(id: u64, entry: StoredOrder) -> Self {
        let item = Sku::from_number(entry.item);
        let unit_price_cents = item.unit_price_cents();
        Self {
            id,
            item_id: item,
            qty: entry.qty,
            unit_price_cents,
            total_cents: unit_price_cents * u64::from(entry.qty),
            status: "created",
        }
    }
}

/// A page of orders, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct OrderPage {
    orders: Vec<Order>,
    page: u64,
    limit: u64,
    total: u64,
}

/// The newest orders, and the stock of the one limited item.
#[derive(Debug)]
pub(crate) struct Orders {
    ledger: Ledger,
    limited_left: AtomicU16,
}

impl Orders {
    pub(crate) fn new() -> Self {
        Self {
            ledger: Ledger::new(),
            limited_left: AtomicU16::new(Sku::LIMITED_UNITS),
        }
    }

    /// Stock first, then an id: what is refused takes neither, and once the stock is
    /// taken nothing can fail.
    pub(crate) fn place(&self, order: NewOrder) -> Result<Order, ApiError> {
        if order.item == Sku::LIMITED {
            self.take_limited(order.qty)?;
        }
        let entry = StoredOrder {
            item: order.item.number(),
            qty: order.qty,
        };
        Ok(Order::new(self.ledger.append(entry), entry))
    }

    fn take_limited(&self, qty: u16) -> Result<(), ApiError> {
        // Relaxed: the count guards no other memory, and each change is one atomic step.
        let take = |left: u16| left.checked_sub(qty);
        self.limited_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .map(drop)
            .map_err(|_| ApiError::OutOfStock)
    }

    pub(crate) fn get(&self, id: u64) -> Option<Order> {
        self.ledger.get(id).map(|entry| Order::new(id, entry))
    }

    pub(crate) fn page(&self, query: PageQuery) -> OrderPage {
        let mut orders = Vec::with_capacity(query.limit as usize);
        let total = self.ledger.page(query.offset(), query.limit, |id, entry| {
            orders.push(Order::new(id, entry));
        });
        OrderPage {
            orders,
            page: query.page,
            limit: query.limit,
            total,
        }
    }
}
