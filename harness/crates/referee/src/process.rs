//! The process itself: how it refuses to start, what it prints, how it stops.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::raw;
use super::stop::{self, Crowd, Stopped};
use super::subject::Subject;
use super::{AtStop, Definition, Outcome};

/// Time limit for a program to refuse to start.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);
/// Number of requests to see whether something is printed for each.
const PRINTED_FOR: usize = 200;

/// Processes that are stopped by SIGTERM. Which of the requests that have arrived still get a response is a race between
/// a server's threads, so one stop says little about the next.
const STOPS: usize = 5;

/// A server's process, as the referee sees it. Values are in the form of the contract's command line.
pub trait Process {
    /// Where it listens.
    fn addr(&self) -> SocketAddr;

    /// Freezes it until it is asked to stop: incoming data waits unread.
    ///
    /// # Errors
    /// Why it could not be frozen, for example because the process has ended.
    fn hold(&mut self) -> Result<(), String>;

    /// Sends the signal that asks it to stop, and unfreezes it if necessary.
    ///
    /// # Errors
    /// Why it could not be sent, for example because the process has ended.
    fn stop(&mut self, stop: Stop) -> Result<(), String>;

    /// Waits up to `limit` for its end; `None` if it still runs.
    fn wait(&mut self, limit: Duration) -> Option<Ended>;

    /// Checks that nothing listens on its port after it has ended.
    ///
    /// # Errors
    /// The process that does.
    fn frees_port(&self) -> Result<(), String>;

    /// Everything it printed.
    ///
    /// # Errors
    /// Why that can't be read.
    fn printed(&self) -> Result<String, String>;

    /// The CPU time that its processes have used so far.
    ///
    /// # Errors
    /// Why that can't be read.
    fn cpu_time(&mut self) -> Result<Duration, String>;

    /// Whether its command line has a placeholder for the number of workers.
    fn takes_workers(&self) -> bool;

    /// Starts another process with these values and waits up to `limit` for its end. Returns how it ended
    /// (`None` if it kept running and was killed) and what it printed.
    ///
    /// # Errors
    /// Why it could not be started at all.
    fn refusal(
        &mut self,
        addr: Option<&str>,
        workers: Option<&str>,
        limit: Duration,
    ) -> Result<(Option<Ended>, String), String>;

    /// Starts another process that serves on its own port, with these further arguments.
    ///
    /// # Errors
    /// Why it does not.
    fn another(&mut self, arguments: &[&str]) -> Result<Box<dyn Process + '_>, String>;
}

/// A signal that asks a server to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl Stop {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// In words, as in `with status 1` or `by signal 9`.
    pub how: String,
    /// The exit status, if there is one.
    pub status: Option<i32>,
}

/// A check of the process.
pub(super) type ProcessCheck = Definition<fn(&mut Scene<'_>) -> Outcome>;

/// In the order they run: those that end the process come last.
pub(super) const CHECKS: &[ProcessCheck] = checks! {
    "start-bad-value" => bad_value:
        "a bad address or number of workers ends it with status 2 and a message that names the value",
    "start-taken-port" => taken_port:
        "an address in use ends it with status 1 and a message that names it; the first process keeps serving",
    "prints-nothing" => prints_nothing: "nothing is printed for a request",
    "stop-interrupt" => interrupt: "SIGINT under load: no response is truncated, status 0 within 5 s",
    "stop-responses" => responses: "SIGTERM under load: no response is truncated; lost requests are counted",
    "stop-exits" => exits:
        "SIGTERM ends it with status 0 within 5 s, despite idle connections and half-sent requests",
    "stop-frees-port" => frees_port: "once it has ended, nothing listens on its port",
};

/// The process under check, and what is known of its end.
pub(super) struct Scene<'a> {
    process: &'a mut dyn Process,
    subject: &'a Subject,
    stopped: Option<Result<Stopped, String>>,
    /// What came of the requests that had arrived when other processes were stopped.
    others: Vec<AtStop>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(process: &'a mut dyn Process, subject: &'a Subject) -> Self {
        Self {
            process,
            subject,
            stopped: None,
            others: Vec::new(),
        }
    }

    pub(super) fn subject(&self) -> &Subject {
        self.subject
    }

    /// See [`Process::another`].
    pub(super) fn another(&mut self, arguments: &[&str]) -> Result<Box<dyn Process + '_>, String> {
        self.process.another(arguments)
    }

    /// See [`Process::cpu_time`].
    pub(super) fn cpu_time(&mut self) -> Result<Duration, String> {
        self.process.cpu_time()
    }

    /// Stops the process under load on the first call.
    fn stopped(&mut self) -> Result<&Stopped, String> {
        let (process, only_ping) = (&mut *self.process, self.subject.only_ping);
        let stopped = self.stopped.get_or_insert_with(|| {
            stop::under_load(process, Stop::Terminate, Crowd::WithHalfSent, only_ping)
        });
        stopped.as_ref().map_err(Clone::clone)
    }

    /// What came of the requests that had arrived: the mean over all stops by SIGTERM.
    pub(super) fn at_stop(&self) -> Option<AtStop> {
        let first = self.stopped.as_ref()?.as_ref().ok()?.at_stop();
        let all = || self.others.iter().chain([&first]);
        let stops = all().count() as f64;
        let mean = |of: fn(&AtStop) -> u32| {
            let sum: u32 = all().map(of).sum();
            (f64::from(sum) / stops).round() as u32
        };
        Some(AtStop {
            sent: mean(|stop| stop.sent),
            lost: mean(|stop| stop.lost),
        })
    }
}

/// Fails unless a start with these values ends with this status and prints something that contains `named`.
fn refuses(
    scene: &mut Scene<'_>,
    (addr, workers): (Option<&str>, Option<&str>),
    status: i32,
    named: &str,
) -> Outcome {
    let (ended, printed) = scene.process.refusal(addr, workers, REFUSAL_LIMIT)?;
    let right = ended.as_ref().and_then(|ended| ended.status) == Some(status);
    if right && !printed.trim().is_empty() && printed.contains(named) {
        return Ok(());
    }
    let flag = match (addr, workers) {
        (Some(addr), _) => format!("--addr {addr}"),
        (None, workers) => format!("--workers {}", workers.unwrap_or_default()),
    };
    let how = match ended {
        Some(ended) => format!("it ended {}", ended.how),
        None => format!("it still runs after {} s", REFUSAL_LIMIT.as_secs()),
    };
    let first = printed.lines().next().unwrap_or("(nothing)");
    Err(format!(
        "sent: a start with {flag}\ngot:  {how}, and prints {first}\n\
         expected: status {status}, and a line that names {named}"
    ))
}

fn bad_value(scene: &mut Scene<'_>) -> Outcome {
    refuses(scene, (Some("nonsense"), None), 2, "nonsense")?;
    if scene.process.takes_workers() {
        refuses(scene, (None, Some("many")), 2, "many")?;
        // A zero occurs in too many outputs to prove anything.
        refuses(scene, (None, Some("0")), 2, "")?;
    }
    Ok(())
}

fn taken_port(scene: &mut Scene<'_>) -> Outcome {
    let addr = scene.process.addr().to_string();
    refuses(scene, (Some(&addr), None), 1, &addr)?;
    scene.subject.returns("/ping", &json!({"status": "ok"}))
}

/// Occasional output, such as once a second, is allowed.
fn prints_nothing(scene: &mut Scene<'_>) -> Outcome {
    let before = scene.process.printed()?.len();
    let mut connection = None;
    let order = raw::order(r#"{"item_id":"SKU-800","qty":8}"#);
    let kinds = [raw::get("/ping"), raw::get("/api/v1/users/0"), order];
    for wire in kinds.iter().cycle().take(PRINTED_FOR) {
        scene.subject.exchange(&mut connection, wire)?;
    }
    let printed = scene.process.printed()?;
    let more = printed.get(before..).unwrap_or_default();
    // One line per request has at least one byte per request.
    if more.len() < PRINTED_FOR {
        return Ok(());
    }
    let first = more.lines().next().unwrap_or_default();
    Err(format!(
        "sent: {PRINTED_FOR} requests\ngot:  {} lines printed, the first: {first}\nexpected: none",
        more.lines().count()
    ))
}

fn interrupt(scene: &mut Scene<'_>) -> Outcome {
    let only_ping = scene.subject.only_ping;
    let mut another = scene.another(&[])?;
    let stopped = stop::under_load(&mut *another, Stop::Interrupt, Crowd::Whole, only_ping)?;
    stopped.responses().and_then(|()| stopped.exited())
}

fn responses(scene: &mut Scene<'_>) -> Outcome {
    let stopped = scene.stopped()?;
    stopped.responses()?;
    if !stopped.has_ended() {
        return Ok(());
    }
    for _ in 1..STOPS {
        let only_ping = scene.subject.only_ping;
        let mut another = scene.another(&[])?;
        let (stop, crowd) = (Stop::Terminate, Crowd::WithHalfSent);
        let stopped = stop::under_load(&mut *another, stop, crowd, only_ping);
        drop(another);
        let stopped = stopped?;
        stopped.responses()?;
        scene.others.push(stopped.at_stop());
    }
    Ok(())
}

fn exits(scene: &mut Scene<'_>) -> Outcome {
    scene.stopped()?.exited()
}

fn frees_port(scene: &mut Scene<'_>) -> Outcome {
    // If it still runs, another check reports that.
    match scene.stopped()?.has_ended() {
        true => scene.process.frees_port(),
        false => Ok(()),
    }
}
