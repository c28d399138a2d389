//! The contract's routes. Those that answer 501 are not written yet.

use contract::{ApiError, Store};

use crate::http::{Request, Response};

/// Everything the server answers, over this store. The store never blocks.
pub(crate) fn app(store: &Store, request: &Request<'_>) -> Response {
    handle(store, request).unwrap_or_else(|error| Response::failed(&error))
}

/// One match on path and method. Use your framework's router if it has one.
fn handle(store: &Store, request: &Request<'_>) -> Result<Response, ApiError> {
    let path = request.target.split('?').next().unwrap_or_default();
    let (parent, id) = path.rsplit_once('/').unwrap_or_default();
    let is_get = matches!(request.method, "GET" | "HEAD");
    let is_post = request.method == "POST";
    match (path, parent) {
        ("/ping", _) if is_get => Ok(Response::json(200, &store.ping())),

        // store.user(parse_id(id)?)
        (_, "/api/v1/users") if is_get && !id.is_empty() => Ok(todo("GET /api/v1/users/{id}")),
        // UsersParams from the query with serde_urlencoded, then store.users(params.validate()?)
        ("/api/v1/users", _) if is_get => Ok(todo("GET /api/v1/users")),
        // is_json(request.content_type), request.body of at most MAX_BODY_BYTES, OrderRequest from it with
        // serde_json, then 201 with store.place(request.validate()?)
        ("/api/v1/orders", _) if is_post => Ok(todo("POST /api/v1/orders")),
        // store.order(parse_id(id)?)
        (_, "/api/v1/orders") if is_get && !id.is_empty() => Ok(todo("GET /api/v1/orders/{id}")),
        // PageParams from the query, then store.orders(params.validate()?)
        ("/api/v1/orders", _) if is_get => Ok(todo("GET /api/v1/orders")),
        // DownloadParams from the query, then store.users(params.validate()?)
        ("/api/v1/download", _) if is_get => Ok(todo("GET /api/v1/download")),
        // Upload::of(request.body), which has at most MAX_UPLOAD_BYTES
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

/// The response of a route that is not written yet. Remove it with the last of them.
fn todo(route: &str) -> Response {
    let message = format!("{route} is not written yet");
    Response::error(501, "not_implemented", &message)
}
