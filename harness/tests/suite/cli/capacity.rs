//! `harness capacity` over fixtures whose capacity is known.

use std::fs;

use serde_json::Value;

use crate::cli::support::Bench;

/// Flags of one that is over in seconds.
const SHORT: &str = "--workload ping --rounds 1 --duration 200ms --warmup 50ms --within 25% --max-trials 16 \
                     --connections 16 --workers 1";

fn server<'j>(json: &'j Value, name: &str) -> &'j Value {
    let mut all = json["servers"].as_array().unwrap().iter();
    all.find(|server| server["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {json}"))
}

#[test]
fn known_capacities_and_their_ratio_are_found() {
    // One request at a time, for 2 or 4 ms each: at most 500 and 250 a second.
    let bench = Bench::new()
        .with("fast", &["--event-loop", "--service-us", "2000"])
        .with("slow", &["--event-loop", "--service-us", "4000"]);
    let flags: Vec<&str> = SHORT.split_whitespace().collect();
    let mut command = bench.command("capacity", &flags);
    command
        .args(["--slo", "p99<200ms,errors=0"])
        .arg("--out")
        .arg(bench.out());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(bench.out().join("capacity.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let (fast, slow) = (server(&json, "fast"), server(&json, "slow"));
    let rate = |server: &Value| server["capacity"]["median"].as_f64().unwrap();
    // Nothing makes them faster; a busy machine makes them slower.
    assert!((200.0..600.0).contains(&rate(fast)), "{fast:#}");
    assert!((100.0..300.0).contains(&rate(slow)), "{slow:#}");
    let ratio = slow["ratio"]["median"].as_f64().unwrap();
    assert!((0.3..0.8).contains(&ratio), "{ratio}");

    let curve = fast["curve"].as_array().unwrap();
    let at = |share: f64, figure: &str| {
        let point = curve.iter().find(|point| point["share"] == share).unwrap();
        point["figures"][figure]["median"].as_f64().unwrap()
    };
    // Above its capacity it answers as many as it can, and its queue grows. A busy machine may halve one trial of 0.2 s.
    let above = [1.1, 1.2].map(|share| at(share, "requests_per_s"));
    assert!(above[0].max(above[1]) > 0.6 * rate(fast), "{curve:#?}");
    assert!(
        at(1.2, "latency_p99_us") > at(0.25, "latency_p50_us"),
        "{curve:#?}"
    );
    assert!(at(0.55, "cpu_us_per_request") > 0.0 && at(0.55, "rss_peak_bytes") > 1e5);
    for point in curve {
        for id in point["figures"].as_object().unwrap().keys() {
            assert!(record::figure::capacity(id).is_some(), "{id}");
        }
    }

    let page = fs::read_to_string(bench.out().join("capacity.md")).unwrap();
    for name in ["ping-capacity-latency.svg", "ping-capacity-goodput.svg"] {
        assert!(page.contains(&format!("](<{name}>)")), "{page}");
        assert!(
            fs::read_to_string(bench.out().join(name))
                .unwrap()
                .contains("fast")
        );
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("Capacity: ping, p99<200ms, errors=0"),
        "{printed}"
    );
    let stored = bench
        .command("capacity", &["--from"])
        .arg(bench.out())
        .output()
        .unwrap();
    assert_eq!(stored.stdout, output.stdout, "{stored:?}");
}

#[test]
fn what_can_not_be_measured_is_said() {
    let bench = Bench::new().with("right", &[]);
    for (verb, flags, status, words) in [
        ("capacity", "--slo p99", 2, "as in 'p99<10ms'"),
        (
            "capacity",
            "--slo p99<10ms --list --workload ping --rounds 2",
            0,
            "would measure right with ping: 2 rounds",
        ),
        (
            "bench",
            "--list --stage capacity",
            2,
            "use `harness capacity`",
        ),
    ] {
        let flags: Vec<&str> = flags.split_whitespace().collect();
        let output = bench.command(verb, &flags).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{text}");
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

#[test]
#[ignore = "slow: an overload takes 22 s"]
fn a_server_that_queues_recovers_from_an_overload() {
    let bench = Bench::new().with("queues", &["--event-loop", "--service-us", "1000"]);
    let flags: Vec<&str> = SHORT.split_whitespace().collect();
    let mut command = bench.command("capacity", &flags);
    command.args(["--slo", "p99<200ms", "--no-curve", "--overload"]);
    let output = command.arg("--out").arg(bench.out()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read_to_string(bench.out().join("capacity.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let overload = &server(&json, "queues")["rounds"][0]["overload"];
    assert_eq!(overload["verdict"], "queues", "{overload:#}");
    // A thousand connections wait for one worker, each for about a second.
    assert!(
        overload["wire_p99_us"].as_f64().unwrap() > 3e5,
        "{overload:#}"
    );
    assert!(
        overload["recovered_ms"].as_f64().unwrap() < 10_000.0,
        "{overload:#}"
    );
    // Its time series holds what it answered, and is drawn.
    let begin = overload["before_ms"].as_u64().unwrap();
    let intervals = overload["intervals"].as_array().unwrap();
    let during = intervals.iter().filter(|interval| {
        let at = interval["at_ms"].as_u64().unwrap();
        (begin..begin + 10_000).contains(&at)
    });
    let valid: u64 = during.map(|i| i["requests"].as_u64().unwrap()).sum();
    let goodput = overload["goodput_per_s"].as_f64().unwrap();
    assert!(
        (valid as f64 / 10.0 / goodput - 1.0).abs() < 0.02,
        "{valid}"
    );
    assert!(begin >= 2_000 && intervals.len() >= 220, "{begin}");
    let chart = fs::read_to_string(bench.out().join("ping-overload.svg")).unwrap();
    assert!(chart.contains("% of capacity"), "{chart}");
}
