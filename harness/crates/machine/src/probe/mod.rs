//! Figures read from a server's processes, and what our own process may do.
//!
//! A figure that could not be read is absent, never 0, and a process that is gone is no
//! error: it is one of the things to be found out.

pub mod affinity;
pub mod limits;
mod newest;
mod process;
mod processes;
mod sockets;
mod tcp;
#[cfg(test)]
mod tests;

pub use processes::{LightSample, Processes, Sample};
pub use sockets::{Listeners, listeners};
pub use tcp::{TcpCounters, tcp_counters};
