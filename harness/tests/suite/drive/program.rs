//! The program under test, and the server that most tests drive.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::drive::load_server::{PONG, TestServer, response};

pub(crate) fn harness(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// `harness drive` of one URL.
pub(crate) fn command(arguments: &[&str], addr: SocketAddr, path: &str) -> Command {
    let mut command = harness(&["drive"]);
    command.args(arguments).arg(format!("http://{addr}{path}"));
    command
}

/// All that it printed.
pub(crate) fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// Runs it, checks the status and returns all that it printed.
#[track_caller]
pub(crate) fn said(status: i32, mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(status), "{command:?}: {text}");
    text
}

/// The same with `--json`; returns the object on stdout.
#[track_caller]
pub(crate) fn json(status: i32, mut command: Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
pub(crate) fn measured(status: i32, arguments: &[&str], addr: SocketAddr, path: &str) -> Value {
    json(status, command(arguments, addr, path))
}

pub(crate) fn pong() -> TestServer {
    TestServer::says(&response("200 OK", PONG))
}
