//! The dependency of `GET /api/v1/upstream`: hyper-util's client with its pool of connections.

use std::net::SocketAddr;

use contract::MAX_UPSTREAM_BYTES;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// The dependency, and the connections to it.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Empty<Bytes>>,
    uri: Uri,
}

impl Upstream {
    /// The dependency that listens there, for as long as the process lives.
    pub(crate) fn leak(addr: SocketAddr) -> &'static Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(addr.to_string())
            .path_and_query(PathAndQuery::from_static("/"));
        Box::leak(Box::new(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            uri: uri.build().expect("an address is a valid authority"),
        }))
    }

    /// The body of a response with status 200.
    pub(crate) async fn get(&self) -> Option<Bytes> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let response = self.client.request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(response.into_body(), MAX_UPSTREAM_BYTES);
        Some(body.collect().await.ok()?.to_bytes())
    }
}
