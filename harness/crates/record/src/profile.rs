//! `profile.json`: where a server's time goes, and where it allocates.

use serde::{Deserialize, Serialize};

use super::{Document, Failure, Head};

/// The file's name.
pub const PROFILE_FILE: &str = "profile.json";

/// The profiles of some servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// Worker threads of each server.
    pub workers: usize,
    /// Seed of the drawn requests.
    pub seed: u64,
    /// One for each server.
    pub servers: Vec<ServerProfile>,
}

/// The profiles of one server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerProfile {
    /// Its name.
    pub name: String,
    /// The name shown in tables.
    pub display: String,
    /// The version of its framework.
    pub version: Option<String>,
    /// SHA-256 of the binary.
    pub sha256: Option<String>,
    /// Why nothing could be profiled.
    pub failure: Option<Failure>,
    /// One for each workload.
    pub workloads: Vec<WorkloadProfile>,
}

/// The profile of one server under one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadProfile {
    /// The workload.
    pub name: String,
    /// `perf` or `callgrind`.
    pub tool: String,
    /// What is counted: `instructions`, or what perf samples by, as in `cycles`.
    pub event: String,
    /// Instructions or samples in all.
    pub total: u64,
    /// Requests answered meanwhile.
    pub requests: u64,
    /// Requests per second, if they were sent at a fixed rate; otherwise one was sent after the other.
    pub rate: Option<f64>,
    /// Every kind of work, in the order of the table of classes.
    pub classes: Vec<ClassShare>,
    /// Every function with a cost of its own, the most expensive first.
    pub functions: Vec<HotFunction>,
    /// Where it allocates.
    pub allocations: Option<Allocated>,
    /// Why [`Self::allocations`] is absent.
    pub no_allocations: Option<String>,
    /// The flame graph's file, relative to the folder.
    pub flame_graph: String,
    /// The file of folded stacks, relative to the folder.
    pub folded: String,
}

/// The part of one kind of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassShare {
    /// As in `routing`.
    pub class: String,
    /// What it is, for people.
    pub about: String,
    /// The share of all instructions or samples.
    pub share: f64,
}

/// A function with a cost of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HotFunction {
    /// Its name, without a hash.
    pub function: String,
    /// The kind of work that most of its own cost is.
    pub class: String,
    /// The share of its own cost, with what is inlined into it.
    pub own: f64,
    /// The same with everything it calls.
    pub total: f64,
}

/// What a request allocates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Allocated {
    /// Allocations per request, the sum of [`Self::sites`].
    pub per_request: f64,
    /// Allocations per request as counted by the server's own allocator in the same load; absent if the server
    /// has no such build.
    pub counted_per_request: Option<f64>,
    /// Bytes per request, counted likewise.
    pub bytes_per_request: Option<f64>,
    /// Requests of the load.
    pub requests: u64,
    /// Every place that allocates, the most frequent first.
    pub sites: Vec<AllocationSite>,
}

/// A place in the source that allocates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllocationSite {
    /// The compiled function; the code may be inlined into it.
    pub function: String,
    /// As in `a-crate-1.2.3/src/json.rs:206`; empty without debug information.
    pub source: String,
    /// The kind of work it belongs to.
    pub class: String,
    /// Allocations per request.
    pub per_request: f64,
}

impl Document for ProfileRecord {
    const WHAT: &'static str = "profile of servers";
    const KIND: &'static str = "profile";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}
