//! The load generator as a command: `harness drive` against small servers, and `harness crosscheck`.

mod command;
mod crosscheck;
mod find;
mod impair;
mod import;
mod inputs;
mod limits;
#[path = "../../../crates/loadgen/tests/loadgen/load_server/mod.rs"]
mod load_server;
mod modes;
mod program;
mod replay;
mod retries;
mod sessions;
