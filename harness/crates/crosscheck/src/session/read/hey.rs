//! hey's text. It prints times in seconds with four digits: steps of 0.1 ms.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use record::{LatencyReading, Reading};

/// Parses it.
pub(super) fn read(output: &str) -> Result<Reading> {
    let value = |name: &str| {
        let line = output.lines().find_map(|l| l.trim().strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse::<f64>().ok())
            .with_context(|| format!("its output has no \"{name}\""))
    };
    let mut errors = BTreeMap::new();
    let mut requests = 0;
    for (status, count) in counted(section(output, "Status code distribution:")) {
        match status.starts_with('2') {
            true => requests += count,
            false => drop(errors.insert(format!("status {status}"), count)),
        }
    }
    // Here the number comes first.
    for line in section(output, "Error distribution:") {
        if let Some((count, what)) = bracketed(line)
            && let Ok(count) = count.parse()
        {
            errors.insert(what.to_owned(), count);
        }
    }
    let mut points_ns = BTreeMap::new();
    for (name, theirs) in [
        ("p50", "50% in"),
        ("p90", "90% in"),
        ("p95", "95% in"),
        ("p99", "99% in"),
    ] {
        points_ns.insert(name.to_owned(), value(theirs)? * 1e9);
    }
    points_ns.insert("max".to_owned(), value("Slowest:")? * 1e9);
    Ok(Reading {
        requests,
        requests_per_s: requests as f64 / value("Total:")?,
        errors,
        reconnects: None,
        latency: LatencyReading {
            mean_ns: Some(value("Average:")? * 1e9),
            points_ns,
            resolution_ns: 1e5,
        },
        send_lag_p99_ns: None,
        busy_ratio: None,
    })
}

/// The lines below a heading, up to an empty one.
fn section<'o>(output: &'o str, heading: &str) -> impl Iterator<Item = &'o str> {
    let below = output
        .lines()
        .skip_while(move |line| line.trim() != heading);
    let heading = heading.to_owned();
    below
        .skip_while(move |line| line.trim() == heading)
        .take_while(|line| !line.trim().is_empty())
}

/// `[200] 5 responses` as `200` and 5.
fn counted<'o>(lines: impl Iterator<Item = &'o str>) -> impl Iterator<Item = (&'o str, u64)> {
    lines.filter_map(|line| {
        let (name, rest) = bracketed(line)?;
        Some((name, rest.split_whitespace().next()?.parse().ok()?))
    })
}

fn bracketed(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.trim().strip_prefix('[')?.split_once(']')?;
    Some((name, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_output_is_understood() {
        let sample = include_str!("samples/hey.txt");
        let reading = read(sample).unwrap();
        assert!(sample.contains(&format!("{} responses", reading.requests)));
        let line = sample.lines().find(|line| line.contains("Requests/sec:"));
        let theirs: f64 = line
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        assert!((reading.requests_per_s / theirs - 1.0).abs() < 1e-3);
        assert_eq!(reading.errors_total(), 0);
        let points = ["p50", "p90", "p95", "p99", "max"].map(|p| reading.latency.point(p));
        assert!(points.is_sorted() && points[0].is_some(), "{points:?}");
        assert_eq!(reading.latency.point("p999"), None);
    }

    #[test]
    fn errors_are_counted_by_kind() {
        let more = "Status code distribution:\n  [200]\t7 responses\n  [503]\t2 responses\n\n\
                    Error distribution:\n  [4]\tGet \"http://x\": EOF\n";
        let sample = include_str!("samples/hey.txt");
        let (head, _) = sample.split_once("Status code distribution:").unwrap();
        let reading = read(&format!("{head}{more}")).unwrap();
        assert_eq!((reading.requests, reading.errors_total()), (7, 6));
        assert_eq!(reading.errors["status 503"], 2);
        assert!(read("").is_err());
    }
}
