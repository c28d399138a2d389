//! Connections: for how many requests they are made, from where and to where.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::load_server::*;
use loadgen::{Arrivals, Config, Control, DriveError, Expect, Pace, Request, Script, drive};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};

over_each_engine!(
    a_connection_takes_as_many_requests_as_it_is_made_for,
    a_connection_the_server_closes_early_is_made_again_by_a_request,
    a_unix_socket_is_driven_like_any_other,
    large_requests_and_answers_go_through_a_unix_socket,
    a_unix_socket_closed_with_its_answer_is_connected_to_again,
    a_full_listen_queue_is_waited_for,
    a_full_listen_queue_costs_a_timeout_at_most,
    a_unix_socket_without_a_server_is_named,
    connections_come_from_the_addresses_given_in_turn,
);

fn a_connection_takes_as_many_requests_as_it_is_made_for() {
    // Of each connection, the requests it took, and where it was asked to close.
    type Seen = BTreeMap<SocketAddr, Vec<bool>>;
    for (each, arrivals, rate) in [
        (1, Arrivals::Constant, None),
        (3, Arrivals::Constant, None),
        (3, Arrivals::Constant, Some(2000.0)),
        (4, Arrivals::Poisson, Some(2000.0)),
    ] {
        let seen = Arc::new(Mutex::new(Seen::new()));
        let noted = seen.clone();
        let addr = with_listener(move |listener| {
            for stream in listener.incoming().map_while(Result::ok) {
                let noted = noted.clone();
                std::thread::spawn(move || note(stream, &noted));
            }
        });
        let config = Config {
            limit: Some(101),
            threads: 2,
            duration: Duration::from_secs(300),
            requests_per_connection: Some(each),
            arrivals,
            pace: rate.map_or(Pace::Closed, |per_second| Pace::Rate { per_second }),
            ..config(addr)
        };
        let m = measure(&config, &ping());
        assert_clean(&m);
        assert_eq!((m.requests, m.unsent), (101, 0));
        let seen = seen.lock().unwrap();
        // Those made before the clock ran have no request, and are not among them.
        assert_eq!(seen.len() as u64, m.reconnects);
        assert_eq!(seen.values().map(Vec::len).sum::<usize>(), 101);
        let whole = seen.values().filter(|asked| asked.len() == each as usize);
        for asked in whole.clone() {
            let (last, others) = asked.split_last().unwrap();
            assert!(*last && !others.contains(&true), "{asked:?}");
        }
        // The limit may cut off the last of each connection's place.
        let cut = seen.len() - whole.count();
        assert!(cut <= 4, "{cut}");
    }
}

/// Answers, and notes of each request whether it asks to close.
fn note(mut stream: TcpStream, seen: &Mutex<BTreeMap<SocketAddr, Vec<bool>>>) {
    let peer = stream.peer_addr().unwrap();
    let mut request = [0; 1000];
    while let Ok(read @ 1..) = stream.read(&mut request) {
        let text = String::from_utf8_lossy(&request[..read]);
        let asked = text.contains("\r\nConnection: close\r\n");
        seen.lock().unwrap().entry(peer).or_default().push(asked);
        // The client closes, whatever the server does.
        if stream
            .write_all(response("200 OK", PONG).as_bytes())
            .is_err()
        {
            return;
        }
    }
}

fn a_connection_the_server_closes_early_is_made_again_by_a_request() {
    let close = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{PONG}");
    let server = TestServer::start(move |n, _| match n % 2 {
        0 => vec![Act::Write(close.clone().into()), Act::Close],
        _ => vec![Act::Write(response("200 OK", PONG).into())],
    });
    let config = Config {
        connections: 1,
        limit: Some(40),
        duration: Duration::from_secs(300),
        requests_per_connection: Some(10),
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_clean(&m);
    assert_eq!((m.requests, m.reconnects), (40, 20));
}

/// A server on a Unix socket.
struct Unix {
    path: PathBuf,
    _dir: tempfile::TempDir,
    /// It accepts connections once it has heard, or none sends.
    accept: Sender<()>,
}

impl Unix {
    /// Answers each request with these bytes, and may close behind them. Its listen queue has room for
    /// `backlog` connections and one more.
    fn start(answer: &[u8], close: bool, backlog: i32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.sock");
        let fd = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&fd, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&fd, backlog).unwrap();
        let (accept, told) = channel();
        let (listener, answer) = (UnixListener::from(fd), answer.to_vec());
        std::thread::spawn(move || {
            if told.recv().is_err() {
                return;
            }
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = answer.clone();
                std::thread::spawn(move || answer_all(stream, &answer, close));
            }
        });
        Self {
            path,
            _dir: dir,
            accept,
        }
    }

    fn says(answer: &str) -> Self {
        let server = Self::start(answer.as_bytes(), false, 64);
        server.accept.send(()).unwrap();
        server
    }

    fn config(&self) -> Config {
        Config {
            addr: self.path.as_path().into(),
            ..config(([127, 0, 0, 1], 9).into())
        }
    }
}

/// Reads requests, whose bodies are as long as their heads say, and answers each.
fn answer_all(mut stream: UnixStream, answer: &[u8], close: bool) {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let end = loop {
            let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
            let length = |head: usize| {
                let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
                let length = text
                    .lines()
                    .find_map(|l| l.strip_prefix("Content-Length: "));
                head + 4 + length.map_or(0, |l| l.parse::<usize>().unwrap())
            };
            match head.map(length).filter(|end| *end <= bytes.len()) {
                Some(end) => break end,
                None => match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => return,
                    Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                },
            }
        };
        bytes.drain(..end);
        if stream.write_all(answer).is_err() || close {
            return;
        }
    }
}

fn a_unix_socket_is_driven_like_any_other() {
    let server = Unix::says(&response("200 OK", PONG));
    let each = [None, Some(1), Some(7)];
    for requests_per_connection in each {
        for pace in [Pace::Closed, Pace::Rate { per_second: 500.0 }] {
            let config = Config {
                connections: 7,
                threads: 2,
                warmup: Duration::from_millis(50),
                requests_per_connection,
                pace: pace.clone(),
                ..server.config()
            };
            let m = measure(&config, &ping());
            assert_counted(&m);
            assert_eq!(
                (m.errors_total(), m.unanswered),
                (0, 0),
                "{:?}",
                m.first_error
            );
            assert!(m.requests > 0 && m.requests < m.answered_total);
            assert_eq!(m.reconnects == 0, requests_per_connection.is_none());
        }
    }
}

fn large_requests_and_answers_go_through_a_unix_socket() {
    let body = "x".repeat(3_000_000);
    let server = Unix::says(&response("200 OK", &body));
    let sent = "y".repeat(8_000_000);
    let wire = format!(
        "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{sent}",
        sent.len()
    );
    let request = Request {
        wire: wire.into_bytes(),
        expect: Expect::Body {
            status: 200,
            bytes: body.into_bytes(),
        },
    };
    let config = Config {
        limit: Some(6),
        duration: Duration::from_secs(300),
        ..server.config()
    };
    let m = measure(&config, &Script::new(vec![request]).unwrap());
    assert_clean(&m);
    assert_eq!((m.requests, m.reconnects), (6, 0));
}

fn a_unix_socket_closed_with_its_answer_is_connected_to_again() {
    let close = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{PONG}");
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{PONG}");
    for text in [close, until_close] {
        let server = Unix::start(text.as_bytes(), true, 64);
        server.accept.send(()).unwrap();
        let m = measure(&server.config(), &ping());
        assert_clean(&m);
        assert!(
            m.reconnects + 4 >= m.answered_total,
            "{} of {}",
            m.reconnects,
            m.answered_total
        );
    }
    // Without a word of it, between requests that are apart.
    let server = Unix::start(response("200 OK", PONG).as_bytes(), true, 64);
    server.accept.send(()).unwrap();
    let config = Config {
        pace: Pace::Rate { per_second: 60.0 },
        ..server.config()
    };
    let m = measure(&config, &ping());
    assert_clean(&m);
    assert!(m.reconnects > 0 && m.reconnects + 4 >= m.sent_total);
}

fn a_full_listen_queue_is_waited_for() {
    let server = Unix::start(response("200 OK", PONG).as_bytes(), false, 1);
    let accept = server.accept.clone();
    std::thread::spawn(move || {
        // By then the queue is full; were it not, the test would show less, and not fail.
        std::thread::sleep(Duration::from_millis(100));
        accept.send(()).unwrap();
    });
    for requests_per_connection in [None, Some(1)] {
        let config = Config {
            connections: 40,
            threads: 2,
            requests_per_connection,
            limit: Some(400),
            duration: Duration::from_secs(300),
            ..server.config()
        };
        let m = measure(&config, &ping());
        assert_clean(&m);
        assert_eq!((m.requests, m.established), (400, 40));
        assert_eq!(
            m.reconnects,
            if requests_per_connection.is_some() {
                400
            } else {
                0
            }
        );
    }
}

fn a_full_listen_queue_costs_a_timeout_at_most() {
    // Nothing is ever accepted.
    let server = Unix::start(b"", false, 1);
    let config = Config {
        timeout: Duration::from_millis(200),
        ..server.config()
    };
    let refused = drive(&config, &ping(), &Control::default()).unwrap_err();
    let DriveError::Connect {
        established, asked, ..
    } = &refused
    else {
        panic!("{refused}");
    };
    assert!(*established <= 2 && *asked == 4, "{refused}");
    assert!(refused.to_string().contains("timed out"), "{refused}");
}

fn a_unix_socket_without_a_server_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.sock");
    let refused = |path: &Path| {
        let config = Config {
            addr: path.into(),
            ..config(([127, 0, 0, 1], 9).into())
        };
        drive(&config, &ping(), &Control::default()).unwrap_err()
    };
    let error = refused(&path);
    assert!(
        matches!(error, DriveError::Connect { established: 0, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("none.sock failed: No such file"),
        "{error}"
    );
    drop(UnixListener::bind(&path).unwrap());
    let error = refused(&path);
    assert!(
        matches!(error, DriveError::Refused { established: 0, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("none.sock refused"), "{error}");
    let error = refused(Path::new(&"x".repeat(200)));
    assert!(error.to_string().contains("too long"), "{error}");
}

fn connections_come_from_the_addresses_given_in_turn() {
    let from = [2, 3].map(|host| IpAddr::from([127, 0, 0, host]));
    for (each, connections) in [(None, 5), (Some(2), 4)] {
        let seen = Arc::new(Mutex::new(BTreeMap::<IpAddr, u64>::new()));
        let noted = seen.clone();
        let addr = with_listener(move |listener| {
            for stream in listener.incoming().map_while(Result::ok) {
                let peer = stream.peer_addr().unwrap().ip();
                *noted.lock().unwrap().entry(peer).or_default() += 1;
                std::thread::spawn(move || note(stream, &Mutex::default()));
            }
        });
        let config = Config {
            connections,
            threads: 2,
            from: from.to_vec(),
            requests_per_connection: each,
            limit: Some(100),
            duration: Duration::from_secs(300),
            ..config(addr)
        };
        let m = measure(&config, &ping());
        assert_clean(&m);
        assert_eq!(m.requests, 100);
        let seen = seen.lock().unwrap();
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), from);
        assert_eq!(
            seen.values().sum::<u64>(),
            connections as u64 + m.reconnects
        );
        if each.is_none() {
            assert_eq!(seen.values().copied().collect::<Vec<_>>(), [3, 2]);
        } else {
            assert!(m.reconnects >= 50, "{}", m.reconnects);
        }
    }
}

#[test]
fn addresses_that_connections_can_not_come_from_are_refused() {
    let server = TestServer::says(&response("200 OK", PONG));
    let refused = |config: Config| {
        drive(&config, &ping(), &Control::default())
            .unwrap_err()
            .to_string()
    };
    for (from, word) in [
        ("192.0.2.1", "an address of this machine"),
        ("::1", "different address family"),
    ] {
        let error = refused(Config {
            from: vec![from.parse().unwrap()],
            ..config(server.addr)
        });
        assert!(error.contains(from) && error.contains(word), "{error}");
    }
    let unix = Unix::says("");
    let error = refused(Config {
        from: vec!["127.0.0.1".parse().unwrap()],
        ..unix.config()
    });
    assert!(error.contains("different address family"), "{error}");
    assert_eq!(server.seen(), 0);
}
