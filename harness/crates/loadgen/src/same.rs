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
    let mut json = serde_json::Deserializer::from_slice(text);
    let same = Same(value).deserialize(&mut json);
    same.and_then(|()| json.end()).is_ok()
}

/// The positive integer in the member `id` of the object `text`, if all its other members mean the same as
/// `members`.
pub fn id_beside(text: &[u8], members: &Map<String, Value>, id: &str) -> Option<u64> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let id = Some(id);
    let found = json.deserialize_map(Members { members, id }).ok()?;
    json.end().ok().and(found)
}

/// The error for valid JSON with another meaning; it ends parsing.
fn another<E: Error>() -> E {
    E::custom("another value")
}

/// Parses JSON that must mean the same as a value.
#[derive(Clone, Copy)]
struct Same<'a>(&'a Value);

impl Same<'_> {
    fn if_so<E: Error>(self, same: bool) -> Result<(), E> {
        if same { Ok(()) } else { Err(another()) }
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
        self.if_so(self.0.is_null())
    }

    fn visit_bool<E: Error>(self, read: bool) -> Result<(), E> {
        self.if_so(self.0.as_bool() == Some(read))
    }

    fn visit_u64<E: Error>(self, read: u64) -> Result<(), E> {
        self.if_so(self.0.as_u64() == Some(read))
    }

    fn visit_i64<E: Error>(self, read: i64) -> Result<(), E> {
        self.if_so(self.0.as_i64() == Some(read))
    }

    fn visit_f64<E: Error>(self, read: f64) -> Result<(), E> {
        self.if_so(self.0.is_f64() && self.0.as_f64() == Some(read))
    }

    fn visit_str<E: Error>(self, read: &str) -> Result<(), E> {
        self.if_so(self.0.as_str() == Some(read))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut read: A) -> Result<(), A::Error> {
        let Value::Array(items) = self.0 else {
            return Err(another());
        };
        for item in items {
            read.next_element_seed(Same(item))?.ok_or_else(another)?;
        }
        self.if_so(read.next_element::<IgnoredAny>()?.is_none())
    }

    fn visit_map<A: MapAccess<'de>>(self, read: A) -> Result<(), A::Error> {
        let Value::Object(members) = self.0 else {
            return Err(another());
        };
        let members = Members { members, id: None };
        members.visit_map(read).map(|_| ())
    }
}

/// Parses an object that must have the same members, plus an id if one is expected.
struct Members<'a> {
    members: &'a Map<String, Value>,
    id: Option<&'a str>,
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
                    read.next_value_seed(Same(value))?;
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
