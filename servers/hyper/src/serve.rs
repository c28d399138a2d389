//! Accepting connections, and letting go of them when the process is to stop.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use contract::{HEAD_LIMIT, Store};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::routes;
use crate::stop::{self, Signals};

/// Accepting fails mostly for want of descriptors, which only time brings back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// More connections than a listener's queue holds (`somaxconn`); bounds emptying it.
const QUEUE: usize = 4_096;

/// Serves until a signal asks to stop, and then as long as [`stop`] says.
///
/// # Errors
/// Where the listener can't be used; an error of one connection ends that one alone.
pub(crate) async fn serve(listener: std::net::TcpListener, mut signals: Signals) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let server = Server::new(Store::leak());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => server.spawn(stream),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            () = signals.received() => break,
        }
    }
    server.accept_rest(listener.into_std()?);
    stop::answer_what_arrived().await;
    tokio::select! {
        () = server.connections.shutdown() => {}
        () = stop::grace() => {}
    }
    Ok(())
}

struct Server {
    store: &'static Store,
    http: http1::Builder,
    connections: GracefulShutdown,
}

impl Server {
    fn new(store: &'static Store) -> Self {
        let mut http = http1::Builder::new();
        // Without a timer there is no limit. It runs on idle connections too, which hyper's own
        // 30 s would cut off.
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT);
        Self {
            store,
            http,
            connections: GracefulShutdown::new(),
        }
    }

    fn spawn(&self, stream: TcpStream) {
        // Fails only where the client is gone already, which reading will tell.
        let _ = stream.set_nodelay(true);
        let store = self.store;
        let service = service_fn(move |request| async move {
            let answer = routes::app(store, request).await;
            Ok::<_, Infallible>(stop::mark_last_answer(answer))
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let connection = self.connections.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off or speaks no HTTP: nobody is left to be told.
            let _ = connection.await;
        });
    }

    /// Takes the connections that wait in the listener's queue, which closing it would
    /// reset, and closes it.
    fn accept_rest(&self, listener: std::net::TcpListener) {
        for (stream, _) in (0..QUEUE).map_while(|_| listener.accept().ok()) {
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.spawn(stream);
            }
        }
    }
}
