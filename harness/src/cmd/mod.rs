//! One file per verb, each thin: flags in, a few calls, words out.

pub mod build;
pub mod check;
pub mod list;
mod machine;
mod progress;
