//! A command in its own process group, led by the supervisor.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::supervise::Event;
use machine::cpu_group;

/// Time limit for a killed command to be gone.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// A command under its supervisor. It and everything it started end when this is dropped.
#[derive(Debug)]
pub struct Group {
    supervisor: Child,
    reaped: bool,
    events: Receiver<Event>,
    pid: Option<u32>,
    started_ns: Option<u64>,
    not_pinned: Option<String>,
    control_group: Option<PathBuf>,
    spent: Option<(Duration, Duration)>,
    ended: Option<(String, bool)>,
}

impl Group {
    /// Starts `command` in `folder` on `cpus` (all if empty). Its output goes to `log`. `more` are further flags of
    /// the supervisor, see [`super::supervise::Arguments`].
    pub fn start(
        more: &[&OsStr],
        command: &[String],
        folder: &Path,
        cpus: &[u32],
        log: &Path,
    ) -> Result<Self> {
        Self::start_with(more, command, folder, cpus, log, Stdio::null())
    }

    /// The same, with this as the supervisor's standard error.
    pub(super) fn start_with(
        more: &[&OsStr],
        command: &[String],
        folder: &Path,
        cpus: &[u32],
        log: &Path,
        stderr: Stdio,
    ) -> Result<Self> {
        let harness =
            std::env::current_exe().context("cannot find the harness's own executable")?;
        let mut supervise = Command::new(harness);
        supervise.arg("supervise").arg("--log").arg(log).args(more);
        if !cpus.is_empty() {
            let cpus: Vec<String> = cpus.iter().map(u32::to_string).collect();
            supervise.arg("--cpus").arg(cpus.join(","));
        }
        supervise
            .arg("--folder")
            .arg(folder)
            .arg("--")
            .args(command);
        let mut supervisor = supervise
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .context("cannot start the supervisor")?;
        Ok(Self {
            events: follow(&mut supervisor),
            supervisor,
            reaped: false,
            pid: None,
            started_ns: None,
            not_pinned: None,
            control_group: None,
            spent: None,
            ended: None,
        })
    }

    /// The process group's id, which is also the supervisor's process id.
    pub(super) fn id(&self) -> u32 {
        self.supervisor.id()
    }

    /// When the command itself was started, in nanoseconds of the monotonic clock.
    pub(super) fn started_ns(&mut self) -> Option<u64> {
        self.wait_until(KILL_WAIT, |group| {
            group.started_ns.is_some() || group.ended.is_some()
        });
        self.started_ns
    }

    /// Why the command could not be pinned to its CPUs, if it could not.
    pub fn not_pinned(&self) -> Option<&str> {
        self.not_pinned.as_deref()
    }

    /// The folder of the control group that counts its CPU time, if any.
    pub(super) fn control_group(&self) -> Option<&Path> {
        self.control_group.as_deref()
    }

    /// User and system CPU time from its start to its end; absent until then.
    pub fn spent(&self) -> Option<(Duration, Duration)> {
        self.spent
    }

    /// How it ended, as in `with status 1`, and whether that was status 0; `None` while it runs.
    pub(super) fn ended(&mut self) -> Option<(&str, bool)> {
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
        self.ended.as_ref().map(|(how, well)| (how.as_str(), *well))
    }

    /// Waits up to `limit` for it to end.
    pub fn wait(&mut self, limit: Duration) -> Option<(&str, bool)> {
        self.wait_until(limit, |group| group.ended.is_some());
        self.ended()
    }

    /// Sends a signal to the command itself.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.started_ns();
        let pid = self.pid.and_then(|pid| i32::try_from(pid).ok());
        kill_process(
            pid.and_then(Pid::from_raw)
                .context("it has no process id")?,
            signal,
        )
        .context("it can't be signalled")
    }

    /// Kills the whole group. The command goes first, so that its supervisor can reap it and report its CPU
    /// time.
    pub(super) fn kill(&mut self) {
        if self.reaped {
            return;
        }
        if self.ended().is_none() && self.signal(Signal::KILL).is_ok() {
            self.wait(KILL_WAIT);
        }
        // Until the supervisor has been reaped, nothing else can have the group's id.
        if let Some(group) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.supervisor.wait();
        self.reaped = true;
        if let Some(folder) = &self.control_group {
            cpu_group::remove(folder);
        }
    }

    fn wait_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + limit;
        while !done(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.ended
                        .get_or_insert_with(|| ("with its supervisor".to_owned(), false));
                    return;
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Started(pid, at_ns) => {
                self.pid = Some(pid);
                self.started_ns = Some(at_ns);
            }
            Event::NotPinned(why) => self.not_pinned = Some(why),
            Event::ControlGroup(folder) => self.control_group = Some(folder),
            Event::NotStarted(why) => {
                self.ended = Some((format!("without starting: {why}"), false))
            }
            Event::Spent(user_us, system_us) => {
                let us = Duration::from_micros;
                self.spent = Some((us(user_us), us(system_us)));
            }
            Event::Ended(how, well) => self.ended = Some((how, well)),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn follow(supervisor: &mut Child) -> Receiver<Event> {
    let (sender, receiver) = channel();
    if let Some(out) = supervisor.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(event) = Event::parse(&line)
                    && sender.send(event).is_err()
                {
                    break;
                }
            }
        });
    }
    receiver
}
