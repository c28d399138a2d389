//! Answers: a status, a JSON body and the headers the contract asks for. hyper adds
//! `Content-Length` and `Date`.

use contract::ApiError;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// Every answer has its whole body at once.
pub(crate) type Answer = Response<Full<Bytes>>;

/// An answer with this value as its body.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("the contract's types have no maps or errors");
    json_bytes(status, Bytes::from(body))
}

/// An answer with this body, which is JSON.
pub(crate) fn json_bytes(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

/// The answer to a request that failed.
pub(crate) fn error(error: &ApiError) -> Answer {
    let status = StatusCode::from_u16(error.status()).expect("the contract's are valid");
    let mut answer = json(status, &error.body());
    if let Some(methods) = error.allow() {
        let methods = HeaderValue::from_static(methods);
        answer.headers_mut().insert(ALLOW, methods);
    }
    answer
}
