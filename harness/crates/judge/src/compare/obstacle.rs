//! Why something is not compared.

use crate::Cause;
use record::Engine;
use serde::Serialize;

/// Why something can't be compared.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum Obstacle {
    /// One run doesn't have the stage.
    StageNotRun {
        /// `base` or `new`, as in the other variants.
        run: String,
    },
    /// One run doesn't have the server or workload.
    NotIn {
        /// Which.
        run: String,
    },
    /// Different numbers of connections.
    Connections {
        /// In base.
        base: u32,
        /// In new.
        new: u32,
    },
    /// Different I/O backends.
    Engines {
        /// In base.
        base: Engine,
        /// In new.
        new: Engine,
    },
    /// One run is interleaved, the other isolated.
    Schedules {
        /// The schedule's name in base.
        base: &'static str,
        /// In new.
        new: &'static str,
    },
    /// Different paced rates, per second.
    Rates {
        /// In base.
        base: f64,
        /// In new.
        new: f64,
    },
    /// The paced rate was not recorded in both.
    RateUnknown,
    /// The run ended before the row's first trial.
    NoTrial {
        /// Which.
        run: &'static str,
    },
    /// The peak rate is a lower bound.
    LowerBound {
        /// In which run.
        run: &'static str,
    },
    /// The peak rate may be the load generator's limit.
    DriverMayBind {
        /// In which run.
        run: &'static str,
    },
    /// The figure was not measured.
    NotMeasured {
        /// In which run, or `either`.
        run: &'static str,
    },
    /// Too few valid rounds.
    TooFewRounds {
        /// In base.
        base: usize,
        /// In new.
        new: usize,
        /// How many are needed in each.
        needed: usize,
    },
    /// Too few rounds that both have.
    TooFewInCommon {
        /// How many are needed.
        needed: usize,
    },
    /// No stage has valid trials in both runs.
    NoValidTrials,
    /// No paced stage had the same load in both runs.
    NoEqualLoad,
    /// It fails in one run.
    Failed {
        /// Which.
        run: &'static str,
        /// Why.
        causes: Vec<Cause>,
    },
    /// It fails in both.
    FailedInBoth {
        /// Why in new.
        new: Vec<Cause>,
    },
}
