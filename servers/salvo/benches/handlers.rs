//! The server's service without a socket: `Service::hyper_handler`, as salvo's `Server` calls it for each request.

#[path = "../src/error.rs"]
mod error;
#[path = "../src/routes.rs"]
mod routes;

use benchkit::{CALLS, Call, Handlers, LAYERS, SeenResponse, USER, further};
use contract::Store;
use salvo::conn::SocketAddr;
use salvo::http::header::CONTENT_TYPE;
use salvo::http::uri::Scheme;
use salvo::http::{ReqBody, ResBody};
use salvo::hyper::body::Body as _;
use salvo::hyper::service::Service as _;
use salvo::hyper::{Request as HyperRequest, Response as HyperResponse};
use salvo::prelude::*;

fn main() {
    let mut handlers = Handlers::of("salvo");
    let store = Store::leak();
    let app = routes::service_of(routes::router(store));
    for call in CALLS {
        time(&mut handlers, "handlers", call.name, call, &app);
    }
    time(&mut handlers, "routes", "9", USER, &app);
    let (before, after) = further();
    let router = Router::new()
        .push(with(before))
        .push(routes::router(store))
        .push(with(after));
    let many = routes::service_of(router);
    time(&mut handlers, "routes", "199", USER, &many);
    for layers in LAYERS {
        let app = (0..layers).fold(routes::service_of(routes::router(store)), |app, _| {
            app.hoop(pass_on)
        });
        time(&mut handlers, "middleware", &layers.to_string(), USER, &app);
    }
}

fn time(handlers: &mut Handlers, topic: &str, case: &str, call: Call, app: &Service) {
    let handler = app.hyper_handler(
        SocketAddr::Unknown,
        SocketAddr::Unknown,
        Scheme::HTTP,
        None,
        ConnCtrl::new(),
        None,
    );
    handlers.time(topic, case, call, request, |request| {
        let called = handler.call(request);
        async { seen(&called.await.expect("errors are responses")) }
    });
}

fn request(call: Call) -> HyperRequest<ReqBody> {
    let request = HyperRequest::builder().uri(call.target);
    let request = match call.body {
        None => request.body(ReqBody::None),
        Some(json) => request
            .method("POST")
            .header(CONTENT_TYPE, "application/json")
            .body(json.into()),
    };
    request.expect("every part is valid")
}

fn seen(response: &HyperResponse<ResBody>) -> SeenResponse {
    SeenResponse {
        status: response.status().as_u16(),
        bytes: response.body().size_hint().exact(),
    }
}

/// A list and an item for each resource.
fn with(resources: Vec<String>) -> Router {
    let api = Router::with_path("api/v1");
    resources.into_iter().fold(api, |api, name| {
        let item = Router::with_path("{id}").get(empty);
        api.push(Router::with_path(name).get(empty).push(item))
    })
}

#[handler]
async fn empty() -> &'static str {
    ""
}

#[handler]
async fn pass_on(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    ctrl.call_next(req, depot, res).await;
}
