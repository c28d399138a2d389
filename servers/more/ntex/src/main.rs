//! The contract served by ntex.

mod api;
mod error;

use std::io;

use contract::{Flags, HEAD_LIMIT, Store};
use ntex::SharedCfg;
use ntex::http::HttpServiceConfig;
use ntex::time::Seconds;
use ntex::web::{self, App, HttpServer};

use crate::error::ContractErrors;

/// How long a half-sent request or a slow reader may hold up the exit after SIGTERM.
const GRACE: Seconds = Seconds(3);

#[ntex::main]
async fn main() -> io::Result<()> {
    let flags = Flags::read();
    let listener = contract::bind(flags.addr);
    let store = Store::leak();
    let head_limit = Seconds::checked_new(HEAD_LIMIT.as_secs() as usize);
    let http = HttpServiceConfig::new()
        .set_keepalive_timeout(head_limit)
        .set_client_timeout(head_limit);

    HttpServer::new(async move || {
        App::with(ContractErrors)
            .configure(|config| api::configure(config, store))
            .default_service(web::route().to(api::not_found))
    })
    .workers(flags.workers.get())
    .config(SharedCfg::new("contract").add(http))
    .shutdown_timeout(GRACE)
    .listen(listener)?
    .run()
    .await
}
