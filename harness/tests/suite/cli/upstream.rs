//! `harness upstream` over fixtures that add a known delay, and that keep no connections.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::cli::support::{Bench, fixture};

/// Flags of one that is over in seconds.
const SHORT: &str = "--rounds 1 --duration 500ms --warmup 100ms --rate 200 --connections 8 --workers 1 \
                     --delay constant:5ms";

/// A figure of a server.
fn figure(json: &Value, server: &str, id: &str) -> f64 {
    assert!(record::figure::upstream(id).is_some(), "{id}");
    let mut rows = json["servers"].as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == server);
    let value = &row.unwrap_or_else(|| panic!("no {server} in {json:#}"))["figures"][id]["median"];
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no {id} in {json:#}"))
}

#[test]
fn an_added_delay_and_connections_that_are_not_kept_are_found() {
    let connects = ["--upstream-extra-ms", "20", "--fault", "upstream-connects"];
    let bench = Bench::new().with("keeps", &[]).with("wrong", &connects);
    let mut command = bench.command("upstream", &SHORT.split_whitespace().collect::<Vec<_>>());
    let output = command.arg("--out").arg(bench.out()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(bench.out().join("upstream.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();

    // Both delays are lower bounds, however busy the machine is.
    for server in ["keeps", "wrong"] {
        let alone = figure(&json, server, "direct_p50_us");
        assert!(alone >= 4_990.0, "{alone}");
        let through = figure(&json, server, "latency_p50_us");
        let added = figure(&json, server, "added_p50_us");
        assert!(
            (added - (through - alone)).abs() < 1.0,
            "{through} {alone} {added}"
        );
    }
    assert!(figure(&json, "wrong", "latency_p50_us") >= 24_990.0);
    let more = figure(&json, "wrong", "added_p50_us") - figure(&json, "keeps", "added_p50_us");
    assert!((10_000.0..100_000.0).contains(&more), "{more}");

    // A connection for each request, or no more than there are requests at a time.
    let connections = |server| figure(&json, server, "upstream_connections");
    let requests = |server| figure(&json, server, "upstream_requests");
    assert!(requests("keeps") > 50.0, "{json:#}");
    assert!((1.0..=8.0).contains(&connections("keeps")), "{json:#}");
    assert_eq!(connections("wrong"), requests("wrong"));
    let page = fs::read_to_string(bench.out().join("upstream.md")).unwrap();
    assert!(page.contains("wrong keeps no connections"), "{page}");
    assert!(!page.contains("keeps keeps no"), "{page}");
    let stored = bench
        .command("upstream", &["--from"])
        .arg(bench.out())
        .output();
    assert_eq!(stored.unwrap().stdout, output.stdout);
    a_round_more_is_measured(&bench, json);
}

/// Resumes it as if it had been one of two rounds.
fn a_round_more_is_measured(bench: &Bench, mut json: Value) {
    json["rounds"] = 2.into();
    let words = json["command"].as_array_mut().unwrap();
    let flag = words.iter().position(|word| *word == "--rounds").unwrap();
    words[flag + 1] = "2".into();
    let file = bench.out().join("upstream.json");
    fs::write(&file, json.to_string()).unwrap();
    let resume = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.args(["upstream", "--resume"]).arg(bench.out());
        command.output().unwrap()
    };
    let output = resume();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let after: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for (row, before) in [0, 1].map(|at| (&after["servers"][at], &json["servers"][at])) {
        assert_eq!(row["rounds"][0], before["rounds"][0]);
        assert_eq!(row["rounds"][1]["round"], 2, "{row:#}");
        assert_eq!(row["rounds"].as_array().map(Vec::len), Some(2));
    }
    let output = resume();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("is complete"), "{told}");
}

#[test]
fn what_would_be_measured_and_what_can_not_is_said() {
    let command = [&fixture().display().to_string(), "--addr", "{addr}"];
    let lines = format!("run = {command:?}\nlacks = [\"upstream\"]");
    let bench = Bench::new().with("right", &[]);
    let lacking = Bench::new().with_manifest("lacking", &lines);
    for (bench, flags, status, words) in [
        (
            &bench,
            "--list --rounds 2 --delay two-humped:2ms:40ms",
            0,
            "would measure right with a dependency of two-humped:2ms:40ms in 2 rounds of about",
        ),
        (&bench, "--delay 5ms", 2, "expected constant:TIME"),
        (&bench, "--delay stall:10ms:50ms", 2, "no p50"),
        (&lacking, "--list", 2, "lacking lacks the route upstream"),
    ] {
        let flags: Vec<&str> = flags.split(' ').collect();
        let output = bench.command("upstream", &flags).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}
