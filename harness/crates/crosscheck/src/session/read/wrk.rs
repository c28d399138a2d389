//! wrk 4, with the line that `wrk.lua` adds: wrk's own output lacks the 95th percentile.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use record::{LatencyReading, Reading};

/// Prefix of the line.
const MARK: &str = "crosscheck ";

/// Parses that line.
pub(super) fn read(output: &str) -> Result<Reading> {
    let line = output.lines().find_map(|line| line.strip_prefix(MARK));
    let line = line.context("it printed no summary")?;
    let json: Value = serde_json::from_str(line).context("its summary is invalid")?;
    let number = |name: &str| {
        let number = json[name].as_f64();
        number.with_context(|| format!("its output has no {name}"))
    };
    let errors = json["errors"]
        .as_object()
        .context("its output has no `errors`")?;
    let errors: BTreeMap<String, u64> = errors
        .iter()
        .filter_map(|(kind, count)| Some((kind.clone(), count.as_u64().filter(|n| *n > 0)?)))
        .collect();
    // It counts a response with a wrong status among the others.
    let wrong = errors.get("status").copied().unwrap_or(0);
    let requests = (number("requests")? as u64).saturating_sub(wrong);
    let mut points_ns = BTreeMap::new();
    for name in ["p50", "p90", "p95", "p99", "p999", "max"] {
        points_ns.insert(name.to_owned(), number(&format!("{name}_us"))? * 1e3);
    }
    Ok(Reading {
        requests,
        requests_per_s: requests as f64 / (number("duration_us")? / 1e6),
        errors,
        reconnects: None,
        latency: LatencyReading {
            mean_ns: Some(number("mean_us")? * 1e3),
            points_ns,
            resolution_ns: 1e3,
        },
        send_lag_p99_ns: None,
        busy_ratio: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_output_is_understood() {
        let sample = include_str!("samples/wrk.txt");
        let reading = read(sample).unwrap();
        // Its human-readable output says the same.
        let after = |word: &str| {
            let line = sample.lines().find(|line| line.contains(word)).unwrap();
            line.replace(word, "").trim().to_owned()
        };
        let rate: f64 = after("Requests/sec:").parse().unwrap();
        assert!((reading.requests_per_s / rate - 1.0).abs() < 1e-4);
        let requests = format!("{} requests in", reading.requests);
        assert!(sample.contains(&requests), "{requests}");
        let p99 = reading.latency.point("p99").unwrap();
        let printed = after("99%");
        let printed: f64 = match printed.strip_suffix("us") {
            Some(us) => us.parse::<f64>().unwrap() * 1e3,
            None => printed.strip_suffix("ms").unwrap().parse::<f64>().unwrap() * 1e6,
        };
        assert!((p99 / printed - 1.0).abs() < 0.01, "{p99} {printed}");
        assert_eq!(reading.errors_total(), 0);
    }

    #[test]
    fn wrong_statuses_are_no_right_answers() {
        let line = "crosscheck {\"requests\":10,\"duration_us\":1000000,\"mean_us\":1,\"max_us\":1,\
                    \"p50_us\":1,\"p90_us\":1,\"p95_us\":1,\"p99_us\":1,\"p999_us\":1,\
                    \"errors\":{\"read\":0,\"status\":4}}";
        let reading = read(line).unwrap();
        assert_eq!((reading.requests, reading.errors_total()), (6, 4));
        assert_eq!(reading.requests_per_s, 6.0);
        assert!(read("Running 2s test").is_err());
        assert!(read("crosscheck {\"requests\":1}").is_err());
    }
}
