//! Starts a server on its CPUs, waits for its first valid answer, ends it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::accept::Referee;
use super::build::Launch;
use super::supervise::{Event, monotonic_ns};
use super::{Interrupt, tail};
use crate::load::Client;
use crate::probe::{Processes, listeners};
use crate::record::{Failure, Step};

/// The contract's limit on ending after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Between two tries to reach a server that is starting; bounds the error of `start_ms`.
const POLL: Duration = Duration::from_micros(200);
/// How long the port of a server that has ended may still be listened on.
const PORT_WAIT: Duration = Duration::from_secs(1);
/// How long one try waits for an answer before the server's state is looked at again.
const PATIENCE: Duration = Duration::from_millis(500);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct BootOptions {
    /// The CPUs it may run on; all where none is given.
    pub cpus: Vec<u32>,
    /// Worker threads asked for.
    pub workers: usize,
    /// A fixed port; a free one where absent.
    pub port: Option<u16>,
    /// Where its output goes.
    pub log: PathBuf,
    /// How long it may take until its first valid answer.
    pub ready_timeout: Duration,
}

/// A server that answers. It and all it started die with this value.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// From spawn to the first valid answer.
    pub start: Duration,
    /// The latency of the first request it answered.
    pub first_request: Duration,
    /// Why it could not be pinned, where it could not.
    pub not_pinned: Option<String>,
    pid: u32,
    started_ns: Option<u64>,
    ended: Option<(String, bool)>,
    supervisor: Child,
    reaped: bool,
    events: Receiver<Event>,
    log: PathBuf,
}

/// Starts a server and waits for its first valid answer.
///
/// # Errors
/// A [`Failure`] of the boot step: it can't be started, ends early, does not answer in
/// time, answers wrongly, or is not the one listener of its port.
pub fn boot(
    launch: &Launch,
    options: &BootOptions,
    referee: &Referee,
    interrupt: &Interrupt,
) -> Result<Running, Failure> {
    let mut running = spawn(launch, options).map_err(|error| Failure {
        step: Step::Boot,
        reason: format!("{error:#}"),
        log_tail: String::new(),
    })?;
    let begin = Instant::now();
    running
        .await_first_answer(begin, options.ready_timeout, referee, interrupt)
        .and_then(|()| running.refuse_another_listener())
        .map_err(|error| running.failure(Step::Boot, format!("{error:#}")))?;
    Ok(running)
}

fn spawn(launch: &Launch, options: &BootOptions) -> Result<Running> {
    let addr = choose_addr(options.port)?;
    let cpus: Vec<String> = options.cpus.iter().map(u32::to_string).collect();
    let harness = std::env::current_exe().context("cannot find the harness's own program")?;
    let mut command = Command::new(harness);
    command.arg("supervise").arg("--log").arg(&options.log);
    if !cpus.is_empty() {
        command.arg("--cpus").arg(cpus.join(","));
    }
    command.arg("--folder").arg(&launch.folder).arg("--");
    for word in &launch.command {
        command.arg(
            word.replace("{addr}", &addr.to_string())
                .replace("{workers}", &options.workers.to_string()),
        );
    }
    use std::os::unix::process::CommandExt as _;
    let mut supervisor = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start the supervisor")?;
    let events = follow(&mut supervisor);
    Ok(Running {
        addr,
        start: Duration::ZERO,
        first_request: Duration::ZERO,
        not_pinned: None,
        pid: 0,
        started_ns: None,
        ended: None,
        supervisor,
        reaped: false,
        events,
        log: options.log.clone(),
    })
}

/// A port no other process holds: bound plainly once, so that a server which sets
/// `SO_REUSEPORT` can't end up sharing it.
fn choose_addr(port: Option<u16>) -> Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    let listener = TcpListener::bind(wanted).with_context(|| {
        format!(
            "port {} is taken; choose another with --port, or leave it out for a free one",
            wanted.port()
        )
    })?;
    Ok(listener.local_addr()?)
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

impl Running {
    /// The process group's id: the server, what it started, and the supervisor.
    pub fn group(&self) -> u32 {
        self.supervisor.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<&str> {
        self.take_events();
        self.ended.as_ref().map(|(how, _)| how.as_str())
    }

    /// A failure of this server, with the end of its log.
    pub fn failure(&mut self, step: Step, reason: impl Into<String>) -> Failure {
        let mut reason = reason.into();
        // Its end explains a broken connection; the notice may be a moment behind it.
        if step == Step::Drive && self.ended.is_none() {
            self.wait_for_end(Duration::from_millis(100));
        }
        if let Some(how) = self.ended()
            && !reason.contains(how)
        {
            reason = format!("the server ended {how}; {reason}");
        }
        Failure {
            step,
            reason,
            log_tail: fs::read(&self.log)
                .map(|bytes| tail(&String::from_utf8_lossy(&bytes)))
                .unwrap_or_default(),
        }
    }

    /// Ends it as the contract says: SIGTERM, exit 0 within 5 s, the port free again.
    ///
    /// # Errors
    /// A [`Failure`] of the stop step. Whatever it is, nothing of the group is left.
    pub fn stop(mut self) -> Result<(), Failure> {
        let result = self.try_stop();
        result.map_err(|error| self.failure(Step::Stop, format!("{error:#}")))
    }

    /// Ends it at once; how it stops when asked to was seen when it was checked.
    ///
    /// # Errors
    /// A [`Failure`] of the stop step where somebody still listens on its port.
    pub fn kill(mut self) -> Result<(), Failure> {
        self.kill_group();
        self.port_is_free()
            .map_err(|error| self.failure(Step::Stop, format!("{error:#}")))
    }

    fn try_stop(&mut self) -> Result<()> {
        if let Some(how) = self.ended() {
            return Err(anyhow!("it had ended {how}"));
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        kill_process(pid.context("it has no process id")?, Signal::TERM)?;
        self.wait_for_end(STOP_LIMIT);
        match &self.ended {
            None => Err(anyhow!("it did not end within 5 s of SIGTERM")),
            Some((how, false)) => Err(anyhow!("it ended {how} on SIGTERM instead of status 0")),
            Some((_, true)) => self.port_is_free(),
        }
    }

    /// Polls for a moment: a process that was killed closes its sockets a little later.
    fn port_is_free(&self) -> Result<()> {
        let deadline = Instant::now() + PORT_WAIT;
        loop {
            let left = listeners(self.addr.port())?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(anyhow!(
                    "it leaks its port: it has ended, but process {:?} still listens on {}",
                    left.pids,
                    self.addr
                ));
            }
            thread::sleep(POLL);
        }
    }

    fn await_first_answer(
        &mut self,
        begin: Instant,
        limit: Duration,
        referee: &Referee,
        interrupt: &Interrupt,
    ) -> Result<()> {
        let call = referee.readiness();
        let wire = super::accept::wire(&call, self.addr);
        loop {
            if let Some(how) = self.ended() {
                return Err(anyhow!("it ended {how} before it answered a request"));
            }
            if interrupt.is_set() {
                return Err(anyhow!("interrupted"));
            }
            let left = limit.saturating_sub(begin.elapsed());
            let asked = Instant::now();
            let tried = Client::new(self.addr, left.clamp(POLL, PATIENCE))
                .exchange(&wire)
                .map_err(anyhow::Error::from)
                .and_then(|response| referee.judge(&call, &response));
            match tried {
                Ok(_) => {
                    self.first_request = asked.elapsed();
                    let answered_ns = monotonic_ns();
                    self.take_events();
                    let started_ns = self.started_ns.context("its start was not reported")?;
                    self.start = Duration::from_nanos(answered_ns.saturating_sub(started_ns));
                    return Ok(());
                }
                Err(error) if left.is_zero() => {
                    return Err(error.context(format!(
                        "no valid answer to GET /ping within {:.0} s (--ready-timeout)",
                        limit.as_secs_f64()
                    )));
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    /// The port measured has one listener, and it is that child's.
    fn refuse_another_listener(&mut self) -> Result<()> {
        self.take_events();
        let group = Processes::in_group(self.group(), Some(self.group())).pids();
        let found = listeners(self.addr.port())?;
        if found.only(&group) {
            return Ok(());
        }
        Err(anyhow!(
            "another process listens on {} too ({:?}, the server's are {group:?}), so answers \
             could be anyone's",
            self.addr,
            found.pids
        ))
    }

    fn kill_group(&mut self) {
        // The supervisor leads the group. Until it has been waited for, the group's id can't
        // have been given to anyone else.
        if std::mem::replace(&mut self.reaped, true) {
            return;
        }
        if let Some(group) = i32::try_from(self.group()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.supervisor.wait();
    }

    fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.take(event);
        }
    }

    fn wait_for_end(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.ended.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => {
                    self.ended = Some(("with its supervisor".to_owned(), false));
                }
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Started(pid, at_ns) => {
                self.pid = pid;
                self.started_ns = Some(at_ns);
            }
            Event::NotPinned(why) => self.not_pinned = Some(why),
            Event::NotStarted(why) => self.ended = Some((format!("unstarted: {why}"), false)),
            Event::Ended(how, well) => self.ended = Some((how, well)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
    }
}
