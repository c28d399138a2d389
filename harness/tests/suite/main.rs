//! The `harness` command and its parts over real servers and stored runs.
//!
//! One program, because most of these tests wait for servers: together they take little longer than the longest.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod cli;
mod compare;
mod drive;
mod protocol;
mod record_and_report;
mod referee;
