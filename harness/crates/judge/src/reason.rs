//! Why a row is not simply good: what a gate found, and what to do about it.

mod words;

use record::Step;

/// From so many connections a request on, a row pays for much that others don't. Servers that end a
/// connection after so many requests do so after 100 or 1,000, unless they are told otherwise.
const SET_APART: f64 = 0.1;

/// What a reason does to the trial, row or workload it is found on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// The figures count, with this reservation.
    Marks,
    /// The figures count; the peak rate is a lower bound.
    Bounds,
    /// The figures count; the row has no rank beside rows that this was not found on.
    SetsApart,
    /// The figures are shown; no ranks are given.
    Withholds,
    /// The trial does not count.
    Invalidates,
    /// The server is not measured.
    Fails,
}

/// What a gate found. Its `Display` says it in one line: the cause, then what to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The server was not measured, or a trial broke off.
    Broken {
        /// Where.
        step: Step,
        /// The cause.
        reason: String,
        /// The whole server, not a single trial.
        server: bool,
    },
    /// The referee found answers that are not the contract's.
    Nonconformant {
        /// Checks that passed.
        passed: u32,
        /// Checks made.
        total: u32,
        /// The first that failed.
        first: Option<String>,
    },
    /// The first byte came late at idle, microseconds.
    SlowFirstByte {
        /// Median of warm requests.
        found_us: f64,
        /// The run's limit.
        limit_us: f64,
    },
    /// Wrong answers, timeouts or resets under load.
    Errors {
        /// All of them.
        total: u64,
        /// By kind, as in `status 3, timeout 1`.
        kinds: String,
        /// The first in words.
        first: Option<String>,
    },
    /// Connections that were silent at the end of the load.
    Silent(f64),
    /// The server's count of orders does not fit the client's.
    OrdersNotConserved {
        /// Accepted by the client.
        accepted: f64,
        /// Growth of the server's total.
        growth: f64,
        /// Sent without an answer.
        unanswered: f64,
    },
    /// Order ids that were given twice.
    IdsRepeated(f64),
    /// The driver had no time left while the server had; shares from 0 to 1.
    DriverBound {
        /// Of the busiest driver thread: it worked.
        driver: f64,
        /// It was ready to work and something else had its CPU.
        waiting: f64,
        /// The server's CPUs.
        server: Option<f64>,
    },
    /// Whether the driver was the limit can't be said: its busy share is absent.
    DriverUnknown,
    /// The rate is close to what the load generator reaches at all; share of the control's rate.
    NearControl(f64),
    /// Rate and latency do not belong together.
    LittlesLaw {
        /// Rate × mean latency / connections − 1, out of its limits.
        off: f64,
        /// The server closes its connections, and making one again is in no latency.
        closes: bool,
    },
    /// Achieved / asked, below its limit.
    RateMissed(f64),
    /// The 99th percentile of the send lag, microseconds, above its limit.
    SentLate {
        /// What was found.
        found_us: f64,
        /// The limit.
        limit_us: f64,
    },
    /// The share of the requests that waited for the client's delayed ACK, 0 to 1.
    DelayedAck(f64),
    /// The server's memory grew with the requests, also late in the load.
    MemoryGrows {
        /// In the later half of it.
        bytes: f64,
        /// For each request there.
        per_request: f64,
    },
    /// The server's memory grew by more than its connections, threads and orders explain.
    MemoryGrew {
        /// From before the load to its end.
        bytes: f64,
        /// For each request answered.
        per_request: f64,
        /// Hardly any of it in the later half.
        stopped: bool,
    },
    /// Fewer or more connections than asked for.
    Connections {
        /// Established.
        found: f64,
        /// Asked for.
        asked: u32,
    },
    /// Connections were made while the load ran, for so many of the requests that it is told.
    Reconnects {
        /// Made after those that stood at the start, over all trials that count.
        connections: f64,
        /// Sent meanwhile.
        requests: f64,
    },
    /// Bytes read that belong to no response, or responses without their bytes.
    Bytes {
        /// Read from the sockets.
        received: f64,
        /// In complete responses.
        expected: f64,
    },
    /// The hypervisor took CPU time; share from 0 to 1.
    Stolen(f64),
    /// Other processes took CPU time; share from 0 to 1.
    OtherLoad(f64),
    /// The container was stopped in so many periods, its CPU time being used up.
    Throttled(f64),
    /// The server took CPU time while other entries had the load.
    Restless {
        /// As a share of one CPU, from 0.
        share: f64,
        /// It was stopped between its slices from the moment that was seen.
        paused: bool,
    },
    /// CPU time over all slices beyond that of a typical one, as a share of the typical one.
    Bursts(f64),
    /// All entries that waited took CPU time from the one that had the load; as a share of the server's
    /// CPUs.
    WaitingLoad(f64),
    /// The control varied between rounds.
    ControlSpread {
        /// In which figure: the one ranked by.
        figure: &'static str,
        /// By this share of its median; where they were measured in the same milliseconds, the
        /// ratio of its two entries did.
        share: f64,
        /// It is the ratio of its two entries that varied.
        pair: bool,
    },
    /// Tail figures that differ between two copies of one program.
    MachineTail {
        /// Which.
        figures: Vec<&'static str>,
        /// How far apart the copies may be, as a factor; the most of these figures.
        apart: f64,
    },
    /// There is no control, though one was asked for: what was found.
    NoControl(String),
    /// Something about the machine that makes figures wrong.
    /// The id of the first such finding; the environment says all of it once.
    Machine(String),
    /// Settings of the machine that were others after the run than before, by the ids of
    /// their findings.
    Changed(Vec<String>),
    /// Within the rounds, the figure follows the order of the trials.
    RoundOrder {
        /// The figure ranked by.
        figure: &'static str,
        /// Spearman's rank correlation, from -1 to 1.
        rho: f64,
        /// The chance of one as strong where the order means nothing.
        p: f64,
        /// How many trials it is taken over.
        trials: usize,
    },
    /// The level changed within the trial, or had not settled at its start.
    NotSteady {
        /// It settled after so many milliseconds; absent where it never did.
        settled_ms: Option<f64>,
    },
    /// A round that stands apart from the others; it is kept.
    OutlierRound {
        /// Which.
        round: u32,
        /// The figure.
        figure: &'static str,
        /// Value / median − 1.
        off: f64,
        /// What the other entries did in that round is taken out of it.
        beside_others: bool,
    },
    /// Under half of the trials count.
    TooFewValid {
        /// Trials that count.
        valid: usize,
        /// Trials that ran.
        ran: usize,
    },
    /// The run ended before any.
    NoTrial,
}

impl Reason {
    /// What it does.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Broken { server: true, .. }
            | Self::Nonconformant { .. }
            | Self::SlowFirstByte { .. }
            | Self::TooFewValid { .. }
            | Self::NoTrial => Effect::Fails,
            Self::Broken { server: false, .. }
            | Self::Errors { .. }
            | Self::Silent(_)
            | Self::OrdersNotConserved { .. }
            | Self::IdsRepeated(_)
            | Self::Connections { .. }
            | Self::Bytes { .. } => Effect::Invalidates,
            Self::Stolen(_)
            | Self::OtherLoad(_)
            | Self::WaitingLoad(_)
            | Self::ControlSpread { .. } => Effect::Withholds,
            Self::DriverBound { .. } | Self::NearControl(_) => Effect::Bounds,
            Self::Reconnects {
                connections,
                requests,
            } if *connections >= SET_APART * requests => Effect::SetsApart,
            Self::DriverUnknown
            | Self::Reconnects { .. }
            | Self::NoControl(_)
            | Self::LittlesLaw { .. }
            | Self::RateMissed(_)
            | Self::SentLate { .. }
            | Self::DelayedAck(_)
            | Self::MemoryGrows { .. }
            | Self::MemoryGrew { .. }
            | Self::Restless { .. }
            | Self::Bursts(_)
            | Self::Throttled(_)
            | Self::Machine(_)
            | Self::Changed(_)
            | Self::RoundOrder { .. }
            | Self::MachineTail { .. }
            | Self::NotSteady { .. }
            | Self::OutlierRound { .. } => Effect::Marks,
        }
    }

    /// Whether a stall of the machine can do this to a trial of a server that is right.
    pub(super) fn may_be_the_machine(&self) -> bool {
        matches!(
            self,
            Self::LittlesLaw { .. } | Self::RateMissed(_) | Self::SentLate { .. }
        )
    }
}
