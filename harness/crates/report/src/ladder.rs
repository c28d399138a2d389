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
fn blocks(ladders: &Ladders, image: &mut dyn FnMut(&str, Factor) -> Option<Block>) -> Vec<Block> {
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
    let mut head = vec![("server", Align::Left), (heads(factor).1, Align::Right)];
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
    Grid::new(head, rows).without_empty_columns()
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

/// As in `980–1,020`; empty without an interval, and for the efficiency of the fewest workers, which is exactly 1.
fn range(id: &str, estimate: &Estimate) -> String {
    match estimate.has_interval() && estimate.low < estimate.high {
        false => String::new(),
        true => format!("{}–{}", cell(id, estimate.low), cell(id, estimate.high)),
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
                 answered in the trial, and latency counts from when a request was due.",
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
    text += match workers
        .iter()
        .any(|workers| *workers > ladders.server_cpus as f64)
    {
        true => {
            ". Rows with more workers than that can't show scaling, because the workers share CPUs."
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use record::{Failure, LadderTrial, RoundLadder, Step};

    use super::*;

    /// A server that reaches `rates` with each of the values, a little more in every round.
    fn server(name: &str, factor: Factor, values: &[f64], rates: &[f64]) -> ServerLadder {
        let trial = |round: u32, value: f64, rate: f64| LadderTrial {
            value,
            figures: BTreeMap::from([
                ("requests_per_s".to_owned(), rate + f64::from(round)),
                ("latency_p99_us".to_owned(), 1_500.0),
                ("achieved_ratio".to_owned(), (rate / value).min(0.999_7)),
                ("cpu_ratio".to_owned(), 1.5),
                ("rss_peak_bytes".to_owned(), 3.0 * 1_048_576.0),
                (
                    "error_ratio".to_owned(),
                    if round == 2 { 0.02 } else { 0.0 },
                ),
            ]),
            generator_bound: rate > 9_000.0,
            first_error: (round == 2).then(|| "503 for GET /ping".to_owned()),
        };
        let round = |round: u32| RoundLadder {
            round,
            trials: values
                .iter()
                .zip(rates)
                .map(|(value, rate)| trial(round, *value, *rate))
                .collect(),
        };
        ServerLadder {
            name: name.to_owned(),
            display: name.to_owned(),
            workload: "ping".to_owned(),
            factor,
            rounds: (1..=3).map(round).collect(),
            ..ServerLadder::default()
        }
    }

    fn ladders() -> Ladders {
        let ladder = |factor, values: &[f64]| Ladder {
            factor,
            values: values.to_vec(),
        };
        let mut failed = server("failed", Factor::Workers, &[], &[]);
        failed.failure = Some(Failure {
            step: Step::Boot,
            reason: "no".to_owned(),
            log_tail: String::new(),
        });
        let mut all = Ladders {
            head: record::Head::default(),
            server_cpus: 2,
            pinned: true,
            ladders: vec![
                ladder(Factor::Workers, &[1.0, 2.0, 4.0]),
                ladder(Factor::Rates, &[1_000.0, 3_000.0]),
            ],
            connections: 64,
            workers: 2,
            rounds: 3,
            trial_ms: 2_000,
            warmup_ms: 500,
            arrivals: "constant".to_owned(),
            seed: 1,
            servers: vec![
                server(
                    "scales",
                    Factor::Workers,
                    &[1.0, 2.0, 4.0],
                    &[5_000.0, 9_500.0, 9_800.0],
                ),
                server("bound", Factor::Workers, &[1.0, 2.0], &[9_900.0, 9_900.0]),
                failed,
                server(
                    "keeps",
                    Factor::Rates,
                    &[1_000.0, 3_000.0],
                    &[1_000.0, 1_500.0],
                ),
            ],
        };
        all.summarise();
        all
    }

    #[test]
    fn rows_have_the_values_their_bounds_and_what_can_not_be_shown() {
        let text = ladder_lines(&ladders(), Colour::Never);
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "Worker threads: ping",
            "| scales | 1 | 5,002 | 5,000–5,004 | 100 | | 150 |",
            "| scales | 2 | ≥9,502 |",
            "| ≥95.0 |",
            "| scales | 4 (2 CPUs) | ≥9,802 |",
            "| bound | 1 | ≥9,902 |",
            "Rates: ping",
            "| keeps | 1,000 | 99.9 |",
            "| keeps | 3,000 | 50.0 |",
            "The server had 2 CPUs. Rows with more workers than that can't show scaling",
            "≥: the load generator was busy",
            "failed, worker threads: failed to boot: no",
            "bound, worker threads: no efficiency is known",
            "keeps, rates: errors at 3,000, up to 2.0 % of a trial's requests; the first: 503 for GET /ping",
        ] {
            assert!(plain.contains(words), "{words} is not in\n{text}");
        }
        assert!(!plain.contains("Connections: ping"), "{text}");
    }

    #[test]
    fn each_factor_has_a_chart() {
        let page = ladder_page(&ladders());
        let names: Vec<&str> = page.files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ping-ladder-workers.svg", "ping-ladder-rates.svg"]);
        for (name, svg) in &page.files {
            assert!(page.text.contains(&format!("](<{name}>)")), "{}", page.text);
            assert!(!svg.contains(">failed<"), "it has no values: {svg}");
        }
        let (workers, rates) = (&page.files[0].1, &page.files[1].1);
        let told = "scales, 1: 5,002 per second, efficiency 1.00×, 2: at least 9,502 per second";
        assert!(workers.contains(told), "{workers}");
        assert!(workers.contains(">CPUs<") && rates.contains("dashed"));
        assert!(
            rates.contains("1,000: 1,002 per second, p99 1.50 ms"),
            "{rates}"
        );
    }
}
