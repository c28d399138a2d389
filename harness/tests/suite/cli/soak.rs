//! `harness soak` over fixtures with and without a planted leak.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use judge::{Growing, SoakTrend, soak_trends};
use record::{Soak, SoakFigure, SoakServer};
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::interrupts::all_gone;
use crate::cli::support::Bench;

fn soak(bench: &Bench, flags: &[&str]) -> (Output, Soak) {
    let mut command = bench.command("soak", flags);
    let output = command.arg("--out").arg(bench.out()).output().unwrap();
    (output, stored(bench))
}

fn stored(bench: &Bench) -> Soak {
    let text = fs::read_to_string(bench.out().join("soak.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn server<'s>(soak: &'s Soak, name: &str) -> &'s SoakServer {
    let mut all = soak.servers.iter();
    all.find(|server| server.name == name).unwrap()
}

fn memory(server: &SoakServer) -> SoakTrend {
    soak_trends(server)[0]
}

const SHORT: [&str; 6] = ["--cycle", "200ms", "--rate", "500", "--workload", "ping"];

#[test]
fn each_cycle_has_a_reading_and_a_server_that_ends_keeps_its_own() {
    let bench = Bench::new().with("right", &["--event-loop"]).with(
        "exits",
        &["--fault", "exits-under-load", "--fault-after", "185"],
    );
    let (output, first) = soak(&bench, &[&SHORT[..], &["--cycles", "3"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("3 cycles of 0.2 s for each of 2 servers: about"),
        "{told}"
    );
    assert!(told.contains("a verdict needs 20 cycles"), "{told}");
    let right = server(&first, "right");
    let cycles: Vec<u32> = right.readings.iter().map(|reading| reading.cycle).collect();
    assert_eq!(cycles, [1, 2, 3]);
    for reading in &right.readings {
        // 70 a cycle, and 2 of the probe.
        let about = 72.0 * f64::from(reading.cycle);
        assert!(
            reading.requests as f64 <= about && reading.requests > 0,
            "{reading:?}"
        );
        assert_eq!((reading.process, reading.errors), (0, 0), "{reading:?}");
        assert!(
            reading.rss_bytes > 100_000 && reading.threads > Some(1),
            "{reading:?}"
        );
        assert!(
            reading.descriptors > Some(2) && reading.p99_us >= reading.p50_us,
            "{reading:?}"
        );
    }
    assert_eq!(memory(right).growing, Growing::Unknown);
    let exits = server(&first, "exits");
    let reason = &exits.failure.as_ref().unwrap().reason;
    assert!(reason.contains("with status 3 in cycle 3"), "{reason}");
    assert_eq!(exits.readings.len(), 2, "those before are kept");
    let chart = fs::read_to_string(bench.out().join("soak.svg")).unwrap();
    roxmltree::Document::parse(&chart).unwrap();
}

#[test]
fn ctrl_c_keeps_the_readings_and_resume_continues_them() {
    let bench = Bench::new().with("right", &["--event-loop"]);
    let begun = |flags: &[&str]| {
        let mut command = bench.command("soak", &[&SHORT[..], flags].concat());
        command.arg("--out").arg(bench.out());
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut harness = begun(&["--cycles", "1000"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    let read = || {
        let text = fs::read_to_string(bench.out().join("soak.json")).unwrap_or_default();
        let soak: Option<Soak> = serde_json::from_str(&text).ok();
        soak.map_or(0, |soak| soak.servers[0].readings.len())
    };
    while read() < 3 {
        assert!(Instant::now() < deadline, "it stores nothing");
        thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&harness), Signal::INT).unwrap();
    assert_eq!(harness.wait().unwrap().code(), Some(130));
    all_gone(&bench);
    let first = stored(&bench);
    let before = &server(&first, "right").readings;
    assert!(
        before.len() >= 3 && server(&first, "right").failure.is_none(),
        "{first:?}"
    );

    // Two more cycles are enough here.
    let mut short = first.clone();
    short.cycles = before.len() as u32 + 2;
    store::write_document(&short, &bench.out().join("soak.json")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(["soak", "--resume"]).arg(bench.out());
    command
        .arg("--manifest")
        .arg(bench.dir.path().join("right/server.toml"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let both = stored(&bench);
    let after = &server(&both, "right").readings;
    assert_eq!(after[..before.len()], before[..]);
    let new: Vec<(u32, u32)> = (after[before.len()..].iter())
        .map(|reading| (reading.cycle, reading.process))
        .collect();
    assert_eq!(new, [(short.cycles - 1, 1), (short.cycles, 1)]);
    assert!(
        after[before.len()].requests < before[before.len() - 1].requests,
        "a new process"
    );
}

#[test]
fn a_wrong_flag_starts_nothing_and_a_list_says_how_long_it_takes() {
    let bench = Bench::new().with("right", &[]);
    let output = bench
        .command("soak", &["--list", "--hours", "8"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let plan =
        "would soak right: 480 cycles of 42 s at 2000/s, 15 s of rest and 3 s of probe: about";
    assert!(text.contains(plan), "{text}");
    for (flags, words) in [
        (&["--cycle", "100ms"][..], "at least 200ms"),
        (&["--hours", "0"], "--hours"),
        (&["--hours", "1", "--cycles", "3"], "cannot be used with"),
        (&["--fail-if", "memory>1"], "such as 1MiB/h"),
        (&["--workload", "nothing"], "no workload \"nothing\""),
    ] {
        let output = bench.command("soak", flags).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {told}");
        assert!(told.contains(words), "{flags:?}: {told}");
    }
}

/// Cycles of half a second at a rate that a debug build reaches.
const LONG: [&str; 8] = [
    "--cycle",
    "500ms",
    "--cycles",
    "40",
    "--rate",
    "6000",
    "--workload",
    "ping",
];

#[test]
#[ignore = "slow: 40 s of load"]
fn a_planted_leak_of_64_bytes_is_found_and_its_size_is_told() {
    let bench = Bench::new()
        .with("leaks", &["--event-loop", "--leak-bytes", "64"])
        .with("tight", &["--event-loop"]);
    let (output, soak) = soak(&bench, &LONG);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let leaks = memory(server(&soak, "leaks"));
    assert_eq!(leaks.growing, Growing::Yes, "{soak:?}");
    // The system's allocator rounds up to 80.
    let each = leaks.per_request.unwrap();
    assert!((60.0..100.0).contains(&each.slope), "{each:?}");
    for trend in soak_trends(server(&soak, "tight")) {
        let machine = matches!(trend.figure, SoakFigure::P50 | SoakFigure::P99);
        assert!(machine || trend.growing == Growing::No, "{trend:?}");
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("GROWS"), "{printed}");
    let limited = |limit: &str| {
        let mut command = Bench::new().command("soak", &["--fail-if", limit, "--from"]);
        command.arg(bench.out()).output().unwrap()
    };
    let output = limited("memory>16B/request");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("leaks: --fail-if") && !told.contains("tight: "),
        "{told}"
    );
    assert_eq!(limited("memory>200B/request").status.code(), Some(0));
}

#[test]
#[ignore = "slow, 2 minutes: `make nightly` runs it"]
fn no_leak_is_reported_of_20_servers_without_one() {
    let mut bench = Bench::new();
    for number in 1..=20 {
        bench = bench.with(&format!("tight-{number}"), &["--event-loop"]);
    }
    let flags = [
        "--cycle",
        "250ms",
        "--cycles",
        "28",
        "--rate",
        "4000",
        "--workload",
        "ping",
    ];
    let (output, soak) = soak(&bench, &flags);
    let held = [
        SoakFigure::Memory,
        SoakFigure::Threads,
        SoakFigure::Descriptors,
    ];
    for server in &soak.servers {
        assert!(server.failure.is_none(), "{server:?}");
        for trend in soak_trends(server) {
            let reported = held.contains(&trend.figure) && trend.growing != Growing::No;
            assert!(!reported, "{}: {trend:?}: {output:?}", server.name);
        }
    }
}
