//! Servers that misbehave: a run ends at its time, its counts are right, and it sends nothing
//! elsewhere.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::load_server::*;
use loadgen::{Arrivals, Config, Expect, Measurement, Request, Script, Think};

const MS: Duration = Duration::from_millis(1);

/// A closed loop, one with think time, and open loops; each with kept connections, with one for each
/// request, and with one for every three.
fn loops(addr: SocketAddr) -> Vec<Config> {
    let closed = config(addr);
    let thinking = Config {
        think: Some(Think::Fixed(MS)),
        ..config(addr)
    };
    let random = Config {
        arrivals: Arrivals::Poisson,
        ..paced(addr, 500.0)
    };
    let kept = [closed, thinking, paced(addr, 500.0), random];
    let limited = |each| {
        kept.clone().map(|config| Config {
            requests_per_connection: Some(each),
            ..config
        })
    };
    let all = [limited(1), limited(3)].concat();
    let all = kept.iter().cloned().chain(all);
    all.map(|config| Config {
        duration: MS * 250,
        timeout: MS * 100,
        threads: 2,
        ..config
    })
    .collect()
}

/// Drives in every loop; each must end at its time, with its counts right.
fn all_loops(server: impl Fn() -> TestServer, check: impl Fn(&Measurement)) {
    for config in loops("127.0.0.1:9".parse().unwrap()) {
        let server = server();
        let config = Config {
            addr: server.addr.into(),
            ..config
        };
        let begun = Instant::now();
        let m = measure(&config, &ping());
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!((m.window, m.stopped), (config.duration, false));
        assert_counted(&m);
        check(&m);
    }
}

/// No valid answer, and errors of these kinds only; on a machine with much else to do, time
/// may run out before they show.
fn only(m: &Measurement, kinds: &[&str]) {
    assert_eq!(m.answered_total, 0);
    assert!(m.sent_total > 0);
    let known = |kind: &&str| kinds.contains(kind) || *kind == "timeout";
    assert!(m.errors.keys().all(known), "{:?}", m.errors);
}

#[test]
fn a_server_that_never_answers() {
    all_loops(
        || TestServer::start(|_, _| vec![Act::Hang]),
        |m| {
            only(m, &[]);
            assert!(m.errors["timeout"] >= 4);
        },
    );
}

#[test]
fn a_server_that_sends_garbage_for_ever() {
    let endless = || {
        let garbage = || Act::Write(vec![b'7'; 100_000]);
        TestServer::start(move |_, _| (0..200).map(|_| garbage()).collect())
    };
    all_loops(endless, |m| {
        only(m, &["protocol", "closed", "reset"]);
        assert!(m.errors_total() > 0);
    });
    let server = endless();
    let m = measure(&config(server.addr), &ping());
    assert!(m.errors["protocol"] > 0, "{:?}", m.errors);
}

#[test]
fn a_server_that_closes_at_once() {
    all_loops(
        || TestServer::start(|_, _| vec![Act::Close]),
        |m| only(m, &["closed", "reset"]),
    );
}

#[test]
fn a_server_that_resets() {
    all_loops(
        || TestServer::start(|_, _| vec![Act::Reset]),
        |m| only(m, &["reset"]),
    );
    let server = TestServer::start(|_, _| vec![Act::Reset]);
    let m = measure(&config(server.addr), &ping());
    assert!(m.errors["reset"] > 0, "{:?}", m.errors);
    let said = m.first_error.unwrap();
    assert!(said.contains("reset by peer"), "{said}");
}

#[test]
fn a_server_that_closes_before_any_request() {
    let addr = with_listener(|listener| listener.incoming().for_each(drop));
    for config in loops(addr) {
        let m = measure(&config, &ping());
        assert_counted(&m);
        only(&m, &["closed", "reset"]);
        // Pauses keep it from spinning.
        assert!(m.reconnects < 1000, "{}", m.reconnects);
    }
}

/// The kernel takes connections and a first part of what is sent; nobody else does.
#[test]
fn a_server_that_never_reads() {
    let body = "z".repeat(16_000_000);
    let length = body.len();
    let request = Request {
        wire: format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}").into(),
        expect: Expect::Success,
    };
    let script = Script::new(vec![request]).unwrap();
    for config in loops("127.0.0.1:9".parse().unwrap()) {
        // One for each, as nothing takes connections out of its listen queue.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config {
            addr: listener.local_addr().unwrap().into(),
            ..config
        };
        let m = measure(&config, &script);
        only(&m, &[]);
        assert!(m.errors["timeout"] >= 4);
        assert_counted(&m);
    }
}

#[test]
fn a_server_that_stops_listening() {
    let addr = with_listener(|listener| {
        let streams: Vec<_> = listener.incoming().take(4).map_while(Result::ok).collect();
        drop(listener);
        for mut stream in streams {
            let mut request = [0; 1000];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = std::io::Write::write_all(&mut stream, response("200 OK", PONG).as_bytes());
        }
    });
    let m = measure(&config(addr), &ping());
    assert_counted(&m);
    assert_eq!(m.answered_total, 4);
    assert!(m.errors["connect"] >= 4, "{:?}", m.errors);
    let in_flight = m.errors_total() - m.errors["connect"];
    assert_eq!((m.sent_total, m.reconnects), (4 + in_flight, 0));
}

#[test]
fn a_connection_closed_between_requests_is_made_again_without_an_error() {
    // With and without a word of it in the answer.
    for header in ["", "Connection: close\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{header}Content-Length: 15\r\n\r\n{PONG}");
        let server =
            TestServer::start(move |_, _| vec![Act::Write(answer.clone().into()), Act::Close]);
        let config = Config {
            connections: 3,
            threads: 2,
            ..paced(server.addr, 60.0)
        };
        let m = measure(&config, &ping());
        assert_clean(&m);
        // A machine with much else to do may leave the last ones unsent.
        assert_eq!((m.asked, m.sent_total + m.unsent), (18, 18));
        assert_eq!(m.sent_total, server.seen());
        let made_again = m.sent_total - 3..=m.sent_total;
        assert!(made_again.contains(&m.reconnects), "{}", m.reconnects);
    }
}

#[test]
fn as_many_connections_are_made_as_asked_for() {
    for (connections, threads) in [(7, 3), (3, 5), (1, 1), (10, 4)] {
        let server = TestServer::says(&response("200 OK", PONG));
        let config = Config {
            connections,
            threads,
            limit: Some(200),
            duration: Duration::from_secs(300),
            ..config(server.addr)
        };
        let m = measure(&config, &ping());
        assert_clean(&m);
        assert_eq!(m.threads.len(), threads.min(connections));
        let made = server.connections.load(Ordering::SeqCst);
        assert_eq!((made, m.established), (connections as u64, connections));
    }
}

#[test]
fn nothing_is_sent_to_an_address_that_was_not_given() {
    let elsewhere = TestServer::says(&response("200 OK", PONG));
    let moved = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{0}/\r\nAlt-Svc: h2=\"{0}\"\r\nContent-Length: 0\r\n\r\n",
        elsewhere.addr
    );
    let server = TestServer::says(&moved);
    let m = measure(&config(server.addr), &ping());
    only(&m, &["status"]);
    assert_eq!(server.seen(), m.sent_total);
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}
