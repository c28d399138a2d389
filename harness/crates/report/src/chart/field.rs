//! The servers of one workload for charts: in table order, with their summary rows, valid trials and look.

use std::collections::BTreeMap;

use crate::workload_table;
use catalog::Stage;
use record::{
    EntryKind, Estimate, RankInterval, Ranking, RatioToBest, Record, Row, Summary, Trial, Verdict,
};

use super::key::Key;

/// One workload of a run.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    pub(crate) workload: &'a str,
    pub(crate) ranking: Option<&'a Ranking>,
    /// In table order: by rank, then failed ones, and the control last.
    pub(crate) entries: Vec<Entrant<'a>>,
}

/// A server, or the control, in one workload.
#[derive(Debug, Clone)]
pub(crate) struct Entrant<'a> {
    pub(crate) server: &'a str,
    pub(crate) display: &'a str,
    pub(crate) key: Key,
    pub(crate) rows: BTreeMap<Stage, &'a Row>,
    /// Valid trials, by round.
    trials: BTreeMap<Stage, Vec<&'a Trial>>,
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
        ranking: summary.rankings.iter().find(|r| r.workload == workload),
        entries: workload_table::entries(summary, workload)
            .into_iter()
            .map(|entry| entrant(summary, valid, workload, entry.server, &keys))
            .collect(),
    };
    workload_table::workloads(summary)
        .into_iter()
        .map(field)
        .collect()
}

fn entrant<'a>(
    summary: &'a Summary,
    valid: &Valid<'a>,
    workload: &str,
    server: &'a str,
    keys: &BTreeMap<&str, Key>,
) -> Entrant<'a> {
    let own = |row: &&Row| row.workload == workload && row.server == server;
    let rows: BTreeMap<Stage, &Row> = summary
        .rows
        .iter()
        .filter(own)
        .map(|row| (row.stage, row))
        .collect();
    let mut trials = BTreeMap::<_, Vec<&Trial>>::new();
    for trial in valid.of_server(server).filter(|t| t.workload == workload) {
        trials.entry(trial.stage).or_default().push(trial);
    }
    for of_stage in trials.values_mut() {
        of_stage.sort_by_key(|trial| trial.round);
    }
    Entrant {
        server,
        display: rows
            .values()
            .next()
            .map_or(server, |row| row.display.as_str()),
        key: keys
            .get(server)
            .copied()
            .unwrap_or_else(|| Key::of(keys.len())),
        rows,
        trials,
    }
}

impl<'a> Entrant<'a> {
    pub(crate) fn is_control(&self) -> bool {
        EntryKind::of(self.server) == EntryKind::Control
    }

    /// The row of a stage, unless it failed and its figures don't count.
    pub(crate) fn sound(&self, stage: Stage) -> Option<&'a Row> {
        let row = self.rows.get(&stage).copied();
        row.filter(|row| row.verdict != Verdict::Failed)
    }

    /// A figure of a row that did not fail.
    pub(crate) fn figure(&self, stage: Stage, name: &str) -> Option<&'a Estimate> {
        self.sound(stage)?.figures.get(name)
    }

    /// How a row that did not fail compares with the best in a figure.
    pub(crate) fn ratio(&self, stage: Stage, name: &str) -> Option<&'a RatioToBest> {
        self.sound(stage)?.ratio_to_best.get(name)
    }

    /// The trials of a row that did not fail.
    pub(crate) fn trials(&self, stage: Stage) -> &[&'a Trial] {
        match self.sound(stage) {
            Some(_) => self.trials.get(&stage).map_or(&[], Vec::as_slice),
            None => &[],
        }
    }

    pub(crate) fn rank(&self) -> Option<RankInterval> {
        self.rows.values().find_map(|row| row.rank)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let verdicts = self.rows.values().map(|row| row.verdict);
        verdicts.max().unwrap_or_default()
    }

    /// Whether the row of a stage failed; the notes give the reason.
    pub(crate) fn failed(&self, stage: Stage) -> bool {
        let row = self.rows.get(&stage);
        row.is_some_and(|row| row.verdict == Verdict::Failed)
    }
}

impl Field<'_> {
    /// Whether any entry has a row of the stage.
    pub(crate) fn has(&self, stage: Stage) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.rows.contains_key(&stage))
    }

    /// Whether servers are ranked by this figure.
    pub(crate) fn ranked_by(&self, figure: &str) -> bool {
        let given = self.entries.iter().any(|entry| entry.rank().is_some());
        given
            && self
                .ranking
                .is_some_and(|ranking| ranking.ranked_by == figure)
    }

    /// The servers, without the control.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Entrant<'_>> {
        self.entries.iter().filter(|entry| !entry.is_control())
    }
}
