//! What is found of machines, and the scripts that tune them, on trees of files.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod findings;
mod layout;
mod others;
mod recheck;
mod trees;
mod tuning;
