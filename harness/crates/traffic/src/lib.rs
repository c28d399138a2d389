//! What servers do under load that `bench` doesn't apply: more of it, less of it, load that changes, load for hours.
//!
//! | file | question |
//! |---|---|
//! | `capacity` | up to which rate does it meet an objective? |
//! | `ladder` | how does it go with more connections, more workers, higher rates? |
//! | `pattern` | what does load that changes over time do to it? |
//! | `restart` | what is lost if a new process follows the old one? |
//! | `soak` | what grows over hours of load and rest? |
//! | `upstream` | what latency does it add to that of a dependency? |
//!
//! `served` is one server that was started and checked. `turns` has several of them take turns.

mod capacity;
mod ladder;
mod pattern;
mod restart;
mod served;
mod soak;
mod turns;
mod upstream;

pub use capacity::{
    CapacityRun, SHARES, TrialVerdict, capacity_round, connections_of_overload, time_of_round,
};
pub use ladder::{ladder_round, time_of_ladder};
pub use pattern::{PatternOptions, interval, pattern, stages};
pub use restart::{LEAST_RESTART_RATE, reached, restart, time_of_restart};
pub use served::ServedOptions;
pub use soak::{SoakOptions, Soaked};
pub use turns::{Contender, TrialOptions};
pub use upstream::{Counts, Dependency, UpstreamRun, time_of_upstream, upstream_round};
