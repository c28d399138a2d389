//! The cost of judging, because a summary is computed whenever a run is shown.
//!
//! `cargo bench -p judge --bench stats`

use std::collections::BTreeMap;
use std::hint::black_box;

use catalog::Stage;
use criterion::{Criterion, criterion_group, criterion_main};
use judge::summarise;
use record::{Ended, Environment, Interval, Record, Run, SCHEMA_VERSION, Trial};
use stats::{Better, Bootstrap, Scale, Series, ranks};

const SERVERS: [&str; 5] = ["a", "b", "c", "d", "e"];
const WORKLOADS: [&str; 4] = ["mixed", "orders", "ping", "users"];
const ROUNDS: u32 = 30;

/// Values that scatter by ± 5 % around 1, different for each argument.
fn scatter(seed: usize) -> f64 {
    1.0 + ((seed * 7_919 % 1_009) as f64 / 1_009.0 - 0.5) / 10.0
}

fn trial(round: u32, server: usize, workload: &str, stage: Stage) -> Trial {
    let seed = round as usize * 31 + server * 101 + workload.len();
    let figure = |index: usize| (format!("figure_{index}_us"), 100.0 * scatter(seed + index));
    let mut figures: BTreeMap<String, f64> = (0..28).map(figure).collect();
    figures.insert("requests_per_s".into(), 50_000.0 * scatter(seed));
    figures.insert("cpu_us_per_request".into(), 18.0 * scatter(seed));
    figures.insert("driver_busy_ratio".into(), 0.6);
    let interval = |index: usize| Interval {
        start_unix_ns: index as i64 * 100_000_000,
        length_ns: 100_000_000,
        requests: (5_000.0 * scatter(seed + index)) as u64,
        p50_ns: Some((90_000.0 * scatter(seed + index)) as u64),
        ..Interval::default()
    };
    Trial {
        round,
        position: 0,
        server: SERVERS[server].into(),
        workload: workload.into(),
        stage,
        started_unix_ns: 0,
        failure: None,
        figures,
        errors: BTreeMap::new(),
        first_error: None,
        histograms: BTreeMap::new(),
        intervals: (0..60).map(interval).collect(),
    }
}

fn record() -> Record {
    let mut trials = Vec::new();
    for round in 1..=ROUNDS {
        for workload in WORKLOADS {
            for stage in Stage::ALL {
                trials
                    .extend((0..SERVERS.len()).map(|server| trial(round, server, workload, stage)));
            }
        }
    }
    let run = Run {
        id: "bench".into(),
        started_at: "2026-01-01T00:00:00Z".into(),
        ended_at: None,
        ended: Ended::Complete,
        harness_version: "0.1.0".into(),
        revision: None,
        command: Vec::new(),
        profile: "publish".into(),
        seed: 1,
        rounds: ROUNDS,
        connections: 64,
        warmup_ms: 500,
        peak_ms: 6_000,
        paced_ms: 6_000,
        timeout_ms: 5_000,
        first_byte_limit_ms: 5.0,
        rates_per_s: BTreeMap::new(),
        rate_source: "calibration".into(),
        workloads: BTreeMap::new(),
        ..Run::default()
    };
    Record {
        schema_version: SCHEMA_VERSION,
        run,
        environment: Environment::default(),
        servers: Vec::new(),
        trials,
        protocol: None,
        costs: None,
        micro: None,
        added: record::Added::default(),
    }
}

fn judging(criterion: &mut Criterion) {
    let record = record();
    criterion.bench_function("summarise 5 servers x 8 stages x 30 rounds", |bencher| {
        bencher.iter(|| summarise(black_box(&record)));
    });
}

fn intervals(criterion: &mut Criterion) {
    let values: Vec<f64> = (0..30).map(scatter).collect();
    let mut bootstrap = Bootstrap::new(1);
    criterion.bench_function("interval of a median of 30", |bencher| {
        bencher.iter(|| bootstrap.median_interval(black_box(&values), Scale::Log));
    });
    let series: Vec<Series> = (0..5)
        .map(|s| {
            (1..=30)
                .map(|r| (r, scatter(s * 31 + r as usize)))
                .collect()
        })
        .collect();
    criterion.bench_function("ranks of 5 servers over 30 rounds", |bencher| {
        bencher.iter(|| ranks(black_box(&series), Better::Higher, 0.01, &mut bootstrap));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = judging, intervals
}
criterion_main!(benches);
