//! What grew over many cycles of load and rest: one table, one chart.

use judge::{
    FALSE_ALARMS, Growing, LEAST_READINGS, SoakTrend, least_cycles, least_growth, soak_trends,
};
use record::{SOAK_FILE, Soak, SoakFigure, SoakServer};
use words::{counted, grouped};

use super::chart;
use super::grid::Grid;
use super::markdown::Illustrated;
use super::number::{ABSENT, short, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The table for a terminal.
pub fn soak_lines(soak: &Soak, colour: Colour) -> String {
    terminal::blocks(blocks(soak), colour)
}

/// The same in Markdown with the chart, which is a file beside it.
pub fn soak_page(soak: &Soak) -> Illustrated {
    let mut blocks = blocks(soak);
    let mut files = Vec::new();
    if let Some(chart) = chart::soak(soak) {
        let name = format!("{}.svg", SOAK_FILE.trim_end_matches(".json"));
        // After the heading and the table.
        let image = Block::Image(chart.title.clone(), name.clone());
        blocks.insert(blocks.len().min(2), image);
        files.push((name, chart.standalone()));
    }
    Illustrated {
        text: super::markdown::blocks(blocks),
        files,
    }
}

fn blocks(soak: &Soak) -> Vec<Block> {
    let mut blocks = vec![Block::Heading("Soak".into())];
    let rows: Vec<Vec<String>> = soak.servers.iter().flat_map(rows).collect();
    if !rows.is_empty() {
        let head = [
            "server",
            "figure",
            "level",
            "growth per hour",
            "95 %",
            "per request",
            "p",
            "verdict",
        ];
        blocks.push(Block::Table(Grid::fitting(&head, &head, 2, rows)));
    }
    blocks.push(Block::Text(about(soak)));
    let notes: Vec<String> = soak.servers.iter().flat_map(notes).collect();
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

/// A row for each figure that was read.
fn rows(server: &SoakServer) -> Vec<Vec<String>> {
    let trends = soak_trends(server).into_iter();
    let read = trends.filter(|trend| trend.level.is_some());
    read.map(|trend| row(server, &trend)).collect()
}

fn row(server: &SoakServer, trend: &SoakTrend) -> Vec<String> {
    let shown = |value: f64| amount(trend.figure, value);
    let absent = || ABSENT.to_owned();
    let hour = trend.per_hour.as_ref();
    vec![
        server.display.clone(),
        trend.figure.name().to_owned(),
        trend.level.map_or_else(absent, shown),
        hour.map_or_else(absent, |trend| shown(trend.slope)),
        hour.map_or_else(absent, |hour| {
            format!("{} to {}", shown(hour.low), shown(hour.high))
        }),
        match (trend.figure, &trend.per_request) {
            (SoakFigure::Memory, Some(each)) => format!("{} B", significant(each.slope, 3)),
            _ => absent(),
        },
        hour.map_or_else(absent, |hour| probability(hour.p)),
        match trend.growing {
            Growing::Yes => "GROWS",
            Growing::No => "no growth",
            Growing::LevellingOff => "levelling off",
            Growing::Unknown => "too few cycles",
        }
        .to_owned(),
    ]
}

fn probability(p: f64) -> String {
    match p < 1e-4 {
        true => "<0.0001".to_owned(),
        false => format!("{p:.4}"),
    }
}

/// A value with its unit.
fn amount(figure: SoakFigure, value: f64) -> String {
    match figure {
        SoakFigure::Memory => format!("{} MiB", significant(value / f64::from(1 << 20), 3)),
        SoakFigure::Threads | SoakFigure::Descriptors => short(value),
        SoakFigure::P50 | SoakFigure::P99 => format!("{} µs", significant(value, 3)),
    }
}

/// How it was measured, and what a verdict means.
fn about(soak: &Soak) -> String {
    let seconds = |ms: u64| short(ms as f64 / 1e3);
    let least = |figure, level| amount(figure, least_growth(figure, level));
    format!(
        "Cycles of {} s at {}/s over {} (`{}`), {} s of rest, and {} s of a probe at {}/s, which gives p50 and p99. \
         Memory, threads and descriptors are read after the rest, without connections. The first quarter of each \
         process's cycles, at least two, is its warm-up. GROWS: two trend tests find growth (the higher p is below {}, so that a \
         server without growth is reported in at most {} % of soaks), it is worth reporting (the lower end of the 95 % \
         interval over all cycles is at least {} of memory and 1 % of it, 1 thread or descriptor, or half of a \
         latency), and it isn't levelling off. A verdict needs {LEAST_READINGS} cycles after the warm-up: {} without an \
         interruption.",
        seconds(soak.load_ms),
        short(soak.rate_per_s),
        counted(soak.connections as u64, "connection"),
        soak.workload,
        seconds(soak.rest_ms),
        seconds(soak.probe_ms),
        short(soak.probe_per_s),
        FALSE_ALARMS / SoakFigure::ALL.len() as f64,
        FALSE_ALARMS * 100.0,
        least(SoakFigure::Memory, 0.0),
        least_cycles(),
    )
}

fn notes(server: &SoakServer) -> Vec<String> {
    let mut notes = Vec::new();
    let name = &server.display;
    if let Some(failure) = &server.failure {
        notes.push(format!(
            "{name}: failed to {}: {}",
            failure.step.verb(),
            failure.reason
        ));
    }
    let wrong: Vec<_> = (server.readings.iter())
        .filter(|reading| reading.errors > 0)
        .collect();
    if let Some(first) = wrong.first() {
        let errors: u64 = wrong.iter().map(|reading| reading.errors).sum();
        let told = first.first_error.as_deref().unwrap_or_default();
        notes.push(format!(
            "{name}: {} in {}; the first in cycle {}: {}",
            counted(errors, "error"),
            counted(wrong.len() as u64, "cycle"),
            first.cycle,
            told.replace('\n', " ")
        ));
    }
    if let Some(last) = server.readings.last() {
        let requests: u64 = (server.readings.chunk_by(|a, b| a.process == b.process))
            .filter_map(|process| process.last())
            .map(|last| last.requests)
            .sum();
        notes.push(format!(
            "{name}: {}, {} requests",
            counted(u64::from(last.cycle), "cycle"),
            grouped(requests)
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use record::SoakReading;

    use super::*;

    fn soak(leak: u64, cycles: u32) -> Soak {
        let readings = (1..=cycles).map(|cycle| SoakReading {
            cycle,
            at_s: f64::from(cycle) * 360.0,
            requests: u64::from(cycle) * 100_000,
            rss_bytes: (30 << 20) + leak * u64::from(cycle) * 100_000,
            threads: Some(4),
            descriptors: None,
            p50_us: Some(80.0),
            p99_us: Some(200.0),
            ..SoakReading::default()
        });
        let mut server = SoakServer {
            name: "one".to_owned(),
            display: "One".to_owned(),
            readings: readings.collect(),
            ..SoakServer::default()
        };
        if let Some(reading) = server.readings.get_mut(2) {
            reading.errors = 7;
            reading.first_error = Some("GET /: 500".to_owned());
        }
        Soak {
            head: record::Head::default(),
            workload: "mixed".to_owned(),
            workers: 1,
            connections: 64,
            rate_per_s: 2_000.0,
            probe_per_s: 200.0,
            cycles,
            load_ms: 42_000,
            rest_ms: 15_000,
            probe_ms: 3_000,
            timeout_ms: 10_000,
            seed: 1,
            resumed: 0,
            servers: vec![server],
        }
    }

    fn plain(text: &str) -> String {
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").replace("| ", "|").replace(" |", "|")
    }

    #[test]
    fn a_leak_is_shown_per_hour_and_per_request() {
        let text = plain(&soak_lines(&soak(64, 40), Colour::Never));
        // 1,000,000 requests an hour.
        let row = "|61.0 MiB|61.0 MiB to 61.0 MiB|64.0 B|<0.0001|GROWS|";
        assert!(
            text.contains("|One|memory|") && text.contains(row),
            "{text}"
        );
        assert!(
            text.contains("|One|threads|4|0|0 to 0|–|1.0000|no growth|"),
            "{text}"
        );
        assert!(
            !text.contains("|descriptors|"),
            "they were not read: {text}"
        );
        for words in [
            "One: 7 errors in 1 cycle; the first in cycle 3: GET /: 500",
            "One: 40 cycles, 4,000,000 requests",
            "p is below 0.002",
            "in at most 1 % of soaks",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let few = plain(&soak_lines(&soak(64, 5), Colour::Never));
        assert!(few.contains("too few cycles"), "{few}");
    }

    #[test]
    fn the_page_names_its_chart() {
        let page = soak_page(&soak(64, 40));
        assert!(page.text.contains("](<soak.svg>)"), "{}", page.text);
        let [(name, svg)] = &page.files[..] else {
            panic!("{:?}", page.files)
        };
        assert_eq!(name, "soak.svg");
        for words in ["One", "cycle", "memory"] {
            assert!(svg.contains(words), "{words} is not in {svg}");
        }
        assert!(soak_page(&soak(0, 0)).files.is_empty());
    }
}
