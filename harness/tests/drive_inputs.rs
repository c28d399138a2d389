//! `harness drive`: where its requests come from and go to, and its time series. The real program
//! against real sockets.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod load_server;

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use load_server::{Act, PONG, Server, response};
use serde_json::Value;

fn command(arguments: &[&str], addr: SocketAddr, path: &str) -> Command {
    let url = format!("http://{addr}{path}");
    harness(&[arguments, &[url.as_str()]].concat())
}

fn harness(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("drive").args(arguments).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// Runs it with `--json`, checks the status and gives what it printed.
#[track_caller]
fn json(status: i32, mut command: Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn measured(status: i32, arguments: &[&str], addr: SocketAddr, path: &str) -> Value {
    json(status, command(arguments, addr, path))
}

fn pong() -> Server {
    Server::says(&response("200 OK", PONG))
}

/// The lines of a time series, each as JSON.
fn series(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_time_series_holds_every_request_once() {
    let server = pong();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("series.jsonl");
    let path = path.to_str().unwrap();
    let more = ["-d", "350ms", "-c", "2", "--timeseries", path, "--interval", "100ms"];
    let json = measured(0, &more, server.addr, "/");
    let lines = series(&std::fs::read_to_string(path).unwrap());
    let number = |line: &Value, name: &str| line[name].as_f64().unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert_eq!(lines.len(), 4);
    for (at, line) in lines.iter().enumerate() {
        assert!(close(number(line, "start"), at as f64 * 0.1));
        assert!(close(number(line, "seconds"), if at == 3 { 0.05 } else { 0.1 }));
        let rate = number(line, "requests") / number(line, "seconds");
        assert!((number(line, "rate") / rate - 1.0).abs() < 1e-9);
        let since = line["start_unix_ns"].as_i64().unwrap() - json["start_unix_ns"].as_i64().unwrap();
        assert_eq!(since, at as i64 * 100_000_000);
        assert!(line["latency_ns"]["p99"].as_u64() >= line["latency_ns"]["p50"].as_u64());
        assert_eq!(line["errors"], 0);
    }
    let requests: u64 = lines.iter().map(|line| line["requests"].as_u64().unwrap()).sum();
    assert_eq!(json["requests"], requests);
}

#[test]
fn the_time_series_shows_when_errors_came_and_answers_ceased() {
    let server = Server::start(|n, _| match n {
        ..=50 => vec![Act::Write(response("200 OK", PONG).into())],
        51 => vec![Act::Write(response("500 Oh", PONG).into())],
        _ => vec![Act::Hang],
    });
    let flags = ["-d", "400ms", "-c", "1", "--timeseries", "-", "--interval", "200ms"];
    let output = command(&flags, server.addr, "/").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let lines = series(&String::from_utf8(output.stdout).unwrap());
    let count = |name: &str| lines.iter().map(|line| line[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((lines.len(), count("requests"), count("errors")), (2, 50, 1));
    assert_eq!(lines[1]["latency_ns"], Value::Null);
    // Standard output is theirs alone.
    let summary = String::from_utf8(output.stderr).unwrap();
    assert!(summary.contains("50 right"), "{summary}");
}

#[test]
fn an_interval_is_a_second_and_needs_something_that_shows_it() {
    let server = pong();
    let flags = ["-n", "20", "--timeseries", "-"];
    let output = command(&flags, server.addr, "/").output().unwrap();
    let lines = series(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((lines.len(), &lines[0]["requests"]), (1, &20.into()));
    for (flags, word) in [
        (&["--interval", "1s"][..], "--timeseries or --hlog"),
        (&["--timeseries", "-", "--json"], "both want standard output"),
        (&["--timeseries", "no/such/folder/x"], "no/such/folder/x"),
        (&["--timeseries", "-", "-d", "60s", "--interval", "1ms"], "more than 10,000"),
    ] {
        let before = server.seen();
        let output = command(flags, server.addr, "/").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", text(&output));
        assert!(text(&output).contains(word), "{flags:?}: {}", text(&output));
        assert_eq!(server.seen(), before);
    }
}
