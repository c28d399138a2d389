//! One run of a comparison: its rows, and their figures by round.

use std::collections::{BTreeMap, BTreeSet};

use super::ranking::{basis, controls};
use super::row_view::{WorkloadView, series};
use super::rows::{self, Judged};
use super::{Cause, Court, Effect, Entry, TWIN_SUFFIX, gates, is_control};
use catalog::Stage;
use record::{Record, Trial, Verdict};
use stats::{Series, geometric_mean};

/// One stage of one workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) workload: String,
    pub(super) stage: Stage,
}

/// A run, judged.
pub(super) struct Side<'a> {
    /// Its name in messages.
    pub(super) called: String,
    pub(super) court: Court<'a>,
    pub(super) judged: Vec<Judged<'a>>,
}

/// The outcome of a row.
pub(super) enum Found<'s, 'a> {
    /// The run ended before it.
    NotRun,
    /// It has no figures to compare; why.
    Failed(Vec<Cause>),
    /// It has figures.
    Sound(&'s Judged<'a>),
}

impl<'a> Side<'a> {
    pub(super) fn new(record: &'a Record, called: impl Into<String>) -> Self {
        let mut court = Court::new(record);
        let judged = court
            .workloads()
            .iter()
            .flat_map(|workload| rows::of_workload(&mut court, workload))
            .collect();
        Self {
            called: called.into(),
            court,
            judged,
        }
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry<'a>> {
        self.court.entries.iter().find(|entry| entry.name == name)
    }

    /// The names of its entries, in the record's order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.court.entries.iter().map(|entry| entry.name)
    }

    /// Why a server was not measured; `None` if it was.
    pub(super) fn not_measured(&self, name: &str) -> Option<Vec<Cause>> {
        rows::not_measured(&self.court.record.run, self.entry(name)?)
    }

    pub(super) fn stages(&self) -> BTreeSet<Stage> {
        self.court.stages().into_iter().collect()
    }

    /// The outcome of a server in a cell.
    pub(super) fn found(&self, name: &str, cell: &Cell) -> Found<'_, 'a> {
        let Some(judged) = self.row(name, cell) else {
            return Found::NotRun;
        };
        let ran = self.court.trials(&cell.workload, cell.stage, name);
        match judged.row.verdict {
            _ if ran.is_empty() => Found::NotRun,
            Verdict::Failed => Found::Failed(judged.causes.clone()),
            _ => Found::Sound(judged),
        }
    }

    pub(super) fn row(&self, name: &str, cell: &Cell) -> Option<&Judged<'a>> {
        self.judged.iter().find(|judged| {
            let row = &judged.row;
            row.server == name && row.workload == cell.workload && row.stage == cell.stage
        })
    }

    /// A figure by round; empty if the row failed.
    pub(super) fn series(&self, name: &str, cell: &Cell, figure: &str) -> Series {
        self.row(name, cell)
            .filter(|judged| judged.row.verdict != Verdict::Failed)
            .map(|judged| series(&judged.valid, figure))
            .unwrap_or_default()
    }

    /// The geometric mean of the control's entries in each round; empty if none ran.
    pub(super) fn control(&self, cell: &Cell, figure: &str) -> Series {
        let names = self.names().filter(|name| is_control(name));
        means_of_any(names.map(|name| self.series(name, cell, figure)))
    }

    /// A figure of starts in an interleaved run: the geometric mean over the cells of a round before which a process
    /// started, which is the first one, and one after a failure.
    pub(super) fn of_starts(&self, name: &str, cells: &[&Cell], figure: &str) -> Series {
        means_of_any(cells.iter().map(|cell| self.series(name, cell, figure)))
    }

    /// A figure of the process: the geometric mean over cells, for each round that has all of them.
    pub(super) fn over(&self, name: &str, cells: &[&Cell], figure: &str) -> Series {
        let all: Vec<Series> = cells
            .iter()
            .map(|cell| self.series(name, cell, figure))
            .collect();
        geometric_means(&all)
    }

    /// All rows of a workload.
    pub(super) fn of_workload(&self, workload: &str) -> &[Judged<'a>] {
        let is = |judged: &Judged<'_>| judged.row.workload == workload;
        // Rows are ordered by workload.
        let start = self.judged.iter().position(is).unwrap_or(0);
        let length = self.judged[start..].iter().take_while(|j| is(j)).count();
        &self.judged[start..start + length]
    }

    /// The names of each pair of twins.
    pub(super) fn twins(&self) -> Vec<(&'a str, &'a str)> {
        let first = |second: &'a str| Some((second.strip_suffix(TWIN_SUFFIX)?, second));
        let both = |pair: &(&str, &str)| self.entry(pair.0).is_some();
        self.names().filter_map(first).filter(both).collect()
    }

    /// Why noise withholds the ranks of a workload.
    pub(super) fn noise(&self, workload: &str) -> Vec<Cause> {
        let schedule = self.court.record.run.schedule;
        let basis = basis(self.of_workload(workload), schedule);
        self.noise_in(workload, basis.stage, basis.figure)
    }

    /// The same when ranking by that figure.
    pub(super) fn noise_in(
        &self,
        workload: &str,
        stage: Stage,
        figure: &'static str,
    ) -> Vec<Cause> {
        let rows = self.of_workload(workload);
        let valid: Vec<&Trial> = rows
            .iter()
            .flat_map(|judged| judged.valid.iter().copied())
            .collect();
        let found = gates::on_workload(&WorkloadView {
            run: &self.court.record.run,
            environment: &self.court.record.environment,
            stage,
            figure,
            valid: &valid,
            control: &controls(rows, stage, figure),
            first_position: &self.court.first_position,
        });
        let withholds = found
            .into_iter()
            .filter(|r| r.effect() >= Effect::Withholds);
        withholds.map(Cause::from).collect()
    }
}

/// The geometric mean of several series, for each round that any of them has.
fn means_of_any(all: impl Iterator<Item = Series>) -> Series {
    let mut rounds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (round, value) in all.flatten() {
        rounds.entry(round).or_default().push(value);
    }
    let mean = |(round, values): (u32, Vec<f64>)| Some((round, geometric_mean(&values)?));
    rounds.into_iter().filter_map(mean).collect()
}

/// The geometric mean of several series, for each round that all of them have.
pub(super) fn geometric_means(all: &[Series]) -> Series {
    let Some((first, others)) = all.split_first() else {
        return Series::new();
    };
    let of = |(round, value): (&u32, &f64)| {
        let mut values = vec![*value];
        for other in others {
            values.push(*other.get(round)?);
        }
        Some((*round, geometric_mean(&values)?))
    };
    first.iter().filter_map(of).collect()
}
