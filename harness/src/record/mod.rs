//! What is stored: the types, the SQLite file and its JSON export.

mod crosscheck;
mod engine;
mod entry;
mod export;
mod histogram;
mod model;
mod paths;
mod protocol;
mod schedule;
mod store;
mod summary;

pub use crosscheck::*;
pub use engine::Engine;
pub use entry::{
    BUILD_MARK, CONTROL, EntryKind, TWIN_SUFFIX, base_name, is_control, second_name, shown_name,
};
pub(crate) use export::write_whole;
pub use export::{ExportError, JSON_SCHEMA, read_json, to_json, write_json};
pub use machine::{CHANGED, DURING, Environment, Finding, Level, Moment, UNKNOWN};
pub use model::*;
pub use paths::HiddenPaths;
pub use protocol::*;
pub use schedule::Schedule;
pub use store::{Store, StoreError};
pub use summary::*;
