//! Which routes a server does not have yet.

use reqwest::Method;

use super::subject::{Ask, Subject};

/// What a server answers on a route that nobody wrote: no such path, no such method, or not implemented.
const ABSENT: [u16; 3] = [404, 405, 501];

/// A route that does not answer a plain, valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRoute {
    /// As in `GET /api/v1/users/{id}`.
    pub route: &'static str,
    /// The status of its answer.
    pub status: u16,
}

/// The missing routes but those that it says it `lacks`, in the order in which they are easiest to write. Places an order, if it can.
pub(super) fn missing(subject: &Subject, lacks: &[String]) -> Vec<MissingRoute> {
    let lacks = |route: &str| lacks.iter().any(|lacks| lacks == route);
    let mut found = Vec::new();
    let mut look = |route, status: Option<u16>| {
        let absent = status.filter(|status| ABSENT.contains(status));
        found.extend(absent.map(|status| MissingRoute { route, status }));
    };
    let status = |target: &str| subject.get(target).ok().map(|answer| answer.status);
    look("GET /ping", status("/ping"));
    look("GET /api/v1/users/{id}", status("/api/v1/users/1"));
    look("GET /api/v1/users", status("/api/v1/users"));
    let order = subject.order("SKU-000", 1).ok();
    look(
        "POST /api/v1/orders",
        order.as_ref().map(|answer| answer.status),
    );
    let id = order.and_then(|answer| answer.json().ok()?["id"].as_u64());
    let read = status(&format!("/api/v1/orders/{}", id.unwrap_or(1)));
    // Without an order, 404 is a right answer.
    look(
        "GET /api/v1/orders/{id}",
        read.filter(|status| id.is_some() || *status != 404),
    );
    look("GET /api/v1/orders", status("/api/v1/orders"));
    if !lacks("download") {
        look("GET /api/v1/download", status("/api/v1/download?limit=1"));
    }
    if !lacks("upload") {
        let upload = Ask::new(Method::POST, "/api/v1/upload").with_body(None, "1");
        look(
            "POST /api/v1/upload",
            subject.ask(&upload).ok().map(|answer| answer.status),
        );
    }
    if !lacks("compressed") {
        look(
            "GET /api/v1/compressed",
            status("/api/v1/compressed?limit=1"),
        );
    }
    if !lacks("wait") {
        look("GET /api/v1/wait", status("/api/v1/wait?ms=0"));
    }
    if !lacks("upstream") {
        look("GET /api/v1/upstream", status("/api/v1/upstream"));
    }
    found
}
