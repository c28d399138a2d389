//! What `harness crosscheck` stores: one JSON file, `crosscheck.json`, with all that every tool said.
//!
//! Nothing computed is in it: medians, ratios and remarks are made from it whenever it is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Ended, Environment};

/// The version of `crosscheck.json`; raised by every change that an older reader would misread.
pub const CROSSCHECK_SCHEMA_VERSION: u32 = 1;

/// The tool that writes requests and reads answers and does nothing else: what no other can undercut.
pub const BARE: &str = "bare";

/// One crosscheck: several load generators in turn against the same servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crosscheck {
    /// [`CROSSCHECK_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The name of its folder.
    pub id: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Whether all of it ran.
    pub ended: Ended,
    /// Of the harness.
    pub harness_version: String,
    /// The workspace's git revision.
    pub revision: Option<String>,
    /// The arguments it was called with.
    pub command: Vec<String>,
    /// The order is drawn from it.
    pub seed: u64,
    /// How often each tool was to drive each server at each number of connections.
    pub rounds: u32,
    /// Of each drive, milliseconds.
    pub duration_ms: u64,
    /// Requests per second asked of the tools that can be paced; none in a closed loop.
    pub rate_per_s: Option<f64>,
    /// What was asked for.
    pub path: String,
    /// The numbers of connections.
    pub connections: Vec<u32>,
    /// The machine.
    pub environment: Environment,
    /// The tools, also those left out.
    pub tools: Vec<ToolRecord>,
    /// The servers.
    pub servers: Vec<Driven>,
    /// Every drive, in the order they ran.
    pub drives: Vec<Drive>,
    /// System calls of each tool, where they were counted.
    pub syscalls: Vec<Syscalls>,
    /// How late the load generator sent, where it was measured.
    pub send_lags: Vec<SendLag>,
    /// Quantiles beside those known on paper, where they were measured.
    pub accuracy: Vec<Accuracy>,
}

/// One load generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRecord {
    /// As in tables: `wrk`, or the engine of the load generator of the harness.
    pub name: String,
    /// Whether it is the load generator of the harness.
    pub ours: bool,
    /// What it says of its own version.
    pub version: Option<String>,
    /// Why it was left out, where it was.
    pub left_out: Option<String>,
}

/// A server that was driven, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driven {
    /// Its name.
    pub name: String,
    /// The version of what it is built on.
    pub upstream_version: Option<String>,
    /// Of its binary.
    pub sha256: Option<String>,
    /// Why it could not be driven.
    pub failure: Option<String>,
}

/// One tool against one server, once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drive {
    /// Counts from 1.
    pub round: u32,
    /// The place in the order in which all drives ran, from 0.
    pub position: u32,
    /// The server's name.
    pub server: String,
    /// The tool's name.
    pub tool: String,
    /// Connections asked for.
    pub connections: u32,
    /// When it was started, nanoseconds since 1970.
    pub started_unix_ns: u64,
    /// What the process of the tool took; absent where it could not be started.
    pub process: Option<ProcessCost>,
    /// Connections that the kernel saw accepted on this machine while it ran, whoever made them.
    pub accepted_connections: Option<u64>,
    /// What it said; absent where it failed.
    pub reading: Option<Reading>,
    /// Why there is no reading.
    pub failure: Option<String>,
    /// Its command line.
    pub command: Vec<String>,
    /// All that it wrote to its standard output.
    pub output: String,
}

/// What a whole process took, from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessCost {
    /// By the clock on the wall.
    pub wall_ns: u64,
    /// CPU time in user mode.
    pub user_ns: u64,
    /// CPU time in system mode.
    pub system_ns: u64,
}

impl ProcessCost {
    /// CPU time of both modes.
    pub fn cpu_ns(&self) -> u64 {
        self.user_ns + self.system_ns
    }

    /// CPU time over time: 1 is one CPU kept busy.
    pub fn busy_ratio(&self) -> f64 {
        self.cpu_ns() as f64 / (self.wall_ns as f64).max(1.0)
    }
}

/// What a tool said, in one form for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Right answers over its whole life: what its CPU time is divided by.
    pub requests: u64,
    /// Right answers per second of the time it measured.
    pub requests_per_s: f64,
    /// By the tool's own names; a request that was in flight at the end is none.
    pub errors: BTreeMap<String, u64>,
    /// Connections made again, where it counts them.
    pub reconnects: Option<u64>,
    /// Latency.
    pub latency: LatencyReading,
    /// How late it sent, 99th percentile, where it says so.
    pub send_lag_p99_ns: Option<u64>,
    /// The share of the time its busiest thread worked, spinning left out, where it says so.
    pub busy_ratio: Option<f64>,
}

impl Reading {
    /// Errors of all kinds.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// Latency as a tool gives it, nanoseconds; what it does not give is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencyReading {
    /// Arithmetic mean.
    pub mean_ns: Option<f64>,
    /// By name: `p50`, `p90`, `p95`, `p99`, `p999`, `max`.
    pub points_ns: BTreeMap<String, f64>,
    /// The step between two values that it can print.
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
    /// Connections asked for.
    pub connections: u32,
    /// The shorter and the longer run.
    pub runs: Vec<SyscallRun>,
    /// Why there are none.
    pub failure: Option<String>,
}

/// System calls of one run under strace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyscallRun {
    /// Requests answered.
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
    /// Connections asked for.
    pub connections: u32,
    /// Requests per second asked for.
    pub rate_per_s: f64,
    /// What was measured; absent where it failed.
    pub reading: Option<Reading>,
    /// Why there is none.
    pub failure: Option<String>,
    /// All that it wrote to its standard output.
    pub output: String,
}

/// A tool's quantiles of a latency that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// The delays of the server, as its flag names them.
    pub delay: String,
    /// The tool's name, and how it was asked.
    pub tool: String,
    /// Whether it is the load generator of the harness.
    pub ours: bool,
    /// Connections asked for.
    pub connections: u32,
    /// Requests per second asked for; none where the tool can't be paced.
    pub rate_per_s: Option<f64>,
    /// What follows from the definition of the delays, nanoseconds by the quantile's name.
    pub paper_ns: BTreeMap<String, f64>,
    /// The delays that the server gave the requests that reached it, by its own clock.
    pub given_ns: BTreeMap<String, f64>,
    /// What was measured; absent where it failed.
    pub reading: Option<Reading>,
    /// Why there is none.
    pub failure: Option<String>,
    /// All that it wrote to its standard output.
    pub output: String,
}
