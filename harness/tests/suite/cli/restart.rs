//! `harness restart` over fixtures that lose a known number of requests in a known time.

use std::fs;
use std::path::Path;
use std::process::Command;

use record::{RestartRun, RestartWay, Restarts};

use crate::cli::support::{Bench, fixture};

const RATE: f64 = 800.0;
const CONNECTIONS: u64 = 16;
const LOAD: [&str; 10] = [
    "--rate",
    "800",
    "--workload",
    "users",
    "--connections",
    "16",
    "--rounds",
    "1",
    "--timeout",
    "500ms",
];

fn restarts(bench: &Bench, way: &str) -> Restarts {
    let mut command = bench.command("restart", &LOAD);
    command.args(["--way", way]).arg("--out").arg(bench.out());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let json = fs::read_to_string(bench.out().join("restart.json")).unwrap();
    let page = fs::read_to_string(bench.out().join("restart.md")).unwrap();
    assert!(page.contains("Restart, "), "{page}");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let again = bench
        .command("restart", &["--from"])
        .arg(bench.out())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), printed);
    serde_json::from_str(&json).unwrap()
}

fn only(restarts: &Restarts, server: &str) -> RestartRun {
    let mut runs = restarts.runs.iter().filter(|run| run.server == server);
    runs.next().unwrap().clone()
}

fn lost(run: &RestartRun, kind: &str) -> u64 {
    run.lost.get(kind).copied().unwrap_or(0)
}

/// The first process is right; the second waits 300 ms before it listens, and drops 20 requests.
#[test]
fn a_gap_and_dropped_requests_are_found_with_their_numbers() {
    let bench = Bench::new().turning("slow", "--listen-after-ms 300 --drop-first 20");
    let restarts = restarts(&bench, "replace");
    let run = only(&restarts, "slow");
    let gap = run.figures["gap_ms"];
    // More if the machine was busy, never less.
    assert!((300.0..3_000.0).contains(&gap), "{gap} ms: {run:?}");
    // While nobody listens, every request is refused; the rest of the gap is the wait for the first response.
    let refused = lost(&run, "refused") as f64;
    assert!(
        (0.85 * RATE * 0.3..1.1 * RATE * gap / 1e3).contains(&refused),
        "{refused} in {gap} ms: {run:?}"
    );
    // A request may also reach a connection that the old process is closing.
    let dropped = lost(&run, "reset");
    assert!((20..=20 + CONNECTIONS).contains(&dropped), "{run:?}");
    assert_eq!(run.lost_total(), lost(&run, "refused") + dropped, "{run:?}");
    let answered: u64 = run.intervals.iter().map(|interval| interval.answered).sum();
    assert!(answered > 0 && run.figures["start_ms"] >= 300.0, "{run:?}");
    added_to_a_report(&bench);
}

/// Its table and chart become part of a stored run's report.
fn added_to_a_report(bench: &Bench) {
    let folder = tempfile::tempdir().unwrap();
    let stored = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../bench-results/reference/run.sqlite"
    );
    fs::copy(stored, folder.path().join("run.sqlite")).unwrap();
    let report = |with: &[&Path], flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.arg("report").arg(folder.path()).args(flags);
        for with in with {
            command.arg("--with").arg(with);
        }
        command.output().unwrap()
    };
    let refused = report(&[folder.path()], &["--write"]);
    assert_eq!(refused.status.code(), Some(2));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(
        why.contains("it has no capacity.json, restart.json or"),
        "{why}"
    );

    let heading = "Restart, replace, users";
    let shown = report(&[&bench.out()], &["--format", "markdown"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains(heading));
    let without = report(&[], &["--format", "markdown"]);
    assert!(!String::from_utf8_lossy(&without.stdout).contains(heading));
    let kept = report(&[&bench.out()], &["--write"]);
    assert_eq!(kept.status.code(), Some(0), "{kept:?}");
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    for part in [
        heading,
        "<a href=\"#added\">",
        "Restart under load: users, replace",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let again = report(&[], &["--format", "markdown"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains(heading));
}

/// With one socket for both, nothing is refused, however long the new process takes to start.
#[test]
fn a_handover_refuses_nothing_and_a_server_that_takes_no_socket_is_a_row() {
    let alone = format!(
        "unset LISTEN_FDS; exec '{}' --addr {{addr}} --workers {{workers}}",
        fixture().display()
    );
    let bench = Bench::new()
        .turning("slow", "--listen-after-ms 300")
        .turning("outrun", "--accept-after-ms 900")
        .with_manifest("alone", &format!("run = {:?}", ["sh", "-c", &alone]));
    let restarts = restarts(&bench, "handover");
    let slow = only(&restarts, "slow");
    assert_eq!(slow.not_supported, None);
    assert_eq!(lost(&slow, "refused"), 0, "{slow:?}");
    assert!(slow.lost_total() <= CONNECTIONS, "{slow:?}");
    assert!(slow.figures["restart_ms"] >= 300.0, "{slow:?}");
    assert!(slow.figures["gap_ms"] < 300.0, "{slow:?}");
    // The old process accepts every connection until it is told to stop; then they wait for the new one.
    let outrun = only(&restarts, "outrun");
    assert_eq!((&outrun.not_supported, &outrun.failure), (&None, &None));
    assert_eq!(lost(&outrun, "refused"), 0, "{outrun:?}");
    let [start, restart] = ["start_ms", "restart_ms"].map(|id| outrun.figures[id]);
    assert!(start + 500.0 <= restart, "{outrun:?}");
    let alone = only(&restarts, "alone");
    assert_eq!((alone.way, &alone.failure), (RestartWay::Handover, &None));
    let why = alone.not_supported.unwrap();
    assert!(why.contains("with status 1"), "{why}");
    let page = fs::read_to_string(bench.out().join("restart.md")).unwrap();
    assert!(page.contains("not supported"), "{page}");
}
