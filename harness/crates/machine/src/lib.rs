//! What the machine is, and what spoils a measurement.
//!
//! Everything here reads files under a [`Root`], which is `/` in production and a small
//! captured or made tree in tests, so that no code has to be believed on a machine that
//! nobody has at hand.

mod cgroup;
pub mod cpu_group;
pub mod cpu_list;
mod finding;
mod findings;
mod layout;
mod machine;
mod meter;
mod model;
mod others;
pub mod probe;
mod recheck;
mod root;
mod topology;

pub use cgroup::{ThrottleMeter, oom_kills};
pub use finding::{CHANGED, CONTROL, DURING, Moment, UNKNOWN};
pub use findings::{Needs, findings};
pub use layout::{Layout, LayoutError, MAX_CORES_PER_SIDE};
pub use machine::{MachineDifference, differences, fingerprint, read};
pub use meter::{Now, StealMeter, Stolen};
pub use model::{Environment, Finding, Level};
pub use others::OthersMeter;
pub use recheck::Recheck;
pub use root::Root;
pub use topology::{Core, Known, Topology, TopologyError};
