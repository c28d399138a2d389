//! The results of a drive.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::{RateStage, Unfinished, Window};

/// The kinds of error under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// Opening a connection failed. If requests open their own connections, this is the end of the request that
    /// needed it; otherwise it is a failed attempt to reconnect.
    Connect,
    /// The server reset a connection with a request in flight.
    Reset,
    /// The server closed a connection before the response was complete.
    Closed,
    /// No complete response in time.
    Timeout,
    /// An unexpected status.
    Status,
    /// The expected status with a wrong body.
    Body,
    /// What came back is not one HTTP/1.1 response.
    Protocol,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Reset,
        Self::Closed,
        Self::Timeout,
        Self::Status,
        Self::Body,
        Self::Protocol,
    ];

    /// The name used in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Body => "body",
            Self::Protocol => "protocol",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A load generator that is busy for more than this share may be the limit of what was measured.
pub const GENERATOR_BUSY: f64 = 0.9;
/// A server keeps up if at least this share of the requests due in the window was answered in it. Those still in flight
/// at its end replace those in flight at its start.
const KEPT_UP: f64 = 0.97;

/// The results of a drive.
///
/// A request belongs to the measured window if it ends there (its response is complete, or it times out).
/// Histograms hold nanoseconds to three significant digits; `latency`, `wire` and `first_byte` hold the
/// window's valid responses and timeouts.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// From the intended send time to the complete response. In a closed loop the intended send time is the
    /// actual one. If a request opens its connection, it is when that begins in a closed loop, so latency
    /// includes connecting in either loop.
    pub latency: Histogram<u64>,
    /// From the actual send time to the complete response.
    pub wire: Histogram<u64>,
    /// From the intended send time to the read that brought the first byte of the status line;
    /// never above `latency`.
    pub first_byte: Histogram<u64>,
    /// From the call to `connect` until the connection was open, over the whole drive.
    pub connect: Histogram<u64>,
    /// How late the load generator itself was: from the intended send time, or from when the connection became
    /// free if that was later, until the request was sent or its own connection was begun. With think time,
    /// from its end. Otherwise empty in a closed loop.
    pub send_lag: Histogram<u64>,
    /// Valid responses in the window.
    pub requests: u64,
    /// Send times within the window; 0 in a closed loop.
    pub asked: u64,
    /// Requests sent over the whole drive, or begun if each opens a connection first.
    pub sent_total: u64,
    /// How many of those were sent again after a failure, see [`super::Retries`].
    pub retries: u64,
    /// Valid responses over the whole drive.
    pub answered_total: u64,
    /// Errors over the whole drive, warm-up and drain included, by [`ErrorKind::name`].
    pub errors: BTreeMap<&'static str, u64>,
    /// How many of the errors `closed` and `reset` broke off a response that had begun.
    pub truncated: u64,
    /// The message of the first error: request line, response, expected response.
    pub first_error: Option<String>,
    /// Requests in flight when the drain ended.
    pub unanswered: u64,
    /// The same requests, with the time each had waited.
    pub unfinished: Vec<Unfinished>,
    /// Requests whose send time had passed when the window ended, but that were never sent.
    pub unsent: u64,
    /// Requests sent over the whole drive that never got a valid response, because of an error or lack of time:
    /// the server may have processed them.
    pub unanswered_total: u64,
    /// Valid responses to [`super::Expect::Numbered`] over the whole drive.
    pub accepted_orders_total: u64,
    /// How many of those repeated an id.
    pub ids_repeated: u64,
    /// Bytes read from the sockets over the whole drive.
    pub bytes_received: u64,
    /// Bytes of the complete responses over the whole drive, heads and framing included.
    pub bytes_expected: u64,
    /// Connections that were open before the clock ran.
    pub established: usize,
    /// Connections opened after that: to reconnect, or for a request.
    pub reconnects: u64,
    /// The measured window's length; shorter than configured after a stop.
    pub window: Duration,
    /// The time of that window.
    pub window_at: Window,
    /// Mean of `latency` in nanoseconds, from exact sums; absent if nothing ended.
    pub latency_mean_ns: Option<f64>,
    /// Standard deviation of `latency` in nanoseconds, from exact sums.
    pub latency_jitter_ns: Option<f64>,
    /// The time series, in order, without gaps.
    pub intervals: Vec<Interval>,
    /// Time each thread spent in the window.
    pub threads: Vec<ThreadTime>,
    /// Whether every thread ran on its CPU; true if none was given.
    pub pinned: bool,
    /// Whether the stop flag ended it.
    pub stopped: bool,
    /// The requests by class, at least one, in the script's order.
    pub classes: Vec<Class>,
    /// The requests by the stage in which they were due; empty without [`super::Pace::Stages`].
    pub stages: Vec<StageFigures>,
    /// The chains, if the script is one of sessions.
    pub session: Option<SessionFigures>,
}

/// The chains of a drive: each is one pass of a user through a session. A chain belongs to the window if it ends there.
#[derive(Debug, Clone)]
pub struct SessionFigures {
    /// From the sending of a chain's first request to its last complete response, in nanoseconds, of the window's complete
    /// chains. There is no think time in it.
    pub time: Histogram<u64>,
    /// Its mean in nanoseconds, from exact sums.
    pub mean_ns: Option<f64>,
    /// Complete chains in the window.
    pub complete: u64,
    /// Chains that ended in the window, complete or not.
    pub ended: u64,
    /// Complete chains over the whole drive.
    pub complete_total: u64,
    /// The names of the steps, and how many chains failed at each over the whole drive.
    pub failed: Vec<(String, u64)>,
    /// How long the chains had taken whose request had no response when the drain ended, in nanoseconds. Others that had not
    /// ended by then are in no figure.
    pub unfinished_ns: Vec<u64>,
}

impl SessionFigures {
    /// Failed chains over the whole drive.
    pub fn failed_total(&self) -> u64 {
        self.failed.iter().map(|(_, count)| count).sum()
    }
}

/// The requests of one class.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Valid responses in the window.
    pub requests: u64,
    /// Errors of its requests over the whole drive; errors that belong to no request are in no class.
    pub errors: u64,
    /// Like [`Measurement::latency`].
    pub latency: Histogram<u64>,
}

/// The requests that were due in one stage.
#[derive(Debug, Clone)]
pub struct StageFigures {
    /// As configured.
    pub stage: RateStage,
    /// How much of it is in the window: all of it, unless stopped.
    pub ran: Duration,
    /// Send times within it; fewer than configured only after a stop.
    pub asked: u64,
    /// Valid responses in the window.
    pub requests: u64,
    /// Errors of these requests over the whole drive.
    pub errors: u64,
    /// Like [`Measurement::latency`].
    pub latency: Histogram<u64>,
    /// Like [`Measurement::send_lag`].
    pub send_lag: Histogram<u64>,
}

impl Measurement {
    /// Valid responses per second of the window.
    pub fn requests_per_s(&self) -> f64 {
        self.requests as f64 / self.window.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Average number of requests in flight by Little's law: their rate times their mean time. Includes
    /// timeouts; requests that ended with another error are left out. Absent if nothing ended.
    pub fn in_flight_mean(&self) -> Option<f64> {
        let rate = self.latency.len() as f64 / self.window.as_secs_f64().max(f64::MIN_POSITIVE);
        Some(rate * self.latency_mean_ns? / 1e9)
    }

    /// Whether the server kept up with the rate.
    pub fn kept_up(&self) -> bool {
        self.requests as f64 >= KEPT_UP * self.asked as f64 && self.requests > 0
    }

    /// The share of the window the busiest thread worked, 0 to 1, without spinning.
    pub fn busy_ratio(&self) -> f64 {
        let threads = self.threads.iter();
        threads.map(ThreadTime::busy_ratio).fold(0.0, f64::max)
    }

    /// Errors of all kinds.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// One element of the time series: an interval, which counts what ended in it, or a slice of
/// [`super::interleave`], which counts what was due in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Its start, relative to the start of the window.
    pub start: Duration,
    /// Its length; the last one may be shorter.
    pub length: Duration,
    /// Valid responses; in a slice, to the requests that were due while it counted.
    pub requests: u64,
    /// In a slice: all valid responses, from the first request of its lead-in to the end of its drain.
    /// Otherwise 0.
    pub answered: u64,
    /// In a slice: requests that were due while it counted; 0 in a closed loop. Otherwise 0.
    pub asked: u64,
    /// In a slice: valid responses that arrived while it counted. Otherwise 0.
    pub on_time: u64,
    /// Average number of the counted requests in flight: the sum of their latencies divided by the length.
    pub in_flight: f64,
    /// Errors.
    pub errors: u64,
    /// Median latency in nanoseconds to two significant digits; absent if nothing ended.
    pub p50_ns: Option<u64>,
    /// 99th percentile of latency in nanoseconds to two significant digits.
    pub p99_ns: Option<u64>,
    /// Standard deviation of latency in nanoseconds, from exact sums.
    pub jitter_ns: Option<f64>,
    /// Latency in nanoseconds to two significant digits.
    pub latency: Histogram<u32>,
}

/// Time one thread spent in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadTime {
    /// CPU time, spinning included.
    pub cpu_ns: u64,
    /// Wall time.
    pub wall_ns: u64,
    /// Time spent spinning for the next send time with nothing to do; part of `cpu_ns`.
    pub spin_ns: u64,
    /// Time it was ready to run while something else had its CPU; absent if the kernel does not report it.
    pub wait_ns: Option<u64>,
}

impl ThreadTime {
    /// The share of the wall time it worked, 0 to 1, without deliberate spinning.
    pub fn busy_ratio(&self) -> f64 {
        let busy = self.cpu_ns.saturating_sub(self.spin_ns);
        (busy as f64 / (self.wall_ns as f64).max(1.0)).min(1.0)
    }

    /// The share of the wall time it waited for a CPU, 0 to 1; 0 if unknown.
    pub fn wait_ratio(&self) -> f64 {
        let waited = self.wait_ns.unwrap_or(0) as f64;
        (waited / (self.wall_ns as f64).max(1.0)).min(1.0)
    }
}
