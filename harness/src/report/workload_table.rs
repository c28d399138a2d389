//! The table of one workload: rank, throughput, cost and latency of each server.

use crate::catalog::Stage;
use crate::record::{EntryKind, Ranking, Record, Row, Summary, Verdict};
use crate::words::counted;

use super::grid::Grid;
use super::number::{ABSENT, significant, uncertainty};
use super::page::{Block, Footnotes};

const HEAD: [&str; 9] = [
    "#",
    "server",
    "peak req/s",
    "CPU µs/req",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "TTFB p99 µs",
    "jitter µs",
];

/// Where names are long.
const SHORT_HEAD: [&str; 9] = [
    "#",
    "server",
    "req/s",
    "CPU µs/req",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "TTFB99 µs",
    "jitter µs",
];

/// Figures of the paced stage, in the order of the columns.
pub(super) const LATENCIES: [&str; 5] = [
    "latency_p50_us",
    "latency_p99_us",
    "latency_p999_us",
    "first_byte_p99_us",
    "jitter_us",
];

/// What the control's rows are.
const CONTROL_IS: &str = "not a server: the harness's own responder, which replays accepted answers, to show how much \
    the load generator can ask for and, by its two entries, how far noise moves a figure; it has no rank";

/// Those that have a ranking first, then any others.
pub(super) fn workloads(summary: &Summary) -> Vec<&str> {
    let ranked = summary.rankings.iter().map(|r| r.workload.as_str());
    let mut names = Vec::new();
    for name in ranked.chain(summary.rows.iter().map(|r| r.workload.as_str())) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Title, caption, table and footnotes of a workload.
pub(super) fn blocks(record: &Record, summary: &Summary, workload: &str) -> Vec<Block> {
    let entries = entries(summary, workload);
    let paced = entries.iter().any(|entry| entry.paced.is_some());
    let ranking = summary.rankings.iter().find(|r| r.workload == workload);
    let about = record.run.workloads.get(workload);
    let title = about.map_or_else(
        || workload.to_owned(),
        |about| format!("{workload}: {about}"),
    );
    let mut notes = Footnotes::default();
    let rows = entries
        .iter()
        .flat_map(|entry| entry.lines(paced, &mut notes));
    let table = Grid::fitting(HEAD, SHORT_HEAD, 2, rows.collect());
    let mut blocks = vec![Block::Heading(title)];
    blocks.extend(ranking.map(|ranking| {
        let engine = record.run.engine.remark();
        Block::Text(caption(ranking, &engine, &entries, paced))
    }));
    blocks.push(Block::Table(table));
    blocks.extend(notes.block());
    let whole = ranking.map_or(&[][..], |ranking| &ranking.notes);
    if !whole.is_empty() {
        blocks.push(Block::Notes(whole.to_vec()));
    }
    blocks
}

/// What ranks go by, and under which load.
pub(super) fn caption(
    ranking: &Ranking,
    engine: &str,
    entries: &[Entry<'_>],
    paced: bool,
) -> String {
    let load = match (paced, ranking.rate_per_s) {
        (true, Some(rate)) => format!(
            "latency and CPU at {} req/s, the same for every server",
            significant(rate, 5)
        ),
        (true, None) => "latency and CPU at a paced rate that was not recorded".into(),
        (false, _) => "CPU at peak; no paced stage was run, so there is no latency".into(),
    };
    let figure = match ranking.ranked_by.as_str() {
        "requests_per_s" => "requests per second",
        "cpu_us_per_request" => "CPU time per request",
        other => other,
    };
    let ranked = if entries.iter().any(|entry| entry.rank().is_some()) {
        format!("Ranked by {figure} ({})", ranking.stage)
    } else {
        "Not ranked".into()
    };
    format!(
        "{}{engine}; {load}. {ranked}: {}.",
        counted(ranking.connections, "connection"),
        ranking.reason.trim_end_matches('.')
    )
}

/// A server's rows of one workload.
pub(super) struct Entry<'a> {
    pub(super) server: &'a str,
    display: &'a str,
    peak: Option<&'a Row>,
    paced: Option<&'a Row>,
}

/// By rank; what has none behind, in the order given; what failed behind that. The control
/// is last, for it is no server.
pub(super) fn entries<'a>(summary: &'a Summary, workload: &str) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for row in summary.rows.iter().filter(|row| row.workload == workload) {
        let known = entries.iter().position(|entry| entry.server == row.server);
        let at = known.unwrap_or_else(|| {
            entries.push(Entry {
                server: &row.server,
                display: &row.display,
                peak: None,
                paced: None,
            });
            entries.len() - 1
        });
        match row.stage {
            Stage::Peak => entries[at].peak = Some(row),
            Stage::Paced => entries[at].paced = Some(row),
        }
    }
    entries.sort_by_key(|entry| {
        let rank = entry.rank().map(|rank| (rank.low, rank.high));
        let control = EntryKind::of(entry.server) == EntryKind::Control;
        let failed = entry.verdict() == Verdict::Failed;
        (control, failed, rank.is_none(), rank)
    });
    entries
}

impl<'a> Entry<'a> {
    fn rows(&self) -> impl Iterator<Item = &'a Row> {
        self.peak.into_iter().chain(self.paced)
    }

    fn rank(&self) -> Option<crate::record::RankInterval> {
        self.rows().find_map(|row| row.rank)
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.rows().map(|row| row.verdict).max().unwrap_or_default()
    }

    /// The row of figures, and that of their intervals and the verdict below it.
    fn lines(&self, paced: bool, notes: &mut Footnotes) -> [Vec<String>; 2] {
        let rank = self.rank().map_or_else(
            || ABSENT.to_owned(),
            |rank| match rank.low == rank.high {
                true => rank.low.to_string(),
                false => format!("{}–{}", rank.low, rank.high),
            },
        );
        let bound = if self.peak.is_some_and(|row| row.lower_bound) {
            "≥"
        } else {
            ""
        };
        let cost = if paced { self.paced } else { self.peak };
        let mut cells = vec![
            cell(self.peak, "requests_per_s", 4, bound),
            cell(cost, "cpu_us_per_request", 3, ""),
        ];
        cells.extend(LATENCIES.map(|figure| cell(self.paced, figure, 3, "")));
        let (figures, intervals): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
        [
            [vec![rank, self.display.to_owned()], figures].concat(),
            [vec![String::new(), self.verdict_cell(notes)], intervals].concat(),
        ]
    }

    /// As in `marked [1]`, or `marked [1] [2]` where the first tells what it is; empty where
    /// there is nothing to say.
    fn verdict_cell(&self, notes: &mut Footnotes) -> String {
        let told = self.told();
        if told.is_empty() {
            return String::new();
        }
        let marks: Vec<String> = told.into_iter().map(|text| notes.mark(text)).collect();
        format!("{} {}", self.verdict_word(), marks.join(" "))
    }

    /// What stands before the notes: `marked`, `failed`, or `note` where the row is sound.
    pub(super) fn verdict_word(&self) -> &'static str {
        match self.verdict() {
            Verdict::Ok => "note",
            other => other.name(),
        }
    }

    /// What it is, if it is no server of its own, and why it is marked or failed: a note each.
    pub(super) fn told(&self) -> Vec<String> {
        let reasons = match (self.verdict(), self.reasons()) {
            (Verdict::Marked | Verdict::Failed, reasons) if reasons.is_empty() => {
                "no reason was recorded".to_owned()
            }
            (_, reasons) => reasons,
        };
        let told = [self.what_it_is(), reasons].into_iter();
        told.filter(|text| !text.is_empty()).collect()
    }

    /// What a reader must know of an entry that is no server of its own.
    fn what_it_is(&self) -> String {
        match EntryKind::of(self.server) {
            EntryKind::Server => String::new(),
            EntryKind::Control => CONTROL_IS.to_owned(),
            EntryKind::Twin(first) => format!(
                "the second entry of {first}, the same program: what differs between the two is noise"
            ),
            EntryKind::Build(server) => format!("another build of {server}"),
        }
    }

    /// Named by their stage, unless they hold for both alike.
    fn reasons(&self) -> String {
        let joined = |row: &Row| row.reasons.join("; ");
        if let (Some(peak), Some(paced)) = (self.peak, self.paced)
            && peak.reasons == paced.reasons
        {
            return joined(peak);
        }
        let with_reasons = self.rows().filter(|row| !row.reasons.is_empty());
        let named: Vec<_> = with_reasons
            .map(|row| format!("{}: {}", row.stage, joined(row)))
            .collect();
        named.join("; ")
    }
}

/// A figure and its interval; a failed row's figures are not for comparing and not shown.
fn cell(row: Option<&Row>, figure: &str, digits: i32, prefix: &str) -> (String, String) {
    let sound = row.filter(|row| row.verdict != Verdict::Failed);
    match sound.and_then(|row| row.figures.get(figure)) {
        Some(estimate) => (
            format!("{prefix}{}", significant(estimate.median, digits)),
            uncertainty(estimate),
        ),
        None => (ABSENT.into(), String::new()),
    }
}
