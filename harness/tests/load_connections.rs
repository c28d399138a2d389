//! Connections: for how many requests they are made, from where and to where.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod load_server;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::load::{Arrivals, Config, Pace};
use load_server::*;

over_each_engine!(
    a_connection_takes_as_many_requests_as_it_is_made_for,
    a_connection_the_server_closes_early_is_made_again_by_a_request,
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
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let noted = seen.clone();
        std::thread::spawn(move || {
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
        if stream.write_all(response("200 OK", PONG).as_bytes()).is_err() {
            return;
        }
    }
}

fn a_connection_the_server_closes_early_is_made_again_by_a_request() {
    let close = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{PONG}");
    let server = Server::start(move |n, _| match n % 2 {
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
