//! The contract served by salvo: one `Server` on a tokio runtime of `--workers` threads.

mod error;
mod routes;

use std::io;
use std::time::Duration;

use contract::{Flags, HEAD_LIMIT, Store};
use salvo::Server;
use salvo::conn::tcp::TcpAcceptor;
use salvo::fuse::FuseConfig;
use tokio::net::TcpListener;
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
    let acceptor = TcpAcceptor::try_from(TcpListener::from_std(listener)?)?;
    // It runs on idle connections too, which salvo's own 30 s would cut off.
    let limits = FuseConfig::default().with_http1_header_timeout(HEAD_LIMIT);
    let server = Server::new(acceptor).fuse_config(limits);
    let handle = server.handle();
    tokio::spawn(async move {
        shutdown_signal().await;
        handle.stop_graceful(GRACE);
    });
    server.try_serve(routes::service(Store::leak())).await
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
