//! The floor of what a client can cost: it writes requests, reads answers, and does nothing else.
//!
//! One thread over blocking sockets that it goes round: no events are waited for, no answer is looked
//! at but for its length, and the clock is read once a lap. CPU time above that is a load generator's own;
//! below it none can come with a call for each write and each read.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use catalog::Call;
use loadgen::Client;
use runner::wire;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What one read may bring.
const BUFFER: usize = 64 * 1024;

/// The hidden verb's flags.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the server listens
    #[arg(long)]
    addr: SocketAddr,
    /// The path of the GET
    #[arg(long)]
    path: String,
    /// How many connections it goes round
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// When it ends
    #[arg(long)]
    duration_ms: u64,
    /// When it ends, if that is earlier
    #[arg(long, default_value_t = u64::MAX)]
    requests: u64,
}

/// Drives and says how many answers came, as JSON.
///
/// # Errors
/// Where a connection fails, or answers differ in length.
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
    // What is as long as the first answer is taken for an answer.
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
            Err(error) => return Err(error).context("no whole answer came"),
        }
    }
    if taken > length {
        bail!("an answer is longer than the first, of {length} bytes");
    }
    Ok(())
}
