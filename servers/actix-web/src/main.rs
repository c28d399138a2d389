//! The contract served by actix-web.

mod api;
mod error;

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::rt::time::sleep;
use actix_web::{App, HttpServer};
use contract::{Flags, HEAD_LIMIT, Store};

/// How long to go on as before once a signal has come. A graceful stop of actix-web closes
/// a connection on which no request is being answered without looking whether one lies
/// in the socket, so what has arrived is given time to be taken up first.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// How long workers may then take to finish what has begun. Idle connections are closed
/// at once; this is for half-sent requests and slow readers.
const SHUTDOWN_SECONDS: u64 = 2;

#[actix_web::main]
async fn main() -> io::Result<()> {
    let flags = Flags::read();
    let listener = contract::bind(flags.addr);
    let store = Store::leak();

    HttpServer::new(move || App::new().configure(|config| api::configure(config, store)))
        .workers(flags.workers.get())
        .tcp_nodelay(true)
        .keep_alive(HEAD_LIMIT)
        .client_request_timeout(HEAD_LIMIT)
        .shutdown_signal(stop_signal()?)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(listener)?
        .run()
        .await
}

/// Resolves [`LAST_REQUESTS`] after the first SIGTERM or SIGINT; both are heard from the
/// moment this returns. Left to itself, actix-web takes SIGINT as an order to stop without
/// answering what has arrived.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        poll_fn(|cx| {
            let terminated = terminate.poll_recv(cx).is_ready();
            if terminated || interrupt.poll_recv(cx).is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        sleep(LAST_REQUESTS).await;
    })
}
