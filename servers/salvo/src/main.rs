//! The contract served by salvo: one `Server` on a tokio runtime of `--workers` threads.

mod error;
mod routes;
mod upstream;

use std::io;
use std::time::Duration;

use contract::{Flags, HEAD_LIMIT, Special, Store};
use salvo::conn::tcp::TcpAcceptor;
use salvo::fuse::FuseConfig;
use salvo::prelude::*;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long open connections may hold up the exit.
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
    let acceptor = TcpAcceptor::try_from(TcpListener::from_std(listener)?)?;
    // It runs on idle connections too, which salvo's own 30 s would cut off.
    let limits = FuseConfig::default().with_http1_header_timeout(HEAD_LIMIT);
    let server = Server::new(acceptor).fuse_config(limits);
    let handle = server.handle();
    tokio::spawn(async move {
        shutdown_signal().await;
        handle.stop_graceful(GRACE);
    });
    let router = routes::router(Store::leak()).push(upstream::router(flags.upstream));
    let service = (0..flags.middleware).fold(routes::service_of(router), |service, _| {
        service.hoop(pass_on)
    });
    server.try_serve(service).await
}

/// Middleware for `--middleware`.
#[handler]
async fn pass_on(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    ctrl.call_next(req, depot, res).await;
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
