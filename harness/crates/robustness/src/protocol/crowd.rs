//! How one client affects others: many idle connections, and resets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::judge::{Judgement, answered, deviates, follows, permitted};
use super::script::{Action, Finish, ORDER, Script, order, ping, user};
use super::seen::{Rest, Seen};
use super::talk::talk;
use super::{Case, Concern, Limits, Observed, Plan, rule};
use referee::raw;
use words::grouped;

/// Requests on the active connection while the others are idle.
const WORKING: usize = 200;
/// Time limit for opening a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Minimum time limit, once others have used that up.
const LEAST: Duration = Duration::from_millis(2);
const RESETS: usize = 20;
/// Pipelined requests whose responses exceed the socket buffers.
const UNREAD: usize = 400;

pub(super) const CASES: &[Case] = &[
    Concern::Crowd.case_in_terms(
        "reset",
        "400 GETs of a large page, then a reset in the middle of an answer; 20 times",
        rule("9112 §9.6: a connection may end at any time; the others must not be affected"),
        resets,
        left_alone,
    ),
    Case {
        id: "idle-crowd",
        concern: Concern::Crowd,
        sends: "one connection works while thousands are idle, then each of these asks once",
        rule: rule("9112 §9.4: the standard sets no limit on connections"),
        in_terms: true,
        plan: Plan::Crowd,
        judge: answered,
    },
];

fn resets() -> Vec<Script> {
    let wire = raw::get("/api/v1/users?limit=100").repeat(UNREAD);
    let steps = vec![Action::Send(wire), Action::AwaitFirstByte, Action::Reset];
    let mut script = Script::new(steps).until(Finish::AtOnce);
    script.small_window = true;
    vec![script; RESETS]
}

fn left_alone(seen: &Seen) -> Judgement {
    match seen.rest {
        Rest::Left => follows(),
        Rest::None => deviates("no further connection could be opened"),
        _ => permitted("the server ended the connection first"),
    }
}

/// Opens the idle connections, sends requests on another, then one on each of them.
pub(super) fn crowd(addr: SocketAddr, limits: &Limits<'_>) -> Observed {
    let mut idle = Vec::new();
    let mut refused = None;
    while idle.len() < limits.idle && !(limits.stop)() {
        match TcpStream::connect_timeout(&addr, CONNECT) {
            Ok(stream) => idle.push(stream),
            Err(error) => {
                refused = Some(error.to_string());
                break;
            }
        }
    }
    let (right, wrong) = work(addr, limits);
    (limits.crowded)(idle.len());
    let held = idle.len();
    let (awake, first_silent) = ask_each(idle);
    let asked = match limits.idle_wanted {
        wanted if wanted > limits.idle => {
            format!(" ({} requested; too few descriptors)", grouped(wanted))
        }
        _ => String::new(),
    };
    let cell = format!(
        "{} idle{asked}: {right} of {} right; then {} of {} answer",
        grouped(held),
        WORKING + 1,
        grouped(awake),
        grouped(held)
    );
    let wrong =
        wrong.or_else(|| refused.map(|why| format!("connection {} failed: {why}", held + 1)));
    let judgement = match (&wrong, first_silent) {
        (Some(_), _) => {
            deviates("with many idle connections a valid request gets no correct response")
        }
        (None, Some(_)) => permitted("idle connections are closed within seconds"),
        (None, None) => follows(),
    };
    Observed {
        cell,
        judgement,
        wrong,
    }
}

/// Sends requests on one connection, and one on a new one. Returns how many responses were right, and the first
/// error.
fn work(addr: SocketAddr, limits: &Limits<'_>) -> (usize, Option<String>) {
    let mut working = Script::new(Vec::new()).until(Finish::Answered);
    for nth in 0..WORKING {
        let id = nth as u64 + 1;
        let (wire, want) = match nth % 3 {
            0 => (raw::get("/ping"), ping()),
            1 => (raw::get(&format!("/api/v1/users/{id}")), user(id)),
            _ => (raw::order(ORDER), order()),
        };
        working.steps.push(Action::Send(wire));
        working.steps.push(Action::AwaitAnswers(nth + 1));
        working = working.asking(Some(want));
    }
    let newcomer = Script::wanting(raw::get("/ping"), ping()).until(Finish::Answered);
    let all = [working, newcomer]
        .map(|script| Seen::of(&script, &talk(addr, &script, limits), limits.patience));
    let right = all.iter().map(Seen::right).sum();
    (right, all.iter().find_map(Seen::wrong))
}

/// Sends a request on every connection. Returns how many responded, and the first that did not.
fn ask_each(idle: Vec<TcpStream>) -> (usize, Option<usize>) {
    let mut left = CONNECT;
    let mut answered = 0;
    let mut silent = None;
    for (nth, stream) in idle.iter().enumerate() {
        let begin = Instant::now();
        match ask(stream, left.max(LEAST)) {
            Ok(status) if status == *b"HTTP/1.1 200" => answered += 1,
            _ => {
                silent = silent.or(Some(nth));
                // If all have gone silent, don't wait for each in full.
                left = left.saturating_sub(begin.elapsed());
            }
        }
    }
    (answered, silent)
}

fn ask(mut stream: &TcpStream, limit: Duration) -> std::io::Result<[u8; 12]> {
    let mut status = [0; 12];
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(&raw::get("/ping"))?;
    stream.read_exact(&mut status)?;
    Ok(status)
}
