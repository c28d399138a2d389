//! The control against the fixture: its responses are replayed byte for byte.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::super::respond::Answers;
use super::*;
use catalog::Workload;
use loadgen::{Client, Config, Control as DriveControl, drive};

const LIMIT: Duration = Duration::from_secs(20);

/// The example server, which cargo builds with the tests.
struct Fixture {
    addr: SocketAddr,
    child: Child,
}

impl Fixture {
    fn start(arguments: &[&str]) -> Self {
        let test = std::env::current_exe().unwrap();
        let examples = test.parent().unwrap().with_file_name("examples");
        let mut child = Command::new(examples.join("fixture"))
            .args(["--addr", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("run `cargo build --package harness --examples`");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        Self {
            addr: line.trim().parse().unwrap(),
            child,
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn call(method: &str, target: &str) -> Call {
    Call {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: Vec::new(),
        body: None,
    }
}

fn calls(target: &str) -> BTreeMap<String, Vec<Call>> {
    BTreeMap::from([("one".to_owned(), vec![call("GET", target)])])
}

fn collect_from(addr: SocketAddr, calls: &BTreeMap<String, Vec<Call>>) -> Result<Answered> {
    let settings = Settings {
        referee: Referee::new(),
        timeout: LIMIT,
        ..Settings::default()
    };
    Answered::collect(addr, calls, &settings)
}

/// Every bundled workload, a few requests of each.
fn all_workloads() -> BTreeMap<String, Vec<Call>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workloads");
    let workloads = Workload::load_dir(&folder).unwrap();
    let drawn = workloads.iter().map(|w| (w.name.clone(), w.draw(7, 40)));
    drawn.collect()
}

/// Replays the contents of `file` in this process, on two threads that end with it.
fn replay(file: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let answers = Answers::read(file).unwrap();
    thread::spawn(move || respond::serve(listener, 2, answers));
    addr
}

/// A server that takes one connection at a time and sends `answer` to every request, `times` times per
/// connection.
fn says(answer: &'static str, times: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            for _ in 0..times {
                if !stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    break;
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    addr
}

/// Fails unless the responses to these calls are replayed correctly under load.
fn assert_replayed(answered: Answered, calls: &BTreeMap<String, Vec<Call>>) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("control.log");
    let entries = answered.entries.clone();
    let control = Control::keep(answered, calls, &log).unwrap();
    let addr = replay(&control._file.0);

    // Stored under the same requests, byte for byte.
    let again = collect_from(addr, calls).unwrap();
    assert_eq!(again.entries, entries);
    for (workload, calls) in calls {
        let script = control.script(workload, addr).unwrap();
        let distinct: HashSet<&Call> = calls.iter().collect();
        assert_eq!(script.len(), distinct.len());
        let config = Config {
            connections: 8,
            threads: 2,
            warmup: Duration::ZERO,
            duration: LIMIT,
            limit: Some(2_000),
            ..Config::new(addr)
        };
        let measured = drive(&config, &script, &DriveControl::default()).unwrap();
        assert_eq!(measured.first_error, None, "{workload}");
        assert_eq!(measured.answered_total, 2_000, "{workload}");
        assert_eq!(measured.bytes_received, measured.bytes_expected);
        assert_eq!(measured.reconnects, 0, "{workload}");
    }
    assert!(control.script("none", addr).is_err());
}

#[test]
fn every_answer_is_replayed_under_load() {
    let fixture = Fixture::start(&[]);
    let calls = all_workloads();
    assert!(calls.len() > 2, "{:?}", calls.keys());
    let answered = collect_from(fixture.addr, &calls).unwrap();
    drop(fixture);
    assert_replayed(answered, &calls);
}

#[test]
fn answers_made_from_the_model_are_right_and_replayed_under_load() {
    let calls = all_workloads();
    let made = Answered::of_model(&calls, &Referee::new()).unwrap();
    for (line, answer) in &made.entries {
        let head = String::from_utf8_lossy(answer);
        for header in ["\r\nContent-Type: application/json\r\n", "\r\nDate: "] {
            assert!(head.contains(header), "{line:?}: {head}");
        }
    }
    assert_replayed(made, &calls);
}

#[test]
fn what_the_contract_leaves_open_has_no_answer() {
    let error = Answered::of_model(&calls("/api/v1/orders/1"), &Referee::new()).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("defines no response to GET /api/v1/orders/1"),
        "{text}"
    );
}

#[test]
fn it_is_started_as_this_program() {
    let fixture = Fixture::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("control.log");
    let calls = calls("/api/v1/users");
    let keep = |answered| Control::keep(answered, &calls, &log).unwrap();
    let control = keep(collect_from(fixture.addr, &calls).unwrap());
    let other = keep(collect_from(fixture.addr, &calls).unwrap());

    let launch = control.launch();
    let program = std::env::current_exe().unwrap();
    assert_eq!(launch.command[0], program.to_str().unwrap());
    assert_eq!(
        launch.command[1..7],
        [
            "respond",
            "--addr",
            "{addr}",
            "--workers",
            "{workers}",
            "--answers"
        ]
    );
    let file = PathBuf::from(launch.command.last().unwrap());
    assert!(file.is_absolute());
    // The readiness request is stored too, though no workload has it.
    let mut client = Client::new(replay(&file), LIMIT);
    let referee = Referee::new();
    let ready = referee.readiness();
    let response = client.exchange(&wire(&ready, fixture.addr)).unwrap();
    referee.judge(&ready, &response).unwrap();

    drop(control);
    assert!(!file.exists());
    assert!(other._file.0.exists());
}

#[test]
fn an_answer_is_kept_as_it_came() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         6\r\n{\"stat\r\n9;ext=1\r\nus\":\"ok\"}\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}",
    ] {
        let answered = collect_from(says(answer, usize::MAX), &calls("/ping")).unwrap();
        let answers: Vec<&[u8]> = answered.entries.values().map(Vec::as_slice).collect();
        assert_eq!(answers, [answer.as_bytes()]);
    }
}

#[test]
fn an_answer_that_ends_its_connection_is_refused() {
    let fixture = Fixture::start(&["--fault", "closes-each"]);
    let closes = fixture.addr;
    let until_close = "HTTP/1.1 200 OK\r\n\r\n{\"status\":\"ok\"}";
    let http_1_0 = "HTTP/1.0 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";
    for addr in [closes, says(until_close, 1), says(http_1_0, 1)] {
        let error = collect_from(addr, &calls("/ping")).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(
            text,
            "GET /ping: the server closes the connection after its response"
        );
    }
}

/// One kind of request is affected, which makes the others useless too.
#[test]
fn answers_of_which_some_always_end_their_connection_are_refused() {
    let fixture = Fixture::start(&["--fault", "closes-posts"]);
    let calls = all_workloads();
    let error = collect_from(fixture.addr, &calls).unwrap_err();
    let text = format!("{error:#}");
    assert_eq!(
        text,
        "POST /api/v1/orders: the server closes the connection after its response"
    );
}

/// As after 1,000 responses: the response at which it happens is not to blame.
#[test]
fn an_answer_that_happens_to_end_its_connection_is_asked_for_again() {
    let fixture = Fixture::start(&["--fault", "closes-some"]);
    let calls = all_workloads();
    let answered = collect_from(fixture.addr, &calls).unwrap();
    drop(fixture);
    assert_replayed(answered, &calls);
}

#[test]
fn a_wrong_answer_is_refused() {
    let fixture = Fixture::start(&["--fault", "wrong-status"]);
    let error = collect_from(fixture.addr, &calls("/ping")).unwrap_err();
    assert!(format!("{error:#}").contains("GET /ping"), "{error:#}");
}

#[test]
fn a_request_too_long_to_replay_is_refused() {
    let referee = Referee::new();
    let accepted = referee.made(&call("GET", "/ping")).unwrap();
    let long = call("GET", &format!("/{}", "a".repeat(10_000)));
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
    let taken = Answered::default().take(&long, accepted, addr);
    assert!(format!("{:#}", taken.unwrap_err()).contains("8 KiB"));
}
