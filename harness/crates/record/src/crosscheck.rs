//! What `harness crosscheck` stores: one JSON file, `crosscheck.json`, with the output of every tool.
//!
//! It holds nothing computed: medians, ratios and remarks are derived whenever it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ended, Environment};

/// The version of `crosscheck.json`; incremented by every change that an older reader would misread.
pub const CROSSCHECK_SCHEMA_VERSION: u32 = 1;

/// The tool that only writes requests and reads responses; a lower bound for all others.
pub const BARE: &str = "bare";

/// One crosscheck: several load generators drive the same servers in turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crosscheck {
    /// [`CROSSCHECK_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The name of its folder.
    pub id: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Whether it completed.
    pub ended: Ended,
    /// Version of the harness.
    pub harness_version: String,
    /// The workspace's git revision.
    pub revision: Option<String>,
    /// Its command-line arguments.
    pub command: Vec<String>,
    /// Determines the order.
    pub seed: u64,
    /// Planned drives of each server by each tool at each number of connections.
    pub rounds: u32,
    /// Length of each drive, milliseconds.
    pub duration_ms: u64,
    /// Target requests per second for the tools that can be paced; absent in a closed loop.
    pub rate_per_s: Option<f64>,
    /// The workload.
    pub path: String,
    /// The numbers of connections.
    pub connections: Vec<u32>,
    /// The machine.
    pub environment: Environment,
    /// The tools, including those left out.
    pub tools: Vec<ToolRecord>,
    /// The servers.
    pub servers: Vec<Driven>,
    /// Every drive, in the order they ran.
    pub drives: Vec<Drive>,
    /// System calls of each tool, if counted.
    pub syscalls: Vec<Syscalls>,
    /// How late the load generator sent, if measured.
    pub send_lags: Vec<SendLag>,
    /// Measured and known quantiles, if measured.
    pub accuracy: Vec<Accuracy>,
}

/// One load generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRecord {
    /// The name in tables: `wrk`, or the I/O backend of our load generator.
    pub name: String,
    /// Whether it is our load generator.
    pub ours: bool,
    /// Its version, as it prints it.
    pub version: Option<String>,
    /// Why it was left out, if it was.
    pub left_out: Option<String>,
}

/// A server, whether or not it could be driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driven {
    /// Its name.
    pub name: String,
    /// The version of its framework.
    pub upstream_version: Option<String>,
    /// SHA-256 of its binary.
    pub sha256: Option<String>,
    /// Why it could not be driven.
    pub failure: Option<String>,
}

/// One tool against one server, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drive {
    /// Counts from 1.
    pub round: u32,
    /// The position in the order of all drives, from 0.
    pub position: u32,
    /// The server's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// Number of connections.
    pub connections: u32,
    /// When it was started, nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// What the tool's process used; absent if it could not be started.
    pub process: Option<ProcessCost>,
    /// Connections accepted on this machine while it ran, from any program.
    pub accepted_connections: Option<u64>,
    /// Its result; absent if it failed.
    pub reading: Option<Reading>,
    /// Why there is no result.
    pub failure: Option<String>,
    /// Its command line.
    pub command: Vec<String>,
    /// Its standard output.
    pub output: String,
}

/// Time used by a whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessCost {
    /// Wall time.
    pub wall_ns: u64,
    /// CPU time in user mode.
    pub user_ns: u64,
    /// CPU time in system mode.
    pub system_ns: u64,
}

impl ProcessCost {
    /// Total CPU time.
    pub fn cpu_ns(&self) -> u64 {
        self.user_ns + self.system_ns
    }

    /// CPU time / wall time: 1 is one busy CPU.
    pub fn busy_ratio(&self) -> f64 {
        self.cpu_ns() as f64 / (self.wall_ns as f64).max(1.0)
    }
}

/// The result of a tool, in a common format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Valid responses over its whole lifetime; its CPU time is divided by this.
    pub requests: u64,
    /// Valid responses per second of the measured time.
    pub requests_per_s: f64,
    /// Errors by the tool's own names; requests in flight at the end don't count.
    pub errors: BTreeMap<String, u64>,
    /// Reopened connections, if it counts them.
    pub reconnects: Option<u64>,
    /// Latency.
    pub latency: LatencyReading,
    /// p99 send lag, if it reports it.
    pub send_lag_p99_ns: Option<u64>,
    /// Busy share of its busiest thread without spinning, if it reports it.
    pub busy_ratio: Option<f64>,
}

impl Reading {
    /// Errors of all kinds.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Latency as the tool reports it, nanoseconds; absent if it doesn't.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyReading {
    /// Arithmetic mean.
    pub mean_ns: Option<f64>,
    /// By name: `p50`, `p90`, `p95`, `p99`, `p999`, `max`.
    pub points_ns: BTreeMap<String, f64>,
    /// The resolution of its printed values.
    pub resolution_ns: f64,
}

impl LatencyReading {
    /// A point by its name.
    pub fn point(&self, name: &str) -> Option<f64> {
        self.points_ns.get(name).copied()
    }
}

/// System calls of one tool against one server, from two runs of different length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Syscalls {
    /// The server's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// Number of connections.
    pub connections: u32,
    /// The shorter and the longer run.
    pub runs: Vec<SyscallRun>,
    /// Why there is no result.
    pub failure: Option<String>,
}

/// System calls of one run under strace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallRun {
    /// Responses.
    pub requests: u64,
    /// Calls by name.
    pub calls: BTreeMap<String, u64>,
}

/// How late the load generator sent at a rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SendLag {
    /// The server's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// Counts from 1.
    pub round: u32,
    /// Number of connections.
    pub connections: u32,
    /// Target requests per second.
    pub rate_per_s: f64,
    /// The result; absent if it failed.
    pub reading: Option<Reading>,
    /// Why there is no result.
    pub failure: Option<String>,
    /// Its standard output.
    pub output: String,
}

/// A tool's quantiles of a latency that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// The delays of the server, as in its flag.
    pub delay: String,
    /// The tool's name and its mode.
    pub tool: String,
    /// Whether it is our load generator.
    pub ours: bool,
    /// Number of connections.
    pub connections: u32,
    /// Target requests per second; absent if the tool can't be paced.
    pub rate_per_s: Option<f64>,
    /// The values by the definition of the delays, in nanoseconds, by quantile name.
    pub paper_ns: BTreeMap<String, f64>,
    /// The delays that the server applied, by its own clock.
    pub given_ns: BTreeMap<String, f64>,
    /// The result; absent if it failed.
    pub reading: Option<Reading>,
    /// Why there is no result.
    pub failure: Option<String>,
    /// Its standard output.
    pub output: String,
}
