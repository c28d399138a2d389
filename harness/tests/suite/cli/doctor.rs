//! `harness doctor` on this machine, whatever it is.

use std::process::{Command, Output};

use serde_json::Value;

/// In a folder outside the workspace, without cargo's help.
fn doctor(shell: &str) -> Output {
    Command::new("sh")
        .args(["-c", &format!("{shell}exec \"$0\" doctor \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_harness"))
        .current_dir("/")
        .arg("--json")
        .output()
        .unwrap()
}

fn findings(output: &Output) -> Vec<Value> {
    let all: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    all["findings"].as_array().unwrap().clone()
}

#[test]
fn it_looks_at_all_that_spoils_a_measurement() {
    let output = doctor("");
    let findings = findings(&output);
    for id in [
        "governor",
        "turbo",
        "smt",
        "numa",
        "isolated",
        "clock-source",
        "steal",
        "pressure",
        "load",
        "descriptors",
        "ports",
        "somaxconn",
        "tcp-tw-reuse",
        "loopback-mtu",
        "mitigations",
        "virtualisation",
        "quota",
        "memory-limit",
        "thermal",
        "layout",
        "pinning",
        "compiler",
    ] {
        let of_id = findings.iter().filter(|finding| finding["id"] == id);
        assert_eq!(of_id.count(), 1, "{id}");
    }
    for finding in &findings {
        let level = finding["level"].as_str().unwrap();
        let found = finding["found"].as_str().unwrap();
        assert_eq!(
            level == "unknown",
            found.starts_with("unknown"),
            "{finding}"
        );
        let amiss = ["warn", "fail"].contains(&level);
        assert_eq!(amiss, finding["fix"].is_string(), "{finding}");
        assert!(!finding["why"].as_str().unwrap().is_empty(), "{finding}");
    }
    let failed = findings.iter().any(|finding| finding["level"] == "fail");
    assert_eq!(output.status.code(), Some(i32::from(failed)));
    assert!(
        output.stderr.is_empty(),
        "nothing but JSON where no terminal is"
    );
}

#[test]
fn a_limit_that_is_too_low_fails_with_the_command_that_raises_it() {
    let output = doctor("ulimit -n 100 && ");
    let findings = findings(&output);
    let limit = findings.iter().find(|f| f["id"] == "descriptors").unwrap();
    assert_eq!(limit["level"], "fail", "{limit}");
    let fix = limit["fix"].as_str().unwrap();
    assert!(
        fix.starts_with("sudo prlimit --pid $$ --nofile=256:256"),
        "{fix}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn connections_that_no_address_has_are_refused() {
    for connections in ["0", "65001"] {
        let output = Command::new(env!("CARGO_BIN_EXE_harness"))
            .args(["doctor", "--connections", connections])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
}
