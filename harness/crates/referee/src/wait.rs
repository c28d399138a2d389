//! `GET /api/v1/wait`: it waits as long as asked for, and the waiting takes no worker.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::client::load_wire;
use super::errors::{other_methods, trailing_slash};
use super::orders_concurrent::clients;
use super::raw::{Connection, RawResponse};
use super::response::{INVALID_PARAMETER, excerpt};
use super::subject::Subject;
use super::users::NOT_NUMBERS;
use super::{CheckDef, Outcome};

pub(super) const PATH: &str = "/api/v1/wait";
/// If the request doesn't say.
pub(super) const DEFAULT_MS: u64 = 15;
pub(super) const MAX_MS: u64 = 1_000;

/// Waits at the same time, for each CPU of this machine: far more than a server has workers.
const WAITS_PER_CPU: usize = 32;
const MOST_WAITS: usize = 256;
const TOGETHER: Duration = Duration::from_millis(100);
/// They may take so many times as long as one. Were a worker blocked by each, it would be 32 times with a worker for
/// each CPU.
const AT_MOST: u32 = 10;
/// To read all responses of a server that takes them in turn.
const PATIENCE: Duration = Duration::from_secs(30);

/// A closed loop, for the ceiling: so many connections, and requests on each.
const CONNECTIONS: u64 = 32;
const REQUESTS: u32 = 12;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "wait-returns" => returns: "the response comes no sooner than asked for: 0 to 1,000 ms, 15 if absent",
    "wait-range" => range: "ms is a number from 0 to 1,000, otherwise 400 invalid_parameter",
    "wait-method" => method: "it allows only GET, and its path with a trailing slash is not a route",
    "wait-together" => together: "many requests wait at the same time: none blocks a worker",
    "wait-ceiling" => ceiling:
        "under load, too, each response takes as long as asked for, so C connections get at most C / delay responses per second",
};

fn target(ms: u64) -> String {
    format!("{PATH}?ms={ms}")
}

fn returns(subject: &Subject) -> Outcome {
    let mut connection = None;
    for (query, ms) in [
        ("", DEFAULT_MS),
        ("?MS=x&wait=2", DEFAULT_MS),
        ("?ms=0", 0),
        ("?ms=1", 1),
        ("?ms=007", 7),
        ("?ms=%34%30", 40),
        ("?ms=1000", MAX_MS),
    ] {
        let target = format!("{PATH}{query}");
        let wire = load_wire(subject.addr(), "GET", &target, None);
        let answer = subject
            .exchange(&mut connection, &wire)
            .map_err(|reason| format!("sent: GET {target}\ngot:  {reason}\nexpected: 200"))?;
        is_right(&answer, &target, ms)?;
    }
    Ok(())
}

/// Checks a response and when it came.
fn is_right(answer: &RawResponse, target: &str, ms: u64) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let due = json!({"ms": ms});
    if answer.status == 200 && body == due && answer.first_byte >= Duration::from_millis(ms) {
        return Ok(());
    }
    Err(format!(
        "sent: GET {target}\ngot:  {} {}\nexpected: 200 {due} after {ms} ms or more; it was after {:.1?}",
        answer.status,
        excerpt(&answer.body),
        answer.first_byte
    ))
}

fn range(subject: &Subject) -> Outcome {
    // The only one of these that is in range.
    let not_numbers = NOT_NUMBERS.into_iter().filter(|value| *value != "0");
    for value in not_numbers.chain(["1001", "15ms"]) {
        subject.refuses(format!("{PATH}?ms={value}"), INVALID_PARAMETER)?;
    }
    Ok(())
}

fn method(subject: &Subject) -> Outcome {
    trailing_slash(subject, PATH)?;
    let others = [Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    other_methods(subject, PATH, &["GET"], &others)?;
    other_methods(subject, &target(MAX_MS + 1), &["GET"], &others)
}

fn together(subject: &Subject) -> Outcome {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let count = (WAITS_PER_CPU * cpus).min(MOST_WAITS);
    let ms = TOGETHER.as_millis() as u64;
    let target = target(ms);
    let wire = load_wire(subject.addr(), "GET", &target, None);
    let sent = format!("sent: GET {target} on {count} connections at the same time");
    let wrong = |reason: &dyn std::fmt::Display| format!("{sent}\ngot:  {reason}\nexpected: 200");
    let mut open = (0..count)
        .map(|_| Connection::open(subject.addr(), PATIENCE).map_err(|error| wrong(&error)))
        .collect::<Result<Vec<_>, String>>()?;
    let begin = Instant::now();
    let mut sent_at = Vec::with_capacity(count);
    for connection in &mut open {
        sent_at.push(Instant::now());
        connection.send(&wire).map_err(|error| wrong(&error))?;
    }
    for (connection, at) in open.iter_mut().zip(sent_at) {
        let answer = connection.answer(at).map_err(|error| wrong(&error))?;
        // They are read one by one, so when each came isn't known.
        if answer.status != 200 {
            let got = format!("{} {}", answer.status, excerpt(&answer.body));
            return Err(wrong(&got));
        }
    }
    let (took, most) = (begin.elapsed(), TOGETHER * AT_MOST);
    match took <= most {
        true => Ok(()),
        false => Err(format!(
            "{sent}\ngot:  all responses after {took:.1?}\nexpected: after {TOGETHER:?}, at most {most:?}: a wait must \
             not block a worker"
        )),
    }
}

/// If each response takes as long as asked for, connections / delay is the most that can come.
fn ceiling(subject: &Subject) -> Outcome {
    let target = target(DEFAULT_MS);
    let wire = load_wire(subject.addr(), "GET", &target, None);
    clients(CONNECTIONS, |_| {
        let mut connection = None;
        for _ in 0..REQUESTS {
            let answer = subject.exchange(&mut connection, &wire)?;
            is_right(&answer, &target, DEFAULT_MS)?;
        }
        Ok(())
    })?;
    Ok(())
}
