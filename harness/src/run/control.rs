//! The control: accepted answers of one verified server, and the command that replays them.
//!
//! The same program as the harness answers each request of a round with the bytes that a real
//! server answered it with, at next to no cost (see [`super::respond`]). Measured like a server,
//! it shows the most that the load generator reaches; entered twice, how far two equal entries
//! differ on this machine.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::accept::{Accepted, Referee, ask, line, wire};
use super::boot::{BootOptions, boot};
use super::build::Launch;
use super::respond::{self, Entries};
use super::{Interrupt, Verified};
use crate::catalog::Call;
use crate::load::{Expect, Request, Script};
use crate::record::{Failure, Step};

/// Accepted answers of one verified server, and the command that replays them.
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
    /// Boots `verified` once, sends it every call of every workload once, has the referee
    /// accept each answer, and keeps the bytes that came.
    ///
    /// They lie in a file beside the log that `boot_options` names.
    ///
    /// # Errors
    /// A [`Failure`] that names the server: of the boot step where it does not start; of the
    /// accept step where an answer is not what the contract asks for or ends its connection,
    /// or the answers can't be kept; of the stop step where it leaks its port.
    pub(super) fn capture(
        verified: &Verified,
        calls: &BTreeMap<String, Vec<Call>>,
        boot_options: &BootOptions,
        timeout: Duration,
        referee: &Referee,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let built = verified.built();
        let name = &built.server.name;
        let named = |failure: Failure| Failure {
            reason: format!("no answers of {name} to replay: {}", failure.reason),
            ..failure
        };
        let mut running = boot(&built.launch, boot_options, referee, interrupt).map_err(named)?;
        let captured = collect(running.addr, calls, referee, timeout, interrupt)
            .and_then(|captured| captured.keep(calls, &boot_options.log, &built.launch.folder))
            .map_err(|error| named(running.failure(Step::Accept, format!("{error:#}"))))?;
        running.kill().map_err(named)?;
        Ok(captured)
    }

    /// How it is started, as a server is.
    pub(super) fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The requests of a workload, drawn as those of any server, and of each exactly its one
    /// stored answer: an order's id is repeated here, where no order is made.
    ///
    /// # Errors
    /// Where the workload was not captured.
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

/// What a server answered.
#[derive(Debug)]
struct Captured {
    entries: Entries,
    expected: HashMap<Call, Expect>,
}

/// Asks for the answer to every call, and to the one that a start is told by.
fn collect(
    addr: SocketAddr,
    calls: &BTreeMap<String, Vec<Call>>,
    referee: &Referee,
    timeout: Duration,
    interrupt: &Interrupt,
) -> Result<Captured> {
    let readiness = vec![referee.readiness()];
    let mut captured = Captured {
        entries: Entries::new(),
        expected: HashMap::new(),
    };
    for calls in calls.values().chain([&readiness]) {
        for (call, accepted) in ask(addr, calls, referee, timeout, interrupt)? {
            captured
                .take(call, accepted, addr)
                .with_context(|| line(call))?;
        }
    }
    Ok(captured)
}

impl Captured {
    fn take(&mut self, call: &Call, accepted: Accepted, addr: SocketAddr) -> Result<()> {
        let response = accepted.response;
        if response.close {
            bail!("its answer ends the connection, so it can't be replayed");
        }
        let wire = wire(call, addr);
        // Read as the responder will read it, so that it finds what is stored here.
        let request = respond::first(&wire)?
            .filter(|request| request.len == wire.len())
            .context("the responder does not take this request whole")?;
        let key = (request.line.to_vec(), request.body.to_vec());
        // Of a call of two workloads the last answer is kept, and expected.
        self.entries.insert(key, response.wire);
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

    /// Stores the answers beside `log`, for a responder that runs in `folder`.
    fn keep(
        self,
        calls: &BTreeMap<String, Vec<Call>>,
        log: &Path,
        folder: &Path,
    ) -> Result<Control> {
        let file = AnswersFile::write(log, &self.entries)?;
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
        Ok(Control {
            launch: Launch {
                command,
                folder: folder.to_owned(),
            },
            calls: calls.clone(),
            expected: self.expected,
            _file: file,
        })
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
