//! One file per verb, each thin: flags in, a few calls, words out.

pub mod bench;
pub mod build;
pub mod check;
pub mod doctor;
pub mod drive;
pub mod list;
mod machine;
mod progress;
pub mod report;
mod results;
