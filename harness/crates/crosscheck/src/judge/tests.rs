//! From a record to its tables.

use super::*;
use record::{Ended, LatencyReading, ProcessCost, Reading, SendLag, SyscallRun, Syscalls};

fn drive(round: u32, tool: &str, rate: f64, cpu_us: u64) -> Drive {
    let latency = LatencyReading {
        mean_ns: Some(64.0 / rate * 1e9),
        points_ns: BTreeMap::from([("p50".to_owned(), 5e5), ("p99".to_owned(), 9e5)]),
        resolution_ns: 1.0,
    };
    Drive {
        round,
        position: round,
        server: "a".to_owned(),
        tool: tool.to_owned(),
        connections: 64,
        started_unix_ns: 0,
        process: Some(ProcessCost {
            wall_ns: 1_000_000_000,
            user_ns: cpu_us * 250_000,
            system_ns: cpu_us * 750_000,
        }),
        accepted_connections: Some(64),
        reading: Some(Reading {
            requests: 1_000,
            requests_per_s: rate,
            errors: BTreeMap::new(),
            reconnects: None,
            latency,
            send_lag_p99_ns: None,
            busy_ratio: None,
        }),
        failure: None,
        command: Vec::new(),
        output: String::new(),
    }
}

fn record(drives: Vec<Drive>) -> Crosscheck {
    let tool = |name: &str| record::ToolRecord {
        name: name.to_owned(),
        ours: name == "epoll",
        version: None,
        left_out: None,
    };
    Crosscheck {
        schema_version: record::CROSSCHECK_SCHEMA_VERSION,
        id: String::new(),
        started_at: String::new(),
        ended: Ended::Complete,
        harness_version: String::new(),
        revision: None,
        command: Vec::new(),
        seed: 1,
        rounds: 5,
        duration_ms: 1_000,
        rate_per_s: None,
        path: "/ping".to_owned(),
        connections: vec![16, 64],
        environment: record::Environment::default(),
        tools: vec![tool("epoll"), tool("wrk"), tool("hey")],
        servers: vec![record::Driven {
            name: "a".to_owned(),
            upstream_version: None,
            sha256: None,
            failure: None,
        }],
        drives,
        syscalls: Vec::new(),
        send_lags: Vec::new(),
        accuracy: Vec::new(),
    }
}

#[test]
fn ratios_are_taken_within_rounds() {
    // Rounds differ by a factor of 2, tools by a quarter in each.
    let rounds = [1e5, 2e5, 1.5e5, 1.2e5, 1.8e5];
    let mut drives = Vec::new();
    for (round, rate) in (1..).zip(rounds) {
        drives.push(drive(round, "epoll", rate * 1.25, 400));
        drives.push(drive(round, "wrk", rate, 500));
    }
    let tables = tables(&record(drives));
    let [table] = &tables[..] else {
        panic!("one table: at 16 connections nothing was driven; {tables:#?}");
    };
    let tools: Vec<&str> = table.rows.iter().map(|row| row.tool.as_str()).collect();
    assert_eq!(tools, ["epoll", "wrk"]);
    let [pair] = &table.pairs[..] else { panic!() };
    let rate = pair.ratios[&ToolFigure::RequestsPerS];
    assert!((rate.median - 1.25).abs() < 1e-9 && rate.sure && rate.differs == 1);
    let cpu = pair.ratios[&ToolFigure::CpuPerRequest];
    assert!((cpu.median - 0.8).abs() < 1e-9, "{cpu:?}");
    assert!(pair.goal.unwrap().met);
    // 400 ms of CPU over 1,000 requests.
    assert!((table.rows[0].figures[&ToolFigure::CpuPerRequest] - 400_000.0).abs() < 1e-6);
    assert!((table.rows[0].little_ratio.unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(table.rows[0].further_connections, Some(0));
}

#[test]
fn a_failed_drive_has_no_figure_and_its_round_no_ratio() {
    let mut failed = drive(2, "wrk", 1.0, 1);
    failed.reading = None;
    failed.failure = Some("it hung".to_owned());
    let drives = vec![
        drive(1, "epoll", 1e5, 400),
        drive(2, "epoll", 9e5, 400),
        drive(1, "wrk", 1e5, 400),
        failed,
    ];
    let table = &tables(&record(drives))[0];
    let rate = table.pairs[0].ratios[&ToolFigure::RequestsPerS];
    assert_eq!((rate.n, rate.median, rate.sure), (1, 1.0, false));
    assert_eq!((rate.low, rate.high), (1.0, 1.0));
    assert!(table.remarks[0].contains("it hung"), "{:?}", table.remarks);
}

#[test]
fn calls_are_the_difference_of_two_runs() {
    let run = |requests, sends, opens| SyscallRun {
        requests,
        calls: BTreeMap::from([("sendto".to_owned(), sends), ("openat".to_owned(), opens)]),
    };
    let mut record = record(Vec::new());
    record.syscalls.push(Syscalls {
        server: "a".to_owned(),
        tool: "epoll".to_owned(),
        connections: 64,
        runs: vec![run(100, 120, 30), run(1_100, 2_120, 30)],
        failure: None,
    });
    let calls = &calls_per_request(&record)[0];
    assert_eq!(calls.per_request, Some(2.0));
    assert_eq!(calls.by_name, [("sendto".to_owned(), 2.0)]);
    assert!(calls.goal.unwrap().met);
    record.syscalls[0].runs.pop();
    assert_eq!(calls_per_request(&record)[0].per_request, None);
}

#[test]
fn a_tool_is_not_judged_by_a_server_that_was_disturbed() {
    let mut record = record(Vec::new());
    let by_name = |values: [f64; 2]| {
        let names = ["p50".to_owned(), "max".to_owned()];
        names.into_iter().zip(values).collect::<BTreeMap<_, _>>()
    };
    let mut reading = drive(1, "epoll", 1e3, 1).reading.unwrap();
    reading.latency.points_ns = by_name([1.01e7, 4.1e7]);
    for given in [[1e7, 4.08e7], [1.3e7, 4e7]] {
        record.accuracy.push(record::Accuracy {
            delay: "constant:10ms".to_owned(),
            tool: "epoll".to_owned(),
            ours: true,
            connections: 256,
            rate_per_s: Some(1e3),
            paper_ns: by_name([1e7, 1e7]),
            given_ns: by_name(given),
            reading: Some(reading.clone()),
            failure: None,
            output: String::new(),
        });
    }
    let known = known(&record);
    let [sound, disturbed] = &known[0].tools[..] else {
        panic!("{known:#?}");
    };
    assert!(!sound.disturbed && disturbed.disturbed);
    // The server itself caused the one late response.
    assert!(
        sound
            .points
            .iter()
            .filter_map(|p| p.goal)
            .all(|goal| goal.met)
    );
}

#[test]
fn a_lag_is_the_median_of_its_rounds() {
    let mut record = record(Vec::new());
    for (round, lag) in (1..).zip([70_000, 20_000, 30_000]) {
        let mut reading = drive(1, "epoll", 1e3, 1).reading.unwrap();
        reading.send_lag_p99_ns = Some(lag);
        record.send_lags.push(SendLag {
            server: "a".to_owned(),
            tool: "epoll".to_owned(),
            round,
            connections: 64,
            rate_per_s: 1e3,
            reading: Some(reading),
            failure: None,
            output: String::new(),
        });
    }
    let lags = lags(&record);
    assert_eq!(lags.len(), 1);
    assert_eq!(lags[0].p99_ns, Some((30_000.0, 20_000.0, 70_000.0)));
    assert!(lags[0].goal.unwrap().met);
}
