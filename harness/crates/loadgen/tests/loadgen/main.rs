//! The load generator over real sockets.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod closed;
mod connections;
mod early;
mod errors;
mod exchange;
mod faults;
mod heads;
mod interleaved;
mod load_server;
mod loops;
mod paced;
mod sessions;
mod stuck;
