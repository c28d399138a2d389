//! A small server as a process of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use machine::probe::{Processes, listeners};
use referee::{Ended, Process, Stop};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;

const POLL: Duration = Duration::from_millis(2);
/// How long a port may be listened on after its process has ended.
const PORT_WAIT: Duration = Duration::from_secs(1);
/// No end takes as long.
const LONGEST: Duration = Duration::from_secs(60);

/// A running example; its process group is killed when it is dropped.
pub(crate) struct Fixture {
    child: Child,
    processes: Option<Processes>,
    addr: SocketAddr,
    arguments: Vec<String>,
    folder: TempDir,
}

impl Fixture {
    /// Starts the fixture with these arguments on a free port.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = command()
            .args(["--addr", "127.0.0.1:0", "--workers", "2"])
            .args(arguments)
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addr = line.trim().parse();
        Self {
            addr: addr.unwrap_or_else(|_| panic!("{arguments:?} printed {line:?}")),
            child,
            processes: None,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            folder,
        }
    }

    fn wait_for(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let status = child.try_wait().unwrap();
            if status.is_some() || Instant::now() > deadline {
                return status;
            }
            sleep(POLL);
        }
    }

    /// The child is not waited for in between: a signal to it finds it, ended or not.
    fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), signal).map_err(|error| error.to_string())
    }

    /// Waits for its end; whether that was with status 0.
    pub(crate) fn ends_well(&mut self) -> bool {
        Self::wait_for(&mut self.child, LONGEST).is_some_and(|status| status.success())
    }
}

impl Process for Fixture {
    fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn hold(&mut self) -> Result<(), String> {
        self.signal(Signal::STOP)
    }

    fn stop(&mut self, stop: Stop) -> Result<(), String> {
        let signal = match stop {
            Stop::Terminate => Signal::TERM,
            Stop::Interrupt => Signal::INT,
        };
        self.signal(signal)?;
        self.signal(Signal::CONT)
    }

    fn wait(&mut self, limit: Duration) -> Option<Ended> {
        Self::wait_for(&mut self.child, limit).map(ended)
    }

    fn frees_port(&self) -> Result<(), String> {
        let deadline = Instant::now() + PORT_WAIT;
        loop {
            let left = listeners(self.addr.port()).map_err(|error| error.to_string())?;
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("process {:?} listens on {}", left.pids, self.addr));
            }
            sleep(POLL);
        }
    }

    fn printed(&self) -> Result<String, String> {
        let log = self.folder.path().join("stderr");
        std::fs::read_to_string(log).map_err(|error| error.to_string())
    }

    fn cpu_time(&mut self) -> Result<Duration, String> {
        let group = self.child.id();
        let processes = self
            .processes
            .get_or_insert_with(|| Processes::in_group(group, None));
        let used = processes.sample_light().cpu_ns.ok_or("it has ended")?;
        Ok(Duration::from_nanos(used))
    }

    fn takes_workers(&self) -> bool {
        true
    }

    fn refusal(
        &mut self,
        addr: Option<&str>,
        workers: Option<&str>,
        limit: Duration,
    ) -> Result<(Option<Ended>, String), String> {
        let log = self.folder.path().join("refusal");
        let mut child = command()
            .args(["--addr", addr.unwrap_or("127.0.0.1:0")])
            .args(["--workers", workers.unwrap_or("2")])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let status = Self::wait_for(&mut child, limit);
        let _ = child.kill();
        let _ = child.wait();
        Ok((status.map(ended), std::fs::read_to_string(log).unwrap()))
    }

    fn another(&mut self, arguments: &[&str]) -> Result<Box<dyn Process + '_>, String> {
        let own = self.arguments.iter().map(String::as_str);
        let arguments: Vec<_> = own.chain(arguments.iter().copied()).collect();
        Ok(Box::new(Self::start(&arguments)))
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

fn ended(status: ExitStatus) -> Ended {
    Ended {
        how: match status.signal() {
            Some(signal) => format!("by signal {signal}"),
            None => format!("with status {}", status.code().unwrap_or(-1)),
        },
        status: status.code(),
    }
}

/// Cargo builds a package's examples with its tests, next to the folder of this program.
pub(crate) fn command() -> Command {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .unwrap()
        .with_file_name("examples")
        .join("fixture");
    assert!(
        path.exists(),
        "{} is missing; `cargo build -p harness --examples` makes it",
        path.display()
    );
    Command::new(path)
}
