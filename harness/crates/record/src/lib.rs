//! What is stored: the types, their JSON, and what each figure is.

mod capacity;
mod cost;
mod crosscheck;
mod engine;
mod entry;
mod fairness;
pub mod figure;
mod footprint;
mod head;
mod histogram;
mod json;
mod ladder;
mod microbench;
mod model;
mod paths;
mod pattern;
mod profile;
mod protocol;
mod restart;
mod schedule;
mod soak;
mod summary;
mod upstream;

pub use capacity::*;
pub use cost::*;
pub use crosscheck::*;
pub use engine::Engine;
pub use entry::{
    BUILD_MARK, CONTROL, EntryKind, TARGET, TWIN_SUFFIX, base_name, is_control, second_name,
    shown_name,
};
pub use fairness::*;
pub use footprint::*;
pub use head::Head;
pub use json::{Document, JSON_SCHEMA, to_json};
pub use ladder::*;
pub use machine::{CHANGED, DURING, Environment, Finding, Level, Moment, UNKNOWN};
pub use microbench::*;
pub use model::*;
pub use paths::HiddenPaths;
pub use pattern::*;
pub use profile::*;
pub use protocol::*;
pub use restart::*;
pub use schedule::Schedule;
pub use soak::*;
pub use summary::*;
pub use upstream::*;
