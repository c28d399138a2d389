//! What a run enters beside its servers: the control, twins, other builds; and how long it goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;

use crate::cli::support::{Bench, Run, fixture};

/// How many trials each entry has; fails unless all of them and the run succeeded.
fn trials(run: &Run) -> BTreeMap<String, usize> {
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    recorded(run)
}

/// The same of a run whose trials may all be invalid, as on an overloaded machine.
fn recorded(run: &Run) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for trial in run.record["trials"].as_array().unwrap() {
        assert!(trial["failure"].is_null(), "{trial}");
        *counts
            .entry(trial["server"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    counts
}

fn counts<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected
        .map(|(name, count)| (name.to_owned(), count))
        .into()
}

#[test]
fn the_control_is_entered_twice_in_every_round() {
    let run = Bench::new().with("right", &[]).bench_with_control(&[
        "--workload",
        "mixed",
        "--rounds",
        "1",
    ]);
    // Two workloads, for mixed comes to ping, and two stages.
    assert_eq!(
        trials(&run),
        counts([("right", 4), ("control", 4), ("control~2", 4)])
    );
    assert_eq!(run.record["run"]["stopped_by"], "rounds");
    let rows = run.record["summary"].as_array().unwrap();
    for row in rows.iter().filter(|row| row["server"] == "control") {
        assert!(row["rank"].is_null(), "the control is not ranked: {row}");
    }
    // Answers with an id are replayed, so its order ids are none of a server's.
    for trial in run.record["trials"].as_array().unwrap() {
        let kept = trial["figures"].get("orders_growth").is_some();
        let server = trial["server"] == "right" && trial["workload"] == "mixed";
        assert_eq!(kept, server, "{trial}");
    }
}

#[test]
fn a_twin_is_a_second_entry_of_a_server() {
    let run = Bench::new()
        .with("right", &[])
        .bench(&["--twin", "right", "--stage", "peak"]);
    assert_eq!(trials(&run), counts([("right", 1), ("right~2", 1)]));
    assert!(run.stdout.contains("right~2"), "{}", run.stdout);
}

#[test]
fn another_build_is_checked_and_named_by_its_hash() {
    let bench = Bench::new().with("right", &[]);
    let other = bench.dir.path().join("other-build");
    fs::copy(fixture(), &other).unwrap();
    // Bytes after the end of an ELF file change its hash and nothing it does.
    let mut file = fs::OpenOptions::new().append(true).open(&other).unwrap();
    file.write_all(b"another build").unwrap();
    drop(file);
    let flag = format!("right={}", other.display());
    let run = bench.bench(&["--binary", &flag, "--stage", "peak"]);
    assert_eq!(trials(&run).len(), 2);
    let servers = run.record["servers"].as_array().unwrap();
    let build = servers
        .iter()
        .find(|s| s["name"].as_str().unwrap().starts_with("right@"))
        .unwrap_or_else(|| panic!("{servers:?}"));
    let sha256 = build["build"]["sha256"].as_str().unwrap();
    assert_eq!(build["name"], format!("right@{}", &sha256[..7]));
    assert_eq!(build["check"]["passed"], build["check"]["total"]);
}

#[test]
fn a_binary_that_makes_no_sense_is_a_wrong_flag() {
    let bench = Bench::new().with("right", &[]);
    let same = format!("right={}", fixture().display());
    for (flags, words) in [
        (vec!["--binary", "right"], "NAME=PATH"),
        (vec!["--binary", "wrong=/dev/null"], "no server \"wrong\""),
        (vec!["--binary", "right=./no-such-file"], "no-such-file"),
        (
            vec!["--binary", &same, "--binary", &same],
            "--twin right to enter a server twice",
        ),
        (vec!["--twin", "wrong"], "no server to enter twice"),
        (vec!["--precision", "200%"], "below 100 %"),
        (vec!["--precision", "2%"], "no ratio"),
    ] {
        let run = bench.bench(&flags);
        assert_eq!(run.status, Some(2), "{flags:?}: {}", run.stderr);
        assert!(run.stderr.contains(words), "{flags:?}: {}", run.stderr);
        assert!(!bench.out().exists(), "{flags:?} left a folder");
    }
}

#[test]
fn a_precision_that_is_reached_ends_the_rounds() {
    let bench = Bench::new().with("one", &[]).with("two", &[]);
    // Anything is known to ±95 % after a few rounds, unless the machine hardly runs it.
    let flags = ["--precision", "95%", "--rounds", "20", "--stage", "peak"];
    let run = bench.bench(&flags);
    let words = "are valid; at least half must be";
    assert!(
        run.status == Some(0) || run.stdout.contains(words),
        "{}",
        run.stdout
    );
    let rounds = recorded(&run)["one"];
    let settings = &run.record["run"];
    assert_eq!(settings["precision_ratio"], 0.95);
    match settings["stopped_by"].as_str() {
        Some("precision") => assert!((6..=20).contains(&rounds), "{rounds}"),
        other => assert_eq!((other, rounds), (Some("rounds"), 20), "{settings}"),
    }
}

#[test]
fn a_budget_ends_the_rounds() {
    let bench = Bench::new().with("right", &[]);
    let run = bench.bench(&["--budget", "3s", "--stage", "peak", "--rounds", "9999"]);
    let settings = &run.record["run"];
    assert_eq!(settings["stopped_by"], "budget", "{settings}");
    assert_eq!(settings["budget_ms"], 3_000);
    assert!((1..100).contains(&trials(&run)["right"]));
    assert!(run.stderr.contains("fit"), "{}", run.stderr);
}
