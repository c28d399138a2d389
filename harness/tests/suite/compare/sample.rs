//! Runs made by hand: speeds that are known, and a scatter that is the same every time.

use catalog::Stage;
use judge::{Change, Choice, Comparison, Operand, Outcome};
use record::{Record, SCHEMA_VERSION, Trial};
use serde_json::json;

/// What a run is made from.
#[derive(Clone)]
pub(crate) struct Sample {
    /// Decides all scatter; runs of different seeds share none.
    pub(crate) seed: u64,
    pub(crate) rounds: u32,
    pub(crate) workloads: Vec<&'static str>,
    /// Each entry and its speed: twice the speed is twice the rate and half of each time.
    pub(crate) entries: Vec<(&'static str, f64)>,
    /// How much faster an entry is in one workload, as (entry, workload, factor).
    pub(crate) bias: Vec<(&'static str, &'static str, f64)>,
    /// The most that a trial is off its speed, as a share.
    pub(crate) scatter: f64,
    /// The most that a whole round is off, as a share.
    pub(crate) weather: f64,
}

impl Sample {
    /// Ten rounds of one workload in which trials scatter by up to 3 %.
    pub(crate) fn new(seed: u64, entries: &[(&'static str, f64)]) -> Self {
        Self {
            seed,
            rounds: 10,
            workloads: vec!["mixed"],
            entries: entries.to_vec(),
            bias: Vec::new(),
            scatter: 0.03,
            weather: 0.0,
        }
    }

    pub(crate) fn record(&self) -> Record {
        let mut trials = Vec::new();
        for round in 1..=self.rounds {
            for workload in &self.workloads {
                for (server, speed) in &self.entries {
                    let speed = speed * self.bias(server, workload);
                    for stage in Stage::ALL {
                        let speed = speed * self.off(round, workload, server, stage);
                        trials.push(trial(server, workload, stage, round, speed));
                    }
                }
            }
        }
        let is_server = |name: &&str| !name.contains('~') && *name != "control";
        let names = self.entries.iter().map(|(name, _)| *name);
        Record {
            schema_version: SCHEMA_VERSION,
            run: self.run(),
            environment: environment(),
            servers: names.filter(is_server).map(server).collect(),
            trials,
            protocol: None,
            costs: None,
            micro: None,
            added: record::Added::default(),
        }
    }

    /// From JSON, so that a member added to the record needs no change here.
    fn run(&self) -> record::Run {
        let rates = self
            .workloads
            .iter()
            .map(|name| ((*name).to_owned(), json!(20_000.0)));
        let about = self
            .workloads
            .iter()
            .map(|name| ((*name).to_owned(), json!("some requests")));
        let run = json!({
            "id": format!("20261121T034500Z-{:07x}", self.seed),
            "started_at": "2026-11-21T03:45:00Z",
            "ended_at": "2026-11-21T03:56:12Z",
            "ended": "complete",
            "harness_version": "0.1.0",
            "revision": format!("{:07x}", self.seed),
            "command": ["bench"],
            "profile": "standard",
            "seed": self.seed,
            "rounds": self.rounds,
            "connections": 64,
            "warmup_ms": 300,
            "peak_ms": 1000,
            "paced_ms": 1000,
            "timeout_ms": 2000,
            "first_byte_limit_ms": 5.0,
            "rates_per_s": rates.collect::<serde_json::Map<_, _>>(),
            "rate_source": "--rate",
            "workloads": about.collect::<serde_json::Map<_, _>>(),
        });
        serde_json::from_value(run).unwrap()
    }

    fn bias(&self, server: &str, workload: &str) -> f64 {
        let own = self
            .bias
            .iter()
            .find(|bias| (bias.0, bias.1) == (server, workload));
        own.map_or(1.0, |bias| bias.2)
    }

    /// What chance makes of a speed of 1 in a trial.
    fn off(&self, round: u32, workload: &str, server: &str, stage: Stage) -> f64 {
        let whole = uniform(&format!("{} {round}", self.seed));
        let own = uniform(&format!(
            "{} {round} {workload} {server} {stage}",
            self.seed
        ));
        (1.0 + self.weather * whole) * (1.0 + self.scatter * own)
    }
}

/// A number from −1 to 1 that belongs to the text.
fn uniform(text: &str) -> f64 {
    // FNV-1a, its upper bits stirred once more: near texts must not give near numbers.
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^= hash >> 32;
    (hash >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// A sound trial, its figures fitting each other.
fn trial(server: &str, workload: &str, stage: Stage, round: u32, speed: f64) -> Trial {
    let mut figures = json!({
        "requests_per_s": 50_000.0 * speed,
        "latency_mean_us": 64e6 / (50_000.0 * speed),
        "latency_p50_us": 1_100.0 / speed,
        "latency_p99_us": 2_900.0 / speed,
        "cpu_us_per_request": 18.0 / speed,
        "server_busy_ratio": 0.97,
        "driver_busy_ratio": 0.6,
        "connections_established": 64.0,
        "rss_peak_bytes": 2e7 / speed,
        "start_ms": 6.0 / speed,
    });
    if stage == Stage::Paced {
        let paced = json!({
            "requests_per_s": 20_000.0,
            "latency_mean_us": 90.0 / speed,
            "latency_p50_us": 80.0 / speed,
            "latency_p99_us": 900.0 / speed,
            "latency_p999_us": 3_000.0 / speed,
            "first_byte_p99_us": 890.0 / speed,
            "server_busy_ratio": 0.4,
            "achieved_ratio": 1.0,
            "send_lag_p99_us": 60.0,
        });
        let paced = paced.as_object().unwrap().clone();
        figures.as_object_mut().unwrap().extend(paced);
    }
    serde_json::from_value(json!({
        "round": round,
        "position": round,
        "server": server,
        "workload": workload,
        "stage": stage.name(),
        "started_unix_ns": 0,
        "failure": null,
        "figures": figures,
        "errors": {},
        "first_error": null,
        "histograms": {},
    }))
    .unwrap()
}

fn server(name: &str) -> record::Server {
    serde_json::from_value(json!({
        "name": name,
        "display": name,
        "class": "framework",
        "upstream": name,
        "upstream_version": "1.2.3",
        "build": null,
        "check": { "passed": 45, "total": 45, "first_byte_us": 60.0, "failures": [] },
        "failure": null,
    }))
    .unwrap()
}

fn environment() -> record::Environment {
    serde_json::from_value(json!({
        "cpu_model": "a CPU",
        "logical_cpus": 2,
        "physical_cores": 2,
        "numa_nodes": 1,
        "memory_bytes": 8_589_934_592_u64,
        "kernel": "6.12.43",
        "rustc": "rustc 1.95.0",
        "governor": "performance",
        "virtualisation": null,
        "clock_source": "tsc",
        "server_cpus": [0],
        "driver_cpus": [1],
        "pinned": true,
        "findings": [],
        "fingerprint": "1f0c",
    }))
    .unwrap()
}

/// Two runs, compared.
pub(crate) fn compare(base: &Record, new: &Record) -> Comparison {
    compare_with(base, new, &Choice::default())
}

pub(crate) fn compare_with(base: &Record, new: &Record, choice: &Choice) -> Comparison {
    let whole = |record| Operand {
        record,
        server: None,
    };
    judge::compare(&whole(base), &whole(new), choice)
}

/// Two servers of one run.
pub(crate) fn within(record: &Record, base: &str, new: &str) -> Comparison {
    let choice = Choice {
        same_run: true,
        ..Choice::default()
    };
    let of = |server| Operand {
        record,
        server: Some(server),
    };
    judge::compare(&of(base), &of(new), &choice)
}

/// A figure in a stage, or of the process where `stage` is none.
pub(crate) fn change<'c>(
    comparison: &'c Comparison,
    server: &str,
    stage: Option<Stage>,
    figure: &str,
) -> &'c Change {
    let is = |change: &&Change| {
        let place = &change.place;
        place.server.as_deref() == Some(server)
            && place.stage == stage
            && place.figure == Some(figure)
    };
    comparison.changes.iter().find(is).unwrap_or_else(|| {
        panic!("no {figure} of {server}: {:?}", comparison.not_judged);
    })
}

/// What each figure of a server came to.
pub(crate) fn outcomes(comparison: &Comparison, server: &str) -> Vec<Outcome> {
    let own = comparison
        .changes
        .iter()
        .filter(|c| c.place.server.as_deref() == Some(server));
    own.map(|change| change.outcome).collect()
}
