//! The contract served by axum: `axum::serve` on a tokio runtime of `--workers` threads.

mod error;
mod routes;

use std::io;
use std::time::Duration;

use axum::serve::ListenerExt;
use contract::{Flags, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// How long open connections may hold up the exit once a stop was asked for; the
/// contract allows 5 s in all.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> io::Result<()> {
    let flags = Flags::read();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.workers.get())
        .enable_all()
        .build()?;
    // The handlers are in place before the port is: who can connect can also stop us.
    let stop = {
        let _context = runtime.enter();
        Stop::new()?
    };
    let listener = contract::bind(flags.addr);
    listener.set_nonblocking(true)?;
    // Spawned, so that accepting too is the workers' task and this thread sleeps.
    let served = runtime.block_on(async { tokio::spawn(serve(listener, stop)).await });
    runtime.shutdown_background();
    served.map_err(io::Error::other)?
}

async fn serve(listener: std::net::TcpListener, stop: Stop) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?.tap_io(|stream| {
        // Fails only where the peer is gone already.
        let _ = stream.set_nodelay(true);
    });
    let (stopping, stop_asked) = oneshot::channel();
    let server = axum::serve(listener, routes::app(Store::leak())).with_graceful_shutdown(async {
        stop.asked().await;
        let _ = stopping.send(());
    });
    tokio::select! {
        served = server => served,
        () = async { let _ = stop_asked.await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
