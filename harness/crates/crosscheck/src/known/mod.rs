//! A server whose latency is known on paper: it holds a load generator to account.
//!
//! `GET /` is answered after a delay drawn from a known distribution, or not before the end of a
//! known stall; `GET /ping` is answered at once, and `GET /given` says which delays were given, by the
//! clock of the server itself. One thread, one epoll set, a heap of what is due: delays on
//! different connections don't wait for each other. With `--spin` it never sleeps, so that what is
//! due is written within about a microsecond; it should then have a CPU of its own.
//!
//! | file | what it holds |
//! |---|---|
//! | `delay` | the distributions, and their quantiles on paper |
//! | `given` | the delays given |
//! | `desk` | the thread: connections, what is due, answers |

mod delay;
mod desk;
mod given;

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

pub(super) use delay::Delay;
use desk::Desk;

/// Where the delays given are told.
pub(super) const GIVEN: &str = "/given";
/// The quantiles that are compared, by their names.
pub(super) const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// The hidden verb's flags.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on; with port 0 the chosen address is the first line of stdout
    #[arg(long)]
    pub addr: SocketAddr,
    /// constant:TIME, exponential:MEAN, two-humped:SHORT:LONG or stall:LENGTH:EVERY
    #[arg(long)]
    pub delay: Delay,
    /// Delays are drawn from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Never sleep
    #[arg(long)]
    pub spin: bool,
}

/// Serves until SIGTERM or SIGINT, which end the process at once with status 0.
///
/// # Errors
/// Where the address can't be listened on, or the system refuses what serving needs.
pub fn serve(arguments: &Arguments) -> Result<Infallible> {
    for signal in [SIGTERM, SIGINT] {
        let always = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(signal, 0, always)
            .context("cannot install a signal handler")?;
    }
    let listener = TcpListener::bind(arguments.addr)
        .with_context(|| format!("cannot listen on {}", arguments.addr))?;
    if arguments.addr.port() == 0 {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", listener.local_addr()?)?;
        out.flush()?;
    }
    let mut desk = Desk::new(listener, arguments)?;
    Err(desk.run().into())
}
