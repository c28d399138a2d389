//! `--pattern`: when latency is as it was before the burst.

use serde_json::{Value, json};

use super::spectrum::{nanos, seconds, time};
use catalog::{Pattern, Phase};
use judge::{P99Interval, Recovered, recovered};
use loadgen::Measurement;

/// `None` without a burst, or if there are too few intervals before it.
pub(super) fn of(pattern: &Pattern, m: &Measurement) -> Option<Recovered> {
    let intervals = m.intervals.iter().map(|interval| P99Interval {
        at: interval.start,
        length: interval.length,
        p99_ns: interval.p99_ns.map(|ns| ns as f64),
        errors: interval.errors,
    });
    recovered(&intervals.collect::<Vec<_>>(), pattern.phase(Phase::Burst)?)
}

/// A line for the summary.
pub(super) fn text(recovered: &Recovered) -> String {
    let limit = time(recovered.limit_ns as u64);
    match recovered.after {
        Some(after) => format!(
            "\nrecovered {} after the burst: from then on p99 is at most {limit}, as before it\n",
            seconds(after)
        ),
        None => format!(
            "\nnot recovered within {} after the burst: p99 stays above {limit}, as it was before\n",
            seconds(recovered.watched)
        ),
    }
}

/// The same as JSON; null if it is unknown.
pub(super) fn json(recovered: Option<&Recovered>) -> Value {
    recovered.map_or(Value::Null, |recovered| {
        json!({
            "limit_ns": recovered.limit_ns,
            "after_ns": recovered.after.map(nanos),
            "watched_ns": nanos(recovered.watched),
        })
    })
}
