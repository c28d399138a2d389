//! Taking a request's body off the connection, whatever the answer will be: the
//! framework runs what is left there as the next request.

use std::io::Read;
use std::panic::resume_unwind;

use contract::{ApiError, MAX_BODY_BYTES};
use may_minihttp::Request;

/// Reads the body into `into`.
///
/// # Errors
/// [`ApiError::PayloadTooLarge`], the body having been read and thrown away;
/// [`ApiError::MalformedJson`] where the client went away before the end.
pub(crate) fn read(request: Request, into: &mut Vec<u8>) -> Result<(), ApiError> {
    into.clear();
    let length = length(&request);
    // Its drop takes off the connection what has not been read.
    let mut body = request.body();
    if length > MAX_BODY_BYTES {
        return Err(ApiError::PayloadTooLarge);
    }
    into.reserve(length);
    match body.read_to_end(into) {
        Ok(read) if read == length => Ok(()),
        _ => Err(ApiError::MalformedJson("the body ends early".into())),
    }
}

/// Reads the body, if there is one, and throws it away.
pub(crate) fn discard(request: Request) {
    if length(&request) > 0 {
        drop(request.body());
    }
}

/// The value of the first `Content-Length`, or 0: as the framework reads it.
fn length(request: &Request) -> usize {
    header(request, "Content-Length").map_or(0, |value| {
        let digits = str::from_utf8(value).ok();
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(length) => length,
            None => drop_connection(),
        }
    })
}

/// The value of the first header of that name.
pub(crate) fn header<'a>(request: &'a Request, name: &str) -> Option<&'a [u8]> {
    let mut headers = request.headers().iter();
    headers
        .find(|header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// Ends this connection without an answer, by unwinding its coroutine.
///
/// Where a body begins and ends is not known without a length, so nothing that follows
/// on the connection can be trusted. The framework has no way for a service to close
/// a connection, and itself panics on such a length; this is the same without a panic
/// message on stderr for each such request.
fn drop_connection() -> ! {
    resume_unwind(Box::new("a Content-Length that is no number"))
}
