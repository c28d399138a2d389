//! oha's JSON.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use record::{LatencyReading, Reading};

/// Its name for requests in flight at the end, which are not errors.
const IN_FLIGHT: &str = "aborted due to deadline";

/// Parses it.
pub(super) fn read(output: &str) -> Result<Reading> {
    let json: Value = serde_json::from_str(output).context("it printed no JSON")?;
    let summary = &json["summary"];
    let seconds = |value: &Value, name: &str| {
        let seconds = value[name].as_f64();
        seconds.with_context(|| format!("its output has no {name}"))
    };
    let mut errors = BTreeMap::new();
    let mut requests = 0;
    for (status, count) in counts(&json["statusCodeDistribution"]) {
        match status.starts_with('2') {
            true => requests += count,
            false => drop(errors.insert(format!("status {status}"), count)),
        }
    }
    let others = counts(&json["errorDistribution"]);
    errors.extend(others.filter(|(kind, _)| kind != IN_FLIGHT));
    let percentiles = &json["latencyPercentiles"];
    let mut points_ns = BTreeMap::new();
    for (name, theirs) in [
        ("p50", "p50"),
        ("p90", "p90"),
        ("p95", "p95"),
        ("p99", "p99"),
        ("p999", "p99.9"),
    ] {
        points_ns.insert(name.to_owned(), seconds(percentiles, theirs)? * 1e9);
    }
    points_ns.insert("max".to_owned(), seconds(summary, "slowest")? * 1e9);
    Ok(Reading {
        requests,
        // Its own rate also counts requests in flight at the end.
        requests_per_s: requests as f64 / seconds(summary, "total")?,
        errors,
        reconnects: None,
        latency: LatencyReading {
            mean_ns: Some(seconds(summary, "average")? * 1e9),
            points_ns,
            resolution_ns: 1.0,
        },
        send_lag_p99_ns: None,
        busy_ratio: None,
    })
}

fn counts(object: &Value) -> impl Iterator<Item = (String, u64)> {
    let members = object.as_object().into_iter().flatten();
    members.filter_map(|(name, count)| Some((name.clone(), count.as_u64()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_output_is_understood() {
        let sample = include_str!("samples/oha.json");
        let reading = read(sample).unwrap();
        let json: Value = serde_json::from_str(sample).unwrap();
        let right = json["statusCodeDistribution"]["200"].as_u64().unwrap();
        assert_eq!(reading.requests, right);
        assert_eq!(reading.errors_total(), 0, "{:?}", reading.errors);
        // The sample has some in flight at the end, which its rate counts.
        let theirs = json["summary"]["requestsPerSec"].as_f64().unwrap();
        let total = json["summary"]["total"].as_f64().unwrap();
        let in_flight = json["errorDistribution"][IN_FLIGHT].as_u64().unwrap();
        let both = reading.requests_per_s + in_flight as f64 / total;
        assert!((both / theirs - 1.0).abs() < 1e-3, "{both} {theirs}");
        let points = ["p50", "p90", "p95", "p99", "p999", "max"];
        let points = points.map(|name| reading.latency.point(name).unwrap());
        assert!(points.is_sorted() && points[0] > 0.0, "{points:?}");
    }

    #[test]
    fn what_failed_is_told_from_what_was_in_flight() {
        let mut json: Value = serde_json::from_str(include_str!("samples/oha.json")).unwrap();
        json["statusCodeDistribution"] = serde_json::json!({"200": 7, "500": 2});
        json["errorDistribution"] = serde_json::json!({IN_FLIGHT: 3, "connection closed": 1});
        let reading = read(&json.to_string()).unwrap();
        assert_eq!((reading.requests, reading.errors_total()), (7, 3));
        assert_eq!(reading.errors["status 500"], 2);
        assert!(read("").is_err() && read("{}").is_err());
    }
}
