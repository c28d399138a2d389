//! The contract served by trillium: `trillium-tokio` on a runtime of `--workers` threads.

mod error;
mod extract;
mod routes;

use std::io;
use std::time::Duration;

use contract::{Flags, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// How long open connections may hold up the exit. trillium itself waits for half-sent requests
/// without a limit.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> io::Result<()> {
    let flags = Flags::read();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.workers.get())
        .enable_all()
        .build()?;
    let listener = contract::bind(flags.addr);
    listener.set_nonblocking(true)?;
    // Spawned, so that the workers accept connections too; this thread sleeps.
    let served = runtime.block_on(async { tokio::spawn(serve(listener)).await });
    served.map_err(io::Error::other)?
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    // It stops by itself, gracefully, on the same signals.
    let server = trillium_tokio::config()
        .with_prebound_server(TcpListener::from_std(listener)?)
        .with_nodelay()
        .run_async(routes::app(Store::leak()));
    let overdue = async {
        shutdown_signal().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        () = server => {}
        () = overdue => {}
    }
    Ok(())
}

/// Resolves on SIGTERM or SIGINT.
async fn shutdown_signal() {
    let signal = |kind| signal(kind).expect("a signal handler can be installed");
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
