//! The machine, and what distorts measurements on it.
//!
//! Everything here reads files under a [`Root`]. That is `/` in production and a small captured or generated tree
//! in tests, so the code can be tested for machines that nobody has at hand.

mod cgroup;
pub mod cpu_group;
pub mod cpu_list;
mod finding;
mod findings;
mod layout;
mod machine;
mod meter;
mod others;
pub mod probe;
mod recheck;
mod root;
mod topology;

pub use cgroup::{ThrottleMeter, oom_kills};
pub use finding::{CHANGED, CONTROL, DURING, Environment, Finding, Level, Moment, TARGET, UNKNOWN};
pub use findings::{Needs, findings};
pub use layout::{Layout, LayoutError, MAX_CORES_PER_SIDE};
pub use machine::{MachineDifference, cpu_model, differences, fingerprint, read};
pub use meter::{Now, StealMeter, Stolen};
pub use others::OthersMeter;
pub use recheck::Recheck;
pub use root::Root;
pub use topology::{Core, Topology, TopologyError, Visible};
