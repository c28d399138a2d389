//! The conditions under which a server runs, as seen in its process and on its connections: threads, allocator,
//! socket options, limits.
//!
//! A process is started for each number of workers and loaded to see which threads work; the last one then answers
//! everything else.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, anyhow, bail, ensure};

use super::footprint::is_open;
use catalog::{Body, CHECKED_CALLS, Call, Server, Workload};
use loadgen::{Config, Control, ExchangeError, Response};
use machine::probe::{
    allocator, backlog, busy_threads, connection_options, listener_options, thread_times,
};
use record::{
    Failure, MOST_BYTES, MOST_HEADERS, MOST_IDLE_S, MOST_REQUESTS, Observed, ServerFairness, Step,
    WORKERS,
};
use runner::{BootOptions, Interrupt, Launch, Referee, Running, boot};

/// The load that shows which threads work.
const CONNECTIONS: usize = 32;
const LOAD: Duration = Duration::from_millis(800);
/// How often its threads are looked at meanwhile.
const EVERY: Duration = Duration::from_millis(50);
/// How long and how often the Date is watched.
const WATCH_DATE: Duration = Duration::from_millis(3_300);
const DATE_EVERY: Duration = Duration::from_millis(2);
/// How often an idle connection is looked at.
const WATCH_EVERY: Duration = Duration::from_millis(20);
/// How long a server may take for a response to an unusual request.
const PATIENCE: Duration = Duration::from_secs(2);

/// How to look at a server.
#[derive(Debug, Clone)]
pub struct FairnessOptions {
    /// How to start it; the number of workers is set here.
    pub boot: BootOptions,
    /// CPUs of the load generator; any if empty.
    pub driver_cpus: Vec<u32>,
    /// Time limit for a response.
    pub timeout: Duration,
}

/// Looks at a server. `into` keeps what was seen before a failure. Calls `show` with what is looked at next.
///
/// # Errors
/// A [`Failure`] if the server can't be started, answers wrongly or ends.
pub fn fairness(
    server: &Server,
    launch: &Launch,
    workload: &Workload,
    options: &FairnessOptions,
    interrupt: &Interrupt,
    into: &mut ServerFairness,
    show: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    note(into, "parser", server.parser().map(Observed::Text));
    let look = Look {
        options,
        interrupt,
        referee: Referee::new(),
    };
    let calls = workload.draw(1, CHECKED_CALLS);
    for workers in WORKERS {
        show(&format!("threads with --workers {workers}"));
        let boot_options = BootOptions {
            workers: workers as usize,
            ..options.boot.clone()
        };
        let mut running = boot(launch, &boot_options, &look.referee, interrupt)?;
        let (busy, all) = look
            .threads(&running, &calls)
            .map_err(|error| running.failure(Step::Drive, format!("{error:#}")))?;
        let told = match launch.takes_workers() {
            true => Ok(Observed::Number(busy)),
            false => Err("its command line has no {workers}".to_owned()),
        };
        note(into, &record::busy_threads(workers), told);
        if workers == WORKERS[1] {
            note(into, "threads_2", Ok(Observed::Number(all)));
            let seen = look.process(&running, into, show);
            seen.map_err(|error| running.failure(Step::Drive, format!("{error:#}")))?;
        }
        running.kill()?;
    }
    Ok(())
}

fn note(into: &mut ServerFairness, id: &str, seen: Result<Observed, String>) {
    match seen {
        Ok(seen) => drop(into.properties.insert(id.to_owned(), seen)),
        Err(why) => drop(into.absent.insert(id.to_owned(), why)),
    }
}

fn told<T>(result: std::io::Result<T>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

struct Look<'a> {
    options: &'a FairnessOptions,
    interrupt: &'a Interrupt,
    referee: Referee,
}

impl Look<'_> {
    /// Threads that work under load, and all.
    fn threads(&self, running: &Running, calls: &[Call]) -> Result<(f64, f64)> {
        let options = self.options;
        let timeout = options.timeout;
        let script = runner::accept(running.addr, calls, &self.referee, timeout, self.interrupt)?;
        let mut processes = running.processes();
        let before = thread_times(&processes.pids());
        let config = Config {
            connections: CONNECTIONS,
            cpus: options.driver_cpus.clone(),
            warmup: Duration::ZERO,
            duration: LOAD,
            timeout,
            ..Config::new(running.addr)
        };
        let control = Arc::new(Control::new(self.interrupt.flag()));
        // Looked at during the load: a thread of a connection ends with it.
        let mut after = before.clone();
        let mut most = before.len();
        let measured = thread::scope(|scope| {
            let load = scope.spawn(|| loadgen::drive(&config, &script, &control));
            while !load.is_finished() {
                thread::sleep(EVERY);
                processes.refresh();
                let now = thread_times(&processes.pids());
                most = most.max(now.len());
                after.extend(now);
            }
            load.join()
        });
        let measured = measured.map_err(|_| anyhow!("the load generator panicked"))??;
        ensure!(!measured.stopped, "interrupted");
        if let Some(error) = &measured.first_error {
            bail!("{error}");
        }
        let busy = busy_threads(&before, &after);
        ensure!(busy > 0, "the CPU time of its threads can't be read");
        Ok((busy as f64, most as f64))
    }

    /// Everything but the threads.
    fn process(
        &self,
        running: &Running,
        into: &mut ServerFairness,
        show: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let mut processes = running.processes();
        let pids = processes.pids();
        let allocator = allocator(&pids);
        note(into, "allocator", allocator.map(Observed::Text));
        let mut idle = self.connect(running)?;
        self.ping(running, &mut idle)?;
        let since = Instant::now();
        self.sockets(running, &pids, &idle, into)?;
        let watched = thread::spawn(move || {
            let watch = Duration::from_secs(MOST_IDLE_S);
            while since.elapsed() < watch && is_open(&idle) {
                thread::sleep(WATCH_EVERY);
            }
            since.elapsed().min(watch)
        });
        show("requests of a connection");
        let requests = self.requests(running)?;
        note(
            into,
            "keepalive_requests",
            Ok(Observed::Number(requests as f64)),
        );
        show("the Date");
        note(
            into,
            "date_lag_s",
            self.date_lag(running).map(Observed::Number),
        );
        show("limits");
        self.limits(running, into)?;
        show("an idle connection");
        let kept = watched.join();
        let kept = kept.map_err(|_| anyhow!("the thread that watches a connection panicked"))?;
        let kept = kept.as_secs_f64();
        note(into, "keepalive_idle_s", Ok(Observed::Number(kept)));
        processes.refresh();
        ensure!(!processes.pids().is_empty(), "it ended");
        Ok(())
    }

    fn connect(&self, running: &Running) -> Result<TcpStream> {
        Ok(TcpStream::connect_timeout(
            &running.addr,
            self.options.timeout,
        )?)
    }

    fn ping(&self, running: &Running, stream: &mut TcpStream) -> Result<Response> {
        let wire = runner::wire(&self.referee.readiness(), running.addr);
        Ok(loadgen::exchange(stream, &wire, self.options.timeout)?)
    }

    fn sockets(
        &self,
        running: &Running,
        pids: &[u32],
        stream: &TcpStream,
        into: &mut ServerFairness,
    ) -> Result<()> {
        let addr = running.addr;
        let options = told(connection_options(pids, addr, stream.local_addr()?));
        let nodelay = options
            .as_ref()
            .map(|options| Observed::Flag(options.nodelay));
        note(into, "nodelay", nodelay.map_err(Clone::clone));
        let buffer = options.map(|options| Observed::Number(options.send_buffer as f64));
        note(into, "send_buffer_bytes", buffer);
        let waiting =
            told(backlog(addr.port())).map(|backlog| Observed::Number(f64::from(backlog)));
        note(into, "backlog", waiting);
        let listener = told(listener_options(pids, addr.port()));
        let sockets = listener
            .as_ref()
            .map(|l| Observed::Number(l.sockets as f64));
        note(into, "listeners", sockets.map_err(Clone::clone));
        note(
            into,
            "reuse_port",
            listener.map(|l| Observed::Flag(l.reuse_port)),
        );
        Ok(())
    }

    /// Requests that one connection serves.
    fn requests(&self, running: &Running) -> Result<u64> {
        let mut stream = self.connect(running)?;
        for served in 1..=MOST_REQUESTS {
            match self.ping(running, &mut stream) {
                Ok(response) if response.close => return Ok(served),
                Ok(_) => {}
                // It closed without saying so.
                Err(_) if served > 1 => return Ok(served - 1),
                Err(error) => return Err(error),
            }
        }
        Ok(MOST_REQUESTS)
    }

    /// By how many seconds the Date lags behind the clock at most.
    fn date_lag(&self, running: &Running) -> Result<f64, String> {
        let mut stream = self.connect(running).map_err(|error| error.to_string())?;
        let end = Instant::now() + WATCH_DATE;
        let mut most = 0.0_f64;
        while Instant::now() < end {
            let sent = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let sent = sent.unwrap_or_default().as_secs_f64() % DAY;
            let response = self
                .ping(running, &mut stream)
                .map_err(|error| format!("{error:#}"))?;
            if response.close {
                stream = self.connect(running).map_err(|error| error.to_string())?;
            }
            let shown = date(&response.head).ok_or("its responses have no Date")?;
            // It is right until the next second begins.
            let late = (sent - (shown + 1.0)).rem_euclid(DAY);
            if late < DAY / 2.0 {
                most = most.max(late);
            }
            thread::sleep(DATE_EVERY);
        }
        Ok(most)
    }

    /// The longest body, the most headers and the longest head, and the answer to more.
    fn limits(&self, running: &Running, into: &mut ServerFairness) -> Result<()> {
        let addr = running.addr;
        let frame = r#"{"item_id":"SKU-000","qty":1,"note":""}"#;
        let order = |bytes: u64| {
            let note = "x".repeat(
                usize::try_from(bytes)
                    .unwrap_or(0)
                    .saturating_sub(frame.len()),
            );
            let body = frame.replace(r#""note":"""#, &format!(r#""note":"{note}""#));
            let call = Call {
                method: "POST".to_owned(),
                target: "/api/v1/orders".to_owned(),
                headers: Vec::new(),
                body: Some(Body::Json(body)),
            };
            runner::wire(&call, addr)
        };
        let ping = format!("GET /ping HTTP/1.1\r\nHost: {addr}\r\n");
        let headers = |count: u64| {
            let more: String = (1..count).map(|n| format!("X-{n}: 1\r\n")).collect();
            format!("{ping}{more}\r\n").into_bytes()
        };
        let head = |bytes: u64| {
            let frame = ping.len() + "X: \r\n\r\n".len();
            let value = "x".repeat(usize::try_from(bytes).unwrap_or(0).saturating_sub(frame));
            format!("{ping}X: {value}\r\n\r\n").into_bytes()
        };
        let kinds = [
            ("body_limit", "_bytes", "201", 64, MOST_BYTES),
            ("headers_limit", "", "200", 1, MOST_HEADERS),
            ("head_limit", "_bytes", "200", 128, MOST_BYTES),
        ];
        for (id, unit, right, least, most) in kinds {
            let answer = |size: u64| {
                let wire = match id {
                    "body_limit" => order(size),
                    "headers_limit" => headers(size),
                    _ => head(size),
                };
                self.answer(running, &wire)
            };
            let (accepted, beyond) = limit(least, most, right, answer)?;
            note(
                into,
                &format!("{id}{unit}"),
                Ok(Observed::Number(accepted as f64)),
            );
            let beyond = beyond.ok_or_else(|| format!("{most} were accepted"));
            note(into, &format!("{id}_answer"), beyond.map(Observed::Text));
        }
        Ok(())
    }

    /// The status of a response, or what came instead.
    fn answer(&self, running: &Running, wire: &[u8]) -> Result<String> {
        ensure!(!self.interrupt.is_set(), "interrupted");
        let mut stream = self.connect(running)?;
        Ok(match loadgen::exchange(&mut stream, wire, PATIENCE) {
            Ok(response) => response.status.to_string(),
            Err(ExchangeError::Timeout { .. }) => "no response".to_owned(),
            Err(ExchangeError::Closed { .. }) => "closed".to_owned(),
            Err(ExchangeError::Io(_)) => "reset".to_owned(),
            Err(ExchangeError::Protocol { .. }) => "not HTTP".to_owned(),
            Err(error) => bail!("{error}"),
        })
    }
}

/// The largest size from `least` to `most` that gets the right answer, and the answer to the next.
fn limit(
    least: u64,
    most: u64,
    right: &str,
    answer: impl Fn(u64) -> Result<String>,
) -> Result<(u64, Option<String>)> {
    let (mut accepted, mut refused) = (least, most);
    let mut beyond = answer(most)?;
    if beyond == right {
        return Ok((most, None));
    }
    let first = answer(least)?;
    ensure!(first == right, "it answers {first} to a small request");
    while refused - accepted > 1 {
        let middle = accepted + (refused - accepted) / 2;
        let got = answer(middle)?;
        if got == right {
            accepted = middle;
        } else {
            (refused, beyond) = (middle, got);
        }
    }
    Ok((accepted, Some(beyond)))
}

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// The Date of a response, in seconds of its day.
fn date(head: &[u8]) -> Option<f64> {
    let text = String::from_utf8_lossy(head);
    let line = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then_some(value)
    })?;
    let time = line.split_whitespace().find(|word| word.contains(':'))?;
    time.split(':').try_fold(0.0, |sum, part| {
        Some(sum * 60.0 + part.parse::<f64>().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_found_to_the_last_unit() {
        let server = |allowed: u64| {
            move |size: u64| Ok(if size <= allowed { "200" } else { "431" }.to_owned())
        };
        for allowed in [1, 2, 77, 999] {
            let found = limit(1, 1_000, "200", server(allowed)).unwrap();
            assert_eq!(found, (allowed, Some("431".to_owned())));
        }
        assert_eq!(
            limit(1, 1_000, "200", server(1_000)).unwrap(),
            (1_000, None)
        );
        assert!(limit(1, 1_000, "200", server(0)).is_err());
    }

    #[test]
    fn the_time_of_a_date_is_read() {
        let head = b"HTTP/1.1 200 OK\r\nx: 1:2\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        assert_eq!(date(head), Some(8.0 * 3_600.0 + 49.0 * 60.0 + 37.0));
        assert_eq!(date(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
