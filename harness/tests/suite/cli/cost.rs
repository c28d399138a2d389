//! `harness cost`: known extra costs are found, and limits are held.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cli::support::{Bench, fixture};

/// A fixture with these arguments, and the same as its build that counts allocations.
fn planted(bench: Bench, name: &str, arguments: &[&str]) -> Bench {
    let program = fixture().to_string_lossy().into_owned();
    let mut run = vec![
        program.as_str(),
        "--addr",
        "{addr}",
        "--workers",
        "{workers}",
    ];
    run.extend(arguments);
    bench.with_manifest(name, &format!("run = {run:?}\nrun_counting = {run:?}"))
}

/// The exit status, standard output and standard error of `harness cost` on `/ping`.
fn cost(bench: &Bench, arguments: &[&str]) -> (Option<i32>, String, String) {
    let common = ["--workload", "ping", "--requests", "200", "--repeats", "2"];
    let mut command = bench.command("cost", &common);
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// The first repeat of a figure.
fn figure(costs: &Value, server: &str, id: &str) -> f64 {
    let servers = costs["servers"].as_array().unwrap();
    let server = servers.iter().find(|one| one["name"] == server).unwrap();
    let value = &server["workloads"][0]["figures"][id][0];
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no {id}: {server}"))
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn planted_instructions_and_allocations_are_found() {
    if !is_installed("valgrind") {
        return;
    }
    let mut bench = planted(Bench::new(), "plain", &[]);
    bench = planted(
        bench,
        "once",
        &["--extra-instructions", "10000", "--extra-allocations", "1"],
    );
    bench = planted(
        bench,
        "twice",
        &["--extra-instructions", "20000", "--extra-allocations", "2"],
    );
    let out = bench.out();
    let only = [
        "--json",
        "--only",
        "allocations,instructions,process",
        "--out",
    ];
    let (status, stdout, stderr) = cost(&bench, &[&only[..], &[out.to_str().unwrap()]].concat());
    assert_eq!(status, Some(0), "{stderr}");
    let costs: Value = serde_json::from_str(&stdout).unwrap();
    let of = |server: &str, id: &str| figure(&costs, server, id);

    let allocations = |server: &str| of(server, "allocations_per_request");
    assert_eq!(allocations("once") - allocations("plain"), 1.0, "{stdout}");
    assert_eq!(allocations("twice") - allocations("plain"), 2.0, "{stdout}");
    let bytes = |server: &str| of(server, "allocated_bytes_per_request");
    assert_eq!(bytes("twice") - bytes("plain"), 200.0, "{stdout}");

    // A turn of the loop takes a fixed number of instructions, so twice the turns cost twice as much.
    let instructions = |server: &str| of(server, "instructions_per_request");
    let once = instructions("once") - instructions("plain");
    let twice = instructions("twice") - instructions("plain");
    assert!(once >= 10_000.0 / 4.0, "{once}");
    assert!((twice / once - 2.0).abs() < 0.02, "{once} and {twice}");

    let bytes_sent = of("plain", "bytes_sent_per_response");
    assert_eq!(bytes_sent, of("twice", "bytes_sent_per_response"));
    assert!(bytes_sent > 100.0, "{bytes_sent}");
    // The stored file is what was printed.
    let stored = std::fs::read_to_string(Path::new(&out).join("cost.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), costs);
}

#[test]
fn a_limit_fails_what_exceeds_it_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline.json");
    let baseline = baseline.to_str().unwrap();
    // The same name, so that one is the base of the other.
    let before = planted(Bench::new(), "mine", &[]);
    let out = before.out();
    let only = ["--only", "allocations,process", "--out"];
    let save = [&["--save", baseline], &only[..], &[out.to_str().unwrap()]].concat();
    let (status, _, stderr) = cost(&before, &save);
    assert_eq!(status, Some(0), "{stderr}");

    let limits = [
        "--against",
        baseline,
        "--fail-on",
        "allocations>0,bytes_sent>0",
    ];
    let again = planted(Bench::new(), "mine", &[]);
    let out = again.out();
    let (status, stdout, stderr) = cost(
        &again,
        &[&limits[..], &only[..], &[out.to_str().unwrap()]].concat(),
    );
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(!stdout.contains("FAIL"), "{stdout}");

    let dearer = planted(Bench::new(), "mine", &["--extra-allocations", "1"]);
    let out = dearer.out();
    let (status, stdout, stderr) = cost(
        &dearer,
        &[&limits[..], &only[..], &[out.to_str().unwrap()]].concat(),
    );
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    let failed: Vec<&str> = stdout
        .lines()
        .filter(|line| line.contains("FAIL"))
        .collect();
    assert_eq!(failed.len(), 1, "{stdout}");
    assert!(failed[0].contains("allocations"), "{stdout}");
}

#[test]
fn a_server_without_a_counting_build_lacks_that_figure_with_its_reason() {
    let bench = Bench::new().with("mine", &[]);
    let out = bench.out();
    let only = ["--only", "allocations", "--out", out.to_str().unwrap()];
    let (status, stdout, stderr) = cost(&bench, &only);
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(
        stdout.contains("no allocated bytes and allocations: mine: "),
        "{stdout}"
    );
    assert!(stdout.contains("run_counting"), "{stdout}");
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_server_that_answers_wrongly_has_no_cost() {
    let bench = Bench::new().with("mine", &["--fault", "wrong-body"]);
    let out = bench.out();
    let (status, stdout, stderr) = cost(&bench, &["--out", out.to_str().unwrap()]);
    assert_eq!(status, Some(1), "{stdout}{stderr}");
    assert!(stderr.contains("mine"), "{stderr}");
}

#[test]
fn wrong_limits_are_refused_before_anything_starts() {
    let bench = Bench::new().with("mine", &[]);
    for (limits, said) in [
        ("instruction>1%", "did you mean \"instructions\""),
        ("instructions", "expected a limit such as"),
    ] {
        let (status, _, stderr) = cost(&bench, &["--against", "main", "--fail-on", limits]);
        assert_eq!(status, Some(2), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}
