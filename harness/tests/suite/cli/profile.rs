//! `harness profile` records where a real process spends its work, and where it allocates.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::support::Bench;

fn is_installed(program: &str) -> bool {
    let tried = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let installed = tried.is_ok();
    if !installed {
        eprintln!("skipped: {program} is not installed");
    }
    installed
}

/// Profiles the fixture under `ping`; the profile of it, and the text that was printed.
fn profiled(bench: &Bench, arguments: &[&str]) -> (Value, String) {
    let out = bench.out();
    let mut command = bench.command("profile", &["--workload", "ping", "--no-pin", "--out"]);
    let output = command.arg(&out).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let document: Value =
        serde_json::from_slice(&fs::read(out.join("profile.json")).unwrap()).unwrap();
    let profile = document["servers"][0]["workloads"][0].clone();
    // The folded stacks hold all that was counted, and the graph is an image.
    let folded = fs::read_to_string(out.join("right-ping.folded")).unwrap();
    let sum: u64 = folded
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(profile["total"], sum);
    let graph = fs::read_to_string(out.join("right-ping.svg")).unwrap();
    roxmltree::Document::parse_with_options(
        &graph,
        roxmltree::ParsingOptions {
            allow_dtd: true,
            ..Default::default()
        },
    )
    .unwrap();
    let shares = profile["classes"].as_array().unwrap().iter();
    let shares: f64 = shares.map(|class| class["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    (
        profile,
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn share(profile: &Value, class: &str) -> f64 {
    let classes = profile["classes"].as_array().unwrap();
    let found = classes.iter().find(|one| one["class"] == class);
    found.unwrap()["share"].as_f64().unwrap()
}

#[test]
#[ignore = "slow under valgrind: `make test-slow` runs it"]
fn callgrind_counts_instructions_and_allocations_by_place() {
    if !is_installed("valgrind") {
        return;
    }
    let bench = Bench::new().with("right", &[]);
    let (profile, printed) = profiled(&bench, &["--tool", "callgrind", "--requests", "200"]);
    assert_eq!(profile["event"], "instructions");
    assert_eq!(profile["requests"], 200);
    assert_eq!(share(&profile, "kernel"), 0.0);
    // The fixture is code of this workspace and uses no crate to serve.
    assert!(share(&profile, "contract") > 0.3, "{printed}");
    assert!(share(&profile, "allocation") > 0.0, "{printed}");
    let allocated = &profile["allocations"];
    let each = allocated["per_request"].as_f64().unwrap();
    assert!(each >= 1.0, "{printed}");
    let sites = allocated["sites"].as_array().unwrap();
    let shown: f64 = sites
        .iter()
        .map(|site| site["per_request"].as_f64().unwrap())
        .sum();
    assert!(shown > 0.9 * each && shown < each + 1e-6, "{sites:?}");
    let in_fixture = sites.iter().any(|site| {
        site["source"]
            .as_str()
            .unwrap()
            .starts_with("harness/examples/fixture/")
    });
    assert!(in_fixture, "{sites:?}");
    for expected in ["Profile: right, ping", "kind of work", "examples/fixture/"] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

#[test]
#[ignore = "slow under valgrind: `make test-slow` runs it"]
fn perf_samples_the_kernel_too() {
    if !is_installed("perf") {
        return;
    }
    let bench = Bench::new().with("right", &[]);
    let arguments = ["--workload", "ping", "--tool", "perf", "--list"];
    let listed = bench.command("profile", &arguments).output().unwrap();
    if listed.status.code() == Some(2) {
        eprintln!("skipped: {}", String::from_utf8_lossy(&listed.stderr));
        return;
    }
    let (profile, printed) = profiled(
        &bench,
        &["--tool", "perf", "--rate", "2000", "--duration", "2s"],
    );
    assert_eq!(profile["rate"], 2_000.0);
    assert!(profile["total"].as_u64().unwrap() > 10, "{printed}");
    assert!(share(&profile, "kernel") > 0.05, "{printed}");
}

#[test]
fn a_rate_needs_perf() {
    if !is_installed("valgrind") {
        return;
    }
    let bench = Bench::new().with("right", &[]);
    let mut command = bench.command("profile", &["--tool", "callgrind", "--rate", "5"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--rate needs perf"));
}
