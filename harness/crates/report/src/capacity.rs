//! Up to which rate servers meet an objective: a table and two charts for each workload.

use std::collections::BTreeMap;

use record::figure::{self, Figure, Unit};
use record::{Capacities, Estimate, Overload, OverloadVerdict, ServerCapacity};
use words::{counted, grouped};

use super::chart;
use super::grid::{Align, Grid};
use super::markdown::Illustrated;
use super::number::{ABSENT, mebibytes, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The tables for a terminal.
pub fn capacity_lines(capacities: &Capacities, colour: Colour) -> String {
    terminal::blocks(blocks(capacities, &mut |_| Vec::new()), colour)
}

/// The same in Markdown with the charts, which are files beside it.
pub fn capacity_page(capacities: &Capacities) -> Illustrated {
    let mut files = Vec::new();
    let mut images = |workload: &str| {
        let servers: Vec<&ServerCapacity> = capacities.of(workload).collect();
        let charts = chart::capacity(workload, &servers).into_iter();
        let image = charts.map(|chart| {
            let name = format!("{}.svg", chart.id);
            files.push((name.clone(), chart.standalone()));
            Block::Image(format!("{}: {workload}", chart.title), name)
        });
        image.collect::<Vec<_>>()
    };
    let blocks = blocks(capacities, &mut images);
    Illustrated {
        text: super::markdown::blocks(blocks),
        files,
    }
}

/// `images` gives what follows the table of a workload.
pub(super) fn blocks(
    capacities: &Capacities,
    images: &mut dyn FnMut(&str) -> Vec<Block>,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    let objective = capacities.objective.join(", ");
    for workload in capacities.workloads() {
        blocks.push(Block::Heading(format!("Capacity: {workload}, {objective}")));
        blocks.push(Block::Table(ranking(capacities, workload)));
        blocks.extend(images(workload));
        blocks.extend(curve(capacities, workload).map(Block::WideTable));
        blocks.extend(overloads(capacities, workload).map(Block::WideTable));
    }
    blocks.push(Block::Text(about(capacities)));
    let notes = notes(capacities);
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

/// The capacities, highest first.
fn ranking(capacities: &Capacities, workload: &str) -> Grid {
    let mut servers: Vec<&ServerCapacity> = capacities.of(workload).collect();
    let median = |server: &ServerCapacity| server.capacity.map_or(0.0, |of| of.median);
    servers.sort_by(|a, b| median(b).total_cmp(&median(a)));
    let best = servers.first().map(|server| server.name.clone());
    let row = |server: &&ServerCapacity| {
        let bound = if server.at_least { "≥" } else { "" };
        let capacity = server.capacity;
        let ratio = server.ratio.filter(|_| Some(&server.name) != best.as_ref());
        let trials: usize = server.rounds.iter().map(|round| round.trials.len()).sum();
        vec![
            server.display.clone(),
            capacity.map_or(ABSENT.to_owned(), |of| {
                format!("{bound}{}", significant(of.median, 4))
            }),
            capacity.map_or(String::new(), |of| range(&of, 4)),
            match (ratio, capacity) {
                (Some(ratio), _) => format!("{}×", significant(ratio.median, 3)),
                (None, Some(_)) => "best".to_owned(),
                (None, None) => String::new(),
            },
            ratio.map_or(String::new(), |ratio| range(&ratio, 3)),
            capacity.map_or("0".to_owned(), |of| of.n.to_string()),
            trials.to_string(),
        ]
    };
    let head = [
        ("server", Align::Left),
        ("requests/s", Align::Right),
        ("95 %", Align::Right),
        ("× best", Align::Right),
        ("95 %", Align::Right),
        ("rounds", Align::Right),
        ("trials", Align::Right),
    ];
    Grid::new(head, servers.iter().map(row).collect()).without_empty_columns()
}

/// As in `980–1,020`; empty without an interval.
fn range(estimate: &Estimate, digits: i32) -> String {
    match estimate.has_interval() {
        false => String::new(),
        true => format!(
            "{}–{}",
            significant(estimate.low, digits),
            significant(estimate.high, digits)
        ),
    }
}

/// The load curve of every server.
fn curve(capacities: &Capacities, workload: &str) -> Option<Grid> {
    let mut rows = Vec::new();
    for server in capacities.of(workload) {
        for point in &server.curve {
            let mut row = vec![
                server.display.clone(),
                format!("{:.0} %", point.share * 100.0),
                significant(point.rate, 4),
            ];
            row.extend(figure::CAPACITY.iter().map(|figure| {
                let value = point.figures.get(figure.id);
                value.map_or(ABSENT.to_owned(), |value| shown(figure, value.median))
            }));
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return None;
    }
    let heads = figure::CAPACITY.iter().map(|figure| figure.head);
    let first = ["server", "load", "asked/s"];
    let head = first.into_iter().chain(heads).enumerate();
    let aligned = head.map(|(place, head)| match place {
        0 => (head, Align::Left),
        _ => (head, Align::Right),
    });
    Some(Grid::new(aligned, rows))
}

/// A value in the unit that the figure's heading names.
pub(super) fn shown(figure: &Figure, value: f64) -> String {
    match figure.unit() {
        Unit::Bytes => mebibytes(value),
        Unit::PerSecond => significant(value, 4),
        Unit::One => significant(value * 100.0, 2),
        _ => significant(value, figure.digits),
    }
}

/// What each server did in an overload: the medians over rounds.
fn overloads(capacities: &Capacities, workload: &str) -> Option<Grid> {
    let row = |server: &ServerCapacity| {
        let all: Vec<&Overload> = server.overloads().collect();
        let median = |of: &dyn Fn(&Overload) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(|overload| of(overload)).collect();
            stats::median(&values)
        };
        let cell = |value: Option<f64>, digits| {
            value.map_or(ABSENT.to_owned(), |value| significant(value, digits))
        };
        let errors = |overload: &Overload| {
            let all: u64 = overload.errors.values().sum();
            Some(all as f64 * 100.0 / (overload.sent as f64).max(1.0))
        };
        let capacity = server.capacity?.median;
        let goodput = median(&|overload| Some(overload.goodput_per_s / capacity * 100.0))?;
        let verdicts = all.iter().filter_map(|overload| overload.verdict);
        Some(vec![
            server.display.clone(),
            cell(median(&|overload| Some(overload.rate)), 3),
            significant(goodput, 3),
            cell(median(&|overload| Some(overload.wire_p99_us? / 1e3)), 3),
            cell(median(&errors), 2),
            cell(median(&|overload| overload.recovered_ms), 3),
            verdict(verdicts),
        ])
    };
    let rows: Vec<Vec<String>> = capacities.of(workload).filter_map(row).collect();
    if rows.is_empty() {
        return None;
    }
    let head = [
        ("server", Align::Left),
        ("overload/s", Align::Right),
        ("answered, % of capacity", Align::Right),
        ("p99, ms", Align::Right),
        ("errors, %", Align::Right),
        ("back, ms", Align::Right),
        ("", Align::Left),
    ];
    Some(Grid::new(head, rows))
}

/// The verdict of most rounds, and in how many if not in all.
fn verdict(verdicts: impl Iterator<Item = OverloadVerdict>) -> String {
    let all: Vec<OverloadVerdict> = verdicts.collect();
    let count = |one: OverloadVerdict| all.iter().filter(|other| **other == one).count();
    let order = [
        (OverloadVerdict::Collapses, "collapses"),
        (OverloadVerdict::Queues, "queues"),
        (OverloadVerdict::Sheds, "sheds"),
    ];
    let most = order.into_iter().max_by_key(|(one, _)| count(*one));
    match most {
        Some((one, word)) if count(one) == all.len() => word.to_owned(),
        Some((one, word)) => format!("{word} in {} of {}", count(one), all.len()),
        None => String::new(),
    }
}

/// How it was measured.
fn about(capacities: &Capacities) -> String {
    let mut text = format!(
        "The highest rate at which half of all trials meet {}, with {} and {}. A trial is {} after {} of load, with \
         {} arrivals. Requests/s is the median over rounds, each with fresh processes whose trials took turns; 95 % is its \
         interval. The ratio is taken within rounds. Latency counts from when a request was due.",
        capacities.objective.join(", "),
        counted(capacities.connections as u64, "connection"),
        counted(capacities.workers as u64, "worker"),
        seconds(capacities.trial_ms),
        seconds(capacities.warmup_ms),
        capacities.arrivals,
    );
    if capacities.rounds < 3 {
        text += " An interval needs three rounds.";
    }
    if capacities.servers.iter().any(|server| server.at_least) {
        text +=
            " ≥: the load generator was busy in most failed trials, so the server may reach more.";
    }
    if let Some(overload) = capacities.servers.iter().find_map(|s| s.overloads().next()) {
        text += &format!(
            " Overload: three times the capacity for {} over {}, between loads of half the capacity. Answered is the share \
             of the capacity, p99 counts from when a request was sent, and back is how long latency took to return.",
            seconds((overload.seconds * 1e3).round() as u64),
            counted(overload.connections as u64, "connection"),
        );
    }
    text
}

pub(super) fn seconds(ms: u64) -> String {
    format!("{} s", significant(ms as f64 / 1e3, 2))
}

/// Failures, and searches that have no interval or a wide one.
fn notes(capacities: &Capacities) -> Vec<String> {
    let mut notes = Vec::new();
    let several = capacities.workloads().len() > 1;
    for server in &capacities.servers {
        let name = match several {
            true => format!("{}, {}", server.display, server.workload),
            false => server.display.clone(),
        };
        if let Some(failure) = &server.failure {
            notes.push(format!(
                "{name}: failed to {}: {}",
                failure.step.verb(),
                failure.reason
            ));
        }
        let ended = |end: &str| {
            let rounds = server.rounds.iter().filter(|round| round.end == end);
            let numbers: Vec<String> = rounds.map(|round| round.round.to_string()).collect();
            (!numbers.is_empty()).then(|| numbers.join(", "))
        };
        for (end, what) in [
            (
                "trials-used",
                "all trials were used before the interval was narrow enough",
            ),
            (
                "all-passed",
                "even four times the rate of a closed loop met the objective",
            ),
            (
                "none-passed",
                "even a thousandth of the rate of a closed loop failed",
            ),
        ] {
            if let Some(rounds) = ended(end) {
                notes.push(format!("{name}: {what} (round {rounds})"));
            }
        }
        let errors: u64 = server
            .overloads()
            .flat_map(|overload| overload.errors.values())
            .sum();
        if errors > 0 {
            let mut kinds = BTreeMap::<&str, u64>::new();
            for (kind, count) in server.overloads().flat_map(|overload| &overload.errors) {
                *kinds.entry(kind).or_default() += count;
            }
            kinds.retain(|_, count| *count > 0);
            let kinds: Vec<String> = kinds
                .into_iter()
                .map(|(kind, count)| format!("{kind} {}", grouped(count)))
                .collect();
            notes.push(format!(
                "{name}: errors in the overload: {}",
                kinds.join(", ")
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use record::{Failure, LoadPoint, RoundCapacity, Step};

    use super::*;

    fn round(round: u32, rate: f64) -> RoundCapacity {
        let point = |share: f64| LoadPoint {
            share,
            rate: rate * share,
            figures: BTreeMap::from([
                ("requests_per_s".to_owned(), rate * share.min(1.0)),
                ("latency_p99_us".to_owned(), 1_234.0 * share),
                ("rss_peak_bytes".to_owned(), 3.0 * 1_048_576.0),
                ("error_ratio".to_owned(), 0.0125),
            ]),
        };
        RoundCapacity {
            round,
            peak_per_s: rate * 1.2,
            end: "found".to_owned(),
            rate: Some(rate),
            low: Some(rate * 0.97),
            high: Some(rate * 1.03),
            curve: vec![point(0.5), point(1.2)],
            overload: Some(Overload {
                rate: rate * 3.0,
                seconds: 10.0,
                connections: 1_024,
                goodput_per_s: rate * 0.9,
                errors: BTreeMap::from([("status".to_owned(), 5), ("reset".to_owned(), 0)]),
                sent: 1_000,
                recovered_ms: Some(250.0),
                verdict: Some(match round {
                    1 => OverloadVerdict::Collapses,
                    _ => OverloadVerdict::Queues,
                }),
                ..Overload::default()
            }),
            ..RoundCapacity::default()
        }
    }

    fn capacities() -> Capacities {
        let server = |name: &str, rates: &[f64]| ServerCapacity {
            name: name.to_owned(),
            display: name.to_owned(),
            workload: "ping".to_owned(),
            rounds: (1..)
                .zip(rates)
                .map(|(at, rate)| round(at, *rate))
                .collect(),
            ..ServerCapacity::default()
        };
        let mut second = server("second", &[20_000.0, 20_200.0, 19_800.0]);
        second.rounds[2].end = "trials-used".to_owned();
        let mut failed = server("failed", &[]);
        failed.failure = Some(Failure {
            step: Step::Boot,
            reason: "no".to_owned(),
            log_tail: String::new(),
        });
        let mut all = Capacities {
            head: record::Head::default(),
            objective: vec!["p99<10ms".to_owned(), "errors=0".to_owned()],
            connections: 64,
            workers: 1,
            rounds: 3,
            trial_ms: 1_000,
            warmup_ms: 300,
            within: 0.05,
            max_trials: 60,
            arrivals: "constant".to_owned(),
            seed: 1,
            servers: vec![
                server("first", &[10_000.0, 10_100.0, 9_900.0]),
                second,
                failed,
            ],
        };
        all.summarise();
        all
    }

    #[test]
    fn the_highest_capacity_comes_first_and_the_others_are_its_share() {
        let text = capacity_lines(&capacities(), Colour::Never);
        let place = |words: &str| {
            text.find(words)
                .unwrap_or_else(|| panic!("{words}: {text}"))
        };
        assert!(place("| second") < place("| first"), "{text}");
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for row in [
            "Capacity: ping, p99<10ms, errors=0",
            "| 20,000 |",
            "| best |",
            "| 0.500× |",
            "| failed | – |",
            "| first | 120 % | 12,000 | 10,000 | – | 1,480 | – | 3.00 | 1.3 | – |",
            "queues in 2 of 3",
            "failed: failed to boot: no",
            "second: all trials were used before the interval was narrow enough (round 3)",
            "errors in the overload: status 15",
        ] {
            assert!(plain.contains(row), "{row} is not in\n{text}");
        }
    }

    #[test]
    fn the_page_has_both_charts() {
        let page = capacity_page(&capacities());
        let names: Vec<&str> = page.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["ping-capacity-latency.svg", "ping-capacity-goodput.svg"]
        );
        for (name, svg) in &page.files {
            assert!(page.text.contains(&format!("](<{name}>)")), "{}", page.text);
            assert!(svg.contains("first") && svg.contains("second"), "{svg}");
            assert!(!svg.contains(">failed<"), "it has no curve: {svg}");
        }
        assert!(
            page.files[1].1.contains("24,000: 20,000"),
            "{}",
            page.files[1].1
        );
    }
}
