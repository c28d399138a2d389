//! Builds, boots, checks, drives and compares web servers.
//!
//! The way of the data, each arrow one function:
//! `Server → Built → Verified → Trial → Outcome → Record → Summary → Report`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`], [`cmd`] | flags, and one thin file per verb |
//! | [`catalog`] | servers, workloads and profiles, parsed once into types that can't be wrong |
//! | [`figure`] | what each figure is, what it is called and where it is shown |
//! | [`plan`] | which trials, in which order; pure |
//! | [`run`] | build, boot, check and measure one server |
//! | [`conform`] | the referee: its own reading of the contract |
//! | [`load`] | the load generator; knows nothing of servers or reports |
//! | [`probe`], [`environment`] | what is read from a process, and from the machine |
//! | [`record`] | what is stored |
//! | [`stats`], [`judge`] | from samples to intervals, from trials to rows; pure |
//! | [`report`] | one file per format |

pub mod cli;
pub mod cmd;

pub use cli::main;
