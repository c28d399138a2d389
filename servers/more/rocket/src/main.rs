//! The contract served by Rocket, on a tokio runtime of `--workers` threads.

mod error;
mod routes;

use std::io;
use std::process::ExitCode;

use contract::{Flags, MAX_BODY_BYTES, Store};
use rocket::config::{LogLevel, Shutdown};
use rocket::data::{Limits, ToByteUnit};
use rocket::error::ErrorKind;
use rocket::{Config, tokio};

fn main() -> io::Result<ExitCode> {
    let flags = Flags::read();
    let config = Config {
        address: flags.addr.ip(),
        port: flags.addr.port(),
        limits: Limits::default().limit("json", MAX_BODY_BYTES.bytes()),
        // The exit waits this many seconds for requests, then for connections to close.
        shutdown: Shutdown {
            grace: 2,
            mercy: 1,
            ..Shutdown::default()
        },
        log_level: LogLevel::Off,
        ..Config::release_default()
    };
    // Not `#[launch]`, whose runtime has as many threads as `Rocket.toml` or the environment says.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.workers.get())
        .enable_all()
        .build()?;
    let launch = routes::rocket(config, Store::leak()).launch();
    // Spawned, so that the workers accept connections too; this thread sleeps.
    let launched = runtime.block_on(async { tokio::spawn(launch).await });
    let Err(error) = launched.map_err(io::Error::other)? else {
        return Ok(ExitCode::SUCCESS);
    };
    match error.kind() {
        ErrorKind::Bind(error) => eprintln!("error: cannot listen on {}: {error}", flags.addr),
        _ => eprintln!("error: {error}"),
    }
    Ok(ExitCode::FAILURE)
}
