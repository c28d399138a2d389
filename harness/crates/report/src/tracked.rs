//! What is handed to a service that tracks figures over many runs.
//!
//! Those figures that `harness compare` compares, of rows that can be relied on. A tracker knows nothing of
//! conditions, only names: so the rate is part of a paced row's name, and figures taken at different
//! rates never end up in one series.

use catalog::Stage;
use record::figure::{self, Figure};
use record::{Estimate, Estimates, Record, Row, Summary, Verdict};

/// One figure of one server.
pub(super) struct Tracked<'a> {
    /// The server, workload and stage, as in `alder/mixed/paced at 24000 per s`; the server alone for
    /// figures of the process.
    pub(super) benchmark: String,
    pub(super) figure: &'static Figure,
    pub(super) estimate: Estimate,
    /// The peak is at least this: the load generator was the limit.
    pub(super) lower_bound: bool,
    /// The reservations of a marked row.
    pub(super) reasons: &'a [String],
}

/// All of a run, in the order of its tables.
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

/// The figures of a stage, or of the process, that are there.
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
