//! Microbenchmarks: a table per topic, and what its figures can't tell.

use record::{Environment, Microbench, Microbenches};
use words::{counted, listed};

use super::grid::Grid;
use super::number::{ABSENT, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// The tables for a terminal.
pub fn microbench_lines(micro: &Microbenches, colour: Colour) -> String {
    terminal::blocks(blocks(micro), colour)
}

/// The same in Markdown.
pub fn microbench_page(micro: &Microbenches) -> String {
    super::markdown::blocks(blocks(micro))
}

/// A table for each topic; then the machine, what the figures are, and what is absent.
pub(super) fn blocks(micro: &Microbenches) -> Vec<Block> {
    let mut blocks = Vec::new();
    for topic in micro.topics() {
        blocks.push(Block::Heading(format!("{topic}, ns")));
        blocks.push(Block::Table(table(micro, topic)));
        blocks.extend(growth(micro, topic).map(Block::Text));
    }
    blocks.push(Block::Text(about(micro)));
    let notes = absences(micro);
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

fn table(micro: &Microbenches, topic: &str) -> Grid {
    let cases = micro.cases(topic);
    let mut subjects = micro.subjects(topic);
    // By the first case; what lacks it comes last.
    let first = |subject: &str| {
        let bench = cases
            .first()
            .and_then(|case| micro.bench(topic, subject, case));
        bench.map_or(f64::INFINITY, |bench| bench.median_ns.value)
    };
    subjects.sort_by(|one, other| first(one).total_cmp(&first(other)));
    let rows = subjects.iter().map(|subject| {
        let cell = |case: &&str| {
            let bench = micro.bench(topic, subject, case);
            bench.map_or_else(|| ABSENT.to_owned(), time)
        };
        let mut row = vec![micro.shown(subject).to_owned()];
        row.extend(cases.iter().map(cell));
        row
    });
    let rows = rows.collect();
    let of_servers = micro
        .servers
        .iter()
        .any(|server| subjects.contains(&server.name.as_str()));
    let mut head = vec![if of_servers { "server" } else { "variant" }];
    head.extend(&cases);
    Grid::fitting(&head, &head, 1, rows)
}

fn time(bench: &Microbench) -> String {
    significant(bench.median_ns.value, 3)
}

/// Where the cases are counts: what each further one takes, from the lowest count to the highest.
fn growth(micro: &Microbenches, topic: &str) -> Option<String> {
    let cases = micro.cases(topic);
    let counts: Option<Vec<f64>> = cases.iter().map(|case| case.parse().ok()).collect();
    let counts = counts.filter(|counts| counts.len() > 1)?;
    let (few, many) = (0, counts.len() - 1);
    let each = |subject: &str| {
        let of = |index: usize| Some(micro.bench(topic, subject, cases[index])?.median_ns.value);
        let each = (of(many)? - of(few)?) / (counts[many] - counts[few]);
        // Below a tenth of a nanosecond it is noise.
        let each = if each.abs() < 0.1 { 0.0 } else { each };
        Some(format!("{} {}", micro.shown(subject), significant(each, 2)))
    };
    let subjects = micro.subjects(topic);
    let all: Vec<String> = subjects.into_iter().filter_map(each).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    (!all.is_empty()).then(|| format!("Each further one takes, in ns: {}.", listed(&all)))
}

/// The machine, how it was measured, and what the figures can't tell.
fn about(micro: &Microbenches) -> String {
    let spread = micro.benches.iter().map(Microbench::spread);
    let spread = spread
        .max_by(f64::total_cmp)
        .map_or_else(String::new, |widest| {
            format!(
                " The widest 95 % interval is ±{} %.",
                significant(widest * 100.0, 2)
            )
        });
    let revision = micro
        .head
        .revision
        .iter()
        .map(|name| format!(", at revision {name}"));
    let revision: String = revision.collect();
    format!(
        "Medians measured by criterion on {}, {}{revision}.{spread} Without a socket, a kernel or a second request at the \
         same time, and with everything in the processor's caches: they show where a server's own time goes, not \
         how fast it serves.",
        machine(&micro.environment),
        micro
            .head
            .started_at
            .get(..10)
            .unwrap_or(&micro.head.started_at),
    )
}

fn machine(machine: &Environment) -> String {
    let kind = machine
        .virtualisation
        .iter()
        .map(|kind| format!(", {kind}"));
    format!(
        "{} with {}{}, Linux {}, {}",
        machine.cpu_model,
        counted(machine.logical_cpus, "logical CPU"),
        kind.collect::<String>(),
        machine.kernel,
        machine.rustc,
    )
}

/// Failures, and what – means.
fn absences(micro: &Microbenches) -> Vec<String> {
    let failed = micro.failures.iter();
    let mut notes: Vec<String> = failed
        .map(|failed| format!("{}: {}", failed.package, failed.failure.reason))
        .collect();
    let lacking = micro.topics().into_iter().any(|topic| {
        let cases = micro.cases(topic);
        let lacks = |subject| {
            cases
                .iter()
                .any(|case| micro.bench(topic, subject, case).is_none())
        };
        micro.subjects(topic).into_iter().any(lacks)
    });
    if lacking {
        notes.push(format!(
            "{ABSENT}: not measured, because the framework can't be called without a socket or has no such part"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use record::{BenchTime, BenchedServer};

    use super::*;

    fn sample() -> Microbenches {
        let bench = |topic: &str, subject: &str, case: &str, value: f64| Microbench {
            topic: topic.into(),
            subject: subject.into(),
            case: case.into(),
            operations: 1,
            mean_ns: BenchTime {
                value,
                low: value,
                high: value,
            },
            median_ns: BenchTime {
                value,
                low: value * 0.99,
                high: value * 1.02,
            },
        };
        let server = |name: &str, display: &str| BenchedServer {
            name: name.into(),
            display: display.into(),
            version: None,
        };
        Microbenches {
            head: record::Head {
                id: "20261130T040000Z-27e952f-microbench".into(),
                started_at: "2026-11-30T04:00:00Z".into(),
                harness_version: "0.1.0".into(),
                ..record::Head::of::<Microbenches>()
            },
            environment: Environment {
                cpu_model: "Some CPU".into(),
                logical_cpus: 2,
                kernel: "6.1".into(),
                rustc: "rustc 1.95.0".into(),
                ..Environment::default()
            },
            servers: vec![
                server("slow", "Slow one"),
                server("fast", "fast"),
                server("none", "none"),
            ],
            benches: vec![
                bench("routes", "slow", "6", 900.0),
                bench("routes", "slow", "200", 1_870.0),
                bench("routes", "fast", "6", 123.4),
                bench("JSON", "a library", "users/1", 55.0),
            ],
            failures: Vec::new(),
        }
    }

    #[test]
    fn what_is_missing_is_shown_as_a_dash() {
        let text = microbench_page(&sample());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        let cells = |row: &str| -> Vec<String> {
            row.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        };
        let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
        assert_eq!(rows[0], ["server", "6", "200"]);
        assert_eq!(rows[2], ["fast", "123", "–"]);
        assert_eq!(rows[3], ["Slow one", "900", "1,870"]);
        assert_eq!(rows[4], ["none", "–", "–"]);
        // No server is a row of this one, so none is missing in it.
        assert_eq!(rows[5], ["variant", "users/1"]);
        assert_eq!(rows[7], ["a library", "55.0"]);
        assert_eq!(rows.len(), 8);
        assert!(text.contains("–: not measured"), "{text}");
        assert!(text.contains("in ns: Slow one 5.0."), "{text}");
    }

    #[test]
    fn the_machine_is_named() {
        // Paragraphs are wrapped.
        let text = microbench_page(&sample()).replace('\n', " ");
        assert!(
            text.contains("on Some CPU with 2 logical CPUs, Linux 6.1, rustc 1.95.0, 2026-11-30."),
            "{text}"
        );
        assert!(text.contains("±2.0 %"), "{text}");
    }
}
