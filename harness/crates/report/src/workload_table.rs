//! The table of one workload: rank, throughput, cost and latency of each server.

use catalog::Stage;
use record::figure::{self, Figure};
use record::{
    EntryKind, Environment, Estimate, NoiseFloor, RankInterval, Ranking, RatioToBest, Record, Row,
    Summary, Verdict,
};
use stats::Better;
use words::counted;

use super::chart::rank_text;
use super::figure::{ratio_interval, shown, times};
use super::grid::{Align, Grid, distinct};
use super::notes::Notes;
use super::number::{ABSENT, significant};
use super::page::Block;

/// How much a table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Fits a terminal: the ratio to the best for the figure ranked by, and only the value of each other
    /// figure.
    Narrow,
    /// The ratio to the best, and its interval, for every figure.
    Wide,
}

/// Explains the control's rows.
fn control_is(environment: &Environment) -> String {
    let replays = environment.control().map_or(String::new(), |finding| {
        format!(", which {}", finding.found)
    });
    format!(
        "not a server: the harness's own responder{replays}. It shows what the load generator can \
         reach, and its two entries show the noise of a figure; it has no rank"
    )
}

/// Workloads with a ranking first, then any others.
pub(super) fn workloads(summary: &Summary) -> Vec<&str> {
    let ranked = summary.rankings.iter().map(|r| r.workload.as_str());
    distinct(ranked.chain(summary.rows.iter().map(|r| r.workload.as_str())))
}

/// The ranking of a workload, if it has one.
pub(super) fn ranking<'a>(summary: &'a Summary, workload: &str) -> Option<&'a Ranking> {
    let mut rankings = summary.rankings.iter();
    rankings.find(|ranking| ranking.workload == workload)
}

/// A column of figures.
pub(super) struct FigureColumn {
    pub(super) figure: &'static Figure,
    pub(super) stage: Stage,
}

/// All columns, but wide ones without a value: runs of older versions lack some. Without a paced stage, cost is that at
/// peak.
pub(super) fn columns<'a>(paced: bool, rows: impl Iterator<Item = &'a Row>) -> Vec<FigureColumn> {
    let rows: Vec<&Row> = rows.collect();
    let column = |figure: &'static Figure| FigureColumn {
        figure,
        stage: match figure.table {
            stages if !paced && stages.contains(&Stage::Peak) => Stage::Peak,
            stages => stages[0],
        },
    };
    let shown = |column: &FigureColumn| {
        let has =
            |row: &&Row| row.stage == column.stage && row.figures.contains_key(column.figure.id);
        !column.figure.wide || rows.iter().any(has)
    };
    figure::of_table().map(column).filter(shown).collect()
}

/// Title, caption and table of a workload.
pub(super) fn blocks(
    record: &Record,
    summary: &Summary,
    workload: &str,
    layout: Layout,
    notes: &mut Notes,
) -> Vec<Block> {
    let entries = entries(summary, workload);
    let paced = entries.iter().any(|entry| entry.paced.is_some());
    let ranked = entries.iter().any(|entry| entry.rank().is_some());
    let ranking = ranking(summary, workload);
    let about = record.run.workloads.get(workload);
    let title = about.map_or_else(
        || workload.to_owned(),
        |about| format!("{workload}: {about}"),
    );
    let mut blocks = vec![Block::Heading(title)];
    let mut columns = columns(paced, entries.iter().flat_map(WorkloadEntry::rows));
    columns.retain(|column| layout == Layout::Wide || !column.figure.wide);
    // The figure ranked by is first.
    columns.sort_by_key(|column| ranking.is_some_and(|r| r.ranked_by != column.figure.id));
    let caption = ranking.map(|ranking| {
        let engine = record.run.engine.remark();
        let notes = &mut |text: &str| notes.mark(text, workload);
        caption(ranking, &engine, ranked, paced, notes)
    });
    let named: Vec<[String; 2]> = entries
        .iter()
        .map(|entry| [rank_text(entry.rank()), entry.name(record, workload, notes)])
        .collect();
    let (grid, left_out) = match layout {
        Layout::Narrow => narrow(&named, &entries, columns),
        Layout::Wide => {
            let all = columns.len();
            let grid = grid(&named, &entries, &columns, all, |figure| figure.head);
            (grid, Vec::new())
        }
    };
    let left_out = match left_out.is_empty() {
        true => String::new(),
        false => format!(" No room for {}: see --wide.", left_out.join(", ")),
    };
    blocks.extend(caption.map(|caption| Block::Text(caption + &left_out)));
    blocks.push(match layout {
        Layout::Narrow => Block::Table(grid),
        Layout::Wide => Block::WideTable(grid),
    });
    blocks
}

/// Rank, server, the figure ranked by with its ratio to the best, and the value of each other figure. If long
/// names leave too little room, the last figures are left out and returned.
fn narrow(
    named: &[[String; 2]],
    entries: &[WorkloadEntry<'_>],
    mut columns: Vec<FigureColumn>,
) -> (Grid, Vec<&'static str>) {
    let whole = grid(named, entries, &columns, 1, |figure| figure.head);
    if whole.fits() {
        return (whole, Vec::new());
    }
    let mut left_out = Vec::new();
    loop {
        let short = grid(named, entries, &columns, 1, |figure| figure.short);
        if short.fits() || columns.len() <= 4 {
            return (short, left_out);
        }
        left_out.extend(columns.pop().map(|column| column.figure.short));
    }
}

/// A table of these columns, the first of which also have the ratio to the best.
fn grid(
    named: &[[String; 2]],
    entries: &[WorkloadEntry<'_>],
    columns: &[FigureColumn],
    with_ratio: usize,
    text: fn(&Figure) -> &'static str,
) -> Grid {
    let mut head = vec![("#", Align::Left), ("server", Align::Left)];
    let mut rows: Vec<Vec<String>> = named.iter().map(|named| named.to_vec()).collect();
    for (place, column) in columns.iter().enumerate() {
        let ratio = place < with_ratio;
        head.push((text(column.figure), Align::Right));
        if ratio {
            head.extend([("× best", Align::Right), ("95 %", Align::Right)]);
        }
        for (row, entry) in rows.iter_mut().zip(entries) {
            row.push(entry.value(column));
            if ratio {
                row.extend(entry.ratio_cells(column));
            }
        }
    }
    Grid::new(head, rows)
}

/// The figure ranked by, and the load. `note` returns the mark of a text that is shown once below all tables.
pub(super) fn caption(
    ranking: &Ranking,
    engine: &str,
    ranked: bool,
    paced: bool,
    note: &mut dyn FnMut(&str) -> String,
) -> String {
    let load = match (paced, ranking.rate_per_s) {
        (true, Some(rate)) => format!(
            "latency and CPU at {} req/s, the same for every server",
            significant(rate, 5)
        ),
        (true, None) => "latency and CPU at a paced rate that was not recorded".into(),
        (false, _) => "CPU at peak; no latency without a paced stage".into(),
    };
    let figure = figure::name(&ranking.ranked_by);
    let why = note(ranking.reason.trim_end_matches('.'));
    let ranked = if ranked {
        let ties = ranking.noise_floor.as_ref().map(ties).unwrap_or_default();
        format!("Ranked by {figure} ({}) {why}{ties}", ranking.stage)
    } else {
        format!("Not ranked {why}")
    };
    let more: Vec<String> = ranking.notes.iter().map(|text| note(text)).collect();
    let more = match more.is_empty() {
        true => String::new(),
        false => format!(" See {}.", more.join(" ")),
    };
    format!(
        "{}{engine}; {load}. {ranked}.{more}",
        counted(ranking.connections, "connection"),
    )
}

/// Which differences are ties.
fn ties(floor: &NoiseFloor) -> String {
    let assumed = match floor.pairs.is_empty() {
        true => " (assumed: nothing was entered twice)",
        false => "",
    };
    format!(
        "; differences below the noise floor of {:.1} % are ties{assumed}",
        floor.delta * 100.0
    )
}

/// A server's rows of one workload.
#[derive(Debug, Clone)]
pub(crate) struct WorkloadEntry<'a> {
    pub(super) server: &'a str,
    pub(super) display: &'a str,
    peak: Option<&'a Row>,
    paced: Option<&'a Row>,
}

/// By rank, then by their ratio to the best; then rows without a rank, then failed rows. The control is last.
pub(super) fn entries<'a>(summary: &'a Summary, workload: &str) -> Vec<WorkloadEntry<'a>> {
    let mut entries: Vec<WorkloadEntry<'a>> = Vec::new();
    for row in summary.rows.iter().filter(|row| row.workload == workload) {
        let known = entries.iter().position(|entry| entry.server == row.server);
        let at = known.unwrap_or_else(|| {
            entries.push(WorkloadEntry {
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
    if let Some(ranking) = ranking(summary, workload) {
        entries.sort_by(|a, b| a.behind(ranking).total_cmp(&b.behind(ranking)));
    }
    entries.sort_by_key(|entry| {
        let rank = entry.rank().map(|rank| (rank.low, rank.high));
        let failed = entry.verdict() == Verdict::Failed;
        (entry.is_control(), failed, rank.is_none(), rank)
    });
    entries
}

impl<'a> WorkloadEntry<'a> {
    pub(super) fn rows(&self) -> impl Iterator<Item = &'a Row> + use<'a> {
        self.peak.into_iter().chain(self.paced)
    }

    pub(super) fn is_control(&self) -> bool {
        EntryKind::of(self.server) == EntryKind::Control
    }

    pub(super) fn rank(&self) -> Option<RankInterval> {
        self.rows().find_map(|row| row.rank)
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.rows().map(|row| row.verdict).max().unwrap_or_default()
    }

    pub(super) fn row(&self, stage: Stage) -> Option<&'a Row> {
        match stage {
            Stage::Peak => self.peak,
            Stage::Paced => self.paced,
        }
    }

    /// Whether the row of a stage failed; the notes give the reason.
    pub(super) fn failed(&self, stage: Stage) -> bool {
        self.row(stage).is_some() && self.sound(stage).is_none()
    }

    /// The row of a stage, unless it failed and its figures don't count.
    pub(super) fn sound(&self, stage: Stage) -> Option<&'a Row> {
        let row = self.row(stage);
        row.filter(|row| row.verdict != Verdict::Failed)
    }

    /// A figure of a row that did not fail.
    pub(super) fn figure(&self, stage: Stage, name: &str) -> Option<&'a Estimate> {
        self.sound(stage)?.figures.get(name)
    }

    /// How a row that did not fail compares with the best in a figure.
    pub(super) fn ratio(&self, stage: Stage, name: &str) -> Option<&'a RatioToBest> {
        self.sound(stage)?.ratio_to_best.get(name)
    }

    /// Whether a figure is a lower bound, because the load generator was the limit.
    pub(super) fn is_bound(&self, stage: Stage, figure: &str) -> bool {
        figure == figure::RATE && self.sound(stage).is_some_and(|row| row.lower_bound)
    }

    /// The sign before a figure: `≥` for a lower bound, `~` if the machine caused it.
    pub(super) fn sign(&self, column: &FigureColumn) -> &'static str {
        let id = column.figure.id;
        match self.ratio(column.stage, id) {
            _ if self.is_bound(column.stage, id) => "≥",
            Some(ratio) if ratio.by_machine => "~",
            _ => "",
        }
    }

    /// How far behind the best it is in the figure ranked by, as a factor; infinite if it can't be compared.
    fn behind(&self, ranking: &Ranking) -> f64 {
        let row = self.row(ranking.stage);
        let ratio = row.and_then(|row| row.ratio_to_best.get(&ranking.ranked_by));
        match (ratio, ranking.ranked_by.as_str()) {
            // Keep its two entries in order.
            _ if self.is_control() => 0.0,
            (None, _) => f64::INFINITY,
            (Some(own), figure) => match figure::better(figure) {
                Better::Higher => 1.0 / own.ratio,
                Better::Lower => own.ratio,
            },
        }
    }

    /// As in `alder`, `alder [1]` if it has a note, or `alder failed [2]`.
    fn name(&self, record: &Record, workload: &str, notes: &mut Notes) -> String {
        let mut name = self.display.to_owned();
        if self.verdict() == Verdict::Failed {
            name.push_str(" failed");
        }
        for text in self.told(record) {
            name.push(' ');
            name.push_str(&notes.mark(&text, workload));
        }
        name
    }

    /// A figure; a failed row's figures don't count and aren't shown.
    fn value(&self, column: &FigureColumn) -> String {
        let estimate = self.figure(column.stage, column.figure.id);
        estimate.map_or_else(
            || ABSENT.to_owned(),
            |estimate| {
                let value = shown(column.figure, estimate.median);
                format!("{}{value}", self.sign(column))
            },
        )
    }

    /// The ratio to the best and its interval.
    fn ratio_cells(&self, column: &FigureColumn) -> [String; 2] {
        let row = self.row(column.stage);
        match row.and_then(|row| row.ratio_to_best.get(column.figure.id)) {
            None => [ABSENT.to_owned(), ABSENT.to_owned()],
            Some(own) if own.by_machine => ["~".to_owned(), "~".to_owned()],
            Some(own) if own.best == self.server => ["best".to_owned(), String::new()],
            Some(own) => [
                times(own.ratio),
                own.interval()
                    .map_or_else(|| ABSENT.to_owned(), ratio_interval),
            ],
        }
    }

    /// The word before the notes: `marked`, `failed`, or `note` for a row without problems.
    pub(super) fn verdict_word(&self) -> &'static str {
        match self.verdict() {
            Verdict::Ok => "note",
            other => other.name(),
        }
    }

    /// The notes: what it is, if it isn't a server, and why it is marked or failed.
    pub(super) fn told(&self, record: &Record) -> Vec<String> {
        let mut told = self.reasons();
        if told.is_empty() && self.verdict() != Verdict::Ok {
            told.push("no reason was recorded".to_owned());
        }
        let what = Some(self.what_it_is(&record.environment)).filter(|what| !what.is_empty());
        what.into_iter().chain(told).collect()
    }

    /// Explains an entry that isn't a server.
    fn what_it_is(&self, environment: &Environment) -> String {
        match EntryKind::of(self.server) {
            EntryKind::Server => String::new(),
            EntryKind::Control => control_is(environment),
            EntryKind::Twin(first) => format!(
                "the same program as {first}, entered twice: any difference between the two is noise"
            ),
            EntryKind::Build(server) => format!("another build of {server}"),
        }
    }

    /// With the stage in front, unless they apply to both.
    fn reasons(&self) -> Vec<String> {
        let of_stage = |stage| self.row(stage).map_or(&[][..], |row| &row.reasons);
        let both = |reason: &String| {
            of_stage(Stage::Peak).contains(reason) && of_stage(Stage::Paced).contains(reason)
        };
        let text = |(stage, reason): (Stage, &String)| match both(reason) {
            true => reason.clone(),
            false => format!("{stage}: {reason}"),
        };
        let all = Stage::ALL.into_iter();
        let all = all.flat_map(|stage| of_stage(stage).iter().map(move |reason| (stage, reason)));
        distinct(all.map(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Pair;

    #[test]
    fn an_assumed_floor_is_told_from_a_measured_one() {
        let floor = |pairs| {
            ties(&NoiseFloor {
                delta: 0.021,
                pairs,
            })
        };
        let assumed = floor(Vec::new());
        assert_eq!(
            assumed,
            "; differences below the noise floor of 2.1 % are ties (assumed: nothing was entered twice)"
        );
        let measured = floor(vec![Pair {
            first: "control".into(),
            second: "control~2".into(),
            ratio: 1.01,
            low: None,
            high: None,
        }]);
        assert_eq!(
            measured,
            "; differences below the noise floor of 2.1 % are ties"
        );
    }
}
