//! The server's `service_fn` without a socket. hyper has no router, so there is nothing to add routes to.
//! Middleware is a `Service` around a `Service`, as in hyper's guide.

#[path = "../src/response.rs"]
mod response;
#[path = "../src/routes.rs"]
#[allow(unused_imports, reason = "a benchmark leaves out the tests in it")]
mod routes;
#[path = "../src/upstream.rs"]
#[allow(dead_code, reason = "no benchmark has a dependency")]
mod upstream;

use std::convert::Infallible;

use benchkit::{CALLS, Call, Handlers, LAYERS, SeenResponse, USER};
use contract::Store;
use http_body_util::Full;
use hyper::Request;
use hyper::body::{Body as _, Bytes};
use hyper::header::CONTENT_TYPE;
use hyper::service::{Service, service_fn};
use response::Answer;

fn main() {
    let mut handlers = Handlers::of("hyper");
    let handlers = &mut handlers;
    let store = Store::leak();
    let app = service_fn(|request| async {
        Ok::<_, Infallible>(routes::app(store, None, request).await)
    });
    for call in CALLS {
        time(handlers, "handlers", call.name, call, app);
    }
    for layers in LAYERS {
        let case = &layers.to_string();
        match layers {
            0 => time(handlers, "middleware", case, USER, app),
            1 => time(handlers, "middleware", case, USER, PassOn(app)),
            2 => time(handlers, "middleware", case, USER, PassOn(PassOn(app))),
            4 => {
                let app = PassOn(PassOn(PassOn(PassOn(app))));
                time(handlers, "middleware", case, USER, app);
            }
            8 => {
                let app = PassOn(PassOn(PassOn(PassOn(app))));
                let app = PassOn(PassOn(PassOn(PassOn(app))));
                time(handlers, "middleware", case, USER, app);
            }
            more => unimplemented!("{more} layers"),
        }
    }
}

fn time<S>(handlers: &mut Handlers, topic: &str, case: &str, call: Call, app: S)
where
    S: Service<Request<Full<Bytes>>, Response = Answer, Error = Infallible>,
{
    handlers.time(topic, case, call, request, |request| {
        let called = app.call(request);
        async {
            let Ok(response) = called.await;
            seen(&response)
        }
    });
}

fn request(call: Call) -> Request<Full<Bytes>> {
    let request = Request::builder().uri(call.target);
    let request = match call.body {
        None => request.body(Full::default()),
        Some(json) => request
            .method("POST")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(json)),
    };
    request.expect("every part is valid")
}

fn seen(response: &Answer) -> SeenResponse {
    SeenResponse {
        status: response.status().as_u16(),
        bytes: response.body().size_hint().exact(),
    }
}

/// A layer that only passes the call on.
#[derive(Clone, Copy)]
struct PassOn<S>(S);

impl<R, S: Service<R>> Service<R> for PassOn<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, request: R) -> Self::Future {
        self.0.call(request)
    }
}
