//! A run made by hand, in which each question of `docs/QUERIES.md` has a known answer.

use std::collections::BTreeMap;

use catalog::Stage;
use record::*;

use crate::record_and_report::sample;

pub(crate) const ROUNDS: u32 = 8;
const INTERVALS: u32 = 10;
const INTERVAL_NS: i64 = 100_000_000;
const TRIAL_NS: i64 = 30_000_000_000;
const MIB: u64 = 1 << 20;

/// Two servers, one of them entered twice. Planted are:
/// - every rate sinks by 1 % a round, and that of the second entry is 2 % below the first's;
/// - birch costs three times as much in round 5, and grows by 1 MiB each 100 ms;
/// - in round 3 the p99 of birch is 90 ms at 0.7 s of the peak, while it has a tenth of a CPU;
/// - rates grow from one interval to the next, and jitter with them;
/// - birch has one thread more from the middle of the last trial on;
/// - a last trial fails.
pub(crate) fn record() -> Record {
    let mut record = sample::record();
    record.trials.clear();
    let mut position = 0;
    for round in 1..=ROUNDS {
        for server in ["alder", "alder~2", "birch"] {
            for stage in Stage::ALL {
                record.trials.push(trial(round, position, server, stage));
                position += 1;
            }
        }
    }
    record.trials.push(Trial {
        failure: Some(Failure {
            step: Step::Drive,
            reason: "it ended with status 101 under load".into(),
            log_tail: String::new(),
        }),
        figures: Figures::new(),
        intervals: Vec::new(),
        ..trial(ROUNDS + 1, position, "birch", Stage::Peak)
    });
    record
}

fn trial(round: u32, position: u32, server: &str, stage: Stage) -> Trial {
    let mut trial = Trial {
        started_unix_ns: 1_795_232_700_000_000_000 + i64::from(position) * TRIAL_NS,
        errors: BTreeMap::new(),
        first_error: None,
        histograms: BTreeMap::new(),
        ..sample::trial(round, position, server, stage)
    };
    trial.intervals = (0..INTERVALS).map(|at| interval(&trial, at)).collect();
    let requests: u64 = trial.intervals.iter().map(|i| i.requests).sum();
    let dear = server == "birch" && round == 5;
    // Some scatter, without which no distance would be usual.
    let cost = 10.0 + 0.1 * f64::from(round % 3);
    trial.figures = [
        ("requests", requests as f64),
        ("requests_per_s", requests as f64),
        ("cpu_us_per_request", if dear { 30.0 } else { cost }),
        ("latency_p99_us", 1_000.0),
        ("rss_peak_bytes", 30.0 * MIB as f64),
        ("driver_busy_ratio", 0.5),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    if stage == Stage::Paced {
        trial.figures.insert("send_lag_p99_us".into(), 40.0);
    }
    trial
}

fn interval(trial: &Trial, at: u32) -> Interval {
    let birch = trial.server == "birch";
    let of_entry = if trial.server == "alder~2" {
        9_800
    } else {
        10_000
    };
    // 1 % of it a round, and from interval to interval.
    let percent = u64::from(100 - trial.round + at);
    let worst = birch && (trial.round, trial.stage, at) == (3, Stage::Peak, 7);
    let later = birch && trial.round == ROUNDS && at > 4;
    Interval {
        start_unix_ns: trial.started_unix_ns + i64::from(at) * INTERVAL_NS,
        length_ns: INTERVAL_NS,
        requests: of_entry / 100 * percent,
        errors: 0,
        p50_ns: Some(300_000),
        p99_ns: Some(if worst { 90_000_000 } else { 1_000_000 }),
        jitter_ns: Some(f64::from(at + 1) * 10_000.0),
        cpu_ns: Some(if worst { 10_000_000 } else { 90_000_000 }),
        rss_bytes: Some(20 * MIB + if birch { u64::from(at) * MIB } else { 0 }),
        threads: Some(if later { 4 } else { 3 }),
    }
}
