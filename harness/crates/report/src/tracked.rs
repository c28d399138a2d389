//! Figures for services that track them over many runs.
//!
//! These are the figures that `harness compare` compares, of rows that didn't fail. A tracker only knows names,
//! so the name of a paced row includes the rate: figures at different rates never end up in the same series.

use catalog::Stage;
use record::figure::{self, Figure};
use record::{Estimate, Estimates, Record, Row, Summary, Verdict};

/// One figure of one server.
pub(super) struct Tracked<'a> {
    /// The server, workload and stage, as in `alder/mixed/paced at 24000 per s`; only the server for figures of
    /// the process.
    pub(super) benchmark: String,
    pub(super) figure: &'static Figure,
    pub(super) estimate: Estimate,
    /// The peak is a lower bound: the load generator was the limit.
    pub(super) lower_bound: bool,
    /// The reasons of a marked row.
    pub(super) reasons: &'a [String],
}

/// All figures of a run, in the order of its tables.
pub(super) fn tracked<'a>(record: &Record, summary: &'a Summary) -> Vec<Tracked<'a>> {
    let rows = summary.rows.iter().filter(|r| r.verdict != Verdict::Failed);
    let servers = (summary.servers.iter()).filter(|r| r.verdict != Verdict::Failed);
    let mut all = Vec::new();
    for row in rows {
        let benchmark = benchmark(record, row);
        for mut one in of(Some(row.stage), &row.figures, &benchmark, &row.reasons) {
            one.lower_bound = row.lower_bound && one.figure.id == figure::RATE;
            all.push(one);
        }
    }
    for row in servers {
        all.extend(of(None, &row.figures, &row.server, &row.reasons));
    }
    all
}

/// The available figures of a stage, or of the process.
fn of<'a>(
    stage: Option<Stage>,
    figures: &Estimates,
    benchmark: &str,
    reasons: &'a [String],
) -> impl Iterator<Item = Tracked<'a>> {
    figure::compared(stage).filter_map(move |figure| {
        Some(Tracked {
            benchmark: benchmark.to_owned(),
            figure,
            estimate: *figures.get(figure.id)?,
            lower_bound: false,
            reasons,
        })
    })
}

fn benchmark(record: &Record, row: &Row) -> String {
    let Row {
        server,
        workload,
        stage,
        ..
    } = row;
    match (stage, record.run.rates_per_s.get(workload)) {
        (Stage::Paced, Some(rate)) => format!("{server}/{workload}/{stage} at {rate} per s"),
        _ => format!("{server}/{workload}/{stage}"),
    }
}
