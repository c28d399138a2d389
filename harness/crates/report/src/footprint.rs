//! What servers need of memory and the like: one table with a row for each figure, and one chart.

use record::figure::{self, Figure, Scope, Unit};
use record::{FOOTPRINT_FILE, Footprints, ServerFootprint};
use words::{grouped, listed};

use super::chart;
use super::grid::Grid;
use super::markdown::Illustrated;
use super::number::{ABSENT, mebibytes, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The table for a terminal.
pub fn footprint_lines(footprints: &Footprints, colour: Colour) -> String {
    terminal::blocks(blocks(footprints), colour)
}

/// The same in Markdown with the chart, which is a file beside it.
pub fn footprint_page(footprints: &Footprints) -> Illustrated {
    let mut blocks = blocks(footprints);
    let mut files = Vec::new();
    if let Some(chart) = chart::footprint(footprints) {
        let name = format!("{}.svg", FOOTPRINT_FILE.trim_end_matches(".json"));
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

fn blocks(footprints: &Footprints) -> Vec<Block> {
    let mut blocks = vec![Block::Heading("Footprint".into())];
    blocks.extend(table(footprints));
    blocks.push(Block::Text(about(footprints)));
    let notes = notes(footprints);
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

/// A row for each figure that any server has, and a column for each server.
fn table(footprints: &Footprints) -> Option<Block> {
    let servers = &footprints.servers;
    let mut rows = Vec::new();
    let mut row = |head: String, figure: &Figure, of: &dyn Fn(&ServerFootprint) -> Option<f64>| {
        let values: Vec<Option<f64>> = servers.iter().map(of).collect();
        if values.iter().any(Option::is_some) {
            let shown = |value: &Option<f64>| {
                value.map_or_else(|| ABSENT.to_owned(), |value| footprint_shown(figure, value))
            };
            rows.push([head].into_iter().chain(values.iter().map(shown)).collect());
        }
    };
    let own = |of_build: bool| {
        let all = figure::FOOTPRINT.iter();
        all.filter(move |figure| (figure.scope == Scope::Build) == of_build)
    };
    let whole = |server: &ServerFootprint, id: &str| server.figures.get(id).copied();
    for figure in own(false) {
        row(figure.head.to_owned(), figure, &|server| {
            whole(server, figure.id)
        });
    }
    for step in [0].into_iter().chain(footprints.steps()) {
        for figure in figure::FOOTPRINT_OPEN {
            let head = format!("{} open: {}", grouped(step), figure.head);
            row(head, figure, &|server| server.with_open(step, figure.id));
        }
    }
    for figure in own(true) {
        row(figure.head.to_owned(), figure, &|server| {
            whole(server, figure.id)
        });
    }
    if rows.is_empty() {
        return None;
    }
    let names = servers.iter().map(|server| server.display.as_str());
    let head: Vec<&str> = ["figure"].into_iter().chain(names).collect();
    let grid = Grid::fitting(&head, &head, 1, rows);
    Some(match grid.fits() {
        true => Block::Table(grid),
        false => Block::WideTable(grid),
    })
}

/// A value in the unit that the figure's heading names.
fn footprint_shown(figure: &Figure, value: f64) -> String {
    match (figure.unit(), figure.id) {
        (Unit::Bytes, id) if id.starts_with("connection_") => {
            significant(value.round(), figure.digits)
        }
        (Unit::Bytes, id) if id.contains("_growth_") => significant(value / 1024.0, figure.digits),
        (Unit::Bytes, _) => mebibytes(value),
        (Unit::One, _) if value.fract() == 0.0 => grouped(value),
        _ => significant(value, figure.digits),
    }
}

/// How it was measured, and what the figures can't tell.
fn about(footprints: &Footprints) -> String {
    let requests = grouped(footprints.requests);
    format!(
        "{}, {}. Loads: `{}`, {requests} requests over {}, after a warm-up. Memory is resident \
         (RSS) and includes the binary, most of which other processes can share. Open connections are idle, each after \
         one answered request. The kernel's own memory for a connection, other than its buffers, is in no figure.",
        words::counted(u64::from(footprints.starts), "start"),
        words::counted(footprints.workers as u64, "worker"),
        footprints.workload,
        words::counted(footprints.connections as u64, "connection"),
    )
}

/// Failures, and why figures are absent, each reason once.
fn notes(footprints: &Footprints) -> Vec<String> {
    let mut notes = Vec::new();
    for server in &footprints.servers {
        let name = &server.display;
        if let Some(failure) = &server.failure {
            notes.push(format!(
                "{name}: failed to {}: {}",
                failure.step.verb(),
                failure.reason
            ));
        }
        for open in &server.open {
            if let Some(why) = &open.refused {
                let step = grouped(open.connections);
                notes.push(format!(
                    "{name}: no figures at {step} open connections: {why}"
                ));
            }
        }
    }
    // Reason, figures, servers.
    let mut absent: Vec<(&str, Vec<&str>, Vec<&str>)> = Vec::new();
    let all = footprints.servers.iter();
    for (server, (id, why)) in all.flat_map(|s| s.absent.iter().map(move |one| (s, one))) {
        let label = figure::footprint(id).map_or(id.as_str(), |figure| figure.name);
        let place = absent.iter().position(|(known, ..)| known == why);
        let place = place.unwrap_or_else(|| {
            absent.push((why, Vec::new(), Vec::new()));
            absent.len() - 1
        });
        let (_, labels, names) = &mut absent[place];
        for (list, name) in [(labels, label), (names, server.display.as_str())] {
            if !list.contains(&name) {
                list.push(name);
            }
        }
    }
    notes.extend(
        absent.into_iter().map(|(why, labels, names)| {
            format!("{}: no {}: {why}", listed(&names), listed(&labels))
        }),
    );
    notes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use record::OpenConnections;

    use super::*;

    fn footprints() -> Footprints {
        let mib = f64::from(1 << 20);
        let open = |connections: u64, bytes: f64| OpenConnections {
            connections,
            figures: BTreeMap::from([
                ("rss_bytes".to_owned(), bytes),
                ("connection_bytes".to_owned(), 12_345.6),
                ("threads".to_owned(), 1_234.0),
            ]),
            refused: None,
        };
        let server = |name: &str| ServerFootprint {
            name: name.to_owned(),
            display: name.to_owned(),
            figures: BTreeMap::from([
                ("start_p50_ms".to_owned(), 2.345),
                ("rss_growth_per_100k_requests_bytes".to_owned(), -2048.0),
                ("glue_lines".to_owned(), 1_234.0),
            ]),
            open: vec![open(0, 3.0 * mib), open(100, 5.0 * mib)],
            ..ServerFootprint::default()
        };
        let refused = OpenConnections {
            connections: 5_000,
            refused: Some("it closed 7".to_owned()),
            ..OpenConnections::default()
        };
        let mut second = server("second");
        second.open.push(refused);
        second.figures.remove("glue_lines");
        for id in ["glue_lines", "dependencies"] {
            second
                .absent
                .insert(id.to_owned(), "it is another's".to_owned());
        }
        Footprints {
            head: record::Head::default(),
            workload: "mixed".to_owned(),
            workers: 1,
            starts: 20,
            requests: 50_000,
            connections: 64,
            rest_ms: 10_000,
            seed: 1,
            servers: vec![server("first"), second],
        }
    }

    #[test]
    fn each_figure_is_shown_in_the_unit_of_its_heading() {
        let text = footprint_lines(&footprints(), Colour::Never);
        for row in [
            "| figure                     |",
            "| start p50, ms              |  2.35 |   2.35 |",
            "| growth/100k requests, KiB  | -2.00 |  -2.00 |",
            "| 100 open: memory, MiB      |  5.00 |   5.00 |",
            "| 100 open: B per connection | 12,300 |",
            "| 100 open: threads          | 1,234 |",
            "| lines of glue code         | 1,234 |      – |",
        ] {
            let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(plain(&text).contains(&plain(row)), "{row}\n{text}");
        }
        assert!(text.contains("second: no figures at 5,000 open connections: it closed 7"));
        let why = "second: no dependencies and lines of glue code: it is another's";
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("clean build"), "nobody has it: {text}");
    }

    #[test]
    fn the_page_names_its_chart() {
        let page = footprint_page(&footprints());
        assert!(page.text.contains("](<footprint.svg>)"), "{}", page.text);
        let [(name, svg)] = &page.files[..] else {
            panic!("{:?}", page.files)
        };
        assert_eq!(name, "footprint.svg");
        for words in [
            "first",
            "second",
            "open connections",
            "0: 3.00 MiB, 100: 5.00 MiB",
        ] {
            assert!(svg.contains(words), "{words} is not in {svg}");
        }
    }

    #[test]
    fn servers_without_figures_have_no_chart() {
        let mut none = footprints();
        none.servers.truncate(1);
        none.servers[0].open.clear();
        none.servers[0].figures.clear();
        let page = footprint_page(&none);
        assert!(
            page.files.is_empty() && !page.text.contains("!["),
            "{}",
            page.text
        );
    }
}
