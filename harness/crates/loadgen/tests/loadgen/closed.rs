//! The closed loop over real sockets: right servers, wrong ones, and those that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::load_server::*;
use loadgen::{Config, Control, DriveError, Expect, Measurement, Request, Script, drive};

over_each_engine!(
    everything_is_counted_over_two_threads,
    a_thread_that_spins_does_not_sleep_while_it_waits,
    every_framing_is_understood,
    an_empty_answer_has_no_body,
    a_large_answer_comes_in_many_reads,
    a_large_request_goes_in_many_writes,
    a_connection_closed_with_its_answer_is_made_again,
    wrong_answers_are_errors_of_their_kind,
    an_error_in_the_warm_up_is_counted,
    every_hundredth_wrong_answer_is_found,
    a_server_that_never_answers_ends_the_run,
    a_timeout_enters_the_histogram_at_its_time,
    connections_closed_in_the_middle_are_errors,
    garbage_for_ever_ends_the_run,
    unasked_bytes_are_an_error,
    orders_are_counted_and_their_ids_are_distinct,
    a_repeated_id_is_found_across_threads,
    requests_are_drawn_from_the_whole_script,
    nobody_listening_is_named,
    a_stop_ends_the_run_with_what_was_measured,
    a_limit_is_kept_exactly_and_ends_the_window,
    a_limit_counts_requests_that_fail_too,
    any_success_can_be_expected,
);

fn errors(m: &Measurement) -> Vec<&'static str> {
    m.errors.keys().copied().collect()
}

fn everything_is_counted_over_two_threads() {
    let server = TestServer::says(&response("200 OK", PONG));
    let config = Config {
        connections: 7,
        cpus: vec![0, 0],
        warmup: Duration::from_millis(100),
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_clean(&m);
    assert_eq!(m.sent_total, server.seen());
    assert_eq!(server.connections.load(Ordering::SeqCst), 7);
    assert!(m.requests < m.answered_total, "the warm-up is left out");
    assert_eq!((m.reconnects, m.unsent, m.asked), (0, 0, 0));
    assert_eq!(m.window, config.duration);
    assert_eq!(m.intervals.len(), 3);
    assert_eq!(m.threads.len(), 2);
    for thread in &m.threads {
        assert!(thread.cpu_ns > 0 && thread.wall_ns >= thread.cpu_ns);
        assert_eq!(thread.spin_ns, 0);
    }
    // Little's law: requests in flight = throughput × mean latency.
    let in_flight = m.requests_per_s() * m.latency_mean_ns.unwrap() / 1e9;
    assert!((in_flight / 7.0 - 1.0).abs() < 0.3, "{in_flight}");
}

fn a_thread_that_spins_does_not_sleep_while_it_waits() {
    let slow = Duration::from_millis(20);
    let answer = move || {
        vec![
            Act::Sleep(slow),
            Act::Write(response("200 OK", PONG).into()),
        ]
    };
    let server = TestServer::start(move |_, _| answer());
    for spin in [false, true] {
        let before = server.seen();
        let config = Config {
            spin,
            ..config(server.addr)
        };
        let m = measure(&config, &ping());
        assert_eq!(
            (m.errors_total(), m.sent_total),
            (0, server.seen() - before)
        );
        assert!(m.requests > 0 && m.latency.min() >= slow.as_nanos() as u64 * 99 / 100);
        assert_eq!(m.threads[0].spin_ns > 0, spin);
    }
}

fn every_framing_is_understood() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   8\r\n{\"status\r\n7\r\n\":\"ok\"}\r\n0\r\n\r\n";
    let interim = format!(
        "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n{}",
        response("200 OK", PONG)
    );
    for text in [chunked, &interim] {
        let server = TestServer::says(text);
        let m = measure(&config(server.addr), &ping());
        assert_clean(&m);
        assert_eq!(m.sent_total, server.seen());
        assert_eq!(m.reconnects, 0);

        let text = text.as_bytes().to_vec();
        let server = TestServer::start(move |_, _| vec![Act::Drip(text.clone())]);
        assert_clean(&measure(&config(server.addr), &ping()));
    }
}

fn an_empty_answer_has_no_body() {
    let server = TestServer::says("HTTP/1.1 204 No Content\r\n\r\n");
    assert_clean(&measure(&config(server.addr), &script(Expect::Status(204))));
    let server = TestServer::says("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
    let head = Request {
        wire: b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n".to_vec(),
        expect: Expect::Status(200),
    };
    let script = Script::new(vec![head]).unwrap();
    assert_clean(&measure(&config(server.addr), &script));
}

fn a_large_answer_comes_in_many_reads() {
    let body = "x".repeat(3_000_000);
    let server = TestServer::says(&response("200 OK", &body));
    let expect = Expect::Body {
        status: 200,
        bytes: body.into_bytes(),
    };
    assert_clean(&measure(&config(server.addr), &script(expect)));
}

fn a_large_request_goes_in_many_writes() {
    let server = TestServer::says(&response("200 OK", PONG));
    let body = "y".repeat(8_000_000);
    let wire = format!(
        "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let request = Request {
        wire: wire.into_bytes(),
        expect: Expect::Status(200),
    };
    let config = Config {
        connections: 2,
        ..config(server.addr)
    };
    let m = measure(&config, &Script::new(vec![request]).unwrap());
    assert_eq!(m.errors_total(), 0, "{:?}", m.first_error);
    assert!(m.answered_total > 0);
}

fn a_connection_closed_with_its_answer_is_made_again() {
    let close = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{PONG}");
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{PONG}");
    for text in [close, until_close] {
        let server =
            TestServer::start(move |_, _| vec![Act::Write(text.clone().into_bytes()), Act::Close]);
        let m = measure(&config(server.addr), &ping());
        assert_clean(&m);
        assert_eq!(m.sent_total, server.seen());
        assert!(
            m.reconnects + 4 >= m.answered_total,
            "{} of {}",
            m.reconnects,
            m.answered_total
        );
    }
}

fn wrong_answers_are_errors_of_their_kind() {
    let body = response("200 OK", r#"{"status":"no"}"#);
    let status = response("500 Internal Server Error", PONG);
    let short = format!("HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{PONG}");
    let surplus = response("200 OK", PONG) + "HTTP/1.1 200 OK";
    for (text, kind, word) in [
        (body, "body", r#"{"status":"no"}"#),
        (status, "status", "got 500, 15 bytes"),
        (short, "body", "14 bytes"),
        (surplus, "protocol", "more bytes"),
        (
            "HTTP/1.1 2x0\r\n\r\n".to_owned(),
            "protocol",
            "HTTP/1.1 2x0",
        ),
        (
            format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(300_000)),
            "protocol",
            "256 KiB",
        ),
    ] {
        let server = TestServer::says(&text);
        let m = measure(&config(server.addr), &ping());
        assert_eq!(errors(&m), [kind], "{text:.60}: {:?}", m.first_error);
        assert_eq!((m.requests, m.answered_total, m.latency.len()), (0, 0, 0));
        let said = m.first_error.clone().unwrap();
        assert!(said.starts_with("GET /ping HTTP/1.1"), "{said}");
        assert!(said.contains(word), "{said}");
        assert!(
            said.contains(r#"expected 200, 15 bytes: {"status":"ok"}"#),
            "{said}"
        );
        let in_intervals: u64 = m.intervals.iter().map(|i| i.errors).sum();
        assert!(in_intervals > 0 && in_intervals <= m.errors_total());
    }
}

fn an_error_in_the_warm_up_is_counted() {
    let server = TestServer::start(|n, _| {
        let body = if n == 1 { "wrong" } else { PONG };
        vec![Act::Write(response("200 OK", body).into_bytes())]
    });
    let config = Config {
        warmup: Duration::from_millis(200),
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_eq!(m.errors["body"], 1);
    assert_eq!(m.intervals.iter().map(|i| i.errors).sum::<u64>(), 0);
}

fn every_hundredth_wrong_answer_is_found() {
    let wrong = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = wrong.clone();
    let server = TestServer::start(move |n, _| {
        let body = if n % 100 == 0 {
            counted.fetch_add(1, Ordering::SeqCst);
            r#"{"status":"OK"}"#
        } else {
            PONG
        };
        vec![Act::Write(response("200 OK", body).into_bytes())]
    });
    let m = measure(&config(server.addr), &ping());
    assert_eq!(m.errors["body"], wrong.load(Ordering::SeqCst));
    assert_eq!(m.answered_total + m.errors["body"], server.seen());
}

fn a_server_that_never_answers_ends_the_run() {
    let server = TestServer::start(|_, _| vec![Act::Hang]);
    let m = measure(&config(server.addr), &ping());
    assert_eq!((m.errors_total(), m.unanswered, m.requests), (0, 4, 0));
    assert_eq!((m.sent_total, m.unanswered_total), (4, 4));
}

fn a_timeout_enters_the_histogram_at_its_time() {
    let server = TestServer::start(|_, _| vec![Act::Hang]);
    let config = Config {
        timeout: Duration::from_millis(50),
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_eq!(errors(&m), ["timeout"]);
    assert!(m.latency.len() >= 4 && m.requests == 0);
    assert!(m.latency.equivalent(m.latency.min(), 50_000_000));
    assert!(m.wire.equivalent(m.wire.max(), 50_000_000));
    assert!(m.reconnects >= 4);
    assert!(m.first_error.unwrap().contains("no response in time"));
}

fn connections_closed_in_the_middle_are_errors() {
    let server = TestServer::start(|_, _| vec![Act::Close]);
    let m = measure(&config(server.addr), &ping());
    assert!(
        errors(&m).iter().all(|e| ["closed", "reset"].contains(e)),
        "{:?}",
        m.errors
    );
    assert_eq!(m.errors_total(), m.unanswered_total - m.unanswered);
    // Pauses keep a server that closes at once from spinning the run.
    assert!(m.sent_total > 4 && m.sent_total < 400, "{}", m.sent_total);

    let half = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{";
    let server = TestServer::start(move |_, _| vec![Act::Write(half.into()), Act::Close]);
    let m = measure(&config(server.addr), &ping());
    assert_eq!(errors(&m), ["closed"]);
    assert!(m.bytes_expected < m.bytes_received);
}

fn garbage_for_ever_ends_the_run() {
    for begin in [
        "",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let server = TestServer::start(move |_, _| {
            let mut acts = vec![Act::Write(begin.into())];
            acts.extend((0..2000).map(|_| Act::Write(vec![b'7'; 10_000])));
            acts
        });
        let begun = Instant::now();
        let m = measure(&config(server.addr), &ping());
        assert!(m.requests == 0 && m.unanswered_total > 0);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

fn unasked_bytes_are_an_error() {
    let server = TestServer::start(|_, _| {
        let more = Act::Write(b"unasked".to_vec());
        vec![
            Act::Write(response("200 OK", PONG).into()),
            Act::Sleep(Duration::from_millis(20)),
            more,
        ]
    });
    let m = measure(&paced(server.addr, 20.0), &ping());
    assert_eq!(errors(&m), ["protocol"]);
    assert!(
        m.first_error
            .unwrap()
            .contains("bytes without a request: unasked")
    );
    assert!(m.answered_total > 0);
}

fn orders_are_counted_and_their_ids_are_distinct() {
    let server = TestServer::start(|n, request| {
        assert!(request.ends_with("\r\n\r\n{}"));
        let body = if n.is_multiple_of(2) {
            format!(r#"{{"id":{n},"qty":1}}"#)
        } else {
            format!(r#"{{ "qty":1, "id":{n} }}"#)
        };
        vec![Act::Write(response("201 Created", &body).into())]
    });
    let config = Config {
        cpus: vec![0, 0],
        warmup: Duration::from_millis(50),
        ..config(server.addr)
    };
    let m = measure(&config, &order());
    assert_clean(&m);
    assert_eq!(
        (m.accepted_orders_total, m.ids_repeated),
        (server.seen(), 0)
    );
}

fn a_repeated_id_is_found_across_threads() {
    let server = TestServer::start(|n, _| {
        let id = if n == 10 { 9 } else { n };
        vec![Act::Write(
            response("201 Created", &format!(r#"{{"id":{id},"qty":1}}"#)).into(),
        )]
    });
    let config = Config {
        cpus: vec![0, 0],
        ..config(server.addr)
    };
    let m = measure(&config, &order());
    assert_eq!(m.errors_total(), 0);
    assert_eq!(m.ids_repeated, 1);
    assert_eq!(m.accepted_orders_total, server.seen());
}

fn requests_are_drawn_from_the_whole_script() {
    let seen: Arc<[AtomicBool; 16]> = Arc::default();
    let marks = seen.clone();
    let server = TestServer::start(move |_, request| {
        let n: usize = request[5..].split(' ').next().unwrap().parse().unwrap();
        marks[n].store(true, Ordering::SeqCst);
        vec![Act::Write(response("200 OK", &n.to_string()).into())]
    });
    let requests = (0..16_u64).map(|n| Request {
        wire: format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes(),
        expect: Expect::Body {
            status: 200,
            bytes: n.to_string().into_bytes(),
        },
    });
    let script = Script::new(requests.collect()).unwrap();
    assert_clean(&measure(&config(server.addr), &script));
    assert!(seen.iter().all(|s| s.load(Ordering::SeqCst)));
}

fn nobody_listening_is_named() {
    let control = Control::default();
    let refused = drive(&config(nobody()), &ping(), &control).unwrap_err();
    assert!(
        matches!(
            refused,
            DriveError::Refused {
                established: 0,
                asked: 4,
                ..
            }
        ),
        "{refused}"
    );
    assert!(control.is_over());
    assert_eq!(control.wait_window(Duration::from_secs(60)), None);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let addr = "127.0.0.1:9".parse().unwrap();
    for (broken, word) in [
        (
            Config {
                connections: 0,
                ..config(addr)
            },
            "connections",
        ),
        (
            Config {
                duration: Duration::ZERO,
                ..config(addr)
            },
            "duration",
        ),
        (
            Config {
                interval: Duration::from_nanos(1),
                ..config(addr)
            },
            "intervals",
        ),
        (paced(addr, 0.0), "rate"),
        (paced(addr, f64::NAN), "rate"),
        (paced(addr, f64::INFINITY), "rate"),
    ] {
        let refused = drive(&broken, &ping(), &Control::default()).unwrap_err();
        assert!(matches!(refused, DriveError::Config(_)));
        assert!(refused.to_string().contains(word), "{refused}");
    }
}

fn a_stop_ends_the_run_with_what_was_measured() {
    let server = TestServer::says(&response("200 OK", PONG));
    let stop = Arc::new(AtomicBool::new(false));
    let control = Control::new(stop.clone());
    let config = Config {
        duration: Duration::from_secs(300),
        ..config(server.addr)
    };
    let m = std::thread::scope(|scope| {
        scope.spawn(|| {
            let window = control.wait_window(Duration::from_secs(60)).unwrap();
            assert_eq!(window.end - window.start, config.duration);
            // The counters show that the load runs.
            while control.requests() == 0 {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::SeqCst);
        });
        drive(&config, &ping(), &control).unwrap()
    });
    assert!(m.stopped && m.window < Duration::from_secs(60));
    assert_clean(&m);
    assert_eq!(m.sent_total, server.seen());
    let covered: Duration = m.intervals.iter().map(|i| i.length).sum();
    assert_eq!(covered, m.window);
}

#[test]
fn a_cpu_that_is_not_there_is_said() {
    let server = TestServer::says(&response("200 OK", PONG));
    let config = Config {
        cpus: vec![1_000_000],
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_clean(&m);
    assert!(!m.pinned);
}

fn a_limit_is_kept_exactly_and_ends_the_window() {
    for (limit, threads) in [(1, 1), (3, 2), (100, 1), (1001, 2)] {
        let server = TestServer::says(&response("200 OK", PONG));
        let config = Config {
            threads,
            limit: Some(limit),
            duration: Duration::from_secs(300),
            ..config(server.addr)
        };
        let m = measure(&config, &ping());
        assert_clean(&m);
        assert_eq!(
            (m.requests, m.sent_total, server.seen()),
            (limit, limit, limit)
        );
        assert_eq!(m.threads.len(), threads);
        assert!(m.window < Duration::from_secs(200) && !m.stopped);
    }
}

fn a_limit_counts_requests_that_fail_too() {
    let server = TestServer::start(|n, _| match n % 3 {
        0 => vec![Act::Close],
        _ => vec![Act::Write(response("200 OK", PONG).into())],
    });
    let config = Config {
        limit: Some(30),
        duration: Duration::from_secs(300),
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_eq!((m.sent_total, m.requests, m.errors["closed"]), (30, 20, 10));
}

fn any_success_can_be_expected() {
    let server = TestServer::start(|n, _| {
        let status = ["200 OK", "201 Created", "404 Not Found"][n as usize % 3];
        vec![Act::Write(response(status, PONG).into())]
    });
    let config = Config {
        limit: Some(30),
        duration: Duration::from_secs(300),
        ..config(server.addr)
    };
    let m = measure(&config, &script(Expect::Success));
    assert_eq!((m.requests, m.errors["status"]), (20, 10));
    assert!(m.first_error.unwrap().contains("200 to 299"));
}
