//! Runs that end before their end, and are taken up again.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use catalog::plan::Plan;
use record::{Ended, Record};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use store::Store;

use crate::cli::support::{Bench, Run, SHORT, fixture, processes_with};

/// Longer than anything a test waits for.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at what can only be looked at.
const LOOK: Duration = Duration::from_millis(1);

/// A harness at work.
pub(crate) struct Harness {
    child: Child,
    said: String,
    errors: Receiver<String>,
    out: JoinHandle<String>,
}

impl Harness {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = channel();
        // Both are read to their ends, so that the harness never waits for a full pipe.
        thread::spawn(move || {
            let lines = errors.lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        Self {
            child,
            said: String::new(),
            errors: receiver,
            out: thread::spawn(move || {
                let mut text = String::new();
                out.read_to_string(&mut text).unwrap();
                text
            }),
        }
    }

    /// Waits for a line that begins so; those before it are passed over.
    pub(crate) fn wait_for_line(&mut self, start: &str) {
        loop {
            let line = self.errors.recv_timeout(LIMIT);
            let line = line.unwrap_or_else(|_| panic!("no \"{start}\" after {}", self.said));
            self.said += &format!("{line}\n");
            if line.starts_with(start) {
                return;
            }
        }
    }

    /// Waits until it has come so far.
    pub(crate) fn wait_until(&mut self, reached: impl Fn() -> bool) {
        let begin = Instant::now();
        while !reached() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended too soon: {}", self.rest());
            assert!(begin.elapsed() < LIMIT, "it never came so far");
            thread::sleep(LOOK);
        }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; what it made is in `folder`.
    pub(crate) fn end(mut self, folder: &Path) -> Run {
        let status = self.child.wait().unwrap();
        let stderr = self.rest();
        let output = Output {
            status,
            stdout: self.out.join().unwrap().into_bytes(),
            stderr: stderr.into_bytes(),
        };
        Run::of(output, folder)
    }

    fn rest(&mut self) -> String {
        for line in &self.errors {
            self.said += &format!("{line}\n");
        }
        std::mem::take(&mut self.said)
    }
}

/// A new run of these servers into the usual folder.
pub(crate) fn begin(bench: &Bench, flags: &[&str], more: &[&str]) -> Command {
    let mut command = bench.command("bench", flags);
    command.arg("--out").arg(bench.out()).args(more);
    command
}

/// `harness bench --resume` of a run of these servers.
pub(crate) fn resume(bench: &Bench, folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["bench", "--resume"]).arg(folder).args(more);
    command.args(&SHORT[SHORT.len() - 2..]);
    for entry in std::fs::read_dir(bench.dir.path()).unwrap() {
        let manifest = entry.unwrap().path().join("server.toml");
        if manifest.is_file() {
            command.arg("--manifest").arg(manifest);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// The manifest's line for a fixture that lies in the server's own folder; see [`give_program`].
pub(crate) const OWN: &str = r#"run = ["./own", "--addr", "{addr}", "--workers", "{workers}"]"#;

/// Puts the fixture into the folder of a server. By another process: a file that this one had open
/// for writing could not be run while another test's child still has it.
pub(crate) fn give_program(bench: &Bench, server: &str) -> PathBuf {
    let own = bench.dir.path().join(server).join("own");
    copy(&fixture(), &own);
    own
}

/// Copies a program or a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(status.unwrap().success());
}

/// What is stored in a folder.
pub(crate) fn record(folder: &Path) -> Record {
    let mut store = Store::open(&folder.join("run.sqlite")).unwrap();
    store.load().unwrap()
}

/// A number out of a record that is being written; none where it can't be read now.
pub(crate) fn ask(folder: &Path, sql: &str) -> Option<i64> {
    let path = folder.join("run.sqlite");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.query_row(sql, (), |row| row.get(0)).ok()
}

/// How many trials are stored, while they are.
pub(crate) fn trials(folder: &Path) -> i64 {
    ask(folder, "SELECT count(*) FROM trial").unwrap_or(0)
}

/// Fails unless the run is complete and these rounds of its plan were run, each step once and in its place.
pub(crate) fn assert_whole(record: &Record, rounds: u32) {
    let run = &record.run;
    assert_eq!(run.ended, Ended::Complete);
    let plan = Plan {
        entries: run.entries.clone(),
        workloads: run.workloads.keys().cloned().collect(),
        stages: run.stages.clone(),
        rounds,
        seed: run.seed,
        interleaved: run.schedule.is_interleaved(),
        partial: BTreeMap::new(),
    };
    let planned = plan.steps().into_iter().enumerate();
    let planned: Vec<_> = planned
        .map(|(place, step)| {
            let place = u32::try_from(place).unwrap();
            (place, step.round, step.server, step.workload, step.stage)
        })
        .collect();
    let ran: Vec<_> = record
        .trials
        .iter()
        .cloned()
        .map(|t| (t.position, t.round, t.server, t.workload, t.stage))
        .collect();
    assert_eq!(ran, planned);
    assert!(!ran.is_empty());
}

/// Waits until no process of these servers' folders is left.
pub(crate) fn all_gone(bench: &Bench) {
    let path = bench.dir.path().to_str().unwrap();
    let begin = Instant::now();
    loop {
        let left = processes_with(path);
        if left.is_empty() {
            return;
        }
        assert!(begin.elapsed() < LIMIT, "still running: {left:?}");
        thread::sleep(LOOK);
    }
}
