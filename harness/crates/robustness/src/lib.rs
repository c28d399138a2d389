//! What servers do with clients that nobody would call ordinary: the cases of the protocol matrix,
//! and mutated requests. The referee says what the right answers are.

pub mod fuzz;
pub mod protocol;
