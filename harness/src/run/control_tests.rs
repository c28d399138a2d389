//! The control against the fixture: what it answered is replayed byte for byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::super::respond::Answers;
use super::*;
use crate::catalog::Workload;
use crate::load::{Client, Config, Control as DriveControl, drive};

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

fn collect_from(addr: SocketAddr, calls: &BTreeMap<String, Vec<Call>>) -> Result<Captured> {
    collect(addr, calls, &Referee::new(), LIMIT, &Interrupt::default())
}

/// Every workload of the house, a few requests of each.
fn all_workloads() -> BTreeMap<String, Vec<Call>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads");
    let workloads = Workload::load_dir(&folder).unwrap();
    let drawn = workloads.iter().map(|w| (w.name.clone(), w.draw(7, 40)));
    drawn.collect()
}

/// Replays in this process what `file` holds, on two threads that end with it.
fn replay(file: &Path) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let answers = Answers::read(file).unwrap();
    thread::spawn(move || respond::serve(listener, 2, answers));
    addr
}

/// A server of one connection at a time that sends `answer` to whatever comes.
fn says(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    addr
}

#[test]
fn every_answer_is_replayed_under_load() {
    let fixture = Fixture::start(&[]);
    let calls = all_workloads();
    assert!(calls.len() > 2, "{:?}", calls.keys());
    let folder = tempfile::tempdir().unwrap();
    let captured = collect_from(fixture.addr, &calls).unwrap();
    drop(fixture);
    let entries = captured.entries.clone();
    let log = folder.path().join("control.log");
    let control = captured.keep(&calls, &log, folder.path()).unwrap();
    let addr = replay(&control._file.0);

    // Stored under the same requests, byte for byte.
    let again = collect_from(addr, &calls).unwrap();
    assert_eq!(again.entries, entries);
    for (workload, calls) in &calls {
        let script = control.script(workload, addr).unwrap();
        assert_eq!(script.len(), calls.len());
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
    }
    assert!(control.script("none", addr).is_err());
}

#[test]
fn it_is_started_as_this_program() {
    let fixture = Fixture::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("control.log");
    let calls = calls("/api/v1/users");
    let keep = |captured: Captured| captured.keep(&calls, &log, folder.path()).unwrap();
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
    // What boot asks for is among the answers though no workload asks for it.
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
fn a_chunked_answer_is_kept_as_it_came() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                          6\r\n{\"stat\r\n9;ext=1\r\nus\":\"ok\"}\r\n0\r\n\r\n";
    let captured = collect_from(says(ANSWER), &calls("/ping")).unwrap();
    let answers: Vec<&[u8]> = captured.entries.values().map(Vec::as_slice).collect();
    assert_eq!(answers, [ANSWER.as_bytes()]);
}

#[test]
fn an_answer_that_ends_its_connection_is_refused() {
    let fixture = Fixture::start(&["--fault", "closes-each"]);
    let error = collect_from(fixture.addr, &calls("/api/v1/users?page=2")).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("GET /api/v1/users?page=2"), "{text}");
    assert!(text.contains("ends the connection"), "{text}");
}

#[test]
fn a_wrong_answer_is_refused() {
    let fixture = Fixture::start(&["--fault", "wrong-status"]);
    let error = collect_from(fixture.addr, &calls("/ping")).unwrap_err();
    assert!(format!("{error:#}").contains("GET /ping"), "{error:#}");
}

#[test]
fn a_request_too_long_to_replay_is_refused() {
    let fixture = Fixture::start(&[]);
    let mut accepted = ask(
        fixture.addr,
        &[call("GET", "/ping")],
        &Referee::new(),
        LIMIT,
        &Interrupt::default(),
    )
    .unwrap()
    .into_values()
    .collect::<Vec<_>>();
    let long = call("GET", &format!("/{}", "a".repeat(10_000)));
    let mut captured = Captured {
        entries: Entries::new(),
        expected: HashMap::new(),
    };
    let taken = captured.take(&long, accepted.remove(0), fixture.addr);
    assert!(taken.unwrap_err().to_string().contains("8 KiB"));
}
