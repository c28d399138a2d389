//! The rounds of a workload from all runs that have it.

use std::collections::{BTreeMap, BTreeSet};

use super::By;
use crate::side::{Cell, Side};
use record::Run;
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

/// Notes on the pooled runs.
pub(super) fn notes(sides: &[Side<'_>], pools: &[Pool]) -> Vec<String> {
    let mut notes = Vec::new();
    for pool in pools {
        let (there, used) = pool.rounds;
        if used < there {
            notes.push(format!(
                "{}: only {used} of its {there} rounds are used, because another workload has no more",
                pool.cell.workload
            ));
        }
        notes.extend(differs(sides, pool, "connections", |run| {
            Some(run.connections.to_string())
        }));
        if pool.cell.stage == By::Cost.stage() {
            notes.extend(differs(sides, pool, "paced rates", |run| {
                run.rates_per_s
                    .get(&pool.cell.workload)
                    .map(|rate| format!("{rate}/s"))
            }));
        }
    }
    notes.extend(other_builds(sides));
    notes
}

/// A condition that differs between the runs of a workload.
fn differs(
    sides: &[Side<'_>],
    pool: &Pool,
    what: &str,
    of: impl Fn(&Run) -> Option<String>,
) -> Option<String> {
    let having = sides
        .iter()
        .filter(|side| !side.of_workload(&pool.cell.workload).is_empty());
    let told: Vec<(String, &str)> = having
        .filter_map(|side| Some((of(&side.court.record.run)?, side.called.as_str())))
        .collect();
    let values: BTreeSet<&String> = told.iter().map(|(value, _)| value).collect();
    let all: Vec<String> = told
        .iter()
        .map(|(value, run)| format!("{value} in {run}"))
        .collect();
    (values.len() > 1).then(|| {
        format!(
            "{}: {what} differ: {}; servers are only compared within a round, so each ratio has \
             one condition",
            pool.cell.workload,
            all.join(", ")
        )
    })
}

/// Servers with different binaries between the runs.
fn other_builds(sides: &[Side<'_>]) -> Option<String> {
    let mut builds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for server in sides.iter().flat_map(|side| &side.court.record.servers) {
        let sha256 = server
            .build
            .as_ref()
            .and_then(|build| build.sha256.as_deref());
        builds.entry(&server.name).or_default().extend(sha256);
    }
    let several = builds.iter().filter(|(_, found)| found.len() > 1);
    let names: Vec<&str> = several.map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "different binaries between the runs: {}; their rounds are pooled",
            names.join(", ")
        )
    })
}
