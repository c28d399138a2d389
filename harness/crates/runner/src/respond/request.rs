//! Where one request ends and the next begins.

use std::mem::MaybeUninit;

/// Maximum size of a head (request line and headers together) in bytes.
const MAX_HEAD: usize = 8 * 1024;
const MAX_BODY: usize = 64 * 1024;
const MAX_HEADERS: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceivedRequest<'a> {
    /// Method and target, as in `GET /ping`. Together with the body and the codings it finds the response.
    pub(crate) line: &'a [u8],
    /// Empty if it has none.
    pub(crate) body: &'a [u8],
    /// The value of Accept-Encoding, empty without one.
    pub(crate) codings: &'a [u8],
    /// Total size on the wire in bytes.
    pub(crate) len: usize,
}

/// Why input was rejected as a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(&'static str);

/// The request at the beginning of `input`; `None` if it is not complete yet.
///
/// # Errors
/// If it is not HTTP/1.1, exceeds the limits, or has a body that is not delimited by one Content-Length.
pub(crate) fn first(input: &[u8]) -> Result<Option<ReceivedRequest<'_>>, Refused> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let visible = &input[..input.len().min(MAX_HEAD)];
    let head = match request.parse_with_uninit_headers(visible, &mut headers) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if input.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Refused("a head of more than 8 KiB")),
        Err(httparse::Error::TooManyHeaders) => return Err(Refused("more than 32 headers")),
        Err(_) => return Err(Refused("an invalid request line or header")),
    };
    if request.version != Some(1) {
        return Err(Refused("not HTTP/1.1"));
    }
    let (length, codings) = of_headers(request.headers)?;
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    if !input.starts_with(method.as_bytes()) {
        return Err(Refused("an empty line before the request line"));
    }
    let len = head + length;
    Ok(input.get(head..len).map(|body| ReceivedRequest {
        line: &input[..method.len() + 1 + target.len()],
        body,
        codings,
        len,
    }))
}

/// The length of the body, and the value of Accept-Encoding.
fn of_headers<'a>(headers: &[httparse::Header<'a>]) -> Result<(usize, &'a [u8]), Refused> {
    let mut length = None;
    let mut codings = &b""[..];
    for header in headers {
        // The length alone rules out most names.
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let value = parse_length(header.value)?;
                if length.replace(value).is_some() {
                    return Err(Refused("more than one Content-Length"));
                }
            }
            15 if header.name.eq_ignore_ascii_case("accept-encoding") => codings = header.value,
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                return Err(Refused("a Transfer-Encoding"));
            }
            _ => {}
        }
    }
    Ok((length.unwrap_or(0), codings))
}

fn parse_length(value: &[u8]) -> Result<usize, Refused> {
    if value.is_empty() {
        return Err(Refused("an empty Content-Length"));
    }
    value.iter().try_fold(0, |length, byte| {
        if !byte.is_ascii_digit() {
            return Err(Refused("a Content-Length that is not a number"));
        }
        let length = length * 10 + usize::from(byte - b'0');
        if length > MAX_BODY {
            return Err(Refused("a body of more than 64 KiB"));
        }
        Ok(length)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GET: &str = "GET /users?page=2 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    const POST: &str =
        "POST /orders HTTP/1.1\r\nHost: a:1\r\ncontent-LENGTH: 11\r\nA: b\r\n\r\n{\"qty\": 12}";

    fn parts(input: &[u8]) -> Option<(&str, &str, usize)> {
        let request = first(input).unwrap()?;
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        Some((text(request.line), text(request.body), request.len))
    }

    #[test]
    fn a_request_has_the_codings_that_it_accepts() {
        let codings = |input: &'static str| first(input.as_bytes()).unwrap().unwrap().codings;
        let accepting = "GET /a HTTP/1.1\r\nHost: a\r\naccept-encoding: br\r\nA: b\r\n\r\n";
        assert_eq!(codings(accepting), b"br");
        assert_eq!(codings(GET), b"");
    }

    #[test]
    fn a_request_is_its_line_and_its_body() {
        let get = Some(("GET /users?page=2", "", GET.len()));
        let post = Some(("POST /orders", "{\"qty\": 12}", POST.len()));
        assert_eq!(parts(GET.as_bytes()), get);
        assert_eq!(parts(POST.as_bytes()), post);
        // What follows belongs to the next request.
        assert_eq!(parts([GET, POST].concat().as_bytes()), get);
        assert_eq!(parts([POST, GET].concat().as_bytes()), post);
    }

    #[test]
    fn a_request_cut_anywhere_is_not_whole_yet() {
        for whole in [GET, POST] {
            for end in 0..whole.len() {
                assert_eq!(first(&whole.as_bytes()[..end]), Ok(None), "{end}");
            }
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let refused = [
            "GET /a HTTP/1.0\r\n\r\n",
            "GET /a HTTP/2\r\n\r\n",
            "GET  /a HTTP/1.1\r\n\r\n",
            "GET /a\r\n\r\n",
            "G\0T /a HTTP/1.1\r\n\r\n",
            "\r\nGET /a HTTP/1.1\r\n\r\n",
            "POST /a HTTP/1.1\r\nno header\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: \r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ];
        for text in refused {
            assert!(first(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_limits_are_kept() {
        let head = |fill: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(fill));
        let fits = MAX_HEAD - head(0).len();
        assert!(parts(head(fits).as_bytes()).is_some());
        assert!(first(head(fits + 1).as_bytes()).is_err());
        // Even before its end is known.
        assert_eq!(first(&vec![b'a'; MAX_HEAD - 1]), Ok(None));
        assert!(first(&vec![b'a'; MAX_HEAD]).is_err());

        let post = |length: usize| format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(first(post(MAX_BODY).as_bytes()), Ok(None));
        assert!(first(post(MAX_BODY + 1).as_bytes()).is_err());
        let whole = post(MAX_BODY) + &"b".repeat(MAX_BODY);
        assert_eq!(parts(whole.as_bytes()).unwrap().2, whole.len());

        let many = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert!(parts(many(MAX_HEADERS).as_bytes()).is_some());
        assert!(first(many(MAX_HEADERS + 1).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = first(&input);
            let _ = first(&[POST.as_bytes(), &input].concat());
        }

        /// A request is the same whatever its headers, and whatever comes after it.
        #[test]
        fn any_request_is_found_again(
            target in "/[!-~]{0,40}",
            headers in proptest::collection::vec(("X-[a-z]{1,8}", "[!-~]{1,16}"), 0..8),
            body in proptest::collection::vec(any::<u8>(), 0..200),
            after in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let mut wire = format!("POST {target} HTTP/1.1\r\n").into_bytes();
            for (name, value) in headers {
                wire.extend(format!("{name}: {value}\r\n").bytes());
            }
            wire.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            wire.extend(&body);
            let len = wire.len();
            wire.extend(after);
            let line = format!("POST {target}").into_bytes();
            let codings = &[];
            prop_assert_eq!(first(&wire), Ok(Some(ReceivedRequest { line: &line, body: &body, codings, len })));
        }
    }
}
