//! `harness fairness` over fixtures whose properties are known.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::cli::support::Bench;

/// Runs it; returns what it printed and `fairness.json`.
fn fairness(bench: &Bench) -> (Output, Value) {
    let mut command = bench.command("fairness", &[]);
    let output = command.arg("--out").arg(bench.out()).output().unwrap();
    let text = fs::read_to_string(bench.out().join("fairness.json"));
    let text = text.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, serde_json::from_str(&text).unwrap())
}

fn server<'j>(json: &'j Value, name: &str) -> &'j Value {
    let mut all = json["servers"].as_array().unwrap().iter();
    all.find(|server| server["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {json}"))
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn the_properties_of_a_known_server_are_seen() {
    let bench = Bench::new()
        .with("loops", &["--event-loop"])
        .with("closes", &["--event-loop", "--fault", "closes-some"])
        .with("shares", &["--event-loop", "--fault", "shares-port"]);
    let (output, json) = fairness(&bench);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let loops = server(&json, "loops");
    let seen = &loops["properties"];
    for (id, due) in [
        ("busy_threads_1", Value::from(1.0)),
        ("busy_threads_2", Value::from(2.0)),
        ("allocator", "the C library's".into()),
        ("keepalive_requests", 1_000.0.into()),
        ("keepalive_idle_s", 10.0.into()),
        ("body_limit_bytes", 16_384.0.into()),
        ("body_limit_answer", "413".into()),
        ("headers_limit", 1_000.0.into()),
        ("date_lag_s", 0.0.into()),
    ] {
        let near = |seen: &Value| match (seen.as_f64(), due.as_f64()) {
            (Some(seen), Some(due)) => (seen - due).abs() < 0.1,
            _ => *seen == due,
        };
        assert!(near(&seen[id]), "{id}: {} is not {due}: {loops}", seen[id]);
    }
    // A close with unread data is a reset.
    let answer = seen["head_limit_answer"].as_str();
    assert!(matches!(answer, Some("closed" | "reset")), "{loops}");
    let head = seen["head_limit_bytes"].as_f64().unwrap();
    assert!((65_536.0..82_000.0).contains(&head), "{loops}");
    assert!(loops["absent"]["parser"].is_string(), "{loops}");
    // Where the system lets us see a socket of another process.
    if loops["absent"].get("nodelay").is_none() {
        assert_eq!(
            (&seen["nodelay"], &seen["reuse_port"]),
            (&true.into(), &false.into())
        );
        assert_eq!(seen["listeners"], 1.0);
        let shares = &server(&json, "shares")["properties"];
        assert_eq!(shares["reuse_port"], true);
        if let Some(backlog) = shares["backlog"].as_f64() {
            assert_eq!(backlog, 128.0, "it asks for so many");
        }
    }
    let closes = &server(&json, "closes")["properties"]["keepalive_requests"];
    assert!(closes.as_f64().unwrap() <= 50.0, "{closes}");
    let printed = String::from_utf8_lossy(&output.stdout);
    for words in ["busy threads, 2 workers", "requests per connection: "] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    // Shown again, without starting anything.
    let again = Bench::new()
        .command("fairness", &["--from"])
        .arg(bench.out())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), printed);
}

#[test]
fn other_threads_than_workers_are_an_error() {
    let bench = Bench::new().with("threads", &[]);
    let (output, json) = fairness(&bench);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let busy = &server(&json, "threads")["properties"]["busy_threads_2"];
    assert!(
        busy.as_f64().unwrap() > 2.0,
        "a thread per connection: {busy}"
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("threads serve with --workers 2"),
        "{printed}"
    );
}

#[test]
fn a_part_of_the_servers_is_not_written_to_the_documents() {
    let output = Bench::new()
        .with("right", &[])
        .command("fairness", &["--write"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
