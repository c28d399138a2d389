//! A valid run, server and trial, for the tests.

use std::collections::BTreeMap;

use catalog::Stage;
use record::{Check, Ended, Run, Server, Trial};

/// A completed run: 64 connections, one workload.
pub(super) fn run() -> Run {
    Run {
        id: "test".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        ended_at: None,
        ended: Ended::Complete,
        harness_version: "0.1.0".into(),
        revision: None,
        command: Vec::new(),
        profile: "standard".into(),
        seed: 1,
        rounds: 10,
        connections: 64,
        warmup_ms: 500,
        peak_ms: 4_000,
        paced_ms: 4_000,
        timeout_ms: 5_000,
        first_byte_limit_ms: 5.0,
        rates_per_s: [("mixed".to_owned(), 20_000.0)].into(),
        rate_source: "calibration".into(),
        workloads: [("mixed".to_owned(), "users and orders".to_owned())].into(),
        ..Run::default()
    }
}

/// A server that passed everything.
pub(super) fn server(name: &str) -> Server {
    Server {
        name: name.to_owned(),
        display: name.to_owned(),
        class: "framework".into(),
        upstream: None,
        upstream_version: None,
        build: None,
        check: Some(Check {
            passed: 41,
            total: 41,
            first_byte_us: Some(80.0),
            lost_at_stop: None,
            sent_at_stop: None,
            failures: Vec::new(),
        }),
        failure: None,
    }
}

/// A trial with consistent figures; `speed` scales its rate up and its cost down.
pub(super) fn trial(server: &str, stage: Stage, round: u32, speed: f64) -> Trial {
    let rate = if stage == Stage::Peak {
        50_000.0 * speed
    } else {
        20_000.0
    };
    let latency_us = if stage == Stage::Peak {
        64e6 / rate
    } else {
        90.0 / speed
    };
    let mut figures = vec![
        ("requests_per_s", rate),
        ("latency_mean_us", latency_us),
        ("cpu_us_per_request", 18.0 / speed),
        (
            "server_busy_ratio",
            if stage == Stage::Peak { 0.97 } else { 0.4 },
        ),
        ("driver_busy_ratio", 0.6),
        ("connections_established", 64.0),
        ("bytes_received", 1e6),
        ("bytes_expected", 1e6),
        ("rss_peak_bytes", 2e7),
        ("start_ms", 4.0),
    ];
    if stage == Stage::Paced {
        figures.extend([("achieved_ratio", 1.0), ("send_lag_p99_us", 60.0)]);
    }
    Trial {
        round,
        position: round,
        server: server.to_owned(),
        workload: "mixed".into(),
        stage,
        started_unix_ns: 0,
        failure: None,
        figures: figures
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        errors: BTreeMap::new(),
        first_error: None,
        histograms: BTreeMap::new(),
        intervals: Vec::new(),
    }
}
