//! `harness drive`: where its requests come from and go to, and its time series. The real program
//! against real sockets.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::drive::load_server::{Act, PONG, TestServer, response};
use crate::drive::program::{command, harness, json, measured, pong, text};
use serde_json::Value;

/// The lines of a time series, each as JSON.
fn drive(arguments: &[&str]) -> Command {
    harness(&[&["drive"], arguments].concat())
}

fn series(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_time_series_holds_every_request_once() {
    let server = pong();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("series.jsonl");
    let path = path.to_str().unwrap();
    let more = [
        "-d",
        "350ms",
        "-c",
        "2",
        "--timeseries",
        path,
        "--interval",
        "100ms",
    ];
    let json = measured(0, &more, server.addr, "/");
    let lines = series(&std::fs::read_to_string(path).unwrap());
    let number = |line: &Value, name: &str| line[name].as_f64().unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert_eq!(lines.len(), 4);
    for (at, line) in lines.iter().enumerate() {
        assert!(close(number(line, "start"), at as f64 * 0.1));
        assert!(close(
            number(line, "seconds"),
            if at == 3 { 0.05 } else { 0.1 }
        ));
        let rate = number(line, "requests") / number(line, "seconds");
        assert!((number(line, "rate") / rate - 1.0).abs() < 1e-9);
        let since =
            line["start_unix_ns"].as_i64().unwrap() - json["start_unix_ns"].as_i64().unwrap();
        assert_eq!(since, at as i64 * 100_000_000);
        assert!(line["latency_ns"]["p99"].as_u64() >= line["latency_ns"]["p50"].as_u64());
        assert_eq!(line["errors"], 0);
    }
    let requests: u64 = lines
        .iter()
        .map(|line| line["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(json["requests"], requests);
}

#[test]
fn the_time_series_shows_when_errors_came_and_answers_ceased() {
    let server = TestServer::start(|n, _| match n {
        ..=50 => vec![Act::Write(response("200 OK", PONG).into())],
        51 => vec![Act::Write(response("500 Oh", PONG).into())],
        _ => vec![Act::Hang],
    });
    let flags = [
        "-d",
        "400ms",
        "-c",
        "1",
        "--timeseries",
        "-",
        "--interval",
        "200ms",
    ];
    let output = command(&flags, server.addr, "/").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let lines = series(&String::from_utf8(output.stdout).unwrap());
    let count = |name: &str| {
        lines
            .iter()
            .map(|line| line[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (lines.len(), count("requests"), count("errors")),
        (2, 50, 1)
    );
    assert_eq!(lines[1]["latency_ns"], Value::Null);
    // Standard output is theirs alone.
    let summary = String::from_utf8(output.stderr).unwrap();
    assert!(summary.contains("50 valid"), "{summary}");
}

#[test]
fn an_interval_is_a_second_and_needs_something_that_shows_it() {
    let server = pong();
    let flags = ["-n", "20", "--timeseries", "-"];
    let output = command(&flags, server.addr, "/").output().unwrap();
    let lines = series(&String::from_utf8(output.stdout).unwrap());
    assert_eq!((lines.len(), &lines[0]["requests"]), (1, &20.into()));
    for (flags, word) in [
        (&["--interval", "1s"][..], "--timeseries or --hlog"),
        (
            &["--timeseries", "-", "--json"],
            "both write to standard output",
        ),
        (&["--timeseries", "no/such/folder/x"], "no/such/folder/x"),
        (
            &["--timeseries", "-", "-d", "60s", "--interval", "1ms"],
            "more than 10,000",
        ),
    ] {
        let before = server.seen();
        let output = command(flags, server.addr, "/").output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{flags:?}: {}",
            text(&output)
        );
        assert!(text(&output).contains(word), "{flags:?}: {}", text(&output));
        assert_eq!(server.seen(), before);
    }
}

/// A server that keeps the request lines it saw, and those.
fn noting() -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = TestServer::start({
        let seen = seen.clone();
        move |_, request| {
            let line = request.lines().next().unwrap_or_default();
            seen.lock().unwrap().push(line.to_owned());
            vec![Act::Write(response("200 OK", PONG).into())]
        }
    });
    (server, seen)
}

/// A file of URLs on a server.
fn urls(dir: &tempfile::TempDir, lines: &[String]) -> String {
    let path = dir.path().join("urls.txt");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_urls_of_a_file_are_sent_in_order_and_again() {
    let ((server, seen), dir) = (noting(), tempfile::tempdir().unwrap());
    let addr = server.addr;
    let lines = [
        "# what to ask for".to_owned(),
        format!("http://{addr}/a?x=1"),
        String::new(),
        format!("DELETE http://{addr}/b"),
        format!("{addr}/c"),
    ];
    let file = urls(&dir, &lines);
    let json = json(0, drive(&["--urls", &file, "-n", "5", "-c", "1"]));
    let order = [
        "GET /a?x=1",
        "DELETE /b",
        "GET /c",
        "GET /a?x=1",
        "DELETE /b",
    ];
    let expected = order.map(|line| format!("{line} HTTP/1.1"));
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!(
        (&json["urls"], &json["shuffled"]),
        (&3.into(), &false.into())
    );
    assert_eq!(json["url"], format!("http://{addr}/"));
    let names: Vec<&str> = json["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| class["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["GET /a", "DELETE /b", "GET /c"]);
    let output = drive(&["--urls", &file, "-n", "3"]).output().unwrap();
    assert!(
        text(&output).starts_with(&format!("http://{addr}/, 3 URLs in order\n")),
        "{}",
        text(&output)
    );
}

#[test]
fn threads_share_out_the_urls_and_send_each_as_often() {
    let ((server, seen), dir) = (noting(), tempfile::tempdir().unwrap());
    let lines: Vec<String> = (0..7)
        .map(|n| format!("http://{}/{n}", server.addr))
        .collect();
    let file = urls(&dir, &lines);
    json(
        0,
        drive(&["--urls", &file, "-n", "21", "-c", "6", "-t", "2"]),
    );
    let mut seen = seen.lock().unwrap().clone();
    seen.sort_unstable();
    let each: Vec<String> = (0..21)
        .map(|n| format!("GET /{} HTTP/1.1", n / 3))
        .collect();
    assert_eq!(seen, each);
}

#[test]
fn urls_are_shuffled_by_the_seed() {
    let ((server, seen), dir) = (noting(), tempfile::tempdir().unwrap());
    let lines: Vec<String> = (0..20)
        .map(|n| format!("http://{}/{n}", server.addr))
        .collect();
    let list = urls(&dir, &lines);
    let order = |seed: &str| {
        seen.lock().unwrap().clear();
        let flags = [
            "--urls",
            &list,
            "-n",
            "40",
            "-c",
            "1",
            "--shuffle",
            "--seed",
            seed,
        ];
        assert_eq!(json(0, drive(&flags))["shuffled"], true);
        seen.lock().unwrap().clone()
    };
    let (one, again, other) = (order("1"), order("1"), order("2"));
    assert_eq!(one, again);
    assert_ne!(one, other);
    // Each once before any comes again, in the same order.
    assert_eq!(one[..20], one[20..]);
    let mut file: Vec<String> = (0..20).map(|n| format!("GET /{n} HTTP/1.1")).collect();
    let mut sorted = one[..20].to_vec();
    assert_ne!(sorted, file);
    sorted.sort_unstable();
    file.sort_unstable();
    assert_eq!(sorted, file);
}

#[test]
fn body_and_headers_go_with_each_url() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = TestServer::start({
        let seen = seen.clone();
        move |_, request| {
            seen.lock().unwrap().push(request.to_owned());
            vec![Act::Write(response("200 OK", PONG).into())]
        }
    });
    let (addr, dir) = (server.addr, tempfile::tempdir().unwrap());
    let file = urls(
        &dir,
        &[format!("http://{addr}/a"), format!("PUT http://{addr}/b")],
    );
    json(
        0,
        drive(&[
            "--urls", &file, "-n", "2", "-c", "1", "-b", "xy", "-H", "A: b",
        ]),
    );
    let rest = format!("HTTP/1.1\r\nHost: {addr}\r\nA: b\r\nContent-Length: 2\r\n\r\nxy");
    let expected = ["POST /a", "PUT /b"].map(|line| format!("{line} {rest}"));
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_file_of_urls_that_can_not_be_used_is_refused_with_its_line() {
    let (server, dir) = (pong(), tempfile::tempdir().unwrap());
    let here = format!("http://{}/", server.addr);
    let file = urls(
        &dir,
        &[here.clone(), "# x".into(), "http://127.0.0.1:1/".into()],
    );
    for (flags, words) in [
        (
            &["--urls", &file][..],
            "urls.txt:3: http://127.0.0.1:1/ has a different origin than line 1",
        ),
        (&["--urls", "no/such/file"], "--urls no/such/file"),
        (&["--urls", &file, &here], "cannot be used with"),
        (
            &["--urls", &file, "--workload", "x.toml"],
            "cannot be used with",
        ),
        (&["--shuffle", &here], "--shuffle needs --urls"),
        (&[], "<URL>"),
    ] {
        let output = drive(flags).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{flags:?}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(words),
            "{flags:?}: {}",
            text(&output)
        );
    }
    assert_eq!(server.seen(), 0);
}

#[test]
fn a_workload_may_have_headers_and_raw_bodies_of_its_own() {
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let server = TestServer::start({
        let seen = seen.clone();
        move |_, request| {
            seen.lock().unwrap().insert(request.to_owned());
            vec![Act::Write(response("200 OK", PONG).into())]
        }
    });
    let (addr, dir) = (server.addr, tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join("note.txt"), "from a file").unwrap();
    let file = dir.path().join("raw.toml");
    let workload = "about = \"Raw\"\n\
        [[request]]\nmethod = \"PUT\"\npath = \"/a\"\nbody = \"raw\"\n\
        headers = { Accept = \"own/type\", X-Id = [{ range = [1, 2], prefix = \"r\" }] }\n\
        [[request]]\nmethod = \"POST\"\npath = \"/b\"\nbody_file = \"note.txt\"\n\
        [[request]]\nmethod = \"POST\"\npath = \"/c\"\nbody = { n = 1 }\n\
        headers.Content-Type = \"application/json; charset=utf-8\"\n";
    std::fs::write(&file, workload).unwrap();
    let flags = [
        "--workload",
        file.to_str().unwrap(),
        "-n",
        "200",
        "-H",
        "Accept: of/flag",
    ];
    let json = measured(0, &flags, addr, "/v1");
    assert_eq!(
        (&json["requests"], &json["workload"]),
        (&200.into(), &"raw".into())
    );
    let host = format!("HTTP/1.1\r\nHost: {addr}\r\n");
    let put = |id| {
        format!("PUT /v1/a {host}Accept: own/type\r\nX-Id: r{id}\r\nContent-Length: 3\r\n\r\nraw")
    };
    let expected = [
        put(1),
        put(2),
        format!("POST /v1/b {host}Accept: of/flag\r\nContent-Length: 11\r\n\r\nfrom a file"),
        format!(
            "POST /v1/c {host}Accept: of/flag\r\nContent-Type: application/json; charset=utf-8\r\n\
             Content-Length: 7\r\n\r\n{{\"n\":1}}"
        ),
    ];
    assert_eq!(*seen.lock().unwrap(), HashSet::from(expected));
}

#[test]
fn a_unix_socket_is_driven_with_the_host_of_the_url() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("server.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let noted = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let noted = noted.clone();
            std::thread::spawn(move || note(stream, &noted));
        }
    });
    let path = path.to_str().unwrap();
    let flags = ["--unix", path, "-n", "30", "-c", "3"];
    let url = "http://localhost:81/ping?a";
    let json = json(0, drive(&[&flags[..], &[url]].concat()));
    assert_eq!(
        (&json["requests"], &json["address"]),
        (&30.into(), &path.into())
    );
    let expected = "GET /ping?a HTTP/1.1\r\nHost: localhost:81\r\n\r\n".to_owned();
    assert_eq!(*seen.lock().unwrap(), HashSet::from([expected]));
    let workload = dir.path().join("ping.toml");
    std::fs::write(&workload, "about = \"x\"\n[[request]]\npath = \"/ping\"\n").unwrap();
    let drawn = ["--workload", workload.to_str().unwrap(), "http://localhost"];
    let output = drive(&[&flags[..], &drawn].concat()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let at = format!("http://localhost/ at {path}, workload ping\n");
    assert!(text(&output).starts_with(&at), "{}", text(&output));
    let none = ["--unix", "no/such.sock", "-n", "1", url];
    let output = drive(&none).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("no/such.sock failed"),
        "{}",
        text(&output)
    );
}

/// Answers each request, and notes it.
fn note(mut stream: UnixStream, seen: &Mutex<HashSet<String>>) {
    let mut request = [0; 1000];
    while let Ok(read @ 1..) = stream.read(&mut request) {
        let text = String::from_utf8_lossy(&request[..read]).into_owned();
        seen.lock().unwrap().insert(text);
        if stream
            .write_all(response("200 OK", PONG).as_bytes())
            .is_err()
        {
            return;
        }
    }
}

#[test]
fn connections_come_from_the_addresses_of_bind() {
    let server = pong();
    let flags = [
        "--bind",
        "127.0.0.2",
        "--bind",
        "127.0.0.3",
        "-n",
        "20",
        "-c",
        "2",
    ];
    let json = measured(0, &flags, server.addr, "/");
    assert_eq!(json["bind"], serde_json::json!(["127.0.0.2", "127.0.0.3"]));
    let output = command(&flags, server.addr, "/").output().unwrap();
    assert!(
        text(&output).contains(", from 127.0.0.2 and 127.0.0.3"),
        "{}",
        text(&output)
    );
    for (flags, words) in [
        (
            &["--bind", "192.0.2.1"][..],
            "--bind: connections can't come from 192.0.2.1",
        ),
        (&["--bind", "::1"], "different address family"),
        (&["--bind", "localhost"], "--bind"),
        (
            &["--bind", "127.0.0.2", "--unix", "x"],
            "cannot be used with",
        ),
    ] {
        let before = server.seen();
        let output = command(flags, server.addr, "/").output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{flags:?}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(words),
            "{flags:?}: {}",
            text(&output)
        );
        assert_eq!(server.seen(), before);
    }
}
