//! How figures change with connections, worker threads or the rate: a table and a chart for each factor and workload.

use record::figure;
use record::{Estimate, Factor, Ladder, Ladders, Rung, ServerLadder};
use words::counted;

use super::capacity::{seconds, shown};
use super::chart;
use super::grid::{Align, Grid};
use super::markdown::Illustrated;
use super::number::{ABSENT, short, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The column of [`Rung::efficiency`], which is no figure of a trial.
const EFFICIENCY: &str = "efficiency";

/// The columns of a factor's table: figures, and whether each has its interval.
fn columns(factor: Factor) -> &'static [(&'static str, bool)] {
    match factor {
        Factor::Connections => &[
            ("requests_per_s", true),
            ("latency_p50_us", false),
            ("latency_p99_us", true),
            ("cpu_us_per_request", false),
            ("rss_peak_bytes", false),
            ("rss_after_bytes", false),
            ("error_ratio", false),
        ],
        Factor::Workers => &[
            ("requests_per_s", true),
            (EFFICIENCY, true),
            ("cpu_ratio", false),
            ("cpu_us_per_request", false),
            ("latency_p99_us", true),
            ("error_ratio", false),
        ],
        Factor::Rates => &[
            ("achieved_ratio", true),
            ("requests_per_s", false),
            ("latency_p50_us", false),
            ("latency_p99_us", true),
            ("cpu_ratio", false),
            ("rss_peak_bytes", false),
            ("error_ratio", false),
        ],
    }
}

/// The heading of a factor's tables, and of its column in them.
fn heads(factor: Factor) -> (&'static str, &'static str) {
    match factor {
        Factor::Connections => ("Connections", "connections"),
        Factor::Workers => ("Worker threads", "workers"),
        Factor::Rates => ("Rates", "sent/s"),
    }
}

/// The tables for a terminal.
pub fn ladder_lines(ladders: &Ladders, colour: Colour) -> String {
    terminal::blocks(blocks(ladders, &mut |_, _| None), colour)
}

/// The same in Markdown with the charts, which are files beside it.
pub fn ladder_page(ladders: &Ladders) -> Illustrated {
    let mut files = Vec::new();
    let mut image = |workload: &str, factor: Factor| {
        let chart = chart::ladder(ladders, workload, factor)?;
        let name = format!("{}.svg", chart.id);
        files.push((name.clone(), chart.standalone()));
        Some(Block::Image(format!("{}: {workload}", chart.title), name))
    };
    let blocks = blocks(ladders, &mut image);
    Illustrated {
        text: super::markdown::blocks(blocks),
        files,
    }
}

/// `image` gives what follows the table of a workload and factor.
fn blocks(
    ladders: &Ladders,
    image: &mut dyn FnMut(&str, Factor) -> Option<Block>,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    for workload in ladders.workloads() {
        for Ladder { factor, .. } in &ladders.ladders {
            let title = heads(*factor).0;
            blocks.push(Block::Heading(format!("{title}: {workload}")));
            blocks.push(Block::WideTable(table(ladders, workload, *factor)));
            blocks.extend(image(workload, *factor));
        }
    }
    blocks.extend(about(ladders).into_iter().map(Block::Text));
    let notes = notes(ladders);
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

/// A row for each server and value.
fn table(ladders: &Ladders, workload: &str, factor: Factor) -> Grid {
    let mut head = vec![
        ("server", Align::Left),
        (heads(factor).1, Align::Right),
    ];
    for (id, interval) in columns(factor) {
        let figure = figure::ladder(id).map_or("efficiency, %", |figure| figure.head);
        head.push((figure, Align::Right));
        if *interval {
            head.push(("95 %", Align::Right));
        }
    }
    let mut rows = Vec::new();
    for server in ladders.of(workload, factor) {
        for rung in &server.rungs {
            let value = match factor {
                Factor::Workers if rung.value > ladders.server_cpus as f64 => {
                    let cpus = counted(ladders.server_cpus as u64, "CPU");
                    format!("{} ({cpus})", short(rung.value))
                }
                _ => short(rung.value),
            };
            let mut row = vec![server.display.clone(), value];
            for (id, interval) in columns(factor) {
                let estimate = value_of(rung, id);
                row.push(estimate.map_or(ABSENT.to_owned(), |of| {
                    format!("{}{}", bound(rung, id), cell(id, of.median))
                }));
                if *interval {
                    row.push(estimate.map_or(String::new(), |of| range(id, &of)));
                }
            }
            rows.push(row);
        }
    }
    Grid::new(head, rows)
}

fn value_of(rung: &Rung, id: &str) -> Option<Estimate> {
    match id {
        EFFICIENCY => rung.efficiency,
        id => rung.figures.get(id).copied(),
    }
}

/// The mark of a lower bound.
fn bound(rung: &Rung, id: &str) -> &'static str {
    match id {
        "requests_per_s" | "achieved_ratio" | EFFICIENCY if rung.at_least => "≥",
        _ => "",
    }
}

/// A value in the unit that its heading names.
fn cell(id: &str, value: f64) -> String {
    match (id, figure::ladder(id)) {
        // 99.97 % is not all of them.
        ("achieved_ratio", _) => format!("{:.1}", (value * 1e3 + 1e-9).floor() / 10.0),
        ("cpu_ratio" | EFFICIENCY, _) | (_, None) => significant(value * 100.0, 3),
        (_, Some(figure)) => shown(figure, value),
    }
}

/// As in `980–1,020`; empty for a single value.
fn range(id: &str, estimate: &Estimate) -> String {
    match estimate.n {
        0 | 1 => String::new(),
        _ => format!("{}–{}", cell(id, estimate.low), cell(id, estimate.high)),
    }
}

/// How it was measured, with a paragraph for each factor.
fn about(ladders: &Ladders) -> Vec<String> {
    let connections = counted(ladders.connections as u64, "connection");
    let workers = counted(ladders.workers as u64, "worker");
    let mut first = format!(
        "Medians over rounds, each with fresh processes whose trials took turns; 95 % is the interval. A trial is {} after \
         {} of load. CPU is the server's CPU time per second: 100 % is one CPU. Memory is the highest in the trial.",
        seconds(ladders.trial_ms),
        seconds(ladders.warmup_ms),
    );
    let mut rungs = ladders.servers.iter().flat_map(|server| &server.rungs);
    if rungs.any(|rung| rung.at_least) {
        first += " ≥: the load generator was busy in most rounds, so the server may reach more, and latency includes the \
                  time that responses waited for the load generator.";
    }
    let mut all = vec![first];
    for ladder in &ladders.ladders {
        all.push(match ladder.factor {
            Factor::Connections => format!(
                "Connections: a closed loop with {workers}. Each process gets more and more connections, so its memory \
                 includes what it kept from fewer."
            ),
            Factor::Workers => format!(
                "Worker threads: a closed loop with {connections}. Efficiency is the requests/s of each worker as a share of \
                 what they are with the fewest workers, within rounds: 100 % is perfect scaling. {}",
                cpus(ladders, &ladder.values)
            ),
            Factor::Rates => format!(
                "Rates: {} arrivals over {connections}, with {workers}. Goodput is the share of the requests due that were \
                 answered in time for the trial, and latency counts from when a request was due.",
                ladders.arrivals
            ),
        });
    }
    all
}

/// Whether there were enough CPUs for the workers.
fn cpus(ladders: &Ladders, workers: &[f64]) -> String {
    let cpus = counted(ladders.server_cpus as u64, "CPU");
    let mut text = match ladders.pinned {
        true => format!("The server had {cpus}"),
        false => format!("Nothing was pinned: server and load generator shared {cpus}"),
    };
    text += match workers.iter().any(|workers| *workers > ladders.server_cpus as f64) {
        true => ". Rows with more workers than that can't show scaling, because the workers share CPUs.",
        false => ".",
    };
    text
}

/// Failures, errors, and efficiencies that are unknown.
fn notes(ladders: &Ladders) -> Vec<String> {
    let mut notes = Vec::new();
    let several = ladders.workloads().len() > 1;
    for server in &ladders.servers {
        let factor = heads(server.factor).0.to_lowercase();
        let name = match several {
            true => format!("{}, {}, {factor}", server.display, server.workload),
            false => format!("{}, {factor}", server.display),
        };
        if let Some(failure) = &server.failure {
            notes.push(format!(
                "{name}: failed to {}: {}",
                failure.step.verb(),
                failure.reason
            ));
        }
        for rung in &server.rungs {
            if let Some((share, message)) = server.errors(rung.value) {
                notes.push(format!(
                    "{name}: errors at {}, up to {} % of a trial's requests; the first: {message}",
                    short(rung.value),
                    significant(share * 100.0, 2),
                ));
            }
        }
        notes.extend(unknown_efficiency(server).map(|why| format!("{name}: {why}")));
    }
    notes
}

fn unknown_efficiency(server: &ServerLadder) -> Option<&'static str> {
    let first = server.rungs.first()?;
    (server.factor == Factor::Workers && server.rungs.len() > 1 && first.at_least).then_some(
        "no efficiency is known, because the load generator was the limit with the fewest workers: give it more CPUs \
         (--driver-cpus)",
    )
}
