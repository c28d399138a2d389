//! `bench --target`: a service that already runs is measured as asked, and left alone.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::cli::support::{Run, fixture};

/// A fixture that the test started, as a user would start a service.
struct Service {
    child: Child,
    addr: String,
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(fixture())
            .args(["--addr", "127.0.0.1:0", "--event-loop"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut addr = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut addr).unwrap();
        let addr = addr.trim().to_owned();
        Self { child, addr }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn harness(arguments: &[&str], out: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    let short = [
        "bench",
        "--profile",
        "smoke",
        "--rounds",
        "2",
        "--warmup",
        "20ms",
    ];
    command.args(short).args(arguments).arg("--out").arg(out);
    Run::of(command.stdin(Stdio::null()).output().unwrap(), out)
}

fn bench(arguments: &[&str]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    harness(arguments, &dir.path().join("run"))
}

fn trials(run: &Run) -> &Vec<Value> {
    let trials = run.record["trials"].as_array();
    trials.unwrap_or_else(|| panic!("no trials\n{}\n{}", run.stdout, run.stderr))
}

#[track_caller]
fn refused(status: i32, arguments: &[&str], words: &str) {
    let run = bench(arguments);
    assert_eq!(run.status, Some(status), "{}", run.stderr);
    assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    assert_eq!(run.record, Value::Null);
}

const PING: [&str; 8] = [
    "--workload",
    "ping",
    "--rate",
    "400",
    "--connections",
    "4",
    "--duration",
    "300ms",
];

#[test]
fn a_target_gets_the_rate_and_nothing_else_and_still_runs_afterwards() {
    let mut service = Service::start(&[]);
    let named = format!("mine={}", service.url());
    let run = bench(&[&["--target", &named, "--pid", &service.pid()][..], &PING].concat());
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    let server = &run.record["servers"][0];
    assert_eq!(
        (&server["class"], &server["build"], &server["check"]),
        (&"target".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(run.record["run"]["rates_per_s"]["ping"], 400.0);
    assert_eq!(trials(&run).len(), 2);
    for trial in trials(&run) {
        assert_eq!(
            (&trial["stage"], &trial["failure"]),
            (&"paced".into(), &Value::Null)
        );
        let figure = |name: &str| trial["figures"][name].as_f64();
        // 320 ms at 400/s.
        let sent = figure("requests_sent").unwrap();
        assert!((100.0..=150.0).contains(&sent), "{sent}");
        for read in [
            "cpu_us_per_request",
            "rss_peak_bytes",
            "threads",
            "latency_p99_us",
        ] {
            assert!(figure(read).is_some(), "{read}: {trial}");
        }
        for unread in [
            "start_ms",
            "first_request_us",
            "rss_idle_bytes",
            "server_busy_ratio",
            "other_cpu_ratio",
        ] {
            assert_eq!(figure(unread), None, "{unread}");
        }
    }
    let said = format!("Target mine: {}/, which already ran", service.url());
    assert!(
        run.record["environment"]["findings"]
            .to_string()
            .contains("which already ran")
    );
    assert!(run.stderr.contains(&said[7..]), "{}", run.stderr);
    assert_eq!(service.child.try_wait().unwrap(), None);
}

#[test]
fn without_a_process_its_figures_are_absent_with_the_reason() {
    let service = Service::start(&[]);
    let run = bench(&[&["--target", &service.url()][..], &PING].concat());
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    for trial in trials(&run) {
        let figures = trial["figures"].as_object().unwrap();
        let of_process = |name: &&String| {
            name.starts_with("rss") || name.contains("cpu_us") && !name.contains("driver")
        };
        assert_eq!(figures.keys().find(of_process), None);
        assert!(figures.contains_key("latency_p50_us"));
    }
    assert!(
        run.stderr.contains("as there was no --pid"),
        "{}",
        run.stderr
    );
    // A process that listens elsewhere is no good.
    let other = Service::start(&[]);
    let own = other.pid();
    let run = bench(&[&["--target", &service.url(), "--pid", &own][..], &PING].concat());
    assert!(
        run.stderr.contains("does not listen on port"),
        "{}",
        run.stderr
    );
}

#[test]
fn the_url_itself_is_loaded_at_peak_if_no_workload_is_named() {
    let service = Service::start(&[]);
    let url = format!("{}/api/v1/users?limit=3", service.url());
    let run = bench(&[
        "--target",
        &url,
        "--connections",
        "2",
        "--duration",
        "100ms",
    ]);
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(
        (&trials(&run)[0]["stage"], &trials(&run)[0]["workload"]),
        (&"peak".into(), &"url".into())
    );
    let missing = format!("{}/none", service.url());
    let run = bench(&[
        "--target",
        &missing,
        "--connections",
        "2",
        "--duration",
        "100ms",
    ]);
    let failure = trials(&run)[0]["failure"]["reason"].as_str().unwrap();
    assert!(
        failure.contains("GET /none returned status 404"),
        "{failure}"
    );
    assert_eq!(run.status, Some(1));
}

#[test]
fn several_targets_take_turns() {
    let (one, two) = (Service::start(&[]), Service::start(&[]));
    let (old, new) = (format!("old={}", one.url()), format!("new={}", two.url()));
    let pids = (format!("old={}", one.pid()), format!("new={}", two.pid()));
    let targets = [
        "--target", &old, "--target", &new, "--pid", &pids.0, "--pid", &pids.1,
    ];
    let run = bench(&[&targets[..], &PING].concat());
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(trials(&run).len(), 4);
    for trial in trials(&run) {
        assert!(trial["figures"]["slices"].as_f64() > Some(1.0), "{trial}");
        assert_eq!(trial["figures"]["paused"], 0.0);
        assert!(trial["figures"]["cpu_us_per_request"].is_number());
    }
}

#[test]
fn no_load_is_sent_that_was_not_asked_for() {
    let service = Service::start(&[]);
    let url = service.url();
    for more in [
        &[][..],
        &["--connections", "4"],
        &["--duration", "1s"],
        &["--stage", "peak", "--rate", "9"],
    ] {
        refused(
            2,
            &[&["--target", &url], more].concat(),
            "say how much load",
        );
    }
    let rated = [
        "--target",
        &url,
        "--workload",
        "ping,users",
        "--rate",
        "ping=9",
    ];
    refused(2, &rated, "the paced stage of users has no rate");
    refused(2, &["--check", "ping"], "--target");
    refused(2, &["--pid", "1"], "--target");
    for flag in [
        ["--server", "x"],
        ["--port", "1"],
        ["--resume", "x"],
        ["--against", "x"],
    ] {
        refused(
            2,
            &[&["--target", &url, "--rate", "9"], &flag[..]].concat(),
            "cannot be used with",
        );
    }
}

#[test]
fn a_target_that_is_not_there_is_named_with_the_cause() {
    let gone = {
        let service = Service::start(&[]);
        service.url()
    };
    let rate = ["--rate", "9", "--target"];
    refused(
        1,
        &[&rate[..], &[&gone]].concat(),
        "start the service, or correct the port",
    );
    refused(
        2,
        &[&rate[..], &["https://127.0.0.1:1/"]].concat(),
        "load the port behind the TLS proxy",
    );
    refused(
        1,
        &[&rate[..], &["http://no-such-host.invalid/"]].concat(),
        "cannot resolve no-such-host.invalid",
    );
}

#[test]
fn a_target_is_checked_as_asked() {
    let service = Service::start(&[]);
    {
        let run = bench(
            &[
                &[
                    "--target",
                    &service.url(),
                    "--check",
                    "contract",
                    "--first-byte-limit",
                    "1s",
                ][..],
                &PING,
            ]
            .concat(),
        );
        assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
        let check = &run.record["servers"][0]["check"];
        assert_eq!(check["passed"], check["total"]);
        assert!(check["total"].as_u64() > Some(40), "{check}");
    }
    let run = bench(&[&["--target", &service.url(), "--check", "ping"][..], &PING].concat());
    assert_eq!(run.record["servers"][0]["check"]["total"], 1);
}

#[test]
fn a_target_that_fails_its_check_is_not_measured() {
    let service = Service::start(&["--fault", "wrong-body"]);
    let name = format!("mine={}", service.url());
    let run = bench(&[&["--target", &name, "--check", "ping"][..], &PING].concat());
    assert_eq!(run.status, Some(1), "{}\n{}", run.stdout, run.stderr);
    assert!(trials(&run).is_empty());
    run.assert_failed("mine", "GET /ping");
}
