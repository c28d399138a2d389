//! The server's app without a socket: `test::init_service` and `Service::call`, as actix-web's documentation tests apps.

#[path = "../src/api.rs"]
mod api;
#[path = "../src/error.rs"]
mod error;

use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::ContentType;
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, Error};
use benchkit::{CALLS, Call, Handlers, LAYERS, SeenResponse, USER, further};
use contract::Store;

/// An app with so many layers around it; each makes another type.
macro_rules! layered {
    ($store:ident $($layer:ident)*) => {
        App::new().configure(|config| api::configure(config, $store))$(.wrap(from_fn($layer)))*
    };
}

fn main() {
    let mut handlers = Handlers::of("actix-web");
    let handlers = &mut handlers;
    let store = Store::leak();
    for call in CALLS {
        time(handlers, "handlers", call.name, call, layered!(store));
    }
    time(handlers, "routes", "9", USER, layered!(store));
    let (before, after) = further();
    let many = App::new()
        .configure(|config| with(config, before))
        .configure(|config| api::configure(config, store))
        .configure(|config| with(config, after));
    time(handlers, "routes", "199", USER, many);
    for layers in LAYERS {
        let case = &layers.to_string();
        match layers {
            0 => time(handlers, "middleware", case, USER, layered!(store)),
            1 => time(handlers, "middleware", case, USER, layered!(store pass_on)),
            2 => time(
                handlers,
                "middleware",
                case,
                USER,
                layered!(store pass_on pass_on),
            ),
            4 => {
                let app = layered!(store pass_on pass_on pass_on pass_on);
                time(handlers, "middleware", case, USER, app);
            }
            8 => {
                let app =
                    layered!(store pass_on pass_on pass_on pass_on pass_on pass_on pass_on pass_on);
                time(handlers, "middleware", case, USER, app);
            }
            more => unimplemented!("{more} layers"),
        }
    }
}

fn time<T>(handlers: &mut Handlers, topic: &str, case: &str, call: Call, app: App<T>)
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<BoxBody>,
            Error = Error,
            InitError = (),
        > + 'static,
{
    let app = handlers.block_on(init_service(app));
    let request = |call| request(call).to_request();
    handlers.time(topic, case, call, request, |request| {
        let called = app.call(request);
        async { seen(&called.await.expect("errors are responses")) }
    });
}

fn request(call: Call) -> TestRequest {
    let request = TestRequest::with_uri(call.target);
    match call.body {
        None => request,
        Some(json) => request
            .method(Method::POST)
            .insert_header(ContentType::json())
            .set_payload(json),
    }
}

fn seen(response: &ServiceResponse<BoxBody>) -> SeenResponse {
    SeenResponse {
        status: response.status().as_u16(),
        bytes: match response.response().body().size() {
            BodySize::Sized(bytes) => Some(bytes),
            _ => None,
        },
    }
}

/// A list and an item for each resource.
fn with(config: &mut ServiceConfig, resources: Vec<String>) {
    for name in resources {
        config
            .service(web::resource(format!("/api/v1/{name}")).route(web::get().to(empty)))
            .service(web::resource(format!("/api/v1/{name}/{{id}}")).route(web::get().to(empty)));
    }
}

async fn empty() -> &'static str {
    ""
}

async fn pass_on(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    next.call(request).await
}
