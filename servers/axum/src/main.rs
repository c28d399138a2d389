//! The contract served by axum: `axum::serve` on a tokio runtime of `--workers` threads.

mod body;
mod error;
mod routes;
mod stop;

use std::io;

use axum::ServiceExt;
use axum::extract::Request;
use axum::serve::ListenerExt;
use contract::{Flags, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::Layer;
use tower::util::MapResponseLayer;

use crate::stop::Signals;

fn main() -> io::Result<()> {
    let flags = Flags::read();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.workers.get())
        .enable_all()
        .build()?;
    // Before the port is taken: whoever can connect can also stop this process.
    let signals = {
        let _context = runtime.enter();
        Signals::catch()?
    };
    let listener = contract::bind(flags.addr);
    listener.set_nonblocking(true)?;
    // Spawned, so that accepting too is done by the workers; this thread sleeps.
    let served = runtime.block_on(async { tokio::spawn(serve(listener, signals)).await });
    // What is still open has had its time: connections are dropped, not waited for.
    runtime.shutdown_background();
    served.map_err(io::Error::other)?
}

async fn serve(listener: std::net::TcpListener, signals: Signals) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?.tap_io(|stream| {
        // Fails only where the client is gone already, which reading will tell.
        let _ = stream.set_nodelay(true);
    });
    // Around the router, not inside it: `Router::layer` would box each answer once more.
    let app = MapResponseLayer::new(stop::mark_last_answer).layer(routes::app(Store::leak()));
    let app = ServiceExt::<Request>::into_make_service(app);
    let (drained, closing) = oneshot::channel();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        signals.drained().await;
        // Refused only where the server has ended, and then nobody waits.
        let _ = drained.send(());
    });
    let overdue = async {
        if closing.await.is_ok() {
            stop::grace().await;
        }
    };
    tokio::select! {
        served = server => served,
        () = overdue => Ok(()),
    }
}
