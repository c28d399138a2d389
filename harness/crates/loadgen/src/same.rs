//! Compares JSON with an accepted value by meaning.
//!
//! Compares while parsing, without building a value. So a server whose bodies differ in white space or in the
//! order of members costs no allocation per response either (except for escapes in strings, and for objects of
//! more than [`FEW`] members).

use std::collections::HashSet;
use std::fmt;
use std::num::NonZeroU64;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Number of members whose flags fit one word.
const FEW: usize = 64;

/// Whether `text` is JSON for `value`: each member once and in any order, any white space and escapes. Numbers
/// are compared as in `serde_json`: 1.0 differs from 1, as it does to a reader that expects an integer. Nesting
/// deeper than 128 is rejected.
pub fn means(text: &[u8], value: &Value) -> bool {
    parses(text, Same { value, exact: true })
}

/// Whether `text` is JSON of the same shape as `value`: objects with the same members, and values of the same type. Each
/// element of an array must have the shape of the first one of `value`; if that is empty, the array may hold anything.
pub fn has_shape(text: &[u8], value: &Value) -> bool {
    let exact = false;
    parses(text, Same { value, exact })
}

fn parses(text: &[u8], same: Same<'_>) -> bool {
    let mut json = serde_json::Deserializer::from_slice(text);
    let parsed = same.deserialize(&mut json);
    parsed.and_then(|()| json.end()).is_ok()
}

/// The positive integer in the member `id` of the object `text`, if all its other members mean the same as
/// `members`.
pub fn id_beside(text: &[u8], members: &Map<String, Value>, id: &str) -> Option<u64> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let id = Some(id);
    let exact = true;
    let found = json.deserialize_map(Members { members, id, exact }).ok()?;
    json.end().ok().and(found)
}

/// The error for valid JSON with another meaning; it ends parsing.
fn another<E: Error>() -> E {
    E::custom("another value")
}

/// Parses JSON that must mean the same as a value, or only have its shape.
#[derive(Clone, Copy)]
struct Same<'a> {
    value: &'a Value,
    exact: bool,
}

impl Same<'_> {
    fn if_so<E: Error>(self, same: bool) -> Result<(), E> {
        if same { Ok(()) } else { Err(another()) }
    }

    fn is_any_number(self) -> bool {
        !self.exact && self.value.is_number()
    }
}

impl<'de> DeserializeSeed<'de> for Same<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Same<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the accepted value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.if_so(self.value.is_null())
    }

    fn visit_bool<E: Error>(self, read: bool) -> Result<(), E> {
        let as_shaped = !self.exact && self.value.is_boolean();
        self.if_so(as_shaped || self.value.as_bool() == Some(read))
    }

    fn visit_u64<E: Error>(self, read: u64) -> Result<(), E> {
        self.if_so(self.is_any_number() || self.value.as_u64() == Some(read))
    }

    fn visit_i64<E: Error>(self, read: i64) -> Result<(), E> {
        self.if_so(self.is_any_number() || self.value.as_i64() == Some(read))
    }

    fn visit_f64<E: Error>(self, read: f64) -> Result<(), E> {
        let equal = self.value.is_f64() && self.value.as_f64() == Some(read);
        self.if_so(self.is_any_number() || equal)
    }

    fn visit_str<E: Error>(self, read: &str) -> Result<(), E> {
        let as_shaped = !self.exact && self.value.is_string();
        self.if_so(as_shaped || self.value.as_str() == Some(read))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut read: A) -> Result<(), A::Error> {
        let Value::Array(items) = self.value else {
            return Err(another());
        };
        let exact = self.exact;
        if !exact && let Some(value) = items.first() {
            while read.next_element_seed(Same { value, exact })?.is_some() {}
            return Ok(());
        }
        if !exact {
            while read.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        for value in items {
            let read = read.next_element_seed(Same { value, exact })?;
            read.ok_or_else(another)?;
        }
        self.if_so(read.next_element::<IgnoredAny>()?.is_none())
    }

    fn visit_map<A: MapAccess<'de>>(self, read: A) -> Result<(), A::Error> {
        let Value::Object(members) = self.value else {
            return Err(another());
        };
        let (id, exact) = (None, self.exact);
        let members = Members { members, id, exact };
        members.visit_map(read).map(|_| ())
    }
}

/// Parses an object that must have the same members, plus an id if one is expected.
struct Members<'a> {
    members: &'a Map<String, Value>,
    id: Option<&'a str>,
    exact: bool,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the accepted object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut read: A) -> Result<Option<u64>, A::Error> {
        let mut id = None;
        let mut seen = Seen::new(self.members.len());
        let mut next = 0;
        while let Some(found) = read.next_key_seed(Key {
            of: &self,
            likely: next,
        })? {
            match found {
                KeyMeaning::Id => {
                    let number = read.next_value::<NonZeroU64>()?;
                    if id.replace(number.get()).is_some() {
                        return Err(another());
                    }
                }
                KeyMeaning::Member { place, value } => {
                    if !seen.insert(place) {
                        return Err(another());
                    }
                    let exact = self.exact;
                    read.next_value_seed(Same { value, exact })?;
                    next = place.wrapping_add(1);
                }
            }
        }
        // If the accepted object includes its own id, that is not compared.
        let beside = self.id.is_some_and(|id| self.members.contains_key(id));
        let all = seen.count() + usize::from(beside) == self.members.len();
        if all && id.is_some() == self.id.is_some() {
            Ok(id)
        } else {
            Err(another())
        }
    }
}

/// The meaning of a member's name.
enum KeyMeaning<'a> {
    Id,
    Member {
        /// Its index; in a large object, its address.
        place: usize,
        value: &'a Value,
    },
}

/// Parses the name of a member.
struct Key<'a> {
    of: &'a Members<'a>,
    /// The index of the next member if the order is the same.
    likely: usize,
}

impl<'a> Key<'a> {
    fn find(&self, name: &str) -> Option<KeyMeaning<'a>> {
        let members = self.of.members;
        if self.of.id == Some(name) {
            return Some(KeyMeaning::Id);
        }
        if members.len() > FEW {
            let value = members.get(name)?;
            let place = std::ptr::from_ref(value) as usize;
            return Some(KeyMeaning::Member { place, value });
        }
        let is = |(_, (other, _)): &(usize, (&String, &Value))| *other == name;
        let mut all = members.iter().enumerate();
        let likely = all.nth(self.likely).filter(is);
        let found = likely.or_else(|| members.iter().enumerate().find(is));
        found.map(|(place, (_, value))| KeyMeaning::Member { place, value })
    }
}

impl<'de, 'a> DeserializeSeed<'de> for Key<'a> {
    type Value = KeyMeaning<'a>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<KeyMeaning<'a>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Key<'a> {
    type Value = KeyMeaning<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an accepted member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<KeyMeaning<'a>, E> {
        self.find(name).ok_or_else(another)
    }
}

/// The members seen so far.
enum Seen {
    Few(u64),
    Many(HashSet<usize>),
}

impl Seen {
    /// For an object with this many members.
    fn new(members: usize) -> Self {
        if members > FEW {
            Self::Many(HashSet::with_capacity(members))
        } else {
            Self::Few(0)
        }
    }

    /// Marks the member at `place`; returns whether it is new.
    fn insert(&mut self, place: usize) -> bool {
        match self {
            Self::Few(bits) => {
                let bit = 1 << place;
                let new = *bits & bit == 0;
                *bits |= bit;
                new
            }
            Self::Many(places) => places.insert(place),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Few(bits) => bits.count_ones() as usize,
            Self::Many(places) => places.len(),
        }
    }
}

#[cfg(test)]
#[path = "same_tests.rs"]
mod tests;
