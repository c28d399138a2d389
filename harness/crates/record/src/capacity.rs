//! `capacity.json`: up to which rate each server meets an objective, what happens below and above that rate, and whether
//! it recovers from an overload.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Estimate, Failure, Head, PatternInterval};
use stats::{Bootstrap, Series};

/// The file's name.
pub const CAPACITY_FILE: &str = "capacity.json";

/// A server that answers less than this share of its capacity while it is overloaded has collapsed.
const HOLDS: f64 = 0.7;
/// A server that refuses at least this share of an overload's requests sheds it.
const SHEDS: f64 = 0.1;

/// The capacity of each server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacities {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// What a trial has to meet, as it was typed, such as `p99<10ms`.
    pub objective: Vec<String>,
    /// Connections of every load but the overload.
    pub connections: usize,
    /// Worker threads of each server.
    pub workers: usize,
    /// Rounds asked for.
    pub rounds: u32,
    /// Length of a trial, milliseconds.
    pub trial_ms: u64,
    /// Load before a trial, milliseconds.
    pub warmup_ms: u64,
    /// A search ends when its interval is within ± this share.
    pub within: f64,
    /// Or after this many trials.
    pub max_trials: u32,
    /// `constant` or `poisson`.
    pub arrivals: String,
    /// Seed of the drawn requests and of the order of servers.
    pub seed: u64,
    /// One for each workload and server.
    pub servers: Vec<ServerCapacity>,
}

/// The capacity of one server with one workload.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerCapacity {
    /// Its name.
    pub name: String,
    /// The name shown in tables.
    pub display: String,
    /// As in `framework`.
    pub class: String,
    /// The version of its framework.
    pub version: Option<String>,
    /// SHA-256 of the binary.
    pub sha256: Option<String>,
    /// The workload.
    pub workload: String,
    /// The first failure; its rounds without one count.
    pub failure: Option<Failure>,
    /// Requests per second: the median over rounds, and its interval. Computed from the rounds.
    pub capacity: Option<Estimate>,
    /// Its ratio to the highest capacity of the workload, within rounds. Computed from the rounds.
    pub ratio: Option<Estimate>,
    /// The load generator may have been the limit, so the capacity is a lower bound.
    pub at_least: bool,
    /// The load curve, by ascending share. Computed from the rounds.
    pub curve: Vec<CurvePoint>,
    /// One for each fresh process.
    pub rounds: Vec<RoundCapacity>,
}

/// What one process showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundCapacity {
    /// Counted from 1; the servers of a round took turns.
    pub round: u32,
    /// Requests per second of a closed loop, from which the search began.
    pub peak_per_s: f64,
    /// `found`, `trials-used`, `all-passed` or `none-passed`.
    pub end: String,
    /// The capacity, requests per second; absent if no rate passed or none failed.
    pub rate: Option<f64>,
    /// The lower end of the search's own 95 % interval.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Whether the load generator was busy in most failed trials.
    pub generator_bound: bool,
    /// The trials of the search, in order.
    pub trials: Vec<RateTrial>,
    /// The load curve, by ascending share.
    pub curve: Vec<LoadPoint>,
    /// The overload, if one was asked for.
    pub overload: Option<Overload>,
}

/// A trial of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RateTrial {
    /// Requests per second asked for.
    pub rate: f64,
    /// Whether the objective was met.
    pub passed: bool,
    /// The figures of the objective, for people.
    pub shown: String,
}

/// A trial at a share of the process's own capacity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadPoint {
    /// The share; 1.0 is the capacity.
    pub share: f64,
    /// Requests per second asked for.
    pub rate: f64,
    /// By id; see [`super::figure::CAPACITY`].
    pub figures: BTreeMap<String, f64>,
}

/// A point of the load curve over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The share of the capacity.
    pub share: f64,
    /// Median of the requests per second asked for.
    pub rate: f64,
    /// By id; see [`super::figure::CAPACITY`].
    pub figures: BTreeMap<String, Estimate>,
}

/// A load far above the capacity, then one below it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overload {
    /// Requests per second asked for in the overload.
    pub rate: f64,
    /// Its length, seconds.
    pub seconds: f64,
    /// Its connections.
    pub connections: usize,
    /// Valid responses per second in it.
    pub goodput_per_s: f64,
    /// 99th percentile of latency in it, from when a request was sent: what a client sees that was not kept waiting by
    /// others of its own.
    pub wire_p99_us: Option<f64>,
    /// Errors in it, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Requests sent in it.
    pub sent: u64,
    /// 99th percentile of latency at half the capacity before it.
    pub before_p99_us: Option<f64>,
    /// The same after it, over the whole time.
    pub after_p99_us: Option<f64>,
    /// Valid responses per second after it.
    pub after_per_s: f64,
    /// From the end of the overload until latency was back; absent if it never was in the time watched.
    pub recovered_ms: Option<f64>,
    /// What the server did.
    pub verdict: Option<OverloadVerdict>,
    /// From the start of its time series to the overload, milliseconds.
    #[serde(default)]
    pub before_ms: u64,
    /// The time series of the load before it, of the overload, and of the load after it, with short pauses between them.
    /// Files of older versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intervals: Vec<PatternInterval>,
}

/// What a server does with more requests than it can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverloadVerdict {
    /// It answers as many as it can, and refuses the others.
    Sheds,
    /// It answers as many as it can, and lets the others wait.
    Queues,
    /// It answers fewer than it can, ends, or doesn't recover.
    Collapses,
}

impl Document for Capacities {
    const WHAT: &'static str = "capacity";
    const KIND: &'static str = "capacity";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Capacities {
    /// The workloads, in order.
    pub fn workloads(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for server in &self.servers {
            if !all.contains(&server.workload.as_str()) {
                all.push(&server.workload);
            }
        }
        all
    }

    /// The servers of a workload, in order.
    pub fn of<'a>(&'a self, workload: &'a str) -> impl Iterator<Item = &'a ServerCapacity> {
        let servers = self.servers.iter();
        servers.filter(move |server| server.workload == workload)
    }

    /// Computes everything that follows from the rounds.
    pub fn summarise(&mut self) {
        let mut bootstrap = Bootstrap::new(self.seed);
        for server in &mut self.servers {
            let rates: Vec<f64> = server.series().into_values().collect();
            server.capacity = Estimate::of(&rates, &mut bootstrap);
            let bound = server.rounds.iter().filter(|round| round.generator_bound);
            server.at_least = bound.count() * 2 > server.rounds.len();
            server.curve = curve(&server.rounds, &mut bootstrap);
        }
        let workloads: Vec<String> = self.workloads().into_iter().map(str::to_owned).collect();
        for workload in workloads {
            let median = |server: &&ServerCapacity| server.capacity.map_or(0.0, |of| of.median);
            let best = self
                .of(&workload)
                .max_by(|a, b| median(a).total_cmp(&median(b)));
            let Some(best) = best.map(ServerCapacity::series) else {
                continue;
            };
            for server in self.servers.iter_mut().filter(|s| s.workload == workload) {
                let ratio = stats::paired_ratio(&server.series(), &best, &mut bootstrap);
                server.ratio = ratio.map(Estimate::of_ratio);
            }
        }
    }
}

impl ServerCapacity {
    /// The capacity by round.
    pub fn series(&self) -> Series {
        let of = |round: &RoundCapacity| Some((round.round, round.rate?));
        self.rounds.iter().filter_map(of).collect()
    }

    /// The overloads, by round.
    pub fn overloads(&self) -> impl Iterator<Item = &Overload> {
        self.rounds
            .iter()
            .filter_map(|round| round.overload.as_ref())
    }
}

impl Overload {
    /// Judges it: `capacity` is the server's, requests per second.
    pub fn judge(&mut self, capacity: f64) {
        let errors: u64 = self.errors.values().sum();
        let holds = self.goodput_per_s >= HOLDS * capacity;
        self.verdict = Some(match (holds, self.recovered_ms) {
            (false, _) | (_, None) => OverloadVerdict::Collapses,
            _ if errors as f64 >= SHEDS * self.sent as f64 => OverloadVerdict::Sheds,
            _ => OverloadVerdict::Queues,
        });
    }
}

/// The points of all rounds, by share.
fn curve(rounds: &[RoundCapacity], bootstrap: &mut Bootstrap) -> Vec<CurvePoint> {
    let all = || rounds.iter().flat_map(|round| &round.curve);
    let mut shares: Vec<f64> = all().map(|point| point.share).collect();
    shares.sort_by(f64::total_cmp);
    shares.dedup();
    let point = |share: f64| {
        let here: Vec<&LoadPoint> = all().filter(|point| point.share == share).collect();
        let rates: Vec<f64> = here.iter().map(|point| point.rate).collect();
        let mut values: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
        for (id, value) in here.iter().flat_map(|point| &point.figures) {
            values.entry(id).or_default().push(*value);
        }
        let figures = values.into_iter();
        Some(CurvePoint {
            share,
            rate: stats::median(&rates)?,
            figures: figures
                .filter_map(|(id, values)| Some((id.clone(), Estimate::of(&values, bootstrap)?)))
                .collect(),
        })
    };
    shares.into_iter().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, rates: &[f64]) -> ServerCapacity {
        let round = |(round, rate): (u32, &f64)| RoundCapacity {
            round,
            rate: (*rate > 0.0).then_some(*rate),
            curve: vec![LoadPoint {
                share: 0.5,
                rate: rate / 2.0,
                figures: BTreeMap::from([("requests_per_s".to_owned(), rate / 2.0)]),
            }],
            generator_bound: *rate > 3_000.0,
            ..RoundCapacity::default()
        };
        ServerCapacity {
            name: name.to_owned(),
            workload: "ping".to_owned(),
            rounds: (1..).zip(rates).map(round).collect(),
            ..ServerCapacity::default()
        }
    }

    #[test]
    fn a_ratio_is_taken_within_rounds() {
        // The machine is twice as fast in every other round; one server always reaches 80 % of the other.
        let fast = [1_000.0, 2_000.0, 1_000.0, 2_000.0, 1_000.0];
        let slow: Vec<f64> = fast.iter().map(|rate| rate * 0.8).collect();
        let mut all: Capacities = serde_json::from_value(serde_json::json!({
            "schema_version": 1, "kind": "capacity", "id": "", "started_at": "", "harness_version": "",
            "revision": null, "command": [], "cpu": "", "rustc": "", "objective": ["p99<10ms"], "connections": 1,
            "workers": 1, "rounds": 5, "trial_ms": 1, "warmup_ms": 1, "within": 0.05, "max_trials": 1,
            "arrivals": "constant", "seed": 1,
            "servers": [server("slow", &slow), server("fast", &fast), server("none", &[0.0]),
                        server("bound", &[4_000.0, 4_000.0, 1_000.0])]
        }))
        .unwrap();
        all.servers[3].workload = "orders".to_owned();
        all.summarise();
        let [slow, fast, none, bound] = &all.servers[..] else {
            panic!("{all:?}")
        };
        let ratio = slow.ratio.unwrap();
        assert!(
            (ratio.low - 0.8).abs() < 1e-9 && (ratio.high - 0.8).abs() < 1e-9,
            "{ratio:?}"
        );
        assert_eq!(fast.ratio.unwrap().median, 1.0);
        let capacity = slow.capacity.unwrap();
        assert_eq!((capacity.median, capacity.n), (800.0, 5));
        assert!(
            capacity.low < 800.0 && capacity.high > 1_000.0,
            "{capacity:?}"
        );
        assert!(bound.at_least && !slow.at_least);
        assert_eq!((none.capacity, none.ratio), (None, None));
        let point = &fast.curve[0];
        assert_eq!((point.share, point.rate), (0.5, 500.0));
        assert_eq!(point.figures["requests_per_s"].median, 500.0);
        assert_eq!(all.workloads(), ["ping", "orders"]);
    }

    #[test]
    fn an_overload_is_told_by_goodput_errors_and_recovery() {
        let overload = |goodput_per_s, errors, recovered_ms| {
            let mut overload = Overload {
                goodput_per_s,
                errors: BTreeMap::from([("status".to_owned(), errors)]),
                sent: 30_000,
                recovered_ms,
                ..Overload::default()
            };
            overload.judge(1_000.0);
            overload.verdict.unwrap()
        };
        for (goodput, errors, recovered, verdict) in [
            (950.0, 20_000, Some(100.0), OverloadVerdict::Sheds),
            (950.0, 10, Some(100.0), OverloadVerdict::Queues),
            (500.0, 0, Some(100.0), OverloadVerdict::Collapses),
            (950.0, 0, None, OverloadVerdict::Collapses),
        ] {
            assert_eq!(overload(goodput, errors, recovered), verdict);
        }
    }
}
