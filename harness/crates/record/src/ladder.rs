//! `ladder.json`: how each server's figures change with the number of connections, of worker threads, or with the rate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Estimate, Estimates, Failure, Head};
use stats::{Bootstrap, Series};

/// The file's name.
pub const LADDER_FILE: &str = "ladder.json";

/// What changes from rung to rung.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Factor {
    /// The connections of a closed loop.
    #[default]
    Connections,
    /// The worker threads of the server, in a closed loop.
    Workers,
    /// The requests per second that are sent.
    Rates,
}

impl Factor {
    /// Its name in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Workers => "workers",
            Self::Rates => "rates",
        }
    }
}

/// A factor and its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// What changes.
    pub factor: Factor,
    /// Its values, ascending.
    pub values: Vec<f64>,
}

/// The ladders of each server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ladders {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// CPUs of the server; all of the machine if nothing was pinned.
    pub server_cpus: usize,
    /// Whether both sides were pinned to their CPUs.
    pub pinned: bool,
    /// What was measured, in order.
    pub ladders: Vec<Ladder>,
    /// Connections where they are not the factor.
    pub connections: usize,
    /// Worker threads where they are not the factor.
    pub workers: usize,
    /// Rounds asked for.
    pub rounds: u32,
    /// Length of a trial, milliseconds.
    pub trial_ms: u64,
    /// Load before a trial, milliseconds.
    pub warmup_ms: u64,
    /// `constant` or `poisson`; of the requests at a rate.
    pub arrivals: String,
    /// Seed of the drawn requests and of the order of servers.
    pub seed: u64,
    /// One for each workload, factor and server.
    pub servers: Vec<ServerLadder>,
}

/// A server with one workload over the values of one factor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerLadder {
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
    /// The factor.
    pub factor: Factor,
    /// The first failure; what was measured before it counts, and so do the rounds without one.
    pub failure: Option<Failure>,
    /// By ascending value, those that were measured. Computed from the rounds.
    pub rungs: Vec<Rung>,
    /// One for each fresh process, or for each set of them if workers are the factor.
    pub rounds: Vec<RoundLadder>,
}

/// A value of the factor over all rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Connections, worker threads or requests per second.
    pub value: f64,
    /// The load generator may have been the limit in most rounds: what was answered is a lower bound.
    pub at_least: bool,
    /// By id; see [`super::figure::ladder`].
    pub figures: Estimates,
    /// If workers are the factor: the requests per second of each worker, as a share of what they are with the fewest
    /// workers. Taken within rounds. Absent if the load generator was the limit there.
    pub efficiency: Option<Estimate>,
}

/// What one process showed, or one for each number of workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundLadder {
    /// Counted from 1; the servers of a round took turns.
    pub round: u32,
    /// By ascending value.
    pub trials: Vec<LadderTrial>,
}

/// A trial at one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LadderTrial {
    /// Connections, worker threads or requests per second.
    pub value: f64,
    /// By id; see [`super::figure::ladder`].
    pub figures: BTreeMap<String, f64>,
    /// Whether the load generator may have been the limit.
    pub generator_bound: bool,
    /// The message of the first error.
    pub first_error: Option<String>,
}

impl Document for Ladders {
    const WHAT: &'static str = "ladder";
    const KIND: &'static str = "ladder";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Ladders {
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

    /// The servers of a workload and factor, in order.
    pub fn of<'a>(
        &'a self,
        workload: &'a str,
        factor: Factor,
    ) -> impl Iterator<Item = &'a ServerLadder> {
        let servers = self.servers.iter();
        servers.filter(move |server| server.workload == workload && server.factor == factor)
    }

    /// Computes everything that follows from the rounds.
    pub fn summarise(&mut self) {
        let mut bootstrap = Bootstrap::new(self.seed);
        for server in &mut self.servers {
            server.rungs = rungs(server, &mut bootstrap);
        }
    }
}

impl ServerLadder {
    /// The trials at a value, with their rounds.
    fn at(&self, value: f64) -> impl Iterator<Item = (u32, &LadderTrial)> {
        self.rounds.iter().flat_map(move |round| {
            let here = round
                .trials
                .iter()
                .filter(move |trial| trial.value == value);
            here.map(|trial| (round.round, trial))
        })
    }

    /// Requests per second by round.
    fn series(&self, value: f64) -> Series {
        let rate = |trial: &LadderTrial| trial.figures.get("requests_per_s").copied();
        self.at(value)
            .filter_map(|(round, trial)| Some((round, rate(trial)?)))
            .collect()
    }

    /// Errors at a value: their share of the requests of the worst round, and the first message.
    pub fn errors(&self, value: f64) -> Option<(f64, &str)> {
        let share = |trial: &LadderTrial| trial.figures.get("error_ratio").copied();
        let worst = self
            .at(value)
            .filter_map(|(_, trial)| share(trial))
            .fold(0.0, f64::max);
        let first = self
            .at(value)
            .find_map(|(_, trial)| trial.first_error.as_deref());
        first.filter(|_| worst > 0.0).map(|first| (worst, first))
    }

    /// Whether the load generator may have been the limit in most rounds.
    fn at_least(&self, value: f64) -> bool {
        let (all, bound) = self.at(value).fold((0, 0), |(all, bound), (_, trial)| {
            (all + 1, bound + u32::from(trial.generator_bound))
        });
        bound * 2 > all
    }
}

/// Every value that was measured.
fn rungs(server: &ServerLadder, bootstrap: &mut Bootstrap) -> Vec<Rung> {
    let trials = server.rounds.iter().flat_map(|round| &round.trials);
    let mut values: Vec<f64> = trials.map(|trial| trial.value).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let base = values.first().copied();
    let rung = |value: f64| {
        let mut by_id: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
        for (id, figure) in server.at(value).flat_map(|(_, trial)| &trial.figures) {
            by_id.entry(id).or_default().push(*figure);
        }
        let figures = by_id.into_iter();
        let figures = figures
            .filter_map(|(id, values)| Some((id.clone(), Estimate::of(&values, bootstrap)?)))
            .collect();
        let base = base.filter(|base| server.factor == Factor::Workers && !server.at_least(*base));
        Rung {
            value,
            at_least: server.at_least(value),
            figures,
            efficiency: base.and_then(|base| efficiency(server, value, base, bootstrap)),
        }
    };
    values.into_iter().map(rung).collect()
}

/// (throughput ÷ workers) ÷ (throughput ÷ workers with the fewest), within rounds.
fn efficiency(
    server: &ServerLadder,
    workers: f64,
    fewest: f64,
    bootstrap: &mut Bootstrap,
) -> Option<Estimate> {
    let each = |workers: f64| -> Series {
        let series = server.series(workers).into_iter();
        series
            .map(|(round, rate)| (round, rate / workers))
            .collect()
    };
    stats::paired_ratio(&each(workers), &each(fewest), bootstrap).map(Estimate::of_ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(value: f64, rate: f64) -> LadderTrial {
        LadderTrial {
            value,
            figures: BTreeMap::from([("requests_per_s".to_owned(), rate)]),
            generator_bound: rate > 9_000.0,
            first_error: None,
        }
    }

    /// `rates` has the requests per second of each number of workers in each round.
    fn scaled(rates: &[[f64; 3]]) -> Vec<Rung> {
        let round = |(round, rates): (u32, &[f64; 3])| RoundLadder {
            round,
            trials: [1.0, 2.0, 4.0]
                .into_iter()
                .zip(rates)
                .map(|(workers, rate)| trial(workers, *rate))
                .collect(),
        };
        let server = ServerLadder {
            factor: Factor::Workers,
            rounds: (1..).zip(rates).map(round).collect(),
            ..ServerLadder::default()
        };
        rungs(&server, &mut Bootstrap::new(1))
    }

    #[test]
    fn efficiency_is_taken_within_rounds() {
        // The machine is half as fast in the second round; two workers reach 90 % of twice, four a quarter of four times.
        let rungs = scaled(&[
            [1_000.0, 1_800.0, 1_000.0],
            [500.0, 900.0, 500.0],
            [1_000.0, 1_800.0, 1_000.0],
        ]);
        for (rung, expected) in rungs.iter().zip([1.0, 0.9, 0.25]) {
            let found = rung.efficiency.unwrap();
            assert_eq!(found.n, 3);
            for value in [found.low, found.median, found.high] {
                assert!((value - expected).abs() < 1e-9, "{found:?}");
            }
        }
        let throughput = rungs[1].figures["requests_per_s"];
        assert_eq!(throughput.median, 1_800.0);
        assert!(throughput.low < 1_800.0, "{throughput:?}");
    }

    #[test]
    fn a_busy_load_generator_bounds_the_figures() {
        let upper = scaled(&[[5_000.0, 9_500.0, 9_600.0]]);
        let bounds: Vec<bool> = upper.iter().map(|rung| rung.at_least).collect();
        assert_eq!(bounds, [false, true, true]);
        let efficiency = upper[1].efficiency.unwrap().median;
        assert!((efficiency - 0.95).abs() < 1e-9, "{efficiency}");
        // Then each worker of the fewest may do more, and no ratio to that is known.
        let all = scaled(&[[9_500.0, 9_500.0, 9_600.0]]);
        assert!(all.iter().all(|rung| rung.efficiency.is_none()), "{all:?}");
    }
}
