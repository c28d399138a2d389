//! Figures of a server's processes, and limits of our own process.
//!
//! A figure that could not be read is absent, never 0. A process that is gone is not an error: finding that
//! out is one of the tasks here.

pub mod affinity;
pub mod limits;
mod memory;
mod newest;
mod process;
mod processes;
mod sockets;
mod tcp;
#[cfg(test)]
mod tests;

pub use memory::{ResidentMemory, resident_memory, tcp_buffers};
pub use processes::{LightSample, Processes, Sample};
pub use sockets::{Listeners, listeners};
pub use tcp::{TcpCounters, tcp_counters};
