//! What is stored: the types, the SQLite file and its JSON export.

mod model;
mod paths;
mod store;
mod summary;

pub use model::*;
pub use paths::HiddenPaths;
pub use store::{Store, StoreError};
pub use summary::*;
