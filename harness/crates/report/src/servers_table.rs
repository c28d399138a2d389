//! The table of servers: version, memory and start-up.

use record::figure::{self, Figure};
use record::{BUILD_MARK, Record, ServerRow, Summary, Verdict, base_name, is_control};

use super::figure::of_server;
use super::grid::Grid;
use super::notes::Notes;
use super::number::ABSENT;
use super::page::Block;

/// The columns before the figures.
const WORDS: [&str; 4] = ["server", "version", "class", "checks"];

const CAPTION: &str = "Medians over all trials: resident memory (RSS) when idle and its peak under \
    load (MiB), time from spawn to the first valid response (ms), and latency of the first request \
    (µs). Size of the binary without symbols (MiB). Requests lost when the server was stopped, of \
    those that had arrived: the mean over five stops.";

/// Lines of a log to show.
const LOG_LINES: usize = 8;

/// Title, caption, table, and the logs of failed servers.
pub(super) fn blocks(record: &Record, summary: &Summary, notes: &mut Notes) -> Vec<Block> {
    let servers = in_order(&summary.servers);
    let rows: Vec<_> = servers.iter().map(|row| line(row, notes)).collect();
    let head = |text: fn(&Figure) -> &'static str| -> Vec<&str> {
        let figures = figure::of_servers().map(text);
        WORDS.into_iter().chain(figures).collect()
    };
    let (whole, short) = (head(|figure| figure.head), head(|figure| figure.short));
    let mut blocks = vec![
        Block::Heading("Servers".into()),
        Block::Text(CAPTION.into()),
        Block::Table(Grid::fitting(&whole, &short, 3, rows)),
    ];
    for row in servers {
        blocks.extend(log(record, row));
    }
    blocks
}

/// In the given order, but with other builds and twins below their server, and the control last.
pub(super) fn in_order(rows: &[ServerRow]) -> Vec<&ServerRow> {
    let place = |name: &str| rows.iter().position(|row| row.server == name);
    let mut ordered: Vec<&ServerRow> = rows.iter().collect();
    ordered.sort_by_key(|row| {
        let first = base_name(&row.server);
        let server = first.split(BUILD_MARK).next().unwrap_or(first);
        let root = place(server).or(place(first));
        (
            is_control(&row.server),
            root,
            server != first,
            place(first),
            first != row.server,
        )
    });
    ordered
}

fn line(row: &ServerRow, notes: &mut Notes) -> Vec<String> {
    let checks = match (row.checks_passed, row.checks_total) {
        (Some(passed), Some(total)) => format!("{passed}/{total}"),
        _ => ABSENT.into(),
    };
    let version = row.version.clone().filter(|version| !version.is_empty());
    let mut cells = vec![
        name(row, notes),
        version.unwrap_or_else(|| ABSENT.into()),
        row.class.clone(),
        checks,
    ];
    let figures = row.with_build();
    cells.extend(figure::of_servers().map(|figure| of_server(row, figure, figures.get(figure.id))));
    cells
}

/// With a mark if it failed; reasons of its rows are shown with the rows.
fn name(row: &ServerRow, notes: &mut Notes) -> String {
    if row.verdict != Verdict::Failed {
        return row.display.clone();
    }
    let marks = row.reasons.iter().map(|reason| notes.mark(reason, ""));
    let marks: Vec<String> = marks.collect();
    format!("{} {}", row.display, marks.join(" "))
        .trim_end()
        .to_owned()
}

fn log(record: &Record, row: &ServerRow) -> Vec<Block> {
    match log_end(record, row) {
        Some(end) => vec![
            Block::Text(format!("The end of the log of {}:", row.display)),
            Block::Log(end),
        ],
        None => vec![],
    }
}

/// The end of a failed server's log, from its first failure that has one.
pub(super) fn log_end(record: &Record, row: &ServerRow) -> Option<Vec<String>> {
    let before_trials = record.servers.iter().find(|s| s.name == row.server);
    let under_load = record
        .trials
        .iter()
        .filter(|trial| trial.server == row.server);
    let failure = before_trials
        .and_then(|server| server.failure.as_ref())
        .into_iter()
        .chain(under_load.filter_map(|trial| trial.failure.as_ref()))
        .find(|failure| !failure.log_tail.trim().is_empty())?;
    let all: Vec<_> = failure
        .log_tail
        .trim_end()
        .lines()
        .map(str::to_owned)
        .collect();
    Some(all[all.len().saturating_sub(LOG_LINES)..].to_vec())
}
