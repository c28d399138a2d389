//! Servers, workloads and profiles, parsed once into types that can't be wrong.

mod stage;
mod workload;

pub use stage::Stage;
pub use workload::{Call, DISTINCT_CALLS, Workload, WorkloadError};
