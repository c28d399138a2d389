//! The rounds of a workload from all runs that have it.

use std::collections::{BTreeMap, BTreeSet};

use super::By;
use crate::side::{Cell, Side};
use record::Run;
use serde::Serialize;
use stats::Series;

/// One workload's figure of every entry, with rounds numbered across all runs.
pub(super) struct Pool {
    pub(super) cell: Cell,
    pub(super) figure: &'static str,
    /// Rounds available, and rounds used.
    rounds: (u32, u32),
    series: BTreeMap<String, Series>,
}

impl Pool {
    fn new(sides: &[Side<'_>], workload: &str, by: By) -> Self {
        let cell = Cell {
            workload: workload.to_owned(),
            stage: by.stage(),
        };
        let mut series: BTreeMap<String, Series> = BTreeMap::new();
        let mut before = 0;
        for side in sides {
            let trials = side.court.record.trials.iter();
            let rounds: BTreeSet<u32> = trials
                .filter(|trial| trial.workload == cell.workload && trial.stage == cell.stage)
                .map(|trial| trial.round)
                .collect();
            let place: BTreeMap<u32, u32> = rounds.into_iter().zip(before + 1..).collect();
            for name in side.names() {
                let own = side.series(name, &cell, by.figure());
                let placed = own
                    .iter()
                    .filter_map(|(round, v)| Some((*place.get(round)?, *v)));
                series.entry(name.to_owned()).or_default().extend(placed);
            }
            before += u32::try_from(place.len()).unwrap_or(u32::MAX);
        }
        Self {
            cell,
            figure: by.figure(),
            rounds: (before, before),
            series,
        }
    }

    /// The rounds of an entry.
    pub(super) fn series(&self, name: &str) -> Series {
        self.series.get(name).cloned().unwrap_or_default()
    }

    fn keep(&mut self, rounds: u32) {
        self.rounds.1 = rounds.min(self.rounds.0);
        for series in self.series.values_mut() {
            series.retain(|round, _| *round <= rounds);
        }
    }
}

/// A pool for each workload, all with the same number of rounds. If workloads were measured in different runs,
/// the n-th round of one is paired with the n-th of the other: both are independent replicates.
pub(super) fn pools(sides: &[Side<'_>], workloads: &[String], by: By) -> Vec<Pool> {
    let mut pools: Vec<Pool> = workloads
        .iter()
        .map(|workload| Pool::new(sides, workload, by))
        .collect();
    let fewest = pools.iter().map(|pool| pool.rounds.0).min().unwrap_or(0);
    pools.iter_mut().for_each(|pool| pool.keep(fewest));
    pools
}

/// A note on pooled runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum PoolNote {
    /// Not all rounds of a workload are used, because another workload has no more.
    RoundsUnused {
        /// The workload.
        workload: String,
        /// Its rounds.
        rounds: u32,
        /// Those used.
        used: u32,
    },
    /// The runs measured a workload under different conditions.
    Differs {
        /// The workload.
        workload: String,
        /// The condition.
        what: Shared,
        /// Its value in each run, by the run's name.
        runs: Vec<(String, f64)>,
    },
    /// The runs have different binaries of some servers.
    OtherBuilds {
        /// Their names.
        servers: Vec<String>,
    },
}

/// A condition shared by all servers of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shared {
    /// The number of connections.
    Connections,
    /// The rate of the paced stage, per second.
    PacedRate,
}

/// Notes on the pooled runs.
pub(super) fn notes(sides: &[Side<'_>], pools: &[Pool]) -> Vec<PoolNote> {
    let mut notes = Vec::new();
    for pool in pools {
        let workload = &pool.cell.workload;
        let (rounds, used) = pool.rounds;
        if used < rounds {
            notes.push(PoolNote::RoundsUnused {
                workload: workload.clone(),
                rounds,
                used,
            });
        }
        notes.extend(differs(sides, workload, Shared::Connections));
        if pool.cell.stage == By::Cost.stage() {
            notes.extend(differs(sides, workload, Shared::PacedRate));
        }
    }
    notes.extend(other_builds(sides));
    notes
}

/// A condition that differs between the runs of a workload.
fn differs(sides: &[Side<'_>], workload: &str, what: Shared) -> Option<PoolNote> {
    let of = |run: &Run| match what {
        Shared::Connections => Some(f64::from(run.connections)),
        Shared::PacedRate => run.rates_per_s.get(workload).copied(),
    };
    let having = sides
        .iter()
        .filter(|side| !side.of_workload(workload).is_empty());
    let runs: Vec<(String, f64)> = having
        .filter_map(|side| Some((side.called.clone(), of(&side.court.record.run)?)))
        .collect();
    let differ = runs.iter().any(|(_, value)| *value != runs[0].1);
    differ.then(|| PoolNote::Differs {
        workload: workload.to_owned(),
        what,
        runs,
    })
}

/// Servers with different binaries between the runs.
fn other_builds(sides: &[Side<'_>]) -> Option<PoolNote> {
    let mut builds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for server in sides.iter().flat_map(|side| &side.court.record.servers) {
        let sha256 = server
            .build
            .as_ref()
            .and_then(|build| build.sha256.as_deref());
        builds.entry(&server.name).or_default().extend(sha256);
    }
    let several = builds.iter().filter(|(_, found)| found.len() > 1);
    let servers: Vec<String> = several.map(|(name, _)| (*name).to_owned()).collect();
    (!servers.is_empty()).then_some(PoolNote::OtherBuilds { servers })
}
