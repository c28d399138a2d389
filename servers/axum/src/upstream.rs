//! `GET /api/v1/upstream`: hyper-util's client with its pool of connections, as in axum's example `reverse-proxy`.
//! A router of its own, because `routes` is also served on other runtimes.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::uri::{PathAndQuery, Scheme};
use axum::http::{Request, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use contract::{ApiError, MAX_UPSTREAM_BYTES};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::error::Error;

/// The dependency, and the connections to it.
#[derive(Clone)]
struct Upstream {
    client: Client<HttpConnector, Body>,
    uri: Uri,
}

/// The route; `addr` is where the dependency listens.
pub(crate) fn app(addr: Option<SocketAddr>) -> Router {
    let refused = async || Error::from(ApiError::MethodNotAllowed { allow: None });
    Router::new()
        .route("/api/v1/upstream", get(upstream).fallback(refused))
        .with_state(addr.map(Upstream::at))
}

async fn upstream(State(upstream): State<Option<Upstream>>) -> Result<impl IntoResponse, Error> {
    let upstream = upstream.ok_or(ApiError::UpstreamAbsent)?;
    let body = upstream.get().await.ok_or(ApiError::UpstreamFailed)?;
    Ok(([(CONTENT_TYPE, "application/json")], body))
}

impl Upstream {
    fn at(addr: SocketAddr) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(addr.to_string())
            .path_and_query(PathAndQuery::from_static("/"));
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri: uri.build().expect("an address is a valid authority"),
        }
    }

    /// The body of a response with status 200.
    async fn get(self) -> Option<Bytes> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri;
        let response = self.client.request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = Body::new(response.into_body());
        to_bytes(body, MAX_UPSTREAM_BYTES).await.ok()
    }
}
