//! The contract served by volo-http: one `Server` on a tokio runtime of `--workers` threads.

mod error;
mod extract;
mod routes;

use std::io;
use std::time::Duration;

use contract::{Flags, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;
use volo::net::incoming::DefaultIncoming;
use volo_http::server::Server;

/// How long open connections may hold up the exit. volo-http has no setting for it: it serves on
/// for 2 s, then waits up to 28 s for what is left.
const GRACE: Duration = Duration::from_secs(4);

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

/// Serves until SIGTERM or SIGINT, which volo-http waits for itself.
async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let incoming = DefaultIncoming::from(TcpListener::from_std(listener)?);
    let (stopping, stopped) = oneshot::channel();
    let server = Server::new(routes::app(Store::leak())).register_shutdown_hook(|| {
        Box::pin(async move {
            // Fails only if nobody waits any more.
            let _ = stopping.send(());
        })
    });
    let grace = async {
        match stopped.await {
            Ok(()) => sleep(GRACE).await,
            // The server ended without a signal, and says why.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        served = server.run(incoming) => served.map_err(io::Error::other),
        () = grace => Ok(()),
    }
}
