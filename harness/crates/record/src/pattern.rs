//! `patterns.json`: how servers bear load that changes over time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Failure, Head};

/// The file's name.
pub const PATTERNS_FILE: &str = "patterns.json";

/// Every server under every pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patterns {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// The workload of the patterns without requests of their own.
    pub workload: String,
    /// Worker threads of each server.
    pub workers: usize,
    /// Connections of the load.
    pub connections: usize,
    /// The base rate, requests per second.
    pub base_per_s: f64,
    /// Fresh processes for each server and pattern.
    pub rounds: u32,
    /// Time limit for a response, milliseconds.
    pub timeout_ms: u64,
    /// Seed of the drawn requests and of random arrivals.
    pub seed: u64,
    /// What was applied.
    pub patterns: Vec<PatternShape>,
    /// One for each server, pattern and round, in the order of measuring.
    pub runs: Vec<PatternRun>,
}

/// A pattern at the base rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatternShape {
    /// Its name.
    pub name: String,
    /// A one-line description.
    pub about: String,
    /// Whether requests came at random (a Poisson process), not at even intervals.
    pub poisson: bool,
    /// Whether it has requests of its own.
    pub own_requests: bool,
    /// The length of an interval, milliseconds.
    pub interval_ms: u64,
    /// Its stages.
    pub stages: Vec<PatternPart>,
}

/// A stage of a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatternPart {
    /// Its length, milliseconds.
    pub length_ms: u64,
    /// Requests per second at its start.
    pub from_per_s: f64,
    /// Requests per second at its end; linear between them.
    pub to_per_s: f64,
    /// `before`, `burst` or `after`; absent in patterns without a burst.
    pub phase: Option<String>,
}

/// A server under a pattern, in a process of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PatternRun {
    /// The pattern's name.
    pub pattern: String,
    /// The server's name.
    pub server: String,
    /// The name shown in tables.
    pub display: String,
    /// The version of its framework.
    pub version: Option<String>,
    /// SHA-256 of the binary.
    pub sha256: Option<String>,
    /// From 1 up.
    pub round: u32,
    /// Why it could not be measured to the end.
    pub failure: Option<Failure>,
    /// By id; see `harness/docs/RECORD.md`.
    pub figures: BTreeMap<String, f64>,
    /// Errors over the whole pattern by kind; without those that didn't occur.
    pub errors: BTreeMap<String, u64>,
    /// The first error.
    pub first_error: Option<String>,
    /// The requests by route, if the pattern has requests of its own.
    pub classes: Vec<PatternClass>,
    /// The time series, in order, without gaps.
    pub intervals: Vec<PatternInterval>,
}

/// The requests of one route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatternClass {
    /// Method and path.
    pub name: String,
    /// Valid responses.
    pub requests: u64,
    /// Errors.
    pub errors: u64,
    /// Median latency, microseconds; absent if nothing ended.
    pub p50_us: Option<f64>,
    /// 99th percentile of latency, microseconds.
    pub p99_us: Option<f64>,
}

/// What ended in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PatternInterval {
    /// Its start, milliseconds from the start of the pattern.
    pub at_ms: u64,
    /// Its length, milliseconds; the last one may be shorter.
    pub length_ms: u64,
    /// Valid responses.
    pub requests: u64,
    /// Errors.
    pub errors: u64,
    /// 99th percentile of latency, microseconds, to two digits; absent if nothing ended.
    pub p99_us: Option<f64>,
    /// Resident memory at about its end; absent if it was not read.
    pub rss_bytes: Option<u64>,
}

impl Document for Patterns {
    const WHAT: &'static str = "measurement of patterns";
    const KIND: &'static str = "patterns";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl PatternShape {
    /// How long it takes, milliseconds.
    pub fn length_ms(&self) -> u64 {
        self.stages.iter().map(|stage| stage.length_ms).sum()
    }

    /// When a phase begins and ends, milliseconds from its start; `None` if it has none of that name.
    pub fn phase_ms(&self, phase: &str) -> Option<(u64, u64)> {
        let mut begin = 0;
        let mut found: Option<(u64, u64)> = None;
        for stage in &self.stages {
            let end = begin + stage.length_ms;
            if stage.phase.as_deref() == Some(phase) {
                found = Some((found.map_or(begin, |(first, _)| first), end));
            }
            begin = end;
        }
        found
    }
}

impl Patterns {
    /// The servers in the order of measuring: name and display name.
    pub fn servers(&self) -> Vec<(&str, &str)> {
        let mut servers = Vec::new();
        for run in &self.runs {
            let server = (run.server.as_str(), run.display.as_str());
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers
    }

    /// The runs of a server under a pattern.
    pub fn of<'s>(
        &'s self,
        pattern: &'s str,
        server: &'s str,
    ) -> impl Iterator<Item = &'s PatternRun> + Clone {
        let all = self.runs.iter();
        all.filter(move |run| run.pattern == pattern && run.server == server)
    }
}
