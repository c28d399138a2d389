//! What latency each server adds to that of a dependency: one table.

use record::figure;
use record::{Estimate, ServerUpstream, Upstreams};
use words::counted;

use super::capacity::seconds;
use super::chart;
use super::grid::{Align, Grid};
use super::markdown::Illustrated;
use super::number::{ABSENT, short, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The columns: figures, and whether each has its interval.
const COLUMNS: [(&str, bool); 9] = [
    ("direct_p50_us", false),
    ("latency_p50_us", false),
    ("added_p50_us", true),
    ("direct_p99_us", false),
    ("latency_p99_us", false),
    ("added_p99_us", true),
    ("cpu_us_per_request", false),
    ("upstream_connections", false),
    ("upstream_most_at_once", false),
];
/// Fewer requests for each connection than this, and connections are not kept.
const KEPT: f64 = 2.0;

/// The table for a terminal.
pub fn upstream_lines(upstreams: &Upstreams, colour: Colour) -> String {
    terminal::blocks(blocks(upstreams, None), colour)
}

/// The same in Markdown with the chart, which is a file beside it.
pub fn upstream_page(upstreams: &Upstreams) -> Illustrated {
    let chart = chart::upstream(upstreams);
    let name = |chart: &chart::Chart| format!("{}.svg", chart.id);
    let image = chart.as_ref();
    let image = image.map(|chart| Block::Image(chart.title.clone(), name(chart)));
    Illustrated {
        text: super::markdown::blocks(blocks(upstreams, image)),
        files: chart
            .iter()
            .map(|chart| (name(chart), chart.standalone()))
            .collect(),
    }
}

/// `image` follows the table.
pub(super) fn blocks(upstreams: &Upstreams, image: Option<Block>) -> Vec<Block> {
    let mut blocks = vec![
        Block::Heading(format!("Upstream: {}", upstreams.delay)),
        Block::WideTable(table(upstreams)),
    ];
    blocks.extend(image);
    blocks.push(Block::Text(about(upstreams)));
    let notes = notes(upstreams);
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

/// A row for each server that was measured.
fn table(upstreams: &Upstreams) -> Grid {
    let mut head = vec![("server", Align::Left)];
    for (id, interval) in COLUMNS {
        head.push((
            figure::upstream(id).map_or(id, |figure| figure.head),
            Align::Right,
        ));
        if interval {
            head.push(("95 %", Align::Right));
        }
    }
    head.push(("requests each", Align::Right));
    let measured = upstreams
        .servers
        .iter()
        .filter(|server| !server.figures.is_empty());
    let rows = measured.map(|server| {
        let mut row = vec![server.display.clone()];
        for (id, interval) in COLUMNS {
            let estimate = server.figures.get(id);
            row.push(estimate.map_or(ABSENT.to_owned(), |of| cell(id, of.median)));
            if interval {
                row.push(estimate.map_or(String::new(), |of| range(id, of)));
            }
        }
        let each = server.requests_per_connection();
        row.push(each.map_or(ABSENT.to_owned(), |each| significant(each, 3)));
        row
    });
    Grid::new(head, rows.collect()).without_empty_columns()
}

/// A value in the unit that its heading names.
fn cell(id: &str, value: f64) -> String {
    match figure::Unit::of(id) {
        figure::Unit::One => short(value),
        _ => significant(value, 3),
    }
}

/// As in `98 to 102`; empty without an interval. With `to`, because differences may be below zero.
fn range(id: &str, estimate: &Estimate) -> String {
    match estimate.has_interval() {
        false => String::new(),
        true => format!("{} to {}", cell(id, estimate.low), cell(id, estimate.high)),
    }
}

/// How it was measured.
fn about(upstreams: &Upstreams) -> String {
    let mut text = format!(
        "{} requests/s ({}) over {}, {} after {} of load; {} for each server. Medians over rounds, each with a fresh \
         process; 95 % is the interval. Alone: the dependency without a server, by the same load generator at the same rate, \
         right before or after. Added: the difference within a round. Connections: those that the server opened to the \
         dependency; at once: the most requests that waited there; requests each: how many a connection carried.",
        short(upstreams.rate),
        upstreams.arrivals,
        counted(upstreams.connections as u64, "connection"),
        seconds(upstreams.trial_ms),
        seconds(upstreams.warmup_ms),
        counted(upstreams.workers as u64, "worker"),
    );
    let cpus = counted(upstreams.driver_cpus as u64, "CPU");
    text += &match upstreams.pinned {
        true => format!(" Load generator and dependency shared {cpus}."),
        false => " Nothing was pinned: servers, load generator and dependency shared all CPUs."
            .to_owned(),
    };
    text
}

/// Failures, errors, servers that keep no connections, and a load generator that was busy.
fn notes(upstreams: &Upstreams) -> Vec<String> {
    let mut notes = Vec::new();
    for server in &upstreams.servers {
        let name = &server.display;
        if let Some(failure) = &server.failure {
            let (verb, reason) = (failure.step.verb(), &failure.reason);
            notes.push(format!("{name}: failed to {verb}: {reason}"));
        }
        if let Some(error) = server
            .rounds
            .iter()
            .find_map(|round| round.first_error.as_ref())
        {
            notes.push(format!("{name}: errors; the first: {error}"));
        }
        if server
            .requests_per_connection()
            .is_some_and(|each| each < KEPT)
        {
            notes.push(format!(
                "{name} keeps no connections to its dependency: it opened one for nearly every request"
            ));
        }
        notes.extend(doubtful(server));
    }
    notes
}

/// Rounds in which the load generator may have added latency of its own.
fn doubtful(server: &ServerUpstream) -> Option<String> {
    let late = server
        .rounds
        .iter()
        .filter(|round| round.generator_bound || !round.kept_up);
    let late = late.count() as u64;
    (late > 0).then(|| {
        format!(
            "{}: in {} the load generator was busy or late, so that latency includes the time that requests waited for it: \
             use a lower --rate, or more --driver-cpus",
            server.display,
            counted(late, "round")
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use record::{Failure, RoundUpstream, Step};

    use super::*;

    /// A server that adds so much in its rounds, with so many connections for 4,500 requests.
    fn server(name: &str, added: &[f64], connections: f64) -> ServerUpstream {
        let round = |(round, added): (u32, &f64)| RoundUpstream {
            round,
            direct_first: round % 2 == 1,
            figures: BTreeMap::from([
                ("direct_p50_us".to_owned(), 3_500.0),
                ("latency_p50_us".to_owned(), 3_500.0 + added),
                ("added_p50_us".to_owned(), *added),
                ("upstream_connections".to_owned(), connections),
                ("upstream_requests".to_owned(), 4_500.0),
            ]),
            generator_bound: false,
            kept_up: round != 2,
            first_error: None,
        };
        ServerUpstream {
            name: name.to_owned(),
            display: name.to_owned(),
            rounds: (1..).zip(added).map(round).collect(),
            ..ServerUpstream::default()
        }
    }

    #[test]
    fn rows_have_what_is_added_and_notes_what_is_wrong() {
        let mut failed = server("failed", &[], 0.0);
        failed.failure = Some(Failure {
            step: Step::Accept,
            reason: "no".to_owned(),
            log_tail: String::new(),
        });
        let mut all = Upstreams {
            head: record::Head::default(),
            pinned: true,
            driver_cpus: 1,
            delay: "exponential:5ms".to_owned(),
            rate: 1_000.0,
            connections: 64,
            workers: 2,
            rounds: 3,
            trial_ms: 4_000,
            warmup_ms: 500,
            arrivals: "constant".to_owned(),
            seed: 1,
            servers: vec![
                server("keeps", &[120.0, 140.0, 130.0], 15.0),
                server("opens", &[250.0], 4_500.0),
                failed,
            ],
        };
        all.summarise();
        let text = upstream_lines(&all, Colour::Never);
        let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "Upstream: exponential:5ms",
            "| keeps | 3,500 | 3,630 | 130 | 107 to 157 |",
            "| 15 | – | 300 |",
            "| opens | 3,500 | 3,750 | 250 | |",
            "| 4,500 | – | 1.00 |",
            "Load generator and dependency shared 1 CPU.",
            "opens keeps no connections to its dependency",
            "keeps: in 1 round the load generator was busy or late",
            "failed: failed to",
        ] {
            assert!(plain.contains(words), "{words} is not in\n{text}");
        }
        assert!(!plain.contains("keeps keeps no"), "{text}");
    }
}
