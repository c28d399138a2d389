//! `harness drive` in its modes beside the plain ones: the real program against real sockets.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::drive::load_server::{Act, PONG, TestServer, response};
use crate::drive::program::{self, pong};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn command(arguments: &[&str], addr: SocketAddr) -> Command {
    program::command(arguments, addr, "/ping?a")
}

#[track_caller]
fn measured(arguments: &[&str], addr: SocketAddr) -> Value {
    program::json(0, command(arguments, addr))
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn printed(arguments: &[&str], addr: SocketAddr) -> String {
    let output = command(arguments, addr).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}{err}", out(&output));
    out(&output)
}

#[test]
fn stages_have_figures_of_their_own() {
    let server = pong();
    let stages = ["--stages", "100ms@200,200ms@200..800"];
    let json = measured(&stages, server.addr);
    assert_eq!(json["duration_ns"], 300_000_000);
    // A machine with much else to do may leave the last ones unsent.
    let count = |name: &str| json[name].as_u64().unwrap();
    assert_eq!(count("asked"), 120);
    assert_eq!(count("sent_total") + count("unsent"), 120);
    assert_eq!(count("sent_total"), server.seen());
    assert_eq!(
        (&json["loop"], &json["arrivals"]),
        (&"open".into(), &"constant".into())
    );
    assert_eq!(json["asked_per_s"], Value::Null);
    let stages = json["stages"].as_array().unwrap();
    let asked: Vec<_> = stages.iter().map(|stage| &stage["asked"]).collect();
    assert_eq!(asked, [20, 100]);
    assert_eq!(
        (&stages[1]["from_per_s"], &stages[1]["to_per_s"]),
        (&200.0.into(), &800.0.into())
    );
    for stage in stages {
        assert_eq!(stage["ran_ns"], stage["length_ns"]);
        assert!(stage["requests"].as_u64() <= stage["asked"].as_u64());
        assert!(stage["rate"].as_f64().unwrap() > 0.0);
        assert_eq!(stage["errors"], 0);
        assert!(stage["latency_ns"]["p99"].as_u64() >= stage["latency_ns"]["p50"].as_u64());
        assert!(stage["send_lag_ns"]["p99"].is_u64());
    }
    let text = printed(
        &[
            "--stages",
            "100ms@200,200ms@200..800",
            "--arrivals",
            "poisson",
        ],
        server.addr,
    );
    for word in [
        "0.1 s at 200/s",
        "0.2 s from 200 to 800/s",
        "at random (Poisson)",
        "lag p99",
    ] {
        assert!(text.contains(word), "\"{word}\" is not in {text}");
    }
}

#[test]
fn ctrl_c_says_how_far_the_stages_came() {
    let (told, heard) = std::sync::mpsc::channel();
    let server = TestServer::start(move |n, _| {
        if n == 30 {
            told.send(()).unwrap();
        }
        vec![Act::Write(response("200 OK", PONG).into())]
    });
    let run = command(&["--stages", "100ms@200,500s@200,1s@5"], server.addr)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    heard.recv_timeout(Duration::from_secs(60)).unwrap();
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let text = out(&output);
    assert!(
        text.contains("Interrupted") && text.contains("0.1 s at 200/s"),
        "{text}"
    );
    // What was not reached has no figures.
    let last = text
        .lines()
        .find(|line| line.starts_with("1 s at 5/s "))
        .unwrap();
    let cells: Vec<&str> = last.split_whitespace().skip(4).collect();
    assert_eq!(cells, ["-", "-", "0", "-", "-", "-"], "{text}");
}

#[test]
fn random_arrivals_are_drawn_from_the_seed() {
    let server = pong();
    let asked = |seed: &str| {
        let random = [
            "-d",
            "300ms",
            "-r",
            "1000",
            "--arrivals",
            "poisson",
            "--seed",
            seed,
        ];
        let json = measured(&random, server.addr);
        assert_eq!(json["arrivals"], "poisson");
        json["asked"].as_u64().unwrap()
    };
    assert_eq!(asked("7"), asked("7"));
    assert_ne!(asked("7"), asked("8"));
}

#[test]
fn thinking_is_told_apart_from_waiting() {
    let server = pong();
    let think = ["-c", "4", "-d", "300ms", "--think", "20ms"];
    let json = measured(&think, server.addr);
    assert_eq!(
        (&json["think"], &json["think_ns"]),
        (&"fixed".into(), &20_000_000.into())
    );
    assert_eq!(json["loop"], "closed");
    assert!(json["sent_total"].as_u64().unwrap() <= 4 * 16);
    assert!(json["in_flight_mean"].as_f64().unwrap() < 4.0);
    assert!(json["send_lag_ns"]["p99"].is_u64());
    let random = ["-c", "4", "-d", "200ms", "--think", "exp:20ms"];
    let text = printed(&random, server.addr);
    assert!(text.contains("random think time, mean 0.02 s"), "{text}");
    assert!(text.contains("thinking"), "{text}");
}

#[test]
fn a_connection_for_each_request_is_a_mode_by_its_name() {
    let asked_to_close = Arc::new(AtomicU64::new(0));
    let server = TestServer::start({
        let asked = asked_to_close.clone();
        move |_, request| {
            asked.fetch_add(
                request.contains("\r\nConnection: close\r\n").into(),
                Ordering::SeqCst,
            );
            vec![Act::Write(response("200 OK", PONG).into()), Act::Close]
        }
    });
    let close = ["-c", "4", "-n", "50", "--close"];
    let json = measured(&close, server.addr);
    assert_eq!(json["connection_per_request"], true);
    assert_eq!(
        (&json["requests"], &json["reconnects"]),
        (&50.into(), &50.into())
    );
    assert_eq!(asked_to_close.load(Ordering::SeqCst), 50);
    assert!(json["connect_ns"]["p50"].as_u64().unwrap() > 0);
    let (latency, wire) = (&json["latency_ns"]["p50"], &json["wire_ns"]["p50"]);
    assert!(latency.as_u64().unwrap() > wire.as_u64().unwrap());
    let text = printed(&close, server.addr);
    assert!(
        text.contains("one connection per request (close)"),
        "{text}"
    );
    assert!(text.contains("50 opened, one per request"), "{text}");
    let kept = measured(&["-n", "5"], pong().addr);
    assert_eq!(kept["connection_per_request"], false);
    assert_eq!(kept["requests_per_connection"], Value::Null);
}

#[test]
fn a_connection_for_a_number_of_requests_is_a_mode_by_its_name() {
    let flags = ["-c", "2", "-n", "40", "--requests-per-connection", "10"];
    let server = pong();
    let json = measured(&flags, server.addr);
    assert_eq!(
        (
            &json["requests_per_connection"],
            &json["connection_per_request"]
        ),
        (&10.into(), &false.into())
    );
    // 40 requests may be shared out unevenly over the two.
    let made = json["reconnects"].as_u64().unwrap();
    assert!((4..=5).contains(&made), "{made}");
    assert_eq!(server.connections.load(Ordering::SeqCst), made + 2);
    let text = printed(&flags, server.addr);
    for words in [
        "one connection per 10 requests",
        " opened, for up to 10 requests each",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[test]
fn routes_of_a_workload_are_classes() {
    let server = pong();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    let workload = "about = \"Two routes\"\n\
        [[request]]\nweight = 3\npath = \"/a\"\nquery = { page = [{ range = [1, 50] }] }\n\
        [[request]]\nmethod = \"POST\"\npath = \"/b\"\nbody = { qty = 1 }\n";
    std::fs::write(&file, workload).unwrap();
    let drive = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["drive", "-n", "400", "-c", "4", "--workload"])
            .arg(&file)
            .args(more)
            .arg(format!("http://{}/v1/", server.addr))
            .output()
            .unwrap()
    };
    let json: Value = serde_json::from_slice(&drive(&["--json", "--close"]).stdout).unwrap();
    let classes = json["classes"].as_array().unwrap();
    let mut names: Vec<_> = classes
        .iter()
        .map(|class| class["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["GET /v1/a", "POST /v1/b"]);
    let requests: u64 = classes
        .iter()
        .map(|class| class["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(json["requests"], requests);
    for class in classes {
        assert!(class["latency_ns"]["p99"].as_u64().unwrap() > 0);
        assert_eq!(class["errors"], 0);
    }
    let text = out(&drive(&[]));
    for name in names {
        assert!(
            text.lines().any(|line| line.starts_with(name)),
            "{name}: {text}"
        );
    }
    // A single class is the whole; it has no line of its own.
    let one = measured(&["-n", "5"], server.addr);
    assert_eq!(
        (&one["classes"][0]["name"], &one["classes"][1]),
        (&"GET /ping".into(), &Value::Null)
    );
    assert_eq!(
        one["classes"][0]["latency_ns"]["p50"],
        one["latency_ns"]["p50"]
    );
    assert!(!printed(&["-n", "5"], server.addr).contains("class"));
}

#[test]
fn every_method_is_spoken() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = TestServer::start({
        let seen = seen.clone();
        move |_, request| {
            let method = request.split(' ').next().unwrap().to_owned();
            // The answer to HEAD has the length of a body that does not follow.
            let body = if method == "HEAD" { "" } else { PONG };
            seen.lock().unwrap().push(method);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{body}");
            vec![Act::Write(answer.into())]
        }
    });
    let methods = ["HEAD", "OPTIONS", "DELETE", "PATCH", "PURGE"];
    for method in methods {
        let json = measured(&["-n", "3", "-c", "1", "-m", method], server.addr);
        assert_eq!(
            (&json["requests"], &json["reconnects"]),
            (&3.into(), &0.into()),
            "{method}"
        );
    }
    let expected: Vec<&str> = methods.iter().flat_map(|method| [*method; 3]).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_stuck_server_does_not_look_fast() {
    let stuck = || {
        TestServer::start(|n, _| match n {
            ..=400 => vec![Act::Write(response("200 OK", PONG).into())],
            _ => vec![Act::Hang],
        })
    };
    let flags = ["-c", "4", "-d", "2s", "--timeout", "60s"];
    let output = command(&flags, stuck().addr).output().unwrap();
    let text = out(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in [
        "400 valid",
        "errors        none",
        "unanswered    4 still in flight at the end, having waited ",
        "Connections silent at the end: 4.",
        "Responses stopped: none was valid in the last ",
    ] {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    for name in ["p99.9 ", "max ", "mean "] {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains("≥ "), "{line}");
    }

    let output = command(&[&flags[..], &["--json"]].concat(), stuck().addr).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let end = &json["at_end"];
    assert_eq!(
        (&json["unanswered"], &end["silent"]),
        (&4.into(), &4.into())
    );
    let waited = |which: &str| end["waited_ns"][which].as_u64().unwrap();
    assert!(waited("min") <= waited("max") && waited("min") > 1_000_000_000);
    assert!(end["quiet_ns"].as_u64().is_some(), "{end}");
    for name in ["latency_ns", "first_byte_ns"] {
        let bounds = json[name]["at_least"].as_array().unwrap();
        assert!(bounds.contains(&"p999".into()) && bounds.contains(&"max".into()));
        let max = json[name]["max"].as_u64().unwrap() as f64;
        assert!((max / waited("max") as f64 - 1.0).abs() < 0.002, "{name}");
    }
}

#[test]
fn a_server_that_answers_is_bounded_by_nothing() {
    let json = measured(&["-c", "4", "-d", "300ms"], pong().addr);
    let end = &json["at_end"];
    assert_eq!(end["waited_ns"], Value::Null);
    assert_eq!(
        (&end["silent"], &end["quiet_ns"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(json["latency_ns"]["at_least"], serde_json::json!([]));
}

#[test]
fn cpus_without_a_connection_are_not_used_and_that_is_said() {
    let flags = ["-c", "2", "--cpus", "0-3", "-n", "20", "--json"];
    let output = command(&flags, pong().addr).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.contains("only the first 2 are used"), "{err}");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["threads"], &json["cpus"]),
        (&2.into(), &serde_json::json!([0, 1]))
    );
}

#[test]
fn a_stall_between_head_and_body_is_named() {
    let stalls_before = |part: usize| {
        TestServer::start(move |_, _| {
            let (head, body) = ("HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n", PONG);
            let mut acts = [head, body]
                .map(|text| Act::Write(text.into()))
                .into_iter()
                .collect::<Vec<_>>();
            acts.insert(part, Act::Sleep(Duration::from_millis(41)));
            acts
        })
    };
    let flags = ["-c", "4", "-n", "40"];
    let text = printed(&flags, stalls_before(1).addr);
    for word in ["Nagle's algorithm combined with delayed ACK", "TCP_NODELAY"] {
        assert!(text.contains(word), "{text}");
    }
    let ratio = measured(&flags, stalls_before(1).addr)["delayed_ack_ratio"].as_f64();
    assert!(ratio.is_some_and(|ratio| ratio > 0.5), "{ratio:?}");
    // A server that is slow before it answers.
    let text = printed(&flags, stalls_before(0).addr);
    assert!(!text.contains("Nagle"), "{text}");
}

#[test]
fn modes_that_make_no_sense_are_refused() {
    let server = pong();
    let cases: [(&[&str], &str); 13] = [
        (
            &["--requests-per-connection", "0"],
            "--requests-per-connection",
        ),
        (&["--requests-per-connection", "5", "--close"], "--close"),
        (&["-c", "2", "-t", "4"], "-t 2"),
        (&["-c", "2", "-t", "4", "--cpus", "0-3"], "-t 2"),
        (&["--arrivals", "poisson"], "--rate or --stages"),
        (&["--arrivals", "uniform", "-r", "5"], "poisson"),
        (&["--think", "5ms", "-r", "5"], "--think"),
        (&["--think", "5"], "unit"),
        (&["--stages", "1s@5", "-r", "5"], "--rate"),
        (&["--stages", "1s@5", "-d", "5s"], "--duration"),
        (&["--stages", "1s@5", "-n", "5"], "--requests"),
        (&["--stages", "1s@5", "--warmup", "5s"], "--warmup"),
        (&["--stages", "1s@5..fast"], "'fast' is not a rate"),
    ];
    for (arguments, word) in cases {
        let output = command(arguments, server.addr).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(word), "{arguments:?}: {err}");
    }
    assert_eq!(server.seen(), 0);
}

#[test]
fn a_pattern_is_stages_at_a_base_rate() {
    let server = pong();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("surge.toml");
    let text = "about = \"Up and down\"\narrivals = \"poisson\"\nstage = [\n\
                { seconds = 1.2, rate = 1, phase = \"before\" },\n\
                { seconds = 0.2, from = 1, to = 3, phase = \"burst\" },\n\
                { seconds = 1, rate = 1, phase = \"after\" },\n]\n";
    std::fs::write(&file, text).unwrap();
    let flags = ["--rate", "1000", "--pattern", file.to_str().unwrap()];
    let json = measured(&flags, server.addr);
    assert_eq!(json["pattern"], "surge");
    assert_eq!(
        (&json["loop"], &json["arrivals"]),
        (&"open".into(), &"poisson".into())
    );
    assert_eq!(json["duration_ns"], 2_400_000_000_u64);
    let stages = json["stages"].as_array().unwrap();
    let rates: Vec<_> = stages
        .iter()
        .map(|stage| (&stage["from_per_s"], &stage["to_per_s"]))
        .collect();
    let rate = |per_s: f64| Value::from(per_s);
    let (one, three) = (rate(1_000.0), rate(3_000.0));
    assert_eq!(rates, [(&one, &one), (&one, &three), (&one, &one)]);
    // Twelve intervals of 100 ms before the burst make a limit; whether a busy machine keeps it is another matter.
    assert!(
        json["recovery"]["limit_ns"].as_f64().unwrap() > 0.0,
        "{}",
        json["recovery"]
    );
    assert_eq!(json["recovery"]["watched_ns"], 1_000_000_000_u64);
    let text = printed(&flags, server.addr);
    assert!(text.contains("recovered"), "{text}");

    // Its own requests are those that are sent, and the URL is where.
    let own = text_of_own_requests();
    std::fs::write(&file, own).unwrap();
    let json = program::json(0, program::command(&flags, server.addr, "/"));
    let mut classes: Vec<_> = json["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["name"].as_str().unwrap())
        .collect();
    classes.sort_unstable();
    assert_eq!(classes, ["GET /fast", "GET /slow"]);
    assert_eq!(json["recovery"], Value::Null, "there is no burst");
    for (flags, words) in [
        (
            &["--pattern", "no/such.toml", "--rate", "1"][..],
            "no/such.toml",
        ),
        (&flags[2..], "--rate"),
        (
            &["--pattern", flags[3], "--rate", "1", "--duration", "1s"],
            "cannot be used with",
        ),
    ] {
        let said = program::said(2, command(flags, server.addr));
        assert!(said.contains(words), "{flags:?}: {said}");
    }
}

fn text_of_own_requests() -> &'static str {
    "about = \"Two kinds\"\nstage = [{ seconds = 0.3, rate = 1 }]\n\
     [[request]]\nweight = 4\npath = \"/fast\"\n[[request]]\npath = \"/slow\"\n"
}
