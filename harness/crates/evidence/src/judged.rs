//! A/A through the judge itself: drawn rounds form a record, and the judge ranks it.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use record::{Record, Trial};

use crate::Names;
use crate::draw::{blocks, draws, on_all_cpus};
use crate::length;
use crate::rule::Share;
use crate::table::MarkdownTable;

/// The twin's name in a drawn record. With its own name the judge would take δ from the pair, and it would tie
/// by definition.
const ALIAS: &str = "another";

/// The judge's result for the twins in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TwinVerdict {
    Share,
    Differ,
    Withheld,
}

/// The section of the report: `count` drawn runs for each number of rounds.
pub(crate) fn report(record: &Record, names: &Names, count: usize) -> Result<String> {
    let numbers = rounds_of(record);
    let source = TwinRecord {
        record,
        names,
        rounds: &numbers,
    };
    let mut table = MarkdownTable::new([
        "rounds",
        "runs",
        "ranked by",
        "ranks withheld",
        "twins share a rank, if ranks are given",
    ]);
    let mut sizes: Vec<usize> = length::profiles()?
        .map(|profile| profile.rounds as usize)
        .into();
    sizes.dedup();
    for size in sizes {
        for (what, runs) in [
            ("drawn", draws(numbers.len(), size, count, crate::SEED)),
            ("consecutive blocks", blocks(numbers.len(), size)),
        ] {
            let judged = on_all_cpus(&runs, || (), |(), draw| source.judge(draw));
            let judged: Vec<(TwinVerdict, String)> = judged.into_iter().collect::<Result<_>>()?;
            let given = judged
                .iter()
                .filter(|(verdict, _)| *verdict != TwinVerdict::Withheld);
            let withheld = judged
                .iter()
                .map(|(verdict, _)| *verdict == TwinVerdict::Withheld);
            table.row([
                size.to_string(),
                what.to_owned(),
                figures(judged.iter().map(|(_, figure)| figure.as_str())),
                Share::count(withheld).to_string(),
                Share::count(given.map(|(verdict, _)| *verdict == TwinVerdict::Share)).to_string(),
            ]);
        }
    }
    let mut text = String::from(
        "The same through the judge itself: the drawn rounds form a new record, with trials of the \
         recorded length, in which all servers are ranked. The twin has another name there, so \
         that δ comes only from the control.\n\n",
    );
    writeln!(text, "{table}")?;
    Ok(text)
}

fn rounds_of(record: &Record) -> Vec<u32> {
    let all: std::collections::BTreeSet<u32> = record.trials.iter().map(|t| t.round).collect();
    all.into_iter().collect()
}

/// Each figure and how often it was the one ranked by.
fn figures<'a>(named: impl Iterator<Item = &'a str>) -> String {
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    named.for_each(|name| *counts.entry(name).or_default() += 1);
    let told: Vec<String> = counts
        .iter()
        .map(|(name, n)| format!("{name} {n}×"))
        .collect();
    told.join(", ")
}

struct TwinRecord<'a> {
    record: &'a Record,
    names: &'a Names,
    rounds: &'a [u32],
}

impl TwinRecord<'_> {
    fn judge(&self, draw: &[usize]) -> Result<(TwinVerdict, String)> {
        let summary = judge::summarise(&self.record_of(draw));
        let first = summary.rankings.first();
        let ranking = &first.context("the record has no workload")?.ranking;
        let rank = |name: &str| {
            let rows = summary.rows.iter().map(|(row, _)| row);
            let mut rows = rows.filter(|row| row.stage == ranking.stage);
            rows.find(|row| row.server == name)?.rank
        };
        let verdict = match (rank(&self.names.base), rank(ALIAS)) {
            (Some(a), Some(b)) if a.low <= b.high && b.low <= a.high => TwinVerdict::Share,
            (Some(_), Some(_)) => TwinVerdict::Differ,
            _ => TwinVerdict::Withheld,
        };
        let order = format!("{} {}", ranking.stage, ranking.ranked_by);
        Ok((verdict, order))
    }

    fn record_of(&self, draw: &[usize]) -> Record {
        let mut trials = Vec::new();
        for (round, &index) in (1..).zip(draw) {
            let of_round = |trial: &&Trial| trial.round == self.rounds[index];
            for trial in self.record.trials.iter().filter(of_round) {
                trials.push(Trial {
                    round,
                    position: trials.len() as u32 + 1,
                    server: self.renamed(&trial.server),
                    ..trial.clone()
                });
            }
        }
        let mut servers = self.record.servers.clone();
        for server in &mut servers {
            server.name = self.renamed(&server.name);
        }
        let mut run = self.record.run.clone();
        run.rounds = draw.len() as u32;
        Record {
            run,
            servers,
            trials,
            protocol: None,
            costs: None,
            micro: None,
            added: record::Added::default(),
            schema_version: self.record.schema_version,
            environment: self.record.environment.clone(),
        }
    }

    fn renamed(&self, name: &str) -> String {
        let name = if name == self.names.twin { ALIAS } else { name };
        name.to_owned()
    }
}
