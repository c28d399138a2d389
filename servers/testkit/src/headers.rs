//! What comes with every answer.

use std::time::{Duration, Instant, SystemTime};

use crate::errors::is_json;
use crate::faults::Faults;
use crate::{RawAnswer, Server};

/// How far a `Date` may be off.
const DATE_TOLERANCE: Duration = Duration::from_secs(2);
const REQUESTS: [(&str, u16); 10] = [
    ("GET /ping HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    ("GET /api/v1/users HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    (
        "GET /api/v1/users?limit=100&page=7 HTTP/1.1\r\nHost: test\r\n\r\n",
        200,
    ),
    // 14 is Zoë: more bytes than characters.
    ("GET /api/v1/users/14 HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    (
        "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: 29\r\n\r\n{\"item_id\":\"SKU-789\",\"qty\":1}",
        201,
    ),
    ("GET /api/v1/orders HTTP/1.1\r\nHost: test\r\n\r\n", 200),
    ("GET /nope HTTP/1.1\r\nHost: test\r\n\r\n", 404),
    ("DELETE /ping HTTP/1.1\r\nHost: test\r\n\r\n", 405),
    (
        "GET /api/v1/users?limit=0 HTTP/1.1\r\nHost: test\r\n\r\n",
        400,
    ),
    (
        "POST /api/v1/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\n\r\n[]",
        422,
    ),
];

/// `Content-Type`, a `Content-Length` that is exact, a right `Date` that moves on, and
/// a connection that is kept for the next request.
///
/// # Panics
/// With all that differs from the contract.
pub fn headers(program: &str) {
    let server = Server::boot(program);
    let mut faults = Faults::default();
    for (request, status) in REQUESTS {
        exact_length(&server, &mut faults, request, status);
    }
    kept_connection(&server, &mut faults);
    date_moves_on(&server, &mut faults);
    faults.assert_none();
}

/// One connection a request: nothing may follow the `Content-Length` bytes.
fn exact_length(server: &Server, faults: &mut Faults, request: &str, status: u16) {
    let mut connection = server.connect();
    match connection.exchange(request.as_bytes()) {
        Ok(answer) => check(faults, request, &answer, status),
        Err(error) => {
            faults.check(false, || format!("{request}\n  got {error}"));
            return;
        }
    }
    // An error here is a reset, which brings no bytes either.
    let rest = connection.finish().unwrap_or_default();
    faults.check(rest.is_empty(), || {
        format!(
            "{request}\n  got {} bytes more than Content-Length says",
            rest.len()
        )
    });
}

/// Twice, the second time on a connection that has had errors as well.
fn kept_connection(server: &Server, faults: &mut Faults) {
    let mut connection = server.connect();
    for (request, status) in REQUESTS.iter().chain(&REQUESTS) {
        match connection.exchange(request.as_bytes()) {
            Ok(answer) => check(faults, request, &answer, *status),
            Err(error) => {
                faults.check(false, || {
                    format!("{request}\n  on a kept connection: {error}")
                });
                return;
            }
        }
    }
}

fn check(faults: &mut Faults, request: &str, answer: &RawAnswer, status: u16) {
    faults.check(answer.status == status, || {
        format!("{request}\n  got {}\n  due {status}", answer.status)
    });
    faults.check(
        serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok(),
        || {
            let body = String::from_utf8_lossy(&answer.body);
            format!("{request}\n  got a body that is not JSON: {body}")
        },
    );
    let content_type = answer.header("content-type");
    faults.check(content_type.is_some_and(is_json), || {
        format!("{request}\n  got Content-Type {content_type:?}\n  due application/json")
    });
    for name in ["content-type", "content-length", "date"] {
        let times = answer
            .headers
            .iter()
            .filter(|(known, _)| known == name)
            .count();
        faults.check(times == 1, || {
            format!("{request}\n  got {times} times {name}\n  due once")
        });
    }
    let now = SystemTime::now();
    faults.check(date(answer).is_some_and(|date| is_near(date, now)), || {
        format!(
            "{request}\n  got Date {:?} at {}",
            answer.header("date"),
            httpdate::fmt_http_date(now)
        )
    });
}

fn date(answer: &RawAnswer) -> Option<SystemTime> {
    httpdate::parse_http_date(answer.header("date")?).ok()
}

/// `date` has whole seconds, `now` a fraction: the tolerance is for the second it was.
fn is_near(date: SystemTime, now: SystemTime) -> bool {
    now <= date + DATE_TOLERANCE + Duration::from_secs(1) && date <= now + DATE_TOLERANCE
}

/// A server that makes its `Date` once passes the check of nearness for two seconds.
fn date_moves_on(server: &Server, faults: &mut Faults) {
    let ask = || {
        let answer = server.connect().exchange(REQUESTS[0].0.as_bytes());
        answer.ok().and_then(|answer| date(&answer))
    };
    let first = ask();
    let deadline = Instant::now() + Duration::from_secs(5);
    while ask() == first {
        if Instant::now() >= deadline {
            faults.check(false, || format!("Date stood still for 5 s: {first:?}"));
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_may_be_two_seconds_off() {
        let second = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (now_ms, right) in [
            (-2_001_i64, false),
            (-2_000, true),
            (0, true),
            (999, true),
            (3_000, true),
            (3_001, false),
        ] {
            let offset = Duration::from_millis(now_ms.unsigned_abs());
            let now = if now_ms < 0 {
                second - offset
            } else {
                second + offset
            };
            assert_eq!(is_near(second, now), right, "{now_ms} ms");
        }
    }
}
