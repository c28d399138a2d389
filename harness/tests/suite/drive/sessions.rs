//! `harness drive --session` against the fixture: the shipped session, right and wrong.

use std::net::SocketAddr;

use crate::drive::command::Fixture;
use crate::drive::program::{self, harness, pong};
use serde_json::{Value, json};

const ORDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sessions/order.toml");

fn command(addr: SocketAddr, more: &[&str]) -> std::process::Command {
    let mut command = harness(&["drive", "--session", ORDER, "--users", "8"]);
    command.args(["--think", "10ms..30ms", "-d", "500ms"]);
    command.args(more).arg(format!("http://{addr}"));
    command
}

#[test]
fn chains_are_counted_and_timed_and_can_have_a_limit() {
    let fixture = Fixture::start(&[]);
    let limits = ["session.p99>60s", "session.failed>0.1%", "session.rate<1/s"];
    let limits: Vec<&str> = limits.iter().flat_map(|l| ["--fail-if", l]).collect();
    let json = program::json(0, command(fixture.addr, &limits));
    let session = &json["session"];
    assert_eq!(session["name"], "order");
    assert_eq!(session["steps"], json!(["place", "read back", "list"]));
    assert_eq!(
        session["failed"],
        json!({"place": 0, "read back": 0, "list": 0})
    );
    let complete = session["complete"].as_u64().unwrap();
    assert!(complete > 8, "{json:#}");
    // Within one window, as many requests end as three chains of their number, but for its edges.
    let requests = json["requests"].as_u64().unwrap();
    assert!(requests.abs_diff(3 * complete) <= 24, "{json:#}");
    let class = |n: usize| json["classes"][n]["name"].clone();
    assert_eq!([0, 1, 2].map(class), ["place", "read back", "list"]);
    let at = |object: &Value, point: &str| object[point].as_f64().unwrap();
    let (time, latency) = (&session["time_ns"], &json["latency_ns"]);
    assert!(at(time, "p50") > at(latency, "p50"), "{json:#}");
    assert!(
        json["fail_if"]
            .as_array()
            .unwrap()
            .iter()
            .all(|limit| limit["passed"] == true)
    );

    // A picture: a line for each step and the chains; then one for each drive.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (svg, earlier) = (path("now.svg"), path("before.json"));
    std::fs::write(&earlier, json.to_string()).unwrap();
    let drawn = |more: &[&str], lines: &[&str]| {
        program::json(
            0,
            command(fixture.addr, &[&["--chart", &svg], more].concat()),
        );
        let text = std::fs::read_to_string(&svg).unwrap();
        for line in lines {
            assert!(text.contains(&format!(">{line}</text>")), "{line}: {text}");
            assert!(text.contains(&format!("{line}: p50 ")), "{line}: {text}");
        }
    };
    drawn(&[], &["place", "read back", "list", "whole chain"]);
    drawn(&["--chart-with", &earlier], &["before", "now"]);
    let text = program::said(
        2,
        command(fixture.addr, &["--chart", &svg, "--chart-with", ORDER]),
    );
    assert!(
        text.contains("not the output of `harness drive --json`"),
        "{text}"
    );

    let limit = ["--fail-if", "session.p99>1ns"];
    let text = program::said(3, command(fixture.addr, &limit));
    for words in [
        "session order",
        "session       place → read back → list\n  complete    ",
        "\n  failed      none\n  end to end  p50 ",
        " of 8 by chains/s × (mean time + 20.0 ms of think time)",
        "session.p99>1ns",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[test]
fn an_order_that_is_another_or_forgotten_fails_when_it_is_read_back() {
    for fault in ["repeats-id", "loses-orders"] {
        // It strikes once all chains were sent before the load, with two GETs each.
        let fixture = Fixture::start(&["--fault", fault, "--fault-after", "4097"]);
        let json = program::json(1, command(fixture.addr, &[]));
        let session = &json["session"];
        let failed = |step: &str| session["failed"][step].as_u64().unwrap();
        assert_eq!((failed("place"), failed("list")), (0, 0), "{json:#}");
        assert!(failed("read back") > 0, "{json:#}");
        let kind = match fault {
            "repeats-id" => "body",
            _ => "status",
        };
        assert_eq!(
            json["errors"][kind], session["failed"]["read back"],
            "{json:#}"
        );
        let first = json["first_error"].as_str().unwrap();
        assert!(first.contains("in step read back with order = "), "{first}");
    }
    // Before the load it is an error with the step.
    let fixture = Fixture::start(&["--fault", "loses-orders"]);
    let text = program::said(1, command(fixture.addr, &[]));
    assert!(
        text.contains("step read back, GET /api/v1/orders/{order} returned status 404"),
        "{text}"
    );
}

#[test]
fn what_a_session_can_not_be_is_refused_before_anything_is_sent() {
    let server = pong();
    for (more, words) in [
        (&["-r", "10"][..], "cannot be used with"),
        (&["-n", "10"], "cannot be used with"),
        (&["--close"], "cannot be used with"),
        (
            &["--fail-if", "session.p98>1s"],
            "did you mean \"session.p9",
        ),
    ] {
        let mut refused = harness(&["drive", "--session", ORDER]);
        refused.args(more).arg(format!("http://{}", server.addr));
        let text = program::said(2, refused);
        assert!(text.contains(words), "{more:?}: {words:?} is not in {text}");
    }
    let url = format!("http://{}/", server.addr);
    let text = program::said(2, harness(&["drive", "--fail-if", "session.p99>1s", &url]));
    assert!(text.contains("name a file with --session"), "{text}");
    let text = program::said(2, harness(&["drive", "--find", "session.p99<1s", &url]));
    assert!(text.contains("only sent by drive --session"), "{text}");
    let text = program::said(2, harness(&["drive", "--workload", ORDER, &url]));
    assert!(text.contains("drive --session"), "{text}");
    assert_eq!(server.seen(), 0);
}
