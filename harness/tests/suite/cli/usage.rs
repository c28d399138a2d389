//! Bad input gets a clear error with status 2, and nothing is started.

use std::process::{Command, Output};

use crate::cli::support::{Bench, SHORT};

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_harness"))
        .args(arguments)
        .output()
        .unwrap()
}

fn refused(arguments: &[&str], words: &str) {
    let output = harness(arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(
        text.contains(words),
        "{arguments:?}: \"{words}\" is not in {text}"
    );
}

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    refused(
        &["bench", "--list", "--workload", "pin"],
        "did you mean \"ping\"",
    );
    refused(
        &["bench", "--list", "--stage", "peek"],
        "did you mean \"peak\"",
    );
    refused(
        &["bench", "--list", "--profile", "standart"],
        "did you mean \"standard\"",
    );
    refused(
        &["check", "--list", "--server", "nothing-like-it"],
        "known:",
    );
    refused(&["check", "--only", "no-such-check"], "known:");
}

#[test]
fn a_workload_may_say_how_many_connections_it_is_for() {
    let shown = |arguments: &[&str]| {
        let output = harness(&[&["bench", "--list"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for (arguments, connections) in [
        (&["--workload", "ping"][..], "64 connections"),
        (&["--workload", "wait"], "1024 connections"),
        (
            &["--workload", "wait", "--connections", "9"],
            "9 connections",
        ),
        (
            &["--workload", "ping,wait", "--connections", "9"],
            "9 connections",
        ),
    ] {
        let text = shown(arguments);
        assert!(text.contains(connections), "{arguments:?}: {text}");
    }
    refused(
        &["bench", "--list", "--workload", "wait,ping"],
        "ping is for 64 connections and wait for 1024",
    );
    let default = shown(&["--profile", "standard"]);
    assert!(
        default.contains(" users ") && !default.contains(" wait "),
        "{default}"
    );
}

#[test]
fn values_out_of_range_are_refused() {
    refused(&["bench", "--connections", "0"], "--connections");
    refused(&["bench", "--rounds", "0"], "--rounds");
    refused(
        &["bench", "--engine", "iouring"],
        "possible values: epoll, io_uring",
    );
    refused(&["bench", "--rate", "-5"], "--rate");
    refused(&["bench", "--first-byte-limit", "5"], "unit");
    refused(
        &["bench", "--list", "--server-cpus", "9999"],
        "--server-cpus",
    );
    refused(
        &["bench", "--manifest", "no/such/server.toml"],
        "no/such/server.toml",
    );
}

#[test]
fn every_verb_shows_what_it_would_do() {
    for verb in ["build", "check", "bench"] {
        let output = harness(&[verb, "--list"]);
        assert!(output.status.success(), "{verb}");
        assert!(!output.stdout.is_empty(), "{verb}");
    }
}

#[test]
fn no_verb_has_a_flag_it_would_not_heed() {
    for (verb, flags) in [
        ("list", &["--list"][..]),
        ("build", &["--workload=ping", "--stage=peak"]),
        ("check", &["--workload=ping", "--stage=peak"]),
        ("report", &["--manifest=server.toml", "--list"]),
        (
            "doctor",
            &["--server=NAME", "--workload=ping", "--stage=peak", "--list"],
        ),
    ] {
        for flag in flags {
            refused(&[verb, flag], "unexpected argument");
        }
    }
}

#[test]
fn every_verb_teaches_by_example() {
    for verb in [
        "list",
        "new",
        "build",
        "check",
        "protocol",
        "fuzz",
        "bench",
        "drive",
        "import",
        "workload",
        "impair",
        "crosscheck",
        "report",
        "compare",
        "rank",
        "doctor",
    ] {
        let output = harness(&[verb, "--help"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{verb}");
        assert!(text.contains("Examples:\n"), "{verb}: {text}");
        assert!(
            text.contains(&format!("  cargo harness {verb}")),
            "{verb}: {text}"
        );
    }
}

#[test]
fn one_of_a_kind_is_no_plural() {
    let bench = Bench::new().with("right", &[]);
    let arguments = [
        &SHORT[..],
        &["--stage", "peak", "--connections", "1", "--list"],
    ]
    .concat();
    let output = bench.command("bench", &arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let plan = "(1 server) x 1 workload x 1 stage x 1 round = 1 trial over 1 connection, in turn, slices \
                of 10 ms, about";
    assert!(text.contains(plan), "{text}");
}

#[test]
fn a_folder_is_no_manifest_and_the_file_in_it_is_named() {
    let bench = Bench::new().with("right", &[]);
    let folder = bench.dir.path().join("right");
    let file = folder.join("server.toml");
    for verb in ["list", "build", "check", "bench"] {
        refused(
            &[verb, "--manifest", folder.to_str().unwrap()],
            &format!(
                "name the server.toml in it, as in --manifest {}",
                file.display()
            ),
        );
    }
}

#[test]
fn cpus_that_cannot_be_given_are_refused() {
    for verb in ["doctor", "bench", "check"] {
        for (arguments, words) in [
            (["--server-cpus=0", "--driver-cpus=0"], "both name 0"),
            (
                ["--server-cpus=8000", "--driver-cpus=0"],
                "not online: 8000",
            ),
            (["--server-cpus=", "--driver-cpus=0"], "no CPU is named"),
            (["--server-cpus=0", "--driver-cpus=one"], "is not a list"),
            (["--server-cpus=1-0", "--driver-cpus=0"], "runs backwards"),
        ] {
            refused(&[verb, arguments[0], arguments[1]], words);
        }
    }
}

#[test]
fn a_full_folder_is_never_overwritten() {
    let bench = Bench::new().with("right", &[]);
    std::fs::create_dir(bench.out()).unwrap();
    std::fs::write(bench.out().join("precious"), "x").unwrap();
    let run = bench.bench(&[]);
    assert_eq!(run.status, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("never overwritten"), "{}", run.stderr);
}

#[test]
fn a_folder_that_cannot_be_made_is_said_before_the_run() {
    let bench = Bench::new().with("right", &[]);
    let file = bench.dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let output = bench
        .command("bench", &SHORT)
        .arg("--out")
        .arg(file.join("run"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--out"), "{text}");
    assert!(!text.contains("checking"), "{text}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let run = Bench::new().with("right", &[]).bench(&["--port", &port]);
    run.assert_failed("right", "is taken");
}

#[test]
fn a_low_descriptor_limit_makes_a_smaller_run() {
    let bench = Bench::new().with("right", &[]);
    let inner = bench.command("bench", &SHORT);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 400 && exec \"$0\" \"$@\""])
        .arg(inner.get_program());
    command
        .args(inner.get_args())
        .args(["--stage", "peak", "--connections", "500"]);
    command.arg("--out").arg(bench.out());
    let run = crate::cli::support::Run::of(command.output().unwrap(), &bench.out());
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    assert!(run.stderr.contains("ulimit -n"), "{}", run.stderr);
    assert_eq!(run.record["run"]["connections"], 136);
}
