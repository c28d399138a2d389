//! The configuration of a drive, and its errors.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::dial::{Dial, can_come_from};
use super::{Address, EngineKind};

/// The configuration of a drive.
#[derive(Debug, Clone)]
pub struct Config {
    /// The target address.
    pub addr: Address,
    /// Source addresses of connections, used in turn, of the same family as `addr`; if empty, the system
    /// chooses. Each has its own ports, about 28,000 for one server unless `net.ipv4.ip_local_port_range`
    /// allows more.
    pub from: Vec<IpAddr>,
    /// Connections, at least 1, spread over the threads; the first threads get the remainder.
    pub connections: usize,
    /// One thread pinned to each of these CPUs; if empty, [`Self::threads`] unpinned ones.
    pub cpus: Vec<u32>,
    /// Threads if no CPUs are given, at least 1. There are never more than connections.
    pub threads: usize,
    /// I/O backend of the load generator.
    pub engine: EngineKind,
    /// When requests are sent.
    pub pace: Pace,
    /// Load before the measured window; its latencies are discarded, its errors are not.
    pub warmup: Duration,
    /// The measured window; shorter if `limit` is reached earlier.
    pub duration: Duration,
    /// Total number of requests, at least 1, divided among the threads. The window ends when all of them have
    /// ended. Only without warm-up.
    pub limit: Option<u64>,
    /// Maximum time for a request from its actual sending, and for opening a connection.
    pub timeout: Duration,
    /// The length of one element of the time series.
    pub interval: Duration,
    /// Seed of the drawn requests, random arrivals and think times.
    pub seed: u64,
    /// How the requests of an open loop are spread over time.
    pub arrivals: Arrivals,
    /// In a closed loop: from the end of a connection's request to its next.
    pub think: Option<Think>,
    /// Opens a connection for this many requests, at least 1, and closes it after the last response. The last
    /// request asks the server to close, unless it has a `Connection` header. A connection is opened when its
    /// first request is due, whose latency includes connecting, in either loop; `wire` and `connect` separate
    /// the two. If absent, connections are kept open.
    pub requests_per_connection: Option<u32>,
    /// In an open loop: sends a failed request again.
    pub retries: Option<Retries>,
    /// Never sleeps during the load. Responses are then handled at once, not after waking a sleeping thread,
    /// which takes some microseconds, on a virtual CPU tens or hundreds. Each thread fully uses a CPU, so the
    /// server should not run on the same one.
    pub spin: bool,
}

impl Config {
    /// A closed loop over 64 connections on one unpinned thread with epoll: 1 s of warm-up, 5 s measured, a
    /// timeout of 5 s, intervals of 100 ms.
    pub fn new(addr: impl Into<Address>) -> Self {
        Self {
            addr: addr.into(),
            from: Vec::new(),
            connections: 64,
            cpus: Vec::new(),
            threads: 1,
            engine: EngineKind::default(),
            pace: Pace::Closed,
            warmup: Duration::from_secs(1),
            duration: Duration::from_secs(5),
            limit: None,
            timeout: Duration::from_secs(5),
            interval: Duration::from_millis(100),
            seed: 1,
            arrivals: Arrivals::Constant,
            think: None,
            requests_per_connection: None,
            retries: None,
            spin: false,
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Pace {
    /// A connection sends its next request as soon as its last response is complete, or after
    /// [`Config::think`].
    Closed,
    /// Requests have fixed send times, whether or not earlier ones were answered.
    Rate {
        /// Requests per second over all connections; finite, above 0, at most 10 million.
        per_second: f64,
    },
    /// Fixed send times at a changing rate: 1 to 64 stages in sequence, which last as long as
    /// [`Config::duration`], without warm-up or limit.
    Stages(Vec<RateStage>),
    /// Each request has its own send time, in nanoseconds after the start and in ascending order, 1 to
    /// [`MAX_TIMES`] of them. Whichever connection is free takes the next. With several threads, each takes every
    /// n-th, like [`super::Order::InTurn`]. Without warm-up; [`Config::limit`] is the number of times or less, and
    /// the window ends when so many have ended.
    Times(Arc<[u64]>),
}

/// Maximum number of send times of one drive; each takes 8 bytes.
pub const MAX_TIMES: usize = 1 << 24;

/// Maximum number of stages of one drive; each takes up to half a MiB per thread.
pub const MAX_RATE_STAGES: usize = 64;
/// Maximum rate in requests per second.
pub const MAX_RATE: f64 = 1e7;
const MAX_THINK: Duration = Duration::from_secs(86_400);

/// A period in which the rate grows or falls linearly, or is constant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateStage {
    /// Its length, above 0.
    pub length: Duration,
    /// Requests per second at its start over all connections; 0 to 10 million.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
}

impl RateStage {
    /// Number of requests due in it: the integral of its rate.
    pub fn requests(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.length.as_secs_f64()
    }
}

/// How often and when a request is sent again that failed: no valid response, and not a status below 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// At most so many times, 1 to 100.
    pub most: u32,
    /// The pause before the first retry is at random up to this; the limit doubles with each further one, up to a
    /// thousand times it. At once if absent.
    pub backoff: Option<Duration>,
}

/// How the requests of an open loop are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// At even intervals, each connection in turn.
    Constant,
    /// Like independent users: a Poisson process. Whichever connection is free takes the next.
    Poisson,
}

/// How long a connection waits after a response before it sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// Always the same; at most a day.
    Fixed(Duration),
    /// Exponentially distributed with this mean; at most a day.
    Exponential(Duration),
    /// Uniformly distributed between these, the first not above the second; at most a day.
    Uniform(Duration, Duration),
}

impl Think {
    /// Its mean.
    pub fn mean(self) -> Duration {
        match self {
            Self::Fixed(time) | Self::Exponential(time) => time,
            Self::Uniform(least, most) => (least + most) / 2,
        }
    }
}

impl Config {
    /// Whether requests have scheduled send times.
    pub fn is_open(&self) -> bool {
        self.pace != Pace::Closed
    }

    /// Checks whether connections can reach `addr` and come from the source addresses.
    ///
    /// # Errors
    /// See [`DriveError`].
    pub fn check_addresses(&self) -> Result<(), DriveError> {
        let made = Dial::new(&self.addr, &self.from, (0, 1));
        made.map_err(|errno| DriveError::Connect {
            addr: self.addr.clone(),
            established: 0,
            asked: self.connections,
            cause: errno.into(),
        })?;
        for from in &self.from {
            let fits = match &self.addr {
                Address::Tcp(addr) => addr.is_ipv4() == from.is_ipv4(),
                Address::Unix(_) => false,
            };
            if !fits {
                let why = format!("connections to {} can't come from {from}", self.addr);
                return Err(DriveError::Config(format!(
                    "{why}: different address family"
                )));
            }
            can_come_from(*from).map_err(|errno| DriveError::From {
                from: *from,
                cause: errno.into(),
            })?;
        }
        Ok(())
    }

    /// Checks whether pace, arrivals and think time fit together.
    pub(crate) fn check_pace(&self) -> Result<(), DriveError> {
        let refuse = |what: &str| Err(DriveError::Config(what.to_owned()));
        match &self.pace {
            Pace::Closed if self.arrivals == Arrivals::Poisson => {
                return refuse("Poisson arrivals need a rate");
            }
            Pace::Rate { per_second } if !(*per_second > 0.0 && *per_second <= MAX_RATE) => {
                return refuse("the rate must be above 0 and at most 10,000,000 a second");
            }
            Pace::Stages(stages) => self.check_stages(stages)?,
            Pace::Times(times) => self.check_times(times)?,
            Pace::Closed | Pace::Rate { .. } => {}
        }
        if let Some(retries) = self.retries {
            if !self.is_open() {
                return refuse("retries need an open loop, with a rate");
            }
            if !(1..=100).contains(&retries.most) {
                return refuse("there must be 1 to 100 retries");
            }
            if retries.backoff.is_some_and(|backoff| backoff > MAX_THINK) {
                return refuse("the pause before a retry must be at most a day");
            }
        }
        match self.think {
            Some(_) if self.is_open() => refuse("think time needs a closed loop, without a rate"),
            Some(Think::Uniform(least, most)) if least > most => {
                refuse("the shortest think time must not be above the longest")
            }
            Some(think) if think.mean() > MAX_THINK => refuse("think time must be at most a day"),
            _ => Ok(()),
        }
    }

    fn check_times(&self, times: &[u64]) -> Result<(), DriveError> {
        let refuse = |what: &str| Err(DriveError::Config(what.to_owned()));
        if times.is_empty() || times.len() > MAX_TIMES {
            return refuse("there must be 1 to 16,777,216 send times");
        }
        if !times.is_sorted() {
            return refuse("send times must be in ascending order");
        }
        if !self.warmup.is_zero() {
            return refuse("send times can't be combined with a warm-up");
        }
        if self.limit.is_none_or(|limit| limit > times.len() as u64) {
            return refuse("the limit on requests must be at most the number of send times");
        }
        match self.arrivals {
            Arrivals::Constant => Ok(()),
            Arrivals::Poisson => {
                refuse("requests with send times of their own can't arrive at random")
            }
        }
    }

    fn check_stages(&self, stages: &[RateStage]) -> Result<(), DriveError> {
        let refuse = |what: &str| Err(DriveError::Config(what.to_owned()));
        let possible = |rate: f64| (0.0..=MAX_RATE).contains(&rate);
        if stages.is_empty() || stages.len() > MAX_RATE_STAGES {
            return refuse("there must be 1 to 64 stages");
        }
        if !stages.iter().all(|s| possible(s.from) && possible(s.to)) {
            return refuse("the rates of stages must be from 0 to 10,000,000 a second");
        }
        if stages.iter().any(|stage| stage.length.is_zero()) {
            return refuse("each stage must last longer than 0");
        }
        if stages.iter().map(RateStage::requests).sum::<f64>() < 1.0 {
            return refuse("the stages add up to no request: raise a rate or a length");
        }
        if stages.iter().map(|stage| stage.length).sum::<Duration>() != self.duration {
            return refuse("the duration must be the sum of all stages");
        }
        if !self.warmup.is_zero() || self.limit.is_some() {
            return refuse("stages can't be combined with a warm-up or a limit on requests");
        }
        Ok(())
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// An invalid value of [`Config`].
    #[error("{0}")]
    Config(String),
    /// Nothing listens at the address.
    #[error("{addr} refused connection {established} of {asked}: is the server listening there?")]
    Refused {
        /// The target address.
        addr: Address,
        /// Connections opened before.
        established: usize,
        /// Connections requested.
        asked: usize,
    },
    /// The process may not open enough file descriptors.
    #[error(
        "{asked} connections need {needed} file descriptors and the limit is {limit}: \
         run `ulimit -n {needed}` first, or use fewer connections"
    )]
    Descriptors {
        /// Connections requested.
        asked: usize,
        /// The limit (`RLIMIT_NOFILE`) that would be enough.
        needed: u64,
        /// The current limit.
        limit: u64,
    },
    /// No local port was free.
    #[error(
        "no free local port after {established} of {asked} connections: widen \
         net.ipv4.ip_local_port_range, use more source addresses (`--bind`), or wait a minute for closed \
         connections to be forgotten"
    )]
    Ports {
        /// Connections opened before.
        established: usize,
        /// Connections requested.
        asked: usize,
    },
    /// No connection can come from that address.
    #[error(
        "connections can't come from {from}: {cause}; it must be an address of this machine, see `ip address`"
    )]
    From {
        /// The source address.
        from: IpAddr,
        /// The system's error.
        cause: std::io::Error,
    },
    /// Opening a connection failed for another reason.
    #[error("connection {established} of {asked} to {addr} failed: {cause}")]
    Connect {
        /// The target address.
        addr: Address,
        /// Connections opened before.
        established: usize,
        /// Connections requested.
        asked: usize,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The I/O backend can't be used on this system.
    #[error("the I/O backend {engine} can't be used: {why}. `--engine epoll` works on every Linux")]
    NoEngine {
        /// The requested backend.
        engine: EngineKind,
        /// The cause, and a fix.
        why: String,
    },
    /// The stop flag was set before all connections were open.
    #[error("stopped before the load began")]
    Stopped,
    /// The system refused something the I/O backend needs.
    #[error("the load generator's I/O backend failed: {0}")]
    Engine(std::io::Error),
    /// A bug in the load generator.
    #[error("a thread of the load generator panicked")]
    Panicked,
}
