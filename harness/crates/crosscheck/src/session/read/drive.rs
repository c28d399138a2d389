//! `harness drive --json`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use record::{LatencyReading, Reading};

/// Parses its JSON, which may follow a line or two of text.
pub(super) fn read(output: &str) -> Result<Reading> {
    let begin = output.find('{').context("it printed no JSON")?;
    let json: Value = serde_json::from_str(&output[begin..]).context("its JSON is invalid")?;
    let count = |name: &str| {
        let count = json[name].as_u64();
        count.with_context(|| format!("its output has no {name}"))
    };
    let errors = json["errors"]
        .as_object()
        .context("its output has no `errors`")?;
    let latency = &json["latency_ns"];
    let points = ["p50", "p90", "p95", "p99", "p999", "max"];
    let points_ns: BTreeMap<String, f64> = points
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), latency[name].as_f64()?)))
        .collect();
    Ok(Reading {
        requests: count("answered_total")?,
        requests_per_s: json["rate"].as_f64().context("its output has no `rate`")?,
        errors: errors
            .iter()
            .filter_map(|(kind, count)| Some((kind.clone(), count.as_u64().filter(|n| *n > 0)?)))
            .collect(),
        reconnects: json["reconnects"].as_u64(),
        latency: LatencyReading {
            mean_ns: latency["mean"].as_f64(),
            points_ns,
            resolution_ns: 1.0,
        },
        send_lag_p99_ns: json["send_lag_ns"]["p99"].as_u64(),
        busy_ratio: json["busy_ratio"].as_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_output_is_understood() {
        let reading = read(include_str!("samples/drive.json")).unwrap();
        let json: Value = serde_json::from_str(include_str!("samples/drive.json")).unwrap();
        assert_eq!(reading.requests, json["answered_total"].as_u64().unwrap());
        assert_eq!(reading.requests_per_s, json["rate"].as_f64().unwrap());
        assert_eq!(reading.errors_total(), 0);
        assert_eq!(reading.reconnects, Some(0));
        for name in ["p50", "p90", "p95", "p99", "p999", "max"] {
            let wanted = json["latency_ns"][name].as_f64();
            assert_eq!(reading.latency.point(name), wanted, "{name}");
        }
        assert!(reading.latency.mean_ns.unwrap() > 0.0);
        assert!(reading.send_lag_p99_ns.unwrap() > 0);
    }

    #[test]
    fn half_an_output_is_refused() {
        for output in ["", "error: nothing listens there", "{\"rate\": 1", "{}"] {
            assert!(read(output).is_err(), "{output}");
        }
    }
}
