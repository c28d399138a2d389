//! The contract served by actix-web.

mod api;
mod error;
mod upstream;

use std::io;

use actix_web::{App, HttpServer};
use contract::{Flags, HEAD_LIMIT, Special, Store};

/// How long a half-sent request or a slow reader may hold up the exit after SIGTERM.
const SHUTDOWN_SECONDS: u64 = 3;

#[actix_web::main]
async fn main() -> io::Result<()> {
    let flags = Flags::read_with(&[Special::Upstream]);
    let listener = contract::bind(flags.addr);
    let store = Store::leak();

    let app = move || {
        App::new()
            .configure(|config| upstream::configure(config, flags.upstream))
            .configure(|config| api::configure(config, store))
    };
    HttpServer::new(app)
        .workers(flags.workers.get())
        .tcp_nodelay(true)
        .keep_alive(HEAD_LIMIT)
        .client_request_timeout(HEAD_LIMIT)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(listener)?
        .run()
        .await
}
