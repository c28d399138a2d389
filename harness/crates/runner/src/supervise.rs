//! The small process between the harness and a server.
//!
//! It leads the process group that the server belongs to, and kills the whole group when the pipe from the
//! harness closes: at a normal end, on Ctrl-C, on a panic, and when the harness itself is killed and can't
//! clean up.
//!
//! Like init, it reaps orphans of the server, so that their CPU time is known.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike as _};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, getpgrp, getpid, kill_process_group, set_child_subreaper, wait,
};

use machine::probe::affinity;
use machine::{Root, cpu_group};

/// Flags of the hidden command.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the server's output goes
    #[arg(long)]
    pub log: PathBuf,
    /// Where its standard output goes, if somewhere else
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// CPUs the server may run on; all if none are given
    #[arg(long, value_delimiter = ',')]
    pub cpus: Vec<u32>,
    /// Count the server's CPU time in a control group, if the system allows it
    #[arg(long)]
    pub control_group: bool,
    /// Standard error is a listening socket: pass it to the server, as sd_listen_fds(3) describes
    #[arg(long)]
    pub pass_socket: bool,
    /// The server's folder
    #[arg(long)]
    pub folder: PathBuf,
    /// The server's command
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

/// What the supervisor tells the harness: one line each on its stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server runs as this process, started at this time in nanoseconds of the monotonic clock, which is
    /// the same in every process.
    Started(u32, u64),
    /// It could not be started.
    NotStarted(String),
    /// It could not be pinned; it runs unpinned.
    NotPinned(String),
    /// The control group in this folder counts its CPU time.
    ControlGroup(PathBuf),
    /// User and system CPU time in microseconds, from its start to its end, including everything it started
    /// that has ended.
    Spent(u64, u64),
    /// It ended, as in `exit status: 1`; `true` for status 0.
    Ended(String, bool),
}

impl Event {
    fn line(&self) -> String {
        match self {
            Self::Started(pid, at_ns) => format!("started {pid} {at_ns}"),
            Self::NotStarted(why) => format!("not-started {why}"),
            Self::NotPinned(why) => format!("not-pinned {why}"),
            Self::ControlGroup(folder) => format!("control-group {}", folder.display()),
            Self::Spent(user_us, system_us) => format!("spent {user_us} {system_us}"),
            Self::Ended(how, well) => format!("ended {well} {how}"),
        }
    }

    /// Parses a line written by the supervisor.
    pub fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(' ')?;
        match kind {
            "started" => {
                let (pid, at_ns) = rest.split_once(' ')?;
                Some(Self::Started(pid.parse().ok()?, at_ns.parse().ok()?))
            }
            "not-started" => Some(Self::NotStarted(rest.to_owned())),
            "not-pinned" => Some(Self::NotPinned(rest.to_owned())),
            "control-group" => Some(Self::ControlGroup(rest.into())),
            "spent" => {
                let (user_us, system_us) = rest.split_once(' ')?;
                Some(Self::Spent(user_us.parse().ok()?, system_us.parse().ok()?))
            }
            "ended" => {
                let (well, how) = rest.split_once(' ')?;
                Some(Self::Ended(how.to_owned(), well.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// Runs the server until the harness closes the pipe.
pub fn supervise(arguments: &Arguments) -> ExitCode {
    if !arguments.cpus.is_empty()
        && let Err(error) = affinity::pin_current_thread(&arguments.cpus)
    {
        tell(&Event::NotPinned(error.to_string()));
    }
    // If the kernel refuses, orphans go to init and the CPU time of their last moments is unknown.
    let _ = set_child_subreaper(Some(getpid()));
    if arguments.control_group
        && let Some(folder) = cpu_group::enter(&Root::host())
    {
        tell(&Event::ControlGroup(folder));
    }
    let started_ns = monotonic_ns();
    match start(arguments) {
        Ok(server) => {
            tell(&Event::Started(server.id(), started_ns));
            thread::spawn(move || wait_for_all(Pid::from_child(&server)));
            until_the_pipe_closes();
        }
        Err(error) => {
            tell(&Event::NotStarted(format!(
                "cannot start \"{}\": {error}",
                arguments.command[0]
            )));
            until_the_pipe_closes();
        }
    }
    // Ends this process too: it is in its own group.
    let _ = kill_process_group(getpgrp(), Signal::KILL);
    ExitCode::FAILURE
}

/// Makes its standard input descriptor 3 and runs the command with the same process id, which only a process that
/// runs already can put into `LISTEN_PID`.
const PASS_SOCKET: &str = "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\" 3<&0 </dev/null";

fn start(arguments: &Arguments) -> std::io::Result<std::process::Child> {
    let log = File::create(&arguments.log)?;
    let out = match &arguments.out {
        Some(path) => File::create(path)?,
        None => log.try_clone()?,
    };
    let mut command = match arguments.pass_socket {
        false => {
            let mut command = Command::new(&arguments.command[0]);
            command.args(&arguments.command[1..]).stdin(Stdio::null());
            command
        }
        true => {
            let mut command = Command::new("sh");
            command.args(["-c", PASS_SOCKET, "sh"]);
            command.args(&arguments.command).stdin(passed_socket()?);
            command
        }
    };
    command
        .current_dir(&arguments.folder)
        .stdout(out)
        .stderr(log)
        .spawn()
}

/// The socket, of which this process keeps no descriptor: it would be a listener after the server's end.
fn passed_socket() -> std::io::Result<Stdio> {
    let socket = std::io::stderr().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stderr(File::open("/dev/null")?)?;
    Ok(Stdio::from(socket))
}

/// Waits for the server, whose end it reports, and for all orphans.
fn wait_for_all(server: Pid) {
    let mut waiting = true;
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if waiting && pid == server => {
                // From now on another process may get its pid.
                waiting = false;
                if let Some((user_us, system_us)) = spent() {
                    tell(&Event::Spent(user_us, system_us));
                }
                let status = ExitStatus::from_raw(status.as_raw());
                tell(&Event::Ended(describe(status), status.success()));
            }
            Ok(_) | Err(Errno::INTR) => {}
            // No children left.
            Err(_) => return,
        }
    }
}

/// User and system CPU time of the reaped children in microseconds: of the server, everything it reaped, and
/// its orphans.
fn spent() -> Option<(u64, u64)> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let us = |time: TimeVal| u64::try_from(time.num_microseconds()).ok();
    Some((us(usage.user_time())?, us(usage.system_time())?))
}

pub(super) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with status {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn tell(event: &Event) {
    // If the harness is gone it can't be told, but the closed pipe ends this process anyway.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", event.line().replace('\n', " "));
    let _ = out.flush();
}

fn until_the_pipe_closes() {
    let mut byte = [0];
    while matches!(std::io::stdin().read(&mut byte), Ok(1..)) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_read_as_it_was_told() {
        for event in [
            Event::Started(42, 7_000_000_000),
            Event::NotStarted("no such file".to_owned()),
            Event::NotPinned("not permitted".to_owned()),
            Event::ControlGroup("/sys/fs/cgroup/a b/harness-7".into()),
            Event::Spent(1_500, 20),
            Event::Ended("with status 1".to_owned(), false),
            Event::Ended("with status 0".to_owned(), true),
        ] {
            assert_eq!(Event::parse(&event.line()), Some(event));
        }
    }

    #[test]
    fn another_line_is_no_event() {
        assert_eq!(Event::parse("hello"), None);
        assert_eq!(Event::parse("started x"), None);
        assert_eq!(Event::parse("started 1"), None);
    }
}
