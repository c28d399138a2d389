//! The same microbenchmarks for every server whose framework can be called without a socket.
//!
//! A server's `benches/handlers.rs` says how a request is made and how its app is called. The calls, the further
//! routes and the names are here, so that `harness microbench` can compare servers. A benchmark's id is
//! `TOPIC/SERVER/CASE`, as in `handlers/NAME/users/20`.
//!
//! What is timed is a call of the app: routing, extraction, the handler, serialising, and dropping the response.
//! Requests are made beforehand, 64 at a time. The responses' bodies are whole in memory by then, which a first
//! call checks, with its status.

use criterion::{BatchSize, Criterion};
use tokio::runtime::{Builder, Runtime};

/// Requests made beforehand. So few that they stay in the processor's cache.
const BATCH: BatchSize = BatchSize::NumIterations(64);
/// Further resources of an app with 199 routes, each with a list and an item; the contract has 9 routes.
const RESOURCES: usize = 95;

/// How many layers of middleware are put around the app.
pub const LAYERS: [usize; 5] = [0, 1, 2, 4, 8];

/// A call of the contract.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Its name in tables.
    pub name: &'static str,
    /// Path and query.
    pub target: &'static str,
    /// The JSON to send with POST; a call without one is a GET.
    pub body: Option<&'static str>,
}

/// One user: what routing and middleware are measured with.
pub const USER: Call = get("user", "/api/v1/users/4321");

/// Every call that is measured.
pub const CALLS: [Call; 6] = [
    get("ping", "/ping"),
    USER,
    get("users/1", "/api/v1/users?page=7&limit=1"),
    get("users/20", "/api/v1/users?page=7&limit=20"),
    get("users/100", "/api/v1/users?page=7&limit=100"),
    Call {
        name: "order",
        target: "/api/v1/orders",
        body: Some(r#"{"item_id":"SKU-789","qty":3}"#),
    },
];

const fn get(name: &'static str, target: &'static str) -> Call {
    Call {
        name,
        target,
        body: None,
    }
}

/// Names of the resources of further routes: one half to register before the contract's routes, the other after
/// them. So a router that tries one route after the other needs its average time for a route of the contract.
pub fn further() -> (Vec<String>, Vec<String>) {
    let names = |range: std::ops::Range<usize>| range.map(|n| format!("resource{n}")).collect();
    (names(0..RESOURCES / 2), names(RESOURCES / 2..RESOURCES))
}

/// What a response is checked by.
#[derive(Debug, Clone, Copy)]
pub struct SeenResponse {
    /// Its status.
    pub status: u16,
    /// The size of its body, if the body is whole.
    pub bytes: Option<u64>,
}

/// The benchmarks of one server.
pub struct Handlers {
    criterion: Criterion,
    runtime: Runtime,
    server: &'static str,
}

impl Handlers {
    /// Of the server in the folder of that name. Flags are criterion's.
    ///
    /// # Panics
    /// If there can't be a runtime.
    pub fn of(server: &'static str) -> Self {
        let runtime = Builder::new_current_thread().build();
        Self {
            criterion: Criterion::default().configure_from_args(),
            runtime: runtime.expect("a runtime needs only memory"),
            server,
        }
    }

    /// Runs a future to its end, as an app may need to be made.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Times a call: `request` makes a request and isn't timed, `respond` is.
    ///
    /// # Panics
    /// If the first response has the wrong status, or its body isn't whole.
    pub fn time<R, F: Future<Output = SeenResponse>>(
        &mut self,
        topic: &str,
        case: &str,
        call: Call,
        request: impl Fn(Call) -> R,
        respond: impl Fn(R) -> F,
    ) {
        let seen = self.runtime.block_on(respond(request(call)));
        let due = if call.body.is_some() { 201 } else { 200 };
        assert_eq!(seen.status, due, "{} {topic}/{case}", self.server);
        let whole = seen.bytes.is_some_and(|bytes| bytes > 2);
        assert!(whole, "{} {topic}/{case}: no whole body", self.server);
        let mut group = self
            .criterion
            .benchmark_group(format!("{topic}/{}", self.server));
        group.bench_function(case, |bencher| {
            bencher
                .to_async(&self.runtime)
                .iter_batched(|| request(call), &respond, BATCH);
        });
        group.finish();
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        self.criterion.final_summary();
    }
}
