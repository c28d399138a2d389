//! How servers bore load that changes over time: a table and a chart for each pattern.

use judge::{Recovered, pattern_recovered};
use record::{PatternRun, PatternShape, Patterns};
use words::{counted, grouped};

use super::chart;
use super::grid::Grid;
use super::markdown::Illustrated;
use super::number::{ABSENT, mebibytes, short, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The tables for a terminal.
pub fn pattern_lines(patterns: &Patterns, colour: Colour) -> String {
    terminal::blocks(blocks(patterns, &mut |_| None), colour)
}

/// The same in Markdown with the charts, which are files beside it.
pub fn pattern_page(patterns: &Patterns) -> Illustrated {
    let mut files = Vec::new();
    let blocks = blocks(patterns, &mut |shape| {
        let chart = chart::pattern(patterns, shape)?;
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

fn blocks(
    patterns: &Patterns,
    image: &mut dyn FnMut(&PatternShape) -> Option<Block>,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut notes = Vec::new();
    for shape in &patterns.patterns {
        let servers: Vec<Row<'_>> = (patterns.servers().into_iter())
            .map(|(name, display)| Row {
                shape,
                display,
                runs: patterns.of(&shape.name, name).collect(),
            })
            .filter(|row| !row.runs.is_empty())
            .collect();
        if servers.is_empty() {
            continue;
        }
        blocks.push(Block::Heading(format!("Pattern {}", shape.name)));
        blocks.push(Block::Text(format!("{}.", shape.about)));
        blocks.push(table(shape, &servers));
        blocks.extend(classes(&servers));
        blocks.extend(image(shape));
        for row in &servers {
            row.notes(&mut notes);
        }
    }
    blocks.push(Block::Heading("About".into()));
    blocks.push(Block::Text(about(patterns)));
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

/// A server under a pattern.
struct Row<'a> {
    shape: &'a PatternShape,
    display: &'a str,
    /// Its rounds, at least one.
    runs: Vec<&'a PatternRun>,
}

impl Row<'_> {
    /// The median of the rounds that have the figure.
    fn figure(&self, id: &str) -> Option<f64> {
        let values = self.runs.iter().filter_map(|run| run.figures.get(id));
        stats::median(&values.copied().collect::<Vec<_>>())
    }

    fn shown(&self, id: &str, show: impl Fn(f64) -> String) -> String {
        self.figure(id).map_or_else(|| ABSENT.to_owned(), show)
    }

    fn millis(&self, id: &str) -> String {
        self.shown(id, |us| significant(us / 1e3, 3))
    }

    fn memory(&self, id: &str) -> String {
        self.shown(id, mebibytes)
    }

    /// Goodput, and its share of what was due.
    fn goodput(&self) -> [String; 2] {
        let share = (self.figure("valid").zip(self.figure("due")))
            .filter(|(_, due)| *due > 0.0)
            .map_or_else(
                || ABSENT.to_owned(),
                |(valid, due)| format!("{:.1}", (valid / due * 1_000.0).floor() / 10.0),
            );
        [
            self.shown("goodput_per_s", |rate| significant(rate, 4)),
            share,
        ]
    }

    /// Errors of all rounds.
    fn errors(&self) -> String {
        grouped(
            self.runs
                .iter()
                .flat_map(|run| run.errors.values())
                .sum::<u64>(),
        )
    }

    fn recovered(&self) -> Vec<Recovered> {
        let runs = self.runs.iter();
        runs.filter_map(|run| pattern_recovered(self.shape, run))
            .collect()
    }

    /// The median time to recover; the time watched as a lower bound if the server didn't in half of the rounds.
    fn recovery(&self) -> String {
        let all = self.recovered();
        let seconds = |found: &Recovered| found.after.unwrap_or(found.watched).as_secs_f64();
        let Some(median) = stats::median(&all.iter().map(seconds).collect::<Vec<_>>()) else {
            return ABSENT.to_owned();
        };
        let never = all.iter().filter(|found| found.after.is_none()).count();
        match 2 * never >= all.len() {
            true => format!("≥{median:.1}"),
            false => format!("{median:.1}"),
        }
    }

    fn notes(&self, notes: &mut Vec<String>) {
        for run in &self.runs {
            let whose = format!("{} under {}", self.display, self.shape.name);
            if let Some(failure) = &run.failure {
                notes.push(format!(
                    "{whose}: failed to {}: {}",
                    failure.step.verb(),
                    failure.reason
                ));
            }
            if !run.errors.is_empty() {
                let kinds: Vec<String> = (run.errors.iter())
                    .map(|(kind, count)| format!("{kind} {}", grouped(*count)))
                    .collect();
                let first = run.first_error.as_ref().map_or(String::new(), |first| {
                    format!("; the first: {}", first.replace('\n', " "))
                });
                notes.push(format!(
                    "{whose}, round {}: errors: {}{first}",
                    run.round,
                    kinds.join(", ")
                ));
            }
            if let Some(late) = run.figures.get("late").filter(|late| **late > 0.0) {
                notes.push(format!(
                    "{whose}, round {}: {} had no response when the pattern ended",
                    run.round,
                    counted(*late as u64, "request")
                ));
            }
        }
    }
}

fn table(shape: &PatternShape, servers: &[Row<'_>]) -> Block {
    let burst = shape.phase_ms("burst").is_some();
    let (head, short): (Vec<&str>, Vec<&str>) = match burst {
        true => (
            vec![
                "server",
                "goodput/s",
                "% of due",
                "errors",
                "p99 before, ms",
                "in burst",
                "after",
                "recovered, s",
                "MiB before",
                "peak",
                "after",
            ],
            vec![
                "server", "good/s", "% due", "errors", "p99 ms", "burst", "after", "rec. s", "MiB",
                "peak", "after",
            ],
        ),
        false => (
            vec![
                "server",
                "goodput/s",
                "% of due",
                "errors",
                "p50, ms",
                "p99, ms",
                "MiB before",
                "peak",
                "after",
            ],
            vec![
                "server", "good/s", "% due", "errors", "p50 ms", "p99 ms", "MiB", "peak", "after",
            ],
        ),
    };
    let row = |row: &Row<'_>| {
        let [goodput, share] = row.goodput();
        let mut cells = vec![row.display.to_owned(), goodput, share, row.errors()];
        let times: &[&str] = match burst {
            true => &["p99_before_us", "p99_burst_us", "p99_after_us"],
            false => &["p50_us", "p99_us"],
        };
        cells.extend(times.iter().map(|id| row.millis(id)));
        if burst {
            cells.push(row.recovery());
        }
        let memory = ["rss_before_bytes", "rss_peak_bytes", "rss_after_bytes"];
        cells.extend(memory.map(|id| row.memory(id)));
        cells
    };
    let rows = servers.iter().map(row).collect();
    Block::Table(Grid::fitting(&head, &short, 1, rows))
}

/// Latency by route, of the first round, if the pattern has requests of its own.
fn classes(servers: &[Row<'_>]) -> Option<Block> {
    let mut rows = Vec::new();
    for row in servers {
        for class in row.runs.first()?.classes.iter() {
            let millis = |us: Option<f64>| {
                us.map_or_else(|| ABSENT.to_owned(), |us| significant(us / 1e3, 3))
            };
            rows.push(vec![
                row.display.to_owned(),
                class.name.clone(),
                grouped(class.requests),
                grouped(class.errors),
                millis(class.p50_us),
                millis(class.p99_us),
            ]);
        }
    }
    let head = ["server", "request", "valid", "errors", "p50, ms", "p99, ms"];
    (!rows.is_empty()).then(|| Block::Table(Grid::fitting(&head, &head, 2, rows)))
}

/// How it was measured, and what the figures are.
fn about(patterns: &Patterns) -> String {
    format!(
        "Base rate {}/s over {}, {}, workload `{}` unless a pattern has its own requests; {} in a fresh process each, \
         and medians of them. Goodput is valid responses. Latency counts from when a request was due, by the phase in \
         which it was due. Recovered is the time from the end of the burst until p99 is as before: the start of the \
         first of five intervals in a row within the limit, if four in five of all later ones are too. The limit is the \
         95th percentile of the p99s of the intervals before the burst, or 1.25 times their median if that is more. \
         An interval with an error, or in which nothing ended, counts as outside it. ≥: longer than it was watched. \
         Memory is resident: before the pattern, its highest value every 100 ms, and right after.",
        short(patterns.base_per_s),
        counted(patterns.connections as u64, "connection"),
        counted(patterns.workers as u64, "worker"),
        patterns.workload,
        counted(u64::from(patterns.rounds), "round"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use record::{PatternClass, PatternInterval, PatternPart};

    use super::*;

    /// A burst with a backlog of 0.7 s after it.
    fn patterns() -> Patterns {
        let part = |length_ms, rate: f64, phase: &str| PatternPart {
            length_ms,
            from_per_s: rate,
            to_per_s: rate,
            phase: Some(phase.to_owned()),
        };
        let intervals = (0..60)
            .map(|index| PatternInterval {
                at_ms: index * 100,
                length_ms: 100,
                requests: 100,
                errors: 0,
                p99_us: Some(if (22..37).contains(&index) { 5e4 } else { 1e3 }),
                rss_bytes: Some(10 << 20),
            })
            .collect();
        let run = PatternRun {
            pattern: "burst".to_owned(),
            server: "one".to_owned(),
            display: "One".to_owned(),
            round: 1,
            figures: BTreeMap::from(
                [
                    ("due", 8_000.0),
                    ("valid", 7_999.0),
                    ("late", 1.0),
                    ("goodput_per_s", 1_333.0),
                    ("p99_before_us", 1_000.0),
                    ("p99_burst_us", 50_000.0),
                    ("rss_peak_bytes", 12.0 * 1024.0 * 1024.0),
                ]
                .map(|(id, value)| (id.to_owned(), value)),
            ),
            errors: BTreeMap::from([("timeout".to_owned(), 3)]),
            first_error: Some("GET /: no response".to_owned()),
            intervals,
            ..PatternRun::default()
        };
        Patterns {
            head: record::Head::default(),
            workload: "users".to_owned(),
            workers: 1,
            connections: 64,
            base_per_s: 1_000.0,
            rounds: 1,
            timeout_ms: 5_000,
            seed: 1,
            patterns: vec![PatternShape {
                name: "burst".to_owned(),
                about: "Up and down".to_owned(),
                poisson: true,
                own_requests: false,
                interval_ms: 100,
                stages: vec![
                    part(2_000, 1_000.0, "before"),
                    part(1_000, 3_000.0, "burst"),
                    part(3_000, 1_000.0, "after"),
                ],
            }],
            runs: vec![run],
        }
    }

    fn plain(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_burst_has_its_time_to_recover_and_its_errors() {
        let text = pattern_lines(&patterns(), Colour::Never);
        let row = "| One | 1,333 | 99.9 | 3 | 1.00 | 50.0 | – | 0.7 | – | 12.0 | – |";
        assert!(plain(&text).contains(row), "{text}");
        for words in [
            "errors: timeout 3; the first: GET /: no response",
            "1 request had no response when the pattern ended",
        ] {
            assert!(plain(&text).contains(words), "{words}: {text}");
        }
        let mut never = patterns();
        for interval in &mut never.runs[0].intervals[30..] {
            interval.p99_us = Some(9e4);
        }
        let text = pattern_lines(&never, Colour::Never);
        assert!(plain(&text).contains("| ≥3.0 |"), "{text}");
    }

    #[test]
    fn requests_of_its_own_are_told_apart() {
        let mut own = patterns();
        own.patterns[0]
            .stages
            .iter_mut()
            .for_each(|stage| stage.phase = None);
        own.runs[0].classes = vec![PatternClass {
            name: "GET /slow".to_owned(),
            requests: 20,
            errors: 0,
            p50_us: Some(2_000.0),
            p99_us: None,
        }];
        let text = plain(&pattern_lines(&own, Colour::Never));
        assert!(
            text.contains("| One | GET /slow | 20 | 0 | 2.00 | – |"),
            "{text}"
        );
        assert!(!text.contains("rec"), "there is no burst: {text}");
    }

    #[test]
    fn the_page_has_a_chart_of_each_pattern() {
        let page = pattern_page(&patterns());
        let [(name, svg)] = &page.files[..] else {
            panic!("{:?}", page.files)
        };
        assert!(page.text.contains(&format!("](<{name}>)")), "{}", page.text);
        for words in ["One", "offered", "p99", "seconds"] {
            assert!(svg.contains(words), "{words} is not in {svg}");
        }
    }
}
