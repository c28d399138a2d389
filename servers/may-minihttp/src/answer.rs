//! Writing an answer into the framework's response.

use bytes::BufMut;
use contract::ApiError;
use may_minihttp::Response;
use serde::Serialize;

/// Serialises `body` straight into the response's buffer.
pub(crate) fn json(response: &mut Response, body: &impl Serialize) {
    response.header("Content-Type: application/json");
    serde_json::to_writer(response.body_mut().writer(), body)
        .expect("the contract's types serialise, and a buffer in memory takes it all");
}

/// Answers with the error envelope, or, where the request was a HEAD, with its head
/// alone: the framework would send a body and the client would take it for the next
/// response.
pub(crate) fn error(response: &mut Response, error: &ApiError, head_only: bool) {
    let status = error.status();
    response.status_code(usize::from(status), reason(status));
    if let Some(allow) = error.allow() {
        response.header(allow_header(allow));
    }
    if !head_only {
        json(response, &error.body());
    }
}

/// The reason phrases of RFC 9110, which the framework has none of.
fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        _ => "Error",
    }
}

/// The framework takes a header only as one static string of name and value.
fn allow_header(allow: &str) -> &'static str {
    match allow {
        "GET" => "Allow: GET",
        "POST" => "Allow: POST",
        _ => "Allow: GET, POST",
    }
}
