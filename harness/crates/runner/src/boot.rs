//! Starts a server on its CPUs, waits for its first valid response, stops it.

use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};
use rustix::process::Signal;

use super::accept::Referee;
use super::build::Launch;
use super::group::Group;
use super::supervise::monotonic_ns;
use super::{Interrupt, tail};
use loadgen::{Client, Response, exchange};
use machine::probe::{Processes, accepted_by, listeners, waits_for_connections};
use machine::{Root, oom_kills};
use record::{Failure, Step};

/// The contract's time limit for stopping after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Interval between attempts to reach a starting server; bounds the error of `start_ms`.
const POLL: Duration = Duration::from_micros(200);
/// The same if another process may serve the socket: each attempt may take a connection from one under load.
const SHARED_POLL: Duration = Duration::from_millis(5);
/// After this long, a server counts as started that waits for connections to a shared socket but got none: the other
/// process may be woken first each time.
const OUTRUN: Duration = Duration::from_millis(500);
/// How long the port of a server that has ended may still be listened on.
const PORT_WAIT: Duration = Duration::from_secs(1);
/// How long one attempt waits for a response before the server's state is checked again, or a twentieth of the
/// time limit for the start: a server that is slowed down by a tool may need longer for any response.
const PATIENCE: Duration = Duration::from_millis(500);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct BootOptions {
    /// The CPUs it may run on; all if none are given.
    pub cpus: Vec<u32>,
    /// Requested number of worker threads.
    pub workers: usize,
    /// A fixed port; a free one if absent.
    pub port: Option<u16>,
    /// A listening socket to pass to it (see sd_listen_fds(3)); then the port is that of the socket. Other processes
    /// may serve it too.
    pub socket: Option<Arc<TcpListener>>,
    /// Where its output goes.
    pub log: PathBuf,
    /// Time limit for its first valid response.
    pub ready_timeout: Duration,
}

/// A server that responds. It and everything it started end when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    /// From spawn to the first valid response.
    pub start: Duration,
    /// The latency of its first request.
    pub first_request: Duration,
    group: Group,
    /// Whether it was passed a socket, which others may serve too.
    passed: bool,
    log: PathBuf,
    /// The kernel's count of out-of-memory kills before it was started.
    oom_kills: Option<u64>,
}

/// Starts a server and waits for its first valid response.
///
/// # Errors
/// A [`Failure`] of the boot step: it can't be started, ends early, does not respond in time, responds wrongly,
/// or is not the only listener on its port.
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
        .and_then(|()| running.refuse_unpinned())
        .map_err(|error| running.failure(Step::Boot, error))?;
    Ok(running)
}

fn spawn(launch: &Launch, options: &BootOptions) -> Result<Running> {
    let mut more = vec![OsStr::new("--control-group")];
    let (addr, stderr) = match &options.socket {
        None => (choose_addr(options.port)?, Stdio::null()),
        Some(socket) => {
            more.push(OsStr::new("--pass-socket"));
            let duplicate = OwnedFd::from(socket.try_clone()?);
            (socket.local_addr()?, Stdio::from(duplicate))
        }
    };
    let command = launch.filled(&addr.to_string(), &options.workers.to_string());
    let (folder, cpus, log) = (&launch.folder, &options.cpus, &options.log);
    Ok(Running {
        addr,
        start: Duration::ZERO,
        first_request: Duration::ZERO,
        group: Group::start_with(&more, &command, folder, cpus, log, stderr)?,
        passed: options.socket.is_some(),
        log: options.log.clone(),
        oom_kills: oom_kills(&Root::host()),
    })
}

/// Resident memory of a server's processes.
pub(super) fn rss_bytes(group: u32) -> Option<u64> {
    let mut processes = Processes::in_group(group, Some(group));
    processes.sample_light().rss_bytes
}

/// A port that no other process holds. It is bound once without `SO_REUSEPORT`, so that a server that sets it
/// can't end up sharing the port.
pub(super) fn choose_addr(port: Option<u16>) -> Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    let bound = bind_only(wanted).with_context(|| format!("cannot listen on {wanted}"));
    let taken = |error: &anyhow::Error| {
        let error = error.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == ErrorKind::AddrInUse)
    };
    match bound {
        Ok(addr) => Ok(addr),
        Err(error) if taken(&error) => Err(error.context(format!(
            "port {} is taken; choose another with --port, or leave it out for a free one",
            wanted.port()
        ))),
        Err(error) => Err(error),
    }
}

/// The address that `wanted` becomes, if it is free. Nothing listens on it meanwhile: a client that tries it is refused.
fn bind_only(wanted: SocketAddr) -> std::io::Result<SocketAddr> {
    let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    // As the servers do: connections that ended a moment ago don't keep a port.
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &wanted)?;
    Ok(SocketAddr::try_from(getsockname(&socket)?)?)
}

/// The message if the kernel has killed a process for lack of memory since the server was started. Takes the
/// count before and now, and how the server ended.
fn out_of_memory(
    before: Option<u64>,
    now: Option<u64>,
    ended: Option<&str>,
) -> Option<&'static str> {
    if now? <= before? {
        return None;
    }
    Some(match ended {
        // A shell that runs the server ends with 128 + 9.
        Some("by signal 9" | "with status 137") => {
            "the kernel killed the server: out of memory (oom_kill)"
        }
        _ => "meanwhile the kernel killed a process on this machine: out of memory (oom_kill)",
    })
}

impl Running {
    /// The process group's id. The group is the server, what it started, and the supervisor.
    pub fn group(&self) -> u32 {
        self.group.id()
    }

    /// The server's processes, for sampling.
    pub fn processes(&self) -> Processes {
        let supervisor = Some(self.group());
        Processes::in_group(self.group(), supervisor).counted_by(self.group.control_group())
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<&str> {
        self.group.ended().map(|(how, _)| how)
    }

    /// The message if the kernel has killed a process for lack of memory since it was started.
    pub(super) fn out_of_memory(&mut self) -> Option<&'static str> {
        let now = oom_kills(&Root::host());
        out_of_memory(self.oom_kills, now, self.ended())
    }

    /// A failure of this server, with the end of its log.
    pub fn failure(&mut self, step: Step, reason: impl Display) -> Failure {
        // With the causes of an error.
        let mut reason = format!("{reason:#}");
        // Its end explains a broken connection; the report of it may come a moment later.
        let notice = Duration::from_millis(if step == Step::Drive { 100 } else { 0 });
        if let Some((how, _)) = self.group.wait(notice)
            && !reason.contains(how)
        {
            reason = format!("the server ended {how}; {reason}");
        }
        if let Some(why) = self.out_of_memory() {
            reason = format!("{why}; {reason}");
        }
        Failure {
            step,
            reason,
            log_tail: fs::read(&self.log)
                .map(|bytes| tail(&String::from_utf8_lossy(&bytes)))
                .unwrap_or_default(),
        }
    }

    /// Stops it as the contract says: SIGTERM, exit 0 within 5 s, the port free again.
    ///
    /// # Errors
    /// A [`Failure`] of the stop step. In any case nothing of the group is left.
    pub fn stop(mut self) -> Result<(), Failure> {
        let result = self.try_stop();
        result.map_err(|error| self.failure(Step::Stop, error))
    }

    /// Kills it. The checks have already tested that it stops when asked to.
    ///
    /// # Errors
    /// A [`Failure`] of the stop step if something still listens on its port.
    pub fn kill(mut self) -> Result<(), Failure> {
        self.group.kill();
        self.port_is_free()
            .map_err(|error| self.failure(Step::Stop, error))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it has ended, or can't be signalled.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(how) = self.ended() {
            return Err(anyhow!("it had already ended {how}"));
        }
        self.group.signal(signal)
    }

    /// Waits up to `limit` for it to end; returns how it ended.
    pub fn wait(&mut self, limit: Duration) -> Option<&str> {
        self.group.wait(limit).map(|(how, _)| how)
    }

    /// Everything it printed.
    ///
    /// # Errors
    /// If its log can't be read.
    pub(super) fn printed(&self) -> Result<String> {
        let bytes = fs::read(&self.log).context("its log can't be read")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Stops it as [`Self::stop`] does.
    ///
    /// # Errors
    /// What it did instead.
    pub fn try_stop(&mut self) -> Result<()> {
        if let Some(how) = self.ended() {
            return Err(anyhow!("it had already ended {how}"));
        }
        self.group.signal(Signal::TERM)?;
        match self.group.wait(STOP_LIMIT) {
            None => Err(anyhow!("it did not end within 5 s of SIGTERM")),
            Some((how, false)) => Err(anyhow!("it ended {how} on SIGTERM; expected status 0")),
            Some((_, true)) => self.port_is_free(),
        }
    }

    /// Polls for a moment: a killed process closes its sockets a little later. A passed socket stays with those that
    /// passed it.
    ///
    /// # Errors
    /// The process that still listens on it.
    pub(super) fn port_is_free(&self) -> Result<()> {
        if self.passed {
            return Ok(());
        }
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
        // More informative than the last attempt, which is short and just timed out.
        let mut refused = None;
        let mut waiting_since = None;
        loop {
            if let Some(how) = self.ended() {
                return Err(anyhow!("it ended {how} before it answered a request"));
            }
            if interrupt.is_set() {
                return Err(anyhow!("interrupted"));
            }
            let left = limit.saturating_sub(begin.elapsed());
            let asked = Instant::now();
            let patience = left.clamp(POLL, PATIENCE.max(limit / 20));
            let tried = self.exchange(&wire, patience).and_then(|response| {
                referee.judge(&call, &response).inspect_err(|error| {
                    refused = Some(format!("{error:#}"));
                })
            });
            match tried {
                Ok(_) => {
                    self.first_request = asked.elapsed();
                    return self.started_at(monotonic_ns());
                }
                Err(error) if left.is_zero() => {
                    let error = refused.map_or(error, |refused| anyhow!(refused));
                    return Err(error.context(format!(
                        "no valid response to GET /ping within {:.0} s (--ready-timeout)",
                        limit.as_secs_f64()
                    )));
                }
                Err(_) if self.passed => {
                    let now = monotonic_ns();
                    if waits_for_connections(&self.processes().pids(), self.addr.port())? {
                        let since = *waiting_since.get_or_insert(now);
                        if now - since > OUTRUN.as_nanos() as u64 {
                            return self.started_at(since);
                        }
                    }
                    thread::sleep(SHARED_POLL);
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    fn started_at(&mut self, ns: u64) -> Result<()> {
        let started_ns = self.group.started_ns();
        let started_ns = started_ns.context("the supervisor did not report its start")?;
        self.start = Duration::from_nanos(ns.saturating_sub(started_ns));
        Ok(())
    }

    /// Sends a request over a new connection. Over a passed socket, only over one that this server accepted.
    fn exchange(&mut self, wire: &[u8], limit: Duration) -> Result<Response> {
        if !self.passed {
            return Ok(Client::new(self.addr, limit).exchange(wire)?);
        }
        let begin = Instant::now();
        let mut stream = TcpStream::connect_timeout(&self.addr, limit)?;
        let own = stream.local_addr()?;
        loop {
            if let Some(mine) = accepted_by(&self.processes().pids(), self.addr, own)? {
                ensure!(mine, "another process accepted the connection");
                let left = limit.saturating_sub(begin.elapsed());
                return Ok(exchange(&mut stream, wire, left)?);
            }
            if begin.elapsed() > limit || self.ended().is_some() {
                bail!("nobody accepted the connection");
            }
            thread::sleep(POLL);
        }
    }

    /// Fails if the server runs on other CPUs than the record says.
    fn refuse_unpinned(&mut self) -> Result<()> {
        match self.group.not_pinned() {
            Some(why) => Err(anyhow!("it could not be pinned: {why}; see --no-pin")),
            None => Ok(()),
        }
    }

    /// Fails unless the port has exactly one listener, and it belongs to the server.
    fn refuse_another_listener(&mut self) -> Result<()> {
        let group = self.processes().pids();
        let found = listeners(self.addr.port())?;
        let shares = self.passed && found.sockets == 1;
        if found.only(&group) || shares && found.pids.iter().any(|pid| group.contains(pid)) {
            return Ok(());
        }
        Err(anyhow!(
            "another process also listens on {} ({:?}; the server's are {group:?}), so responses \
             may not be the server's",
            self.addr,
            found.pids
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_killed_for_want_of_memory_is_told_from_others() {
        let said = |before, now, ended| out_of_memory(before, now, ended).unwrap_or_default();
        for ended in ["by signal 9", "with status 137"] {
            assert!(said(Some(1), Some(2), Some(ended)).contains("killed the server"));
        }
        for ended in [None, Some("with status 1")] {
            assert!(said(Some(1), Some(2), ended).contains("killed a process on this machine"));
        }
        // Killed by something else, or unknown.
        assert_eq!(said(Some(2), Some(2), Some("by signal 9")), "");
        assert_eq!(said(None, Some(2), Some("by signal 9")), "");
    }
}
