//! The contract served by axum: `axum::serve` on a tokio runtime of `--workers` threads.

mod error;
mod extract;
mod routes;
mod upstream;

use std::io;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::serve::ListenerExt;
use contract::{Flags, Special, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

/// How long open connections may hold up the exit. axum itself waits for half-sent requests
/// without a limit.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> io::Result<()> {
    let flags = Flags::read_with(&[Special::Middleware, Special::Upstream]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.workers.get())
        .enable_all()
        .build()?;
    let listener = contract::bind(flags.addr);
    listener.set_nonblocking(true)?;
    // Spawned, so that the workers accept connections too; this thread sleeps.
    let served = runtime.block_on(async { tokio::spawn(serve(listener, flags)).await });
    served.map_err(io::Error::other)?
}

async fn serve(listener: std::net::TcpListener, flags: Flags) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?.tap_io(|stream| {
        // Fails only if the client is gone already, and reading will tell.
        let _ = stream.set_nodelay(true);
    });
    let app = routes::app(Store::leak()).merge(upstream::app(flags.upstream));
    let app = (0..flags.middleware).fold(app, |app, _| app.layer(from_fn(pass_on)));
    let overdue = async {
        shutdown_signal().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        served = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()) => served,
        () = overdue => Ok(()),
    }
}

/// Middleware for `--middleware`.
async fn pass_on(request: Request, next: Next) -> Response {
    next.run(request).await
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
