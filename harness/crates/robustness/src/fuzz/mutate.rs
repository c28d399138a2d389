//! Mutates a request: first its parts, then its bytes.

use rand::RngExt;
use rand_pcg::Pcg64;

use super::base::{Draft, draw};
use super::json;

/// Maximum number of changes of each kind.
const MOST_CHANGES: u32 = 3;
/// Length of an enlarged part in bytes, as a power of two: 1 KiB to 64 KiB.
const LONG: std::ops::RangeInclusive<u32> = 10..=16;

const METHODS: [&str; 14] = [
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "PRI",
    "",
    "G T",
    "\u{1f4a9}",
];
const VERSIONS: [&str; 9] = [
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/0.9",
    "HTTP/11.1",
    "http/1.1",
    "HTTP/",
    "",
];
const NUMBERS: [&str; 20] = [
    "0",
    "-1",
    "-0",
    "+1",
    "00000000000000000001",
    "1e9",
    "1.5",
    "0x10",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "NaN",
    " 7 ",
];
const FIELDS: [(&str, &str); 34] = [
    ("Content-Length", "0"),
    ("Content-Length", "5"),
    ("Content-Length", "-1"),
    ("Content-Length", "abc"),
    ("Content-Length", "18446744073709551616"),
    ("Content-Length", "1000000000000"),
    ("Content-Length", "3, 3"),
    ("Content-Length", ""),
    ("Transfer-Encoding", "chunked"),
    ("Transfer-Encoding", "chunked, chunked"),
    ("Transfer-Encoding", "gzip, chunked"),
    ("Transfer-Encoding", "identity"),
    ("Transfer-Encoding", "\u{b}chunked"),
    ("Transfer-Encoding", ""),
    ("Connection", "close"),
    ("Connection", "keep-alive, Upgrade"),
    ("Connection", "Content-Length"),
    ("Connection", ",,,"),
    ("Expect", "100-continue"),
    ("Expect", "200-maybe"),
    ("Upgrade", "websocket"),
    ("Upgrade", "h2c"),
    ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Host", ""),
    ("Host", "a b"),
    ("Host", "[::1"),
    ("Content-Type", "application/json; charset=\"\\"),
    ("Content-Type", "multipart/form-data; boundary="),
    ("Content-Encoding", "gzip"),
    ("Accept-Encoding", "gzip;q=1e999, *;q=-1"),
    ("Range", "bytes=0-18446744073709551615"),
    ("Trailer", "Content-Length"),
    ("Cookie", "a=b; ="),
];
const TARGETS: [&str; 16] = [
    "*",
    "/",
    "//",
    "/..",
    "/../../etc/passwd",
    "/%",
    "/%zz",
    "/%00",
    "/%ff%fe",
    "http://",
    "http://localhost:99999/ping",
    "localhost:80",
    "/ping#fragment",
    "/ping?",
    "?",
    "",
];
/// Bytes with a meaning to a parser.
const SHARP: [u8; 14] = [
    0, b'\r', b'\n', b' ', b'\t', b':', b',', b';', b'%', b'"', b'/', 0x7f, 0x80, 0xff,
];

/// Changes up to three parts, or none.
pub(super) fn parts(rng: &mut Pcg64, request: &mut Draft) {
    for _ in 0..rng.random_range(0..=MOST_CHANGES) {
        part(rng, request);
    }
}

fn part(rng: &mut Pcg64, request: &mut Draft) {
    match rng.random_range(0..17_u32) {
        0 => request.method = pick(rng, &METHODS).as_bytes().to_vec(),
        1 => request.version = pick(rng, &VERSIONS).as_bytes().to_vec(),
        2 => request.target = pick(rng, &TARGETS).as_bytes().to_vec(),
        3 => number_in_target(rng, request),
        4 => {
            let extra = format!(
                "{}page={}",
                ["?", "&"][rng.random_range(0..2)],
                pick(rng, &NUMBERS)
            );
            request.target.extend_from_slice(extra.as_bytes());
        }
        5 => repeat_field(rng, request),
        6 => {
            if !request.fields.is_empty() {
                let at = rng.random_range(0..request.fields.len());
                request.fields.remove(at);
            }
        }
        7 | 8 => {
            let (name, value) = *pick(rng, &FIELDS);
            request.set(name, value);
        }
        9 => swap_value(rng, request),
        10 => many_fields(rng, request),
        11 => lengthen(rng, request),
        12 => chunk(rng, request),
        13 | 14 => {
            request.body = json::mutated(rng, &request.body);
            request.set_length();
        }
        15 => request.body = json::mutated(rng, &request.body),
        _ => {
            let length = rng.random_range(0..20_000);
            request.body = (0..length).map(|_| rng.random()).collect();
            request.set_length();
        }
    }
}

fn pick<'a, T>(rng: &mut Pcg64, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// Replaces the last number of the target.
fn number_in_target(rng: &mut Pcg64, request: &mut Draft) {
    let digits = |byte: &u8| byte.is_ascii_digit();
    if let Some(end) = request.target.iter().rposition(digits) {
        let start = request.target[..end].iter().rposition(|byte| !digits(byte));
        let number = pick(rng, &NUMBERS).bytes();
        request
            .target
            .splice(start.map_or(0, |at| at + 1)..=end, number);
    }
}

fn repeat_field(rng: &mut Pcg64, request: &mut Draft) {
    if request.fields.is_empty() {
        return;
    }
    let field = pick(rng, &request.fields).clone();
    let times = 1 << rng.random_range(0..7);
    request.fields.extend(std::iter::repeat_n(field, times));
}

fn swap_value(rng: &mut Pcg64, request: &mut Draft) {
    if request.fields.is_empty() {
        return;
    }
    let at = rng.random_range(0..request.fields.len());
    request.fields[at].1 = pick(rng, &NUMBERS).as_bytes().to_vec();
}

fn many_fields(rng: &mut Pcg64, request: &mut Draft) {
    for nth in 0..rng.random_range(1..=300_u32) {
        request.set(&format!("X-{nth}"), "x");
    }
}

fn lengthen(rng: &mut Pcg64, request: &mut Draft) {
    let long = vec![b'x'; 1 << rng.random_range(LONG)];
    match rng.random_range(0..4_u32) {
        0 => request.target.extend(long),
        1 => request.method.extend(long),
        2 => request.fields.push((long, b"x".to_vec())),
        _ => request.fields.push((b"X-Long".to_vec(), long)),
    }
}

/// A chunked body: valid, or wrong in one place. `Content-Length` is removed or kept.
fn chunk(rng: &mut Pcg64, request: &mut Draft) {
    let mut body = Vec::new();
    let mut rest = &request.body[..];
    while !rest.is_empty() {
        let size = rng.random_range(1..=rest.len());
        let said = match rng.random_range(0..12_u32) {
            0 => pick(rng, &NUMBERS).to_string(),
            1 => "ffffffffffffffff".to_owned(),
            2 => format!(
                "{size:x};ext=\"{}\"",
                "x".repeat(rng.random_range(0..2_000))
            ),
            _ => format!("{size:x}"),
        };
        body.extend_from_slice(said.as_bytes());
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&rest[..size]);
        body.extend_from_slice(b"\r\n");
        rest = &rest[size..];
    }
    body.extend_from_slice(b"0\r\n\r\n");
    request.body = body;
    request.set("Transfer-Encoding", "chunked");
    if rng.random_ratio(3, 4) {
        request.fields.retain(|(name, _)| name != b"Content-Length");
    }
}

/// Changes up to three places, or none.
pub(super) fn bytes(rng: &mut Pcg64, bytes: &mut Vec<u8>) {
    for _ in 0..rng.random_range(0..=MOST_CHANGES) {
        place(rng, bytes);
    }
}

fn place(rng: &mut Pcg64, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.random_range(0..bytes.len());
    // Most of a long request is padding, so short ranges are more effective.
    let end = at + rng.random_range(0..=(bytes.len() - at).min(64));
    match rng.random_range(0..8_u32) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = rng.random(),
        2 => bytes.insert(at, *pick(rng, &SHARP)),
        3 => {
            let sharp = *pick(rng, &SHARP);
            bytes.splice(at..at, [b'\r', b'\n', sharp]);
        }
        4 => drop(bytes.drain(at..end)),
        5 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        6 => bytes.truncate(at),
        _ => {
            let next = draw(rng).wire();
            bytes.extend(next);
        }
    }
}
