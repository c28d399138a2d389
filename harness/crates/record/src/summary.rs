//! The summary of a run: rows, servers and rankings.
//!
//! It is computed from a [`Record`](super::Record) whenever it is shown, and never stored in `run.sqlite`;
//! `record.json` includes it for other programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::figure::LOST_AT_STOP;
use catalog::Stage;
use stats::{Bootstrap, Interval, PairedRatio, Scale};

/// Estimates by figure name; the name ends in the unit. A figure that could not be read is absent.
pub type Estimates = BTreeMap<String, Estimate>;

/// Everything a report shows in addition to the record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// One row for each planned server, workload and stage, including failed ones.
    pub rows: Vec<Row>,
    /// One row for each server, including failed ones.
    pub servers: Vec<ServerRow>,
    /// One for each workload, in display order.
    pub rankings: Vec<Ranking>,
    /// Each text of [`Row::reasons`], [`ServerRow::reasons`], [`Ranking::reason`] and [`Ranking::notes`] once
    /// more, with what it says as data. Absent in older files.
    pub reasons: Vec<ReasonRow>,
}

/// A text of the summary, for programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReasonRow {
    /// The server; absent if it is about a workload.
    pub server: Option<String>,
    /// The workload; absent if it is about a server over the whole run.
    pub workload: Option<String>,
    /// The stage, likewise.
    pub stage: Option<Stage>,
    /// The text. If ranks are withheld for several reasons, each has its own row.
    pub text: String,
    /// What it says: `kind`, `effect`, `parameters` and `trials`, as far as it has them.
    pub reason: Value,
}

/// A server in one stage of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The server's name, as in [`Server::name`](super::Server::name).
    pub server: String,
    /// The name shown.
    pub display: String,
    /// The workload.
    pub workload: String,
    /// The stage.
    pub stage: Stage,
    /// Whether the figures can be relied on.
    pub verdict: Verdict,
    /// Why the verdict is not `ok`, one sentence each.
    pub reasons: Vec<String>,
    /// The rank's 95 % interval. Only on rows of [`Ranking::stage`]; absent if the row failed or ranks are
    /// withheld.
    pub rank: Option<RankInterval>,
    /// The load generator was the limit and the server may be faster: the peak rate is printed with ≥.
    pub lower_bound: bool,
    /// By figure: how this row compares with the best one of its workload and stage. Absent in older files.
    #[serde(default)]
    pub ratio_to_best: BTreeMap<String, RatioToBest>,
    /// Each figure over the valid trials.
    #[serde(flatten)]
    pub figures: Estimates,
}

/// A figure of a row, divided by that of the best row in the same workload and stage.
///
/// A factor: 0.93 is a rate 7 % below the best, 1.08 a cost 8 % above it. Ratios are taken within each round
/// that both rows have, so effects on a whole round cancel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatioToBest {
    /// The median over rounds; 1 for the best row.
    pub ratio: f64,
    /// The lower end of its 95 % interval; absent for the best row and with fewer than three common rounds.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Rounds that both rows have.
    pub rounds: u32,
    /// The name of the best entry, which may be this one.
    pub best: String,
    /// The figure is a tail caused by the machine, not by the server: neither the control's two copies nor this
    /// entry and the best can be compared in it.
    pub by_machine: bool,
}

impl RatioToBest {
    /// The 95 % interval.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }
}

/// Whether a row's figures can be relied on.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Yes.
    #[default]
    Ok,
    /// Yes, with the given notes.
    Marked,
    /// No; if there are figures, don't compare them.
    Failed,
}

impl Verdict {
    /// The name used in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Marked => "marked",
            Self::Failed => "failed",
        }
    }
}

/// A figure over the valid trials of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The median over trials.
    pub median: f64,
    /// The lower end of its 95 % interval; the median itself if `n` is 1.
    pub low: f64,
    /// The upper end of its 95 % interval; the median itself if `n` is 1.
    pub high: f64,
    /// Number of trials, at least 1.
    pub n: u32,
}

impl Estimate {
    /// The median over rounds, if there is one. With two rounds the interval is from one to the other.
    pub(crate) fn of(values: &[f64], bootstrap: &mut Bootstrap) -> Option<Self> {
        let ends = values.iter().copied();
        let range = Interval {
            low: ends.clone().fold(f64::INFINITY, f64::min),
            high: ends.fold(f64::NEG_INFINITY, f64::max),
        };
        let Interval { low, high } = bootstrap
            .median_interval(values, Scale::Log)
            .unwrap_or(range);
        Some(Self {
            median: stats::median(values)?,
            low,
            high,
            n: u32::try_from(values.len()).unwrap_or(u32::MAX),
        })
    }

    /// Whether it has a 95 % interval. With fewer than three rounds, `low` and `high` are the lowest and the highest value.
    pub fn has_interval(&self) -> bool {
        self.n as usize >= stats::MIN_REPLICATES
    }

    /// A ratio within rounds, as a factor. With fewer than three of them it has no interval.
    pub(crate) fn of_ratio(ratio: PairedRatio) -> Self {
        let median = ratio.factor();
        let Interval { low, high } = ratio.factors().unwrap_or(Interval {
            low: median,
            high: median,
        });
        Self {
            median,
            low,
            high,
            n: u32::try_from(ratio.n).unwrap_or(u32::MAX),
        }
    }
}

/// The ranks a server may have at 95 % confidence, counted from 1; equal if it is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RankInterval {
    /// The best.
    pub low: u32,
    /// The worst.
    pub high: u32,
}

/// A server over the whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerRow {
    /// The server's name.
    pub server: String,
    /// The name shown.
    pub display: String,
    /// As in `framework`, `library`, `coroutine`.
    pub class: String,
    /// The upstream crate's version, if known.
    pub version: Option<String>,
    /// The worst verdict of its rows; failed if it was not measured.
    pub verdict: Verdict,
    /// Why it is not `ok`, one sentence each.
    pub reasons: Vec<String>,
    /// Checks of the referee that passed; absent if it could not check the server.
    pub checks_passed: Option<u32>,
    /// Checks the referee ran.
    pub checks_total: Option<u32>,
    /// Requests that had arrived at SIGTERM and got no byte of a response; absent where that was
    /// not counted.
    #[serde(default)]
    pub lost_at_stop: Option<u32>,
    /// Requests that had arrived at SIGTERM.
    #[serde(default)]
    pub sent_at_stop: Option<u32>,
    /// Size of the binary without symbols, bytes.
    pub stripped_bytes: Option<u64>,
    /// Over all valid trials: `start_ms`, `first_request_us`, `rss_idle_bytes`, `rss_peak_bytes` and the other
    /// figures of the process.
    #[serde(flatten)]
    pub figures: Estimates,
}

impl ServerRow {
    /// Its figures, plus the size of the binary as a single observation.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a binary has less than 2^53 bytes"
    )]
    pub fn with_build(&self) -> Estimates {
        let exact = |value: u64| Estimate {
            median: value as f64,
            low: value as f64,
            high: value as f64,
            n: 1,
        };
        let once = [
            ("stripped_bytes", self.stripped_bytes),
            (LOST_AT_STOP, self.lost_at_stop.map(u64::from)),
        ];
        let once = once
            .into_iter()
            .filter_map(|(id, value)| Some((id.to_owned(), exact(value?))));
        self.figures.clone().into_iter().chain(once).collect()
    }
}

/// What the ranks of a workload go by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The workload.
    pub workload: String,
    /// The stage whose figure is ranked by.
    pub stage: Stage,
    /// The figure's name, as in `requests_per_s` or `cpu_us_per_request`.
    pub ranked_by: String,
    /// Why that figure, or why ranks are withheld; a clause that follows the figure in a caption.
    pub reason: String,
    /// The rate of the paced stage, requests per second; absent if there was none.
    pub rate_per_s: Option<f64>,
    /// Connections in every stage.
    pub connections: u32,
    /// The noise floor; absent if ranks are withheld, and in older files.
    #[serde(default)]
    pub noise_floor: Option<NoiseFloor>,
    /// Notes on the workload, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How far two entries of the same program differed, and the noise floor derived from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// Servers whose ratio is between 1 / (1 + this) and 1 + this tie: 0.02 means 2 %.
    pub delta: f64,
    /// The pairs it was measured with; empty if nothing was entered twice and it is assumed.
    pub pairs: Vec<Pair>,
}

/// A program that was entered twice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The name of its first entry.
    pub first: String,
    /// The name of its second.
    pub second: String,
    /// The figure ranked by: second / first, the median over rounds.
    pub ratio: f64,
    /// The lower end of its 95 % interval; absent with fewer than three common rounds.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}
