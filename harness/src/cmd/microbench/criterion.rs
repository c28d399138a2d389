//! What criterion left in its folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use record::{BenchTime, Microbench};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// `benchmark.json`: which benchmark it is.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<Throughput>,
}

/// What an iteration does. Other units aren't operations.
#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Elements")]
    elements: Option<u64>,
}

/// `estimates.json`: nanoseconds of an iteration.
#[derive(Deserialize)]
struct Estimates {
    mean: Estimated,
    median: Estimated,
}

#[derive(Deserialize)]
struct Estimated {
    point_estimate: f64,
    confidence_interval: TimeInterval,
}

#[derive(Deserialize)]
struct TimeInterval {
    lower_bound: f64,
    upper_bound: f64,
}

/// The newest figures of every benchmark whose group is named TOPIC/SUBJECT, in natural order.
///
/// # Errors
/// If a file can't be read, or isn't criterion's.
pub(super) fn collect(folder: &Path) -> Result<Vec<Microbench>> {
    let mut found = Vec::new();
    for folder in measured(folder)? {
        found.extend(read(&folder)?);
    }
    found.sort_by_cached_key(|bench: &Microbench| {
        [&bench.topic, &bench.case, &bench.subject].map(|text| natural(text))
    });
    Ok(found)
}

/// Every folder `new` in `folder`, at any depth.
fn measured(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let cannot = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        if path.is_dir() && path.join("estimates.json").is_file() {
            if path.ends_with("new") {
                found.push(path);
            }
        } else if path.is_dir() {
            found.extend(measured(&path)?);
        }
    }
    Ok(found)
}

fn read(folder: &Path) -> Result<Option<Microbench>> {
    let benchmark: Benchmark = parse(&folder.join("benchmark.json"))?;
    let Some((topic, subject)) = benchmark.group_id.split_once('/') else {
        return Ok(None);
    };
    let estimates: Estimates = parse(&folder.join("estimates.json"))?;
    let operations = benchmark
        .throughput
        .and_then(|each| each.elements)
        .unwrap_or(1);
    let of_one = |estimated: Estimated| {
        let each = |ns: f64| ns / operations as f64;
        BenchTime {
            value: each(estimated.point_estimate),
            low: each(estimated.confidence_interval.lower_bound),
            high: each(estimated.confidence_interval.upper_bound),
        }
    };
    let case: Vec<String> = [benchmark.function_id, benchmark.value_str]
        .into_iter()
        .flatten()
        .collect();
    Ok(Some(Microbench {
        topic: topic.to_owned(),
        subject: subject.to_owned(),
        case: case.join("/"),
        operations,
        mean_ns: of_one(estimates.mean),
        median_ns: of_one(estimates.median),
    }))
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| {
        format!(
            "{} is not criterion's: run the benchmark again",
            path.display()
        )
    })
}

/// A key by which numbers within a text sort as numbers.
fn natural(text: &str) -> Vec<(u64, String)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digit = |c: char| c.is_ascii_digit();
        let words = rest.find(digit).unwrap_or(rest.len());
        let (word, after) = rest.split_at(words);
        let digits = after.find(|c| !digit(c)).unwrap_or(after.len());
        let (number, after) = after.split_at(digits);
        parts.push((0, word.to_lowercase()));
        parts.push((number.parse().unwrap_or(u64::MAX), String::new()));
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(folder: &Path, path: &str, benchmark: &str, median: f64) {
        let folder = folder.join(path);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("benchmark.json"), benchmark).unwrap();
        let estimate = |value: f64| {
            let (low, high) = (value * 0.9, value * 1.1);
            format!(
                r#"{{"confidence_interval":{{"confidence_level":0.95,"lower_bound":{low},"upper_bound":{high}}},"point_estimate":{value},"standard_error":1.5}}"#
            )
        };
        let (mean, median) = (estimate(median + 10.0), estimate(median));
        let text = format!(
            r#"{{"mean":{mean},"median":{median},"median_abs_dev":{mean},"slope":null,"std_dev":{mean}}}"#
        );
        fs::write(folder.join("estimates.json"), text).unwrap();
    }

    fn named(group: &str, function: &str, throughput: &str) -> String {
        format!(
            r#"{{"group_id":"{group}","function_id":"{function}","value_str":null,"throughput":{throughput},"full_id":"x","directory_name":"x","title":"x"}}"#
        )
    }

    /// A folder as criterion leaves it.
    #[test]
    fn the_newest_figures_of_named_groups_are_collected() {
        let folder = tempfile::tempdir().unwrap();
        let criterion = folder.path();
        for (place, median) in [("new", 200.0), ("base", 900.0)] {
            let path = format!("handlers_alder/users_100/{place}");
            leave(
                criterion,
                &path,
                &named("handlers/alder", "users/100", "null"),
                median,
            );
        }
        leave(
            criterion,
            "handlers_alder/users_20/new",
            &named("handlers/alder", "users/20", "null"),
            100.0,
        );
        leave(
            criterion,
            "JSON_a/users/1/new",
            &named("JSON/a", "users", r#"{"Bytes":33}"#).replace("null", "\"1\""),
            50.0,
        );
        leave(
            criterion,
            "store_ring/0 % writes/new",
            &named("store/ring", "0 % writes", r#"{"Elements":20}"#),
            400.0,
        );
        leave(criterion, "record/new", &named("record", "", "null"), 1.0);
        fs::create_dir_all(criterion.join("handlers_alder/users_20/change")).unwrap();

        let found = collect(criterion).unwrap();
        let names: Vec<String> = found
            .iter()
            .map(|bench| format!("{}/{}/{}", bench.topic, bench.subject, bench.case))
            .collect();
        let due = [
            "handlers/alder/users/20",
            "handlers/alder/users/100",
            "JSON/a/users/1",
            "store/ring/0 % writes",
        ];
        assert_eq!(names, due);
        assert_eq!(
            found[1].median_ns,
            BenchTime {
                value: 200.0,
                low: 180.0,
                high: 220.00000000000003
            }
        );
        assert_eq!(found[1].mean_ns.value, 210.0);
        // Of one operation, not of the 20 of an iteration.
        assert_eq!((found[3].operations, found[3].median_ns.value), (20, 20.0));
    }

    #[test]
    fn a_file_that_is_not_criterions_is_named() {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "a_b/c/new", "{}", 1.0);
        let error = format!("{:#}", collect(folder.path()).unwrap_err());
        assert!(
            error.contains("a_b/c/new/benchmark.json is not criterion's"),
            "{error}"
        );
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let mut cases = ["users/100", "ping", "users/20", "order", "users/1", "user"];
        cases.sort_by_cached_key(|case| natural(case));
        assert_eq!(
            cases,
            ["order", "ping", "user", "users/1", "users/20", "users/100"]
        );
    }
}
