//! `GET /api/v1/upstream`: hyper-util's client with its pool of connections, which `salvo-proxy` is built on.

use std::net::SocketAddr;

use contract::{ApiError, MAX_UPSTREAM_BYTES};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use salvo::http::header::{CONTENT_TYPE, HeaderValue};
use salvo::http::uri::{PathAndQuery, Scheme, Uri};
use salvo::hyper::Request as HyperRequest;
use salvo::hyper::body::Bytes;
use salvo::prelude::*;

use crate::error::Error;

/// The route; `addr` is where the dependency listens.
pub(crate) fn router(addr: Option<SocketAddr>) -> Router {
    let path = Router::with_path("api/v1/upstream");
    match addr {
        Some(addr) => path.get(Upstream::at(addr)).head(Upstream::at(addr)),
        None => path.get(absent).head(absent),
    }
}

#[handler]
async fn absent() -> Error {
    ApiError::UpstreamAbsent.into()
}

/// The dependency, and the connections to it.
struct Upstream {
    client: Client<HttpConnector, Empty<Bytes>>,
    uri: Uri,
}

#[handler]
impl Upstream {
    async fn handle(&self, res: &mut Response) -> Result<(), Error> {
        let body = self.get().await.ok_or(ApiError::UpstreamFailed)?;
        let json = HeaderValue::from_static("application/json");
        res.headers_mut().insert(CONTENT_TYPE, json);
        res.body(body);
        Ok(())
    }
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
    async fn get(&self) -> Option<Bytes> {
        let mut request = HyperRequest::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let response = self.client.request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(response.into_body(), MAX_UPSTREAM_BYTES);
        Some(body.collect().await.ok()?.to_bytes())
    }
}
