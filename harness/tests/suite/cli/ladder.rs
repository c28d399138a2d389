//! `harness ladder` over fixtures whose service time is known.

use std::fs;

use serde_json::Value;

use crate::cli::support::Bench;

/// Flags of one that is over in seconds.
const SHORT: &str = "--workload ping --rounds 1 --duration 400ms --warmup 100ms --fixed-connections 16 \
                     --fixed-workers 1";

/// A figure of a server's rungs, by ascending value.
fn figures(json: &Value, server: &str, factor: &str, figure: &str) -> Vec<f64> {
    let mut rows = json["servers"].as_array().unwrap().iter();
    let row = rows
        .find(|row| row["name"] == server && row["factor"] == factor)
        .unwrap_or_else(|| panic!("no {factor} of {server} in {json:#}"));
    let value = |rung: &Value| match figure {
        "efficiency" => rung["efficiency"]["median"].as_f64().unwrap(),
        id => {
            assert!(record::figure::ladder(id).is_some(), "{id}");
            rung["figures"][id]["median"].as_f64().unwrap()
        }
    };
    row["rungs"].as_array().unwrap().iter().map(value).collect()
}

#[test]
fn a_known_service_time_shows_on_every_ladder() {
    // One request at a time for 2 ms: at most 500 a second, over all threads or on each.
    let service = ["--event-loop", "--service-us", "2000"];
    let each = [&service[..], &["--service-per-worker"]].concat();
    let bench = Bench::new().with("one", &service).with("each", &each);
    let flags = format!("{SHORT} --connections 16,4 --workers 1,2 --rates 200,2000");
    let mut command = bench.command("ladder", &flags.split(' ').collect::<Vec<_>>());
    let output = command.arg("--out").arg(bench.out()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(bench.out().join("ladder.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();

    // Little's law: four times the connections, the same throughput, four times the latency.
    let rates = figures(&json, "one", "connections", "requests_per_s");
    let times = figures(&json, "one", "connections", "latency_p50_us");
    assert!((200.0..520.0).contains(&rates[0]), "{rates:?}");
    assert!((0.6..1.6).contains(&(rates[1] / rates[0])), "{rates:?}");
    assert!((2.4..6.5).contains(&(times[1] / times[0])), "{times:?}");
    for (connections, (rate, time)) in [4.0, 16.0].into_iter().zip(rates.iter().zip(&times)) {
        let in_flight = rate * time / 1e6;
        assert!(
            (0.6..1.6).contains(&(in_flight / connections)),
            "{rate} {time}"
        );
    }

    // A queue that all threads share doesn't scale; one on each does.
    let shared = figures(&json, "one", "workers", "efficiency");
    let own = figures(&json, "each", "workers", "efficiency");
    assert_eq!((shared[0], own[0]), (1.0, 1.0));
    assert!((0.3..0.75).contains(&shared[1]), "{shared:?}");
    assert!((0.75..1.5).contains(&own[1]), "{own:?}");

    // Below its capacity it keeps up; above, it answers as many as it can.
    let goodput = figures(&json, "one", "rates", "requests_per_s");
    let share = figures(&json, "one", "rates", "achieved_ratio");
    assert!((0.85..1.15).contains(&share[0]), "{share:?}");
    assert!((0.1..0.35).contains(&share[1]), "{share:?}");
    assert!((200.0..560.0).contains(&goodput[1]), "{goodput:?}");
    for (figure, least) in [("cpu_ratio", 0.0), ("rss_peak_bytes", 1e5)] {
        let values = figures(&json, "one", "rates", figure);
        assert!(values.iter().all(|value| *value > least), "{values:?}");
    }

    let page = fs::read_to_string(bench.out().join("ladder.md")).unwrap();
    for factor in ["connections", "workers", "rates"] {
        let name = format!("ping-ladder-{factor}.svg");
        assert!(page.contains(&format!("](<{name}>)")), "{page}");
        let svg = fs::read_to_string(bench.out().join(name)).unwrap();
        assert!(svg.contains("one") && svg.contains("each"), "{svg}");
    }
    let stored = bench
        .command("ladder", &["--from"])
        .arg(bench.out())
        .output();
    assert_eq!(stored.unwrap().stdout, output.stdout);
}

#[test]
fn what_would_be_measured_and_what_can_not_is_said() {
    let bench = Bench::new().with("right", &[]);
    for (flags, status, words) in [
        (
            "--list --workload ping --rounds 2 --workers 4,1,4",
            0,
            "workers 1, 4: would measure right with ping in 2 rounds of about",
        ),
        (
            "--list --server-cpus 0",
            0,
            "connections 16, 64, 256, 1,024: ",
        ),
        ("--rates 0", 2, "expected requests per second"),
        ("--connections 16,,64", 2, "--connections"),
    ] {
        let flags: Vec<&str> = flags.split(' ').collect();
        let output = bench.command("ladder", &flags).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[test]
fn more_connections_than_descriptors_are_refused() {
    let bench = Bench::new().with("right", &[]);
    let harness = bench.command("ladder", &["--connections", "16,500"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -n 300 && exec \"$@\"", "sh"]);
    shell.arg(harness.get_program()).args(harness.get_args());
    let output = shell.arg("--out").arg(bench.out()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("500 connections need 500 file descriptors, and the limit is 300"),
        "{text}"
    );
    assert!(!bench.out().exists());
}
