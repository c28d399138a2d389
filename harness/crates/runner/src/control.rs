//! The control: stored answers to the requests of a run, and the command that replays them.
//!
//! The same program as the harness answers each request of a round with the bytes that a real
//! server answered it with, at next to no cost (see [`super::respond`]). Where no server's answers
//! can be sent again on a connection that is kept, they are made from the referee's model. Measured
//! like a server, it shows the most that the load generator reaches; entered twice, how far two
//! equal entries differ on this machine.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::accept::{Accepted, Referee, ask, line, wire};
use super::boot::{BootOptions, boot};
use super::build::Launch;
use super::respond::{self, Entries};
use super::{Interrupt, Verified};
use catalog::Call;
use loadgen::{Expect, Request, Script};
use record::{Failure, Step};

/// Stored answers, and the command that replays them.
///
/// Its file of answers is removed with this value.
#[derive(Debug)]
pub(super) struct Control {
    launch: Launch,
    /// The requests of each workload, in the order drawn.
    calls: BTreeMap<String, Vec<Call>>,
    expected: HashMap<Call, Expect>,
    _file: AnswersFile,
}

impl Control {
    /// Stores `answers` to `calls` beside `log`, for a responder that runs there.
    ///
    /// # Errors
    /// Where they can't be written, or a path can't be a word of a command.
    pub(super) fn keep(
        answers: Answered,
        calls: &BTreeMap<String, Vec<Call>>,
        log: &Path,
    ) -> Result<Self> {
        let file = AnswersFile::write(log, &answers.entries)?;
        let word = |path: &Path| {
            let word = path.to_str().map(str::to_owned);
            word.with_context(|| format!("the path {} is not UTF-8", path.display()))
        };
        let harness = std::env::current_exe().context("cannot find the harness's own program")?;
        let mut command = vec![word(&harness)?];
        let flags = [
            "respond",
            "--addr",
            "{addr}",
            "--workers",
            "{workers}",
            "--answers",
        ];
        command.extend(flags.map(str::to_owned));
        command.push(word(&file.0)?);
        let folder = file.0.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self {
            launch: Launch { command, folder },
            calls: calls.clone(),
            expected: answers.expected,
            _file: file,
        })
    }

    /// How it is started, as a server is.
    pub(super) fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The requests of a workload, drawn as those of any server, and of each exactly its one
    /// stored answer: an order's id is repeated here, where no order is made.
    ///
    /// # Errors
    /// Where the workload has no stored answers.
    pub(super) fn script(&self, workload: &str, addr: SocketAddr) -> Result<Script> {
        let calls = self.calls.get(workload);
        let requests = calls
            .with_context(|| format!("the control has no answers for the workload {workload}"))?
            .iter()
            .map(|call| Request {
                wire: wire(call, addr),
                expect: self.expected[call].clone(),
            });
        Ok(Script::new(requests.collect())?)
    }
}

/// The answer to every call of a run, and to the one that a start is told by.
#[derive(Debug, Default)]
pub(super) struct Answered {
    entries: Entries,
    expected: HashMap<Call, Expect>,
}

impl Answered {
    /// Boots `verified` once, sends it every call of every workload once, has the referee
    /// accept each answer, and keeps the bytes that came.
    ///
    /// # Errors
    /// A [`Failure`]: of the boot step where it does not start; of the accept step where an answer
    /// is not what the contract asks for, or ends its connection again and again; of the stop step
    /// where it leaks its port.
    pub(super) fn of_server(
        verified: &Verified,
        calls: &BTreeMap<String, Vec<Call>>,
        boot_options: &BootOptions,
        timeout: Duration,
        referee: &Referee,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let launch = &verified.built().launch;
        let mut running = boot(launch, boot_options, referee, interrupt)?;
        let answered = Self::collect(running.addr, calls, referee, timeout, interrupt)
            .map_err(|error| running.failure(Step::Accept, format!("{error:#}")))?;
        running.kill()?;
        Ok(answered)
    }

    fn collect(
        addr: SocketAddr,
        calls: &BTreeMap<String, Vec<Call>>,
        referee: &Referee,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let readiness = vec![referee.readiness()];
        let mut answered = Self::default();
        for calls in calls.values().chain([&readiness]) {
            let mut left = calls.clone();
            // A server that closes a connection now and then, as after 1,000 answers, does not do so twice at
            // most answers.
            let mut in_vain = 0;
            while !left.is_empty() {
                let mut accepted = ask(addr, &left, referee, timeout, interrupt)?;
                let asked = accepted.len();
                let mut closed = Vec::new();
                for call in &left {
                    match accepted.remove(call) {
                        Some(accepted) if accepted.response.close => closed.push(call.clone()),
                        Some(accepted) => answered.take(call, accepted, addr)?,
                        None => {}
                    }
                }
                in_vain = if 2 * closed.len() > asked {
                    in_vain + 1
                } else {
                    0
                };
                if let (Some(call), 2) = (closed.first(), in_vain) {
                    bail!("{}: its answer ends the connection", line(call));
                }
                left = closed;
            }
        }
        Ok(answered)
    }

    /// Right answers made from the referee's model.
    ///
    /// # Errors
    /// Where the contract fixes no answer to a call.
    pub(super) fn of_model(calls: &BTreeMap<String, Vec<Call>>, referee: &Referee) -> Result<Self> {
        // No address is in what a request is found by.
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        let mut answered = Self::default();
        for call in calls.values().flatten().chain([&referee.readiness()]) {
            if !answered.expected.contains_key(call) {
                answered.take(call, referee.made(call)?, addr)?;
            }
        }
        Ok(answered)
    }

    fn take(&mut self, call: &Call, accepted: Accepted, addr: SocketAddr) -> Result<()> {
        let wire = wire(call, addr);
        // Read as the responder will read it, so that it finds what is stored here.
        let request = respond::first(&wire)
            .map_err(anyhow::Error::from)
            .and_then(|request| {
                request
                    .filter(|request| request.len == wire.len())
                    .context("the responder does not take this request whole")
            })
            .with_context(|| line(call))?;
        let key = (request.line.to_vec(), request.body.to_vec());
        // Of a call of two workloads the last answer is kept, and expected.
        self.entries.insert(key, accepted.response.wire);
        let expect = match accepted.expect {
            Expect::Numbered { status, bytes, .. } => Expect::Body {
                status,
                json: serde_json::from_slice(&bytes)?,
                bytes,
            },
            other => other,
        };
        self.expected.insert(call.clone(), expect);
        Ok(())
    }
}

/// A file of answers, removed with this value.
#[derive(Debug)]
struct AnswersFile(PathBuf);

impl AnswersFile {
    /// Beside `log`, under a name that is used once: the answers of one round are written
    /// while those of the round before may still be there.
    fn write(log: &Path, entries: &Entries) -> Result<Self> {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let count = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let path = log.with_extension(format!("{}-{count}.answers", std::process::id()));
        // Made before the writing, so that half a file is removed too.
        let file = Self(std::path::absolute(&path).context("cannot tell the current folder")?);
        respond::write(&file.0, entries)?;
        Ok(file)
    }
}

impl Drop for AnswersFile {
    fn drop(&mut self) {
        // Where it can't be removed, nothing depends on it being gone.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
