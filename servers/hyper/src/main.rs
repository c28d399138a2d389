//! The contract served by hyper: its HTTP/1 connections on a tokio runtime of
//! `--workers` threads.

mod response;
mod routes;
mod serve;
mod stop;

use std::io;

use contract::Flags;

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
    let served = runtime.block_on(async { tokio::spawn(serve::serve(listener, signals)).await });
    // What is still open has had its time: connections are dropped, not waited for.
    runtime.shutdown_background();
    served.map_err(io::Error::other)?
}
