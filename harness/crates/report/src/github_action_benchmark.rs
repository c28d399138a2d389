//! The custom JSON of github-action-benchmark: a list of values, one file per direction.

use serde_json::{Value, json};

use super::tracked::{Tracked, tracked};
use record::{Record, Summary};
use stats::Better;

/// For its tool `customBiggerIsBetter`.
pub(super) fn bigger(record: &Record, summary: &Summary) -> String {
    list(record, summary, Better::Higher)
}

/// For its tool `customSmallerIsBetter`.
pub(super) fn smaller(record: &Record, summary: &Summary) -> String {
    list(record, summary, Better::Lower)
}

fn list(record: &Record, summary: &Summary, better: Better) -> String {
    let all = tracked(record, summary);
    let of_direction = all
        .iter()
        .filter(|one| one.figure.better() == better)
        .map(entry);
    format!("{:#}\n", Value::Array(of_direction.collect()))
}

fn entry(one: &Tracked<'_>) -> Value {
    json!({
        "name": format!("{}/{}", one.benchmark, one.figure.id),
        "unit": one.figure.unit().name(),
        "value": one.estimate.median,
        "range": range(one),
        "extra": extra(one),
    })
}

/// The wider half of the 95 % interval as one number, like the action's own tools.
fn range(one: &Tracked<'_>) -> String {
    let estimate = one.estimate;
    match estimate.n {
        0 | 1 => "unknown".to_owned(),
        _ => {
            let half = (estimate.high - estimate.median).max(estimate.median - estimate.low);
            // Only significant decimals, without floating-point noise.
            let digits = (3 - half.abs().max(1e-9).log10().floor() as i32).clamp(0, 9) as usize;
            format!("± {half:.digits$}")
        }
    }
}

/// The tooltip: the interval, and notes on the value.
fn extra(one: &Tracked<'_>) -> String {
    let estimate = one.estimate;
    let mut lines = vec![match estimate.n {
        0 | 1 => "one trial".to_owned(),
        n => format!(
            "95 % interval {} to {}, {n} trials",
            estimate.low, estimate.high
        ),
    }];
    if one.lower_bound {
        lines.push("at least this: the load generator was the limit".to_owned());
    }
    lines.extend(one.reasons.iter().map(|reason| format!("marked: {reason}")));
    lines.join("\n")
}
