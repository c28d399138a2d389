//! Accepts connections and serves each in a task, on a tokio runtime of `--workers` threads.
//! The routes are in `routes.rs`. `http.rs` takes the place of a framework's HTTP.

mod http;
mod routes;

use std::io;
use std::time::Duration;

use contract::{Flags, HEAD_LIMIT, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Accepting fails mostly because descriptors have run out, which only time brings back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// Serves until a signal asks to stop. An error of one connection ends that one alone.
async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let store = Store::leak();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Fails only if the client is gone already, and reading will tell.
                    let _ = stream.set_nodelay(true);
                    connections.spawn(converse(stream, store, stopping.clone()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            // Forgets those that have ended.
            Some(_) = connections.join_next() => {}
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // What is left then is closed as it is.
    let _ = timeout(GRACE, all_ended).await;
    Ok(())
}

/// Answers the requests of one connection, until one side closes it.
async fn converse(
    mut stream: TcpStream,
    store: &'static Store,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let mut stays_open = true;
    while stays_open && !*stopping.borrow() {
        tokio::select! {
            // In this order, a request that has arrived is answered even when stopping.
            biased;
            read = timeout(HEAD_LIMIT, stream.read_buf(&mut input)) => {
                if read?? == 0 {
                    break;
                }
            }
            _ = stopping.changed() => break,
        }
        stays_open = http::serve(&mut input, &mut output, |request| {
            routes::app(store, request)
        });
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}
