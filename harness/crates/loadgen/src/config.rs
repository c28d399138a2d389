//! What is asked of a drive, and why it could not be done.

use std::net::IpAddr;
use std::time::Duration;

use super::dial::{Dial, can_come_from};
use super::{Address, EngineKind};

/// How a drive is to be made.
#[derive(Debug, Clone)]
pub struct Config {
    /// The one address everything is sent to.
    pub addr: Address,
    /// Addresses that connections come from, in turn, of the family of `addr`; the system chooses where
    /// there are none. Each has ports of its own, some 28,000 for one server unless more are allowed
    /// (`net.ipv4.ip_local_port_range`).
    pub from: Vec<IpAddr>,
    /// Connections, at least 1, spread over the threads; a remainder goes to the first ones.
    pub connections: usize,
    /// One thread pinned to each of these CPUs; where empty, [`Self::threads`] that are not
    /// pinned.
    pub cpus: Vec<u32>,
    /// Threads where no CPUs are given, at least 1. There are never more than connections.
    pub threads: usize,
    /// What moves the bytes.
    pub engine: EngineKind,
    /// When requests are sent.
    pub pace: Pace,
    /// Load before the measured window; its latencies are discarded, its errors are not.
    pub warmup: Duration,
    /// The measured window; shorter where `limit` is reached before.
    pub duration: Duration,
    /// Requests sent in all, shared out among the threads: the window ends when all of them
    /// have ended. Only without warm-up; at least 1.
    pub limit: Option<u64>,
    /// The longest a request may take from its actual sending, and a connection to be made.
    pub timeout: Duration,
    /// The length of one entry of the time series.
    pub interval: Duration,
    /// The requests are drawn from it, and so are random arrivals and think times.
    pub seed: u64,
    /// How the requests of an open loop are spread over time.
    pub arrivals: Arrivals,
    /// In a closed loop: from the end of a connection's request to its next.
    pub think: Option<Think>,
    /// Makes a connection for so many requests, at least 1, and closes it behind the last answer;
    /// the last request asks the server to close, unless it has a `Connection` header. A connection is
    /// made when its first request is due, whose latency holds the connecting, in either loop; `wire`
    /// and `connect` tell them apart. Where absent, connections are kept.
    pub requests_per_connection: Option<u32>,
    /// Never sleeps while the load is on. What comes is then taken at once, and not when a thread
    /// that slept has been woken: some microseconds later, on a virtual CPU some tens or hundreds. Each
    /// thread takes a CPU whole, so it should have one that the server does not run on.
    pub spin: bool,
}

impl Config {
    /// A closed loop over 64 connections on one unpinned thread: 1 s of warm-up, 5 s measured,
    /// a timeout of 5 s, intervals of 100 ms, over epoll.
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
            spin: false,
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Pace {
    /// The next request of a connection goes out as soon as its last answer is complete, or
    /// after [`Config::think`].
    Closed,
    /// Requests have fixed send times, whether or not earlier ones were answered.
    Rate {
        /// Requests per second over all connections; finite, above 0, at most 10 million.
        per_second: f64,
    },
    /// The same at a rate that changes: one stage after the other, 1 to 64 of them, which last
    /// as long as [`Config::duration`], without warm-up or limit.
    Stages(Vec<RateStage>),
}

/// The most stages of one drive; each takes up to half a MiB a thread.
pub const MAX_RATE_STAGES: usize = 64;
/// The highest rate, requests per second.
pub const MAX_RATE: f64 = 1e7;
/// The longest think time.
const MAX_THINK: Duration = Duration::from_secs(86_400);

/// A stretch of time in which the rate grows or falls evenly, or stays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateStage {
    /// How long it lasts, above 0.
    pub length: Duration,
    /// Requests per second at its start, over all connections; 0 to 10 million.
    pub from: f64,
    /// The same at its end.
    pub to: f64,
}

impl RateStage {
    /// How many requests are due in it: the integral of its rate.
    pub fn requests(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.length.as_secs_f64()
    }
}

/// How the requests of an open loop are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// At even steps, each connection in its turn.
    Constant,
    /// As independent users come: a Poisson process. Whichever connection is free takes the
    /// next.
    Poisson,
}

/// How long a connection waits after an answer before it sends again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Think {
    /// Always as long; at most a day.
    Fixed(Duration),
    /// Exponentially distributed, with this mean; at most a day.
    Exponential(Duration),
}

impl Think {
    /// Its mean.
    pub fn mean(self) -> Duration {
        match self {
            Self::Fixed(time) | Self::Exponential(time) => time,
        }
    }
}

impl Config {
    /// Whether requests have send times of their own.
    pub fn is_open(&self) -> bool {
        self.pace != Pace::Closed
    }

    /// Whether connections can go there, and come from where they are to.
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
                    "{why}: it is of another address family"
                )));
            }
            can_come_from(*from).map_err(|errno| DriveError::From {
                from: *from,
                cause: errno.into(),
            })?;
        }
        Ok(())
    }

    /// Whether pace, arrivals and think time make sense together.
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
            Pace::Closed | Pace::Rate { .. } => {}
        }
        match self.think {
            Some(_) if self.is_open() => refuse("think time is for a closed loop, without a rate"),
            Some(think) if think.mean() > MAX_THINK => refuse("think time must be at most a day"),
            _ => Ok(()),
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
            return refuse("the stages have no request together: raise a rate or a length");
        }
        if stages.iter().map(|stage| stage.length).sum::<Duration>() != self.duration {
            return refuse("the duration must be that of all stages together");
        }
        if !self.warmup.is_zero() || self.limit.is_some() {
            return refuse("stages go without warm-up and without a limit on requests");
        }
        Ok(())
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// A value of [`Config`] that makes no sense.
    #[error("{0}")]
    Config(String),
    /// Nothing listens at the address.
    #[error("{addr} refused connection {established} of {asked}: is the server listening there?")]
    Refused {
        /// The address asked for.
        addr: Address,
        /// Connections made before.
        established: usize,
        /// Connections asked for.
        asked: usize,
    },
    /// The process may not open enough descriptors.
    #[error(
        "{asked} connections need {needed} file descriptors and the limit is {limit}: \
         run `ulimit -n {needed}` first, or ask for fewer connections"
    )]
    Descriptors {
        /// Connections asked for.
        asked: usize,
        /// The limit (`RLIMIT_NOFILE`) that would do.
        needed: u64,
        /// The limit there is.
        limit: u64,
    },
    /// No local port was free.
    #[error(
        "no local port left after {established} of {asked} connections: widen \
         net.ipv4.ip_local_port_range, come from more addresses (`--bind`), or wait a minute for closed \
         connections to be forgotten"
    )]
    Ports {
        /// Connections made before.
        established: usize,
        /// Connections asked for.
        asked: usize,
    },
    /// No connection can come from that address.
    #[error(
        "connections can't come from {from}: {cause}; an address of this machine is wanted, see `ip address`"
    )]
    From {
        /// The address asked for.
        from: IpAddr,
        /// The system's word for it.
        cause: std::io::Error,
    },
    /// A connection could not be made for another reason.
    #[error("connection {established} of {asked} to {addr} could not be made: {cause}")]
    Connect {
        /// The address asked for.
        addr: Address,
        /// Connections made before.
        established: usize,
        /// Connections asked for.
        asked: usize,
        /// The system's word for it.
        cause: std::io::Error,
    },
    /// The system does not let the load generator use that engine.
    #[error("the engine {engine} can't be used: {why}. `--engine epoll` works on every Linux")]
    NoEngine {
        /// The engine asked for.
        engine: EngineKind,
        /// The cause, and what would mend it.
        why: String,
    },
    /// The stop flag was set before all connections were made.
    #[error("stopped before the load began")]
    Stopped,
    /// The system refused what the engine needs.
    #[error("the load generator's engine failed: {0}")]
    Engine(std::io::Error),
    /// A fault of the load generator itself.
    #[error("a thread of the load generator panicked")]
    Panicked,
}
