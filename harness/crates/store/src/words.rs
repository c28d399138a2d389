//! Enumerations and lists as text, with the same names as in `record.json`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The name of an enumeration's value, as in `complete`.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => unreachable!("an enumeration without data is a string, not {other:?}"),
    }
}

/// The value of that name, if there is one.
pub(super) fn from_word<T: DeserializeOwned>(word: String) -> Option<T> {
    serde_json::from_value(Value::String(word)).ok()
}

pub(super) fn json<T: Serialize + ?Sized>(list: &T) -> String {
    serde_json::to_string(list).expect("strings and numbers are JSON")
}

/// A list or map from JSON, or `None` if it is something else.
pub(super) fn from_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}
