//! `GET /api/v1/upstream`: awc, actix-web's own client. Each worker has a client, and so a pool, of its own, as its
//! documentation shows.

use std::net::SocketAddr;

use actix_web::HttpResponse;
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use awc::Client;
use awc::http::StatusCode;
use contract::{ApiError, MAX_UPSTREAM_BYTES};

use crate::api::only;
use crate::error::Error;

/// The dependency of one worker, and its connections to it.
struct Upstream {
    client: Client,
    url: String,
}

/// Puts the route into an `App`; `addr` is where the dependency listens.
pub(crate) fn configure(config: &mut ServiceConfig, addr: Option<SocketAddr>) {
    let upstream = addr.map(|addr| Upstream {
        client: Client::default(),
        url: format!("http://{addr}/"),
    });
    config.service(
        web::resource("/api/v1/upstream")
            .app_data(Data::new(upstream))
            .route(web::get().to(pass_on))
            .default_service(only("GET")),
    );
}

async fn pass_on(upstream: Data<Option<Upstream>>) -> Result<HttpResponse, Error> {
    let upstream = upstream.as_ref().as_ref();
    let upstream = upstream.ok_or(ApiError::UpstreamAbsent)?;
    let body = upstream.get().await.ok_or(ApiError::UpstreamFailed)?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(body))
}

impl Upstream {
    /// The body of a response with status 200.
    async fn get(&self) -> Option<Bytes> {
        let mut response = self.client.get(&self.url).send().await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        response.body().limit(MAX_UPSTREAM_BYTES).await.ok()
    }
}
