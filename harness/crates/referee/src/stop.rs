//! A stop while clients have requests in flight and other connections lie idle or half-sent.
//!
//! What counts as arrived: a request is written whole, on a connection that has been answered
//! on, before the signal is sent. On a loopback it then lies in the server's socket. Whatever
//! is sent later may find the connection closed, but what is answered is answered whole.
//!
//! The process is held (SIGSTOP) while the last of them are written and the signal is sent: a
//! fast server would else have answered them all before it hears of the signal, and one that
//! loses requests would pass by luck.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Outcome;
use super::process::{Ended, Process, Stop};
use super::raw::{self, NoAnswer, RawAnswer, RawConnection};

/// The contract's limit on ending.
const LIMIT: Duration = Duration::from_secs(5);
/// Clients that send one request after another, before and after the signal.
const CLIENTS: usize = 16;
/// Answers that all of them together have had before the signal.
const UNDER_WAY: usize = 8 * CLIENTS;
/// How long that may take; a slower server is stopped then all the same.
const WARM_UP: Duration = Duration::from_secs(2);
/// Connections on which a request is written while the process is held.
const ARRIVED: usize = 32;
/// Connections of each kind that nothing more comes from.
const IDLE: usize = 8;

const HALF_A_HEAD: &[u8] = b"GET /api/v1/users HTTP/1.1\r\nHost: local";
const HALF_A_BODY: &[u8] = b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\n\
    Content-Type: application/json\r\nContent-Length: 29\r\n\r\n{\"item_id\":";

/// Which connections are open besides those with requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Kept ones that lie idle.
    Whole,
    /// Those, and some that were never used, have sent half a head or half a body.
    WithHalfSent,
}

/// What came of a stop.
pub(super) struct Stopped {
    stop: Stop,
    /// Requests in flight that were not answered as they must be, in words.
    faults: Vec<String>,
    ended: Option<Ended>,
}

impl Stopped {
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn answered(&self) -> Outcome {
        let Some(first) = self.faults.first() else {
            return Ok(());
        };
        Err(match self.faults.len() - 1 {
            0 => first.clone(),
            more => format!("{first}\n(and {more} more requests like it)"),
        })
    }

    pub(super) fn exited(&self) -> Outcome {
        let how = match &self.ended {
            Some(ended) if ended.status == Some(0) => return Ok(()),
            Some(ended) => format!("it ended {}", ended.how),
            None => format!("it still runs after {} s", LIMIT.as_secs()),
        };
        Err(format!(
            "sent: {} with idle{} connections open\ngot:  {how}\nexpected: status 0 within {} s",
            self.stop.name(),
            match self.stop {
                Stop::Terminate => " and half-sent",
                Stop::Interrupt => "",
            },
            LIMIT.as_secs()
        ))
    }
}

/// A request, and the status of its answer.
struct Kind {
    line: &'static str,
    wire: Vec<u8>,
    status: u16,
}

/// Long answers among them: a short one is rarely cut off.
fn kinds() -> [Kind; 4] {
    let order = r#"{"item_id":"SKU-777","qty":7}"#;
    let get = |line: &'static str, target| Kind {
        line,
        wire: raw::get(target),
        status: 200,
    };
    [
        get(
            "GET /api/v1/users?limit=100",
            "/api/v1/users?limit=100&page=9",
        ),
        Kind {
            line: "POST /api/v1/orders",
            wire: raw::order(order),
            status: 201,
        },
        get("GET /api/v1/orders?limit=100", "/api/v1/orders?limit=100"),
        get("GET /ping", "/ping"),
    ]
}

/// Stops a process that has requests in flight.
pub(super) fn under_load(
    process: &mut dyn Process,
    stop: Stop,
    crowd: Crowd,
) -> Result<Stopped, String> {
    let addr = process.addr();
    let kinds = kinds();
    let crowd = gather(addr, crowd)?;
    let load = Load {
        addr,
        kinds: &kinds,
        answers: AtomicUsize::new(0),
        signalled: AtomicBool::new(false),
        over: AtomicBool::new(false),
        name: stop.name(),
    };
    let stopped = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let load = &load;
                scope.spawn(move || load.client(client))
            })
            .collect();
        load.until_under_way();
        let arrived = accepted(addr).and_then(|accepted| {
            process.hold()?;
            arrive(accepted, &kinds)
        });
        load.signalled.store(true, Ordering::SeqCst);
        let sent = process.stop(stop);
        let mut faults: Vec<String> = Vec::new();
        let readers = arrived.map(|arrived| scope.spawn(|| load.read(arrived)));
        let ended = process.wait(LIMIT);
        load.over.store(true, Ordering::SeqCst);
        let mut join = |thread: thread::ScopedJoinHandle<'_, Vec<String>>| {
            let found = thread.join();
            faults.extend(found.unwrap_or_else(|_| vec!["a client panicked".to_owned()]));
        };
        clients.into_iter().for_each(&mut join);
        join(readers?);
        sent?;
        Ok(Stopped {
            stop,
            faults,
            ended,
        })
    });
    drop(crowd);
    stopped
}

fn fresh(addr: SocketAddr) -> Result<RawConnection, String> {
    RawConnection::open(addr).map_err(|error| format!("connecting: {error}"))
}

/// A connection that has been answered on, which the server has therefore accepted. None where
/// the answer says that the connection closes now.
fn used(addr: SocketAddr) -> Result<Option<RawConnection>, String> {
    let fault = |error: String| format!("sent: GET /ping\ngot:  {error}\nexpected: an answer");
    let mut connection = RawConnection::open(addr).map_err(|error| fault(error.to_string()))?;
    let answer = connection
        .exchange(&raw::get("/ping"))
        .map_err(|error| fault(error.to_string()))?;
    Ok((!answer.closes).then_some(connection))
}

/// Opens the connections that nothing more comes from.
fn gather(addr: SocketAddr, crowd: Crowd) -> Result<Vec<RawConnection>, String> {
    let mut open = Vec::new();
    for _ in 0..IDLE {
        open.extend(used(addr)?);
        if crowd == Crowd::WithHalfSent {
            open.push(fresh(addr)?);
            for half in [HALF_A_HEAD, HALF_A_BODY] {
                let mut connection = used(addr)?.map_or_else(|| fresh(addr), Ok)?;
                let sent = connection.send(half);
                sent.map_err(|error| error.to_string())?;
                open.push(connection);
            }
        }
    }
    Ok(open)
}

/// Connections on which a request has arrived, with its place among the kinds.
type Arrived = Vec<(usize, RawConnection)>;

/// Connections that have been answered on; none, where the server closes each after its answer.
fn accepted(addr: SocketAddr) -> Result<Vec<RawConnection>, String> {
    let mut accepted = Vec::new();
    for _ in 0..ARRIVED {
        accepted.extend(used(addr)?);
    }
    Ok(accepted)
}

/// Writes a request on each.
fn arrive(accepted: Vec<RawConnection>, kinds: &[Kind]) -> Result<Arrived, String> {
    let mut arrived = Arrived::new();
    for (kind, mut connection) in (0..kinds.len()).cycle().zip(accepted) {
        let sent = connection.send(&kinds[kind].wire);
        sent.map_err(|error| error.to_string())?;
        arrived.push((kind, connection));
    }
    Ok(arrived)
}

/// Clients that go on through the signal.
struct Load<'a> {
    addr: SocketAddr,
    kinds: &'a [Kind],
    answers: AtomicUsize,
    signalled: AtomicBool,
    /// The process has ended, or has had its time.
    over: AtomicBool,
    name: &'static str,
}

impl Load<'_> {
    fn until_under_way(&self) {
        let deadline = Instant::now() + WARM_UP;
        while self.answers.load(Ordering::Relaxed) < UNDER_WAY && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends one request after another until its connection is closed after the signal; gives
    /// what was wrong with their answers.
    fn client(&self, client: usize) -> Vec<String> {
        let mut faults = Vec::new();
        let mut connection = None;
        for turn in client.. {
            let signalled = self.signalled.load(Ordering::SeqCst);
            if connection.is_none() && signalled || self.over.load(Ordering::SeqCst) {
                break;
            }
            let kept = connection
                .take()
                .map(Some)
                .map_or_else(|| used(self.addr), Ok);
            let accepted = matches!(kept, Ok(Some(_)));
            let open = kept.and_then(|kept| kept.map_or_else(|| fresh(self.addr), Ok));
            let Ok(mut open) = open else {
                // The listener may be gone between the signal and the look at it.
                break;
            };
            let kind = &self.kinds[turn % self.kinds.len()];
            let sent = Instant::now();
            let written = open.send(&kind.wire);
            // Written before the signal on an accepted connection: it has arrived.
            let arrived = accepted && written.is_ok() && !self.signalled.load(Ordering::SeqCst);
            let answer = written.and_then(|()| open.answer(sent));
            match self.judge(kind, &open, arrived, &answer) {
                Ok(()) => {}
                Err(fault) => {
                    faults.push(fault);
                    break;
                }
            }
            match answer {
                Ok(answer) if !answer.closes => connection = Some(open),
                Ok(_) => {}
                Err(_) => break,
            }
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
        faults
    }

    fn read(&self, arrived: Arrived) -> Vec<String> {
        let mut faults = Vec::new();
        for (kind, mut connection) in arrived {
            let answer = connection.answer(Instant::now());
            faults.extend(
                self.judge(&self.kinds[kind], &connection, true, &answer)
                    .err(),
            );
        }
        faults
    }

    /// Whether an answer is as it must be; one to a request that had not arrived may be
    /// missing, but not in part.
    fn judge(
        &self,
        kind: &Kind,
        connection: &RawConnection,
        arrived: bool,
        answer: &Result<RawAnswer, NoAnswer>,
    ) -> Outcome {
        let got = match answer {
            Ok(answer) => {
                let body: Result<Value, _> = serde_json::from_slice(&answer.body);
                if answer.status == kind.status && body.is_ok() {
                    return Ok(());
                }
                let body = super::answer::excerpt(&answer.body);
                format!("{} {body}", answer.status)
            }
            Err(_) if !arrived && !connection.has_received() => return Ok(()),
            Err(error) if connection.has_received() => format!("a part of an answer: {error}"),
            Err(error) => error.to_string(),
        };
        let when = if arrived { "before" } else { "after" };
        Err(format!(
            "sent: {}, whole {when} {}\ngot:  {got}\nexpected: {}, whole",
            kind.line, self.name, kind.status
        ))
    }
}
