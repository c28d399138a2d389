//! A record made by hand: every optional member is present in one place and absent in another.

use std::collections::BTreeMap;

use catalog::Stage;
use record::*;

pub(crate) fn record() -> Record {
    Record {
        protocol: None,
        costs: None,
        micro: None,
        added: record::Added::default(),
        schema_version: SCHEMA_VERSION,
        run: run(),
        environment: environment(),
        servers: vec![
            server("axum", "axum", "framework", "0.8.6"),
            server("actix-web", "actix-web", "framework", "4.12.1"),
            server("hyper", "hyper", "library", "1.8.1"),
            server("may-minihttp", "may_minihttp", "coroutine", "0.1.11"),
            failed_server(),
        ],
        trials: vec![
            trial(1, 0, "axum", Stage::Peak),
            trial(1, 1, "axum", Stage::Paced),
            failed_trial(),
        ],
    }
}

fn run() -> Run {
    Run {
        id: "20261121T034500Z-65432bd".into(),
        started_at: "2026-11-21T03:45:00Z".into(),
        ended_at: Some("2026-11-21T03:56:12Z".into()),
        ended: Ended::Complete,
        harness_version: "0.1.0".into(),
        revision: Some("65432bd-dirty".into()),
        command: vec!["bench".into(), "--profile".into(), "standard".into()],
        profile: "standard".into(),
        seed: u64::MAX - 1,
        rounds: 10,
        connections: 64,
        engine: Engine::default(),
        schedule: Schedule::default(),
        warmup_ms: 1000,
        peak_ms: 4000,
        paced_ms: 4000,
        timeout_ms: 2000,
        first_byte_limit_ms: 5.0,
        rates_per_s: BTreeMap::from([("mixed".into(), 24_000.0), ("ping".into(), 52_500.5)]),
        rate_source: "calibration".into(),
        workloads: BTreeMap::from([
            ("mixed".into(), "users 60 %, orders 40 %".into()),
            ("ping".into(), "the smallest answer there is".into()),
        ]),
        requests_sha256: BTreeMap::from([("ping".into(), "5f70bf18".into())]),
        entries: vec!["axum".into(), "axum~2".into(), "control".into()],
        stages: Stage::ALL.to_vec(),
        harness_sha256: Some("9c56cc51".into()),
        ready_timeout_ms: Some(10_000),
        precision_ratio: Some(0.02),
        budget_ms: None,
        stopped_by: Some(StoppedBy::Precision),
        resumed_at: vec!["2026-11-21T03:50:00Z".into()],
    }
}

fn environment() -> Environment {
    Environment {
        cpu_model: "AMD EPYC 7B13".into(),
        logical_cpus: 2,
        physical_cores: 1,
        numa_nodes: 1,
        memory_bytes: 8_359_088_128,
        kernel: "6.12.43".into(),
        rustc: "rustc 1.95.0 (aaaabbbbc 2026-04-14)".into(),
        governor: None,
        virtualisation: Some("kvm".into()),
        clock_source: Some("kvm-clock".into()),
        server_cpus: vec![0],
        driver_cpus: vec![1],
        pinned: true,
        findings: vec![
            Finding {
                id: "descriptors".into(),
                level: Level::Ok,
                found: "20000 descriptors allowed".into(),
                why: "each connection takes one on either side".into(),
                fix: None,
            },
            Finding {
                id: "smt".into(),
                level: Level::Warn,
                found: "server and load generator share a physical core".into(),
                why: "each slows the other".into(),
                fix: Some("give each side its own core: --server-cpus, --driver-cpus".into()),
            },
        ],
        fingerprint: "1f0c".into(),
    }
}

fn server(name: &str, display: &str, class: &str, version: &str) -> Server {
    Server {
        name: name.into(),
        display: display.into(),
        class: class.into(),
        upstream: Some(name.into()),
        upstream_version: Some(version.into()),
        build: Some(Build {
            binary: Some(format!("target/bench/{name}")),
            features: vec!["default".into()],
            rustc: Some("rustc 1.95.0".into()),
            profile: Some("release".into()),
            flags: Some([("rustflags".into(), "-C target-cpu=native".into())].into()),
            size_bytes: Some(9_000_000),
            stripped_bytes: Some(3_500_000),
            sha256: Some("00ff".into()),
            build_ms: 41_000,
        }),
        check: Some(Check {
            passed: 42,
            total: 42,
            first_byte_us: Some(61.5),
            lost_at_stop: Some(3),
            sent_at_stop: Some(64),
            failures: vec![],
        }),
        failure: None,
    }
}

fn failed_server() -> Server {
    Server {
        upstream: None,
        upstream_version: None,
        build: Some(Build::default()),
        check: Some(Check {
            passed: 41,
            total: 42,
            first_byte_us: None,
            lost_at_stop: None,
            sent_at_stop: None,
            failures: vec!["orders.create: 500 instead of 201".into()],
        }),
        failure: Some(Failure {
            step: Step::Check,
            reason: "orders.create: POST /api/v1/orders answered 500 instead of 201".into(),
            log_tail: "thread 'main' panicked\n".into(),
        }),
        ..server("broken", "broken | pipe", "framework", "")
    }
}

/// A trial that was measured, with everything a trial can have.
pub(crate) fn trial(round: u32, position: u32, server: &str, stage: Stage) -> Trial {
    Trial {
        round,
        position,
        server: server.into(),
        workload: "mixed".into(),
        stage,
        started_unix_ns: 1_795_232_700_000_000_000,
        failure: None,
        figures: BTreeMap::from([
            ("requests_per_s".into(), 31_415.926_535_897_93),
            ("latency_p99_us".into(), 0.1 + 0.2),
        ]),
        errors: BTreeMap::from([("timeout".into(), 3)]),
        first_error: Some("GET /api/v1/users: no answer within 2 s".into()),
        histograms: BTreeMap::from([(
            "latency".into(),
            Histogram {
                v2: (0..=255).collect(),
            },
        )]),
        intervals: vec![
            Interval {
                start_unix_ns: 1_795_232_700_000_000_000,
                length_ns: 100_000_000,
                requests: 3141,
                errors: 0,
                p50_ns: Some(410_000),
                p99_ns: Some(1_900_000),
                jitter_ns: Some(123_456.789),
                cpu_ns: Some(99_000_000),
                rss_bytes: Some(12_345_678),
                threads: Some(3),
            },
            Interval {
                start_unix_ns: 1_795_232_700_100_000_000,
                length_ns: 100_000_001,
                ..Interval::default()
            },
        ],
    }
}

fn failed_trial() -> Trial {
    Trial {
        failure: Some(Failure {
            step: Step::Drive,
            reason: "the server exited with status 101".into(),
            log_tail: String::new(),
        }),
        figures: Figures::new(),
        errors: BTreeMap::new(),
        first_error: None,
        histograms: BTreeMap::new(),
        intervals: vec![],
        ..trial(1, 2, "hyper", Stage::Peak)
    }
}
