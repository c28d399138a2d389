//! HTTP/1.1 without I/O: requests out of bytes, responses into bytes. Your framework takes its place.

use std::io::Write as _;
use std::time::SystemTime;

use contract::{ApiError, MAX_UPLOAD_BYTES};
use serde::Serialize;
use serde_json::json;

/// A head is at most this long, and has at most this many headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
/// A longer body is refused before it has arrived. One that is only too long for an order arrives
/// first, so that the connection stays open.
const MAX_ARRIVING: usize = 4 * MAX_UPLOAD_BYTES;

/// A whole request.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) target: &'a str,
    #[allow(dead_code, reason = "until orders are written")]
    pub(crate) content_type: Option<&'a str>,
    #[allow(dead_code, reason = "until orders are written")]
    pub(crate) body: &'a [u8],
    keep_alive: bool,
}

/// A response; its headers are added when it is written.
pub(crate) struct Response {
    status: u16,
    allow: Option<&'static str>,
    body: Vec<u8>,
}

impl Response {
    /// A response with this value as its body.
    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        Self {
            status,
            allow: None,
            body: serde_json::to_vec(value).expect("the contract's types have no maps or errors"),
        }
    }

    /// The response to a request that failed.
    pub(crate) fn failed(error: &ApiError) -> Self {
        Self {
            allow: error.allow(),
            ..Self::json(error.status(), &error.body())
        }
    }

    /// An error that the contract doesn't have.
    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(
            status,
            &json!({"error": {"code": code, "message": message}}),
        )
    }

    fn write(&self, output: &mut Vec<u8>, with_body: bool, keep_alive: bool) {
        let (status, length) = (self.status, self.body.len());
        let date = httpdate::fmt_http_date(SystemTime::now());
        let allow = self.allow.map(|methods| format!("Allow: {methods}\r\n"));
        let close = if keep_alive {
            ""
        } else {
            "Connection: close\r\n"
        };
        // The reason of a status is optional, the space before it is not.
        let head = format!(
            "HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Date: {date}\r\n{}{close}\r\n",
            allow.unwrap_or_default()
        );
        output
            .write_all(head.as_bytes())
            .expect("memory takes every byte");
        if with_body {
            output.extend_from_slice(&self.body);
        }
    }
}

/// Answers every whole request in `input` and removes it there. Returns whether the connection stays open.
pub(crate) fn serve(
    input: &mut Vec<u8>,
    output: &mut Vec<u8>,
    app: impl Fn(&Request<'_>) -> Response,
) -> bool {
    let mut used = 0;
    let stays_open = loop {
        match next(&input[used..]) {
            Ok(Some((request, length))) => {
                used += length;
                let keep_alive = request.keep_alive;
                app(&request).write(output, request.method != "HEAD", keep_alive);
                if !keep_alive {
                    break false;
                }
            }
            Ok(None) => break true,
            Err(response) => {
                response.write(output, true, false);
                break false;
            }
        }
    };
    input.drain(..used);
    stays_open
}

/// The first request and its length; `None` if it has not arrived whole. An error closes the connection.
fn next(input: &[u8]) -> Result<Option<(Request<'_>, usize)>, Response> {
    let bad = |why: &str| Response::error(400, "bad_request", why);
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let parsed = head.parse(input).map_err(|why| bad(&why.to_string()))?;
    let httparse::Status::Complete(start) = parsed else {
        return match input.len() {
            0..=MAX_HEAD_BYTES => Ok(None),
            _ => Err(Response::error(431, "bad_request", "the head is too long")),
        };
    };
    let mut request = Request {
        method: head.method.unwrap_or_default(),
        target: head.path.unwrap_or_default(),
        content_type: None,
        body: &[],
        keep_alive: head.version == Some(1),
    };
    let mut length = 0;
    for header in head.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-type") {
            request.content_type = Some(value);
        } else if is("connection") {
            request.keep_alive &= !value.eq_ignore_ascii_case("close");
        } else if is("content-length") {
            length = value.parse().map_err(|_| bad("Content-Length is wrong"))?;
        } else if is("transfer-encoding") {
            let why = "send a Content-Length";
            return Err(Response::error(411, "length_required", why));
        }
    }
    if length > MAX_ARRIVING {
        return Err(Response::failed(&ApiError::PayloadTooLarge));
    }
    let Some(body) = input.get(start..start + length) else {
        return Ok(None);
    };
    request.body = body;
    Ok(Some((request, start + length)))
}
