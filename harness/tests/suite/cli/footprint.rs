//! `harness footprint` over fixtures whose memory and threads are known.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::cli::support::Bench;

/// Flags of one that is over in seconds.
const SHORT: [&str; 10] = [
    "--starts",
    "3",
    "--requests",
    "500",
    "--workload",
    "ping",
    "--open",
    "10,100",
    "--rest",
    "100ms",
];

/// Runs it; returns what it printed and `footprint.json`.
fn footprint(bench: &Bench) -> (Output, Value) {
    let mut command = bench.command("footprint", &SHORT);
    let output = command.arg("--out").arg(bench.out()).output().unwrap();
    let text = fs::read_to_string(bench.out().join("footprint.json"));
    let text = text.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, serde_json::from_str(&text).unwrap())
}

fn server<'j>(json: &'j Value, name: &str) -> &'j Value {
    let mut all = json["servers"].as_array().unwrap().iter();
    all.find(|server| server["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {json}"))
}

fn with_open(server: &Value, connections: u64, figure: &str) -> f64 {
    let mut all = server["open"].as_array().unwrap().iter();
    let step = all.find(|step| step["connections"] == connections);
    step.and_then(|step| step["figures"][figure].as_f64())
        .unwrap_or_else(|| panic!("no {figure} at {connections} in {server}"))
}

#[test]
fn planted_threads_and_growth_show() {
    let bench = Bench::new()
        .with("threads", &[])
        .with("loops", &["--event-loop"])
        .with("leaks", &["--event-loop", "--fault", "leaks-memory"]);
    let (output, json) = footprint(&bench);
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    // A thread for each connection, with a stack; and its socket twice.
    let threads = server(&json, "threads");
    let added = |server: &Value, figure: &str| {
        with_open(server, 100, figure) - with_open(server, 0, figure)
    };
    assert_eq!(added(threads, "threads"), 100.0, "{threads}");
    assert_eq!(added(threads, "descriptors"), 200.0, "{threads}");
    if threads["absent"].get("stack_bytes").is_none() {
        let stack = with_open(threads, 100, "connection_stack_bytes");
        assert!((4e3..1e6).contains(&stack), "{threads}");
    }
    let loops = server(&json, "loops");
    assert_eq!(added(loops, "threads"), 0.0, "{loops}");

    // 64 KiB for each request: of a load, and of each connection's one.
    let growth = |server: &Value| {
        server["figures"]["rss_growth_per_100k_requests_bytes"]
            .as_f64()
            .unwrap()
    };
    let planted = 65_536.0;
    let leaks = server(&json, "leaks");
    let each = growth(leaks) / 1e5 / planted;
    assert!((0.95..1.2).contains(&each), "{each} of what was planted");
    assert!(growth(loops) / 1e5 < 0.1 * planted, "{loops}");
    let each = with_open(leaks, 100, "connection_heap_bytes") / planted;
    assert!((0.95..1.3).contains(&each), "{each} of what was planted");
    let figure = |name: &str| leaks["figures"][name].as_f64().unwrap();
    assert!(figure("rss_peak_bytes") >= figure("rss_after_bytes"));
    assert!(figure("rss_after_bytes") - figure("rss_idle_bytes") > 500.0 * planted);

    for figures in json["servers"].as_array().unwrap() {
        assert_eq!(figures["start_ms"].as_array().unwrap().len(), 3);
        let ids = figures["figures"].as_object().unwrap().keys();
        let open = figures["open"].as_array().unwrap().iter();
        for id in ids.chain(open.flat_map(|step| step["figures"].as_object().unwrap().keys())) {
            assert!(record::figure::footprint(id).is_some(), "{id}");
        }
        // It is in no workspace.
        assert!(figures["absent"].get("glue_lines").is_some(), "{figures}");
    }

    let printed = String::from_utf8_lossy(&output.stdout);
    for words in [
        "start p95, ms",
        "100 open: threads",
        "growth/100k requests, KiB",
        "leaks",
    ] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    let page = fs::read_to_string(bench.out().join("footprint.md")).unwrap();
    assert!(page.contains("](<footprint.svg>)"), "{page}");
    let chart = fs::read_to_string(bench.out().join("footprint.svg")).unwrap();
    let chart = roxmltree::Document::parse(&chart).unwrap();
    let texts: Vec<&str> = chart.descendants().filter_map(|node| node.text()).collect();
    for name in ["threads", "loops", "leaks", "open connections"] {
        assert!(texts.contains(&name), "{name}: {texts:?}");
    }
    // Shown again, without starting anything.
    let again = Bench::new()
        .command("footprint", &["--from"])
        .arg(bench.out())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&again.stdout), printed);
}

#[test]
fn a_server_that_keeps_no_connections_open_says_so() {
    let bench = Bench::new()
        .with("closes", &["--fault", "closes-each"])
        .with("exits", &["--fault", "exits-at-start"]);
    let (output, json) = footprint(&bench);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let closes = server(&json, "closes");
    assert!(closes["figures"]["start_p50_ms"].is_f64(), "{closes}");
    let refused = closes["open"][1]["refused"].as_str().unwrap();
    assert!(refused.contains("closes after each response"), "{refused}");
    let exits = server(&json, "exits");
    let reason = exits["failure"]["reason"].as_str().unwrap();
    assert!(reason.contains("with status 3"), "{reason}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("no figures at 10 open connections"),
        "{printed}"
    );
    assert!(printed.contains("exits: failed to boot"), "{printed}");
}

#[test]
fn a_wrong_flag_starts_nothing() {
    let bench = Bench::new().with("right", &[]);
    for (flags, words) in [
        (&["--open", "0"][..], "--open"),
        (&["--workload", "nothing"], "no workload \"nothing\""),
        (&["--from", "no-such-folder"], "no-such-folder"),
    ] {
        let output = bench.command("footprint", flags).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {told}");
        assert!(told.contains(words), "{flags:?}: {told}");
    }
}
