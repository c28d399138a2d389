//! The loops besides the plain ones, over real sockets: random arrivals, stages, think time, a
//! connection for each request; and what is told by class.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::load_server::*;
use loadgen::{
    Arrivals, Config, Control, DriveError, Expect, Measurement, Pace, RateStage, Request, Script,
    Think, drive,
};

const MS: Duration = Duration::from_millis(1);

fn poisson(addr: SocketAddr, per_second: f64) -> Config {
    Config {
        arrivals: Arrivals::Poisson,
        ..paced(addr, per_second)
    }
}

fn stages(addr: SocketAddr, stages: &[(u32, f64, f64)]) -> Config {
    let stage = |&(ms, from, to): &(u32, f64, f64)| RateStage {
        length: MS * ms,
        from,
        to,
    };
    let stages: Vec<RateStage> = stages.iter().map(stage).collect();
    Config {
        duration: stages.iter().map(|stage| stage.length).sum(),
        pace: Pace::Stages(stages),
        ..config(addr)
    }
}

fn pong() -> TestServer {
    TestServer::says(&response("200 OK", PONG))
}

#[test]
fn random_arrivals_are_those_of_the_seed() {
    let server = pong();
    let asked = |seed, threads| {
        let config = Config {
            seed,
            threads,
            ..poisson(server.addr, 1000.0)
        };
        let m = measure(&config, &ping());
        assert_eq!(m.asked, m.sent_total + m.unsent);
        assert_eq!((m.errors_total(), m.unanswered), (0, 0));
        assert!(!m.send_lag.is_empty());
        m.asked
    };
    let asked = [
        asked(1, 1),
        asked(1, 1),
        asked(2, 1),
        asked(3, 2),
        asked(3, 2),
    ];
    assert_eq!((asked[0], asked[3]), (asked[1], asked[4]));
    assert_ne!(asked[0], asked[2]);
    // 300 are expected, give or take √300 = 17.
    assert!(asked.iter().all(|n| n.abs_diff(300) < 90), "{asked:?}");
}

#[test]
fn a_random_arrival_takes_whichever_connection_is_free() {
    // Longer than a busy machine keeps any thread from its CPU.
    let stall = MS * 1000;
    let server = TestServer::start(move |n, _| {
        let mut acts = vec![Act::Write(response("200 OK", PONG).into())];
        if n == 10 {
            acts.insert(0, Act::Sleep(stall));
        }
        acts
    });
    let config = Config {
        connections: 2,
        duration: MS * 2000,
        ..poisson(server.addr, 200.0)
    };
    let m = measure(&config, &ping());
    assert_eq!(m.errors_total(), 0);
    assert!(m.latency.max() >= stall.as_nanos() as u64);
    // Some 200 come in the stall; bound to connections, every second one would have waited.
    let late = m.latency.count_between(250_000_000, u64::MAX);
    assert!(late < 8, "{late}");
}

#[test]
fn what_random_arrivals_leave_over_is_counted() {
    let server = TestServer::start(|_, _| vec![Act::Hang]);
    let config = Config {
        timeout: MS * 100,
        ..poisson(server.addr, 500.0)
    };
    let m = measure(&config, &ping());
    assert_eq!(m.asked, m.sent_total + m.unsent);
    assert!(m.sent_total >= 4 && m.unsent > 50, "{}", m.unsent);
    assert_counted(&m);
}

#[test]
fn a_limit_holds_for_random_arrivals() {
    let server = pong();
    let config = Config {
        limit: Some(50),
        threads: 2,
        duration: Duration::from_secs(300),
        ..poisson(server.addr, 1000.0)
    };
    let m = measure(&config, &ping());
    assert_clean(&m);
    assert_eq!((m.requests, m.asked, m.unsent), (50, 50, 0));
}

#[test]
fn each_stage_sends_the_integral_of_its_rate() {
    let server = pong();
    let config = Config {
        threads: 2,
        connections: 5,
        ..stages(
            server.addr,
            &[
                (200, 500.0, 500.0),
                (200, 500.0, 1500.0),
                (100, 0.0, 0.0),
                (100, 400.0, 0.0),
            ],
        )
    };
    let m = measure(&config, &ping());
    let asked: Vec<u64> = m.stages.iter().map(|stage| stage.asked).collect();
    assert_eq!(asked, [100, 200, 0, 20]);
    assert_eq!((m.asked, m.sent_total + m.unsent), (320, 320));
    assert_eq!(m.errors_total(), 0);
    let requests: u64 = m.stages.iter().map(|stage| stage.requests).sum();
    assert_eq!(requests, m.requests);
    for stage in &m.stages {
        assert_eq!(stage.latency.len(), stage.requests);
        assert_eq!(stage.send_lag.is_empty(), stage.asked == 0);
        assert_eq!((stage.ran, stage.errors), (stage.stage.length, 0));
    }
}

#[test]
fn a_stage_keeps_its_latency_though_the_answers_come_later() {
    let server = TestServer::start(|n, _| {
        let mut acts = vec![Act::Write(response("200 OK", PONG).into())];
        if n == 1 {
            acts.insert(0, Act::Sleep(MS * 150));
        }
        acts
    });
    let config = Config {
        connections: 1,
        ..stages(server.addr, &[(100, 100.0, 100.0), (300, 100.0, 100.0)])
    };
    let m = measure(&config, &ping());
    // The 10 requests of the first stage are all answered in the second.
    let [first, second] = &m.stages[..] else {
        panic!("{:?}", m.stages.len())
    };
    assert_eq!((first.asked, first.requests), (10, 10));
    assert!(first.latency.min() >= 50_000_000);
    assert_eq!(second.asked, 30);
}

#[test]
fn stages_may_be_random_and_stopped() {
    let server = pong();
    let config = Config {
        arrivals: Arrivals::Poisson,
        ..stages(
            server.addr,
            &[
                (100, 0.0, 2000.0),
                (300_000, 2000.0, 2000.0),
                (1000, 1.0, 1.0),
            ],
        )
    };
    let control = Control::default();
    let m = std::thread::scope(|scope| {
        scope.spawn(|| {
            while control.requests() < 200 {
                std::thread::yield_now();
            }
            control.stop();
        });
        drive(&config, &ping(), &control).unwrap()
    });
    assert!(m.stopped);
    assert_counted(&m);
    assert_eq!(m.stages[0].ran, MS * 100);
    // 100 are expected, give or take 10.
    assert!(
        m.stages[0].asked.abs_diff(100) < 50,
        "{}",
        m.stages[0].asked
    );
    assert!(m.stages[1].ran < Duration::from_secs(60));
    assert_eq!((m.stages[2].ran, m.stages[2].asked), (Duration::ZERO, 0));
    let ran: Duration = m.stages.iter().map(|stage| stage.ran).sum();
    assert_eq!(ran, m.window);
}

#[test]
fn a_connection_thinks_between_an_answer_and_its_next_request() {
    for think in [
        Think::Fixed(MS * 20),
        Think::Uniform(MS * 20, MS * 30),
        Think::Exponential(MS * 5),
    ] {
        let answered = Mutex::new(None::<Instant>);
        let server = TestServer::start(move |_, _| {
            let mut answered = answered.lock().unwrap();
            let thought = answered.map_or(MS * 20, |at| at.elapsed());
            // The answer is written a little after this.
            *answered = Some(Instant::now());
            let status = if thought >= MS * 20 {
                "200 OK"
            } else {
                "500 Too soon"
            };
            vec![Act::Write(response(status, PONG).into())]
        });
        let config = Config {
            connections: 1,
            think: Some(think),
            ..config(server.addr)
        };
        let m = measure(&config, &ping());
        let too_soon = m.errors.get("status").copied().unwrap_or(0);
        match think {
            Think::Fixed(_) | Think::Uniform(..) => {
                assert_eq!(too_soon, 0);
                assert!(m.sent_total <= 16, "{}", m.sent_total);
            }
            // A random time is above 4 times its mean in e⁻⁴ = 2 % of cases.
            Think::Exponential(_) => assert!(too_soon > 0),
        }
        // A busy thread may send one more after the window.
        assert!(m.sent_total - m.send_lag.len() <= 1);
        assert_eq!((m.asked, m.unsent), (0, 0));
        // Latency starts at the sending, so it holds no thinking.
        assert_eq!(m.latency, m.wire);
        assert_counted(&m);
    }
}

#[test]
fn thinking_connections_obey_littles_law() {
    let server = TestServer::start(|_, _| {
        vec![
            Act::Sleep(MS * 5),
            Act::Write(response("200 OK", PONG).into()),
        ]
    });
    let think = MS * 15;
    let config = Config {
        connections: 8,
        threads: 3,
        think: Some(Think::Fixed(think)),
        duration: MS * 800,
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_clean(&m);
    let thinking = m.requests_per_s() * think.as_secs_f64();
    // And what the load generator's threads waited for their CPU after the thinking.
    let late = m.requests_per_s() * m.send_lag.mean() / 1e9;
    let all = m.in_flight_mean().unwrap() + thinking + late;
    assert!((all / 8.0 - 1.0).abs() < 0.15, "{all}");
}

fn fresh(config: Config) -> Config {
    Config {
        requests_per_connection: Some(1),
        ..config
    }
}

/// One that closes behind its answer as asked, and one that leaves that to the client.
fn closing() -> [TestServer; 2] {
    let close = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{PONG}");
    let closes = TestServer::start(move |_, _| vec![Act::Write(close.clone().into()), Act::Close]);
    [closes, pong()]
}

fn assert_fresh(m: &Measurement, server: &TestServer, connections: u64) {
    assert_clean(m);
    assert_eq!(m.sent_total, server.seen());
    assert_eq!(m.reconnects, m.sent_total);
    // Those made before the clock runs show that the number asked for can be made.
    let made = server.connections.load(Ordering::SeqCst);
    assert_eq!(made, connections + m.sent_total);
    assert!(
        m.latency.mean() > m.wire.mean(),
        "connecting is in the latency"
    );
}

#[test]
fn each_request_can_have_a_connection_of_its_own() {
    for server in closing() {
        let config = Config {
            threads: 2,
            limit: Some(101),
            duration: Duration::from_secs(300),
            ..fresh(config(server.addr))
        };
        let m = measure(&config, &ping());
        assert_eq!((m.requests, m.threads.len()), (101, 2));
        assert_fresh(&m, &server, 4);
        // Connecting is in the latency, so the closed loop adds up.
        assert_eq!(m.send_lag.len(), 0);
    }
}

#[test]
fn connections_of_their_own_are_made_when_requests_are_due() {
    for server in closing() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let before = (server.seen(), server.connections.load(Ordering::SeqCst));
            let config = Config {
                arrivals,
                ..fresh(paced(server.addr, 500.0))
            };
            let m = measure(&config, &ping());
            assert_eq!(m.errors_total(), 0, "{:?}", m.first_error);
            assert_eq!(m.sent_total + m.unsent, m.asked);
            assert_eq!(m.sent_total, server.seen() - before.0);
            let made = server.connections.load(Ordering::SeqCst) - before.1;
            assert_eq!((made, m.reconnects), (4 + m.sent_total, m.sent_total));
            assert!(!m.send_lag.is_empty());
        }
    }
}

#[test]
fn a_thinking_connection_can_be_made_anew() {
    let server = pong();
    let config = Config {
        think: Some(Think::Fixed(MS * 10)),
        ..fresh(config(server.addr))
    };
    let m = measure(&config, &ping());
    assert_fresh(&m, &server, 4);
    assert!(m.sent_total <= 4 * 30, "{}", m.sent_total);
}

#[test]
fn a_request_without_its_connection_is_an_error() {
    // Listens for the connections made before the clock runs and for five more.
    let addr = with_listener(|listener| {
        for stream in listener.incoming().take(9) {
            let mut stream = stream.unwrap();
            let mut request = [0; 100];
            // Those made before end without a request.
            if std::io::Read::read(&mut stream, &mut request).is_ok_and(|read| read > 0) {
                let _ = std::io::Write::write_all(&mut stream, response("200 OK", PONG).as_bytes());
            }
        }
    });
    let m = measure(&fresh(paced(addr, 200.0)), &ping());
    assert!(m.errors["connect"] > 10, "{:?}", m.errors);
    let ended = m.answered_total + m.errors_total() + m.unanswered;
    assert_eq!(m.sent_total, ended);
    assert_eq!(m.sent_total + m.unsent, 60);
}

fn classed(names: &[(&str, &str)]) -> Script {
    let request = |(class, path): &(&str, &str)| {
        let wire = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes();
        let expect = Expect::Status(200);
        ((*class).to_owned(), Request { wire, expect })
    };
    Script::with_classes(names.iter().map(request).collect()).unwrap()
}

#[test]
fn latency_is_told_by_class() {
    let server = TestServer::start(|_, request| {
        let slow = request.starts_with("GET /slow");
        let status = if request.starts_with("GET /wrong") {
            "404 Not Found"
        } else {
            "200 OK"
        };
        let mut acts = vec![Act::Write(response(status, PONG).into())];
        if slow {
            acts.insert(0, Act::Sleep(MS * 5));
        }
        acts
    });
    let script = classed(&[
        ("fast", "/fast"),
        ("slow", "/slow?a"),
        ("slow", "/slow?b"),
        ("wrong", "/wrong"),
    ]);
    let config = Config {
        threads: 2,
        limit: Some(400),
        duration: Duration::from_secs(300),
        ..config(server.addr)
    };
    let m = measure(&config, &script);
    let [fast, slow, wrong] = &m.classes[..] else {
        panic!("{}", m.classes.len())
    };
    assert_eq!(
        [&fast.name, &slow.name, &wrong.name],
        ["fast", "slow", "wrong"]
    );
    assert_eq!(fast.requests + slow.requests, m.requests);
    assert_eq!((wrong.requests, wrong.errors), (0, m.errors["status"]));
    assert_eq!((fast.errors, slow.errors), (0, 0));
    assert_eq!(fast.latency.len() + slow.latency.len(), m.latency.len());
    assert!(slow.latency.min() >= 5_000_000 && fast.latency.min() < 5_000_000);
    assert!(slow.requests > fast.requests && wrong.errors > 0);

    let one = measure(&config, &classed(&[("fast", "/fast")]));
    assert_eq!(one.classes.len(), 1);
    assert_eq!(
        (one.classes[0].requests, &one.classes[0].latency),
        (400, &one.latency)
    );
}

#[test]
fn paces_that_make_no_sense_are_refused() {
    let addr = "127.0.0.1:9".parse().unwrap();
    let second = Duration::from_secs(1);
    let staged = |of: &[(u32, f64, f64)]| stages(addr, of);
    for (broken, word) in [
        (
            Config {
                arrivals: Arrivals::Poisson,
                ..config(addr)
            },
            "rate",
        ),
        (
            Config {
                think: Some(Think::Fixed(second)),
                ..paced(addr, 1.0)
            },
            "think",
        ),
        (
            Config {
                think: Some(Think::Exponential(second * 86_401)),
                ..config(addr)
            },
            "think",
        ),
        (
            Config {
                duration: second,
                ..staged(&[])
            },
            "1 to 64",
        ),
        (staged(&[(1, 1000.0, 1000.0); 65]), "1 to 64"),
        (staged(&[(1000, 1.0, -1.0)]), "10,000,000"),
        (staged(&[(1000, f64::NAN, 1.0)]), "10,000,000"),
        (staged(&[(1000, 1.0, 1e8)]), "10,000,000"),
        (
            staged(&[(0, 10.0, 10.0), (1000, 10.0, 10.0)]),
            "longer than 0",
        ),
        (staged(&[(1000, 0.0, 1.0)]), "no request"),
        (
            Config {
                duration: second * 2,
                ..staged(&[(1000, 10.0, 10.0)])
            },
            "duration",
        ),
        (
            Config {
                warmup: second,
                ..staged(&[(1000, 10.0, 10.0)])
            },
            "warm-up",
        ),
    ] {
        let refused = drive(&broken, &ping(), &Control::default()).unwrap_err();
        assert!(matches!(refused, DriveError::Config(_)), "{refused}");
        assert!(refused.to_string().contains(word), "{word}: {refused}");
    }
}
