//! What a drive gives back.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::{RateStage, Unfinished, Window};

/// The kinds of error under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// A connection could not be made. Where requests make their connections it is the end of the
    /// request that needed it, else an attempt to make one again.
    Connect,
    /// The server reset a connection with a request in flight.
    Reset,
    /// The server closed a connection before the answer was complete.
    Closed,
    /// No complete answer in time.
    Timeout,
    /// Another status than expected.
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

/// What a drive measured.
///
/// A request belongs to the measured window by the instant at which it ends (its answer is
/// complete, or its time is up). Histograms hold nanoseconds to three significant digits;
/// `latency`, `wire` and `first_byte` hold the valid answers of the window and its timeouts.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// From the intended send time to the complete answer. In a closed loop a request is
    /// intended for the moment it is sent, or, where it makes its connection, for the moment that is
    /// begun: then it holds the connecting, in either loop.
    pub latency: Histogram<u64>,
    /// From the actual sending to the complete answer.
    pub wire: Histogram<u64>,
    /// From the intended send time to the read that brought the first byte of the status line;
    /// never above `latency`.
    pub first_byte: Histogram<u64>,
    /// From the call to `connect` until the connection stood, over the whole drive.
    pub connect: Histogram<u64>,
    /// How late the load generator itself was: from the intended send time, or from when the
    /// connection became free where that was later, to the actual sending or the beginning of
    /// the request's own connection. With think time, from its end. Else empty in a closed
    /// loop.
    pub send_lag: Histogram<u64>,
    /// Valid answers in the window.
    pub requests: u64,
    /// Send times that fell in the window; 0 in a closed loop.
    pub asked: u64,
    /// Requests sent over the whole drive, or begun where each makes a connection first.
    pub sent_total: u64,
    /// Valid answers over the whole drive.
    pub answered_total: u64,
    /// Errors over the whole drive, warm-up and drain included, by [`ErrorKind::name`].
    pub errors: BTreeMap<&'static str, u64>,
    /// The first error in words: the request line, what came, what was expected.
    pub first_error: Option<String>,
    /// Requests still in flight when the drain ended.
    pub unanswered: u64,
    /// The same, each with the time it had waited.
    pub unfinished: Vec<Unfinished>,
    /// Requests whose send time had passed when the window ended, and that were never sent.
    pub unsent: u64,
    /// Requests sent over the whole drive that were never validly answered, be it for an
    /// error or for lack of time: what the server may have done without our knowing.
    pub unanswered_total: u64,
    /// Valid answers to [`super::Expect::Numbered`] over the whole drive.
    pub accepted_orders_total: u64,
    /// Of those, how many repeated an id that had been seen.
    pub ids_repeated: u64,
    /// Bytes read from the sockets over the whole drive.
    pub bytes_received: u64,
    /// Bytes of the complete responses over the whole drive, heads and framing included.
    pub bytes_expected: u64,
    /// Connections that stood before the clock ran.
    pub established: usize,
    /// Connections made after that: again, or for a request of their own.
    pub reconnects: u64,
    /// The measured window's length; shorter than asked for after a stop.
    pub window: Duration,
    /// Where that window lies.
    pub window_at: Window,
    /// Mean of `latency`, nanoseconds, from exact sums; absent where nothing ended.
    pub latency_mean_ns: Option<f64>,
    /// Standard deviation of `latency`, nanoseconds, from exact sums.
    pub latency_jitter_ns: Option<f64>,
    /// The time series, in order, without gaps.
    pub intervals: Vec<Interval>,
    /// What each thread spent in the window.
    pub threads: Vec<ThreadTime>,
    /// Whether every thread runs on the CPU asked for; true where none was.
    pub pinned: bool,
    /// Whether the stop flag ended it.
    pub stopped: bool,
    /// The requests by class, at least one, in the script's order.
    pub classes: Vec<Class>,
    /// The requests by the stage in which they were due; empty without [`super::Pace::Stages`].
    pub stages: Vec<StageFigures>,
}

/// The requests of one class.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Valid answers in the window.
    pub requests: u64,
    /// Errors of its requests over the whole drive; those of no request are in none.
    pub errors: u64,
    /// As [`Measurement::latency`].
    pub latency: Histogram<u64>,
}

/// The requests that were due in one stage.
#[derive(Debug, Clone)]
pub struct StageFigures {
    /// As it was asked for.
    pub stage: RateStage,
    /// How much of it the window holds: all, but for a stop.
    pub ran: Duration,
    /// Send times that fell in it; fewer than asked for only after a stop.
    pub asked: u64,
    /// Valid answers in the window.
    pub requests: u64,
    /// Errors of these requests over the whole drive.
    pub errors: u64,
    /// As [`Measurement::latency`].
    pub latency: Histogram<u64>,
    /// As [`Measurement::send_lag`].
    pub send_lag: Histogram<u64>,
}

impl Measurement {
    /// Valid answers per second of the window.
    pub fn requests_per_s(&self) -> f64 {
        self.requests as f64 / self.window.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// How many requests were in flight on average, by Little's law: their rate times their mean
    /// time. Those that timed out were in flight too; those that ended with another error are
    /// left out. Absent where nothing ended.
    pub fn in_flight_mean(&self) -> Option<f64> {
        let rate = self.latency.len() as f64 / self.window.as_secs_f64().max(f64::MIN_POSITIVE);
        Some(rate * self.latency_mean_ns? / 1e9)
    }

    /// Errors of all kinds.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// One entry of the time series: an interval, in which what ended in it counts, or a slice of
/// [`super::interleave`], in which what was due in it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Its start, from the start of the window.
    pub start: Duration,
    /// Its length; the last one may be shorter.
    pub length: Duration,
    /// Valid answers; of a slice, to the requests that were due while it counted.
    pub requests: u64,
    /// Of a slice: valid answers in all, from the first request of its lead-in to the end of its
    /// drain. Else 0.
    pub answered: u64,
    /// Of a slice: requests that were due while it counted; 0 in a closed loop. Else 0.
    pub asked: u64,
    /// Of a slice: valid answers that came while it counted. Else 0.
    pub on_time: u64,
    /// How many of the requests counted were in flight on average: the sum of their latencies over the
    /// length.
    pub in_flight: f64,
    /// Errors.
    pub errors: u64,
    /// Median latency in nanoseconds, to two significant digits; absent where nothing ended.
    pub p50_ns: Option<u64>,
    /// 99th percentile of latency in nanoseconds, to two significant digits.
    pub p99_ns: Option<u64>,
    /// Standard deviation of latency in nanoseconds, from exact sums.
    pub jitter_ns: Option<f64>,
    /// Latency in nanoseconds, to two significant digits.
    pub latency: Histogram<u32>,
}

/// What one thread spent in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadTime {
    /// CPU time, spinning included.
    pub cpu_ns: u64,
    /// Wall time.
    pub wall_ns: u64,
    /// Time spent spinning for the next send time with nothing to do; part of `cpu_ns`.
    pub spin_ns: u64,
    /// Time in which it was ready to run and something else had its CPU; absent where the
    /// kernel does not tell.
    pub wait_ns: Option<u64>,
}

impl ThreadTime {
    /// The share of the wall time it worked, 0 to 1; deliberate spinning not counted.
    pub fn busy_ratio(&self) -> f64 {
        let busy = self.cpu_ns.saturating_sub(self.spin_ns);
        (busy as f64 / (self.wall_ns as f64).max(1.0)).min(1.0)
    }

    /// The share of the wall time in which it had no CPU to run on, 0 to 1; 0 where unknown.
    pub fn wait_ratio(&self) -> f64 {
        let waited = self.wait_ns.unwrap_or(0) as f64;
        (waited / (self.wall_ns as f64).max(1.0)).min(1.0)
    }
}
