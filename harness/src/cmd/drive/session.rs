//! The chains of `--session`, as text and as JSON.

use serde_json::{Map, Value, json};

use super::spectrum::{self, bound, time};
use loadgen::{Config, Measurement, SessionFigures};
use words::grouped;

/// Complete chains per second.
fn rate(m: &Measurement, chains: &SessionFigures) -> f64 {
    chains.complete as f64 / m.window.as_secs_f64().max(f64::MIN_POSITIVE)
}

/// The mean time in nanoseconds, and whether it is a lower bound: unfinished chains count with their time so far.
fn mean(chains: &SessionFigures) -> Option<(f64, bool)> {
    let unfinished = &chains.unfinished_ns;
    let so_far: f64 = unfinished.iter().map(|ns| *ns as f64).sum();
    let sum = chains.mean_ns? * chains.complete as f64 + so_far;
    let count = chains.complete + unfinished.len() as u64;
    Some((sum / count as f64, !unfinished.is_empty()))
}

/// The number of users by Little's law, as a check of the figures: chains per second × (mean time + mean think time).
fn users(config: &Config, m: &Measurement, chains: &SessionFigures) -> Option<f64> {
    let think = config.think.map_or(0.0, |think| think.mean().as_secs_f64());
    Some(rate(m, chains) * (chains.mean_ns? / 1e9 + think))
}

/// The block of the summary, each line ending in a newline.
pub(super) fn text(config: &Config, m: &Measurement, chains: &SessionFigures) -> String {
    let steps: Vec<&str> = chains.failed.iter().map(|(name, _)| &**name).collect();
    let mut text = format!("session       {}\n", steps.join(" → "));
    let mut row = |name: &str, value: String| text += &format!("  {name:<12}{value}\n");
    let per_s = rate(m, chains);
    // Users who think for seconds complete few.
    let per_s = match per_s {
        ..100.0 => report::significant(per_s, 3),
        _ => grouped(per_s.round() as u64),
    };
    row(
        "complete",
        format!("{} chains, {per_s}/s", grouped(chains.complete)),
    );
    let failed = chains.failed.iter().filter(|(_, count)| *count > 0);
    let by_step: Vec<String> = failed
        .map(|(name, count)| format!("{name} {}", grouped(*count)))
        .collect();
    row(
        "failed",
        match by_step.is_empty() {
            true => "none".to_owned(),
            false => format!(
                "{} ({})",
                grouped(chains.failed_total()),
                by_step.join(", ")
            ),
        },
    );
    if !chains.unfinished_ns.is_empty() {
        let count = grouped(chains.unfinished_ns.len() as u64);
        row(
            "unfinished",
            format!("{count} without a response at the end"),
        );
    }
    if !chains.time.is_empty() {
        let bounds = chains.time_bounds();
        let at = |quantile| bound(bounds.at(quantile));
        let mean = mean(chains).map_or(String::new(), |(ns, open)| {
            format!(", mean {}", bound((ns as u64, open)))
        });
        let (p50, p99, max) = (at(0.5), at(0.99), at(1.0));
        row(
            "end to end",
            format!("p50 {p50}, p99 {p99}, max {max}{mean}"),
        );
    }
    if let Some(users) = users(config, m, chains) {
        let think = match config.think {
            Some(think) => format!(" + {} of think time", time(spectrum::nanos(think.mean()))),
            None => String::new(),
        };
        row(
            "users",
            format!(
                "{users:.1} of {} by chains/s × (mean time{think})",
                grouped(m.established as u64)
            ),
        );
    }
    text + "\n"
}

/// All figures of the chains.
pub(super) fn json(config: &Config, m: &Measurement, chains: &SessionFigures) -> Value {
    let failed: Map<String, Value> = chains
        .failed
        .iter()
        .map(|(name, count)| (name.clone(), json!(count)))
        .collect();
    let steps: Vec<&String> = chains.failed.iter().map(|(name, _)| name).collect();
    let mut points = spectrum::json_of_bounds(&chains.time_bounds());
    if let Value::Object(points) = &mut points {
        let mean = mean(chains);
        points.insert("mean".to_owned(), json!(mean.map(|(mean, _)| mean)));
        if let (Some((_, true)), Some(Value::Array(at_least))) = (mean, points.get_mut("at_least"))
        {
            at_least.push(json!("mean"));
        }
    }
    json!({
        "steps": steps,
        "complete": chains.complete,
        "rate": rate(m, chains),
        "complete_total": chains.complete_total,
        "failed": failed,
        "unfinished": chains.unfinished_ns.len(),
        "time_ns": points,
        "users_by_littles_law": users(config, m, chains),
    })
}
