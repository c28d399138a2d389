//! What a server needs apart from CPU time: memory when idle, under load and with idle connections open, threads,
//! descriptors, and the time to start.
//!
//! Each question gets fresh processes: the starts, the process under load, and the one whose connections grow in
//! number. Memory is that of all processes of the server.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use catalog::{CHECKED_CALLS, Call, KEPT_ORDERS, Workload};
use loadgen::{Config, Control, Script};
use machine::probe::{Processes, ResidentMemory, limits, tcp_buffers};
use record::{Failure, OpenConnections, ServerFootprint, Step};
use runner::{BootOptions, Interrupt, Launch, Referee, Running, boot};

/// How often memory is read under load.
const EVERY: Duration = Duration::from_millis(100);
/// What a server gets to come to rest before its memory is read.
const SETTLE: Duration = Duration::from_millis(300);
/// The longest load; it ends by its number of requests.
const LONGEST_LOAD: Duration = Duration::from_secs(900);
/// Descriptors that the harness and a server need besides one for each connection.
const OTHER_DESCRIPTORS: u64 = 100;
/// Requests that growth refers to.
const GROWTH_PER: f64 = 100_000.0;

/// How to measure a footprint.
#[derive(Debug, Clone)]
pub struct FootprintOptions {
    /// How to start a server.
    pub boot: BootOptions,
    /// CPUs of the load generator; any if empty.
    pub driver_cpus: Vec<u32>,
    /// Number of starts to time.
    pub starts: u32,
    /// Connections of a load.
    pub connections: usize,
    /// Requests of each of the two loads that growth is taken between.
    pub requests: u64,
    /// Numbers of idle connections, ascending.
    pub open: Vec<u64>,
    /// The rest after the last load.
    pub rest: Duration,
    /// Seed of the drawn requests.
    pub seed: u64,
    /// Time limit for a response.
    pub timeout: Duration,
}

/// Measures what needs a process. `into` keeps what was measured before a failure. Calls `show` with what is measured
/// next.
///
/// # Errors
/// A [`Failure`] if the server can't be started, answers wrongly or ends.
pub fn footprint(
    launch: &Launch,
    workload: &Workload,
    options: &FootprintOptions,
    interrupt: &Interrupt,
    into: &mut ServerFootprint,
    show: &mut dyn FnMut(&str),
) -> Result<(), Failure> {
    let subject = Footprinted {
        launch,
        options,
        interrupt,
        referee: Referee::new(),
    };
    for start in 1..=options.starts {
        show(&format!("start {start} of {}", options.starts));
        let running = subject.boot("start")?;
        into.start_ms.push(running.start.as_secs_f64() * 1e3);
        into.first_request_us
            .push(running.first_request.as_secs_f64() * 1e6);
        running.kill()?;
    }
    into.summarise_starts();

    let mut running = subject.boot("load")?;
    let calls = workload.draw(options.seed, CHECKED_CALLS);
    let loaded = subject.under_load(&running, &calls, into, show);
    loaded.map_err(|error| running.failure(Step::Drive, format!("{error:#}")))?;
    running.kill()?;

    let mut running = subject.boot("connections")?;
    let opened = subject.with_connections(&mut running, into, show);
    opened.map_err(|error| running.failure(Step::Drive, format!("{error:#}")))?;
    running.kill()
}

/// A server, and how it is measured.
struct Footprinted<'a> {
    launch: &'a Launch,
    options: &'a FootprintOptions,
    interrupt: &'a Interrupt,
    referee: Referee,
}

impl Footprinted<'_> {
    fn boot(&self, log: &str) -> Result<Running, Failure> {
        let name = self.options.boot.log.file_stem().unwrap_or_default();
        let log = format!("{}-{log}.log", name.to_string_lossy());
        let options = BootOptions {
            log: self.options.boot.log.with_file_name(log),
            ..self.options.boot.clone()
        };
        boot(self.launch, &options, &self.referee, self.interrupt)
    }

    /// Memory when idle, in three loads, after them, and after a rest.
    fn under_load(
        &self,
        running: &Running,
        calls: &[Call],
        into: &mut ServerFootprint,
        show: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let mut processes = running.processes();
        self.interrupt.pause(SETTLE)?;
        let idle = resident(&mut processes)?.rss_bytes();
        into.figures
            .insert("rss_idle_bytes".to_owned(), idle as f64);

        show("warm-up");
        let posts: Vec<Call> = calls
            .iter()
            .filter(|call| call.method == "POST")
            .cloned()
            .collect();
        if !posts.is_empty() {
            let script = self.accept(running, &posts)?;
            self.load(running, &script, KEPT_ORDERS)?;
        }
        let script = self.accept(running, calls)?;
        let requests = self.options.requests;
        self.load(running, &script, requests)?;

        let mut rss = [0_u64; 2];
        // A server may give memory back under load.
        let mut peak = idle;
        for (load, after) in (1..).zip(&mut rss) {
            show(&format!("load {load} of 2"));
            peak = peak.max(watched(&mut processes, || self.load(running, &script, requests))?.1);
            *after = resident(&mut processes)?.rss_bytes();
            peak = peak.max(*after);
        }
        let [first, second] = rss.map(|bytes| bytes as f64);
        let growth = (second - first) * GROWTH_PER / requests as f64;
        into.figures
            .insert("rss_peak_bytes".to_owned(), peak as f64);
        into.figures.insert("rss_after_bytes".to_owned(), second);
        into.figures
            .insert("rss_growth_per_100k_requests_bytes".to_owned(), growth);

        show("a rest");
        self.interrupt.pause(self.options.rest)?;
        let later = resident(&mut processes)?.rss_bytes();
        into.figures
            .insert("rss_later_bytes".to_owned(), later as f64);
        Ok(())
    }

    fn accept(&self, running: &Running, calls: &[Call]) -> Result<Script> {
        let options = self.options;
        runner::accept(
            running.addr,
            calls,
            &self.referee,
            options.timeout,
            self.interrupt,
        )
    }

    /// Sends this many requests in a closed loop.
    ///
    /// # Errors
    /// If a response is wrong or missing.
    fn load(&self, running: &Running, script: &Script, requests: u64) -> Result<()> {
        let options = self.options;
        let config = Config {
            connections: options.connections,
            cpus: options.driver_cpus.clone(),
            warmup: Duration::ZERO,
            duration: LONGEST_LOAD,
            limit: Some(requests),
            timeout: options.timeout,
            seed: options.seed,
            ..Config::new(running.addr)
        };
        let control = Arc::new(Control::new(self.interrupt.flag()));
        let measured = loadgen::drive(&config, script, &control)?;
        ensure!(!measured.stopped, "interrupted");
        if let Some(error) = &measured.first_error {
            bail!("{error}");
        }
        let answered = measured.answered_total;
        ensure!(
            answered == requests,
            "{answered} of {requests} requests were answered within {LONGEST_LOAD:?}: use fewer (--requests)"
        );
        Ok(())
    }

    /// Opens more and more connections and leaves them idle.
    fn with_connections(
        &self,
        running: &mut Running,
        into: &mut ServerFootprint,
        show: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let mut processes = running.processes();
        let wire = runner::wire(&self.referee.readiness(), running.addr);
        self.interrupt.pause(SETTLE)?;
        let before = Held::read(&mut processes)?;
        into.open.push(before.step(0, &before));
        if before.memory.stack_bytes.is_none() {
            let why = "the system doesn't show every thread's stack pointer, or a stack has no guard page: \
                       stacks count as heap";
            for id in ["stack_bytes", "connection_stack_bytes"] {
                into.absent.insert(id.to_owned(), why.to_owned());
            }
        }
        if let Err(why) = &before.buffers {
            for id in ["socket_buffer_bytes", "connection_buffer_bytes"] {
                into.absent.insert(id.to_owned(), why.clone());
            }
        }
        let mut held = Vec::new();
        for &connections in &self.options.open {
            show(&format!("{connections} connections"));
            let opened = self.open(&mut held, running, &wire, connections);
            if let Some(how) = running.ended() {
                bail!("it ended {how} with {} connections open", held.len());
            }
            let refused = match opened {
                Ok(()) => {
                    self.interrupt.pause(SETTLE)?;
                    let now = Held::read(&mut processes)?;
                    match held.iter().filter(|stream| !is_open(stream)).count() {
                        0 => {
                            into.open.push(now.step(connections, &before));
                            continue;
                        }
                        closed => anyhow!("it closed {closed} of {connections} idle connections"),
                    }
                }
                Err(error) => error,
            };
            ensure!(!self.interrupt.is_set(), "interrupted");
            into.open.push(OpenConnections {
                connections,
                refused: Some(format!("{refused:#}")),
                ..OpenConnections::default()
            });
            // More would fail for the same reason.
            break;
        }
        Ok(())
    }

    /// Opens connections until there are so many, each with one answered request.
    fn open(
        &self,
        held: &mut Vec<TcpStream>,
        running: &Running,
        wire: &[u8],
        connections: u64,
    ) -> Result<()> {
        let (limit, _) = limits::descriptor_limit();
        let needed = connections + OTHER_DESCRIPTORS;
        ensure!(
            needed <= limit,
            "{connections} connections need {needed} file descriptors and the limit is {limit}: raise it \
             with `ulimit -Hn {needed}`, or use fewer (--open)"
        );
        let begin = Instant::now();
        while (held.len() as u64) < connections {
            ensure!(!self.interrupt.is_set(), "interrupted");
            let opened = self.open_one(running, wire);
            let number = held.len() + 1;
            held.push(opened.with_context(|| format!("connection {number}"))?);
            ensure!(
                begin.elapsed() < LONGEST_LOAD,
                "opening {} of {connections} connections took {LONGEST_LOAD:?}, the time limit: use fewer (--open)",
                held.len()
            );
        }
        Ok(())
    }

    fn open_one(&self, running: &Running, wire: &[u8]) -> Result<TcpStream> {
        let timeout = self.options.timeout;
        let mut stream = TcpStream::connect_timeout(&running.addr, timeout)?;
        let response = loadgen::exchange(&mut stream, wire, timeout)?;
        self.referee.judge(&self.referee.readiness(), &response)?;
        ensure!(!response.close, "it closes after each response");
        Ok(stream)
    }
}

/// What a server holds at one moment.
struct Held {
    memory: ResidentMemory,
    /// TCP buffers of the machine, or why they are unknown.
    buffers: Result<u64, String>,
    threads: Option<u32>,
    descriptors: Option<u32>,
}

impl Held {
    fn read(processes: &mut Processes) -> Result<Self> {
        let memory = resident(processes)?;
        let sample = processes.sample();
        Ok(Self {
            memory,
            buffers: tcp_buffers().map_err(|error| error.to_string()),
            threads: sample.light.threads,
            descriptors: sample.descriptors,
        })
    }

    /// With this many connections open; `before` is with none.
    fn step(&self, connections: u64, before: &Self) -> OpenConnections {
        let mut figures = BTreeMap::new();
        let mut add = |id: &str, value: Option<f64>| {
            figures.extend(value.map(|value| (id.to_owned(), value)));
        };
        let bytes = |bytes: u64| Some(bytes as f64);
        let kinds = [
            ("rss", "", |held: &Self| Some(held.memory.rss_bytes())),
            ("heap", "heap_", |held| Some(held.memory.heap_bytes)),
            ("stack", "stack_", |held| held.memory.stack_bytes),
            ("file", "file_", |held| Some(held.memory.file_bytes)),
            ("", "buffer_", |held| held.buffers.as_ref().ok().copied()),
        ] as [(&str, &str, fn(&Self) -> Option<u64>); 5];
        for (kind, each, of) in kinds {
            let (Some(now), Some(then)) = (of(self), of(before)) else {
                continue;
            };
            let grown = now as f64 - then as f64;
            match kind {
                "" => add("socket_buffer_bytes", Some(grown)),
                kind => add(&format!("{kind}_bytes"), bytes(now)),
            }
            if connections > 0 {
                add(
                    &format!("connection_{each}bytes"),
                    Some(grown / connections as f64),
                );
            }
        }
        add("threads", self.threads.map(f64::from));
        add("descriptors", self.descriptors.map(f64::from));
        OpenConnections {
            connections,
            figures,
            refused: None,
        }
    }
}

/// What `act` returns, and the highest resident memory seen meanwhile.
fn watched<T>(processes: &mut Processes, act: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Acquire) {
                peak = peak.max(processes.sample_light().rss_bytes.unwrap_or(0));
                thread::park_timeout(EVERY);
            }
            peak
        });
        let acted = act();
        done.store(true, Ordering::Release);
        watcher.thread().unpark();
        let peak = watcher.join();
        let acted = acted?;
        Ok((
            acted,
            peak.map_err(|_| anyhow!("the thread that reads memory panicked"))?,
        ))
    })
}

fn resident(processes: &mut Processes) -> Result<ResidentMemory> {
    processes.resident().context("its memory can't be read")
}

/// Whether the other end has neither closed nor sent anything.
pub(super) fn is_open(stream: &TcpStream) -> bool {
    let waits = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
    stream.set_nonblocking(true).is_ok() && stream.peek(&mut [0]).is_err_and(waits)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn held(heap: u64, stack: Option<u64>, buffers: u64) -> Held {
        Held {
            memory: ResidentMemory {
                heap_bytes: heap,
                stack_bytes: stack,
                file_bytes: 1_000,
            },
            buffers: Ok(buffers),
            threads: Some(3),
            descriptors: None,
        }
    }

    #[test]
    fn a_connection_is_charged_with_what_was_added() {
        let before = held(5_000, Some(100), 900);
        let step = held(25_000, Some(600), 400).step(100, &before);
        for (id, expected) in [
            ("rss_bytes", 26_600.0),
            ("heap_bytes", 25_000.0),
            ("stack_bytes", 600.0),
            ("file_bytes", 1_000.0),
            ("socket_buffer_bytes", -500.0),
            ("connection_bytes", 205.0),
            ("connection_heap_bytes", 200.0),
            ("connection_stack_bytes", 5.0),
            ("connection_file_bytes", 0.0),
            ("connection_buffer_bytes", -5.0),
            ("threads", 3.0),
        ] {
            assert_eq!(step.figures.get(id), Some(&expected), "{id}");
            assert!(
                record::figure::footprint(id).is_some(),
                "{id} is not defined"
            );
        }
        assert_eq!(step.figures.len(), 11, "descriptors are unknown: {step:?}");
        assert!(
            !before
                .step(0, &before)
                .figures
                .contains_key("connection_bytes")
        );
    }

    #[test]
    fn stacks_that_are_unknown_once_are_absent() {
        let before = held(5_000, None, 0);
        let step = held(25_000, Some(600), 0).step(100, &before);
        assert!(!step.figures.contains_key("connection_stack_bytes"));
        assert_eq!(step.figures["connection_bytes"], 206.0);
    }

    #[test]
    fn a_closed_connection_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (other, _) = listener.accept().unwrap();
        assert!(is_open(&stream));
        drop(other);
        // The other end closes in the kernel, a moment later at most.
        let closes = (0..100).any(|_| {
            thread::sleep(Duration::from_millis(10));
            !is_open(&stream)
        });
        assert!(closes);
    }
}
