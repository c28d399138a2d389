//! Runs a tool to its end, within limits, and reports the resources of its process.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Stopped;
use machine::probe::tcp_counters;
use record::ProcessCost;
use runner::Group;
use runner::Interrupt;

/// How often to check whether the user asked to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Extra time for a tool to start and end.
const GRACE: Duration = Duration::from_secs(20);

/// Where tools run.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    /// The CPUs; all if none are given.
    pub(super) cpus: Vec<u32>,
    /// Where they run and where their output is kept for a moment.
    pub(super) folder: PathBuf,
}

/// The result of a tool's process.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) started_unix_ns: u64,
    pub(super) cost: Option<ProcessCost>,
    pub(super) accepted: Option<u64>,
    /// Its standard output.
    pub(super) output: String,
    /// How it ended, if not with status 0, and the end of its standard error.
    pub(super) trouble: Option<String>,
}

impl Bench {
    /// Runs a command that should end by itself within about `time`.
    ///
    /// # Errors
    /// [`Stopped`] if the user asked to stop; otherwise why it could not be run at all.
    pub(super) fn run(
        &self,
        command: &[String],
        time: Duration,
        interrupt: &Interrupt,
    ) -> Result<Ran> {
        let (out, err) = (self.folder.join("tool.out"), self.folder.join("tool.err"));
        let accepted = || tcp_counters().ok().map(|counters| counters.passive_opens);
        let before = accepted();
        let started_unix_ns = now_unix_ns();
        let begin = Instant::now();
        let apart = ["--out".as_ref(), out.as_os_str()];
        let mut group = Group::start(&apart, command, &self.folder, &self.cpus, &err)?;
        let ended = loop {
            if let Some((how, well)) = group.wait(LOOK_EVERY) {
                break (!well).then(|| format!("it ended {how}"));
            }
            if interrupt.is_set() {
                return Err(Stopped.into());
            }
            if begin.elapsed() > time + GRACE {
                break Some("it did not end in time and was killed".to_owned());
            }
        };
        let wall_ns = begin.elapsed().as_nanos() as u64;
        if let Some(why) = group.not_pinned() {
            bail!("a tool could not be pinned: {why}; see --no-pin");
        }
        let cost = group.spent().map(|(user, system)| ProcessCost {
            wall_ns,
            user_ns: user.as_nanos() as u64,
            system_ns: system.as_nanos() as u64,
        });
        drop(group);
        let read = |path| -> Result<String> {
            let bytes = fs::read(path).context("cannot read the output of a tool")?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let said = read(&err)?;
        let trouble = ended.map(|how| match runner::tail(&said).trim() {
            "" => how,
            tail => format!("{how}: {tail}"),
        });
        Ok(Ran {
            started_unix_ns,
            cost,
            accepted: before.zip(accepted()).map(|(before, after)| after - before),
            output: read(&out)?,
            trouble,
        })
    }
}

fn now_unix_ns() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0)
}
