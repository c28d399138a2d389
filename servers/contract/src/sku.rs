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
        if *self == Self::LIMITED {
            return to.serialize_str("SKU-LIMITED");
        }
        // Up to a hundred times a page, and formatting costs several times as much.
        let digit = |place: u16| b'0' + (self.0 / place % 10) as u8;
        let name = [b'S', b'K', b'U', b'-', digit(100), digit(10), digit(1)];
        to.serialize_str(std::str::from_utf8(&name).expect("it is ASCII"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_found_by_its_name_and_has_its_price() {
        for number in 0..1_000u16 {
            let name = format!("SKU-{number:03}");
            let sku = Sku::parse(&name).unwrap();
            assert_eq!(sku.to_string(), name);
            assert_eq!(serde_json::to_value(sku).unwrap(), name);
            assert_eq!(Sku::from_number(sku.number()), sku);
            let due = 100 + (37 * u64::from(number)) % 9_900;
            assert_eq!(sku.unit_price_cents(), due, "{name}");
        }
        let limited = Sku::parse("SKU-LIMITED").unwrap();
        assert_eq!(limited.to_string(), "SKU-LIMITED");
        assert_eq!(serde_json::to_value(limited).unwrap(), "SKU-LIMITED");
        assert_eq!(Sku::from_number(limited.number()), limited);
        assert_eq!(limited.unit_price_cents(), 4_999);
    }

    #[test]
    fn nothing_else_is_an_item() {
        for wrong in [
            "",
            "SKU-",
            "SKU-1",
            "SKU-01",
            "SKU-0001",
            "SKU-1000",
            "SKU-+01",
            "SKU--01",
            "sku-001",
            " SKU-001",
            "SKU-001 ",
            "SKU-limited",
            "LIMITED",
            "SKU-00١",
            "SKU-SKU-001",
        ] {
            assert_eq!(Sku::parse(wrong), None, "{wrong}");
        }
    }
}
