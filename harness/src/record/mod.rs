//! What is stored: the types, the SQLite file and its JSON export.

mod model;

pub use model::*;
