//! The actual delays, by the server's own clock.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::QUANTILES;

/// From a request's arrival until its response was written.
#[derive(Debug)]
pub(super) struct Given(Histogram<u64>);

impl Given {
    pub(super) fn new() -> anyhow::Result<Self> {
        // Up to an hour; four digits, one more than what it is compared with.
        Ok(Self(Histogram::new_with_bounds(1, 3_600_000_000_000, 4)?))
    }

    pub(super) fn add(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// The quantiles by name in nanoseconds, and the number of delays.
    pub(super) fn json(&self) -> Value {
        let mut points = serde_json::Map::new();
        if !self.0.is_empty() {
            for (name, quantile) in QUANTILES {
                points.insert(name.to_owned(), json!(self.0.value_at_quantile(quantile)));
            }
            points.insert("max".to_owned(), json!(self.0.max()));
        }
        json!({"requests": self.0.len(), "ns": points})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_has_no_quantiles() {
        let mut given = Given::new().unwrap();
        assert_eq!(given.json(), json!({"requests": 0, "ns": {}}));
        given.add(1_000);
        let told = given.json();
        assert_eq!(
            (&told["requests"], &told["ns"]["p99"], &told["ns"]["max"]),
            (&json!(1), &json!(1_000), &json!(1_000))
        );
    }
}
