//! The servers of one workload for charts: in table order, with their summary rows, valid trials and look.

use std::collections::BTreeMap;
use std::ops::Deref;

use crate::workload_table::{WorkloadEntry, entries, ranking, workloads};
use catalog::Stage;
use record::{EntryKind, Ranking, Record, Summary, Trial};

use super::key::Key;

/// One workload of a run.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    pub(crate) workload: &'a str,
    pub(crate) ranking: Option<&'a Ranking>,
    /// In table order: by rank, then failed ones, and the control last.
    pub(crate) entries: Vec<Entrant<'a>>,
}

/// A server, or the control, in one workload: its rows, its look and its trials.
#[derive(Debug, Clone)]
pub(crate) struct Entrant<'a> {
    entry: WorkloadEntry<'a>,
    pub(crate) key: Key,
    /// Valid trials, by round.
    trials: BTreeMap<Stage, Vec<&'a Trial>>,
}

impl<'a> Deref for Entrant<'a> {
    type Target = WorkloadEntry<'a>;

    fn deref(&self) -> &Self::Target {
        &self.entry
    }
}

/// The valid trials of a record, computed once for all charts.
#[derive(Debug)]
pub(crate) struct Valid<'a>(Vec<&'a Trial>);

impl<'a> Valid<'a> {
    pub(crate) fn of(record: &'a Record) -> Self {
        let valid = |trial: &&Trial| judge::is_valid(&record.run, trial);
        Self(record.trials.iter().filter(valid).collect())
    }

    /// Those of a server, in all workloads and stages.
    pub(crate) fn of_server(&self, server: &str) -> impl Iterator<Item = &'a Trial> {
        self.0
            .iter()
            .copied()
            .filter(move |trial| trial.server == server)
    }
}

/// The look of each entry of a run, by its name.
pub(crate) fn keys(summary: &Summary) -> BTreeMap<&str, Key> {
    let mut keys = BTreeMap::new();
    let mut place = 0;
    for row in &summary.servers {
        let control = EntryKind::of(&row.server) == EntryKind::Control;
        let key = if control {
            Key::control()
        } else {
            Key::of(place)
        };
        place += usize::from(!control);
        keys.insert(row.server.as_str(), key);
    }
    keys
}

/// Every workload of a run.
pub(crate) fn fields<'a>(summary: &'a Summary, valid: &Valid<'a>) -> Vec<Field<'a>> {
    let keys = keys(summary);
    let field = |workload: &'a str| Field {
        workload,
        ranking: ranking(summary, workload),
        entries: entries(summary, workload)
            .into_iter()
            .map(|entry| entrant(entry, valid, workload, &keys))
            .collect(),
    };
    workloads(summary).into_iter().map(field).collect()
}

fn entrant<'a>(
    entry: WorkloadEntry<'a>,
    valid: &Valid<'a>,
    workload: &str,
    keys: &BTreeMap<&str, Key>,
) -> Entrant<'a> {
    let mut trials = BTreeMap::<_, Vec<&Trial>>::new();
    let own = valid.of_server(entry.server);
    for trial in own.filter(|trial| trial.workload == workload) {
        trials.entry(trial.stage).or_default().push(trial);
    }
    for of_stage in trials.values_mut() {
        of_stage.sort_by_key(|trial| trial.round);
    }
    let key = keys.get(entry.server).copied();
    Entrant {
        key: key.unwrap_or_else(|| Key::of(keys.len())),
        entry,
        trials,
    }
}

impl<'a> Entrant<'a> {
    /// Its look and its name.
    pub(crate) fn named(&self) -> (Key, &'a str) {
        (self.key, self.display)
    }

    /// The trials of a row that did not fail.
    pub(crate) fn trials(&self, stage: Stage) -> &[&'a Trial] {
        match self.sound(stage) {
            Some(_) => self.trials.get(&stage).map_or(&[], Vec::as_slice),
            None => &[],
        }
    }
}

impl Field<'_> {
    /// Whether any entry has a row of the stage.
    pub(crate) fn has(&self, stage: Stage) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.row(stage).is_some())
    }

    /// Whether servers are ranked by this figure.
    pub(crate) fn ranked_by(&self, figure: &str) -> bool {
        let by = self.ranking.map(|ranking| ranking.ranked_by.as_str());
        self.last_rank().is_some() && by == Some(figure)
    }

    /// The last rank that a server may have; `None` without ranks.
    pub(crate) fn last_rank(&self) -> Option<u32> {
        let ranks = self.entries.iter().filter_map(|entry| entry.rank());
        ranks.map(|rank| rank.high).max()
    }

    /// The servers, without the control.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Entrant<'_>> {
        self.entries.iter().filter(|entry| !entry.is_control())
    }
}
