//! The referee against small servers: right ones pass, and each wrong one is refused by the
//! check that is meant for it.
mod fixture;
mod mutants;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use referee::{AtStop, CheckOptions, CheckReport, Process, Stop, all, check, check_process, ids};

use crate::referee::fixture::{Fixture, command};

/// The check that fills the store takes seconds; only what concerns it runs it.
const LONG: &str = "orders-kept";

/// All checks but the long one. The limits on time are wide: these tests share the
/// machine with others.
fn most() -> CheckOptions {
    CheckOptions {
        only: ids().filter(|id| *id != LONG).map(str::to_owned).collect(),
        first_byte_limit: Duration::from_secs(1),
        seed: 5,
        fill_limit: Duration::from_secs(120),
        only_ping: false,
        lacks: Vec::new(),
    }
}

fn failed(report: &CheckReport) -> BTreeSet<&'static str> {
    report.failures().map(|failure| failure.id).collect()
}

fn shown(report: &CheckReport) -> String {
    report
        .failures()
        .map(|failure| {
            format!(
                "{}\n{}\n",
                failure.id,
                failure.outcome.as_ref().unwrap_err()
            )
        })
        .collect()
}

/// The fault is refused by these checks, whichever others it fails too.
fn is_refused(fault: &str, by: &[&str]) -> CheckReport {
    let fixture = Fixture::start(&["--fault", fault]);
    let report = check(fixture.addr(), &most());
    let failed = failed(&report);
    for id in by {
        assert!(
            failed.contains(id),
            "{fault} passes {id}; it fails {failed:?}"
        );
    }
    report
}

/// The fault is refused by these checks and no other.
fn is_refused_only(fault: &str, by: &[&str]) {
    let report = is_refused(fault, by);
    assert_eq!(
        failed(&report),
        by.iter().copied().collect(),
        "{}",
        shown(&report)
    );
}

fn passes(fault: &str) {
    let fixture = Fixture::start(&["--fault", fault]);
    let report = check(fixture.addr(), &most());
    assert_eq!(shown(&report), "", "{fault}");
}

fn passes_every_check(mut server: Fixture) {
    let options = CheckOptions {
        only: Vec::new(),
        ..most()
    };
    let report = check_process(&mut server, &options);
    assert_eq!(shown(&report), "");
    let made: Vec<_> = report.results.iter().map(|result| result.id).collect();
    assert_eq!(made, ids().collect::<Vec<_>>());
    assert!(report.first_byte.unwrap() > Duration::ZERO);
}

#[test]
fn a_right_server_passes_every_check() {
    passes_every_check(Fixture::start(&[]));
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_right_server_passes_whatever_the_seed() {
    for seed in [0, 6, u64::MAX] {
        let fixture = Fixture::start(&[]);
        let report = check(fixture.addr(), &CheckOptions { seed, ..most() });
        assert_eq!(shown(&report), "", "seed {seed}");
    }
}

#[test]
fn only_the_checks_asked_for_are_made() {
    let fixture = Fixture::start(&[]);
    let options = CheckOptions {
        only: vec!["orders-limited-concurrent".to_owned(), "ping".to_owned()],
        ..most()
    };
    let report = check(fixture.addr(), &options);
    let made: Vec<_> = report.results.iter().map(|result| result.id).collect();
    assert_eq!(made, ["ping", "orders-limited-concurrent"]);
    assert_eq!(shown(&report), "");
    assert_eq!(report.first_byte, None);
}

#[test]
fn a_server_of_ping_alone_is_checked_for_that() {
    let only_ping = || CheckOptions {
        only_ping: true,
        only: Vec::new(),
        ..most()
    };
    let mut fixture = Fixture::start(&["--fault", "wrong-price"]);
    let report = check_process(&mut fixture, &only_ping());
    assert_eq!(shown(&report), "");
    let of_group = |group: &str| -> Vec<&str> {
        let checks = all().iter().filter(|check| check.group == group);
        checks.map(|check| check.id).collect()
    };
    let made: Vec<_> = report.results.iter().map(|result| result.id).collect();
    let expected = [
        vec!["first-byte"],
        of_group("ping"),
        of_group("headers"),
        of_group("connection"),
        of_group("process"),
    ];
    assert_eq!(made, expected.concat());
    let fixture = Fixture::start(&["--fault", "wrong-status"]);
    assert!(failed(&check(fixture.addr(), &only_ping())).contains("ping"));
}

#[test]
fn a_route_that_a_server_lacks_is_not_checked() {
    let options = CheckOptions {
        lacks: vec!["wait".to_owned(), "upload".to_owned()],
        ..most()
    };
    let fixture = Fixture::start(&["--fault", "waits-too-short"]);
    let report = check(fixture.addr(), &options);
    assert_eq!(shown(&report), "");
    let made = |group: &str| {
        let of_group = |id: &&str| all().iter().any(|c| c.id == *id && c.group == group);
        let ids = report.results.iter().map(|result| result.id);
        ids.filter(of_group).count()
    };
    assert_eq!((made("wait"), made("upload")), (0, 0));
    assert!(made("download") > 0 && made("orders") > 0);
}

#[test]
fn a_failure_tells_request_answer_and_expectation() {
    let fixture = Fixture::start(&["--fault", "wrong-status"]);
    let options = CheckOptions {
        only: vec!["ping".to_owned()],
        ..most()
    };
    let report = check(fixture.addr(), &options);
    assert_eq!(
        report.results[0].outcome.as_ref().unwrap_err(),
        "sent: GET /ping\ngot:  500 {\"status\":\"ok\"}\nexpected: 200 {\"status\":\"ok\"}"
    );
}

#[test]
fn a_slow_first_byte_is_timed() {
    let fixture = Fixture::start(&["--fault", "slow-first-byte"]);
    let options = CheckOptions {
        only: vec!["first-byte".to_owned()],
        ..most()
    };
    let report = check(fixture.addr(), &options);
    assert!(report.first_byte.unwrap() >= Duration::from_millis(20));
}

#[test]
fn old_date() {
    is_refused_only("old-date", &["header-date", "header-date-moves"]);
}

#[test]
fn wrong_content_type() {
    is_refused_only("wrong-content-type", &["header-content-type"]);
}

#[test]
fn oversells() {
    is_refused_only(
        "oversells",
        &["orders-out-of-stock", "orders-limited-concurrent"],
    );
}

#[test]
fn no_allow() {
    let of_every_route = [
        "allow-header",
        "download-method",
        "upload-method",
        "compressed-method",
        "wait-method",
        "upstream-method",
    ];
    is_refused_only("no-allow", &of_every_route);
}

#[test]
fn a_server_that_never_answers_fails_the_rest_at_once() {
    let report = is_refused("never-ready", &["first-byte", "ping"]);
    assert_eq!(report.failures().count(), report.results.len());
    let last = report.results.last().unwrap().outcome.as_ref().unwrap_err();
    assert!(last.contains("server no longer responds"), "{last}");
}

#[test]
fn a_server_that_hangs_or_exits_half_way_fails_the_rest_at_once() {
    for fault in ["hangs", "exits-under-load"] {
        let fixture = Fixture::start(&["--fault", fault, "--fault-after", "300"]);
        let report = check(fixture.addr(), &most());
        assert!(
            report.results[1].outcome.is_ok(),
            "{fault}: {}",
            shown(&report)
        );
        let last = report.results.last().unwrap().outcome.as_ref().unwrap_err();
        assert!(
            last.contains("server no longer responds"),
            "{fault}: {last}"
        );
    }
}

#[test]
fn what_shows_only_under_load_or_at_the_end_passes() {
    for fault in [
        "exits-under-load",
        "hangs",
        "wrong-under-load",
        "leaks-connections",
        "lingers",
    ] {
        passes(fault);
    }
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_connection_closed_after_each_answer_passes_where_that_is_said() {
    passes("closes-each");
}

/// The ways in which the fixture can serve.
const WAYS: [&[&str]; 2] = [&[], &["--event-loop"]];

#[test]
fn the_fixture_ends_with_status_0_in_spite_of_idle_and_half_sent_connections() {
    for way in WAYS {
        let mut fixture = Fixture::start(way);
        let idle = TcpStream::connect(fixture.addr()).unwrap();
        let mut half_sent = TcpStream::connect(fixture.addr()).unwrap();
        half_sent
            .write_all(b"POST /api/v1/orders HTTP/1.1\r\nContent-Le")
            .unwrap();
        let mut arrived = TcpStream::connect(fixture.addr()).unwrap();
        arrived
            .write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        fixture.stop(Stop::Terminate).unwrap();
        let mut answer = String::new();
        arrived.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with(r#"{"status":"ok"}"#), "{way:?}: {answer}");
        assert!(fixture.ends_well(), "{way:?}");
        drop((idle, half_sent));
    }
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn an_event_loop_and_a_known_extra_cost_change_no_answer() {
    for way in [
        ["--event-loop", "--extra-instructions=20000"].as_slice(),
        &["--extra-instructions", "20000"],
    ] {
        let fixture = Fixture::start(way);
        let options = CheckOptions {
            only: Vec::new(),
            ..most()
        };
        let report = check(fixture.addr(), &options);
        assert_eq!(shown(&report), "", "{way:?}");
    }
}

#[test]
fn a_client_that_does_not_read_holds_up_no_other_of_its_event_loop() {
    const ASKED: usize = 1_000;
    let fixture = Fixture::start(&["--event-loop"]);
    // The answers, 13 KB each, are more than both sockets' buffers take.
    let mut greedy = TcpStream::connect(fixture.addr()).unwrap();
    let request = "GET /api/v1/users?limit=100 HTTP/1.1\r\nHost: x\r\n\r\n";
    greedy.write_all(request.repeat(ASKED).as_bytes()).unwrap();

    let mut other = TcpStream::connect(fixture.addr()).unwrap();
    other
        .write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(r#"{"status":"ok"}"#), "{answer}");

    greedy.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = String::new();
    greedy.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), ASKED);
    assert!(answers.ends_with(r#""total":10000}"#));
}

#[test]
fn the_fixture_says_what_is_wrong_with_its_flags_and_its_address() {
    let taken = Fixture::start(&[]);
    let addr = taken.addr().to_string();
    for (arguments, status, named) in [
        (["--addr", addr.as_str()], 1, addr.as_str()),
        (["--addr", "nowhere"], 2, "--addr"),
        (["--workers", "0"], 2, "--workers"),
        (["--fault", "none-such"], 2, "--fault"),
        (["--fault", "exits-at-start"], 3, "exits at start"),
    ] {
        let output = command().args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.lines().next().unwrap().contains(named), "{stderr}");
    }
}

#[test]
fn requests_lost_at_a_stop_are_counted_and_pass() {
    let stops: Vec<_> = ids().filter(|id| id.starts_with("stop-")).collect();
    assert_eq!(stops.len(), 4);
    let at_stop = |arguments: &[&str]| {
        let options = CheckOptions {
            only: stops.iter().map(ToString::to_string).collect(),
            ..most()
        };
        let report = check_process(&mut Fixture::start(arguments), &options);
        assert_eq!(shown(&report), "", "{arguments:?}");
        report.at_stop.unwrap()
    };
    assert_eq!(at_stop(&[]), AtStop { lost: 0, sent: 64 });
    assert_eq!(at_stop(&["--fault", "closes-each"]).sent, 64);
    let AtStop { lost, sent } = at_stop(&["--fault", "stops-at-once"]);
    assert_eq!(sent, 64);
    assert!(lost > 0, "it answers 20 ms late and ends at once");
}

#[test]
fn a_left_child_keeps_the_port() {
    let mut fixture = Fixture::start(&["--fault", "leaves-child"]);
    fixture.stop(Stop::Terminate).unwrap();
    assert!(fixture.ends_well());
    // The kernel still completes connections: the socket is open in the child.
    assert!(TcpStream::connect(fixture.addr()).is_ok());
}

#[test]
fn help_lists_the_faults_with_a_line_each() {
    let output = command().args(["--fault", "help"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.lines().count() >= 20, "{lines}");
    assert!(
        lines
            .lines()
            .all(|line| line.split_whitespace().count() > 2),
        "{lines}"
    );
}
