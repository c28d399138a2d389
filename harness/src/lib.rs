//! The `harness` command: builds, boots, checks, drives and compares web servers.
//!
//! It reads flags, calls the crates in `harness/crates` and prints. `harness/docs/ARCHITECTURE.md` says
//! what each of them holds.

pub mod cli;
pub mod cmd;
pub mod flags;

pub use cli::main;
