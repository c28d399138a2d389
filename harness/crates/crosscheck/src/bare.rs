//! The minimum cost of a client: it writes requests, reads responses, and does nothing else.
//!
//! One thread cycles through blocking sockets. It waits for no events, checks only the length of a response,
//! and reads the clock once per cycle. A load generator's CPU time above this is its own; none that uses a call
//! for each write and each read can be below it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use catalog::Call;
use loadgen::Client;
use runner::wire;

/// Time limit for a response.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes per read.
const BUFFER: usize = 64 * 1024;

/// Flags of the hidden command.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the server listens
    #[arg(long)]
    addr: SocketAddr,
    /// The path of the GET
    #[arg(long)]
    path: String,
    /// Number of connections
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Stop after this many milliseconds
    #[arg(long)]
    duration_ms: u64,
    /// Stop after this many requests
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
}

/// Drives the server and returns the number of responses as JSON.
///
/// # Errors
/// If a connection fails, or responses differ in length.
pub fn drive(arguments: &Arguments) -> Result<String> {
    let request = wire(
        &Call {
            method: "GET".to_owned(),
            target: arguments.path.clone(),
            headers: Vec::new(),
            body: None,
        },
        arguments.addr,
    );
    // Any later response must be as long as the first.
    let first = Client::new(arguments.addr, TIMEOUT).exchange(&request)?;
    let length = first.wire.len();
    let mut streams = (0..arguments.connections)
        .map(|_| {
            let stream = TcpStream::connect_timeout(&arguments.addr, TIMEOUT)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            Ok(stream)
        })
        .collect::<std::io::Result<Vec<_>>>()
        .context("cannot connect")?;
    let limit = Duration::from_millis(arguments.duration_ms);
    let begin = Instant::now();
    let mut buffer = vec![0; BUFFER];
    for stream in &mut streams {
        stream.write_all(&request)?;
    }
    let mut answers = 0;
    while begin.elapsed() < limit && answers < arguments.requests {
        for stream in &mut streams {
            take(stream, length, &mut buffer)?;
            answers += 1;
            stream.write_all(&request)?;
        }
    }
    let elapsed = begin.elapsed();
    let report = serde_json::json!({
        "answered_total": answers,
        "rate": answers as f64 / elapsed.as_secs_f64(),
        "errors": {},
    });
    Ok(report.to_string())
}

fn take(stream: &mut TcpStream, length: usize, buffer: &mut [u8]) -> Result<()> {
    let mut taken = 0;
    while taken < length {
        match stream.read(buffer) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(read) => taken += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("no complete response arrived"),
        }
    }
    if taken > length {
        bail!("a response is longer than the first ({length} bytes)");
    }
    Ok(())
}
