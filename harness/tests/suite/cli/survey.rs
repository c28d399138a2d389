//! Measurements of several rounds that are interrupted and resumed.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli::interrupts::all_gone;
use crate::cli::support::Bench;

const SHORT: &str =
    "--workload ping --connections 4 --duration 50ms --warmup 10ms --workers 1 --rounds 100";

fn read(bench: &Bench) -> Option<Value> {
    let text = fs::read_to_string(bench.out().join("ladder.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// The rounds of the first server with connections as the factor, in the order in which they are stored.
fn rounds(json: &Value) -> Vec<Value> {
    let rounds = json["servers"][0]["rounds"].as_array();
    rounds.cloned().unwrap_or_default()
}

fn resume(bench: &Bench, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["ladder", "--resume"]).arg(bench.out());
    command.args(flags).output().unwrap()
}

#[test]
fn ctrl_c_says_how_to_continue_and_resume_measures_the_missing_rounds() {
    let bench = Bench::new()
        .with("one", &["--event-loop"])
        .with("two", &["--event-loop"]);
    let flags: Vec<&str> = SHORT.split_whitespace().collect();
    let mut command = bench.command("ladder", &flags);
    command.arg("--out").arg(bench.out());
    let harness = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while read(&bench).is_none_or(|json| rounds(&json).len() < 2) {
        assert!(Instant::now() < deadline, "it stores nothing");
        thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&harness), Signal::INT).unwrap();
    let output = harness.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}");
    let expected = format!(
        "continue it with: cargo harness ladder --resume {}",
        bench.out().display()
    );
    assert!(told.contains(&expected), "{told}");
    all_gone(&bench);

    // One more round is enough here.
    let mut json = read(&bench).unwrap();
    let before = rounds(&json);
    let goal = before.len() as u64 + 1;
    json["rounds"] = goal.into();
    for word in json["command"].as_array_mut().unwrap() {
        if *word == "100" {
            *word = goal.to_string().into();
        }
    }
    let path = bench.out().join("ladder.json");
    let right = json.to_string();
    fs::write(&path, &right).unwrap();
    let output = resume(&bench, &["--list"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("would measure one, two with ping in 1 round"),
        "{output:?}"
    );

    // Other flags, another program and another machine are refused, and change nothing.
    json["servers"][1]["sha256"] = "0".into();
    let other_program = json.to_string();
    let mut json: Value = serde_json::from_str(&right).unwrap();
    json["cpu"] = "Z80".into();
    let other_machine = json.to_string();
    let mut json: Value = serde_json::from_str(&right).unwrap();
    assert_eq!(json["requests_sha256"]["ping"].as_str().unwrap().len(), 64);
    json["requests_sha256"]["ping"] = "0".into();
    let edited = json.to_string();
    for (document, flags, why) in [
        (&right, &["--rounds", "9"][..], "leave out --rounds"),
        (
            &other_program,
            &[],
            "the binary of two is not the one measured before",
        ),
        (&other_machine, &[], "was measured on Z80"),
        (
            &edited,
            &[],
            "the requests of workload ping are not those measured in",
        ),
    ] {
        fs::write(&path, document).unwrap();
        let output = resume(&bench, flags);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why), "{told}");
        assert_eq!(fs::read_to_string(&path).unwrap(), *document);
    }

    fs::write(&path, &right).unwrap();
    let output = resume(&bench, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let whole = read(&bench).unwrap();
    let after = rounds(&whole);
    assert_eq!(after[..before.len()], before[..]);
    let numbers: Vec<u64> = after
        .iter()
        .filter_map(|one| one["round"].as_u64())
        .collect();
    assert_eq!(numbers, (1..=goal).collect::<Vec<_>>());
    for server in whole["servers"].as_array().unwrap() {
        assert_eq!(server["rounds"].as_array().map(Vec::len), Some(after.len()));
    }
    let output = resume(&bench, &[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("is complete: there is nothing to resume"),
        "{told}"
    );
}
