//! What is asked of a drive, and why it could not be done.

use std::net::SocketAddr;
use std::time::Duration;

use super::EngineKind;

/// How a drive is to be made.
#[derive(Debug, Clone)]
pub struct Config {
    /// The one address everything is sent to.
    pub addr: SocketAddr,
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
    /// The requests are drawn from it.
    pub seed: u64,
}

impl Config {
    /// A closed loop over 64 connections on one unpinned thread: 1 s of warm-up, 5 s measured,
    /// a timeout of 5 s, intervals of 100 ms, over epoll.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
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
        }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// The next request of a connection goes out as soon as its last answer is complete.
    Closed,
    /// Requests have fixed send times, whether or not earlier ones were answered.
    Rate {
        /// Requests per second over all connections; finite, above 0, at most 10 million.
        per_second: f64,
    },
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
        addr: SocketAddr,
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
         net.ipv4.ip_local_port_range, or wait a minute for closed connections to be forgotten"
    )]
    Ports {
        /// Connections made before.
        established: usize,
        /// Connections asked for.
        asked: usize,
    },
    /// A connection could not be made for another reason.
    #[error("connection {established} of {asked} to {addr} could not be made: {cause}")]
    Connect {
        /// The address asked for.
        addr: SocketAddr,
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
