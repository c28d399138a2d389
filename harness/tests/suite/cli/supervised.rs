//! CPU time of a server's processes that have ended, under the real supervisor: with a control
//! group that counts it, and without one.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use machine::cpu_group;
use machine::probe::Processes;

/// Processes that each take [`EACH_NS`] of CPU time and end.
const COUNT: u64 = 30;
const EACH_NS: u64 = 10_000_000;
const ALL_NS: u64 = COUNT * EACH_NS;
/// User and system time of what ended are rounded down to a tick.
const TICKS_NS: u64 = 2 * 10_000_000;
/// Nothing here takes as long.
const LONGEST: Duration = Duration::from_secs(60);

/// A shell under a supervisor; all of it ends when this is dropped.
struct Supervised {
    supervisor: Child,
    group: Option<PathBuf>,
    processes: Processes,
    folder: tempfile::TempDir,
}

impl Supervised {
    /// The shell waits until it may go on, so that it is known before it starts anything. `None` where a
    /// control group is asked for and the system allows none.
    fn start(script: &str, with_group: bool) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = script.replace(
            "WORK",
            &format!(
                "'{}' --work-and-end",
                crate::cli::support::fixture().display()
            ),
        );
        let script = format!("while ! [ -e go ]; do sleep 0.01; done; {script}");
        let mut supervisor = Command::new(env!("CARGO_BIN_EXE_harness"))
            .arg("supervise")
            .args(with_group.then_some("--control-group"))
            .arg("--log")
            .arg(folder.path().join("log"))
            .arg("--folder")
            .arg(folder.path())
            .args(["--", "sh", "-c", &script])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut group = None;
        for line in BufReader::new(supervisor.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(path) = line.strip_prefix("control-group ") {
                group = Some(PathBuf::from(path));
            } else if line.starts_with("started ") {
                break;
            }
        }
        let id = supervisor.id();
        let processes = Processes::in_group(id, Some(id)).counted_by(group.as_deref());
        assert_eq!(processes.has_control_group(), group.is_some());
        let supervised = Self {
            supervisor,
            group,
            processes,
            folder,
        };
        if with_group && supervised.group.is_none() {
            eprintln!("skipped: this system allows no control group");
            return None;
        }
        Some(supervised)
    }

    fn cpu_ns(&mut self) -> u64 {
        self.processes.sample_light().cpu_ns.unwrap()
    }

    /// Lets it go on, and samples until so much CPU time has gone by and grows no more. Gives how much it
    /// was; it never fell.
    fn used(&mut self, least_ns: u64) -> u64 {
        let before = self.cpu_ns();
        std::fs::write(self.folder.path().join("go"), "").unwrap();
        let limit = Instant::now() + LONGEST;
        let (mut last, mut still) = (before, 0);
        while last - before < least_ns || still < 20 {
            assert!(Instant::now() < limit, "{} of {least_ns}", last - before);
            sleep(Duration::from_millis(5));
            let now = self.cpu_ns();
            assert!(now >= last, "fell by {} ns", last - now);
            still = if now == last { still + 1 } else { 0 };
            last = now;
        }
        last - before
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
        if let Some(group) = &self.group {
            cpu_group::remove(group);
            assert!(!group.exists(), "{} is left behind", group.display());
        }
    }
}

/// Fails unless a script's processes are counted once.
fn assert_counted(script: &str) {
    for with_group in [false, true] {
        let Some(mut supervised) = Supervised::start(script, with_group) else {
            continue;
        };
        let used = supervised.used(ALL_NS - TICKS_NS);
        assert!(used < 2 * ALL_NS, "{used} ns, group: {with_group}");
        if with_group {
            assert!(used >= ALL_NS, "{used} ns");
        }
    }
}

#[test]
fn processes_that_were_waited_for_are_counted_once() {
    assert_counted(&format!(
        "i=0; while [ $i -lt {COUNT} ]; do WORK; i=$((i+1)); done; exec sleep 1000"
    ));
}

#[test]
fn processes_of_processes_that_ended_are_counted_once() {
    assert_counted(&format!(
        "(i=0; while [ $i -lt {COUNT} ]; do WORK; i=$((i+1)); done); exec sleep 1000"
    ));
}

/// Nobody who was there before waits for them.
#[test]
fn processes_that_were_left_behind_are_counted_once() {
    assert_counted(&format!(
        "i=0; while [ $i -lt {COUNT} ]; do (WORK &); i=$((i+1)); done; exec sleep 1000"
    ));
}

/// Long enough that the samples see them: exact at first, and in ticks when they have ended.
#[test]
fn processes_that_were_seen_before_they_ended_are_counted_once() {
    let ten = "WORK; ".repeat(10);
    assert_counted(&format!(
        "for n in 1 2 3; do \
         sh -c \"{ten} i=0; while [ \\$i -lt 20000 ]; do i=\\$((i+1)); done\"; \
         done; exec sleep 1000"
    ));
}

/// A server that ends leaves its status and its time, whoever else its supervisor waits for.
#[test]
fn the_end_of_the_server_is_told_among_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut supervisor = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["supervise", "--log"])
        .arg(folder.path().join("log"))
        .arg("--folder")
        .arg(folder.path())
        .args(["--", "sh", "-c"])
        .arg("for i in 1 2 3 4 5; do (true &); done; sleep 0.2; (sleep 1000 &); exit 7")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
    let told: Vec<String> = lines.map(Result::unwrap).take(3).collect();
    drop(supervisor.stdin.take());
    supervisor.wait().unwrap();
    assert!(told[0].starts_with("started "), "{told:?}");
    assert!(told[1].starts_with("spent "), "{told:?}");
    assert_eq!(told[2], "ended false with status 7");
}
