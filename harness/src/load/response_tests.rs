//! The parser against whole, split, odd and broken responses.

use proptest::prelude::*;

use super::*;

/// An answer that outlives the parser, and the bytes left over.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owned {
    status: u16,
    head: Vec<u8>,
    body: Vec<u8>,
    wire_len: u64,
    close: bool,
    left: usize,
}

/// Feeds `pieces` one after another; `Ok(None)` where they end before an answer does.
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

fn own(answer: &Answer<'_>, left: usize) -> Owned {
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
const RIGHT: &[(&str, u16, &str, bool, usize)] = &[
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        200,
        "hello",
        false,
        0,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n",
        200,
        "",
        false,
        0,
    ),
    (
        "HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        200,
        "ok",
        false,
        0,
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP",
        200,
        "ok",
        false,
        4,
    ),
    (
        "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        201,
        "abcde",
        false,
        0,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\nA\r\n0123456789\r\n000\r\nT: 1\r\nU: 2\r\n\r\n",
        200,
        "0123456789",
        false,
        0,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nxy",
        200,
        "",
        false,
        2,
    ),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!",
        200,
        "!",
        false,
        0,
    ),
    ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, 0),
    (
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
        304,
        "",
        false,
        0,
    ),
    (
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        200,
        "until the end",
        true,
        0,
    ),
    ("HTTP/1.0 200 OK\r\n\r\n", 200, "", true, 0),
    (
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200,
        "ok",
        true,
        0,
    ),
    (
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        200,
        "ok",
        false,
        0,
    ),
    (
        "HTTP/1.1 404 Not Found\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nno",
        404,
        "no",
        true,
        0,
    ),
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
        assert!(answer.head.ends_with(b"\r\n\r\n"));
        assert!(
            answer
                .head
                .starts_with(format!("HTTP/1.{}", &text[7..8]).as_bytes())
        );
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
        }
    }
}

#[test]
fn the_answer_to_head_has_no_body() {
    let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let answer = parse([&text[..]], true, false).unwrap().unwrap();
    assert_eq!((answer.body.len(), answer.left), (0, 0));
}

#[test]
fn broken_responses_are_malformed_at_any_split() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(MAX_HEAD));
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD));
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "a: b\r\n".repeat(MAX_HEADERS + 1)
    );
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = format!("{chunked}1;{}", "x".repeat(9000));
    let broken_chunks = [
        "x\r\n",
        "\r\n",
        "1\r\nabc",
        "1\ra",
        "fffffffffffffffff\r\n",
        "0\r\n\ra",
    ];
    let broken_chunks = broken_chunks.map(|c| format!("{chunked}{c}"));
    let broken = [
        "garbage\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 000 No\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    let all = broken.iter().copied();
    let all = all.chain([&long, &endless, &many, &extension].map(String::as_str));
    for text in all.chain(broken_chunks.iter().map(String::as_str)) {
        let begin = &text[..text.len().min(60)];
        assert!(whole(text).is_err(), "{begin:?}");
        let step = (text.len() / 2000).max(1);
        for at in (0..=text.len()).step_by(step) {
            let (a, b) = text.as_bytes().split_at(at);
            assert!(parse([a, b], false, true).is_err(), "{begin:?} at {at}");
        }
        if text.len() < 1000 {
            assert!(parse(text.as_bytes().chunks(1), false, true).is_err());
        }
    }
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
    let mut parser = Parser::new();
    parser.start(false, 0);
    assert_eq!(parser.feed(b"HTTP/1.1 100 Continue\r\n\r\n"), Ok(None));
    assert!(!parser.has_begun());
    assert_eq!(parser.feed(b"H"), Ok(None));
    assert!(parser.has_begun());
}

proptest! {
    /// Cuts at any places, in any text made of likely and unlikely pieces, give the same.
    #[test]
    fn any_split_gives_the_same_as_the_whole(
        pieces in prop::collection::vec(piece(), 1..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let text: Vec<u8> = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parts = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([text.len()]) {
            parts.push(&text[from..cut]);
            from = cut;
        }
        let split = parse(parts, false, true);
        let whole = parse([&text[..]], false, true);
        // What is wrong may be seen earlier or later, but it is seen.
        prop_assert_eq!(split.map_err(|_| ()), whole.map_err(|_| ()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000), head_only: bool) {
        let _ = parse(bytes.chunks(7), head_only, true);
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.0 404 Not Found\r\n",
            "Content-Length: 3\r\n",
            "Content-Length: 30\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            "\r\n",
            "3\r\nabc\r\n",
            "0\r\n\r\n",
            "hello",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}
