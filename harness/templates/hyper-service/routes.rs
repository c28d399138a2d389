//! The contract's routes. Those that answer 501 are not written yet.

use contract::{ApiError, Store};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

/// A response whose body is there at once. hyper adds `Content-Length` and `Date`.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Everything the server answers, over this store.
pub(crate) async fn app(store: &'static Store, request: Request<Incoming>) -> Answer {
    handle(store, request)
        .await
        .unwrap_or_else(|error| failed(&error))
}

/// hyper has no router: this is one match on path and method. Use your framework's router if it has one.
async fn handle(store: &'static Store, request: Request<Incoming>) -> Result<Answer, ApiError> {
    let path = request.uri().path();
    let (parent, id) = path.rsplit_once('/').unwrap_or_default();
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_post = request.method() == Method::POST;
    match (path, parent) {
        ("/ping", _) if is_get => Ok(json(StatusCode::OK, &store.ping())),

        // store.user(parse_id(id)?)
        (_, "/api/v1/users") if is_get && !id.is_empty() => Ok(todo("GET /api/v1/users/{id}")),
        // UsersParams from the query with serde_urlencoded, then store.users(params.validate()?)
        ("/api/v1/users", _) if is_get => Ok(todo("GET /api/v1/users")),
        // is_json, at most MAX_BODY_BYTES with http_body_util::Limited, OrderRequest from the body with
        // serde_json, then 201 with store.place(request.validate()?)
        ("/api/v1/orders", _) if is_post => Ok(todo("POST /api/v1/orders")),
        // store.order(parse_id(id)?)
        (_, "/api/v1/orders") if is_get && !id.is_empty() => Ok(todo("GET /api/v1/orders/{id}")),
        // PageParams from the query, then store.orders(params.validate()?)
        ("/api/v1/orders", _) if is_get => Ok(todo("GET /api/v1/orders")),
        // DownloadParams from the query, then store.users(params.validate()?)
        ("/api/v1/download", _) if is_get => Ok(todo("GET /api/v1/download")),
        // At most MAX_UPLOAD_BYTES with http_body_util::Limited, then Upload::of the bytes
        ("/api/v1/upload", _) if is_post => Ok(todo("POST /api/v1/upload")),
        // WaitParams from the query; wait for validate()?.time() with your runtime's timer, so that no worker is
        // blocked; respond with the Wait
        ("/api/v1/wait", _) if is_get => Ok(todo("GET /api/v1/wait")),

        ("/api/v1/orders", _) => Err(no_method("GET, HEAD, POST")),
        ("/api/v1/upload", _) => Err(no_method("POST")),
        ("/ping" | "/api/v1/users" | "/api/v1/download" | "/api/v1/wait", _) => {
            Err(no_method("GET, HEAD"))
        }
        (_, "/api/v1/users" | "/api/v1/orders") if !id.is_empty() => Err(no_method("GET, HEAD")),
        _ => Err(ApiError::NotFound),
    }
}

fn no_method(allow: &'static str) -> ApiError {
    ApiError::MethodNotAllowed { allow: Some(allow) }
}

/// A response with this value as its body.
fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("the contract's types have no maps or errors");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// The response to a request that failed.
fn failed(error: &ApiError) -> Answer {
    let status = StatusCode::from_u16(error.status()).expect("the contract's are valid");
    let mut answer = json(status, &error.body());
    if let Some(methods) = error.allow() {
        let methods = HeaderValue::from_static(methods);
        answer.headers_mut().insert(ALLOW, methods);
    }
    answer
}

/// The response of a route that is not written yet. Remove it with the last of them.
fn todo(route: &str) -> Answer {
    let message = format!("{route} is not written yet");
    let body = json!({"error": {"code": "not_implemented", "message": message}});
    json(StatusCode::NOT_IMPLEMENTED, &body)
}
