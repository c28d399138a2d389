//! Mutated requests against the fixture, right and with a fault.

use serde_json::Value;

use crate::cli::support::Bench;

fn fuzz(fault: &[&str], arguments: &[&str]) -> (Option<i32>, Value) {
    let bench = Bench::new().with("one", fault);
    let output = bench
        .command("fuzz", &["--json", "--seed", "3"])
        .args(arguments)
        .output()
        .unwrap();
    let rows = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), rows)
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_right_server_stands_it() {
    let (status, rows) = fuzz(&[], &["--requests", "1200"]);
    let fuzz = &rows[0]["fuzz"];
    assert_eq!(status, Some(0), "{rows}");
    assert_eq!(fuzz["requests"], 1200);
    assert!(fuzz["statuses"]["200"].as_u64().unwrap() > 50, "{fuzz}");
    assert!(fuzz["statuses"]["400"].as_u64().unwrap() > 50, "{fuzz}");
    assert!(fuzz["ended"].as_u64().unwrap() > 50, "{fuzz}");
    assert!(fuzz["rss_before_bytes"].as_u64() > Some(0), "{fuzz}");
    assert_eq!(fuzz["afterwards"]["failures"], Value::Array(Vec::new()));
    assert_eq!(fuzz["deaths"], Value::Array(Vec::new()));
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_planted_crash_is_found_cut_down_and_done_again() {
    let fault = ["--fault", "dies-on-bad-head"];
    let (status, rows) = fuzz(&fault, &["--requests", "40", "--connections", "2"]);
    assert_eq!(status, Some(1), "{rows}");
    let death = &rows[0]["fuzz"]["deaths"][0];
    assert_eq!(death["how"], "the process ended with status 3", "{rows}");
    assert!(
        death["log_tail"].as_str().unwrap().contains("bad head"),
        "{death}"
    );
    // All that the fixture needs to be angry is a head without a colon or a version.
    let request = death["request"].as_str().unwrap();
    assert!(
        request.ends_with(r"\r\n\r\n") && request.len() < 20,
        "{request}"
    );
    let index = death["index"].to_string();
    let (status, rows) = fuzz(&fault, &["--replay", &index]);
    assert_eq!(status, Some(1), "{rows}");
    assert_eq!(rows[0]["harm"], "the process ended with status 3");
    let (status, rows) = fuzz(&[], &["--replay", &index]);
    assert_eq!(status, Some(0), "{rows}");
    assert_eq!(rows[0]["harm"], Value::Null);
}

#[test]
fn a_request_is_shown_without_a_server() {
    let bench = Bench::new();
    let shown = || {
        let mut command = bench.command("fuzz", &["--seed", "3", "--replay", "5", "--list"]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(!shown().trim().is_empty());
    assert_eq!(shown(), shown());
}
