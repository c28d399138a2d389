//! A server with known latencies, to test the accuracy of load generators.
//!
//! `GET /` is answered after a delay drawn from a known distribution, or after the end of a known stall.
//! `GET /ping` is answered at once, and `GET /given` reports the actual delays by the server's own clock, and how many
//! requests and connections there were. It is also the dependency of `harness upstream`. One
//! thread, one epoll instance and a heap of due responses: delays on different connections don't wait for each
//! other. With `--spin` it never sleeps, so that a response is written within about a microsecond of its due
//! time; it should then have its own CPU.
//!
//! | file | contents |
//! |---|---|
//! | `delay` | the distributions and their theoretical quantiles |
//! | `given` | the delays as measured by the server |
//! | `desk` | the thread: connections, due times, responses |

mod delay;
mod desk;
mod given;

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use loadgen::Client;
use runner::Launch;
use signal_hook::consts::{SIGINT, SIGTERM};

pub use delay::Delay;
use desk::Desk;

/// The path that reports the actual delays, and how many requests and connections there were.
const GIVEN: &str = "/given";
/// The quantiles to compare, by name.
pub(super) const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// How to start it from this program, in this folder.
///
/// # Errors
/// If the path of this program isn't known, or isn't UTF-8.
pub fn launch(delay: &Delay, seed: u64, folder: &Path) -> Result<Launch> {
    let own = std::env::current_exe().context("cannot find the harness's own executable")?;
    let own = own
        .to_str()
        .context("the path of the harness is not UTF-8")?;
    let (delay, seed) = (delay.to_string(), seed.to_string());
    let words = [
        own, "known", "--addr", "{addr}", "--delay", &delay, "--seed", &seed,
    ];
    Ok(Launch {
        command: words.map(str::to_owned).to_vec(),
        folder: folder.to_owned(),
    })
}

/// What a server that was started so reports of the requests so far.
///
/// # Errors
/// If it gives no valid response.
pub fn given(addr: SocketAddr) -> Result<serde_json::Value> {
    let wire = format!("GET {GIVEN} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let answer = Client::new(addr, Duration::from_secs(5))
        .exchange(wire.as_bytes())
        .context("the known-latency server does not report its delays")?;
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Flags of the hidden command.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on; with port 0 the chosen address is the first line of stdout
    #[arg(long)]
    pub addr: SocketAddr,
    /// constant:TIME, exponential:MEAN, two-humped:SHORT:LONG, stall:LENGTH:EVERY or queue:TIME
    #[arg(long)]
    pub delay: Delay,
    /// Seed of the delays
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Never sleep
    #[arg(long)]
    pub spin: bool,
}

/// Serves until SIGTERM or SIGINT, which end the process at once with status 0.
///
/// # Errors
/// If it can't listen on the address, or the system refuses a resource.
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
