//! What a client sends to place an order, and what it is once checked.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{ApiError, Sku};

const MAX_QTY: u64 = 1_000;

/// The body of `POST /api/v1/orders` as it arrives: any JSON at all.
///
/// Reading it fails only where the body is not JSON, which is `malformed_json`; JSON
/// of the wrong shape is read to its end and refused by [`OrderRequest::validate`],
/// which is `invalid_order`. So the two can't be mixed up, whichever comes first in
/// the text.
#[derive(Debug, Clone, Default)]
pub struct OrderRequest {
    /// Absent unless it is a string; then the item of that name, if there is one.
    item_id: Option<Option<Sku>>,
    qty: Option<u64>,
}

impl OrderRequest {
    /// Checks shape, item and quantity.
    ///
    /// # Errors
    /// [`ApiError::InvalidOrder`] names what is wrong.
    pub fn validate(self) -> Result<NewOrder, ApiError> {
        let invalid = |why: &'static str| ApiError::InvalidOrder(why.into());
        let item = self.item_id.ok_or_else(|| invalid("item_id is a string"))?;
        let item = item.ok_or_else(|| invalid("no such item"))?;
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
        while let Some(name) = map.next_key()? {
            match name {
                Name::ItemId => order.item_id = map.next_value::<MemberValue>()?.item(),
                Name::Qty => order.qty = map.next_value::<MemberValue>()?.number(),
                Name::Other => {
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

/// The name of a member.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    ItemId,
    Qty,
    #[serde(other)]
    Other,
}

/// The value of a member that matters. A text is read as an item at once, so that it needs no copy.
enum MemberValue {
    Text(Option<Sku>),
    Number(u64),
    Other,
}

impl MemberValue {
    fn item(self) -> Option<Option<Sku>> {
        match self {
            Self::Text(item) => Some(item),
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

impl<'de> Deserialize<'de> for MemberValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyMember)
    }
}

struct AnyMember;

impl<'de> Visitor<'de> for AnyMember {
    type Value = MemberValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<MemberValue, E> {
        Ok(MemberValue::Text(Sku::parse(text)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<MemberValue, E> {
        Ok(MemberValue::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<MemberValue, E> {
        Ok(MemberValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<MemberValue, E> {
        Ok(MemberValue::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<MemberValue, E> {
        Ok(MemberValue::Other)
    }

    fn visit_unit<E>(self) -> Result<MemberValue, E> {
        Ok(MemberValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<MemberValue, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(MemberValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MemberValue, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(MemberValue::Other)
    }
}

/// An order that can be placed, if there is stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    pub(crate) item: Sku,
    /// 1 to 1,000.
    pub(crate) qty: u16,
}
