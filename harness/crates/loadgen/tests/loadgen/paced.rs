//! The open loop over real sockets.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::load_server::*;
use loadgen::Config;

over_each_engine!(
    as_many_are_sent_as_asked_for,
    send_times_are_shared_by_two_threads,
    a_stall_is_charged_to_every_request_that_waited,
    what_an_overloaded_server_leaves_over_is_counted,
    a_server_that_never_answers_leaves_its_requests_unsent,
    a_limit_leaves_nothing_unsent,
);

fn as_many_are_sent_as_asked_for() {
    let server = TestServer::says(&response("200 OK", PONG));
    for (connections, per_second, asked) in [(4, 1000.0, 300), (7, 333.0, 100), (1, 10.0, 3)] {
        let before = server.seen();
        let config = Config {
            connections,
            warmup: Duration::from_millis(100),
            ..paced(server.addr, per_second)
        };
        let m = measure(&config, &ping());
        let sent = (per_second * 0.4_f64).ceil() as u64;
        assert_eq!(m.asked, asked);
        assert_eq!(m.sent_total + m.unsent, sent);
        assert_eq!(m.sent_total, server.seen() - before);
        assert_eq!((m.errors_total(), m.unanswered), (0, 0));
        assert!(m.send_lag.len() <= m.sent_total && !m.send_lag.is_empty());
    }
}

fn send_times_are_shared_by_two_threads() {
    let server = TestServer::says(&response("200 OK", PONG));
    let config = Config {
        connections: 5,
        cpus: vec![0, 0],
        ..paced(server.addr, 500.0)
    };
    let m = measure(&config, &ping());
    assert_eq!((m.asked, m.sent_total + m.unsent), (150, 150));
    assert_eq!(m.errors_total(), 0);
    assert!(m.threads.iter().all(|t| t.spin_ns > 0));
}

fn a_stall_is_charged_to_every_request_that_waited() {
    // Longer than a busy machine keeps any thread from its CPU.
    let stall = Duration::from_secs(1);
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let arrived = arrivals.clone();
    let server = TestServer::start(move |n, _| {
        arrived.lock().unwrap().push(Instant::now());
        let mut acts = vec![Act::Write(response("200 OK", PONG).into())];
        if n == 10 {
            acts.insert(0, Act::Sleep(stall));
        }
        acts
    });
    let interval = Duration::from_millis(5);
    let config = Config {
        connections: 1,
        duration: Duration::from_secs(2),
        ..paced(server.addr, 1.0 / interval.as_secs_f64())
    };
    let m = measure(&config, &ping());
    assert_eq!(m.errors_total(), 0);
    let ns = stall.as_nanos() as u64;
    assert!(m.latency.max() >= ns);
    let late = m.latency.count_between(ns / 2, u64::MAX) as usize;
    // The server knows when each request came. On one connection a request is answered after it came and before the
    // next one comes, so how late both came bounds its latency, whatever else the machine held up.
    let arrivals = arrivals.lock().unwrap();
    let due = (0..).map(|n| interval * n);
    let lag = |(&at, due): (&Instant, Duration)| {
        (at - arrivals[0]).as_nanos() as i64 - due.as_nanos() as i64
    };
    let least = arrivals.iter().zip(due.clone()).map(lag).min().unwrap();
    let over = |(at, due): (&Instant, Duration)| lag((at, due)) - least > ns as i64 / 2;
    let came = arrivals
        .iter()
        .zip(due.clone())
        .filter(|&(at, due)| over((at, due)))
        .count();
    let next_came = arrivals
        .iter()
        .skip(1)
        .zip(due)
        .filter(|&(at, due)| over((at, due)))
        .count();
    // Two more or less: the first request's own delay, and the width of the histogram's buckets.
    assert!(
        (came.saturating_sub(2)..=next_came + 2).contains(&late),
        "{late}, not {came} to {next_came}"
    );
    assert!(late > 50, "{late}");
    // On the wire one request was slow, and the driver itself was not late.
    assert_eq!(m.wire.count_between(ns / 2, u64::MAX), 1);
    assert!(m.send_lag.max() < ns / 2);
}

fn what_an_overloaded_server_leaves_over_is_counted() {
    let server = TestServer::start(|_, _| {
        vec![
            Act::Sleep(Duration::from_millis(20)),
            Act::Write(response("200 OK", PONG).into()),
        ]
    });
    let config = Config {
        connections: 2,
        ..paced(server.addr, 1000.0)
    };
    let m = measure(&config, &ping());
    assert_eq!(m.asked, 300);
    assert_eq!(m.sent_total + m.unsent, 300);
    assert!(m.unsent > 200, "{}", m.unsent);
    assert!(m.latency.max() > 2 * m.wire.max());
    assert_eq!(m.unanswered, 0);
}

fn a_server_that_never_answers_leaves_its_requests_unsent() {
    let server = TestServer::start(|_, _| vec![Act::Hang]);
    let config = Config {
        timeout: Duration::from_millis(100),
        ..paced(server.addr, 100.0)
    };
    let m = measure(&config, &ping());
    assert_eq!(m.sent_total + m.unsent, 30);
    assert_eq!(m.errors["timeout"] + m.unanswered, m.sent_total);
    assert!(m.latency.min() >= 99_900_000);
}

fn a_limit_leaves_nothing_unsent() {
    let server = TestServer::says(&response("200 OK", PONG));
    let config = Config {
        limit: Some(50),
        duration: Duration::from_secs(300),
        ..paced(server.addr, 1000.0)
    };
    let m = measure(&config, &ping());
    assert_clean(&m);
    assert_eq!((m.requests, m.asked, m.unsent), (50, 50, 0));
    assert!(m.window < Duration::from_secs(200));
}
