//! The `harness` command as its users meet it, over real servers.
mod against;
mod cost;
mod doctor;
mod entries;
mod footprint;
mod interleaved;
mod interrupts;
mod kills;
mod machine;
mod metrics;
mod pipeline;
mod profile;
mod respond;
mod resume;
mod supervised;
pub(crate) mod support;
mod unfinished;
mod usage;
