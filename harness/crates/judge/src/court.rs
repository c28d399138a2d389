//! The judge's view of a run.
//!
//! A [`Court`] is opened with a record. `rows` judges the rows of one workload after another in it, `ranking`
//! ranks them, and `servers` sums them up; each takes its resamples from the one [`Bootstrap`] of the court. A
//! `Side` is a court with all of its rows judged, for comparisons.

use std::collections::{BTreeMap, BTreeSet};

use super::row_view;
use catalog::{PARTIAL, Stage};
use record::figure;
use record::{Ended, Record, Server, Trial, base_name, is_control, shown_name};
use stats::{Bootstrap, Series};

/// A record, ordered for judging.
pub(super) struct Court<'a> {
    pub(super) record: &'a Record,
    /// All entries: the servers of the record, then twins and the control found in the trials.
    pub(super) entries: Vec<Entry<'a>>,
    trials: BTreeMap<(&'a str, Stage, &'a str), Vec<&'a Trial>>,
    /// The position in the run's order at which each round begins.
    pub(super) first_position: BTreeMap<u32, u32>,
    pub(super) bootstrap: Bootstrap,
}

/// An entry and its server.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) display: String,
    /// The server in the record; for a twin, that of the first entry.
    pub(super) server: Option<&'a Server>,
}

impl<'a> Court<'a> {
    pub(super) fn new(record: &'a Record) -> Self {
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
    pub(super) fn workloads(&self) -> Vec<String> {
        let asked = self.record.run.workloads.keys().map(String::as_str);
        let ran = self.trials.keys().map(|(workload, ..)| *workload);
        let all: BTreeSet<&str> = asked.chain(ran).collect();
        all.into_iter().map(str::to_owned).collect()
    }

    /// Whether an entry has rows in a workload. A partial server has only those it was tried in. So has one without
    /// a failure, once every planned trial has run: it lacks the workload's route.
    pub(super) fn takes_part(&self, workload: &str, entry: usize) -> bool {
        let Entry { name, server, .. } = self.entries[entry];
        let partial = server.is_some_and(|server| server.class == PARTIAL);
        let tried = |&(of, _, by): &(&str, _, &str)| (of, by) == (workload, name);
        let run = &self.record.run;
        let all_ran = run.ended == Ended::Complete && server.is_some_and(|s| s.failure.is_none());
        !(partial || all_ran) || self.trials.keys().any(tried)
    }

    /// The stages that ran or, if none did, those that have a length.
    pub(super) fn stages(&self) -> Vec<Stage> {
        let run = &self.record.run;
        let planned = |stage: &Stage| match stage {
            _ if !self.trials.is_empty() => self.trials.keys().any(|(_, ran, _)| ran == stage),
            Stage::Peak => run.peak_ms > 0,
            Stage::Paced => run.paced_ms > 0,
        };
        Stage::ALL.into_iter().filter(planned).collect()
    }

    /// All trials of a row, by round.
    pub(super) fn trials(&self, workload: &str, stage: Stage, server: &str) -> Vec<&'a Trial> {
        self.trials
            .get(&(workload, stage, server))
            .cloned()
            .unwrap_or_default()
    }

    /// The valid ones.
    pub(super) fn valid(&self, workload: &str, stage: Stage, server: &str) -> Vec<&'a Trial> {
        let all = self.trials(workload, stage, server).into_iter();
        all.filter(|trial| super::is_valid(&self.record.run, trial))
            .collect()
    }

    /// The trials of all other entries in this workload and stage that have figures, valid or not.
    pub(super) fn others(&self, workload: &str, stage: Stage, server: &str) -> Vec<&'a Trial> {
        let others = self.entries.iter().filter(|entry| entry.name != server);
        others
            .flat_map(|entry| self.trials(workload, stage, entry.name))
            .filter(|trial| trial.failure.is_none())
            .collect()
    }

    /// The control's peak rates in a workload, one series per entry.
    pub(super) fn control(&self, workload: &str) -> Vec<Series> {
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
