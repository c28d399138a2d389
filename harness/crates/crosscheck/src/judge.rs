//! The results of a crosscheck: each tool's figures, how ours compares with the others within rounds, which of
//! our goals are met, and what explains the differences.

mod accuracy;
mod calls;
mod goal;
mod remarks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use record::{Crosscheck, Drive, ToolRecord};
use stats::{Bootstrap, Difference, PairedRatio, Series, differs, median, paired_ratio};

pub use accuracy::{KnownServer, Point, Quantiles, known};
pub use calls::{CallsPerRequest, Lag, calls_per_request, lags};
pub use goal::Goal;

/// Differences of rates, latencies and costs up to this don't count, whatever their interval.
const FLOOR: f64 = 0.01;

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolFigure {
    /// Valid responses per second.
    RequestsPerS,
    /// Median latency.
    P50,
    /// 95th percentile of latency.
    P95,
    /// 99th percentile of latency.
    P99,
    /// Arithmetic mean of latency.
    Mean,
    /// CPU time of the tool's process per valid response.
    CpuPerRequest,
}

impl ToolFigure {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::RequestsPerS,
        Self::P50,
        Self::P95,
        Self::P99,
        Self::Mean,
        Self::CpuPerRequest,
    ];

    /// Its value in one drive: 1/s or nanoseconds.
    pub fn of(self, drive: &Drive) -> Option<f64> {
        let reading = drive.reading.as_ref()?;
        match self {
            Self::RequestsPerS => Some(reading.requests_per_s),
            Self::P50 => reading.latency.point("p50"),
            Self::P95 => reading.latency.point("p95"),
            Self::P99 => reading.latency.point("p99"),
            Self::Mean => reading.latency.mean_ns,
            Self::CpuPerRequest => match reading.requests {
                0 => None,
                requests => Some(drive.process?.cpu_ns() as f64 / requests as f64),
            },
        }
    }
}

/// One server at one number of connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerTable {
    /// The server's name.
    pub server: String,
    /// Number of connections.
    pub connections: u32,
    /// One for each tool with a result, ours first.
    pub rows: Vec<ToolRow>,
    /// Ours compared with each other tool, in the rounds that both have.
    pub pairs: Vec<Pair>,
    /// Notes that explain the figures.
    pub remarks: Vec<String>,
}

/// A tool's figures: medians over rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolRow {
    /// The tool.
    pub tool: String,
    /// Whether it is ours.
    pub ours: bool,
    /// Rounds with a result.
    pub rounds: usize,
    /// Medians by figure.
    pub figures: BTreeMap<ToolFigure, f64>,
    /// CPU time of its process / the time it ran.
    pub busy_ratio: Option<f64>,
    /// Rate × mean latency / connections: 1 if the measured latency covers all the time a connection is in use
    /// (Little's law).
    pub little_ratio: Option<f64>,
    /// Connections that the kernel accepted beyond those requested: reopened by the tool, or opened by other
    /// programs.
    pub further_connections: Option<i64>,
    /// Errors in all rounds.
    pub errors: u64,
    /// Rounds without a result, and the reason for the first.
    pub failures: Option<(usize, String)>,
    /// The resolution of its printed latencies, nanoseconds.
    pub resolution_ns: f64,
}

/// Ours compared with another tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// Ours.
    pub ours: String,
    /// The other.
    pub theirs: String,
    /// Ours / theirs, by figure.
    pub ratios: BTreeMap<ToolFigure, Ratio>,
    /// For CPU time per request.
    pub goal: Option<Goal>,
}

/// A ratio within rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// Median of the rounds.
    pub median: f64,
    /// The lower end of its 95 % interval, or the minimum of fewer than three rounds.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Whether this is a 95 % interval.
    pub sure: bool,
    /// Rounds.
    pub n: usize,
    /// Whether it differs from 1 beyond the noise: −1 less, 1 greater, 0 not.
    pub differs: i8,
}

/// All tables of the rounds, in the order of servers and connections.
pub fn tables(record: &Crosscheck) -> Vec<ServerTable> {
    let mut bootstrap = Bootstrap::new(record.seed);
    let mut tables = Vec::new();
    for server in &record.servers {
        for &connections in &record.connections {
            let drives: Vec<&Drive> = record
                .drives
                .iter()
                .filter(|d| d.server == server.name && d.connections == connections)
                .collect();
            if drives.is_empty() {
                continue;
            }
            tables.push(table(
                record,
                &server.name,
                connections,
                &drives,
                &mut bootstrap,
            ));
        }
    }
    tables
}

fn table(
    record: &Crosscheck,
    server: &str,
    connections: u32,
    drives: &[&Drive],
    bootstrap: &mut Bootstrap,
) -> ServerTable {
    let of =
        |tool: &str| -> Vec<&Drive> { drives.iter().copied().filter(|d| d.tool == tool).collect() };
    let mut tools: Vec<&ToolRecord> = record.tools.iter().collect();
    tools.retain(|tool| !of(&tool.name).is_empty());
    let rows = tools.iter().map(|t| row(&t.name, t.ours, &of(&t.name)));
    let rows: Vec<ToolRow> = rows.collect();
    let mut pairs = Vec::new();
    for ours in tools.iter().filter(|tool| tool.ours) {
        for theirs in tools.iter().filter(|tool| !tool.ours) {
            let both = (&of(&ours.name)[..], &of(&theirs.name)[..]);
            let ratios = ratios(both, bootstrap);
            let cpu = ratios.get(&ToolFigure::CpuPerRequest);
            // When paced, ours spins to send on time.
            let goal = cpu.filter(|_| record.rate_per_s.is_none());
            pairs.push(Pair {
                goal: goal.and_then(|cpu| Goal::cpu(&ours.name, &theirs.name, cpu.median)),
                ours: ours.name.clone(),
                theirs: theirs.name.clone(),
                ratios,
            });
        }
    }
    let remarks = remarks::remarks(record.rate_per_s, connections, &rows, &pairs);
    ServerTable {
        server: server.to_owned(),
        connections,
        rows,
        pairs,
        remarks,
    }
}

fn row(tool: &str, ours: bool, drives: &[&Drive]) -> ToolRow {
    let each = |of: &dyn Fn(&Drive) -> Option<f64>| {
        let values: Vec<f64> = drives.iter().filter_map(|drive| of(drive)).collect();
        median(&values)
    };
    let read = || drives.iter().filter_map(|drive| drive.reading.as_ref());
    let failed: Vec<&String> = drives.iter().filter_map(|d| d.failure.as_ref()).collect();
    let first = failed.first().map(|why| (failed.len(), (*why).clone()));
    ToolRow {
        tool: tool.to_owned(),
        ours,
        rounds: read().count(),
        figures: ToolFigure::ALL
            .into_iter()
            .filter_map(|figure| Some((figure, each(&|drive| figure.of(drive))?)))
            .collect(),
        busy_ratio: each(&|drive| Some(drive.process?.busy_ratio())),
        little_ratio: each(&|drive| {
            let rate = ToolFigure::RequestsPerS.of(drive)?;
            let mean_s = ToolFigure::Mean.of(drive)? / 1e9;
            Some(rate * mean_s / f64::from(drive.connections))
        }),
        further_connections: each(&|drive| {
            let accepted = drive.accepted_connections? as f64;
            Some(accepted - f64::from(drive.connections))
        })
        .map(|further| further.round() as i64),
        errors: read().map(record::Reading::errors_total).sum(),
        failures: first,
        resolution_ns: read().map(|r| r.latency.resolution_ns).fold(1.0, f64::max),
    }
}

fn ratios(
    (ours, theirs): (&[&Drive], &[&Drive]),
    bootstrap: &mut Bootstrap,
) -> BTreeMap<ToolFigure, Ratio> {
    let mut ratios = BTreeMap::new();
    for figure in ToolFigure::ALL {
        let series = |drives: &[&Drive]| -> Series {
            let values = drives.iter();
            values
                .filter_map(|d| Some((d.round, figure.of(d)?)))
                .collect()
        };
        let (ours, theirs) = (series(ours), series(theirs));
        if let Some(paired) = paired_ratio(&ours, &theirs, bootstrap) {
            ratios.insert(figure, ratio(&paired, &ours, &theirs));
        }
    }
    ratios
}

fn ratio(paired: &PairedRatio, ours: &Series, theirs: &Series) -> Ratio {
    let each = ours
        .iter()
        .filter_map(|(round, a)| Some(a / theirs.get(round)?));
    let (low, high) = match paired.factors() {
        Some(interval) => (interval.low, interval.high),
        None => each.fold((f64::MAX, f64::MIN), |(low, high), ratio| {
            (low.min(ratio), high.max(ratio))
        }),
    };
    Ratio {
        median: paired.factor(),
        low,
        high,
        sure: paired.interval.is_some(),
        n: paired.n,
        differs: match differs(paired.interval, FLOOR) {
            Difference::Less => -1,
            Difference::Tie => 0,
            Difference::Greater => 1,
        },
    }
}
