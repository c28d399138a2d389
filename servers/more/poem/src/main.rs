//! The contract served by poem: one `Server` on a tokio runtime of `--workers` threads.

mod error;
mod extract;
mod routes;

use std::io;
use std::time::Duration;

use contract::{Flags, HEAD_LIMIT, Store};
use poem::Server;
use poem::listener::TcpAcceptor;
use tokio::signal::unix::{SignalKind, signal};

/// How long open connections may hold up the exit.
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
    Server::new_with_acceptor(TcpAcceptor::from_std(listener)?)
        .idle_timeout(HEAD_LIMIT)
        .run_with_graceful_shutdown(routes::app(Store::leak()), shutdown_signal(), Some(GRACE))
        .await
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
