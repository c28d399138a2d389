//! What a run comes to: rows, the servers beside each other, and what ranks go by.
//!
//! Computed from a [`Record`](super::Record) whenever it is shown, never stored in
//! `run.sqlite`; `record.json` carries it for readers who don't want to compute it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::Stage;
use crate::figure::LOST_AT_STOP;

/// Estimates by figure name; the name ends in the unit. What could not be read is absent.
pub type Estimates = BTreeMap<String, Estimate>;

/// Everything a report shows of a run beyond its record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// One row for each server, workload and stage that was planned, failed ones too.
    pub rows: Vec<Row>,
    /// One row for each server, failed ones too.
    pub servers: Vec<ServerRow>,
    /// One for each workload, in the order in which they are shown.
    pub rankings: Vec<Ranking>,
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
    /// The rank's 95 % interval. Only on the row of the stage that
    /// [`Ranking::stage`] names, and not where it failed or ranks are withheld.
    pub rank: Option<RankInterval>,
    /// The server may be faster than the load generator could tell: the peak
    /// rate is printed with ≥.
    pub lower_bound: bool,
    /// By figure: how this row compares with the best one of its workload and stage. Absent in
    /// files made before it was told.
    #[serde(default)]
    pub ratio_to_best: BTreeMap<String, RatioToBest>,
    /// Each figure over the valid trials.
    #[serde(flatten)]
    pub figures: Estimates,
}

/// A figure of a row, divided by that of the best row in the same workload and stage.
///
/// As a plain factor: 0.93 is a rate 7 % below the best's, 1.08 a cost 8 % above it. The ratio is
/// taken within each round that both rows have, so what the whole round shares cancels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatioToBest {
    /// The median over rounds; 1 on the best's own row.
    pub ratio: f64,
    /// The lower end of its 95 % interval; absent on the best's own row and below three common
    /// rounds.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Rounds that both rows have.
    pub rounds: u32,
    /// The name of the best entry, which may be this one.
    pub best: String,
    /// The figure is a tail that the machine made and not the server: neither the control's two
    /// entries nor this one and the best can be compared in it.
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
    /// With the reservations given.
    Marked,
    /// No; figures, where there are any, are not for comparing.
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
    /// The lower end of its 95 % interval; the median itself where `n` is 1.
    pub low: f64,
    /// The upper end of its 95 % interval; the median itself where `n` is 1.
    pub high: f64,
    /// Trials it is taken from, at least 1.
    pub n: u32,
}

/// The ranks a server may hold at 95 % confidence, counted from 1; equal where it is sure.
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
    /// The upstream crate's version, where one is known.
    pub version: Option<String>,
    /// The worst of what can be said of it: failed where it was not measured.
    pub verdict: Verdict,
    /// Why it is not `ok`, one sentence each.
    pub reasons: Vec<String>,
    /// Checks of the referee that passed; absent where it could not be asked.
    pub checks_passed: Option<u32>,
    /// Checks the referee made.
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
    /// Over all valid trials: `start_ms`, `first_request_us`, `rss_idle_bytes`,
    /// `rss_peak_bytes` and whatever else is of the process rather than of a workload.
    #[serde(flatten)]
    pub figures: Estimates,
}

impl ServerRow {
    /// Its figures and, as one observation, what is the same in every trial.
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
    /// Why that figure, or why ranks are withheld; one clause, to follow the figure
    /// in a caption.
    pub reason: String,
    /// The rate of the paced stage, requests per second; absent where there was none.
    pub rate_per_s: Option<f64>,
    /// Connections of every stage.
    pub connections: u32,
    /// Which differences count as none; absent where ranks are withheld, and in files made
    /// before it was told.
    #[serde(default)]
    pub noise_floor: Option<NoiseFloor>,
    /// What is to be known of the workload as a whole, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// How far apart two entries of one program were, and what follows from that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// Servers whose ratio is within 1 / (1 + this) and 1 + this tie: 0.02 stands for 2 %.
    pub delta: f64,
    /// What it was measured by; empty where nothing was entered twice and it is assumed.
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
    /// The lower end of its 95 % interval; absent below three common rounds.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}
