//! What is stored of the machine.

use serde::{Deserialize, Serialize};

/// The machine, and problems found on it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Environment {
    /// As in `/proc/cpuinfo`.
    pub cpu_model: String,
    /// Logical CPUs online.
    pub logical_cpus: u32,
    /// Physical cores online.
    pub physical_cores: u32,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Release, as `uname -r` prints it.
    pub kernel: String,
    /// `rustc --version`.
    pub rustc: String,
    /// The frequency governor, if there is one.
    pub governor: Option<String>,
    /// The hypervisor or container runtime, if known.
    pub virtualisation: Option<String>,
    /// The clock source.
    pub clock_source: Option<String>,
    /// CPUs given to the server.
    pub server_cpus: Vec<u32>,
    /// CPUs given to the load generator.
    pub driver_cpus: Vec<u32>,
    /// Whether both sides could be pinned.
    pub pinned: bool,
    /// What may distort measurements here, checked before and after the run.
    pub findings: Vec<Finding>,
    /// A hash of everything that must be equal to compare two runs.
    pub fingerprint: String,
}

/// A property of the machine that matters to a measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// A short stable name, as in `governor`.
    pub id: String,
    /// Its severity.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// Why it matters.
    pub why: String,
    /// The command that fixes it, if there is one.
    pub fix: Option<String>,
}

/// The severity of a [`Finding`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// No problem.
    Ok,
    /// Figures may be noisier or lower than the hardware allows.
    Warn,
    /// Figures will be wrong.
    Fail,
}
