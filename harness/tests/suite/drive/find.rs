//! `harness drive --find` against servers whose capacity is known.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use crate::drive::program::{self, harness, pong};

/// One response after the other, each takes so long.
struct Queue(Child, String);

impl Queue {
    fn start(service: &str) -> Self {
        let delay = format!("queue:{service}");
        let mut child = harness(&["known", "--addr", "127.0.0.1:0", "--delay", &delay])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut addr = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut addr).unwrap();
        Self(child, format!("http://{}/", addr.trim()))
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Flags of short trials.
const SHORT: [&str; 6] = ["-d", "300ms", "--warmup", "100ms", "--within", "20%"];

#[test]
fn the_capacity_of_a_queue_is_found() {
    // 2 ms each: 500 a second. Above it, latency grows by 2 ms with each request, and it doesn't keep up.
    let queue = Queue::start("2ms");
    let mut command = harness(&[
        "drive",
        "--find",
        "p99<100ms,errors=0",
        "--max-trials",
        "25",
    ]);
    command.args(SHORT).arg(&queue.1);
    let json = program::json(0, command);
    let rate = json["rate"].as_f64().unwrap();
    // Nothing makes it faster; a busy machine makes it slower.
    assert!((250.0..600.0).contains(&rate), "{json:#}");
    assert!(json["low"].as_f64().unwrap() <= rate && rate <= json["high"].as_f64().unwrap());
    let trials = json["trials"].as_array().unwrap();
    assert_eq!(trials[0]["rate"], 100.0, "{json:#}");
    assert!(
        trials.iter().any(|trial| trial["passed"] == true),
        "{json:#}"
    );
    let mut fast = trials
        .iter()
        .filter(|trial| trial["rate"].as_f64().unwrap() > 700.0);
    assert!(fast.all(|trial| trial["passed"] == false), "{json:#}");
    assert_eq!(
        json["objective"],
        serde_json::json!(["p99<100ms", "errors=0"])
    );
}

#[test]
fn each_trial_and_the_interval_are_printed() {
    let queue = Queue::start("4ms");
    let mut command = harness(&[
        "drive",
        "--find",
        "p99<100ms",
        "--max-trials",
        "12",
        "-r",
        "200",
    ]);
    command.args(SHORT).arg(&queue.1);
    let text = program::said(0, command);
    for words in [
        "searching for the highest rate with p99<100ms",
        "200/s  ",
        "FAIL  p99 ",
        "95 % interval",
        "/s, after ",
    ] {
        assert!(text.contains(words), "{words:?} is not in\n{text}");
    }
}

#[test]
fn an_objective_that_no_rate_or_every_rate_meets_is_said() {
    let server = pong();
    let url = format!("http://{}/", server.addr);
    let short = ["-d", "50ms", "--warmup", "10ms", "-c", "4"];
    let mut never = harness(&["drive", "--find", "p50<1ns"]);
    never.args(short).arg(&url);
    let text = program::said(1, never);
    assert!(
        text.contains("not met: p50<1ns failed even at 1/s"),
        "{text}"
    );
    let mut always = harness(&["drive", "--find", "p50<60s", "--max-rate", "300"]);
    always.args(["-d", "200ms", "-c", "4"]).arg(&url);
    let text = program::said(0, always);
    assert!(
        text.contains("even at 300/s, the highest rate tried"),
        "{text}"
    );
}

#[test]
fn wrong_objectives_are_refused_before_any_load() {
    for (flags, words) in [
        (&["--find", "p99"][..], "as in 'p99<10ms'"),
        (&["--find", "rate>5/s"], "the rate is what is searched"),
        (
            &["--find", "p99<1ms", "--stages", "1s@5"],
            "cannot be used with",
        ),
        (&["--within", "5%"], "--find"),
    ] {
        let mut command = harness(&["drive"]);
        command.args(flags).arg("http://127.0.0.1:9/");
        let text = program::said(2, command);
        assert!(text.contains(words), "{flags:?}: {text}");
    }
}
