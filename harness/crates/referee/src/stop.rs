//! A stop while clients have requests in flight and other connections lie idle or half-sent.
//!
//! A response that has begun must be complete. A request may also get no response: it is lost, and lost requests
//! that had arrived before the signal are counted. Each is sent in full, usually on a connection that has already
//! served a request, so on loopback it is in the server's socket.
//!
//! The process is paused (SIGSTOP) while the requests and the signal are sent. Otherwise a fast server would
//! respond to all of them before the signal arrives.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Ended, Process, Stop};
use super::raw::{self, Connection, NoResponse, RawResponse};
use super::subject::TIMEOUT;
use super::{AtStop, Outcome};

/// The contract's time limit for the exit.
const LIMIT: Duration = Duration::from_secs(5);
/// Clients that send one request after another, before and after the signal.
const CLIENTS: usize = 16;
/// Responses that these clients together receive before the signal.
const UNDER_WAY: usize = 8 * CLIENTS;
/// Time limit for that. A slower server is stopped anyway.
const WARM_UP: Duration = Duration::from_secs(2);
/// Connections on which a request is sent while the process is paused.
const ARRIVED: usize = 64;
/// Connections of each kind that stay silent.
const IDLE: usize = 8;

const HALF_A_HEAD: &[u8] = b"GET /api/v1/users HTTP/1.1\r\nHost: local";
const HALF_A_BODY: &[u8] = b"POST /api/v1/orders HTTP/1.1\r\nHost: localhost\r\n\
    Content-Type: application/json\r\nContent-Length: 29\r\n\r\n{\"item_id\":";

/// Connections that are open besides those with requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Idle connections.
    Whole,
    /// Idle ones, and some that were never used or sent half a head or half a body.
    WithHalfSent,
}

/// The result of a stop.
pub(super) struct Stopped {
    stop: Stop,
    at_stop: AtStop,
    /// Responses that were truncated or wrong, in words.
    faults: Vec<String>,
    ended: Option<Ended>,
}

impl Stopped {
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn at_stop(&self) -> AtStop {
        self.at_stop
    }

    pub(super) fn responses(&self) -> Outcome {
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

/// A request and the status of its response.
struct Kind {
    line: &'static str,
    wire: Vec<u8>,
    status: u16,
}

/// Some responses are long, because a short one is rarely truncated.
fn kinds() -> [Kind; 4] {
    let order = r#"{"item_id":"SKU-777","qty":7}"#;
    let get = |line: &'static str, target| Kind {
        line,
        wire: raw::get(target),
        status: 200,
    };
    [
        get("GET /ping", "/ping"),
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
    ]
}

/// Stops a process that has requests in flight.
pub(super) fn under_load(
    process: &mut dyn Process,
    stop: Stop,
    crowd: Crowd,
    only_ping: bool,
) -> Result<Stopped, String> {
    let addr = process.addr();
    let kinds = kinds();
    let kinds = if only_ping { &kinds[..1] } else { &kinds };
    let crowd = gather(addr, crowd)?;
    let load = Load {
        addr,
        kinds,
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
        let idle: Result<Vec<_>, _> = (0..ARRIVED).map(|_| accepted(addr)).collect();
        let arrived = idle.and_then(|idle| {
            process.hold()?;
            arrive(idle, kinds)
        });
        load.signalled.store(true, Ordering::SeqCst);
        let sent = process.stop(stop);
        let reader = arrived.map(|arrived| scope.spawn(|| load.read(arrived)));
        let ended = process.wait(LIMIT);
        load.over.store(true, Ordering::SeqCst);
        let panicked = |_| "a client panicked".to_owned();
        let mut faults = Vec::new();
        for client in clients {
            faults.extend(client.join().map_err(panicked)?);
        }
        let (at_stop, of_arrived) = reader?.join().map_err(panicked)?;
        faults.extend(of_arrived);
        sent?;
        Ok(Stopped {
            stop,
            at_stop,
            faults,
            ended,
        })
    });
    drop(crowd);
    stopped
}

fn fresh(addr: SocketAddr) -> Result<Connection, String> {
    Connection::open(addr, TIMEOUT).map_err(|error| format!("connecting: {error}"))
}

/// A connection that has served a request, so the server has accepted it. None if the response closes it.
fn used(addr: SocketAddr) -> Result<Option<Connection>, String> {
    let fault = |error: String| format!("sent: GET /ping\ngot:  {error}\nexpected: a response");
    let mut connection =
        Connection::open(addr, TIMEOUT).map_err(|error| fault(error.to_string()))?;
    let answer = connection
        .exchange(&raw::get("/ping"))
        .map_err(|error| fault(error.to_string()))?;
    Ok((!answer.closes).then_some(connection))
}

/// The same, or a new connection if the server closes each after its response.
fn accepted(addr: SocketAddr) -> Result<Connection, String> {
    used(addr)?.map_or_else(|| fresh(addr), Ok)
}

/// Opens the connections that stay silent.
fn gather(addr: SocketAddr, crowd: Crowd) -> Result<Vec<Connection>, String> {
    let mut open = Vec::new();
    for _ in 0..IDLE {
        open.extend(used(addr)?);
        if crowd == Crowd::WithHalfSent {
            open.push(fresh(addr)?);
            for half in [HALF_A_HEAD, HALF_A_BODY] {
                let mut connection = accepted(addr)?;
                let sent = connection.send(half);
                sent.map_err(|error| error.to_string())?;
                open.push(connection);
            }
        }
    }
    Ok(open)
}

/// Connections on which a request has arrived, each with the index of its kind.
type Arrived = Vec<(usize, Connection)>;

/// Sends a request on each.
fn arrive(idle: Vec<Connection>, kinds: &[Kind]) -> Result<Arrived, String> {
    let mut arrived = Arrived::new();
    for (kind, mut connection) in (0..kinds.len()).cycle().zip(idle) {
        let sent = connection.send(&kinds[kind].wire);
        sent.map_err(|error| error.to_string())?;
        arrived.push((kind, connection));
    }
    Ok(arrived)
}

/// The result of a request.
enum Judged {
    Whole,
    Lost,
}

/// Clients that keep sending through the signal.
struct Load<'a> {
    addr: SocketAddr,
    kinds: &'a [Kind],
    answers: AtomicUsize,
    signalled: AtomicBool,
    /// The process has exited, or its time is up.
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

    /// Sends one request after another until its connection is closed after the signal. Returns what was wrong
    /// with the responses.
    fn client(&self, client: usize) -> Vec<String> {
        let mut faults = Vec::new();
        let mut connection = None;
        for turn in client.. {
            let signalled = self.signalled.load(Ordering::SeqCst);
            if connection.is_none() && signalled || self.over.load(Ordering::SeqCst) {
                break;
            }
            let Ok(mut open) = connection.take().map_or_else(|| accepted(self.addr), Ok) else {
                // The listener may have closed since the check above.
                break;
            };
            let kind = &self.kinds[turn % self.kinds.len()];
            let sent = Instant::now();
            let answer = open.send(&kind.wire).and_then(|()| open.answer(sent));
            if let Err(fault) = self.judge(kind, &open, &answer) {
                faults.push(fault);
                break;
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

    /// Counts the requests that had arrived and those that were lost. Returns what was wrong with the responses.
    fn read(&self, arrived: Arrived) -> (AtStop, Vec<String>) {
        let (mut at_stop, mut faults) = (AtStop::default(), Vec::new());
        for (kind, mut connection) in arrived {
            let answer = connection.answer(Instant::now());
            at_stop.sent += 1;
            match self.judge(&self.kinds[kind], &connection, &answer) {
                Ok(Judged::Whole) => {}
                Ok(Judged::Lost) => at_stop.lost += 1,
                Err(fault) => faults.push(fault),
            }
        }
        (at_stop, faults)
    }

    /// A response may be missing, but not partial.
    fn judge(
        &self,
        kind: &Kind,
        connection: &Connection,
        answer: &Result<RawResponse, NoResponse>,
    ) -> Result<Judged, String> {
        let got = match answer {
            Ok(answer) => {
                let body: Result<Value, _> = serde_json::from_slice(&answer.body);
                if answer.status == kind.status && body.is_ok() {
                    return Ok(Judged::Whole);
                }
                let body = super::response::excerpt(&answer.body);
                format!("{} {body}", answer.status)
            }
            Err(_) if !connection.has_received() => return Ok(Judged::Lost),
            Err(error) => format!("a part of a response: {error}"),
        };
        Err(format!(
            "sent: {}, with {}\ngot:  {got}\nexpected: {}, whole, or no byte",
            kind.line, self.name, kind.status
        ))
    }
}
