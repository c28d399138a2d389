//! The requests by stage and by class, as tables and as JSON.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::pace::words;
use super::spectrum::{self, time};
use crate::cmd::aligned;
use loadgen::{Measurement, StageFigures};
use words::grouped;

/// One line per stage, and per class if there are several; each ends in a newline.
pub(super) fn text(m: &Measurement) -> String {
    let mut text = String::new();
    if !m.stages.is_empty() {
        let head = [
            "stage", "target/s", "valid/s", "errors", "p50", "p99", "lag p99",
        ];
        let lines = m.stages.iter().map(stage_line);
        table(&mut text, head, lines);
    }
    if m.classes.len() > 1 {
        let head = ["class", "valid", "errors", "p50", "p99", "p99.9", "max"];
        let lines = m.classes.iter().map(|class| {
            let at = |quantile| at(&class.latency, quantile);
            [
                class.name.clone(),
                grouped(class.requests),
                grouped(class.errors),
                at(0.5),
                at(0.99),
                at(0.999),
                at(1.0),
            ]
        });
        table(&mut text, head, lines);
    }
    text
}

fn stage_line(stage: &StageFigures) -> [String; 7] {
    let per_s =
        |count| rate(stage, count).map_or("-".to_owned(), |rate| grouped(rate.round() as u64));
    [
        words(&stage.stage),
        per_s(stage.asked),
        per_s(stage.requests),
        grouped(stage.errors),
        at(&stage.latency, 0.5),
        at(&stage.latency, 0.99),
        at(&stage.send_lag, 0.99),
    ]
}

/// A count as a rate over the time the stage ran; `None` if it was not reached.
fn rate(stage: &StageFigures, count: u64) -> Option<f64> {
    let ran = stage.ran.as_secs_f64();
    (ran > 0.0).then(|| count as f64 / ran)
}

fn at(histogram: &Histogram<u64>, quantile: f64) -> String {
    if histogram.is_empty() {
        return "-".to_owned();
    }
    time(histogram.value_at_quantile(quantile))
}

fn table(text: &mut String, head: [&str; 7], lines: impl IntoIterator<Item = [String; 7]>) {
    let head = std::iter::once(head.map(str::to_owned));
    let rows: Vec<Vec<String>> = head.chain(lines).map(Vec::from).collect();
    for line in aligned(&rows) {
        *text += &format!("{line}\n");
    }
    *text += "\n";
}

/// All classes; at least one.
pub(super) fn classes(m: &Measurement) -> Value {
    let class = |class: &loadgen::Class| {
        json!({
            "name": class.name,
            "requests": class.requests,
            "errors": class.errors,
            "latency_ns": spectrum::json(&class.latency),
        })
    };
    m.classes.iter().map(class).collect()
}

/// All stages; empty without `--stages`.
pub(super) fn stages(m: &Measurement) -> Value {
    let stage = |stage: &StageFigures| {
        json!({
            "length_ns": spectrum::nanos(stage.stage.length),
            "ran_ns": spectrum::nanos(stage.ran),
            "from_per_s": stage.stage.from,
            "to_per_s": stage.stage.to,
            "asked": stage.asked,
            "requests": stage.requests,
            "rate": rate(stage, stage.requests),
            "errors": stage.errors,
            "latency_ns": spectrum::json(&stage.latency),
            "send_lag_ns": spectrum::json(&stage.send_lag),
        })
    };
    m.stages.iter().map(stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut text = String::new();
        let line = [
            "GET /a/long/path",
            "1,234",
            "0",
            "1 µs",
            "2 µs",
            "3 µs",
            "400 µs",
        ];
        table(
            &mut text,
            ["class", "n", "errors", "a", "b", "c", "d"],
            [line.map(str::to_owned)],
        );
        assert_eq!(
            text,
            "class                 n  errors     a     b     c       d\n\
             GET /a/long/path  1,234       0  1 µs  2 µs  3 µs  400 µs\n\n"
        );
    }
}
