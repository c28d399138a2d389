//! The contract served by actix-web.

mod api;
mod error;
mod upstream;

use std::io;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error, HttpServer};
use contract::{Flags, HEAD_LIMIT, Special, Store};

/// How long a half-sent request or a slow reader may hold up the exit after SIGTERM.
const SHUTDOWN_SECONDS: u64 = 3;

#[actix_web::main]
async fn main() -> io::Result<()> {
    let flags = Flags::read_with(&[Special::Middleware, Special::Upstream]);
    let listener = contract::bind(flags.addr);
    let store = Store::leak();

    let app = move || {
        let routes = |config: &mut ServiceConfig| {
            upstream::configure(config, flags.upstream);
            api::configure(config, store);
        };
        App::new().configure(|config| layered(config, flags.middleware, &routes))
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

/// Puts so many layers of middleware around the routes, for `--middleware`. Each is a scope of its
/// own, as every `wrap` makes another type of an app.
fn layered(config: &mut ServiceConfig, layers: u8, routes: &dyn Fn(&mut ServiceConfig)) {
    if layers == 0 {
        return routes(config);
    }
    let inner = |config: &mut ServiceConfig| layered(config, layers - 1, routes);
    config
        .service(web::scope("").wrap(from_fn(pass_on)).configure(inner))
        // A scope without its own has the app's.
        .default_service(web::to(api::not_found));
}

/// Middleware for `--middleware`.
async fn pass_on(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}
