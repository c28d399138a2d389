//! Figures of a server's processes, and limits of our own process.
//!
//! A figure that could not be read is absent, never 0. A process that is gone is not an error: finding that
//! out is one of the tasks here.

pub mod affinity;
mod allocator;
pub mod limits;
mod memory;
mod newest;
mod options;
mod process;
mod processes;
mod sockets;
mod tcp;
#[cfg(test)]
mod tests;
mod threads;

pub use allocator::allocator;
pub use memory::{ResidentMemory, resident_memory, tcp_buffers};
pub use options::{
    ConnectionOptions, ListenerOptions, backlog, connection_options, listener_options,
};
pub use processes::{LightSample, Processes, Sample};
pub use sockets::{Listeners, accepted_by, listeners, waits_for_connections};
pub use tcp::{TcpCounters, tcp_counters};
pub use threads::{busy_threads, thread_times};
