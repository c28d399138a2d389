//! What services that track figures over runs are given: golden files, and what they hold it to.

use std::collections::BTreeSet;

use catalog::Stage;
use record::*;
use serde_json::Value;

use crate::record_and_report::report::render;
use crate::record_and_report::{sample, summary::summary};

const BIGGER: &str = "github-action-benchmark-bigger";
const SMALLER: &str = "github-action-benchmark-smaller";

fn json(format: &str, record: &Record, summary: &Summary) -> Value {
    serde_json::from_str(&render(format, record, summary)).unwrap()
}

#[test]
fn bencher_is_as_agreed() {
    insta::assert_snapshot!(render("bencher", &sample::record(), &summary()));
}

#[test]
fn github_action_benchmark_is_as_agreed() {
    let (record, summary) = (sample::record(), summary());
    insta::assert_snapshot!(format!(
        "{}{}",
        render(BIGGER, &record, &summary),
        render(SMALLER, &record, &summary)
    ));
}

/// Bencher's own JSON Schema of the format, version 0.6.12, in its words for objects: each member of
/// each benchmark has a `value`, and all that is in it is a number.
#[test]
fn bencher_is_given_numbers_and_names_it_takes() {
    let document = json("bencher", &sample::record(), &summary());
    for (benchmark, measures) in document.as_object().unwrap() {
        assert!(benchmark.len() <= 1024);
        for (measure, metric) in measures.as_object().unwrap() {
            let slug = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(
                measure.len() <= 64 && measure.chars().all(slug),
                "{measure}"
            );
            let metric = metric.as_object().unwrap();
            assert!(metric.values().all(Value::is_number), "{metric:?}");
            let number = |name: &str| metric[name].as_f64().unwrap();
            assert!(number("lower_value") <= number("value"));
            assert!(number("value") <= number("upper_value"));
        }
    }
    let paced = &document["axum/ping/paced at 52500.5 per s"];
    assert!(paced["latency-p99-us"]["value"].is_number(), "{document:#}");
    assert!(document["axum"]["rss-peak-bytes"]["value"].is_number());
}

/// A failed server's figures are in no series, and each name stands once, in one direction.
#[test]
fn each_figure_is_given_once_and_none_of_a_failed_row() {
    let (record, summary) = (sample::record(), summary());
    let mut names = BTreeSet::new();
    for format in [BIGGER, SMALLER] {
        for entry in json(format, &record, &summary).as_array().unwrap() {
            let name = entry["name"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            assert!(entry["value"].is_number() && entry["unit"].is_string());
            let up = name.ends_with("/requests_per_s");
            assert_eq!(up, format == BIGGER, "{name}");
            assert!(!name.starts_with("broken"), "{name}");
        }
    }
    let values: usize = json("bencher", &record, &summary)
        .as_object()
        .unwrap()
        .values()
        .map(|measures| measures.as_object().unwrap().len())
        .sum();
    assert_eq!(values, names.len());
}

#[test]
fn one_trial_has_no_interval() {
    let mut summary = summary();
    for row in &mut summary.rows {
        for estimate in row.figures.values_mut() {
            estimate.n = 1;
        }
    }
    let document = json("bencher", &sample::record(), &summary);
    let metric = document["axum/mixed/peak"]["throughput"]
        .as_object()
        .unwrap();
    assert_eq!(metric.keys().collect::<Vec<_>>(), ["value"]);
    let document = json(BIGGER, &sample::record(), &summary);
    assert_eq!(document[0]["range"], "unknown");
}

#[test]
fn what_the_table_says_of_a_value_goes_with_it() {
    let document = json(BIGGER, &sample::record(), &summary());
    let of = |name: &str| {
        let entries = document.as_array().unwrap();
        let found = entries.iter().find(|entry| entry["name"] == name);
        found.unwrap()["extra"].as_str().unwrap()
    };
    assert!(of("actix-web/mixed/peak/requests_per_s").contains("at least"));
    assert!(!of("axum/mixed/peak/requests_per_s").contains("at least"));
    let smaller = render(SMALLER, &sample::record(), &summary());
    assert!(
        smaller.contains("marked: 2 of 10 trials invalid"),
        "{smaller}"
    );
}

/// Without a paced rate on record there is none in the name, rather than a made-up one.
#[test]
fn a_paced_row_without_a_rate_says_only_its_stage() {
    let mut record = sample::record();
    record.run.rates_per_s.clear();
    let document = json("bencher", &record, &summary());
    let name = format!("axum/mixed/{}", Stage::Paced);
    assert!(document[&name]["cpu-us-per-request"]["value"].is_number());
}
