//! The whole pipeline over real servers, good and deliberately broken.

use crate::cli::support::{Bench, fixture};

/// Long enough for any machine to make the 1,000 requests at which the faults below strike. The check, which
/// starts a second process to stop it under load, makes far fewer of that one.
const LONG: [&str; 4] = ["--duration", "5s", "--stage", "peak"];

#[test]
fn a_right_server_gets_its_rows() {
    let run = Bench::new()
        .with("right", &[])
        .bench_checked(&["--rounds", "3"]);
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    let rows = run.record["summary"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "peak and paced: {rows:?}");
    for row in rows {
        assert_ne!(row["verdict"], "failed", "{row}");
        assert!(row["requests_per_s"]["median"].as_f64().unwrap() > 0.0);
        assert_eq!(row["latency_p99_us"]["n"], 3);
    }
    assert!(run.stdout.contains("right"), "{}", run.stdout);
    let check = &run.record["servers"][0]["check"];
    assert_eq!(
        (&check["lost_at_stop"], &check["sent_at_stop"]),
        (&0.into(), &64.into())
    );
    assert!(run.stdout.contains("0/64"), "{}", run.stdout);
}

#[test]
fn orders_and_pages_pass_too() {
    let run = Bench::new()
        .with("right", &[])
        .bench(&["--workload", "mixed", "--stage", "peak"]);
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn a_wrong_body_is_refused() {
    let run = Bench::new()
        .with("bad", &["--fault", "wrong-body"])
        .bench(&[]);
    run.assert_failed("bad", "expected");
}

#[test]
fn a_wrong_status_is_refused() {
    let run = Bench::new()
        .with("bad", &["--fault", "wrong-status"])
        .bench(&[]);
    run.assert_failed("bad", "500");
}

#[test]
fn a_slow_first_byte_is_refused() {
    let run = Bench::new()
        .with("bad", &["--fault", "slow-first-byte"])
        .bench(&[]);
    run.assert_failed("bad", "first byte");
}

#[test]
fn a_server_that_exits_under_load_is_refused() {
    let bench = Bench::new().turning("bad", "--fault exits-under-load --fault-after 1000");
    let run = bench.bench(&LONG);
    run.assert_failed("bad", "ended");
}

#[test]
fn a_server_that_never_gets_ready_is_refused() {
    let bench = Bench::new().with("bad", &["--fault", "never-ready"]);
    bench
        .bench(&["--ready-timeout", "1s"])
        .assert_failed("bad", "no valid response");
}

#[test]
fn a_server_that_ends_at_once_is_refused() {
    let bench = Bench::new().with("bad", &["--fault", "exits-at-start"]);
    bench.bench(&[]).assert_failed("bad", "before it answered");
}

#[test]
fn a_server_that_leaks_connections_is_refused() {
    let run = Bench::new()
        .with("bad", &["--fault", "leaks-connections"])
        .bench(&[]);
    run.assert_failed("bad", "leaks connections");
}

#[test]
fn a_server_that_hangs_is_refused() {
    let bench = Bench::new().turning("bad", "--fault hangs --fault-after 1000");
    let run = bench.bench(&[&LONG[..], &["--timeout", "1s"]].concat());
    run.assert_failed("bad", "timeout");
}

#[test]
fn a_server_that_is_sometimes_wrong_is_refused() {
    let run = Bench::new()
        .turning("bad", "--fault wrong-under-load --fault-after 50")
        .bench(&LONG);
    run.assert_failed("bad", "body");
}

#[test]
fn a_server_that_ignores_sigterm_is_refused() {
    let run = Bench::new().with("bad", &["--fault", "lingers"]).bench(&[]);
    // It ignores SIGINT too, which is tried first.
    run.assert_failed("bad", "stop-interrupt");
}

#[test]
fn a_server_that_leaks_its_port_is_refused() {
    let run = Bench::new()
        .with("bad", &["--fault", "leaves-child"])
        .bench(&[]);
    run.assert_failed("bad", "leaks its port");
}

#[test]
fn a_server_that_does_not_build_is_a_row_and_the_others_go_on() {
    let script =
        "echo Compiling; echo 'error: no such header' >&2; echo ' --> src/main.rs:1:1'; exit 3";
    let build = ["sh", "-c", script];
    let lines = format!("run = [\"./none\", \"{{addr}}\"]\nbuild = {build:?}");
    let bench = Bench::new().with("right", &[]).with_manifest("bad", &lines);
    let run = bench.bench(&[]);
    run.assert_failed("bad", "does not build: error: no such header");
    assert!(
        run.stderr.contains("error: no such header"),
        "{}",
        run.stderr
    );
    for (verdict, reasons) in run.rows("right") {
        assert_ne!(verdict, "failed", "{reasons}");
    }
    for file in ["table.md", "report.html"] {
        let text = std::fs::read_to_string(bench.out().join(file)).unwrap();
        assert!(
            text.contains("does not build: error: no such header"),
            "{file}"
        );
    }
}

#[test]
fn a_program_that_is_not_there_is_refused() {
    let run = Bench::new()
        .with_manifest("bad", "run = [\"./none\", \"{addr}\"]")
        .bench(&[]);
    run.assert_failed("bad", "No such file");
}

#[test]
fn a_missing_toolchain_is_named_with_how_to_install_it() {
    let run = "run = [\"./none\", \"{addr}\"]\ninstall = \"apt-get install it\"";
    let requiring = |what: &str| {
        let lines = format!("{run}\nrequires = [\"sh\", \"/tmp\", \"{what}\"]");
        Bench::new()
            .with_manifest("bad", &lines)
            .with("right", &[])
            .bench(&["--stage", "peak"])
    };
    for what in ["no-such-command", "/no/such/library"] {
        let run = requiring(what);
        run.assert_failed(
            "bad",
            &format!("{what} is not installed: apt-get install it"),
        );
        assert_eq!(run.rows("right").len(), 1);
    }
}

#[test]
fn a_partial_server_has_rows_of_its_workloads_only() {
    let fixture = fixture().display().to_string();
    let command = [&fixture, "--addr", "{addr}", "--fault", "wrong-price"];
    let lines = format!("run = {command:?}\nworkloads = [\"ping\"]");
    let run = Bench::new()
        .with_manifest("some", &lines)
        .with("right", &[])
        .bench_checked(&["--workload", "users", "--stage", "peak"]);
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.rows("right").len(), 2);
    let rows = run.rows("some");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_ne!(rows[0].0, "failed", "{}", rows[0].1);
    assert!(run.stdout.contains("some (partial)"), "{}", run.stdout);
    let [some, right] = [0, 1].map(|server| &run.record["servers"][server]["check"]["total"]);
    assert!(some.as_u64() < right.as_u64(), "{some} of {right}");
}

#[test]
fn a_partial_server_of_an_unknown_workload_is_refused() {
    let command = [&fixture().display().to_string(), "--addr", "{addr}"];
    let lines = format!("run = {command:?}\nworkloads = [\"pong\"]");
    let bench = Bench::new().with_manifest("some", &lines);
    let run = bench.bench(&[]);
    assert_eq!(run.status, Some(2), "{}", run.stderr);
    let expected =
        "some: `workloads` in its server.toml: no workload \"pong\"; did you mean \"ping\"?";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn a_server_that_lacks_a_route_has_no_rows_of_its_workload() {
    let fixture = fixture().display().to_string();
    let command = [&fixture, "--event-loop", "--addr", "{addr}"];
    let lines = format!("run = {command:?}\nlacks = [\"wait\"]");
    let run = Bench::new()
        .with_manifest("some", &lines)
        .with("right", &["--event-loop"])
        .bench(&["--workload", "wait", "--stage", "peak"]);
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    assert_eq!(run.rows("right").len(), 2);
    let rows = run.rows("some");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_ne!(rows[0].0, "failed", "{}", rows[0].1);
    // 8 connections and 15 ms; responses come in bursts, of which a slice may hold one more.
    let trials = run.record["trials"].as_array().unwrap();
    let wait = trials.iter().find(|trial| trial["workload"] == "wait");
    let figures = &wait.unwrap()["figures"];
    let rate = figures["requests_per_s"].as_f64().unwrap();
    assert!(rate <= 1.2 * 8.0 / 0.015, "{rate} requests/s");
    let p50 = figures["latency_p50_us"].as_f64().unwrap();
    assert!(p50 >= 15_000.0, "{p50} µs");
}

#[test]
fn a_server_may_lack_only_some_routes() {
    let command = [&fixture().display().to_string(), "--addr", "{addr}"];
    let lines = format!("run = {command:?}\nlacks = [\"waits\"]");
    let run = Bench::new().with_manifest("some", &lines).bench(&[]);
    assert_eq!(run.status, Some(2), "{}", run.stderr);
    let expected = "some: `lacks` in its manifest: no route \"waits\"; did you mean \"wait\"?";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn a_partial_server_is_refused_by_commands_that_need_every_route() {
    let command = [&fixture().display().to_string(), "--addr", "{addr}"];
    let lines = format!("run = {command:?}\nworkloads = [\"ping\"]");
    let bench = Bench::new().with_manifest("some", &lines);
    for command in ["protocol", "fairness", "fuzz"] {
        let output = bench.command(command, &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        let expected = "some serves only some workloads";
        assert!(said.contains(expected), "{command}: {said}");
    }
}

#[test]
fn the_others_go_on() {
    let run = Bench::new()
        .with("right", &[])
        .with("bad", &["--fault", "wrong-status"])
        .bench(&["--stage", "peak"]);
    run.assert_failed("bad", "500");
    let rows = run.rows("right");
    assert_eq!(rows.len(), 1);
    assert_ne!(rows[0].0, "failed", "{}", rows[0].1);
}

#[test]
fn a_record_holds_no_path_of_this_machine() {
    let bench = Bench::new()
        .with("right", &[])
        .with("bad", &["--fault", "wrong-status"]);
    let run = bench.bench(&["--stage", "peak"]);
    let text = run.record.to_string();
    let home = std::env::var("HOME").unwrap_or_else(|_| "/nonexistent".to_owned());
    for path in [
        bench.dir.path().to_str().unwrap(),
        env!("CARGO_MANIFEST_DIR"),
        &format!("{home}/"),
    ] {
        assert!(!text.contains(path), "{path} is in the record");
    }
}
