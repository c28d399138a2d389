//! `harness drive --fail-if` and `harness compare` of two drives: the real program against real
//! sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::drive::load_server::{Act, PONG, TestServer, response};
use crate::drive::program::{self, harness, pong};
use serde_json::Value;

#[track_caller]
fn said(status: i32, arguments: &[&str]) -> String {
    program::said(status, harness(arguments))
}

/// Drives with those limits, and what else is asked.
#[track_caller]
fn drive(status: i32, addr: SocketAddr, more: &[&str], limits: &[&str]) -> String {
    let url = format!("http://{addr}/");
    let limits = limits.iter().flat_map(|limit| ["--fail-if", limit]);
    let mut arguments = vec!["drive"];
    arguments.extend(more);
    arguments.extend(limits);
    arguments.push(&url);
    said(status, &arguments)
}

/// One answer in a hundred is wrong.
fn mostly_right() -> TestServer {
    TestServer::start(|n, _| {
        let status = if n % 100 == 0 { "500 Oh" } else { "200 OK" };
        vec![Act::Write(response(status, PONG).into())]
    })
}

#[test]
fn a_limit_that_is_kept_passes_and_one_that_is_not_gives_status_3() {
    let server = pong();
    let short = ["-n", "100", "-c", "2"];
    let kept = [
        "p99>60s",
        "rate<1/s",
        "errors>0.1%",
        "requests<100",
        "unanswered>0",
    ];
    let text = drive(0, server.addr, &short, &kept);
    let limits = text.split("\nlimits\n").nth(1).unwrap();
    for (line, limit) in limits.lines().zip(kept) {
        assert!(
            line.trim_start().starts_with(limit) && line.ends_with("  pass"),
            "{line}"
        );
    }
    assert_eq!(limits.lines().count(), kept.len());
    let text = drive(
        3,
        server.addr,
        &short,
        &["p99>60s", "p50>1ns", "requests<=100"],
    );
    let verdicts: Vec<bool> = text
        .split("\nlimits\n")
        .nth(1)
        .unwrap()
        .lines()
        .map(|line| line.ends_with("  pass"))
        .collect();
    assert_eq!(verdicts, [true, false, false], "{text}");
}

#[test]
fn json_has_each_limit_with_its_figure() {
    let server = pong();
    let short = ["-n", "50", "-c", "2", "--json"];
    let text = drive(3, server.addr, &short, &["p99>60s", "max < 60s"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    let limits = json["fail_if"].as_array().unwrap();
    assert_eq!(limits.len(), 2);
    assert_eq!(limits[0]["limit"], "p99>60s");
    assert_eq!(
        limits[0]["value"].as_f64(),
        json["latency_ns"]["p99"].as_f64()
    );
    assert_eq!(
        (
            &limits[0]["limit_value"],
            &limits[0]["unit"],
            &limits[0]["passed"]
        ),
        (&6e10.into(), &"ns".into(), &true.into())
    );
    assert_eq!(
        (&limits[1]["operator"], &limits[1]["passed"]),
        (&"<".into(), &false.into())
    );
    let none: Value = serde_json::from_str(&drive(0, server.addr, &short, &[])).unwrap();
    assert_eq!(none["fail_if"], serde_json::json!([]));
}

#[test]
fn a_limit_on_errors_takes_the_place_of_status_1() {
    let short = ["-n", "1000", "-c", "4"];
    drive(1, mostly_right().addr, &short, &[]);
    drive(1, mostly_right().addr, &short, &["p99>60s"]);
    drive(1, mostly_right().addr, &short, &["errors.timeout>5"]);
    let text = drive(0, mostly_right().addr, &short, &["errors>1%"]);
    assert!(text.contains("errors>1%  1.00 %  pass"), "{text}");
    drive(0, mostly_right().addr, &short, &["errors>10"]);
    drive(0, mostly_right().addr, &short, &["errors.status>10"]);
    drive(3, mostly_right().addr, &short, &["errors>9"]);
    drive(3, mostly_right().addr, &short, &["errors>0.9%"]);
    // Whatever else it exits with.
    drive(3, mostly_right().addr, &short, &["p50>1ns"]);
}

#[test]
fn without_a_right_answer_no_limit_passes_unseen() {
    let server = TestServer::says(&response("500 Oh", PONG));
    let short = ["-n", "10", "-c", "2"];
    let text = drive(3, server.addr, &short, &["p99>60s"]);
    assert!(
        text.contains("p99>60s  -  FAIL, unknown: no request ended"),
        "{text}"
    );
    drive(1, server.addr, &short, &["errors>10"]);
    drive(3, server.addr, &short, &["errors>99%"]);
}

#[test]
fn what_could_still_rise_does_not_pass() {
    let stuck = || {
        TestServer::start(|n, _| match n {
            ..=400 => vec![Act::Write(response("200 OK", PONG).into())],
            _ => vec![Act::Hang],
        })
    };
    let flags = ["-c", "4", "-d", "1500ms", "--timeout", "60s"];
    let text = drive(
        3,
        stuck().addr,
        &flags,
        &["max>50s", "p50>50s", "unanswered>4"],
    );
    let limits: Vec<&str> = text.split("\nlimits\n").nth(1).unwrap().lines().collect();
    assert!(
        limits[0].contains("≥ ") && limits[0].contains("FAIL, unknown: requests"),
        "{text}"
    );
    // Four more could not move it.
    assert!(limits[1].ends_with("pass"), "{text}");
    assert!(limits[2].ends_with("pass"), "{text}");
    // A limit on them takes the place of the rule about silent connections.
    drive(0, stuck().addr, &flags, &["silent>4"]);
    drive(1, stuck().addr, &flags, &["p50>50s"]);
    // What is certain already says no more.
    let text = drive(3, stuck().addr, &flags, &["max>1ms"]);
    assert!(text.trim_end().ends_with("FAIL"), "{text}");
}

#[test]
fn what_is_no_limit_is_refused_before_anything_is_sent() {
    let server = pong();
    for (limit, words) in [
        (
            "p98>5ms",
            &["no figure \"p98\"", "did you mean", "first_byte.p50"][..],
        ),
        ("p99", &["quote it for the shell"]),
        ("p99>250", &["a time with its unit"]),
        ("errors>0.1", &["0.1%"]),
        (
            "send_lag.p99>1ms",
            &["--rate, --stages, --pattern, --replay or --think"],
        ),
    ] {
        let text = drive(2, server.addr, &["-n", "1"], &[limit]);
        for word in words {
            assert!(text.contains(word), "{limit}: {word:?} is not in {text}");
        }
    }
    assert_eq!(server.seen(), 0);
    let paced = ["-r", "200", "-d", "200ms", "-c", "2"];
    drive(0, server.addr, &paced, &["send_lag.p50<0ns"]);
}

/// A folder with drives.
struct Drives(tempfile::TempDir);

impl Drives {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Drives, and keeps what it printed.
    fn drive(&self, name: &str, addr: SocketAddr, more: &[&str]) -> String {
        let text = drive(0, addr, &[more, &["--json"]].concat(), &[]);
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn two_drives_are_set_beside_each_other_without_a_verdict() {
    let (server, drives) = (pong(), Drives::new());
    let short = ["-n", "200", "-c", "2"];
    let base = drives.drive("old.json", server.addr, &short);
    let new = drives.drive("new.json", server.addr, &short);
    let text = said(0, &["compare", &base, &new]);
    for words in [
        "| rate",
        "| errors",
        "| p99.9",
        "| mean",
        "| first_byte.p99",
        "there is no interval",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(!text.contains("Warning"), "{text}");
    assert!(
        !text.contains("send_lag") && !text.contains("| unanswered"),
        "{text}"
    );
    let json: Value =
        serde_json::from_str(&said(0, &["compare", &base, &new, "--format", "json"])).unwrap();
    let read =
        |path: &str| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let figures = json["figures"].as_array().unwrap();
    let p99 = figures
        .iter()
        .find(|figure| figure["figure"] == "p99")
        .unwrap();
    let (a, b) = (
        &read(&base)["latency_ns"]["p99"],
        &read(&new)["latency_ns"]["p99"],
    );
    assert_eq!(
        (p99["base"].as_f64(), p99["new"].as_f64()),
        (a.as_f64(), b.as_f64())
    );
    let ratio = b.as_f64().unwrap() / a.as_f64().unwrap();
    assert!((p99["ratio"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9);
    assert_eq!(json["different"], serde_json::json!([]));
    // Narrowed, and written to a file.
    let text = said(0, &["compare", &base, &new, "--figure", "p75,unsent"]);
    assert!(
        text.contains("| p75") && text.contains("| unsent") && !text.contains("| p99"),
        "{text}"
    );
    let out = drives.path("out.md");
    let out = out.to_str().unwrap();
    said(
        0,
        &["compare", &base, &new, "--format", "markdown", "--out", out],
    );
    assert!(std::fs::read_to_string(out).unwrap().contains("| p99.9"));
    assert!(said(2, &["compare", &base, &new, "--out", &new]).contains("name another file"));
}

#[test]
fn drives_of_other_loads_are_compared_with_a_warning() {
    let (server, drives) = (pong(), Drives::new());
    let base = drives.drive("old.json", server.addr, &["-n", "50", "-c", "2"]);
    let new = drives.drive(
        "new.json",
        server.addr,
        &["-d", "100ms", "-c", "3", "-r", "300"],
    );
    let text = said(0, &["compare", &base, &new]);
    let warning = text.split("Warning: ").nth(1).unwrap();
    let warning = warning.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "connections (2 and 3)",
        "loop (closed and open)",
        "target rate (none and 300.0)",
        "request limit (50 and none)",
        "duration in ns (",
    ] {
        assert!(warning.contains(words), "{words:?} is not in {text}");
    }
    assert!(!warning.contains("url ("), "{text}");
}

#[test]
fn what_can_not_be_compared_is_refused() {
    let (server, drives) = (pong(), Drives::new());
    let base = drives.drive("old.json", server.addr, &["-n", "50", "-c", "2"]);
    let other = drives.drive("other.json", server.addr, &["-n", "50", "-c", "2"]);
    let over_epoll = std::fs::read_to_string(&other).unwrap();
    let over_io_uring = over_epoll.replace(r#""epoll""#, r#""io_uring""#);
    assert_ne!(over_epoll, over_io_uring);
    std::fs::write(&other, over_io_uring).unwrap();
    // As JSON, since an old database is brought up to date where it is read.
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version-1/record.json");
    let run = run.to_str().unwrap();
    for (arguments, words) in [
        (vec![base.as_str(), run], "compare two drives or two runs"),
        (vec![run, &base], "compare two drives or two runs"),
        (vec![&base, "no-such-run"], "no run at no-such-run"),
        (vec![&base, &other], "figures from different I/O backends"),
        (
            vec![&base, &base, "--fail-on", "regressed"],
            "--fail-on needs intervals",
        ),
        (
            vec![&base, &base, "--server", "axum"],
            "--server only applies to runs",
        ),
        (vec![&base, &base, "--figure", "p98"], "no figure \"p98\""),
    ] {
        let text = said(2, &[&["compare"], &arguments[..]].concat());
        assert!(
            text.contains(words),
            "{arguments:?}: {words:?} is not in {text}"
        );
    }
}
