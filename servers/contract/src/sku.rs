//! The catalogue.

use std::fmt;

use serde::{Serialize, Serializer};

/// An item of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sku(u16);

impl Sku {
    const NUMBERED: u16 = 1_000;
    pub(crate) const LIMITED: Self = Self(Self::NUMBERED);
    /// Units of [`Sku::LIMITED`] at the start; the others have no limit.
    pub(crate) const LIMITED_UNITS: u16 = 1_000;

    /// Finds `SKU-000` to `SKU-999` and `SKU-LIMITED`.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SKU-")?;
        if rest == "LIMITED" {
            return Some(Self::LIMITED);
        }
        let digits = rest.len() == 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| rest.parse().ok().map(Self)).flatten()
    }

    /// 0 to 1,000; the last is the limited one.
    pub(crate) fn number(self) -> u16 {
        self.0
    }

    /// The item that [`Sku::number`] gave this number.
    pub(crate) fn from_number(number: u16) -> Self {
        debug_assert!(number <= Self::NUMBERED, "no item has number {number}");
        Self(number)
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
