//! The contract served by axum on compio: `cyper_axum::serve` on `--workers` threads, each with a
//! runtime and an io_uring of its own.

// The app of servers/axum: only what runs it differs.
#[path = "../../../axum/src/error.rs"]
mod error;
#[path = "../../../axum/src/extract.rs"]
mod extract;
#[path = "../../../axum/src/routes.rs"]
mod routes;

use std::future::IntoFuture;
use std::io;
use std::net;
use std::panic::resume_unwind;
use std::pin::pin;
use std::thread;
use std::time::Duration;

use axum::ServiceExt;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::response::Response;
use compio::net::TcpListener;
use compio::runtime::Runtime;
use compio::signal::ctrl_c;
use compio::signal::unix::signal;
use contract::{Flags, Store};
use futures_util::TryFutureExt;
use futures_util::future::{Either, select};
use send_wrapper::SendWrapper;
use tower::{Service, service_fn};

/// How long open connections may hold up the exit. cyper-axum itself waits for half-sent requests
/// without a limit.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> io::Result<()> {
    let flags = Flags::read();
    let listener = contract::bind(flags.addr);
    let store = Store::leak();
    let start = |_| {
        let listener = listener.try_clone()?;
        Ok(thread::spawn(move || {
            Runtime::new()?.block_on(serve(listener, store))
        }))
    };
    let workers = (0..flags.workers.get()).map(start);
    let workers: Vec<_> = workers.collect::<io::Result<_>>()?;
    // The port closes when the last worker lets go of it.
    drop(listener);
    workers
        .into_iter()
        .try_for_each(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
}

async fn serve(listener: net::TcpListener, store: &'static Store) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let app = routes::app(store);
    // Around the whole app: `Router::layer` would box the future of each request once more.
    let app = service_fn(move |request: Request| {
        let has_body = !request.body().is_end_stream();
        let response = app.clone().call(request);
        response.map_ok(move |response| announce_close(has_body, response))
    });
    let served = cyper_axum::serve(listener, ServiceExt::<Request>::into_make_service(app))
        .with_graceful_shutdown(shutdown_signal())
        .into_future();
    let overdue = pin!(async {
        shutdown_signal().await;
        sleep(GRACE).await;
    });
    match select(served, overdue).await {
        Either::Left((served, _)) => served,
        Either::Right(((), _)) => Ok(()),
    }
}

/// Adds `Connection: close` to a response for which a body is left unread: unless the rest has
/// arrived already, hyper closes the connection after it, but doesn't say so.
fn announce_close(has_body: bool, mut response: Response) -> Response {
    let unread = matches!(
        response.status(),
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    if has_body && unread {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// compio's timer. It isn't `Send`, as axum's handlers must be; but a request stays on its worker's thread.
fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
    SendWrapper::new(compio::time::sleep(time))
}

/// Resolves on SIGTERM or SIGINT.
async fn shutdown_signal() {
    let (terminate, interrupt) = (pin!(signal(libc::SIGTERM)), pin!(ctrl_c()));
    let (received, _) = select(terminate, interrupt).await.factor_first();
    received.expect("a signal handler can be installed");
}
