//! Ctrl-C and SIGKILL: the record stays readable and no process survives.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::support::{Bench, Run, SHORT, processes_with};
use rustix::process::{Pid, Signal, kill_process};

/// Many enough that no run of them ends by itself here.
const MANY: &str = "1000";

/// Starts a run and waits until its first trial is under way.
pub(crate) fn under_way(bench: &Bench, rounds: &str) -> Child {
    let mut command = bench.command("bench", &SHORT);
    command
        .args(["--rounds", rounds, "--stage", "peak"])
        .arg("--out")
        .arg(bench.out());
    let mut harness = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(harness.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("trial") {
        line.clear();
        assert!(
            errors.read_line(&mut line).unwrap() > 0,
            "it ended before a trial"
        );
    }
    // Keeps reading, so that the harness never waits for a full pipe.
    std::thread::spawn(move || errors.lines().count());
    harness
}

fn send(harness: &Child, signal: Signal) {
    kill_process(Pid::from_child(harness), signal).unwrap();
}

pub(crate) fn all_gone(bench: &Bench) {
    let path = bench.dir.path().to_str().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = processes_with(path);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still running: {left:?}");
        std::thread::yield_now();
    }
}

#[test]
fn ctrl_c_keeps_what_was_measured() {
    let bench = Bench::new().with("right", &[]);
    let harness = under_way(&bench, MANY);
    send(&harness, Signal::INT);
    let run = Run::of(harness.wait_with_output().unwrap(), &bench.out());
    assert_eq!(run.status, Some(130), "{}", run.stdout);
    assert_eq!(run.record["run"]["ended"], "interrupted");
    all_gone(&bench);
}

#[test]
fn a_killed_harness_leaves_a_readable_record_and_no_process() {
    let bench = Bench::new().with("right", &[]);
    let mut harness = under_way(&bench, MANY);
    send(&harness, Signal::KILL);
    harness.wait().unwrap();
    all_gone(&bench);
    let report = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("report")
        .arg(bench.out())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&report.stdout);
    assert!(
        report.status.success(),
        "{}",
        String::from_utf8_lossy(&report.stderr)
    );
    assert!(text.contains("right"), "{text}");
}
