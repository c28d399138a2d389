//! Access logs: `harness workload from-log`, and `harness drive --replay`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::drive::load_server::{Act, PONG, TestServer, response};
use crate::drive::program::{harness, json, said};

const MS: i64 = 1_000_000;
/// Between the clock of the load and that of the system, and rounding in histograms.
const CLOCKS: i64 = 5 * MS;

fn common(second: usize, line: &str, status: u16) -> String {
    format!(
        "192.0.2.7 - jane [10/Oct/2000:13:55:{second:02} -0700] \"{line} HTTP/1.1\" {status} 12 \"-\" \"Agent\"\n"
    )
}

/// 40 requests over 4 seconds, none in the third, and lines that can't be used.
fn log() -> String {
    let mut log = String::from("not a line of a log\n\n");
    for (second, requests) in [(30, 10), (31, 5), (33, 25)] {
        for n in 0..requests {
            let line = match n % 5 {
                4 => "GET /missing".to_owned(),
                _ => format!("GET /items/{second}{n}?sort=name&token=hidden-value"),
            };
            let status = if n % 5 == 4 { 404 } else { 200 };
            log += &common(second, &line, status);
        }
    }
    // Malformed, half, and without a body.
    log += "192.0.2.7 - - [10/Oct/2000:13:55:31 -0700] \"\\x16\\x03\\x01\" 400 0\n";
    log += "192.0.2.7 - - [10/Oct/2000:13:55:31 -0700] \"GET /ite\n";
    log += &common(32, "POST /orders", 201);
    log
}

fn write(dir: &Path, text: &str) -> String {
    let path = dir.join("access.log");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

type Received = Arc<Mutex<Vec<(i64, String)>>>;

/// A server that keeps what it received and when, in Unix nanoseconds.
fn server() -> (TestServer, Received) {
    let received = Received::default();
    let kept = received.clone();
    let server = TestServer::start(move |_, request| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let line = request.lines().next().unwrap_or_default();
        let line = line.trim_end_matches(" HTTP/1.1").to_owned();
        let status = if line.contains("/missing") {
            "404 Not Found"
        } else {
            "200 OK"
        };
        kept.lock().unwrap().push((now.as_nanos() as i64, line));
        vec![Act::Write(response(status, PONG).into())]
    });
    (server, received)
}

/// The times at which the load meant to send, in order: those of the log at this speed.
fn due(json: &Value, speed: f64) -> Vec<i64> {
    let start = json["start_unix_ns"].as_i64().unwrap();
    let mut due = Vec::new();
    for (second, requests) in [(0, 10), (1, 5), (3, 25)] {
        for n in 0..requests {
            let at = second as f64 + (n as f64 + 0.5) / requests as f64;
            due.push(start + (at * 1e9 / speed) as i64);
        }
    }
    due
}

#[test]
fn a_log_is_sent_at_its_times() {
    let dir = tempfile::tempdir().unwrap();
    let log = write(dir.path(), &log());
    for (engine, threads) in [("epoll", "1"), ("epoll", "3"), ("io_uring", "2")] {
        if engine == "io_uring" && loadgen::EngineKind::IoUring.available().is_err() {
            continue;
        }
        let (server, received) = server();
        let url = format!("http://{}/base", server.addr);
        let drive = [
            "drive", "--replay", &log, "--speed", "4", "-c", "8", "-t", threads, "--engine",
            engine, &url,
        ];
        let json = json(0, harness(&drive));
        assert_eq!(
            (&json["requests"], &json["loop"]),
            (&40.into(), &"open".into()),
            "{json}"
        );
        assert_eq!((&json["asked"], &json["unsent"]), (&40.into(), &0.into()));
        assert_eq!(
            (&json["arrivals"], &json["replay_speed"]),
            (&"logged".into(), &4.0.into())
        );
        let classes: BTreeMap<&str, u64> = json["classes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|class| {
                (
                    class["name"].as_str().unwrap(),
                    class["requests"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(classes, [("GET /items/{}", 32), ("GET /missing", 8)].into());
        let mut received = std::mem::take(&mut *received.lock().unwrap());
        received.sort();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (_, line) in &received {
            *counts.entry(line.clone()).or_default() += 1;
        }
        assert_eq!(counts["GET /base/missing"], 8);
        assert_eq!(
            counts["GET /base/items/300?sort=name&token=hidden-value"],
            1
        );
        assert_eq!(counts.len(), 33);
        // Never before it was due, nor later than the latency that was measured.
        let latest = json["latency_ns"]["max"].as_i64().unwrap();
        let due = due(&json, 4.0);
        assert_eq!(received.len(), due.len());
        for ((at, line), due) in received.iter().zip(due) {
            assert!(at - due > -CLOCKS, "{line} came {} ns early", due - at);
            assert!(
                at - due < latest + CLOCKS,
                "{line} came {} ns late",
                at - due
            );
        }
    }
}

#[test]
fn what_a_replay_leaves_out_is_told_and_flags_end_it_earlier() {
    let dir = tempfile::tempdir().unwrap();
    let log = write(dir.path(), &log());
    let (server, received) = server();
    let url = format!("http://{}", server.addr);
    let drive = |more: &[&str]| {
        harness(
            &[
                &["drive", "--replay", &log, "--speed", "1000"],
                more,
                &[&*url],
            ]
            .concat(),
        )
    };
    let text = said(0, drive(&["--arrivals", "poisson"]));
    for words in [
        "left out: a line without a time\n",
        "left out: a line without a request\n",
        "left out: a line whose request is not `METHOD TARGET HTTP/...`\n",
        "left out: a POST request: a log has no bodies, but --body can give it one\n",
        "replay of 40 requests at 1000 × its speed",
        "40 valid",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    received.lock().unwrap().clear();
    assert_eq!(json(0, drive(&["-b", "{}"]))["requests"], 41);
    let lines = std::mem::take(&mut *received.lock().unwrap());
    assert_eq!(
        lines
            .iter()
            .filter(|(_, line)| line == "POST /orders")
            .count(),
        1
    );
    assert_eq!(json(0, drive(&["-n", "7"]))["requests"], 7);
    // The first second has 10, the next 5.
    assert_eq!(json(0, drive(&["-d", "2ms"]))["requests"], 15);
    // Another status than the logged one is an error.
    let json = json(1, drive(&["--expect-status", "200"]));
    assert_eq!(
        (&json["requests"], &json["errors"]["status"]),
        (&32.into(), &8.into())
    );
    for (more, words) in [
        (&["--rate", "5"][..], "cannot be used with"),
        (&["--warmup", "1s"], "cannot be used with"),
        (&["-d", "1ns"], "is due later"),
    ] {
        let text = said(2, drive(more));
        assert!(text.contains(words), "{words}: {text}");
    }
    let text = said(
        2,
        harness(&["drive", "--replay", &log, "--speed", "0", &url]),
    );
    assert!(text.contains("a factor from"), "{text}");
    let empty = write(dir.path(), "nothing\n");
    let text = said(2, harness(&["drive", "--replay", &empty, &url]));
    assert!(text.contains("there is no request to use"), "{text}");
}

#[test]
fn a_workload_from_a_log_has_its_routes_weights_and_course() {
    let dir = tempfile::tempdir().unwrap();
    let log = write(dir.path(), &log());
    let out = dir.path().join("shop.toml");
    let out_text = out.display().to_string();
    let text = said(0, harness(&["workload", "from-log", &log, "-o", &out_text]));
    for words in [
        "left out: a request with status 404, and only 200 to 299 counts (8 times)",
        "left out: a POST request: a log has no bodies",
        "32 requests in ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let workload = std::fs::read_to_string(&out).unwrap();
    for words in [
        "# 32 requests from 2000-10-10T20:55:30Z to 2000-10-10T20:55:34Z.\n",
        "# 8.000 a second on average, 20 in the busiest second.\n",
        "# To send at these rates over time: drive --stages 1s@8,1s@4,1s@0,1s@20 --arrivals poisson\n",
        "# 1 secret parameter replaced.\n",
        "# GET /items/{}: 32 requests (100.0 %), 32 different\n",
        "query.token = \"secret1\"\n",
    ] {
        assert!(workload.contains(words), "{words}: {workload}");
    }
    // Mean 8, squares 0 + 16 + 64 + 144, over 3.
    assert!(workload.contains("their mean: 9.33;"), "{workload}");
    for hidden in ["hidden-value", "jane", "192.0.2.7", "Agent"] {
        assert!(!workload.contains(hidden), "{hidden}: {workload}");
    }
    let (server, _) = server();
    let drive = ["drive", "-n", "50", "-c", "2", "--workload", &out_text];
    let text = said(
        0,
        harness(&[&drive[..], &[&format!("http://{}", server.addr)]].concat()),
    );
    assert!(text.contains("50 valid"), "{text}");
    // `import` finds out by itself what it is.
    let imported = harness(&["import", &log]).output().unwrap();
    assert_eq!(String::from_utf8(imported.stdout).unwrap(), workload);
    let kept = said(0, harness(&["import", &log, "--keep-secrets"]));
    assert!(
        kept.contains("hidden-value") && !kept.contains("replaced"),
        "{kept}"
    );
}

#[test]
fn json_lines_have_finer_times() {
    let dir = tempfile::tempdir().unwrap();
    let line = |ms: u64, uri: &str| {
        format!(
            "{{\"ts\":{},\"request\":{{\"method\":\"GET\",\"uri\":\"{uri}\"}},\"status\":200}}\n",
            1_700_000_000.0 + ms as f64 / 1000.0
        )
    };
    // Not in order: a line is written when its request has ended.
    let text = [line(2600, "/b"), line(250, "/a"), line(500, "/a")].concat();
    let log = write(dir.path(), &text);
    let text = said(0, harness(&["workload", "from-log", &log]));
    assert!(
        text.contains("# Gaps between requests: median 2100.000 ms"),
        "{text}"
    );
    assert!(
        text.contains("[[request]]\nweight = 2\npath = \"/a\"\n"),
        "{text}"
    );
    let (server, received) = server();
    let url = format!("http://{}", server.addr);
    let json = json(
        0,
        harness(&["drive", "--replay", &log, "--speed", "10", &url]),
    );
    let start = json["start_unix_ns"].as_i64().unwrap();
    let mut received = std::mem::take(&mut *received.lock().unwrap());
    received.sort();
    let lines: Vec<&str> = received.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines, ["GET /a", "GET /a", "GET /b"]);
    for ((at, _), due) in received.iter().zip([0, 25, 235]) {
        assert!(at - start > due * MS - CLOCKS, "{at} {start} {due}");
    }
}
