//! Taking a request's body off the connection, whatever the answer will be: the
//! framework runs what is left there as the next request.

use std::io::{self, BufRead, Read};
use std::panic::resume_unwind;

use contract::ApiError;
use may_minihttp::Request;

/// Reads the body, of at most `most` bytes, into `into`.
///
/// # Errors
/// [`ApiError::PayloadTooLarge`], the body having been read and thrown away.
pub(crate) fn read(request: Request, into: &mut Vec<u8>, most: usize) -> Result<(), ApiError> {
    let length = length(&request);
    if length > most {
        discard(request);
        return Err(ApiError::PayloadTooLarge);
    }
    into.clear();
    into.reserve(length);
    let read = request.body().read_to_end(into);
    expect_whole(&read, length);
    Ok(())
}

/// Reads the body, if there is one, and throws it away.
pub(crate) fn discard(request: Request) {
    let length = length(&request);
    if length > 0 {
        let read = drain(&mut request.body());
        expect_whole(&read, length);
    }
}

fn drain(body: &mut impl BufRead) -> io::Result<usize> {
    let mut total = 0;
    loop {
        let count = body.fill_buf()?.len();
        if count == 0 {
            return Ok(total);
        }
        body.consume(count);
        total += count;
    }
}

/// The value of the first `Content-Length`, or 0: as the framework reads it.
fn length(request: &Request) -> usize {
    header(request, "Content-Length").map_or(0, |value| {
        let digits = str::from_utf8(value).ok();
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(length) => length,
            // Where the body ends is not known, so nothing that follows can be trusted.
            // The framework itself panics on it.
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

/// A request whose client goes away before the end of the body is not answered. The
/// framework would go on to wait for an event on the socket, of which there will be
/// none, and keep it and the coroutine for ever.
fn expect_whole(read: &io::Result<usize>, length: usize) {
    if !read.as_ref().is_ok_and(|read| *read == length) {
        drop_connection()
    }
}

/// Ends this connection without an answer, by unwinding its coroutine: the framework
/// has no way for a service to close a connection. Unlike `panic!` it prints nothing.
fn drop_connection() -> ! {
    resume_unwind(Box::new("the connection is of no more use"))
}
