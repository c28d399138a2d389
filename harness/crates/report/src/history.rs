//! Servers over several runs: each run's figures with intervals, and changes of the machine.

mod csv;
mod json;

use catalog::Stage;
use machine::{MachineDifference, differences};
use record::figure::{self, Figure};
use record::{Estimates, Record, Row, Summary, Verdict, is_control};

use super::chart::{self, Chart, TrendLine, TrendPoint, rank_text};
use super::figure::shown;
use super::grid::{Align, Grid, distinct};
use super::number::{ABSENT, significant, uncertainty};
use super::page::Block;
use super::workload_table::ranking;
use super::{Colour, html, markdown, terminal};

pub use json::HISTORY_SCHEMA_VERSION;

/// What is tracked over runs: the figure, its stage and its chart's title.
fn followed() -> impl Iterator<Item = (&'static Figure, (Stage, &'static str))> {
    let followed = |figure: &'static Figure| Some((figure, figure.history?));
    figure::FIGURES.iter().filter_map(followed)
}

/// Several runs, oldest first.
#[derive(Debug)]
pub struct History<'a> {
    runs: Vec<Past<'a>>,
}

/// A run and its summary.
#[derive(Debug)]
struct Past<'a> {
    record: &'a Record,
    summary: &'a Summary,
    /// Differences between its machine and that of the previous run.
    changed: Vec<MachineDifference>,
}

impl<'a> History<'a> {
    /// From runs in any order.
    pub fn of(runs: &'a [(Record, Summary)]) -> Self {
        let mut sorted: Vec<&(Record, Summary)> = runs.iter().collect();
        // RFC 3339 in UTC sorts by time.
        sorted.sort_by(|a, b| a.0.run.started_at.cmp(&b.0.run.started_at));
        let mut runs: Vec<Past<'_>> = Vec::new();
        for (record, summary) in sorted {
            let before = runs.last().map(|past| &past.record.environment);
            let changed = before.map(|before| differences(before, &record.environment));
            runs.push(Past {
                record,
                summary,
                changed: changed.unwrap_or_default(),
            });
        }
        Self { runs }
    }

    /// For a terminal.
    pub fn terminal(&self, colour: Colour) -> String {
        terminal::blocks(self.blocks(), colour)
    }

    /// For a README or an issue.
    pub fn markdown(&self) -> String {
        markdown::blocks(self.blocks())
    }

    /// One observation per row, for a spreadsheet.
    pub fn csv(&self) -> String {
        csv::text(self)
    }

    /// For programs; `harness/docs/RECORD.md` describes it.
    pub fn json(&self) -> String {
        json::text(self)
    }

    /// A separate page, with charts.
    pub fn html(&self) -> String {
        html::history(self)
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = vec![
            Block::Heading(self.title()),
            Block::Text(HOW_TO_READ.to_owned()),
            Block::Table(self.runs_table()),
        ];
        for workload in self.workloads() {
            blocks.push(Block::Heading(workload.to_owned()));
            blocks.push(Block::Table(self.workload_table(workload)));
        }
        blocks
    }

    pub(super) fn title(&self) -> String {
        format!("History of {} runs", self.runs.len())
    }

    /// The names of the runs, oldest first.
    pub(super) fn names(&self) -> Vec<String> {
        self.runs
            .iter()
            .map(|past| past.record.run.id.clone())
            .collect()
    }

    /// The workloads of all runs, in the order of the first run that has them.
    pub(super) fn workloads(&self) -> Vec<&'a str> {
        let rows = self.runs.iter().flat_map(|past| &past.summary.rows);
        distinct(rows.map(|row| row.workload.as_str()))
    }

    /// The look of a server, the same in all workloads.
    fn key(&self, server: &str) -> chart::Key {
        let rows = self.runs.iter().flat_map(|past| &past.summary.servers);
        let names = rows.map(|row| row.server.as_str());
        let names = distinct(names.filter(|name| !is_control(name)));
        let place = names.iter().position(|name| *name == server);
        chart::Key::of(place.unwrap_or(names.len()))
    }

    /// Servers and display names of a workload in all runs, without the control.
    fn servers(&self, workload: &str) -> Vec<(&'a str, &'a str)> {
        let mut names: Vec<(&str, &str)> = Vec::new();
        for row in self.runs.iter().flat_map(|past| &past.summary.rows) {
            let known = names.iter().any(|(server, _)| *server == row.server);
            if row.workload == workload && !known && !is_control(&row.server) {
                names.push((&row.server, &row.display));
            }
        }
        names
    }

    /// The runs, one line each.
    pub(super) fn runs_table(&self) -> Grid {
        let head = ["run", "id", "begun", "profile", "rounds", "machine"];
        let rows = (1..).zip(&self.runs).map(|(number, past)| {
            let run = &past.record.run;
            vec![
                number.to_string(),
                run.id.clone(),
                run.started_at
                    .get(..16)
                    .unwrap_or(&run.started_at)
                    .replace('T', " "),
                run.profile.clone(),
                run.rounds.to_string(),
                past.machine(number == 1),
            ]
        });
        let sides = head.map(|text| match text {
            "run" | "rounds" => (text, Align::Right),
            _ => (text, Align::Left),
        });
        Grid::new(sides, rows.collect())
    }

    /// A line for each server and run.
    pub(super) fn workload_table(&self, workload: &str) -> Grid {
        let first = [("server", Align::Left), ("run", Align::Left)];
        let figures = followed().map(|(figure, _)| figure.label);
        let numbers = std::iter::once("paced at").chain(figures);
        let head = first
            .into_iter()
            .chain(numbers.map(|text| (text, Align::Right)))
            .chain([("rank", Align::Left)]);
        let mut rows = Vec::new();
        for (server, display) in self.servers(workload) {
            let mut name = display.to_owned();
            for (number, past) in (1..).zip(&self.runs) {
                let Some(line) = past.line(workload, server) else {
                    continue;
                };
                let mark = if past.changed.is_empty() { "" } else { " ≠" };
                // The name only once, so that the start of each server is easy to find.
                let first = vec![std::mem::take(&mut name), format!("{number}{mark}")];
                rows.push([first, line].concat());
            }
        }
        Grid::new(head, rows)
    }

    /// The charts of a workload.
    pub(super) fn charts(&self, workload: &str) -> Vec<Chart> {
        let changes: Vec<usize> = (0..)
            .zip(&self.runs)
            .filter(|(_, past)| !past.changed.is_empty())
            .map(|(index, _)| index)
            .collect();
        let servers = self.servers(workload);
        let chart = |(figure, (stage, title)): (&'static Figure, (Stage, &str))| {
            let lines: Vec<TrendLine<'_>> = servers
                .iter()
                .map(|(server, display)| TrendLine {
                    display,
                    key: self.key(server),
                    points: self.points(workload, server, stage, figure.id),
                })
                .filter(|line| !line.points.is_empty())
                .collect();
            chart::trend((workload, figure, title), &self.names(), &changes, &lines)
        };
        followed().filter_map(chart).collect()
    }

    fn points(&self, workload: &str, server: &str, stage: Stage, figure: &str) -> Vec<TrendPoint> {
        let mut rate_before = None;
        let mut points = Vec::new();
        for (run, past) in self.runs.iter().enumerate() {
            let row = past.row(workload, server, stage);
            let Some(estimate) = row.and_then(|row| sound(row)?.get(figure)) else {
                continue;
            };
            let rate = past.rate(workload);
            // Cost and latency depend on the rate.
            let apart = stage == Stage::Paced && rate_before.is_some_and(|before| before != rate);
            rate_before = Some(rate);
            points.push(TrendPoint {
                run,
                estimate: *estimate,
                apart,
            });
        }
        points
    }
}

const HOW_TO_READ: &str = "Each figure is the median of a run with its 95 % interval. ≠ marks a \
    run on a different machine than the run before: a change there may be caused by the machine. \
    CPU time and latency depend on the rate of the paced stage, so only compare them at the same \
    rate. The intervals don't include other changes between runs; use harness compare for two of \
    them.";

/// The figures of a row that did not fail.
fn sound(row: &Row) -> Option<&Estimates> {
    (row.verdict != Verdict::Failed).then_some(&row.figures)
}

impl Past<'_> {
    fn row(&self, workload: &str, server: &str, stage: Stage) -> Option<&Row> {
        let mut rows = self.summary.rows.iter();
        rows.find(|row| row.workload == workload && row.server == server && row.stage == stage)
    }

    fn rate(&self, workload: &str) -> Option<f64> {
        ranking(self.summary, workload)?.rate_per_s
    }

    /// The cells after server and run; `None` if the run doesn't have the server.
    fn line(&self, workload: &str, server: &str) -> Option<Vec<String>> {
        let row = |stage| self.row(workload, server, stage);
        let rows: Vec<&Row> = Stage::ALL.into_iter().filter_map(row).collect();
        if rows.is_empty() {
            return None;
        }
        let absent = || ABSENT.to_owned();
        let rate = self.rate(workload);
        let mut cells = vec![rate.map_or_else(absent, |rate| significant(rate, 5))];
        cells.extend(followed().map(|(figure, (stage, _))| {
            let bound = figure.id == figure::RATE && rows.iter().any(|row| row.lower_bound);
            let sign = if bound { "≥" } else { "" };
            let estimate = row(stage).and_then(|row| sound(row)?.get(figure.id));
            estimate.map_or_else(absent, |estimate| {
                let value = shown(figure, estimate.median);
                format!("{sign}{value} {}", uncertainty(estimate))
            })
        }));
        let failed = rows.iter().all(|row| row.verdict == Verdict::Failed);
        cells.push(match failed {
            true => "failed".to_owned(),
            false => rank_text(rows.iter().find_map(|row| row.rank)),
        });
        Some(cells)
    }

    /// Whether the machine is that of the run before, or how it differs.
    fn machine(&self, first: bool) -> String {
        if first {
            return "first run".to_owned();
        }
        if self.changed.is_empty() {
            return "unchanged".to_owned();
        }
        let told = self
            .changed
            .iter()
            .map(|d| format!("{} {} → {}", d.member, d.base, d.new));
        format!("≠ {}", told.collect::<Vec<_>>().join(", "))
    }
}
