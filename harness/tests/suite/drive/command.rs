//! `harness drive`: the real program against real sockets.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::drive::load_server::{Act, PONG, TestServer, nobody, response};
use crate::drive::program::{command, measured, pong, text};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use loadgen::EngineKind;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{SeccompAction, SeccompFilter};
use serde_json::Value;

#[test]
fn a_reader_that_went_away_is_no_fault() {
    let server = pong();
    for json in [&["-n", "1"][..], &["-n", "1", "--json"]] {
        let mut command = command(json, server.addr, "/");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(text(&output), "");
    }
}

#[test]
fn a_number_of_requests_is_sent_exactly() {
    let server = pong();
    let json = measured(
        0,
        &["-n", "1001", "-c", "8", "-t", "3"],
        server.addr,
        "/ping",
    );
    assert_eq!(server.seen(), 1001);
    assert_eq!(json["requests"], 1001);
    assert_eq!(
        (&json["connections"], &json["threads"]),
        (&8.into(), &3.into())
    );
    let window = json["duration_ns"].as_f64().unwrap();
    let rate = json["rate"].as_f64().unwrap();
    assert!((rate * window / 1e9 / 1001.0 - 1.0).abs() < 1e-9);
    for name in [
        "connect", "reset", "closed", "timeout", "status", "body", "protocol",
    ] {
        assert_eq!(json["errors"][name], 0, "{name}");
    }
    for name in ["latency_ns", "first_byte_ns"] {
        let at = |point| json[name][point].as_u64().unwrap();
        let points = ["p50", "p90", "p99", "p999", "max"].map(at);
        assert!(points.is_sorted() && points[0] > 0, "{points:?}");
    }
    assert_eq!(json["send_lag_ns"], Value::Null);
    assert!(json["cpu_ns"].as_u64().unwrap() > 0);
    assert_eq!(json["pinned"], false);
}

#[test]
fn each_engine_drives_and_is_named() {
    let server = pong();
    for engine in EngineKind::ALL {
        if let Err(refused) = engine.available() {
            eprintln!("not run: {refused}");
            continue;
        }
        let flags = ["--engine", engine.name(), "-n", "50"];
        let json = measured(0, &flags, server.addr, "/ping");
        assert_eq!(json["engine"], engine.name());
        assert_eq!(json["requests"], 50);
        let output = command(&flags, server.addr, "/ping").output().unwrap();
        let said = format!("1 thread, {engine}, closed loop");
        assert!(text(&output).contains(&said), "{}", text(&output));
    }
}

/// As in a container whose seccomp filter forbids it.
#[test]
fn an_engine_that_is_forbidden_is_refused_with_what_to_do() {
    let server = pong();
    let output = thread::scope(|scope| {
        let forbidden = scope.spawn(|| {
            // Of this thread alone, and of the processes it starts.
            seccompiler::apply_filter(&without_io_uring()).unwrap();
            let flags = ["--engine", "io_uring", "-n", "1"];
            command(&flags, server.addr, "/ping").output().unwrap()
        });
        forbidden.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    for word in ["io_uring can't be used", "seccomp", "--engine epoll"] {
        assert!(text(&output).contains(word), "{}", text(&output));
    }
    assert_eq!(server.seen(), 0);
}

/// Refuses `io_uring_setup` with EPERM.
fn without_io_uring() -> seccompiler::BpfProgram {
    // The same on every architecture.
    const IO_URING_SETUP: i64 = 425;
    let forbid = SeccompAction::Errno(Errno::PERM.raw_os_error() as u32);
    let rules = [(IO_URING_SETUP, Vec::new())].into();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, forbid, arch).unwrap();
    filter.try_into().unwrap()
}

#[test]
fn a_paced_run_ends_by_itself_and_says_how_late_it_sent() {
    let server = pong();
    let json = measured(
        0,
        &["-c", "4", "-d", "300ms", "-r", "1000"],
        server.addr,
        "/",
    );
    assert_eq!(json["duration_ns"], 300_000_000);
    assert_eq!(json["asked_per_s"], 1000.0);
    // A machine with much else to do may leave the last ones unsent.
    let count = |name: &str| json[name].as_u64().unwrap();
    assert_eq!(count("asked"), 300);
    assert_eq!(count("sent_total") + count("unsent"), 300);
    assert_eq!(count("sent_total"), server.seen());
    assert!(json["send_lag_ns"]["p99"].as_u64().is_some(), "{json:#}");
}

#[test]
fn the_request_is_what_the_flags_say() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = TestServer::start({
        let seen = seen.clone();
        move |_, request| {
            seen.lock().unwrap().push(request.to_owned());
            vec![Act::Write(response("201 Created", "{}").into())]
        }
    });
    let addr = server.addr;
    let once = ["-n", "1", "-c", "1"];
    let with = |more: &[&str]| measured(0, &[&once, more].concat(), addr, "/a?b=c%20d");
    with(&["-H", "Accept: x/y", "-H", "Host: other"]);
    with(&["-b", "{\"qty\":1}"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    std::fs::write(&file, "from a file").unwrap();
    with(&["-m", "PUT", "--body-file", file.to_str().unwrap()]);
    let expected = [
        "GET /a?b=c%20d HTTP/1.1\r\nAccept: x/y\r\nHost: other\r\n\r\n".to_owned(),
        format!(
            "POST /a?b=c%20d HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 9\r\n\r\n{{\"qty\":1}}"
        ),
        format!("PUT /a?b=c%20d HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 11\r\n\r\nfrom a file"),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn the_path_is_sent_as_typed_and_the_address_is_shown() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = TestServer::start({
        let seen = seen.clone();
        move |_, request| {
            seen.lock().unwrap().push(request.to_owned());
            vec![Act::Write(response("200 OK", PONG).into())]
        }
    });
    let drive = |url: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        let output = command.args(["drive", "-n", "1", "-c", "1", url]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{url}: {}", text(&output));
        text(&output)
    };
    for (path, sent) in [
        ("/a/../b", "/a/../b"),
        ("/a/%2e%2e/b", "/a/%2e%2e/b"),
        ("/a\\b", "/a%5Cb"),
    ] {
        let said = drive(&format!("{}{path}", server.addr));
        assert!(
            said.contains(&format!("http://{}{sent}\n", server.addr)),
            "{said}"
        );
        let wire = seen.lock().unwrap().pop().unwrap();
        assert!(
            wire.starts_with(&format!("GET {sent} HTTP/1.1\r\n")),
            "{wire}"
        );
    }
    let said = drive(&format!("http://0x7f.1:{}/", server.addr.port()));
    assert!(said.contains(&format!(" at {}\n", server.addr)), "{said}");
}

#[test]
fn a_wrong_status_is_an_error_unless_it_is_expected() {
    let server = TestServer::says(&response("404 Not Found", "gone"));
    let short = ["-n", "20", "-c", "2"];
    let json = measured(1, &short, server.addr, "/");
    assert_eq!(
        (&json["requests"], &json["errors"]["status"]),
        (&0.into(), &20.into())
    );
    assert_eq!(json["latency_ns"], Value::Null);
    let first = json["first_error"].as_str().unwrap();
    assert!(
        first.contains("got 404") && first.contains("200 to 299"),
        "{first}"
    );
    let expected = [&short[..], &["--expect-status", "404"]].concat();
    assert_eq!(measured(0, &expected, server.addr, "/")["requests"], 20);
}

#[test]
fn a_server_that_never_answers_costs_its_timeouts() {
    let server = TestServer::start(|_, _| vec![Act::Hang]);
    let short = ["-n", "6", "-c", "3", "--timeout", "100ms"];
    let json = measured(1, &short, server.addr, "/");
    assert_eq!(
        (&json["requests"], &json["errors"]["timeout"]),
        (&0.into(), &6.into())
    );
    // They are in the histogram at their timeout.
    let p50 = json["latency_ns"]["p50"].as_f64().unwrap();
    assert!((p50 / 1e8 - 1.0).abs() < 0.002, "{p50}");
}

#[test]
fn garbage_and_closing_end_the_run_at_its_time() {
    let faults: [(TestServer, &str); 2] = [
        (TestServer::says("220 mail ready\r\n"), "protocol"),
        (TestServer::start(|_, _| vec![Act::Close]), "closed"),
    ];
    for (server, kind) in faults {
        let json = measured(1, &["-c", "2", "-d", "200ms"], server.addr, "/");
        assert_eq!(json["duration_ns"], 200_000_000);
        assert!(json["errors"][kind].as_u64().unwrap() > 0, "{json:#}");
        assert_eq!(json["requests"], 0);
    }
}

#[test]
fn ctrl_c_prints_what_was_measured() {
    for engine in EngineKind::ALL {
        match engine.available() {
            Ok(()) => interrupted(engine),
            Err(refused) => eprintln!("not run: {refused}"),
        }
    }
}

fn interrupted(engine: EngineKind) {
    let (told, heard) = std::sync::mpsc::channel();
    let server = TestServer::start(move |n, _| {
        if n == 100 {
            told.send(()).unwrap();
        }
        vec![Act::Write(response("200 OK", PONG).into())]
    });
    let flags = ["-d", "500s", "-c", "2", "--json", "--engine", engine.name()];
    let mut run = command(&flags, server.addr, "/");
    let run = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    heard.recv_timeout(Duration::from_secs(60)).unwrap();
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["interrupted"], true);
    assert_eq!(json["engine"], engine.name());
    assert!(json["sent_total"].as_u64().unwrap() >= 100);
    assert!(json["duration_ns"].as_u64().unwrap() < 500_000_000_000);
}

#[test]
fn the_summary_has_the_spectrum() {
    let server = pong();
    let output = command(&["-n", "50", "-c", "2"], server.addr, "/ping")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let out = String::from_utf8(output.stdout).unwrap();
    for word in [
        "50 valid",
        "errors        none",
        "first byte",
        "p50",
        "p99.99",
        "max",
        "client",
    ] {
        assert!(out.contains(word), "\"{word}\" is not in {out}");
    }
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "",
        "no live line without a terminal"
    );
}

#[test]
fn an_idle_client_is_not_called_the_limit() {
    let server = pong();
    let output = command(&["-d", "300ms", "-c", "1", "-r", "100"], server.addr, "/").output();
    let out = String::from_utf8(output.unwrap().stdout).unwrap();
    assert!(!out.contains("The client was the limit"), "{out}");
    assert!(out.contains("send lag"), "{out}");
}

#[test]
fn the_threads_go_where_they_are_told() {
    let server = pong();
    let cpu = machine::probe::affinity::current_allowed()[0].to_string();
    let json = measured(0, &["-n", "10", "--cpus", &cpu], server.addr, "/");
    assert_eq!(
        (&json["pinned"], &json["threads"]),
        (&true.into(), &1.into())
    );
}

#[test]
fn a_name_of_two_addresses_is_tried_at_both() {
    let server = pong();
    let url = format!("http://localhost:{}/", server.addr.port());
    let output = Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(["drive", "-n", "5", "--json", &url])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

/// The histogram of one line of an interval log.
fn decoded(line: &str) -> Histogram<u64> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(line)
        .unwrap();
    Deserializer::new().deserialize(&mut &bytes[..]).unwrap()
}

#[test]
fn the_interval_log_holds_every_request_twice() {
    let server = pong();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.hlog");
    let more = ["-d", "350ms", "-c", "2", "--hlog", path.to_str().unwrap()];
    let json = measured(0, &more, server.addr, "/");
    let log = std::fs::read(&path).unwrap();
    let (mut in_intervals, mut whole, mut lengths) = (0, None, Duration::ZERO);
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.unwrap() else {
            continue;
        };
        let histogram = decoded(interval.encoded_histogram());
        match interval.tag().map(|tag| tag.as_str().to_owned()) {
            None => {
                assert_eq!(interval.start_timestamp(), lengths);
                lengths += interval.duration();
                in_intervals += histogram.len();
            }
            Some(tag) if tag == "latency" => whole = Some(histogram),
            Some(_) => {}
        }
    }
    let whole = whole.unwrap();
    assert_eq!(lengths, Duration::from_millis(350));
    assert_eq!(
        (&json["requests"], in_intervals),
        (&whole.len().into(), whole.len())
    );
    assert_eq!(json["latency_ns"]["p99"], whole.value_at_quantile(0.99));
    assert_eq!(json["latency_ns"]["max"], whole.max());
}

/// The fixture server, ended with the test.
pub(crate) struct Fixture {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Fixture {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        // Built by cargo along with the tests.
        let program = Path::new(env!("CARGO_BIN_EXE_harness"));
        let path = program.with_file_name("examples").join("fixture");
        let mut child = Command::new(&path)
            .args(["--addr", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addr = line.trim().parse().unwrap();
        Self { child, addr }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn workload(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads");
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_workload_is_driven_and_every_body_compared() {
    let right = Fixture::start(&[]);
    let mixed = workload("mixed.toml");
    let json = measured(
        0,
        &["--workload", &mixed, "-n", "3000", "-c", "4"],
        right.addr,
        "",
    );
    assert_eq!(
        (&json["requests"], &json["ids_repeated"]),
        (&3000.into(), &0.into())
    );
    let faults = ["--fault", "wrong-body", "--fault-after", "500"];
    let wrong = Fixture::start(&faults);
    let ping = workload("ping.toml");
    let json = measured(
        1,
        &["--workload", &ping, "-n", "3000", "-c", "4"],
        wrong.addr,
        "/",
    );
    // It is right 499 times, and the first of them was the accepted answer.
    assert_eq!(
        (&json["requests"], &json["errors"]["body"]),
        (&498.into(), &2502.into())
    );
}

#[test]
fn compressed_responses_are_compared_by_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("short.toml");
    for coding in ["gzip", "br"] {
        let text = format!(
            "about = \"Pages of 11 KB\"\n[[request]]\npath = \"/api/v1/compressed\"\n\
             query = {{ limit = 100, page = [{{ range = [1, 4] }}] }}\n\
             headers = {{ Accept-Encoding = \"{coding}\" }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let file = file.to_string_lossy();
        let flags = ["--workload", &file, "-n", "100", "-c", "1"];
        let right = Fixture::start(&[]);
        let json = measured(0, &flags, right.addr, "");
        assert_eq!(json["requests"], 100);
        // As they came, not as they are when decompressed.
        let each = json["bytes_received"].as_f64().unwrap() / 100.0;
        assert!((500.0..4_000.0).contains(&each), "{coding}: {each} bytes");
        for fault in ["cuts-compressed", "plain-as-compressed"] {
            // Each of the four pages is asked for once before.
            let wrong = Fixture::start(&["--fault", fault, "--fault-after", "55"]);
            let json = measured(1, &flags, wrong.addr, "");
            let found = (&json["requests"], &json["errors"]["body"]);
            assert_eq!(found, (&50.into(), &50.into()), "{coding}: {fault}");
        }
    }
}

/// Little's law: each connection has one request at a time, and each takes 15 ms or more.
#[test]
fn requests_that_wait_are_limited_by_connections_and_delay_alone() {
    let server = Fixture::start(&["--event-loop"]);
    let wait = workload("wait.toml");
    let json = measured(
        0,
        &["--workload", &wait, "-n", "4000", "-c", "128"],
        server.addr,
        "",
    );
    let rate = json["rate"].as_f64().unwrap();
    let mean_s = json["latency_ns"]["mean"].as_f64().unwrap() / 1e9;
    assert!(mean_s >= 0.015, "{mean_s} s");
    let ceiling = 128.0 / 0.015;
    assert!(rate <= ceiling, "{rate} of {ceiling} requests/s");
    let in_flight = rate * mean_s;
    assert!(
        (in_flight - 128.0).abs() < 13.0,
        "{in_flight} of 128 in flight"
    );
}

#[test]
fn a_workload_that_is_answered_wrongly_at_first_is_not_driven() {
    let server = TestServer::says(&response("500 Oh", "{}"));
    let ping = workload("ping.toml");
    let output = command(&["--workload", &ping], server.addr, "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("GET /ping returned status 500"),
        "{}",
        text(&output)
    );
    assert_eq!(server.seen(), 1);
}

#[test]
fn nothing_there_is_said() {
    let output = command(&["-n", "1"], nobody(), "/").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("refused"), "{}", text(&output));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let server = pong();
    let url = format!("http://{}/", server.addr);
    let secure = url.replace("http:", "https:");
    let cases: [(&[&str], &str); 14] = [
        (&[&secure], "https"),
        (&["ftp://127.0.0.1:1/x"], "http://"),
        (&["-c", "0", &url], "--connections"),
        (&["-n", "0", &url], "--requests"),
        (&["-d", "5", &url], "unit"),
        (&["-r", "-3", &url], "-3"),
        (&["-r", "0", &url], "requests per second"),
        (&["-H", "no colon", &url], "Name: value"),
        (&["-H", "Content-Length: 1", &url], "length"),
        (&["-m", "GE T", &url], "--method"),
        (&["--body-file", "no/such/file", &url], "no/such/file"),
        (&["--cpus", "0", "-t", "2", &url], "as many CPUs"),
        (&["--hlog", "no/such/folder/x", &url], "no/such/folder/x"),
        (&["-n", "5", "--warmup", "1s", &url], "--warmup"),
    ];
    for (arguments, word) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        let output = command.arg("drive").args(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(word),
            "{arguments:?}: {}",
            text(&output)
        );
    }
    assert_eq!(server.seen(), 0);
}
