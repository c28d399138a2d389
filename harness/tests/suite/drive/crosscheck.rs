//! `harness crosscheck` and the known-latency server: the real programs, on real sockets.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::drive::program::harness;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with the manifest of a fixture server called `right`.
fn right() -> TempDir {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_harness"));
    let fixture = program.parent().unwrap().join("examples").join("fixture");
    assert!(
        fixture.is_file(),
        "no {}: run `cargo build --package harness --examples`",
        fixture.display()
    );
    let run = [
        fixture.to_str().unwrap(),
        "--event-loop",
        "--addr",
        "{addr}",
        "--workers",
        "{workers}",
    ];
    let folder = tempfile::tempdir().unwrap();
    let text = format!("[server]\ndisplay = \"right\"\nclass = \"fixture\"\nrun = {run:?}\n");
    std::fs::create_dir(folder.path().join("right")).unwrap();
    std::fs::write(folder.path().join("right/server.toml"), text).unwrap();
    folder
}

fn crosscheck(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = harness(&["crosscheck", "--server", "right", "--manifest"]);
    command
        .arg(folder.join("right/server.toml"))
        .args(["--connections", "4", "--out"])
        .arg(folder.join("out"))
        .args(arguments);
    command
}

fn record(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("out/crosscheck.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_here = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !is_here {
        eprintln!("not tested with {program}, which is not installed");
    }
    is_here
}

#[test]
fn tools_are_driven_in_turn_and_compared() {
    let folder = right();
    let tools = "epoll,bare,wrk";
    let flags = ["--tool", tools, "--rounds", "1", "--duration", "1s"];
    let output = crosscheck(folder.path(), &flags).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let record = record(folder.path());
    assert_eq!(record["ended"], "complete");
    let drives = record["drives"].as_array().unwrap();
    let with_wrk = is_installed("wrk");
    assert_eq!(drives.len(), if with_wrk { 3 } else { 2 });
    for drive in drives {
        let reading = &drive["reading"];
        assert!(reading["requests"].as_u64().unwrap() > 0, "{drive}");
        let p99 = reading["latency"]["points_ns"]["p99"].as_f64();
        assert_eq!(p99.is_some_and(|p99| p99 > 0.0), drive["tool"] != "bare");
        assert!(
            drive["process"]["system_ns"].as_u64().unwrap() > 0,
            "{drive}"
        );
        assert!(
            drive["accepted_connections"].as_u64().unwrap() >= 4,
            "{drive}"
        );
        assert!(!drive["output"].as_str().unwrap().is_empty());
    }
    assert!(said.contains("right, 4 connections"), "{said}");
    assert_eq!(said.contains("epoll / wrk"), with_wrk, "{said}");
    assert!(said.contains("only writes requests"), "{said}");
    assert!(folder.path().join("out/crosscheck.md").is_file());
}

#[test]
fn system_calls_are_counted_per_request() {
    if !is_installed("strace") {
        return;
    }
    let folder = right();
    let flags = ["--tool", "epoll", "--rounds", "0", "--syscalls", "--json"];
    let output = crosscheck(folder.path(), &flags).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let calls = &json["summary"]["calls_per_request"][0];
    if !calls["failure"].is_null() {
        // A sandbox may forbid tracing.
        eprintln!("not tested: {}", calls["failure"]);
        return;
    }
    // One to send and one to receive at least, and not a multiple of that.
    let each = calls["per_request"].as_f64().unwrap();
    assert!((1.9..4.0).contains(&each), "{calls}");
}

#[test]
fn ctrl_c_prints_what_was_measured_and_leaves_no_process() {
    let folder = right();
    let flags = ["--tool", "epoll", "--rounds", "900", "--duration", "1s"];
    let mut child = crosscheck(folder.path(), &flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begun = |line: &str| line.contains("round 1");
    assert!(lines.by_ref().any(|line| begun(&line.unwrap())));
    let reader = std::thread::spawn(move || lines.count());
    // Once a tool of it is at work.
    let path = folder.path().to_str().unwrap();
    wait_until(|| processes_with(&[path, "drive"]) > 0);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    reader.join().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(text(&output).contains("Interrupted"), "{}", text(&output));
    assert_eq!(record(folder.path())["ended"], "interrupted");
    wait_until(|| processes_with(&[path]) == 0);
}

fn wait_until(done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "it takes too long");
        std::thread::yield_now();
    }
}

/// Processes whose command line mentions all of `words`.
fn processes_with(words: &[&str]) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .filter(|line| {
            let line = String::from_utf8_lossy(line);
            words.iter().all(|word| line.contains(word))
        })
        .count()
}

#[test]
fn what_makes_no_crosscheck_is_refused() {
    for (flags, words) in [
        (vec!["--tool", "ab"], "ab"),
        (vec!["--duration", "1500ms"], "whole seconds"),
        (vec!["--path", "ping"], "starts with /"),
        (vec!["--connections", "0"], "0"),
    ] {
        let output = harness(&["crosscheck"]).args(&flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(
            text(&output).contains(words),
            "{flags:?}: {}",
            text(&output)
        );
    }
}

/// The server of known delays, ended with this value.
struct KnownServer(Child, String);

impl KnownServer {
    fn start(delay: &str) -> Self {
        let mut child = harness(&["known", "--addr", "127.0.0.1:0", "--delay", delay])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut addr = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut addr).unwrap();
        Self(child, addr.trim().to_owned())
    }

    fn drive(&self, flags: &[&str]) -> Value {
        let output = harness(&["drive", "--json"])
            .args(flags)
            .arg(format!("http://{}/", self.1))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for KnownServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ms(json: &Value, histogram: &str, point: &str) -> f64 {
    json[histogram][point].as_f64().unwrap() / 1e6
}

#[test]
fn a_stall_is_seen_from_the_intended_send_times() {
    // Nothing from 0.8 s to 1.6 s. On paper p99 is 0.78 s and p50 next to nothing.
    let known = KnownServer::start("stall:800ms:2000ms");
    let json = known.drive(&["-c", "4", "-d", "2s", "-r", "500"]);
    assert!(ms(&json, "latency_ns", "p99") > 500.0, "{json:#}");
    assert!(ms(&json, "latency_ns", "p90") > 400.0, "{json:#}");
    // Only four of the requests were on their way meanwhile.
    assert!(ms(&json, "wire_ns", "p50") < 100.0, "{json:#}");
    assert!(ms(&json, "wire_ns", "p90") < 400.0, "{json:#}");
    assert!(ms(&json, "latency_ns", "max") > 700.0, "{json:#}");
}

#[test]
fn both_humps_of_a_distribution_are_seen() {
    // 70 % from 18 to 22 ms, 30 % from 90 to 110 ms.
    let known = KnownServer::start("two-humped:20ms:100ms");
    let json = known.drive(&["-c", "64", "-d", "1500ms", "-r", "300"]);
    let at = |point| ms(&json, "latency_ns", point);
    assert!((18.0..60.0).contains(&at("p50")), "{json:#}");
    assert!((90.0..250.0).contains(&at("p90")), "{json:#}");
    assert!(at("p99") >= 90.0, "{json:#}");
}
