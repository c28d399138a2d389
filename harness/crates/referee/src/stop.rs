//! A stop while clients have requests in flight and other connections lie idle or half-sent.
//!
//! A response that has begun must be whole. A request may also get none: such a request is lost,
//! and those that had arrived before the signal are counted. They are written whole, on
//! connections that the server has usually answered on, so on a loopback they are in its sockets.
//!
//! The process is held (SIGSTOP) while they are written and the signal is sent. Otherwise a fast
//! server would have answered them all before it gets the signal.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Ended, Process, Stop};
use super::raw::{self, NoAnswer, RawAnswer, RawConnection};
use super::{AtStop, Outcome};

/// The contract's limit on ending.
const LIMIT: Duration = Duration::from_secs(5);
/// Clients that send one request after another, before and after the signal.
const CLIENTS: usize = 16;
/// Answers that all of them together have had before the signal.
const UNDER_WAY: usize = 8 * CLIENTS;
/// How long that may take; a slower server is stopped then all the same.
const WARM_UP: Duration = Duration::from_secs(2);
/// Connections on which a request is written while the process is held.
const ARRIVED: usize = 64;
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
        let idle: Result<Vec<_>, _> = (0..ARRIVED).map(|_| accepted(addr)).collect();
        let arrived = idle.and_then(|idle| {
            process.hold()?;
            arrive(idle, &kinds)
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

/// The same, or a new one where the server closes each after its answer.
fn accepted(addr: SocketAddr) -> Result<RawConnection, String> {
    used(addr)?.map_or_else(|| fresh(addr), Ok)
}

/// Opens the connections that nothing more comes from.
fn gather(addr: SocketAddr, crowd: Crowd) -> Result<Vec<RawConnection>, String> {
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

/// Connections on which a request has arrived, with its place among the kinds.
type Arrived = Vec<(usize, RawConnection)>;

/// Writes a request on each.
fn arrive(idle: Vec<RawConnection>, kinds: &[Kind]) -> Result<Arrived, String> {
    let mut arrived = Arrived::new();
    for (kind, mut connection) in (0..kinds.len()).cycle().zip(idle) {
        let sent = connection.send(&kinds[kind].wire);
        sent.map_err(|error| error.to_string())?;
        arrived.push((kind, connection));
    }
    Ok(arrived)
}

/// What came of a request.
enum Judged {
    Whole,
    Lost,
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
    /// what was wrong with the responses.
    fn client(&self, client: usize) -> Vec<String> {
        let mut faults = Vec::new();
        let mut connection = None;
        for turn in client.. {
            let signalled = self.signalled.load(Ordering::SeqCst);
            if connection.is_none() && signalled || self.over.load(Ordering::SeqCst) {
                break;
            }
            let Ok(mut open) = connection.take().map_or_else(|| accepted(self.addr), Ok) else {
                // The listener may be gone between the signal and the look at it.
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

    /// Counts what came of the requests that had arrived; gives what was wrong with the responses.
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

    /// A response may be missing, but not in part.
    fn judge(
        &self,
        kind: &Kind,
        connection: &RawConnection,
        answer: &Result<RawAnswer, NoAnswer>,
    ) -> Result<Judged, String> {
        let got = match answer {
            Ok(answer) => {
                let body: Result<Value, _> = serde_json::from_slice(&answer.body);
                if answer.status == kind.status && body.is_ok() {
                    return Ok(Judged::Whole);
                }
                let body = super::answer::excerpt(&answer.body);
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
