//! Start and end of the process.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use referee::raw;
use rustix::process::Signal;

use crate::server::{Server, free_addr, wait};
use crate::{Connection, faults::Faults};

/// How long a server may take to end after a signal.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);
/// How long one may take to refuse to start.
const REFUSAL_LIMIT: Duration = Duration::from_secs(20);
const LONG: &[u8] = b"GET /api/v1/users?limit=100 HTTP/1.1\r\nHost: test\r\n\r\n";
const HALF_A_HEAD: &[u8] = b"GET /api/v1/users HTTP/1.1\r\nHost: te";
const HALF_A_BODY: &[u8] = b"POST /api/v1/orders HTTP/1.1\r\nHost: test\r\n\
    Content-Type: application/json\r\nContent-Length: 29\r\n\r\n{\"item_id\":";

/// SIGTERM and SIGINT, each while there are idle and half-sent requests: a response that has
/// begun is whole, and the process exits 0 within 5 s. A request may get no response: how many
/// do is the framework's affair, and the harness shows it.
///
/// # Panics
/// Where it is not so.
pub fn shuts_down(program: &str) {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::boot(program);
        let mut waiting = busy_connections(&server);
        let requests: Vec<_> = (0..8).map(|_| used_connection(&server)).collect();
        // It stands still until it has both the requests and the signal: else a fast server has
        // answered them all before. Loopback: what is written lies in its socket, so it has arrived.
        server.pause();
        let mut faults = Faults::default();
        let requests: Vec<_> = requests
            .into_iter()
            .map(|mut connection| {
                connection.send(LONG).expect("the connection is open");
                connection
            })
            .collect();
        server.signal(signal);
        server.signal(Signal::CONT);
        for connection in requests {
            let got = whole_or_nothing(connection);
            faults.check(got.is_ok(), || {
                format!("{signal:?}: a request that had arrived\n  got {got:?}\n  due 200, whole, or nothing")
            });
        }
        let status = server.wait(SHUTDOWN_LIMIT);
        faults.check(
            status.is_some_and(|status| status.code() == Some(0)),
            || {
                format!(
                    "{signal:?} with idle and half-sent requests\n  got {status:?}\n  due 0 in 5 s"
                )
            },
        );
        waiting.clear();
        faults.assert_none();
    }
}

/// Fails where a response is truncated, or isn't the one due.
fn whole_or_nothing(mut connection: Connection) -> Result<(), String> {
    match connection.answer(Instant::now()) {
        Ok(answer) if answer.status != 200 => Err(format!("status {}", answer.status)),
        Ok(answer) => serde_json::from_slice::<serde_json::Value>(&answer.body)
            .map(drop)
            .map_err(|error| error.to_string()),
        Err(_) if !connection.has_received() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Connections that nothing more will come from: never used, idle after use, half a
/// head, half a body.
fn busy_connections(server: &Server) -> Vec<Connection> {
    let mut half_a_head = used_connection(server);
    half_a_head
        .send(HALF_A_HEAD)
        .expect("the connection is open");
    let mut half_a_body = used_connection(server);
    half_a_body
        .send(HALF_A_BODY)
        .expect("the connection is open");
    vec![
        server.connect(),
        used_connection(server),
        half_a_head,
        half_a_body,
    ]
}

/// One that the server has accepted and answered on.
fn used_connection(server: &Server) -> Connection {
    let mut connection = server.connect();
    let answer = connection
        .exchange(&raw::get("/ping"))
        .expect("a ping is answered");
    assert_eq!(answer.status, 200);
    connection
}

/// A bad flag or value: status 2, and the first line on stderr names it.
///
/// # Panics
/// Where it is not so.
pub fn refuses_bad_flags(program: &str) {
    let addr = free_addr().to_string();
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--no-such-flag"], &["--no-such-flag"]),
        (&["--addr", "nonsense"], &["--addr", "nonsense"]),
        (
            &["--addr", "127.0.0.1:65536"],
            &["--addr", "127.0.0.1:65536"],
        ),
        (
            &["--addr", &addr, "--workers", "many"],
            &["--workers", "many"],
        ),
        (&["--addr", &addr, "--workers", "0"], &["--workers", "0"]),
        (&["--addr", &addr, "--workers", "-1"], &["-1"]),
    ];
    for (args, named) in cases {
        let (code, first_line) = refusal(program, args);
        assert_eq!(code, Some(2), "{args:?}: exit status; stderr: {first_line}");
        for name in named {
            let right = first_line.contains(name);
            assert!(
                right,
                "{args:?}: {name} is not in the first line: {first_line}"
            );
        }
    }
}

/// A port in use: status 1, the first line on stderr names the address, and the process
/// that has the port goes on serving.
///
/// # Panics
/// Where it is not so.
pub fn refuses_a_taken_port(program: &str) {
    let mut first = Server::boot(program);
    let addr = first.addr().to_string();
    let (code, first_line) = refusal(program, &["--addr", &addr, "--workers", "2"]);
    assert_eq!(
        code,
        Some(1),
        "exit status of a second process on {addr}; stderr: {first_line}"
    );
    assert!(
        first_line.contains(&addr),
        "{addr} is not in the first line: {first_line}"
    );
    assert_eq!(first.exited(), None, "the first process has ended");
    assert_eq!(
        first.get("/ping").status,
        200,
        "the first process no longer serves"
    );
}

/// Runs a program that should end by itself: its exit status and first line on stderr.
fn refusal(program: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    let status = wait(&mut child, REFUSAL_LIMIT);
    // Also where it serves instead: then this ends it.
    let _ = child.kill();
    let _ = child.wait();
    let status = status.unwrap_or_else(|| panic!("{program} {args:?} runs instead of refusing"));
    let mut text = String::new();
    let mut stderr = child.stderr.take().expect("stderr is piped");
    stderr.read_to_string(&mut text).expect("stderr is text");
    let first_line = text.lines().next().unwrap_or_default().to_owned();
    (status.code(), first_line)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    #[test]
    #[should_panic(expected = "exit status")]
    fn a_program_that_takes_any_flag_is_found() {
        refuses_bad_flags("true");
    }

    /// What becomes of a response of which this comes before the connection ends.
    fn judge(sent: &str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let connection = Connection::open(addr, Duration::from_secs(10)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(sent.as_bytes()).unwrap();
        drop(server);
        whole_or_nothing(connection)
    }

    #[test]
    fn a_response_is_whole_or_missing() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
        assert_eq!(judge(""), Ok(()));
        assert_eq!(judge(&format!("{ok}{{}}")), Ok(()));
        let error = "HTTP/1.1 503 Unavailable\r\nContent-Length: 2\r\n\r\n{}";
        for wrong in ["HTTP/1.1 2", ok, &format!("{ok}{{"), error] {
            assert!(judge(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_is_read_by_its_status_and_first_line() {
        let (code, first_line) = refusal("sh", &["-c", "echo one >&2; echo two >&2; exit 3"]);
        assert_eq!((code, first_line.as_str()), (Some(3), "one"));
    }
}
