//! The contract served by xitca-web.

mod api;
mod error;

use std::io;

use contract::{Flags, HEAD_LIMIT, Store};
use xitca_http::HttpServiceBuilder;
use xitca_http::config::HttpServiceConfig;
use xitca_web::App;
use xitca_web::handler::handler_service;
use xitca_web::route::{get, post};
use xitca_web::service::ServiceExt;

/// How long open connections may hold up the exit after SIGTERM.
const GRACE_SECONDS: u64 = 3;

fn main() -> io::Result<()> {
    let flags = Flags::read();
    let listener = contract::bind(flags.addr);

    let place_order = handler_service(api::place_order).enclosed_fn(api::only_json);
    let app = App::new()
        .with_state(Store::leak())
        .at("/ping", get(handler_service(api::ping)))
        .at("/api/v1/users", get(handler_service(api::users)))
        .at("/api/v1/users/{id}", get(handler_service(api::user)))
        .at(
            "/api/v1/orders",
            get(handler_service(api::orders)).post(place_order),
        )
        .at("/api/v1/orders/{id}", get(handler_service(api::order)))
        .at("/api/v1/wait", get(handler_service(api::wait)))
        .at("/api/v1/download", get(handler_service(api::download)))
        .at("/api/v1/upload", post(handler_service(api::upload)))
        .enclosed_fn(error::as_the_contract)
        .finish();
    let http = HttpServiceConfig::new()
        .keep_alive_timeout(HEAD_LIMIT)
        .request_head_timeout(HEAD_LIMIT);

    // What `App::serve` does, except that its `HttpServer` has no shutdown timeout.
    xitca_server::Builder::new()
        .worker_threads(flags.workers.get())
        .shutdown_timeout(GRACE_SECONDS)
        .listen(
            "contract",
            listener,
            app.enclosed(HttpServiceBuilder::with_config(http)),
        )
        .build()
        .wait()
}
