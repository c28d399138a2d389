//! The shown points of a distribution, and times in readable form.

use hdrhistogram::{Counter, Histogram};
use serde_json::{Map, Value, json};

use loadgen::Bounds;

/// The points in the table; the maximum follows them.
pub(super) const SHOWN: [(&str, f64); 7] = [
    ("p50", 0.50),
    ("p75", 0.75),
    ("p90", 0.90),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

/// The points in JSON, nanoseconds; null if nothing was recorded.
pub(super) fn json<C: Counter>(histogram: &Histogram<C>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let mut points = Map::new();
    for (name, quantile) in SHOWN {
        let value = histogram.value_at_quantile(quantile);
        points.insert(name.replace('.', ""), json!(value));
    }
    points.insert("max".to_owned(), json!(histogram.max()));
    Value::Object(points)
}

/// The points of a distribution that includes unfinished requests, the names of those that are lower bounds,
/// and their highest possible values, if bounded; null if nothing ended.
pub(super) fn json_of_bounds(bounds: &Bounds<'_>) -> Value {
    if bounds.is_empty() {
        return Value::Null;
    }
    let mut points = Map::new();
    let (mut at_least, mut at_most) = (Vec::new(), Map::new());
    for (name, quantile) in SHOWN.into_iter().chain([("max", 1.0)]) {
        let name = name.replace('.', "");
        let (value, bound) = bounds.at(quantile);
        points.insert(name.clone(), json!(value));
        if bound {
            if let Some(highest) = bounds.highest(quantile) {
                at_most.insert(name.clone(), json!(highest));
            }
            at_least.push(name);
        }
    }
    points.insert("at_least".to_owned(), json!(at_least));
    points.insert("at_most".to_owned(), Value::Object(at_most));
    Value::Object(points)
}

/// A time, marked if it is a lower bound.
pub(super) fn bound((ns, at_least): (u64, bool)) -> String {
    let mark = if at_least { "≥ " } else { "" };
    format!("{mark}{}", time(ns))
}

/// A time in nanoseconds, for JSON; at most 584 years.
pub(super) fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A time with three or four digits and a suitable unit.
pub(in crate::cmd) fn time(ns: u64) -> String {
    let ns = ns as f64;
    let (value, unit) = match ns {
        ..1e3 => return format!("{ns} ns"),
        ..1e6 => (ns / 1e3, "µs"),
        ..1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// A time in seconds, as in `10 s` or `0.25 s`.
pub(super) fn seconds(time: std::time::Duration) -> String {
    let text = format!("{:.3}", time.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_the_unit_that_suits() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (62_400, "62.4 µs"),
            (1_234_567, "1.23 ms"),
            (250_000_000, "250 ms"),
            (5_000_000_000, "5.00 s"),
        ] {
            assert_eq!(time(ns), text);
        }
        assert_eq!(seconds(Duration::from_millis(10_000)), "10 s");
        assert_eq!(seconds(Duration::from_millis(250)), "0.25 s");
    }

    #[test]
    fn nothing_recorded_is_null() {
        let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
        assert_eq!(json(&histogram), Value::Null);
        histogram.record(7).unwrap();
        let points = json(&histogram);
        for name in ["p50", "p90", "p99", "p999", "p9999", "max"] {
            assert_eq!(points[name], 7, "{name}");
        }
    }
}
