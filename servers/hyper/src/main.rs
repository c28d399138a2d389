//! The contract served by hyper: its HTTP/1 connections on a tokio runtime of
//! `--workers` threads.

mod response;
mod routes;
mod upstream;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use contract::{Flags, HEAD_LIMIT, Special, Store};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::upstream::Upstream;

/// Accepting fails mostly because descriptors have run out, which only time brings back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long open connections may hold up the exit. hyper itself waits for half-sent bodies
/// without a limit.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> io::Result<()> {
    let flags = Flags::read_with(&[Special::Upstream]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.workers.get())
        .enable_all()
        .build()?;
    let listener = contract::bind(flags.addr);
    listener.set_nonblocking(true)?;
    // Spawned, so that the workers accept connections too; this thread sleeps.
    let served = runtime.block_on(async { tokio::spawn(serve(listener, flags.upstream)).await });
    served.map_err(io::Error::other)?
}

/// Serves until a signal asks to stop. An error of one connection ends that one alone.
async fn serve(listener: std::net::TcpListener, upstream: Option<SocketAddr>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let store = Store::leak();
    let upstream = upstream.map(Upstream::leak);
    let mut http = http1::Builder::new();
    // Without a timer there is no limit. It runs on idle connections too, which hyper's own
    // 30 s would cut off.
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT);
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown_signal());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        // Fails only if the client is gone already, and reading will tell.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| async move {
            Ok::<_, Infallible>(routes::app(store, upstream, request).await)
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off or doesn't speak HTTP: nobody is left to be told.
            let _ = connection.await;
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(GRACE) => {}
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
