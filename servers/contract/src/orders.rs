//! Orders: what a client sends, the catalogue, and the store of the newest ones.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::{ApiError, PageQuery};

/// How many of the newest orders are kept.
const KEPT: usize = 65_536;
const MAX_QTY: u64 = 1_000;
const LIMITED_UNITS: u32 = 1_000;

/// An item of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sku(u16);

impl Sku {
    const NUMBERED: u16 = 1_000;
    const LIMITED: Self = Self(Self::NUMBERED);

    /// Finds `SKU-000` to `SKU-999` and `SKU-LIMITED`.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SKU-")?;
        if rest == "LIMITED" {
            return Some(Self::LIMITED);
        }
        let digits = rest.len() == 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| rest.parse().ok().map(Self)).flatten()
    }

    /// The price of one unit, in cents.
    pub fn unit_price_cents(self) -> u64 {
        if self == Self::LIMITED {
            4_999
        } else {
            100 + (37 * u64::from(self.0)) % 9_900
        }
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::LIMITED {
            f.write_str("SKU-LIMITED")
        } else {
            write!(f, "SKU-{:03}", self.0)
        }
    }
}

impl Serialize for Sku {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The body of `POST /api/v1/orders` as it arrives: any JSON at all.
///
/// Reading it fails only where the body is not JSON, which is `malformed_json`; JSON
/// of the wrong shape is read to its end and refused by [`OrderRequest::validate`],
/// which is `invalid_order`. So the two can't be mixed up, whichever comes first in
/// the text.
#[derive(Debug, Clone, Default)]
pub struct OrderRequest {
    item_id: Option<String>,
    qty: Option<u64>,
}

impl OrderRequest {
    /// Checks shape, item and quantity.
    ///
    /// # Errors
    /// [`ApiError::InvalidOrder`] names what is wrong.
    pub fn validate(self) -> Result<NewOrder, ApiError> {
        let invalid = |why: &'static str| ApiError::InvalidOrder(why.into());
        let item_id = self.item_id.ok_or_else(|| invalid("item_id is a string"))?;
        let item = Sku::parse(&item_id).ok_or_else(|| invalid("no such item"))?;
        let qty = self
            .qty
            .filter(|qty| (1..=MAX_QTY).contains(qty))
            .ok_or_else(|| invalid("qty is a whole number from 1 to 1000"))?;
        Ok(NewOrder {
            item,
            qty: qty as u16,
        })
    }
}

impl<'de> Deserialize<'de> for OrderRequest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyOrder)
    }
}

/// Reads any JSON value; what is not an object is an order without members.
struct AnyOrder;

impl<'de> Visitor<'de> for AnyOrder {
    type Value = OrderRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an order")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OrderRequest, A::Error> {
        let mut order = OrderRequest::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "item_id" => order.item_id = map.next_value::<Member>()?.text(),
                "qty" => order.qty = map.next_value::<Member>()?.number(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(order)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OrderRequest, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(OrderRequest::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<OrderRequest, E> {
        Ok(OrderRequest::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<OrderRequest, E> {
        Ok(OrderRequest::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<OrderRequest, E> {
        Ok(OrderRequest::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<OrderRequest, E> {
        Ok(OrderRequest::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<OrderRequest, E> {
        Ok(OrderRequest::default())
    }

    fn visit_unit<E>(self) -> Result<OrderRequest, E> {
        Ok(OrderRequest::default())
    }
}

/// The value of a member that matters.
enum Member {
    Text(String),
    Number(u64),
    Other,
}

impl Member {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyMember)
    }
}

struct AnyMember;

impl<'de> Visitor<'de> for AnyMember {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Member, E> {
        Ok(Member::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Member, E> {
        Ok(Member::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_unit<E>(self) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Member, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}

/// An order that can be placed, if there is stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    item: Sku,
    qty: u16,
}

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
    fn new(id: u64, NewOrder { item, qty }: NewOrder) -> Self {
        let unit_price_cents = item.unit_price_cents();
        Self {
            id,
            item_id: item,
            qty,
            unit_price_cents,
            total_cents: unit_price_cents * u64::from(qty),
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

/// The newest orders and the stock, under one lock.
#[derive(Debug)]
pub(crate) struct Orders {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Oldest first; the last one's id is `total`.
    newest: VecDeque<NewOrder>,
    /// Orders ever accepted.
    total: u64,
    limited_left: u32,
}

impl Orders {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                newest: VecDeque::with_capacity(KEPT),
                total: 0,
                limited_left: LIMITED_UNITS,
            }),
        }
    }

    pub(crate) fn place(&self, order: NewOrder) -> Result<Order, ApiError> {
        let mut state = self.lock();
        if order.item == Sku::LIMITED {
            state.limited_left = state
                .limited_left
                .checked_sub(u32::from(order.qty))
                .ok_or(ApiError::OutOfStock)?;
        }
        if state.newest.len() == KEPT {
            state.newest.pop_front();
        }
        state.newest.push_back(order);
        state.total += 1;
        Ok(Order::new(state.total, order))
    }

    pub(crate) fn get(&self, id: u64) -> Option<Order> {
        let state = self.lock();
        state.find(id)
    }

    pub(crate) fn page(&self, query: PageQuery) -> OrderPage {
        let state = self.lock();
        let newest_id = state.total.saturating_sub(query.offset());
        let oldest_id = newest_id.saturating_sub(query.limit) + 1;
        OrderPage {
            orders: (oldest_id..=newest_id)
                .rev()
                .map_while(|id| state.find(id))
                .collect(),
            page: query.page,
            limit: query.limit,
            total: state.total,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can leave the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&self, id: u64) -> Option<Order> {
        let oldest_id = self.total + 1 - self.newest.len() as u64;
        let position = usize::try_from(id.checked_sub(oldest_id)?).ok()?;
        self.newest
            .get(position)
            .map(|order| Order::new(id, *order))
    }
}
