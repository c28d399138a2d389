//! The command line every server has, and the one way to take the port.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::process::exit;

use clap::Parser;

/// A reference web server of this workspace; it serves until SIGTERM or SIGINT.
#[derive(Debug, Clone, Parser)]
#[command(version, about)]
pub struct Flags {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub addr: SocketAddr,

    /// Worker threads
    #[arg(long, default_value_t = default_workers())]
    pub workers: NonZeroUsize,
}

impl Flags {
    /// Reads the command line. A bad flag or value is named on the first line of
    /// stderr and ends the process with status 2.
    pub fn read() -> Self {
        Self::parse()
    }
}

fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Binds `addr` for this process alone, as a blocking listener, or names the address
/// on stderr and ends the process with status 1.
///
/// The standard library sets `SO_REUSEADDR` (a port in `TIME_WAIT` can be taken
/// again) and never `SO_REUSEPORT`, so two processes can't share the port.
pub fn bind(addr: SocketAddr) -> TcpListener {
    TcpListener::bind(addr).unwrap_or_else(|error| bind_failed(addr, &error))
}

fn bind_failed(addr: SocketAddr, error: &io::Error) -> ! {
    eprintln!("error: cannot listen on {addr}: {error}");
    exit(1)
}
