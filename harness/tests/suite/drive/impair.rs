//! `harness impair`: what it does to bytes, and that it does nothing else.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::drive::load_server::{Act, PONG, TestServer, nobody, response, with_listener};
use crate::drive::program::{harness, measured, pong, said, text};

const MS: u64 = 1_000_000;

/// A running proxy.
struct Impaired {
    child: Child,
    addr: SocketAddr,
}

impl Impaired {
    fn start(to: SocketAddr, flags: &[&str]) -> Self {
        let to = to.to_string();
        let arguments = [&["impair", "--json", "--to", &to], flags].concat();
        let mut command = harness(&arguments);
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap();
        let mut line = String::new();
        let mut byte = [0];
        // Not a buffered reader, which would take what follows.
        let out = child.stdout.as_mut().unwrap();
        while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(char::from(byte[0]));
        }
        let addr = line.parse().unwrap();
        Self { child, addr }
    }

    /// Ends it with Ctrl-C; returns its status and what it says passed.
    fn end(mut self) -> (Option<i32>, Value) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).unwrap();
        let mut text = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        let status = self.child.wait().unwrap();
        (status.code(), serde_json::from_str(&text).unwrap())
    }
}

impl Drop for Impaired {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ns(json: &Value, time: &str, point: &str) -> u64 {
    json[time][point].as_u64().unwrap()
}

#[test]
fn a_round_trip_takes_two_delays_give_or_take_two_jitters() {
    let server = pong();
    let impaired = Impaired::start(server.addr, &["--delay", "30ms", "--jitter", "5ms"]);
    let flags = ["-n", "60", "-c", "4"];
    let direct = measured(0, &flags, server.addr, "/");
    let json = measured(0, &flags, impaired.addr, "/");
    let (status, passed) = impaired.end();
    assert_eq!(status, Some(0), "{passed}");
    assert_eq!(
        (&passed["connections"], &passed["failed"]),
        (&4.into(), &0.into())
    );
    // Three digits.
    let least = 2 * (30 - 5) * MS * 999 / 1000;
    let median = ns(&json, "latency_ns", "p50");
    assert!(
        median >= least,
        "{median} ns is less than two delays: {json}"
    );
    // What the machine adds: how late the proxy was, and how long responses take without it.
    let machine = 2 * ns(&passed, "late_ns", "max") + 4 * ns(&direct, "latency_ns", "max");
    let most = 2 * (30 + 5) * MS + machine + 5 * MS;
    let median = ns(&json, "latency_ns", "p50");
    assert!(
        median <= most,
        "{median} ns is over {most}: {json} {passed}"
    );
}

/// Sends back everything once the client has ended its side.
fn echo() -> SocketAddr {
    with_listener(|listener| {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(&all).unwrap();
            });
        }
    })
}

#[test]
fn bytes_keep_their_order_and_a_half_closed_connection_its_other_half() {
    let flags = [
        "--delay",
        "3ms",
        "--jitter",
        "3ms",
        "--loss-like-stalls",
        "0.2%",
    ];
    let impaired = Impaired::start(echo(), &flags);
    // More than may wait in the proxy and in the buffers of sockets.
    let sent: Vec<u8> = (0..4_000_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (addr, sent) = (impaired.addr, sent.clone());
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(addr).unwrap();
                for part in sent.chunks(70_001) {
                    stream.write_all(part).unwrap();
                }
                stream.shutdown(Shutdown::Write).unwrap();
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                assert!(
                    back == sent,
                    "{} bytes came back of {}",
                    back.len(),
                    sent.len()
                );
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let (status, passed) = impaired.end();
    assert_eq!(status, Some(0), "{passed}");
    for direction in ["bytes_to_server", "bytes_to_client"] {
        assert_eq!(passed[direction], 12_000_000, "{passed}");
    }
    assert!(passed["stalls"].as_u64() > Some(0), "{passed}");
}

#[test]
fn a_limited_rate_is_shared_by_all_connections() {
    let body = "x".repeat(25_000);
    let server = TestServer::says(&response("200 OK", &body));
    let impaired = Impaired::start(server.addr, &["--rate", "200000"]);
    let begin = Instant::now();
    let json = measured(0, &["-n", "4", "-c", "4"], impaired.addr, "/");
    assert_eq!(json["requests"], 4);
    // 100 kB at 200 kB/s.
    assert!(
        begin.elapsed() >= Duration::from_millis(500),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_stall_holds_up_what_follows_it() {
    let server = pong();
    let impaired = Impaired::start(
        server.addr,
        &["--delay", "5ms", "--loss-like-stalls", "100%"],
    );
    let json = measured(0, &["-n", "2", "-c", "1"], impaired.addr, "/");
    // Each direction: the delay, a round trip and 200 ms.
    let median = ns(&json, "latency_ns", "p50");
    assert!(median >= 2 * (5 + 10 + 200) * MS * 999 / 1000, "{json}");
    let (_, passed) = impaired.end();
    // Also the end of the connection, of which a packet may not have come through.
    assert!(passed["stalls"].as_u64() >= Some(4), "{passed}");
}

#[test]
fn a_reset_is_no_end_and_does_not_overtake_a_response() {
    let server =
        TestServer::start(|_, _| vec![Act::Write(response("200 OK", PONG).into()), Act::Reset]);
    let impaired = Impaired::start(server.addr, &["--delay", "20ms"]);
    let mut stream = TcpStream::connect(impaired.addr).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let (status, passed) = impaired.end();
    assert_eq!(
        (status, &passed["failed"]),
        (Some(1), &1.into()),
        "{passed}"
    );

    let impaired = Impaired::start(nobody(), &[]);
    let mut stream = TcpStream::connect(impaired.addr).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(impaired.end().0, Some(1));
}

#[test]
fn a_profile_gives_figures_that_flags_override() {
    let to = nobody().to_string();
    let list = |flags: &[&str]| {
        said(
            0,
            harness(&[&["impair", "--list", "--to", &to], flags].concat()),
        )
    };
    assert!(list(&[]).contains("0ns ± 0ns each way, no limit on the rate, 0 % of packets stall"));
    for (profile, words) in [
        ("lan", "250µs ± 50µs each way, 125,000,000 bytes/s, 0 %"),
        ("wan", "20ms ± 2ms each way, 12,500,000 bytes/s, 0.01 %"),
        ("mobile", "35ms ± 20ms each way, 1,500,000 bytes/s, 0.5 %"),
    ] {
        let text = list(&["--profile", profile]);
        assert!(text.contains(words), "{text}");
    }
    let text = list(&["--profile", "wan", "--delay", "1s", "--rate", "7"]);
    assert!(text.contains("1s ± 2ms each way, 7 bytes/s"), "{text}");
    for (flags, words) in [
        (&["--jitter", "1ms"][..], "more than the delay"),
        (&["--loss-like-stalls", "101%"], "a share from"),
        (&["--to", "nowhere"], "cannot be used multiple times"),
    ] {
        let text = said(
            2,
            harness(&[&["impair", "--list", "--to", &to], flags].concat()),
        );
        assert!(text.contains(words), "{text}");
    }
    assert!(said(2, harness(&["impair", "--to", "nowhere"])).contains("HOST:PORT"));
}

/// Runs a command under `harness impair --netem`; `None` where there can be no such namespace.
fn in_namespace(flags: &[&str], command: &[&str], path: Option<&Path>) -> Option<Output> {
    let arguments = [&["impair", "--netem"], flags, &["--"], command].concat();
    let mut impair = harness(&arguments);
    if let Some(path) = path {
        let more = std::env::var("PATH").unwrap();
        impair.env("PATH", format!("{}:{more}", path.display()));
    }
    let output = impair.output().unwrap();
    let said = text(&output);
    let refusals = [
        "cannot create a network namespace",
        "no netem queue discipline",
        "install it (apt-get install iproute2)",
    ];
    if refusals.iter().any(|words| said.contains(words)) {
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(output.stdout.is_empty(), "the command ran: {said}");
        eprintln!("not run: {said}");
        return None;
    }
    Some(output)
}

/// The same delay by the kernel's own emulation, where there is one.
#[test]
fn the_kernels_netem_agrees() {
    let script = r#"
        "$0" known --addr 127.0.0.1:8080 --delay constant:1ms >/dev/null & server=$!
        trap 'kill $server' EXIT
        for _ in $(seq 100); do
            "$0" drive --json -n 20 -c 1 http://127.0.0.1:8080/ping 2>/dev/null && exit 0
            sleep 0.1
        done
        exit 1"#;
    let command = ["sh", "-c", script, env!("CARGO_BIN_EXE_harness")];
    let Some(output) = in_namespace(&["--delay", "20ms"], &command, None) else {
        return;
    };
    assert!(output.status.success(), "{}", text(&output));
    let by_kernel: Value = serde_json::from_slice(&output.stdout).unwrap();
    let server = pong();
    let impaired = Impaired::start(server.addr, &["--delay", "20ms"]);
    let by_proxy = measured(0, &["-n", "20", "-c", "1"], impaired.addr, "/");
    for json in [by_kernel, by_proxy] {
        assert!(
            ns(&json, "latency_ns", "p50") >= 40 * MS * 999 / 1000,
            "{json}"
        );
    }
}

/// With a `tc` that does nothing, as the kernel may have no netem.
#[test]
fn a_command_of_netem_has_a_network_and_an_exit_status_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let tc = folder.path().join("tc");
    std::fs::write(&tc, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&tc, Permissions::from_mode(0o755)).unwrap();
    let script = "ip link show up; exit 7";
    let command = ["sh", "-c", script];
    let Some(output) = in_namespace(&["--profile", "wan"], &command, Some(folder.path())) else {
        return;
    };
    let said = text(&output);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("mtu 1500"), "{said}");
    assert!(said.contains("tc qdisc add dev lo root netem"), "{said}");
    let interfaces = said.matches(" mtu ").count();
    assert_eq!(interfaces, 1, "{said}");
}

#[test]
fn netem_is_refused_with_what_only_the_proxy_has() {
    for flags in [
        &["--netem", "--to", "127.0.0.1:1", "--", "true"][..],
        &["--netem", "--listen", "127.0.0.1:0", "--", "true"],
        &["--netem", "--duration", "1s", "--", "true"],
        &["--netem", "--seed", "1", "--", "true"],
        &["--netem", "--json", "--", "true"],
        &["--to", "127.0.0.1:1", "--", "true"],
    ] {
        let text = said(2, harness(&[&["impair"], flags].concat()));
        assert!(text.contains("cannot be used with"), "{text}");
    }
    assert!(said(2, harness(&["impair", "--netem"])).contains("<COMMAND>"));
    assert!(said(2, harness(&["impair"])).contains("--to <ADDR>"));
    let list = ["impair", "--netem", "--profile", "wan", "--list", "--", "x"];
    let text = said(0, harness(&list));
    assert!(
        text.contains("netem limit 100000 delay 20000us 2000us"),
        "{text}"
    );
}
