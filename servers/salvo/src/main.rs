//! The contract served by salvo: one `Server` on a tokio runtime of `--workers` threads.

mod error;
mod routes;
mod stop;

use std::io;

use contract::{Flags, HEAD_LIMIT, Store};
use salvo::Server;
use salvo::conn::tcp::TcpAcceptor;
use salvo::fuse::FuseConfig;
use tokio::net::TcpListener;

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
    served.map_err(io::Error::other)?
}

async fn serve(listener: std::net::TcpListener, signals: Signals) -> io::Result<()> {
    let acceptor = TcpAcceptor::try_from(TcpListener::from_std(listener)?)?;
    // It runs on idle connections too, which salvo's own 30 s would cut off.
    let limits = FuseConfig::default().with_http1_header_timeout(HEAD_LIMIT);
    let server = Server::new(acceptor).fuse_config(limits);
    tokio::spawn(stop::on_signal(signals, server.handle()));
    server.try_serve(routes::service(Store::leak())).await
}
