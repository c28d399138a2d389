//! `soak.json`: what a server holds after each of many cycles of load and rest.

use serde::{Deserialize, Serialize};

use super::{Document, Failure, Head};

/// The file's name.
pub const SOAK_FILE: &str = "soak.json";

/// Every server's readings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Soak {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// The workload.
    pub workload: String,
    /// Worker threads of each server.
    pub workers: usize,
    /// Connections of a load.
    pub connections: usize,
    /// Requests per second of a load.
    pub rate_per_s: f64,
    /// Requests per second of a probe, which measures latency.
    pub probe_per_s: f64,
    /// Planned cycles of each server.
    pub cycles: u32,
    /// The load of a cycle, milliseconds.
    pub load_ms: u64,
    /// The rest after it, milliseconds.
    pub rest_ms: u64,
    /// The probe after that, milliseconds.
    pub probe_ms: u64,
    /// Time limit for a start and for a response, milliseconds.
    pub timeout_ms: u64,
    /// Seed of the drawn requests.
    pub seed: u64,
    /// How often it was resumed, each time with new processes.
    pub resumed: u32,
    /// One for each server.
    pub servers: Vec<SoakServer>,
}

/// The readings of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SoakServer {
    /// Its name.
    pub name: String,
    /// The name shown in tables.
    pub display: String,
    /// The version of its framework.
    pub version: Option<String>,
    /// SHA-256 of the binary.
    pub sha256: Option<String>,
    /// Why it could not be measured to the end.
    pub failure: Option<Failure>,
    /// One for each cycle, in order.
    pub readings: Vec<SoakReading>,
}

/// What was read at the end of a cycle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SoakReading {
    /// From 1 up.
    pub cycle: u32,
    /// The process, from 0 up: one more each time the soak was resumed.
    pub process: u32,
    /// Time since that process was ready, seconds.
    pub at_s: f64,
    /// Valid responses of that process before the reading.
    pub requests: u64,
    /// Errors in this cycle's load.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
    /// Resident memory after the rest.
    pub rss_bytes: u64,
    /// Threads after the rest; absent if they can't be read.
    pub threads: Option<u32>,
    /// File descriptors after the rest.
    pub descriptors: Option<u32>,
    /// Median latency of the probe, microseconds.
    pub p50_us: Option<f64>,
    /// 99th percentile of latency of the probe, microseconds.
    pub p99_us: Option<f64>,
}

impl Document for Soak {
    const WHAT: &'static str = "soak";
    const KIND: &'static str = "soak";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

/// A quantity that is read after each cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoakFigure {
    /// Resident memory, bytes.
    Memory,
    /// Threads.
    Threads,
    /// File descriptors.
    Descriptors,
    /// Median latency, microseconds.
    P50,
    /// 99th percentile of latency, microseconds.
    P99,
}

impl SoakFigure {
    /// Every figure, in the order in which they are shown.
    pub const ALL: [Self; 5] = [
        Self::Memory,
        Self::Threads,
        Self::Descriptors,
        Self::P50,
        Self::P99,
    ];

    /// The name used in flags and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Threads => "threads",
            Self::Descriptors => "descriptors",
            Self::P50 => "p50",
            Self::P99 => "p99",
        }
    }

    /// Its value in a reading.
    pub fn of(self, reading: &SoakReading) -> Option<f64> {
        match self {
            Self::Memory => Some(reading.rss_bytes as f64),
            Self::Threads => reading.threads.map(f64::from),
            Self::Descriptors => reading.descriptors.map(f64::from),
            Self::P50 => reading.p50_us,
            Self::P99 => reading.p99_us,
        }
    }
}
