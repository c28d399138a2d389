//! `harness soak` over fixtures with and without a planted leak.

use std::fs;
use std::process::Output;

use judge::{Growing, SoakTrend, soak_trends};
use record::{Soak, SoakFigure, SoakServer};

use crate::cli::support::{Bench, processes_with};

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
fn it_can_be_continued_after_it_ended_early() {
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
    assert!(told.contains("a verdict needs 11 cycles"), "{told}");
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

    // As if it had been interrupted: two more cycles are to be done.
    let mut early = first.clone();
    early.cycles = 5;
    store::write_document(&early, &bench.out().join("soak.json")).unwrap();
    let manifest = bench.dir.path().join("right/server.toml");
    let other = bench.dir.path().join("exits/server.toml");
    let output = Bench::new()
        .command("soak", &["--resume"])
        .arg(bench.out())
        .arg("--manifest")
        .arg(manifest)
        .arg("--manifest")
        .arg(other)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let both = stored(&bench);
    let right = server(&both, "right");
    let seen: Vec<(u32, u32)> = (right.readings.iter())
        .map(|reading| (reading.cycle, reading.process))
        .collect();
    assert_eq!(seen, [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1)]);
    assert_eq!(right.readings[..3], server(&first, "right").readings[..]);
    assert!(
        right.readings[3].requests < right.readings[2].requests,
        "a new process"
    );
    assert_eq!(
        server(&both, "exits"),
        exits,
        "what has failed isn't tried again"
    );
    assert!(processes_with(&bench.dir.path().display().to_string()).is_empty());
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

/// Twelve cycles of a second at a rate that a debug build reaches.
const LONG: [&str; 8] = [
    "--cycle",
    "1s",
    "--cycles",
    "14",
    "--rate",
    "6000",
    "--workload",
    "ping",
];

#[test]
#[ignore = "slow: half a minute of load"]
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
#[ignore = "slow: four minutes: 20 servers in turn"]
fn no_leak_is_reported_of_20_servers_without_one() {
    let mut bench = Bench::new();
    for number in 1..=20 {
        bench = bench.with(&format!("tight-{number}"), &["--event-loop"]);
    }
    let flags = [
        "--cycle",
        "800ms",
        "--cycles",
        "14",
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
