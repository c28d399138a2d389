//! The server's app without a socket: `Router::oneshot` on a clone of it, as `axum::serve` calls it for each request.

#[path = "../src/error.rs"]
mod error;
#[path = "../src/extract.rs"]
mod extract;
#[path = "../src/routes.rs"]
mod routes;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use benchkit::{CALLS, Call, Handlers, LAYERS, SeenResponse, USER, further};
use contract::Store;
use tokio::time::sleep;
use tower::ServiceExt as _;

fn main() {
    let mut handlers = Handlers::of("axum");
    let store = Store::leak();
    let app = routes::app(store);
    for call in CALLS {
        time(&mut handlers, "handlers", call.name, call, &app);
    }
    time(&mut handlers, "routes", "9", USER, &app);
    let (before, after) = further();
    let many = with(before).merge(routes::app(store)).merge(with(after));
    time(&mut handlers, "routes", "199", USER, &many);
    for layers in LAYERS {
        let pass_on = |app: Router, _| app.layer(from_fn(pass_on));
        let app = (0..layers).fold(routes::app(store), pass_on);
        time(&mut handlers, "middleware", &layers.to_string(), USER, &app);
    }
}

fn time(handlers: &mut Handlers, topic: &str, case: &str, call: Call, app: &Router) {
    handlers.time(topic, case, call, request, |request| {
        let called = app.clone().oneshot(request);
        async { seen(&called.await.expect("a router never fails")) }
    });
}

fn request(call: Call) -> Request {
    let request = Request::builder().uri(call.target);
    let request = match call.body {
        None => request.body(Body::empty()),
        Some(json) => request
            .method("POST")
            .header(CONTENT_TYPE, "application/json")
            .body(Body::from(json)),
    };
    request.expect("every part is valid")
}

fn seen(response: &Response) -> SeenResponse {
    SeenResponse {
        status: response.status().as_u16(),
        bytes: response.body().size_hint().exact(),
    }
}

/// A list and an item for each resource.
fn with(resources: Vec<String>) -> Router {
    resources.iter().fold(Router::new(), |router, name| {
        router
            .route(&format!("/api/v1/{name}"), get(async || ""))
            .route(&format!("/api/v1/{name}/{{id}}"), get(async || ""))
    })
}

async fn pass_on(request: Request, next: Next) -> Response {
    next.run(request).await
}
