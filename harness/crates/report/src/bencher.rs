//! Bencher Metric Format: benchmarks, their measures, and a value with its interval for each measure.

use serde_json::{Map, Value, json};

use super::tracked::{Tracked, tracked};
use record::figure::RATE;
use record::{Record, Summary};

/// The JSON that `bencher run --adapter json` reads.
pub(super) fn bencher(record: &Record, summary: &Summary) -> String {
    let mut benchmarks: Map<String, Value> = Map::new();
    for one in tracked(record, summary) {
        let measures = benchmarks
            .entry(one.benchmark.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        measures[measure(one.figure.id)] = metric(&one);
    }
    format!("{:#}\n", Value::Object(benchmarks))
}

/// The slug of a measure: Bencher's built-in one if its meaning and unit match, otherwise the figure's name,
/// which includes the unit.
fn measure(figure: &str) -> String {
    match figure {
        // Operations per second.
        RATE => "throughput".to_owned(),
        other => other.replace('_', "-"),
    }
}

// A single trial has no interval, so leave it out; Bencher then assumes none.
fn metric(one: &Tracked<'_>) -> Value {
    let estimate = one.estimate;
    if estimate.n < 2 {
        return json!({ "value": estimate.median });
    }
    json!({
        "value": estimate.median,
        "lower_value": estimate.low,
        "upper_value": estimate.high,
    })
}
