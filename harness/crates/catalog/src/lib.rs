//! Servers, workloads, sessions, patterns and profiles, parsed once into types that can't hold an invalid value; and the order of trials.

mod bench;
mod extent;
mod header;
pub mod names;
mod pattern;
pub mod plan;
mod profile;
mod server;
mod stage;
mod variant;
mod workload;

pub use bench::Benches;
pub use header::{header_problem, is_token};
pub use pattern::{Pattern, PatternStage, Phase};
pub use profile::{PROFILES, Profile};
pub use server::{
    About, CONTRACT_FLAGS, Catalog, EXTERNAL, PARTIAL, Server, Source, from_manifest, hex,
    is_reserved, sha256,
};
pub use stage::Stage;
pub use variant::{has_other_arguments, is_variant};
pub use workload::session::{Session, SessionStep, StepBody};
pub use workload::{
    Body, CHECKED_CALLS, Call, DISTINCT_CALLS, KEPT_ORDERS, Workload, WorkloadError,
};
