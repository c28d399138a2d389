//! The contract served by warp: `warp::serve` on a tokio runtime of `--workers` threads.

mod error;
mod routes;

use std::io;
use std::time::Duration;

use contract::{Flags, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// How long open connections may hold up the exit. warp itself waits for half-sent requests
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
    let server = warp::serve(routes::routes(Store::leak()))
        .incoming(TcpListener::from_std(listener)?)
        .graceful(shutdown_signal());
    let overdue = async {
        shutdown_signal().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        () = server.run() => {}
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
