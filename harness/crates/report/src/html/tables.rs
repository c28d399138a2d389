//! The table of a workload, with each interval drawn in its cell, and that of all workloads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::chart::{Entrant, Field, rank_text};
use crate::figure::{ratio, ratio_interval, shown, times};
use crate::notes::Notes;
use crate::number::{ABSENT, uncertainty};
use crate::say::unfit;
use crate::workload_table::{Column, caption, columns, entries};
use catalog::Stage;
use judge::{Named, Standing, StandingChoice, standing};
use record::figure::{self, Figure};
use record::{Estimate, RankInterval, RatioToBest, Record, Summary, Verdict};

use super::anchor;

/// The table of a workload.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    title: String,
    about: String,
    caption: String,
    head: Vec<Head>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Head {
    text: &'static str,
    /// The full name, for readers who don't know the short one.
    long: &'static str,
}

#[derive(Debug, Serialize)]
struct Row {
    display: String,
    icon: String,
    /// CSS class of the row: `failed`, `control`.
    class: String,
    rank: String,
    /// Sort key.
    rank_value: Option<u32>,
    places: Vec<bool>,
    /// `marked`, `failed`, `note`; empty if there are no notes.
    word: &'static str,
    bad: bool,
    marks: Vec<usize>,
    cells: Vec<Cell>,
}

#[derive(Debug, Default, Serialize)]
struct Cell {
    text: String,
    uncertainty: String,
    /// The ends of the interval, as text.
    range: String,
    /// The ratio to the best, with its interval; empty if the machine caused the figure.
    ratio: String,
    value: Option<f64>,
    bar: Option<Bar>,
}

/// Ends and middle of an interval, in percent of the cell's width.
#[derive(Debug, Serialize)]
struct Bar {
    low: f64,
    middle: f64,
    high: f64,
}

/// The table of one workload.
pub(super) fn of_workload(
    record: &Record,
    summary: &Summary,
    field: &Field<'_>,
    notes: &mut Notes,
) -> Table {
    let stages = entries(summary, field.workload);
    let paced = field.has(Stage::Paced);
    let columns = columns(paced);
    let last = field
        .entries
        .iter()
        .filter_map(Entrant::rank)
        .map(|rank| rank.high)
        .max();
    let scales: Vec<Option<(f64, f64)>> = columns.iter().map(|c| reach(field, c)).collect();
    let caption = field.ranking.map_or_else(String::new, |ranking| {
        let engine = record.run.engine.remark();
        let note = &mut |text: &str| notes.mark(text, field.workload);
        caption(ranking, &engine, &stages, paced, note)
    });
    let mut rows = Vec::new();
    for (entry, told) in field.entries.iter().zip(&stages) {
        let texts = told.told(record);
        let failed = told.verdict() == Verdict::Failed;
        let marks = texts.iter().map(|text| notes.number(text, field.workload));
        let first_control = entry.is_control()
            && rows
                .last()
                .is_some_and(|row: &Row| !row.class.contains("control"));
        let class = [
            (failed, "failed"),
            (entry.is_control(), "control"),
            (first_control, "first-control"),
        ];
        rows.push(Row {
            display: entry.display.to_owned(),
            icon: entry.key.icon(),
            class: class
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, class)| *class)
                .collect::<Vec<_>>()
                .join(" "),
            rank: rank_text(entry.rank()),
            rank_value: entry.rank().map(|rank| 100 * rank.low + rank.high),
            places: places(entry.rank(), last),
            word: if texts.is_empty() {
                ""
            } else {
                told.verdict_word()
            },
            bad: failed,
            marks: marks.collect(),
            cells: columns
                .iter()
                .zip(&scales)
                .map(|(column, scale)| cell(entry, column, *scale))
                .collect(),
        });
    }
    Table {
        title: field.workload.to_owned(),
        about: record
            .run
            .workloads
            .get(field.workload)
            .cloned()
            .unwrap_or_default(),
        caption,
        head: columns.iter().map(|column| head(column.figure)).collect(),
        rows,
    }
}

fn head(figure: &'static Figure) -> Head {
    Head {
        text: figure.head,
        long: figure.definition,
    }
}

/// For each possible rank, whether it is within the server's interval.
fn places(rank: Option<RankInterval>, last: Option<u32>) -> Vec<bool> {
    match (rank, last) {
        (Some(rank), Some(last)) => (1..=last)
            .map(|place| (rank.low..=rank.high).contains(&place))
            .collect(),
        _ => Vec::new(),
    }
}

/// The range of the bars in a column; the control has no bars.
fn reach(field: &Field<'_>, column: &Column) -> Option<(f64, f64)> {
    let estimates = field
        .servers()
        .filter_map(|entry| entry.figure(column.stage, column.figure.id));
    let (low, high) = estimates.fold((f64::INFINITY, 0.0_f64), |(low, high), e| {
        (low.min(e.low), high.max(e.high))
    });
    let low = if column.figure.log { low } else { 0.0 };
    (high > low && (!column.figure.log || low > 0.0)).then_some((low, high))
}

fn cell(entry: &Entrant<'_>, column: &Column, scale: Option<(f64, f64)>) -> Cell {
    let Some(estimate) = entry.figure(column.stage, column.figure.id) else {
        return Cell {
            text: ABSENT.to_owned(),
            ..Cell::default()
        };
    };
    let peak = column.figure.id == figure::RATE;
    let bound = peak && entry.sound(Stage::Peak).is_some_and(|row| row.lower_bound);
    let shown = |value| shown(column.figure, value);
    let ratio = entry.ratio(column.stage, column.figure.id);
    let by_machine = ratio.is_some_and(|ratio| ratio.by_machine);
    let sign = match (bound, by_machine) {
        (true, _) => "≥",
        (_, true) => "~",
        _ => "",
    };
    Cell {
        text: format!("{sign}{}", shown(estimate.median)),
        uncertainty: match by_machine {
            true => String::new(),
            false => uncertainty(estimate),
        },
        ratio: ratio.map_or_else(String::new, |ratio| ratio_text(entry.server, ratio)),
        range: format!("{} to {}", shown(estimate.low), shown(estimate.high)),
        value: Some(estimate.median),
        bar: scale
            .filter(|_| !entry.is_control() && !by_machine && estimate.n > 1)
            .map(|scale| bar(estimate, scale, column.figure.log)),
    }
}

/// As in `1.08× 1.05–1.11`, or `best`.
fn ratio_text(server: &str, ratio: &RatioToBest) -> String {
    match ratio.interval() {
        _ if ratio.by_machine => String::new(),
        _ if ratio.best == server => "best".to_owned(),
        Some(interval) => format!("{} {}", times(ratio.ratio), ratio_interval(interval)),
        None => times(ratio.ratio),
    }
}

fn bar(estimate: &Estimate, (low, high): (f64, f64), log: bool) -> Bar {
    let at = |value: f64| {
        let share = match log {
            true => (value / low).ln() / (high / low).ln(),
            false => (value - low) / (high - low),
        };
        (1000.0 * share.clamp(0.0, 1.0)).round() / 10.0
    };
    Bar {
        low: at(estimate.low),
        middle: at(estimate.median),
        high: at(estimate.high),
    }
}

/// All workloads in one table.
#[derive(Debug, Serialize)]
pub(super) struct Overview {
    caption: String,
    workloads: Vec<WorkloadLink>,
    rows: Vec<OverviewRow>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct WorkloadLink {
    name: String,
    id: String,
}

#[derive(Debug, Serialize)]
struct OverviewRow {
    display: String,
    icon: String,
    all: Option<All>,
    cells: Vec<OverviewCell>,
}

/// A server over all workloads.
#[derive(Debug, Serialize)]
struct All {
    rank: String,
    places: Vec<bool>,
    distance: String,
    interval: String,
}

#[derive(Debug, Serialize)]
struct OverviewCell {
    rank: String,
    places: Vec<bool>,
    rate: String,
    cost: String,
    failed: bool,
}

/// `None` if there is only one workload.
pub(super) fn overview(
    record: &Record,
    summary: &Summary,
    fields: &[Field<'_>],
) -> Option<Overview> {
    if fields.len() < 2 {
        return None;
    }
    let named = Named {
        name: "this run",
        record,
    };
    let all = standing(&[named], &StandingChoice::default());
    let stood: BTreeMap<&str, &judge::Stood> = all
        .places
        .iter()
        .map(|place| (place.server.as_str(), place))
        .collect();
    let last = all
        .places
        .iter()
        .filter_map(|place| place.rank)
        .map(|rank| rank.high)
        .max();
    let mut servers: Vec<&str> = all
        .places
        .iter()
        .map(|place| place.server.as_str())
        .collect();
    let others = summary.servers.iter().map(|row| row.server.as_str());
    let others: Vec<&str> = others
        .filter(|server| !stood.contains_key(server) && !record::is_control(server))
        .collect();
    servers.extend(others);
    let rows = servers
        .into_iter()
        .filter_map(|server| {
            let of = |field: &'_ Field<'_>| field.entries.iter().position(|e| e.server == server);
            let first = fields
                .iter()
                .find_map(|field| Some(&field.entries[of(field)?]))?;
            let all = stood.get(server).map(|place| All {
                rank: rank_text(place.rank),
                places: places(place.rank, last),
                distance: ratio(place.score.median),
                interval: place.score.interval.map_or_else(String::new, |interval| {
                    format!("{}–{}", ratio(interval.low), ratio(interval.high))
                }),
            });
            let cells = fields.iter().map(|field| match of(field) {
                Some(at) => overview_cell(field, &field.entries[at]),
                None => OverviewCell::none(),
            });
            Some(OverviewRow {
                display: first.display.to_owned(),
                icon: first.key.icon(),
                all,
                cells: cells.collect(),
            })
        })
        .collect();
    Some(Overview {
        caption: overview_caption(&all),
        workloads: fields
            .iter()
            .map(|field| WorkloadLink {
                name: field.workload.to_owned(),
                id: anchor(field.workload),
            })
            .collect(),
        rows,
        notes: unranked(&all),
    })
}

/// The servers that are not ranked over all workloads, grouped by cause.
fn unranked(all: &Standing) -> Vec<String> {
    let mut causes: Vec<(String, Vec<&str>)> = Vec::new();
    for one in &all.unranked {
        let cause = unfit(&one.cause);
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, servers)) => servers.push(&one.display),
            None => causes.push((cause, vec![&one.display])),
        }
    }
    let told = |(cause, servers): (String, Vec<&str>)| format!("{}: {cause}", servers.join(", "));
    causes.into_iter().map(told).collect()
}

fn overview_caption(all: &Standing) -> String {
    let figure = figure::name(all.by.figure());
    let load = match all.by {
        judge::By::Peak => "at peak",
        judge::By::Cost => "at the same rate",
    };
    let ranked = match all.withheld.is_empty() {
        false => "without ranks, for the reasons above",
        true => "with its rank and 95 % interval",
    };
    format!(
        "Each workload: rank, peak requests per second, and CPU time per request at equal load, \
         with 95 % intervals. All: how many times worse than the best, as the geometric mean over \
         workloads by {figure} {load}, {ranked}."
    )
}

impl OverviewCell {
    fn none() -> Self {
        Self {
            rank: ABSENT.to_owned(),
            places: Vec::new(),
            rate: String::new(),
            cost: String::new(),
            failed: false,
        }
    }
}

fn overview_cell(field: &Field<'_>, entry: &Entrant<'_>) -> OverviewCell {
    let last = field
        .entries
        .iter()
        .filter_map(Entrant::rank)
        .map(|rank| rank.high)
        .max();
    let told = |stage, id, unit: &str| {
        let (estimate, figure) = (entry.figure(stage, id)?, figure::find(id)?);
        let value = shown(figure, estimate.median);
        Some(format!("{value} {unit} {}", uncertainty(estimate)))
    };
    let bound = entry.sound(Stage::Peak).is_some_and(|row| row.lower_bound);
    let rate = told(Stage::Peak, figure::RATE, "req/s");
    let rate = rate.map(|rate| format!("{}{rate}", if bound { "≥" } else { "" }));
    let cost = told(Stage::Paced, figure::COST, "µs CPU");
    OverviewCell {
        rank: rank_text(entry.rank()),
        places: places(entry.rank(), last),
        rate: rate.unwrap_or_default(),
        cost: cost.unwrap_or_default(),
        failed: entry.verdict() == Verdict::Failed,
    }
}
