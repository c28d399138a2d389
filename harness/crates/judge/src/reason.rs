//! What a gate found wrong with a row, and what to do about it.

use std::collections::BTreeMap;

use record::Step;
use serde::Serialize;

/// Connections per request above which a row pays a cost that others don't. Servers that limit requests per
/// connection default to 100 or 1,000.
const SET_APART: f64 = 0.1;

/// How a reason affects the trial, row or workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The figures count; the reason is shown as a note.
    Marks,
    /// The figures count; the peak rate is a lower bound.
    Bounds,
    /// The figures count; the row isn't ranked with rows that don't have this reason.
    SetsApart,
    /// The figures are shown; no ranks are given.
    Withholds,
    /// The trial does not count.
    Invalidates,
    /// The server is not measured.
    Fails,
}

/// What a gate found. `report` puts it into words.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum Reason {
    /// The server was not measured, or a trial failed.
    Broken {
        /// Where.
        step: Step,
        /// The cause.
        reason: String,
        /// It affects the whole server, not a single trial.
        server: bool,
    },
    /// The referee found responses that violate the contract.
    Nonconformant {
        /// Checks that passed.
        passed: u32,
        /// Checks run.
        total: u32,
        /// The first failure.
        first: Option<String>,
    },
    /// The first byte at idle came too late, in microseconds.
    SlowFirstByte {
        /// Median of warm requests.
        found_us: f64,
        /// The run's limit.
        limit_us: f64,
    },
    /// Wrong responses, timeouts or resets under load.
    Errors {
        /// Number of errors.
        total: u64,
        /// By kind.
        kinds: BTreeMap<String, u64>,
        /// Description of the first.
        first: Option<String>,
    },
    /// Connections without a response at the end of the load.
    Silent {
        /// How many.
        connections: f64,
    },
    /// The server's count of orders doesn't match the client's.
    OrdersNotConserved {
        /// Accepted by the client.
        accepted: f64,
        /// Growth of the server's total.
        growth: f64,
        /// Sent, but unanswered.
        unanswered: f64,
    },
    /// Order ids that were issued twice.
    IdsRepeated {
        /// How many.
        ids: f64,
    },
    /// The load generator was busy while the server was not; shares from 0 to 1.
    DriverBound {
        /// Busy share of the busiest load generator thread.
        driver: f64,
        /// Share of the time it was ready to run but had no CPU.
        waiting: f64,
        /// Busy share of the server's CPUs.
        server: Option<f64>,
    },
    /// The load generator's busy share is absent, so it may have been the limit.
    DriverUnknown,
    /// The rate is close to the load generator's maximum.
    NearControl {
        /// As a share of the control's rate.
        share: f64,
    },
    /// Rate and latency are inconsistent.
    LittlesLaw {
        /// Rate × mean latency / connections − 1.
        off: f64,
        /// The server closes its connections, and no latency includes the reconnects.
        closes: bool,
    },
    /// The target rate was not achieved.
    RateMissed {
        /// Achieved rate / target rate.
        achieved: f64,
    },
    /// The 99th percentile of the send lag, microseconds, above its limit.
    SentLate {
        /// What was found.
        found_us: f64,
        /// The limit.
        limit_us: f64,
    },
    /// Requests waited for the client's delayed ACK.
    DelayedAck {
        /// The share of the requests, 0 to 1.
        share: f64,
    },
    /// The server's memory grew with the requests until the end of the load.
    MemoryGrows {
        /// Growth in the second half of the load.
        bytes: f64,
        /// Growth per request in that half.
        per_request: f64,
    },
    /// The server's memory grew by more than its connections, threads and orders explain.
    MemoryGrew {
        /// Growth from before the load to its end.
        bytes: f64,
        /// Growth per response.
        per_request: f64,
        /// Hardly any of it was in the second half.
        stopped: bool,
    },
    /// Fewer or more connections than requested.
    Connections {
        /// Established.
        found: f64,
        /// Requested.
        asked: u32,
    },
    /// Connections were reopened while the load ran, often enough to report.
    Reconnects {
        /// Opened after the initial ones, over all valid trials.
        connections: f64,
        /// Requests sent in that time.
        requests: f64,
    },
    /// Bytes read that belong to no response, or responses without their bytes.
    Bytes {
        /// Read from the sockets.
        received: f64,
        /// In complete responses.
        expected: f64,
    },
    /// The hypervisor took CPU time.
    Stolen {
        /// From 0 to 1.
        share: f64,
    },
    /// Other processes took CPU time.
    OtherLoad {
        /// From 0 to 1.
        share: f64,
    },
    /// The container was throttled by its CPU quota.
    Throttled {
        /// In how many periods.
        periods: f64,
    },
    /// The server took CPU time while other entries had the load.
    Restless {
        /// As a share of one CPU.
        share: f64,
        /// It was stopped between its slices from then on.
        paused: bool,
    },
    /// CPU time comes in bursts.
    Bursts {
        /// Mean CPU time over all slices / that of a typical slice − 1.
        share: f64,
    },
    /// Waiting entries took CPU time from the entry that had the load.
    WaitingLoad {
        /// As a share of the server's CPUs.
        share: f64,
    },
    /// The control varied between rounds.
    ControlSpread {
        /// The figure ranked by.
        figure: &'static str,
        /// Spread as a share of the median: of the control's figure in an isolated run, of the ratio of its two
        /// entries in an interleaved one.
        share: f64,
        /// The ratio of its two entries varied.
        pair: bool,
    },
    /// Tail figures that differ between two copies of the control.
    MachineTail {
        /// The figures.
        figures: Vec<&'static str>,
        /// How far apart the copies may be, as a factor; the largest of these figures.
        apart: f64,
    },
    /// A control was requested, but there is none.
    NoControl {
        /// The finding.
        found: String,
    },
    /// The machine distorts the figures.
    Machine {
        /// The id of the first such finding; the environment lists all of them.
        finding: String,
    },
    /// Settings of the machine changed during the run.
    Changed {
        /// The ids of their findings.
        findings: Vec<String>,
    },
    /// The figure correlates with the order of the trials within a round.
    RoundOrder {
        /// The figure ranked by.
        figure: &'static str,
        /// Spearman's rank correlation, from -1 to 1.
        rho: f64,
        /// The p-value: the probability of a correlation this strong by chance.
        p: f64,
        /// Number of trials.
        trials: usize,
    },
    /// The level changed within the trial, or settled only after its start.
    NotSteady {
        /// Milliseconds until it settled; absent if it never did.
        settled_ms: Option<f64>,
    },
    /// A round that is an outlier; it still counts.
    OutlierRound {
        /// The round.
        round: u32,
        /// The figure.
        figure: &'static str,
        /// Value / median − 1.
        off: f64,
        /// The value is relative to the other entries of that round.
        beside_others: bool,
    },
    /// Fewer than half of the trials are valid.
    TooFewValid {
        /// Valid trials.
        valid: usize,
        /// Trials that ran.
        ran: usize,
    },
    /// The run ended before the first trial.
    NoTrial,
    /// Some rows of a server failed.
    RowsFailed {
        /// Those that did.
        failed: usize,
        /// All of its rows.
        rows: usize,
    },
    /// Some rows of a server are marked.
    RowsMarked {
        /// Those that are.
        marked: usize,
        /// All of its rows.
        rows: usize,
    },
    /// No server has a valid peak rate.
    NoPeakRate,
    /// No server has a cost at a paced rate.
    NoCost {
        /// Why ranks would go by cost.
        why: Why,
    },
    /// No server has enough valid rounds to rank by.
    TooFewRounds {
        /// The most that one has.
        rounds: usize,
        /// How many are needed.
        needed: usize,
    },
}

/// Why a workload is ranked by one figure and not by another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", content = "parameters", rename_all = "snake_case")]
pub enum Why {
    /// The load generator limited no server's peak.
    ServerBound,
    /// There is no peak rate.
    NoPeak,
    /// A peak rate may be the load generator's limit.
    DriverMayBind {
        /// Whose, by the names shown; empty if it is every server's.
        servers: Vec<String>,
    },
    /// The control's peak rate varied between rounds.
    ControlVaried {
        /// Its spread as a share of the median.
        share: f64,
        /// The ratio of its two entries varied.
        pair: bool,
    },
}

/// A reason as given of a row, a server or a workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// What was found; if on several trials, on the first of them.
    #[serde(flatten)]
    pub reason: Reason,
    /// The effect of that reason.
    pub effect: Effect,
    /// The trials it was found on; absent if it is about all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<Trials>,
}

/// Some trials of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trials {
    /// Their rounds.
    pub rounds: Vec<u32>,
    /// How many trials ran.
    pub ran: usize,
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        Self {
            effect: reason.effect(),
            reason,
            trials: None,
        }
    }
}

/// Each as a cause of its own.
pub(super) fn causes(reasons: Vec<Reason>) -> Vec<Cause> {
    reasons.into_iter().map(Cause::from).collect()
}

impl Reason {
    /// How it affects the trial, row or workload.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Broken { server: true, .. }
            | Self::Nonconformant { .. }
            | Self::SlowFirstByte { .. }
            | Self::TooFewValid { .. }
            | Self::RowsFailed { .. }
            | Self::NoTrial => Effect::Fails,
            Self::Broken { server: false, .. }
            | Self::Errors { .. }
            | Self::Silent { .. }
            | Self::OrdersNotConserved { .. }
            | Self::IdsRepeated { .. }
            | Self::Connections { .. }
            | Self::Bytes { .. } => Effect::Invalidates,
            Self::Stolen { .. }
            | Self::OtherLoad { .. }
            | Self::WaitingLoad { .. }
            | Self::ControlSpread { .. }
            | Self::NoPeakRate
            | Self::NoCost { .. }
            | Self::TooFewRounds { .. } => Effect::Withholds,
            Self::DriverBound { .. } | Self::NearControl { .. } => Effect::Bounds,
            Self::Reconnects {
                connections,
                requests,
            } if *connections >= SET_APART * requests => Effect::SetsApart,
            Self::DriverUnknown
            | Self::Reconnects { .. }
            | Self::NoControl { .. }
            | Self::LittlesLaw { .. }
            | Self::RateMissed { .. }
            | Self::SentLate { .. }
            | Self::DelayedAck { .. }
            | Self::MemoryGrows { .. }
            | Self::MemoryGrew { .. }
            | Self::Restless { .. }
            | Self::Bursts { .. }
            | Self::Throttled { .. }
            | Self::Machine { .. }
            | Self::Changed { .. }
            | Self::RoundOrder { .. }
            | Self::MachineTail { .. }
            | Self::RowsMarked { .. }
            | Self::NotSteady { .. }
            | Self::OutlierRound { .. } => Effect::Marks,
        }
    }

    /// Whether a stall of the machine can cause this for a correct server.
    pub(super) fn may_be_the_machine(&self) -> bool {
        matches!(
            self,
            Self::LittlesLaw { .. } | Self::RateMissed { .. } | Self::SentLate { .. }
        )
    }
}
