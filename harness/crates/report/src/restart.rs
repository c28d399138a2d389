//! What clients lose when servers are restarted under load: a table and a chart for each workload and way.

use record::{RestartRun, RestartWay, Restarts};
use words::{counted, grouped};

use super::chart;
use super::grid::Grid;
use super::markdown::Illustrated;
use super::number::{ABSENT, short, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The kinds of lost requests, with their heads.
const KINDS: [(&str, &str); 5] = [
    ("refused", "refused"),
    ("reset", "reset"),
    ("truncated", "truncated"),
    ("timeout", "timed out"),
    ("wrong", "wrong"),
];

/// The tables for a terminal.
pub fn restart_lines(restarts: &Restarts, colour: Colour) -> String {
    terminal::blocks(blocks(restarts, &mut |_| None), colour)
}

/// The same in Markdown with the charts, which are files beside it.
pub fn restart_page(restarts: &Restarts) -> Illustrated {
    let mut files = Vec::new();
    let blocks = blocks(restarts, &mut |part| {
        let chart = chart::restart(restarts, part)?;
        let name = format!("{}.svg", chart.id);
        let image = Block::Image(chart.title.clone(), name.clone());
        files.push((name, chart.standalone()));
        Some(image)
    });
    Illustrated {
        text: super::markdown::blocks(blocks),
        files,
    }
}

pub(super) fn blocks(
    restarts: &Restarts,
    image: &mut dyn FnMut((&str, RestartWay)) -> Option<Block>,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut notes = Vec::new();
    for part in restarts.parts() {
        let (workload, way) = part;
        let rows: Vec<Row<'_>> = restarts
            .of(part)
            .into_iter()
            .map(|runs| Row { runs })
            .collect();
        blocks.push(Block::Heading(format!(
            "Restart, {}, {workload}",
            way.name()
        )));
        blocks.push(Block::Text(explained(way).to_owned()));
        blocks.push(table(&rows));
        blocks.extend(kinds(&rows));
        blocks.extend(image(part));
        for row in &rows {
            row.notes(way, &mut notes);
        }
    }
    blocks.push(Block::Heading("About the restarts".into()));
    blocks.push(Block::Text(about(restarts)));
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

fn explained(way: RestartWay) -> &'static str {
    match way {
        RestartWay::Replace => {
            "The old process gets SIGTERM; when it has ended, the new one starts on the same port."
        }
        RestartWay::Handover => {
            "Both processes are passed one listening socket. The new one starts; when it has answered a request, the old one \
             gets SIGTERM."
        }
    }
}

/// A server with one workload and way.
struct Row<'a> {
    /// Its rounds, at least one.
    runs: Vec<&'a RestartRun>,
}

impl Row<'_> {
    fn display(&self) -> &str {
        self.runs.first().map_or("", |run| &run.display)
    }

    fn values(&self, id: &str) -> Vec<f64> {
        let values = self.runs.iter().filter_map(|run| run.figures.get(id));
        values.copied().collect()
    }

    /// The median of the rounds that have the figure.
    fn median(&self, id: &str, show: impl Fn(f64) -> String) -> String {
        stats::median(&self.values(id)).map_or_else(|| ABSENT.to_owned(), show)
    }

    fn worst(&self, id: &str, show: impl Fn(f64) -> String) -> String {
        let worst = self.values(id).into_iter().reduce(f64::max);
        worst.map_or_else(|| ABSENT.to_owned(), show)
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.display().to_owned()];
        let supported = self.runs.iter().all(|run| run.not_supported.is_none());
        if !supported {
            cells.push("not supported".to_owned());
            cells.extend(std::iter::repeat_n(ABSENT.to_owned(), 9));
            return cells;
        }
        let ms = |ms: f64| significant(ms, 3);
        let from_us = |us: f64| significant(us / 1e3, 3);
        cells.extend([
            self.median("rate_per_s", |rate| significant(rate, 4)),
            self.median("lost", short),
            self.worst("lost", short),
            self.median("gap_ms", ms),
            self.worst("gap_ms", ms),
            self.median("p99_before_us", from_us),
            self.median("p99_during_us", from_us),
            self.median("p99_after_us", from_us),
            self.median("stop_ms", ms),
            self.median("start_ms", ms),
        ]);
        cells
    }

    fn notes(&self, way: RestartWay, notes: &mut Vec<String>) {
        for run in &self.runs {
            let whose = format!(
                "{}, {}, {}, round {}",
                run.display,
                run.workload,
                way.name(),
                run.round
            );
            if let Some(why) = run.not_supported.as_ref().filter(|_| run.round == 1) {
                notes.push(format!(
                    "{whose}: not supported: with a passed socket it doesn't serve: {}",
                    why.replace('\n', " ")
                ));
            }
            if let Some(failure) = &run.failure {
                notes.push(format!(
                    "{whose}: failed to {}: {}",
                    failure.step.verb(),
                    failure.reason
                ));
            }
        }
    }
}

fn table(rows: &[Row<'_>]) -> Block {
    let head = [
        "server",
        "requests/s",
        "lost",
        "worst",
        "gap, ms",
        "worst",
        "p99 before, ms",
        "during",
        "after",
        "stop, ms",
        "start, ms",
    ];
    let short = [
        "server", "req/s", "lost", "worst", "gap ms", "worst", "p99 ms", "during", "after", "stop",
        "start",
    ];
    let rows = rows.iter().map(Row::cells).collect();
    Block::Table(Grid::fitting(&head, &short, 1, rows))
}

/// Lost requests of all rounds by kind, if there are any.
fn kinds(rows: &[Row<'_>]) -> Option<Block> {
    let losing = |row: &&Row<'_>| row.runs.iter().any(|run| run.lost_total() > 0);
    let cells = |row: &Row<'_>| {
        let mut cells = vec![row.display().to_owned()];
        cells.push(grouped(row.runs.len() as u64));
        cells.extend(KINDS.map(|(kind, _)| {
            let counts = row.runs.iter().filter_map(|run| run.lost.get(kind));
            grouped(counts.sum::<u64>())
        }));
        cells.push(row.median("failing_ms", |ms| significant(ms, 3)));
        cells
    };
    let rows: Vec<_> = rows.iter().filter(losing).map(cells).collect();
    let mut head = vec!["lost by kind", "rounds"];
    head.extend(KINDS.map(|(_, head)| head));
    head.push("failing, ms");
    (!rows.is_empty()).then(|| Block::Table(Grid::fitting(&head, &head, 1, rows)))
}

/// How it was measured, and what the figures are.
fn about(restarts: &Restarts) -> String {
    let rate = match restarts.share {
        Some(share) => format!(
            "{} % of what a closed loop reached",
            short((share * 100.0).round())
        ),
        None => "the rate that was asked for".to_owned(),
    };
    format!(
        "Open loop at {rate} over {}, {}; {} of each server, and the median and the worst of them. A request is lost if it \
         gets no valid response: refused (no connection), reset (closed before the first byte), truncated, timed out \
         (after {} ms), or wrong. A connection that is closed between requests loses nothing. The gap is the longest time \
         without a valid response. p99 counts from when a request was due: in the second before the restart, during it, \
         and in the second after it. Stop is the time from SIGTERM to the end of the old process, start that of the new \
         one to its first response. Failing is the time from the first lost request to the last.",
        counted(restarts.connections as u64, "connection"),
        counted(restarts.workers as u64, "worker"),
        counted(u64::from(restarts.rounds), "restart"),
        restarts.timeout_ms,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use record::RestartInterval;

    use super::*;

    fn run(server: &str, way: RestartWay, round: u32, lost: u64, gap_ms: f64) -> RestartRun {
        let figures = [
            ("rate_per_s", 1_000.0),
            ("lost", lost as f64),
            ("gap_ms", gap_ms),
        ];
        RestartRun {
            figures: figures.map(|(id, value)| (id.to_owned(), value)).into(),
            lost: BTreeMap::from([("refused".to_owned(), lost)]),
            intervals: (-10..10)
                .map(|index| RestartInterval {
                    at_ms: index * 100,
                    length_ms: 100,
                    answered: 100,
                    lost: if index == 0 { lost } else { 0 },
                })
                .collect(),
            ..RestartRun::new("users", way, server, round)
        }
    }

    fn restarts() -> Restarts {
        let mut refuses = RestartRun::new("users", RestartWay::Handover, "One", 1);
        refuses.not_supported = Some("it ended with status 1: address in use".to_owned());
        Restarts {
            head: record::Head::default(),
            workers: 1,
            connections: 64,
            share: Some(0.5),
            rounds: 3,
            timeout_ms: 2_000,
            seed: 1,
            runs: vec![
                run("One", RestartWay::Replace, 1, 30, 20.0),
                run("One", RestartWay::Replace, 2, 90, 70.0),
                run("One", RestartWay::Replace, 3, 40, 30.0),
                refuses,
            ],
        }
    }

    #[test]
    fn a_row_has_median_and_worst_and_says_what_is_not_supported() {
        let text = restart_lines(&restarts(), Colour::Never);
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "| One | 1,000 | 40 | 90 | 30.0 | 70.0 |",
            "| One | 3 | 160 | 0 | 0 | 0 | 0 |",
            "| One | not supported | –",
            "address in use",
            "50 % of what a closed loop reached",
        ] {
            assert!(plain.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn each_way_that_was_measured_has_a_chart() {
        let page = restart_page(&restarts());
        let [(name, svg)] = &page.files[..] else {
            panic!("{:?}", page.files)
        };
        assert!(page.text.contains(&format!("](<{name}>)")), "{}", page.text);
        for words in ["One", "answered", "lost", "seconds"] {
            assert!(svg.contains(words), "{words} is not in {svg}");
        }
    }
}
