//! From trials to rows: gates, intervals, ranks; pure.
//!
//! [`summarise`] turns a record into everything that is shown, except its words: what was found is typed, and
//! `report` makes the text. The gates are listed in [`gates::GATES`]; [`stats`] defines what counts as a
//! difference.

mod compare;
mod floor;
pub mod gates;
mod ranking;
mod ratios;
mod reason;
mod row_view;
mod rows;
mod servers;
mod side;
mod standing;
mod tail;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod widest;

use std::collections::{BTreeMap, BTreeSet};

pub use compare::{
    ALPHA, Change, Choice, Comparison, Condition, ControlMove, Lengths, NotJudged, Note, Obstacle,
    Operand, Outcome, Place, Ratio, Turn, compare,
};
pub use reason::{Cause, Effect, Reason, Trials, Why};
pub use row_view::{RowView, WorkloadView};
pub use standing::{
    Beside, By, Distance, Grounds, Named, PoolNote, Shared, Standing, StandingChoice, Stood, Unfit,
    Unranked, Withheld, standing,
};
pub use widest::{Widest, widest_ratio};

pub use record::{CONTROL, TWIN_SUFFIX};

use catalog::Stage;
use record::figure;
use record::{
    Estimate, Ranking, Record, Row, Server, ServerRow, Trial, base_name, is_control, shown_name,
};
use stats::{Bootstrap, Interval, Scale, Series, median};

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

/// A record, ordered for judging.
struct Court<'a> {
    record: &'a Record,
    /// All entries: the servers of the record, then twins and the control found in the trials.
    entries: Vec<Entry<'a>>,
    trials: BTreeMap<(&'a str, Stage, &'a str), Vec<&'a Trial>>,
    /// The position in the run's order at which each round begins.
    first_position: BTreeMap<u32, u32>,
    bootstrap: Bootstrap,
}

/// An entry and its server.
struct Entry<'a> {
    name: &'a str,
    display: String,
    /// The server in the record; for a twin, that of the first entry.
    server: Option<&'a Server>,
}

impl<'a> Court<'a> {
    fn new(record: &'a Record) -> Self {
        let mut trials = BTreeMap::<_, Vec<&Trial>>::new();
        for trial in &record.trials {
            let place = (trial.workload.as_str(), trial.stage, trial.server.as_str());
            trials.entry(place).or_default().push(trial);
        }
        for of_row in trials.values_mut() {
            of_row.sort_by_key(|trial| trial.round);
        }
        let mut first_position = BTreeMap::new();
        for trial in &record.trials {
            let first = first_position.entry(trial.round).or_insert(trial.position);
            *first = trial.position.min(*first);
        }
        let entries = entries(record);
        Self {
            record,
            entries,
            trials,
            first_position,
            bootstrap: Bootstrap::new(record.run.seed),
        }
    }

    /// The workloads of the run by name.
    fn workloads(&self) -> Vec<String> {
        let asked = self.record.run.workloads.keys().map(String::as_str);
        let ran = self.trials.keys().map(|(workload, ..)| *workload);
        let all: BTreeSet<&str> = asked.chain(ran).collect();
        all.into_iter().map(str::to_owned).collect()
    }

    /// The stages that ran or, if none did, those that have a length.
    fn stages(&self) -> Vec<Stage> {
        let run = &self.record.run;
        let planned = |stage: &Stage| match stage {
            _ if !self.trials.is_empty() => self.trials.keys().any(|(_, ran, _)| ran == stage),
            Stage::Peak => run.peak_ms > 0,
            Stage::Paced => run.paced_ms > 0,
        };
        Stage::ALL.into_iter().filter(planned).collect()
    }

    /// All trials of a row, by round.
    fn trials(&self, workload: &str, stage: Stage, server: &str) -> Vec<&'a Trial> {
        self.trials
            .get(&(workload, stage, server))
            .cloned()
            .unwrap_or_default()
    }

    /// The valid ones.
    fn valid(&self, workload: &str, stage: Stage, server: &str) -> Vec<&'a Trial> {
        let all = self.trials(workload, stage, server).into_iter();
        all.filter(|trial| is_valid(&self.record.run, trial))
            .collect()
    }

    /// The trials of all other entries in this workload and stage that have figures, valid or not.
    fn others(&self, workload: &str, stage: Stage, server: &str) -> Vec<&'a Trial> {
        let others = self.entries.iter().filter(|entry| entry.name != server);
        others
            .flat_map(|entry| self.trials(workload, stage, entry.name))
            .filter(|trial| trial.failure.is_none())
            .collect()
    }

    /// The control's peak rates in a workload, one series per entry.
    fn control(&self, workload: &str) -> Vec<Series> {
        let controls = self.entries.iter().filter(|entry| is_control(entry.name));
        let rates = controls.map(|entry| {
            let valid = self.valid(workload, Stage::Peak, entry.name);
            row_view::series(&valid, figure::RATE)
        });
        rates.filter(|series| !series.is_empty()).collect()
    }
}

fn entries(record: &Record) -> Vec<Entry<'_>> {
    let known = |name: &str| record.servers.iter().find(|server| server.name == name);
    let mut names: Vec<&str> = record
        .servers
        .iter()
        .map(|server| server.name.as_str())
        .collect();
    let more: BTreeSet<&str> = record
        .trials
        .iter()
        .map(|trial| trial.server.as_str())
        .collect();
    names.extend(more.into_iter().filter(|name| known(name).is_none()));
    let entry = |name| {
        let server = known(name).or_else(|| known(base_name(name)));
        let first = known(base_name(name)).or(server);
        let display = first.map_or(name, |server| server.display.as_str());
        Entry {
            name,
            display: shown_name(name, display),
            server,
        }
    };
    names.into_iter().map(entry).collect()
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
