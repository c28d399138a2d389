//! The input of gates that look at more than one trial.

use std::collections::BTreeMap;

use catalog::Stage;
use record::{Environment, Run, Trial, is_control};
use stats::{Series, median};

/// The valid trials of a server in one stage of one workload.
pub struct RowView<'a> {
    /// The run.
    pub run: &'a Run,
    /// The stage.
    pub stage: Stage,
    /// The valid trials.
    pub valid: &'a [&'a Trial],
    /// In an interleaved run, the trials of the other entries in that stage and workload, which ran at the same
    /// time. Empty in an isolated run.
    pub others: &'a [&'a Trial],
    /// The control's peak rates in this workload, one series per entry. Empty if no control ran, and on the
    /// control's own rows.
    pub control: &'a [Series],
}

impl RowView<'_> {
    /// The median of a figure; absent if no trial has it.
    pub fn median(&self, figure: &str) -> Option<f64> {
        median(&values(self.valid, figure))
    }

    /// A figure by round.
    pub fn series(&self, figure: &str) -> Series {
        series(self.valid, figure)
    }

    /// The trials of the control among [`Self::others`].
    pub(super) fn others_of_control(&self) -> Vec<&Trial> {
        let control = |trial: &&&Trial| is_control(&trial.server);
        self.others.iter().filter(control).copied().collect()
    }
}

/// The valid trials of a workload, all servers and stages.
pub struct WorkloadView<'a> {
    /// The run.
    pub run: &'a Run,
    /// The machine.
    pub environment: &'a Environment,
    /// The stage to rank by.
    pub stage: Stage,
    /// The figure of that stage to rank by.
    pub figure: &'static str,
    /// The valid trials.
    pub valid: &'a [&'a Trial],
    /// The control's values of that figure, one series per entry; empty if no control ran.
    pub control: &'a [Series],
    /// The position in the run's order at which each round begins.
    pub first_position: &'a BTreeMap<u32, u32>,
}

/// A figure of each trial that has it.
pub(super) fn values(trials: &[&Trial], figure: &str) -> Vec<f64> {
    let of = |trial: &&Trial| {
        trial
            .figures
            .get(figure)
            .copied()
            .filter(|value| value.is_finite())
    };
    trials.iter().filter_map(of).collect()
}

/// A figure by round.
pub(super) fn series(trials: &[&Trial], figure: &str) -> Series {
    let of = |trial: &&Trial| Some((trial.round, *trial.figures.get(figure)?));
    trials
        .iter()
        .filter_map(of)
        .filter(|(_, value)| value.is_finite())
        .collect()
}
