//! The `harness` command as its users meet it, over real servers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod against;
mod doctor;
mod entries;
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
mod support;
mod unfinished;
mod usage;
