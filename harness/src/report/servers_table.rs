//! The table of the servers: what they are, what they hold and how they start.

use crate::record::{Estimate, Record, ServerRow, Summary, Verdict};

use super::grid::{Align, Grid};
use super::number::{ABSENT, mebibytes, significant, uncertainty};
use super::page::{Block, Footnotes};

const HEAD: [&str; 9] = [
    "server",
    "version",
    "class",
    "checks",
    "RSS idle MiB",
    "RSS load MiB",
    "start ms",
    "1st req µs",
    "binary MiB",
];

/// Where the table would be too wide; the caption says of what.
const SHORT_HEAD: [&str; 9] = [
    "server", "version", "class", "checks", "idle MiB", "load MiB", "start ms", "1st µs", "bin MiB",
];

const CAPTION: &str = "Resident memory (RSS) idle and at its highest under load, over all trials; time from spawn to \
    the first valid answer; latency of the first request; size of the binary without symbols.";

/// Lines of a log that are shown.
const LOG_LINES: usize = 8;

/// Title, caption, table, footnotes, and the logs of what failed.
pub(super) fn blocks(record: &Record, summary: &Summary) -> Vec<Block> {
    let mut notes = Footnotes::default();
    let rows: Vec<_> = summary
        .servers
        .iter()
        .flat_map(|row| lines(row, &mut notes))
        .collect();
    let mut blocks = vec![
        Block::Heading("Servers".into()),
        Block::Text(CAPTION.into()),
        Block::Table(grid(rows)),
    ];
    blocks.extend(notes.block());
    for row in &summary.servers {
        blocks.extend(log(record, row));
    }
    blocks
}

fn grid(rows: Vec<Vec<String>>) -> Grid {
    let with = |head: [&'static str; 9], rows| Grid {
        head: (0..)
            .zip(head)
            .map(|(i, text)| (text, if i < 3 { Align::Left } else { Align::Right }))
            .collect(),
        rows,
    };
    let table = with(HEAD, rows);
    if table.fits() {
        table
    } else {
        with(SHORT_HEAD, table.rows)
    }
}

fn lines(row: &ServerRow, notes: &mut Footnotes) -> [Vec<String>; 2] {
    let checks = match (row.checks_passed, row.checks_total) {
        (Some(passed), Some(total)) => format!("{passed}/{total}"),
        _ => ABSENT.into(),
    };
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let binary = row
        .stripped_bytes
        .map_or_else(|| ABSENT.to_owned(), |b| mebibytes(b as f64));
    let cells = [
        cell(row, "rss_idle_bytes", mebibytes),
        cell(row, "rss_peak_bytes", mebibytes),
        cell(row, "start_ms", |ms| significant(ms, 3)),
        cell(row, "first_request_us", |us| significant(us, 3)),
    ];
    let (figures, intervals): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
    let version = row.version.clone().filter(|version| !version.is_empty());
    let words = vec![
        row.display.clone(),
        version.unwrap_or_else(|| ABSENT.into()),
        row.class.clone(),
        checks,
    ];
    let below = vec![
        verdict_cell(row, notes),
        String::new(),
        String::new(),
        String::new(),
    ];
    [
        [words, figures, vec![binary]].concat(),
        [below, intervals, vec![String::new()]].concat(),
    ]
}

fn verdict_cell(row: &ServerRow, notes: &mut Footnotes) -> String {
    match (row.verdict, row.reasons.as_slice()) {
        (Verdict::Ok, []) => String::new(),
        (Verdict::Ok, reasons) => format!("note {}", notes.mark(reasons.join("; "))),
        (verdict, []) => format!(
            "{} {}",
            verdict.name(),
            notes.mark("no reason was recorded".into())
        ),
        (verdict, reasons) => format!("{} {}", verdict.name(), notes.mark(reasons.join("; "))),
    }
}

fn cell(row: &ServerRow, figure: &str, shown: fn(f64) -> String) -> (String, String) {
    let both = |estimate: &Estimate| (shown(estimate.median), uncertainty(estimate));
    row.figures
        .get(figure)
        .map_or_else(|| (ABSENT.into(), String::new()), both)
}

/// The end of the log of a server that failed, from its first failure that has one.
fn log(record: &Record, row: &ServerRow) -> Vec<Block> {
    let before_trials = record.servers.iter().find(|s| s.name == row.server);
    let under_load = record
        .trials
        .iter()
        .filter(|trial| trial.server == row.server);
    let failure = before_trials
        .and_then(|server| server.failure.as_ref())
        .into_iter()
        .chain(under_load.filter_map(|trial| trial.failure.as_ref()))
        .find(|failure| !failure.log_tail.trim().is_empty());
    let Some(failure) = failure else {
        return vec![];
    };
    let all: Vec<_> = failure
        .log_tail
        .trim_end()
        .lines()
        .map(str::to_owned)
        .collect();
    let end = all[all.len().saturating_sub(LOG_LINES)..].to_vec();
    vec![
        Block::Text(format!("The end of the log of {}:", row.display)),
        Block::Log(end),
    ]
}
