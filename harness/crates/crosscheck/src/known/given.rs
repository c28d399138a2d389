//! The actual delays, by the server's own clock.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::QUANTILES;

/// What came, and how long it took.
#[derive(Debug)]
pub(super) struct Given {
    /// From a request's arrival until its response was written.
    delays: Histogram<u64>,
    /// Those that brought a delayed request.
    connections: u64,
    /// The most requests that waited at the same time, since it was last reported.
    most: usize,
}

impl Given {
    pub(super) fn new() -> anyhow::Result<Self> {
        // Up to an hour; four digits, one more than what it is compared with.
        Ok(Self {
            delays: Histogram::new_with_bounds(1, 3_600_000_000_000, 4)?,
            connections: 0,
            most: 0,
        })
    }

    pub(super) fn add(&mut self, ns: u64) {
        self.delays.saturating_record(ns);
    }

    /// A request came; now so many wait.
    pub(super) fn count(&mut self, on_new_connection: bool, waiting: usize) {
        self.connections += u64::from(on_new_connection);
        self.most = self.most.max(waiting);
    }

    /// The most at the same time has been reported; now so many wait.
    pub(super) fn restart_most(&mut self, waiting: usize) {
        self.most = waiting;
    }

    /// The quantiles by name in nanoseconds, and the number of delays, of connections, and of requests at the same time.
    pub(super) fn json(&self) -> Value {
        let mut points = serde_json::Map::new();
        if !self.delays.is_empty() {
            for (name, quantile) in QUANTILES {
                points.insert(
                    name.to_owned(),
                    json!(self.delays.value_at_quantile(quantile)),
                );
            }
            points.insert("max".to_owned(), json!(self.delays.max()));
        }
        json!({
            "requests": self.delays.len(),
            "connections": self.connections,
            "most_at_once": self.most,
            "ns": points,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_has_no_quantiles() {
        let mut given = Given::new().unwrap();
        let nothing = json!({"requests": 0, "connections": 0, "most_at_once": 0, "ns": {}});
        assert_eq!(given.json(), nothing);
        given.count(true, 1);
        given.count(false, 2);
        given.add(1_000);
        let told = given.json();
        assert_eq!(
            (&told["requests"], &told["ns"]["p99"], &told["ns"]["max"]),
            (&json!(1), &json!(1_000), &json!(1_000))
        );
        assert_eq!(
            (&told["connections"], &told["most_at_once"]),
            (&json!(1), &json!(2))
        );
        given.restart_most(0);
        assert_eq!(given.json()["most_at_once"], 0);
    }
}
