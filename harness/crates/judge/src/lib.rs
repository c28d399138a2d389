//! From trials to rows: gates, intervals, ranks; pure.
//!
//! [`summarise`] turns a record into everything that is shown, except its words: what was found is typed, and
//! `report` makes the text. The gates are listed in [`gates::GATES`]; [`stats`] defines what counts as a
//! difference.

mod compare;
mod cost;
mod court;
mod floor;
pub mod gates;
mod ranking;
mod ratios;
mod reason;
mod recovery;
mod row_view;
mod rows;
mod servers;
mod side;
mod soak;
mod standing;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod widest;

use std::collections::BTreeSet;

pub use compare::{
    ALPHA, Change, Choice, Comparison, Condition, ControlMove, Lengths, NotJudged, Note, Obstacle,
    Operand, Outcome, Place, Ratio, Turn, compare,
};
pub use cost::{CostChange, CostLimit, Growth, USUAL_COSTS, cost_changes, unjudged};
pub use reason::{Cause, Effect, Reason, Trials, Why};
pub use recovery::{P99Interval, Recovered, pattern_recovered, recovered};
pub use row_view::{RowView, WorkloadView};
pub use soak::{
    FALSE_ALARMS, Growing, LEAST_READINGS, SoakTrend, least_cycles, least_growth, soak_trends,
};
pub use standing::{
    Beside, By, Distance, Grounds, Named, PoolNote, Shared, Standing, StandingChoice, Stood, Unfit,
    Unranked, Withheld, standing,
};
pub use widest::{Widest, widest_ratio};

pub use record::{CONTROL, TWIN_SUFFIX};

use court::{Court, Entry};
use record::{Estimate, Ranking, Record, Row, ServerRow, Trial, is_control};
use stats::{Bootstrap, Interval, Scale, median};

/// Settings for judging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The smallest noise floor δ, as a log-ratio. If neither a control's second copy nor a twin ran, δ is this
    /// assumption.
    pub minimum_delta: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minimum_delta: 0.01,
        }
    }
}

/// What a run amounts to. Its parts are those of a [`record::Summary`] with no text in them: `reasons`,
/// `reason` and `notes` are empty, and next to each part is what they will say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judgement {
    /// One row for each planned server, workload and stage, and why its verdict is not `ok`.
    pub rows: Vec<(Row, Vec<Cause>)>,
    /// The same for each server.
    pub servers: Vec<(ServerRow, Vec<Cause>)>,
    /// One for each workload.
    pub rankings: Vec<JudgedRanking>,
}

/// What the ranks of a workload go by, and what is said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedRanking {
    /// Without its texts.
    pub ranking: Ranking,
    /// Why its figure is ranked by.
    pub why: Why,
    /// Why ranks are withheld; empty if they aren't.
    pub withheld: Vec<Cause>,
    /// Notes on the workload.
    pub notes: Vec<Cause>,
}

/// Summarises a run with the default [`Settings`].
pub fn summarise(record: &Record) -> Judgement {
    summarise_with(record, &Settings::default())
}

/// Summarises a run. The same record always gives the same summary, because resamples are drawn with the run's
/// seed.
pub fn summarise_with(record: &Record, settings: &Settings) -> Judgement {
    let mut court = Court::new(record);
    let mut rows = Vec::new();
    let mut rankings = Vec::new();
    for workload in court.workloads() {
        let mut judged = rows::of_workload(&mut court, &workload);
        let mut ranking = ranking::rank(&mut court, &workload, &mut judged, settings);
        ratios::give(&mut judged, &mut court.bootstrap);
        let tails = tail::mark(&mut judged, &mut court.bootstrap);
        ranking.notes.extend(tails.map(Cause::from));
        rankings.push(ranking);
        rows.extend(judged);
    }
    let servers = servers::rows(&mut court, &rows);
    let rows = rows.into_iter().map(|judged| (judged.row, judged.causes));
    Judgement {
        rows: rows.collect(),
        servers,
        rankings,
    }
}

/// Whether no gate invalidates a trial.
pub fn is_valid(run: &record::Run, trial: &Trial) -> bool {
    gates::on_trial(run, trial)
        .iter()
        .all(|reason| reason.effect() < Effect::Invalidates)
}

/// The median of values and its interval; for two values their range, which isn't a 95 % interval.
fn estimate(values: &[f64], bootstrap: &mut Bootstrap) -> Option<Estimate> {
    let median = median(values)?;
    let range = Interval {
        low: values.iter().fold(median, |low, value| low.min(*value)),
        high: values.iter().fold(median, |high, value| high.max(*value)),
    };
    let Interval { low, high } = bootstrap
        .median_interval(values, Scale::Log)
        .unwrap_or(range);
    let n = u32::try_from(values.len()).unwrap_or(u32::MAX);
    Some(Estimate {
        median,
        low,
        high,
        n,
    })
}

/// Each figure over these trials; absent if no trial has it.
fn estimates(
    trials: &[&Trial],
    wanted: impl Fn(&str) -> bool,
    bootstrap: &mut Bootstrap,
) -> record::Estimates {
    let names: BTreeSet<&str> = trials
        .iter()
        .flat_map(|trial| trial.figures.keys().map(String::as_str))
        .collect();
    let of = |name: &str| {
        let found = estimate(&row_view::values(trials, name), bootstrap)?;
        Some((name.to_owned(), found))
    };
    names
        .into_iter()
        .filter(|name| wanted(name))
        .filter_map(of)
        .collect()
}
