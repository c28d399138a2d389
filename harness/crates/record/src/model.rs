//! The stored types. Only this module and its siblings define the format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Capacities, Costs, Engine, Environment, Microbenches, Protocol, Restarts, Schedule, Upstreams,
};
use catalog::Stage;

/// The version of `run.sqlite` and `record.json`; incremented by every change that an older reader would
/// misread.
pub const SCHEMA_VERSION: u32 = 4;

/// Figures by name; the name ends in the unit. A figure that could not be read is absent.
pub type Figures = BTreeMap<String, f64>;

/// Everything a run stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The plan of the run, and how it ended.
    pub run: Run,
    /// The machine.
    pub environment: Environment,
    /// Every server of the run, including those that failed before a trial.
    pub servers: Vec<Server>,
    /// Every trial, in the order they ran.
    pub trials: Vec<Trial>,
    /// The protocol matrix: a separate file next to the run's database, and not part of `record.json`.
    #[serde(skip)]
    pub protocol: Option<Protocol>,
    /// What a request costs: a separate file too.
    #[serde(skip)]
    pub costs: Option<Costs>,
    /// What parts take by themselves: a separate file too.
    #[serde(skip)]
    pub micro: Option<Microbenches>,
    /// What other commands measured: separate files too.
    #[serde(skip)]
    pub added: Added,
}

/// Results of other commands that are shown with a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Added {
    /// Of `harness capacity`.
    pub capacities: Option<Capacities>,
    /// Of `harness restart`.
    pub restarts: Option<Restarts>,
    /// Of `harness upstream`.
    pub upstreams: Option<Upstreams>,
}

/// The plan of the run, and how it ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Run {
    /// `<utc>-<rev>`, the folder's name unless `--out` was given.
    pub id: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; absent while running, or if killed.
    pub ended_at: Option<String>,
    /// How it ended.
    pub ended: Ended,
    /// The harness's version.
    pub harness_version: String,
    /// The workspace's git revision, with `-dirty` if it had changes; absent if the workspace is not the root
    /// of a work tree.
    pub revision: Option<String>,
    /// The command line, without the program's path.
    pub command: Vec<String>,
    /// The profile's name.
    pub profile: String,
    /// Determines the requests and the order of trials.
    pub seed: u64,
    /// Rounds planned.
    pub rounds: u32,
    /// Connections in every stage.
    pub connections: u32,
    /// The I/O backend of every trial, including the control's and the calibration's.
    #[serde(default)]
    pub engine: Engine,
    /// How the entries of a round share the time.
    #[serde(default)]
    pub schedule: Schedule,
    /// Discarded time before each measurement, milliseconds.
    pub warmup_ms: u64,
    /// Measured time of a peak trial, milliseconds.
    pub peak_ms: u64,
    /// Measured time of a paced trial, milliseconds.
    pub paced_ms: u64,
    /// The timeout of a request, milliseconds.
    pub timeout_ms: u64,
    /// The limit on the first byte at idle, milliseconds.
    pub first_byte_limit_ms: f64,
    /// The paced rate of each workload, requests per second.
    pub rates_per_s: BTreeMap<String, f64>,
    /// Where the rates come from: `calibration`, or the flag that set them.
    pub rate_source: String,
    /// Each workload's one-line description.
    pub workloads: BTreeMap<String, String>,
    /// SHA-256 of the harness's own program, hexadecimal.
    #[serde(default)]
    pub harness_sha256: Option<String>,
    /// SHA-256 over the requests of each workload's first round, hexadecimal.
    #[serde(default)]
    pub requests_sha256: BTreeMap<String, String>,
    /// The entries of every round, in the plan's order: servers, twins, other builds, the control. Empty in a
    /// record of version 1.
    #[serde(default)]
    pub entries: Vec<String>,
    /// The stages of every round, in the plan's order. Empty in a record of version 1.
    #[serde(default)]
    pub stages: Vec<Stage>,
    /// Time limit for a server's first valid response, milliseconds.
    #[serde(default)]
    pub ready_timeout_ms: Option<u64>,
    /// Rounds continue until every ratio's 95 % interval is within ± this share; absent if not requested.
    #[serde(default)]
    pub precision_ratio: Option<f64>,
    /// Rounds continue for at most this time, milliseconds; absent if the number of rounds is fixed.
    #[serde(default)]
    pub budget_ms: Option<u64>,
    /// What ended the rounds; absent while they continue, and after an interruption.
    #[serde(default)]
    pub stopped_by: Option<StoppedBy>,
    /// When the run was resumed, RFC 3339, UTC.
    #[serde(default)]
    pub resumed_at: Vec<String>,
}

/// What ended the rounds of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoppedBy {
    /// All planned rounds ran.
    Rounds,
    /// Every ratio reached the requested precision.
    Precision,
    /// The time limit was reached.
    Budget,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// It is still running, or was killed.
    #[default]
    Open,
    /// Every planned trial ran.
    Complete,
    /// A signal stopped it.
    Interrupted,
}

/// A server of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its folder's name.
    pub name: String,
    /// The name shown.
    pub display: String,
    /// As in `framework`, `library`, `coroutine`.
    pub class: String,
    /// The crate whose version is shown.
    pub upstream: Option<String>,
    /// That crate's version.
    pub upstream_version: Option<String>,
    /// The build; absent if it was not built.
    pub build: Option<Build>,
    /// What the referee found; absent if it could not check the server.
    pub check: Option<Check>,
    /// Why the server was not measured.
    pub failure: Option<Failure>,
}

/// A built binary.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Build {
    /// The binary, relative to the workspace.
    pub binary: Option<String>,
    /// Cargo features of the server's package.
    pub features: Vec<String>,
    /// The compiler's version string.
    pub rustc: Option<String>,
    /// The cargo profile.
    pub profile: Option<String>,
    /// Cargo settings that affect the build and aren't defaults, by name, as in `rustflags`. Empty if all are
    /// defaults; absent if not read.
    #[serde(default)]
    pub flags: Option<BTreeMap<String, String>>,
    /// Size with symbols, bytes.
    pub size_bytes: Option<u64>,
    /// Size without symbols, bytes.
    pub stripped_bytes: Option<u64>,
    /// SHA-256 of the binary, hexadecimal.
    pub sha256: Option<String>,
    /// Wall time of the build, milliseconds; small if nothing had changed.
    pub build_ms: u64,
}

impl Build {
    /// The flags as text; `None` if unknown.
    pub fn flags_line(&self) -> Option<String> {
        let flags = self.flags.as_ref()?;
        if flags.is_empty() {
            return Some("cargo's defaults".to_owned());
        }
        let words = flags
            .iter()
            .map(|(name, value)| format!("{name} \"{value}\""));
        Some(words.collect::<Vec<_>>().join(", "))
    }
}

/// What the referee found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Checks that passed.
    pub passed: u32,
    /// Checks run.
    pub total: u32,
    /// Median time to the first byte of a warm request at idle, microseconds.
    pub first_byte_us: Option<f64>,
    /// One line for each failed check.
    pub failures: Vec<String>,
    /// Requests that had arrived at SIGTERM and got no byte of a response; absent where the
    /// server was not stopped by the check, or an older harness checked it.
    #[serde(default)]
    pub lost_at_stop: Option<u32>,
    /// Requests that had arrived at SIGTERM.
    #[serde(default)]
    pub sent_at_stop: Option<u32>,
}

/// Why something could not be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where it failed.
    pub step: Step,
    /// The cause, and what to do.
    pub reason: String,
    /// The end of the server's log or of the compiler's output.
    pub log_tail: String,
}

/// A phase of the harness's own work on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Compiling it.
    Build,
    /// Starting it, until its first valid response.
    Boot,
    /// The referee's checks, and the first byte at idle.
    Check,
    /// Checking the response to each request before the measurement.
    Accept,
    /// Under load.
    Drive,
    /// Stopping it.
    Stop,
}

impl Step {
    /// The text after "failed to" in a message.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Boot => "boot",
            Self::Check => "pass the checks",
            Self::Accept => "respond correctly before the load",
            Self::Drive => "handle the load",
            Self::Stop => "stop",
        }
    }
}

/// One stage of one workload for one entry in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Counts from 1; trials of one round are compared with each other.
    pub round: u32,
    /// The position in the run's order, from 0.
    pub position: u32,
    /// The server.
    pub server: String,
    /// The workload.
    pub workload: String,
    /// The stage.
    pub stage: Stage,
    /// Start of the measured window, Unix nanoseconds.
    pub started_unix_ns: i64,
    /// Absent if it was measured.
    pub failure: Option<Failure>,
    /// The figures of this trial.
    pub figures: Figures,
    /// Errors under load by kind; empty if there were none.
    pub errors: BTreeMap<String, u64>,
    /// Description of the first error: request, response, expectation.
    pub first_error: Option<String>,
    /// HDR histograms in nanoseconds.
    pub histograms: BTreeMap<String, Histogram>,
    /// Only in `run.sqlite`; too large for `record.json`.
    #[serde(skip)]
    pub intervals: Vec<Interval>,
}

/// A histogram in HdrHistogram's V2 format (not compressed), base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram {
    /// The encoded bytes.
    #[serde(with = "base64_bytes")]
    pub v2: Vec<u8>,
}

/// One 100 ms interval of a trial.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Its start, Unix nanoseconds.
    pub start_unix_ns: i64,
    /// Its length, nanoseconds.
    pub length_ns: i64,
    /// Requests completed.
    pub requests: u64,
    /// Errors.
    pub errors: u64,
    /// Median latency, nanoseconds.
    pub p50_ns: Option<u64>,
    /// 99th percentile of latency, nanoseconds.
    pub p99_ns: Option<u64>,
    /// Standard deviation of latency, nanoseconds.
    pub jitter_ns: Option<f64>,
    /// CPU time of the server, nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Resident memory of the server at the end, bytes.
    pub rss_bytes: Option<u64>,
    /// Threads of the server at the end.
    pub threads: Option<u32>,
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}
