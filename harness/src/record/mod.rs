//! What is stored: the types, the SQLite file and its JSON export.

mod model;
mod summary;

pub use model::*;
pub use summary::*;
