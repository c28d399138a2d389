//! The control: stored responses to the requests of a run, and the command that replays them.
//!
//! The harness's own binary replies to each request of a round with the bytes that a real server sent, at next
//! to no cost (see [`super::respond`]). If no server's responses can be replayed on a persistent connection,
//! they are made from the referee's model. Measured like a server, the control shows the most that the load
//! generator can reach. Measured twice, it shows how far two equal entries differ on this machine.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

use super::Verified;
use super::accept::{self, ALL, Accepted, Referee, ask, line, wire};
use super::boot::{BootOptions, boot};
use super::build::Launch;
use super::respond::{self, Entries};
use super::trial::Settings;
use catalog::{CONTRACT_FLAGS, Call};
use loadgen::{Expect, Script};
use record::{Failure, Step};

/// Stored responses, and the command that replays them.
///
/// Their file is removed on drop.
#[derive(Debug)]
pub(super) struct Control {
    launch: Launch,
    /// The requests of each workload, in the order drawn.
    calls: BTreeMap<String, Vec<Call>>,
    expected: HashMap<Call, Expect>,
    _file: AnswersFile,
}

impl Control {
    /// Stores the responses (`answers`) to `calls` next to `log`, for a responder that runs there.
    ///
    /// # Errors
    /// If they can't be written, or a path can't be part of a command.
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
        let harness =
            std::env::current_exe().context("cannot find the harness's own executable")?;
        let mut command = vec![word(&harness)?, "respond".to_owned()];
        command.extend(CONTRACT_FLAGS.map(str::to_owned));
        command.extend(["--answers".to_owned(), word(&file.0)?]);
        let folder = file.0.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self {
            launch: Launch { command, folder },
            calls: calls.clone(),
            expected: answers.expected,
            _file: file,
        })
    }

    /// How to start it, like a server.
    pub(super) fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The requests of a workload, drawn as for any server, each with its one stored response. No orders are
    /// created, so ids of orders repeat.
    ///
    /// # Errors
    /// If the workload has no stored responses.
    pub(super) fn script(&self, workload: &str, addr: SocketAddr) -> Result<Script> {
        let calls = self
            .calls
            .get(workload)
            .with_context(|| format!("the control has no responses for the workload {workload}"))?;
        accept::script(
            addr,
            calls,
            |_| ALL.to_owned(),
            |call| self.expected.get(call).cloned(),
        )
    }
}

/// The responses to every call of a run and to the readiness request.
#[derive(Debug, Default)]
pub(super) struct Answered {
    entries: Entries,
    expected: HashMap<Call, Expect>,
}

impl Answered {
    /// Boots `verified`, sends it every call of every workload once, has the referee accept each response, and
    /// keeps the received bytes.
    ///
    /// # Errors
    /// A [`Failure`]: of the boot step if it does not start; of the accept step if a response is not what the
    /// contract requires, or if the connection keeps being closed after a response; of the stop step if it
    /// leaks its port.
    pub(super) fn of_server(
        verified: &Verified,
        calls: &BTreeMap<String, Vec<Call>>,
        boot_options: &BootOptions,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let launch = &verified.built().launch;
        let mut running = boot(launch, boot_options, &settings.referee, &settings.interrupt)?;
        let answered = Self::collect(running.addr, calls, settings)
            .map_err(|error| running.failure(Step::Accept, error))?;
        running.kill()?;
        Ok(answered)
    }

    fn collect(
        addr: SocketAddr,
        calls: &BTreeMap<String, Vec<Call>>,
        settings: &Settings,
    ) -> Result<Self> {
        let readiness = vec![settings.referee.readiness()];
        let mut answered = Self::default();
        for calls in calls.values().chain([&readiness]) {
            let mut left = calls.clone();
            // A server that closes a connection now and then, such as after 1,000 responses, does not do so
            // twice for most requests.
            let mut mostly_closed = 0;
            while !left.is_empty() {
                let mut accepted = ask(
                    addr,
                    &left,
                    &settings.referee,
                    settings.timeout,
                    &settings.interrupt,
                )?;
                let asked = accepted.len();
                let mut closed = Vec::new();
                for call in &left {
                    match accepted.remove(call) {
                        Some(accepted) if accepted.response.close => closed.push(call.clone()),
                        Some(accepted) => answered.take(call, accepted, addr)?,
                        None => {}
                    }
                }
                mostly_closed = if 2 * closed.len() > asked {
                    mostly_closed + 1
                } else {
                    0
                };
                if let (Some(call), 2) = (closed.first(), mostly_closed) {
                    bail!(
                        "{}: the server closes the connection after its response",
                        line(call)
                    );
                }
                left = closed;
            }
        }
        Ok(answered)
    }

    /// Correct responses made from the referee's model.
    ///
    /// # Errors
    /// If the contract defines no response to a call.
    pub(super) fn of_model(calls: &BTreeMap<String, Vec<Call>>, referee: &Referee) -> Result<Self> {
        // The lookup key contains no address.
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
        // Parsed the way the responder will, so that it finds what is stored here.
        let request = respond::first(&wire)
            .map_err(anyhow::Error::from)
            .and_then(|request| {
                request
                    .filter(|request| request.len == wire.len())
                    .context("the responder sees this request as incomplete")
            })
            .with_context(|| line(call))?;
        let key = [request.line, request.body, request.codings].map(<[u8]>::to_vec);
        // If two workloads share a call, the last response is stored and expected.
        self.entries.insert(key, accepted.response.wire);
        let expect = match accepted.expect {
            Expect::Numbered { status, bytes, .. } => Expect::Body { status, bytes },
            other => other,
        };
        self.expected.insert(call.clone(), expect);
        Ok(())
    }
}

/// A file of responses, removed on drop.
#[derive(Debug)]
struct AnswersFile(PathBuf);

impl AnswersFile {
    /// Next to `log`, under a unique name: the responses of one round are written while those of the previous
    /// round may still be there.
    fn write(log: &Path, entries: &Entries) -> Result<Self> {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let count = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let path = log.with_extension(format!("{}-{count}.answers", std::process::id()));
        // Created before writing, so that a partial file is removed too.
        let file = Self(std::path::absolute(&path).context("cannot determine the current folder")?);
        respond::write(&file.0, entries)?;
        Ok(file)
    }
}

impl Drop for AnswersFile {
    fn drop(&mut self) {
        // It doesn't matter if this fails.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
