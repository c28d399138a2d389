//! Sends mutated requests to one server, and finds the one that ends it, if any does.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::accept::Referee;
use super::boot::{BootOptions, Running, boot, rss_bytes};
use super::build::Built;
use super::check::check_and_stop;
use super::{Interrupt, LOOK_EVERY};
use record::{Check, Failure, Fuzz, FuzzDeath, FuzzExample, Step};
use referee::CheckOptions;
use robustness::fuzz::{Answer, Shot, fire, minimise, shot, shown};
use robustness::protocol as cases;

/// How long to wait for a response to a mutated request. Many are incomplete and get none.
const WAIT: Duration = Duration::from_millis(10);
/// The same when replaying a single request.
const PATIENT_WAIT: Duration = Duration::from_millis(300);
/// How often to send a valid request in between.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Time limit for the response to it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Number of requests before memory is first read, so that pools and buffers exist.
const WARM: u64 = 1_000;
/// Number of recent requests per connection that are suspects when the process ends.
const REMEMBERED: usize = 4;
/// Stop looking after this many ends.
const MOST_DEATHS: usize = 5;
/// Maximum server starts for minimising a request.
const TRIES: usize = 80;
/// Maximum number of quoted panics.
const MOST_EXAMPLES: usize = 5;
/// Bytes of a request to show.
const SHOWN: usize = 400;

/// What to send, and how.
#[derive(Debug, Clone)]
pub struct FuzzOptions {
    /// Determines the requests.
    pub seed: u64,
    /// Number of requests.
    pub requests: u64,
    /// Concurrent connections.
    pub connections: usize,
    /// Stops after this time.
    pub time_limit: Duration,
    /// How the server is started.
    pub boot: BootOptions,
}

/// The result of a single request.
#[derive(Debug)]
pub struct Replayed {
    /// Its response.
    pub answer: Answer,
    /// How the process ended, or what it got wrong afterwards.
    pub harm: Option<String>,
    /// The end of the log, if it did harm.
    pub log_tail: String,
}

/// Sends the requests and checks the server meanwhile and afterwards. Calls `show` with the number sent.
///
/// # Errors
/// A [`Failure`] if the server can't be started or the user asked to stop.
pub fn fuzz(
    built: &Built,
    options: &FuzzOptions,
    referee: &Referee,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(u64),
) -> Result<Fuzz, Failure> {
    let begin = Instant::now();
    let start = || boot(&built.launch, &options.boot, referee, interrupt);
    let mut tally = Tally::default();
    let mut deaths = Vec::new();
    let mut panics = Panics::default();
    let mut running = start()?;
    let mut volley = Volley::new(options, begin);
    while deaths.len() < MOST_DEATHS
        && let Some(how) = volley.send_rest(&mut running, &mut tally, interrupt, show)
    {
        panics.read(&options.boot);
        let log_tail = running.failure(Step::Drive, "").log_tail;
        drop(running);
        deaths.push(find_culprit(
            &volley.suspects(),
            options,
            &start,
            how,
            log_tail,
        )?);
        running = start()?;
    }
    if interrupt.is_set() {
        return Err(running.failure(Step::Check, "interrupted"));
    }
    let duration_ms = begin.elapsed().as_millis() as u64;
    let rss_after_bytes = rss_bytes(running.group());
    // After an end the process is a fresh one, so checking it would say nothing.
    let (afterwards, stop_failure) = match deaths.is_empty() {
        true => check_and_end(running, &built.server),
        false => (None, None),
    };
    panics.read(&options.boot);
    let tally = tally.0.into_inner().unwrap_or_default();
    Ok(Fuzz {
        seed: options.seed,
        requests: tally.sent,
        connections: options.connections,
        duration_ms,
        statuses: tally.statuses,
        ended: tally.ended,
        silent: tally.silent,
        garbled: tally.garbled,
        server_errors: tally.server_errors,
        panics: panics.lines,
        panic_examples: panics.examples,
        rss_before_bytes: volley.rss_before_bytes,
        rss_after_bytes,
        deaths,
        afterwards,
        stop_failure,
    })
}

/// Sends one request to a fresh process.
///
/// # Errors
/// A [`Failure`] if the server can't be started.
pub fn replay(
    built: &Built,
    one: &Shot,
    options: &BootOptions,
    referee: &Referee,
    interrupt: &Interrupt,
) -> Result<Replayed, Failure> {
    let mut running = boot(&built.launch, options, referee, interrupt)?;
    let answer = fire(running.addr, one, PATIENT_WAIT);
    let harm = harm(&mut running);
    Ok(Replayed {
        answer,
        log_tail: match harm {
            Some(_) => running.failure(Step::Drive, "").log_tail,
            None => String::new(),
        },
        harm,
    })
}

/// What is wrong with a process after a request: it ended, or responds wrongly.
fn harm(running: &mut Running) -> Option<String> {
    let right = cases::still_right(running.addr, PATIENCE);
    let why = right.err()?;
    running.failure(Step::Drive, "");
    match running.ended() {
        Some(how) => Some(format!("the process ended {how}")),
        None => Some(format!("wrong response to a valid request: {why}")),
    }
}

/// Counts over all connections.
#[derive(Debug, Default)]
struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    statuses: BTreeMap<u16, u64>,
    ended: u64,
    silent: u64,
    garbled: u64,
    server_errors: Vec<FuzzExample>,
}

impl Tally {
    fn note(&self, index: u64, one: &Shot, answer: &Answer) {
        let Ok(mut counts) = self.0.lock() else {
            return;
        };
        counts.sent += 1;
        match answer {
            Answer::Status(status) => {
                let count = counts.statuses.entry(*status).or_default();
                *count += 1;
                if *count == 1 && *status >= 500 {
                    counts.server_errors.push(FuzzExample {
                        status: *status,
                        index,
                        request: shown(&one.bytes, SHOWN),
                    });
                }
            }
            Answer::Garbled => counts.garbled += 1,
            Answer::Ended | Answer::NotConnected(_) => counts.ended += 1,
            Answer::Silent => counts.silent += 1,
        }
    }

    fn sent(&self) -> u64 {
        self.0.lock().map_or(0, |counts| counts.sent)
    }
}

/// Requests in flight. They may take several processes if one ends.
struct Volley<'a> {
    options: &'a FuzzOptions,
    next: AtomicU64,
    deadline: Instant,
    /// The numbers of the requests each connection sent last.
    recent: Vec<Mutex<VecDeque<u64>>>,
    rss_before_bytes: Option<u64>,
}

impl<'a> Volley<'a> {
    fn new(options: &'a FuzzOptions, begin: Instant) -> Self {
        Self {
            options,
            next: AtomicU64::new(0),
            deadline: begin + options.time_limit,
            recent: (0..options.connections).map(|_| Mutex::default()).collect(),
            rss_before_bytes: None,
        }
    }

    /// Sends the remaining requests. Returns how the process came to harm, if it did.
    fn send_rest(
        &mut self,
        running: &mut Running,
        tally: &mut Tally,
        interrupt: &Interrupt,
        show: &mut dyn FnMut(u64),
    ) -> Option<String> {
        for recent in &mut self.recent {
            if let Ok(recent) = recent.get_mut() {
                recent.clear();
            }
        }
        let addr = running.addr;
        let over = AtomicBool::new(false);
        let mut rss_before_bytes = self.rss_before_bytes;
        let (volley, tally, over) = (&*self, &*tally, &over);
        let watched = thread::scope(|scope| {
            let senders: Vec<_> = volley
                .recent
                .iter()
                .map(|recent| scope.spawn(move || volley.send(addr, recent, tally, over)))
                .collect();
            let mut asked = Instant::now();
            let mut harmed = None;
            while !senders.iter().all(|sender| sender.is_finished()) {
                thread::sleep(LOOK_EVERY);
                show(tally.sent());
                if rss_before_bytes.is_none() && tally.sent() >= WARM {
                    rss_before_bytes = rss_bytes(running.group());
                }
                let due = asked.elapsed() > ASK_EVERY;
                if interrupt.is_set() || running.ended().is_some() {
                    over.store(true, Ordering::Relaxed);
                } else if due && harmed.is_none() {
                    asked = Instant::now();
                    harmed = harm(running);
                    over.fetch_or(harmed.is_some(), Ordering::Relaxed);
                }
            }
            harmed
        });
        self.rss_before_bytes = rss_before_bytes;
        if interrupt.is_set() {
            return None;
        }
        watched.or_else(|| harm(running))
    }

    fn send(
        &self,
        addr: SocketAddr,
        recent: &Mutex<VecDeque<u64>>,
        tally: &Tally,
        over: &AtomicBool,
    ) {
        while !over.load(Ordering::Relaxed) && Instant::now() < self.deadline {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.options.requests {
                return;
            }
            if let Ok(mut recent) = recent.lock() {
                recent.truncate(REMEMBERED - 1);
                recent.push_front(index);
            }
            let one = shot(self.options.seed, index);
            let answer = fire(addr, &one, WAIT);
            tally.note(index, &one, &answer);
            if matches!(answer, Answer::NotConnected(_)) {
                // It has ended, which the watcher will notice, or is busy with earlier requests.
                thread::sleep(LOOK_EVERY);
            }
        }
    }

    /// Suspects for an end, latest first.
    fn suspects(&self) -> Vec<u64> {
        let mut all: Vec<u64> = Vec::new();
        for recent in &self.recent {
            if let Ok(recent) = recent.lock() {
                all.extend(recent.iter());
            }
        }
        all.sort_unstable_by(|a, b| b.cmp(a));
        all
    }
}

/// Sends the suspects one by one, each to a fresh process, and minimises the culprit.
fn find_culprit(
    suspects: &[u64],
    options: &FuzzOptions,
    start: &dyn Fn() -> Result<Running, Failure>,
    how: String,
    log_tail: String,
) -> Result<FuzzDeath, Failure> {
    let harms = |one: &Shot| -> Result<Option<(String, String)>, Failure> {
        let mut running = start()?;
        fire(running.addr, one, PATIENT_WAIT);
        let how = harm(&mut running);
        Ok(how.map(|how| (how, running.failure(Step::Drive, "").log_tail)))
    };
    for index in suspects {
        let one = shot(options.seed, *index);
        let Some((how, log_tail)) = harms(&one)? else {
            continue;
        };
        let least = minimise(&one.bytes, TRIES, |bytes| {
            harms(&Shot::whole(bytes.to_vec())).is_ok_and(|harm| harm.is_some())
        });
        return Ok(FuzzDeath {
            index: Some(*index),
            how,
            request: Some(shown(&least, SHOWN)),
            log_tail,
        });
    }
    Ok(FuzzDeath {
        index: None,
        how,
        request: None,
        log_tail,
    })
}

/// The referee's checks of the process, and how it ended.
fn check_and_end(running: Running, server: &catalog::Server) -> (Option<Check>, Option<String>) {
    let options = CheckOptions {
        only: referee::ids()
            .filter(|id| *id != referee::AT_START)
            .map(str::to_owned)
            .collect(),
        // This checks correctness, on a machine that need not be quiet.
        first_byte_limit: Duration::from_millis(100),
        lacks: server.about.lacks.clone(),
        ..CheckOptions::default()
    };
    check_and_stop(running, &options)
}

/// Panics found in logs, as Rust's runtime prints them.
#[derive(Debug, Default)]
struct Panics {
    lines: u64,
    /// Distinct ones.
    examples: Vec<String>,
}

impl Panics {
    fn read(&mut self, options: &BootOptions) {
        let log = std::fs::read(&options.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some((_, place)) = line.split_once("panicked at ") else {
                continue;
            };
            self.lines += 1;
            // The message is on the next line.
            let message = lines.next().unwrap_or_default();
            let example = format!("{} {message}", within_crate(place));
            if self.examples.len() < MOST_EXAMPLES && !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }
}

/// A source path starting at its crate's folder, such as `name-1.0.0/src/lib.rs:1:2:`. What comes before is
/// specific to this machine.
fn within_crate(place: &str) -> &str {
    let source = place.find("/src/").map(|at| &place[..at]);
    let registry = source.and_then(|path| path.strip_suffix("/registry"));
    match registry {
        // After `registry/src/` comes the index, then the crate.
        Some(home) => {
            let rest = &place[home.len() + "/registry/src/".len()..];
            rest.split_once('/').map_or(rest, |(_, within)| within)
        }
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::within_crate;

    #[test]
    fn a_source_path_begins_with_its_crate() {
        let registry = "/home/ann/.cargo/registry/src/index-1949/name-1.0.0/src/lib.rs:9:8:";
        assert_eq!(within_crate(registry), "name-1.0.0/src/lib.rs:9:8:");
        assert_eq!(
            within_crate("servers/a/src/main.rs:1:2:"),
            "servers/a/src/main.rs:1:2:"
        );
    }
}
