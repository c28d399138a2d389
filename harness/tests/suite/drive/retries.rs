//! `harness drive --retries` against servers that fail a known share of requests, and `--impair`.

use serde_json::Value;

use crate::drive::load_server::{Act, PONG, TestServer, response};
use crate::drive::program::{command, measured, pong, said};

/// Answers 503 to this share of the requests, at random but always the same ones.
fn failing(percent: u64) -> TestServer {
    TestServer::start(move |number, _| {
        // SplitMix64: successive numbers give independent results.
        let mut bits = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let status = match bits % 100 < percent {
            true => "503 Service Unavailable",
            false => "200 OK",
        };
        vec![Act::Write(response(status, PONG).into_bytes())]
    })
}

fn count(json: &Value, id: &str) -> u64 {
    let value = json["retries"][id].as_u64();
    value.unwrap_or_else(|| panic!("no {id} in {json:#}"))
}

#[test]
fn retries_amplify_load_as_the_closed_form_says() {
    let server = failing(30);
    let flags = ["-r", "3000", "-n", "3000", "-c", "8", "--retries", "2"];
    let json = measured(1, &flags, server.addr, "/ping");
    assert_eq!(count(&json, "first_attempts"), 3_000, "{json:#}");
    // 1 + p + p², with three standard deviations of 3,000 draws.
    let amplification = json["retries"]["amplification"].as_f64().unwrap();
    assert!((1.35..1.43).contains(&amplification), "{json:#}");
    // 1 - p³ of them succeed, and every other attempt is an error.
    let succeeded = count(&json, "succeeded");
    assert!((2_885..=2_955).contains(&succeeded), "{json:#}");
    let errors = json["errors"]["status"].as_u64().unwrap();
    assert_eq!(count(&json, "attempts"), succeeded + errors, "{json:#}");
}

#[test]
fn a_pause_spreads_retries_and_what_always_fails_is_tried_to_the_end() {
    let server = failing(100);
    let flags = ["-r", "400", "-n", "100", "-c", "4", "--retries", "3"];
    let paused = [&flags[..], &["--backoff", "exp:40ms"]].concat();
    let json = measured(1, &paused, server.addr, "/ping");
    assert_eq!(
        (count(&json, "attempts"), count(&json, "succeeded")),
        (400, 0),
        "{json:#}"
    );
    // The last request is due after 250 ms; its three pauses take 140 ms on average. More if the machine is busy.
    assert!(
        json["duration_ns"].as_u64().unwrap() > 260_000_000,
        "{json:#}"
    );
    let text = said(1, command(&flags, server.addr, "/ping"));
    assert!(
        text.contains("100 requests sent in 400 attempts (4.000 each), 0 valid"),
        "{text}"
    );
}

#[test]
fn retries_need_a_rate_and_a_backoff_needs_its_form() {
    let server = pong();
    for (flags, words) in [
        (&["--retries", "2"][..], "--retries needs --rate"),
        (&["-r", "9", "--retries", "0"], "--retries"),
        (
            &["-r", "9", "--retries", "1", "--backoff", "50ms"],
            "exp:50ms",
        ),
        (&["-r", "9", "--backoff", "exp:50ms"], "--retries"),
    ] {
        let text = said(2, command(flags, server.addr, "/ping"));
        assert!(text.contains(words), "{flags:?}: {text}");
    }
}

#[test]
fn a_drive_through_a_slow_network_has_its_round_trip() {
    let server = pong();
    let flags = ["-r", "100", "-d", "600ms", "-c", "8", "--impair", "wan"];
    let json = measured(0, &flags, server.addr, "/ping");
    assert_eq!(json["impair"]["delay_ns"], 20_000_000, "{json:#}");
    assert!(
        json["impair"]["bytes_to_client"].as_u64().unwrap() > 0,
        "{json:#}"
    );
    // 20 ms ± 2 ms each way.
    let p50 = json["latency_ns"]["p50"].as_f64().unwrap();
    assert!((36e6..200e6).contains(&p50), "{json:#}");
}
