//! Tests the parser with complete, split, odd and broken responses.

use super::*;
use crate::head::{MAX_HEAD, MAX_HEADERS};

/// A response that outlives the parser, and the bytes left over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    status: u16,
    head: Vec<u8>,
    body: Vec<u8>,
    wire_len: u64,
    close: bool,
    left: usize,
}

/// Feeds `pieces` one after another; `Ok(None)` if they end before a response does.
fn parse<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    head_only: bool,
    eof: bool,
) -> Result<Option<Owned>, Malformed> {
    let mut parser = Parser::new();
    parser.start(head_only, 1 << 20);
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        if let Some(answer) = parser.feed(piece)? {
            let left = piece.len() - answer.consumed + pieces.map(<[u8]>::len).sum::<usize>();
            return Ok(Some(own(&answer, left)));
        }
    }
    Ok(if eof {
        parser.finish().map(|a| own(&a, 0))
    } else {
        None
    })
}

fn own(answer: &ParsedResponse<'_>, left: usize) -> Owned {
    assert!(answer.is_whole());
    Owned {
        status: answer.status,
        head: answer.head.to_vec(),
        body: answer.body.to_vec(),
        wire_len: answer.wire_len,
        close: answer.close,
        left,
    }
}

fn whole(text: &str) -> Result<Option<Owned>, Malformed> {
    parse([text.as_bytes()], false, true)
}

/// Responses with their status, body, whether they close, and the bytes after them.
#[rustfmt::skip]
const RIGHT: &[(&str, u16, &str, bool, usize)] = &[
    // Content-Length.
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false, 0),
    ("HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, "", false, 0),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", 200, "ok", false, 4),
    ("HTTP/1.1 200 OK\r\nContent-Length: 0002 \t\r\n\r\nok", 200, "ok", false, 0),
    ("HTTP/1.1 200 \u{e9}t\u{e9}\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, 0),
    ("HTTP/1.1 599\r\nContent-Length: 2\r\n\r\nok", 599, "ok", false, 0),
    // Several equal ones count as one.
    ("HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, 0),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\t,02\r\n\r\nok", 200, "ok", false, 0),
    // A fold counts as spaces, in any field that does not delimit the body.
    ("HTTP/1.1 200 OK\r\nX-A: one\r\n  two\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, 0),
    ("HTTP/1.1 200 OK\r\nX-A:\r\n\tone\r\n \r\n two\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, 0),
    ("HTTP/1.1 200 OK\nX: content-length:\n 7\nContent-Length: 2\n\nok", 200, "ok", false, 0),
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX:\r\n a\r\n\r\n ok", 200, " ok", false, 0),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection:\r\n close\r\n\r\nok", 200, "ok", true, 0),
    (
        "HTTP/1.1 103 Early Hints\r\nLink: <a>;\r\n rel=preload\r\n\r\nHTTP/1.1 204 OK\r\n\r\n",
        204, "", false, 0,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\n 2\r\n\t3\r\nU: 4\r\n\r\n",
        200, "a", false, 0,
    ),
    // A bare line feed ends a line of the head.
    ("HTTP/1.1 200 OK\nContent-Length: 2\r\n\nok", 200, "ok", false, 0),
    // Chunks, extensions, trailers.
    (
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        201, "abcde", false, 0,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\nA\r\n0123456789\r\n000\r\nT: 1\r\nU:\r\n\r\n",
        200, "0123456789", false, 0,
    ),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nxy", 200, "", false, 2),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: ,chunked,\r\n\r\n1 \t;a;b=\"c\t\u{e9}\"\r\n\n\r\n0 \r\n\r\n",
        200, "\n", false, 0,
    ),
    // A coding after chunked, or without it: the end of the connection delimits the body.
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 200, "0\r\n\r\n", true, 0),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 200, "0\r\n\r\n", true, 0),
    // Interim responses, several in a row.
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
        200, "!", false, 0,
    ),
    (
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        204, "", false, 0,
    ),
    // No body, whatever the fields say.
    ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, 0),
    ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", false, 0),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, "", false, 0),
    ("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\nbody", 204, "", true, 4),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", 304, "", false, 0),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\nTransfer-Encoding: ,\r\n\r\n", 304, "", false, 0),
    ("HTTP/1.1 204 No Content\r\nContent-Length:\r\n 5\r\n\r\n", 204, "", false, 0),
    ("HTTP/1.0 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", true, 0),
    (
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 2, 3\r\n\r\nHTTP/1.1 204 OK\r\n\r\n",
        204, "", false, 0,
    ),
    // Until the connection ends.
    ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", true, 0),
    ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", 200, "", true, 0),
    // Keep-alive.
    ("HTTP/1.0 200 OK\r\n\r\n", 200, "", true, 0),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true, 0),
    ("HTTP/1.0 200 OK\r\nConnection: x , Keep-Alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, 0),
    (
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        200, "ok", true, 0,
    ),
    ("HTTP/1.1 404 Not Found\r\nConnection: x,, Close\r\nContent-Length: 2\r\n\r\nno", 404, "no", true, 0),
    ("HTTP/1.1 404 Not Found\r\nConnection: closed, x-close\r\nContent-Length: 2\r\n\r\nno", 404, "no", false, 0),
];

#[test]
fn right_responses_are_read() {
    for (text, status, body, close, left) in RIGHT {
        let answer = whole(text).unwrap().unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!(answer.status, *status, "{text:?}");
        assert_eq!(answer.body, body.as_bytes(), "{text:?}");
        assert_eq!(answer.close, *close, "{text:?}");
        assert_eq!(answer.left, *left, "{text:?}");
        assert_eq!(answer.wire_len as usize, text.len() - left, "{text:?}");
        assert!(answer.head.ends_with(b"\n\r\n") || answer.head.ends_with(b"\n\n"));
        assert!(answer.head.starts_with(&text.as_bytes()[..8]));
    }
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    for (text, ..) in RIGHT {
        let bytes = text.as_bytes();
        let expected = whole(text);
        assert_eq!(parse(bytes.chunks(1), false, true), expected, "{text:?}");
        for at in 0..=bytes.len() {
            let (a, b) = bytes.split_at(at);
            assert_eq!(parse([a, b], false, true), expected, "{text:?} at {at}");
            assert_eq!(parse([a, b""], false, true), parse([a], false, true));
        }
    }
}

#[test]
fn the_answer_to_head_has_no_body() {
    for (fields, close) in [
        ("Content-Length: 5\r\n", false),
        ("Transfer-Encoding: chunked\r\n", false),
        ("Transfer-Encoding: gzip\r\n", false),
        ("Content-Length: 5, 6\r\n", false),
        (
            "Content-Length: -1\r\nTransfer-Encoding: chunked, chunked\r\n",
            false,
        ),
        ("", false),
        ("Connection: close\r\n", true),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        let answer = parse([text.as_bytes()], true, false).unwrap().unwrap();
        assert_eq!((answer.body.len(), answer.left), (0, 0), "{fields}");
        assert_eq!(answer.close, close, "{fields}");
        let surplus = text + "body";
        let answer = parse([surplus.as_bytes()], true, false).unwrap().unwrap();
        assert_eq!(answer.left, 4, "{fields}");
    }
}

/// Broken responses by error: whole, a header field, a chunked body.
#[rustfmt::skip]
const BROKEN: &[(Malformed, &str, &[&str])] = &[
    (Malformed::StatusLine, "", &[
        "garbage\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n", "\nHTTP/1.1 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n", "HTTP/1.1 200 OK\rX\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n",
    ]),
    (Malformed::Status, "", &[
        "HTTP/1.1 000 No\r\n\r\n", "HTTP/1.1 099 No\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
    ]),
    (Malformed::Header, FIELD, &[
        "bad header", "a : b", ": b", "a\r\n : b", "a: b\r\n \rc", "a: b\rc",
        "a: \0", "a: \x7f", "\r", "a\u{e9}: b",
    ]),
    (Malformed::Header, "", &[
        "HTTP/1.1 200 OK\r\n a: b\r\n\r\n", "HTTP/1.1 200\r\n OK\r\nContent-Length: 0\r\n\r\n",
    ]),
    (Malformed::ContentLength, FIELD, &[
        "Content-Length:\r\n 1", "Content-Length: 1\r\n 1", "content-length: 1\n\t",
        "Content-Length: 1,\r\n 1",
        "Content-Length: 1x", "Content-Length: -1", "Content-Length: +1", "Content-Length: 0x1",
        "Content-Length: 1.0", "Content-Length: 1 2", "Content-Length:", "Content-Length: 1,",
        "Content-Length: ,1", "Content-Length: 1,x", "Content-Length: 18446744073709551616",
    ]),
    (Malformed::ConflictingLength, FIELD, &[
        "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 1, 2",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nContent-Length: 1",
    ]),
    (Malformed::TransferCoding, FIELD, &[
        "Transfer-Encoding:", "Transfer-Encoding: ,", "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding:\r\n chunked", "Transfer-Encoding: gzip,\n\tchunked",
        "Transfer-Encoding: chunked, gzip, chunked", "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: chunked ;", "Transfer-Encoding: gzip;a=\"b\"",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
    ]),
    (Malformed::TransferCoding, "", &[
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ]),
    (Malformed::ChunkSize, CHUNKED, &[
        "x\r\n", "\r\n", ";a\r\n", " 1\r\n", "-1\r\n", "0x1\r\n", "1g\r\n", "1 1\r\n", "1\n",
        "1\ra", "1;a\n", "1;\0\r\n", "fffffffffffffffff\r\n", "00000000000000001\r\n",
        "1\r\na\r\n\r\n",
    ]),
    (Malformed::ChunkEnd, CHUNKED, &[
        "1\r\nabc", "1\r\na\n", "1\r\na\ra", "2\r\na\r\n0\r\n\r\n",
    ]),
    (Malformed::Trailer, CHUNKED, &[
        "0\r\n\ra", "0\r\n\n", "0\r\na\r\n", "0\r\n: b\r\n", "0\r\n a: b\r\n", "0\r\na: b\n",
        "0\r\na: b\rc", "0\r\na : b\r\n", "0\r\na: \0\r\n", "0\r\nHTTP/1.1 200 OK\r\n",
    ]),
];
/// Precedes a broken header field.
const FIELD: &str = "HTTP/1.1 200 OK\r\nServer: x\r\n";
/// Precedes a broken chunked body.
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

fn broken() -> Vec<(String, Malformed)> {
    let mut all = Vec::new();
    for (kind, before, texts) in BROKEN {
        let after = if *before == FIELD { "\r\n\r\n" } else { "" };
        all.extend(
            texts
                .iter()
                .map(|text| (format!("{before}{text}{after}"), *kind)),
        );
    }
    let long = format!("{FIELD}x: {}", "y".repeat(MAX_HEAD));
    let too_long = [
        (long.clone() + "\r\n\r\n", Malformed::HeadTooLarge),
        (long, Malformed::HeadTooLarge),
        (
            FIELD.to_owned() + &"a: b\r\n".repeat(MAX_HEADERS) + "\r\n",
            Malformed::TooManyHeaders,
        ),
        (
            format!("{CHUNKED}1;{}", "x".repeat(9000)),
            Malformed::LineTooLong,
        ),
        (
            format!("{CHUNKED}1{}", " ".repeat(9000)),
            Malformed::LineTooLong,
        ),
        (
            format!("{CHUNKED}0\r\n{}", "a: b\r\n".repeat(3000)),
            Malformed::LineTooLong,
        ),
    ];
    all.extend(too_long);
    all
}

#[test]
fn broken_responses_are_malformed_of_a_kind_at_any_split() {
    for (text, kind) in broken() {
        let begin = &text[..text.len().min(90)];
        assert_eq!(whole(&text), Err(kind), "{begin:?}");
        // A head is parsed again with each piece of it.
        let step = (text.len() / 500).max(1) * (1 + text.len() / 20_000);
        for at in (0..=text.len()).step_by(step) {
            let (a, b) = text.as_bytes().split_at(at);
            assert_eq!(parse([a, b], false, true), Err(kind), "{begin:?} at {at}");
        }
        let each = (text.len() / 2000).max(1) * (1 + text.len() / 2000);
        let split = parse(text.as_bytes().chunks(each), false, true);
        assert_eq!(split, Err(kind), "{begin:?}");
        let interim = format!("HTTP/1.1 100 Continue\r\n\r\n{text}");
        assert_eq!(
            whole(&interim),
            Err(kind),
            "{begin:?} after an interim response"
        );
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let fields = "HTTP/1.1 204 OK\r\n".to_owned() + &"a: b\r\n".repeat(MAX_HEADERS) + "\r\n";
    assert_eq!(whole(&fields).unwrap().unwrap().status, 204);
    let begin = "HTTP/1.1 204 OK\r\na: ";
    let long = format!("{begin}{}\r\n\r\n", "x".repeat(MAX_HEAD - begin.len() - 4));
    assert_eq!(long.len(), MAX_HEAD);
    for at in [1, 16, MAX_HEAD - 4, MAX_HEAD - 1, MAX_HEAD] {
        let (a, b) = long.as_bytes().split_at(at);
        assert_eq!(
            parse([a, b, b"more"], false, true).unwrap().unwrap().left,
            4
        );
    }
    let extended = format!("{CHUNKED}1;{}\r\na\r\n0\r\n\r\n", "x".repeat(8191));
    assert_eq!(whole(&extended).unwrap().unwrap().body, b"a");
    let (digits, data) = ("00000000000000aF", "x".repeat(0xaf));
    let sixteen = format!("{CHUNKED}{digits}\r\n{data}\r\n0\r\n\r\n");
    assert_eq!(whole(&sixteen).unwrap().unwrap().body, data.as_bytes());
}

#[test]
fn more_headers_than_usual_are_read_alike() {
    for count in [99, 100, 101, 255, 256, 257] {
        let fields = "X-Field: value\r\n".repeat(count);
        let text = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
        let answer = whole(&text).unwrap().unwrap();
        assert_eq!((answer.body.as_slice(), answer.left), (&b"ok"[..], 0));
        assert_eq!(answer.head.len(), text.len() - 2);
        for at in (0..=text.len()).step_by(7) {
            let (a, b) = text.as_bytes().split_at(at);
            assert_eq!(parse([a, b], false, true), Ok(Some(answer.clone())), "{at}");
        }
    }
}

#[test]
fn large_cookies_are_read() {
    let cookies = format!("Set-Cookie: a={}\r\n", "x".repeat(4080)).repeat(60);
    let text = format!("HTTP/1.1 200 OK\r\n{cookies}Content-Length: 2\r\n\r\nok");
    assert!(text.len() > 240_000);
    let answer = parse(text.as_bytes().chunks(16 * 1024), false, true);
    assert_eq!(answer.unwrap().unwrap().body, b"ok");
}

#[test]
fn an_incomplete_response_is_no_answer() {
    for (text, _, _, _, left) in RIGHT {
        let end = text.len() - left;
        for at in 0..end {
            let answer = parse([&text.as_bytes()[..at]], false, false);
            assert_eq!(answer, Ok(None), "{text:?} at {at}");
        }
    }
}

#[test]
fn no_more_is_kept_of_a_split_body_than_asked() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let mut parser = Parser::new();
    parser.start(false, 4);
    assert_eq!(parser.feed(&text[..text.len() - 7]), Ok(None));
    let answer = parser.feed(&text[text.len() - 7..]).unwrap().unwrap();
    assert_eq!((answer.body, answer.body_len), (&b"0123"[..], 10));
    assert!(!answer.is_whole());
}

#[test]
fn a_parser_is_used_again_and_again() {
    let mut parser = Parser::new();
    for (text, status, body, ..) in RIGHT.iter().cycle().take(100) {
        parser.start(false, 1 << 20);
        assert!(!parser.has_begun());
        let mut answer = None;
        for piece in text.as_bytes().chunks(3) {
            if let Some(a) = parser.feed(piece).unwrap() {
                answer = Some((a.status, a.body.to_vec()));
                break;
            }
        }
        let answer = answer.or_else(|| parser.finish().map(|a| (a.status, a.body.to_vec())));
        assert_eq!(answer, Some((*status, body.as_bytes().to_vec())));
    }
}

#[test]
fn an_interim_response_is_not_the_beginning_of_the_final_one() {
    const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut parser = Parser::new();
    for at in 1..=INTERIM.len() {
        parser.start(false, 0);
        assert_eq!(parser.feed(&INTERIM[..at]), Ok(None));
        let undecided = at < INTERIM.len();
        assert_eq!(
            (parser.has_begun(), parser.begins()),
            (undecided, undecided)
        );
        assert_eq!(parser.feed(&INTERIM[at..]), Ok(None));
        assert!(!parser.has_begun() && !parser.begins());
        assert_eq!(parser.feed(b"H"), Ok(None));
        assert!(parser.has_begun() && parser.begins());
        assert_eq!(parser.feed(b"TTP/1.1 204 No Content\r\n"), Ok(None));
        assert!(parser.has_begun() && !parser.begins());
        assert!(!parser.feed(b"\r\n").unwrap().unwrap().begins);

        // The rest of the interim response and the complete final one in the same read.
        parser.start(false, 0);
        assert_eq!(parser.feed(&INTERIM[..at]), Ok(None));
        let rest = [&INTERIM[at..], b"HTTP/1.1 204 No Content\r\n\r\n"].concat();
        assert!(parser.feed(&rest).unwrap().unwrap().begins);
    }
}
