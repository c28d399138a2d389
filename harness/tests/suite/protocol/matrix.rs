//! The matrix of the fixture, right and with a fault.

use serde_json::Value;

use crate::cli::support::{Bench, Run};

/// Waits that are over soon; the fixture answers within milliseconds.
const SHORT: [&str; 7] = [
    "--json",
    "--patience",
    "1s",
    "--let-go",
    "1s",
    "--idle",
    "200",
];

/// A `harness protocol` of one fixture with these arguments.
fn matrix(fault: &[&str], arguments: &[&str]) -> Run {
    let bench = Bench::new().with("one", fault);
    let mut command = bench.command("protocol", &SHORT);
    command.arg("--out").arg(bench.out()).args(arguments);
    let mut run = Run::of(command.output().unwrap(), &bench.out());
    let stored = std::fs::read_to_string(bench.out().join("protocol.json"));
    run.record = stored
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| panic!("nothing is stored\n{}\n{}", run.stdout, run.stderr));
    run
}

fn cells(run: &Run) -> &Vec<Value> {
    run.record["servers"][0]["cells"].as_array().unwrap()
}

fn cell<'a>(run: &'a Run, id: &str) -> &'a Value {
    let mut cells = cells(run).iter();
    cells.find(|cell| cell["case"] == id).unwrap()
}

#[test]
fn a_right_server_has_a_cell_for_each_case_and_no_fault() {
    let run = matrix(&[], &[]);
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    let cases = run.record["cases"].as_array().unwrap();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    assert_eq!(cells(&run).len(), cases.len());
    for (case, cell) in cases.iter().zip(cells(&run)) {
        assert_eq!(case["id"], cell["case"]);
        assert!(cell["wrong"].is_null() && cell["died"].is_null(), "{cell}");
        let text = cell["text"].as_str().unwrap();
        assert!(
            !text.contains("no connection") && !text.is_empty(),
            "{cell}"
        );
    }
    // What stands in the fixture's code shows in its cells.
    for (id, text) in [
        ("cut-get", "200"),
        ("cut-order", "201"),
        ("bytes-30ms", "201, kept"),
        ("pipelined", "200 ×16, kept"),
        ("close", "200, closed"),
        ("expect-continue", "100, 201, kept"),
        ("head", "200, kept"),
        ("headers-16", "200, kept"),
        ("chunked", "closed without a response"),
        ("length-text", "closed without a response"),
        ("http10", "200, closed"),
        ("half-head", "open after 1 s"),
        ("reset", "left"),
    ] {
        assert_eq!(cell(&run, id)["text"], text, "{id}");
    }
    assert_eq!(cell(&run, "close")["agreement"], "follows");
    assert_eq!(cell(&run, "half-head")["agreement"], "permitted");
    assert_eq!(cell(&run, "chunked")["agreement"], "deviates");
    let crowd = cell(&run, "idle-crowd")["text"].as_str().unwrap();
    assert!(
        crowd.starts_with("200 idle: 201 of 201 right; then 200 of 200 answer"),
        "{crowd}"
    );
    let afterwards = &run.record["servers"][0]["afterwards"];
    assert_eq!(afterwards["passed"], afterwards["total"], "{afterwards}");
}

#[test]
fn a_server_that_dies_on_a_bad_header_is_a_fault_of_that_case_alone() {
    let only = [
        "--only",
        "headers-8",
        "--only",
        "header-no-colon",
        "--only",
        "head",
    ];
    let run = matrix(&["--fault", "dies-on-bad-head"], &only);
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let dead = cell(&run, "header-no-colon");
    assert_eq!(dead["died"], "with status 3", "{dead}");
    assert_eq!(dead["text"], "closed without a response, process ended");
    assert!(
        dead["log_tail"].as_str().unwrap().contains("as asked"),
        "{dead}"
    );
    for id in ["headers-8", "head"] {
        assert!(cell(&run, id)["died"].is_null());
        assert_eq!(cell(&run, id)["text"], "200, kept");
    }
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_server_that_answers_no_more_after_a_case_is_a_fault_of_that_case() {
    let only = ["--only", "headers-8", "--only", "length-text"];
    let run = matrix(&["--fault", "stunned-by-bad-head"], &only);
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let stunned = &cell(&run, "length-text")["wrong_afterwards"];
    assert!(
        stunned.as_str().unwrap().contains("not answered"),
        "{stunned}"
    );
    assert!(cell(&run, "headers-8")["wrong_afterwards"].is_null());
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_server_that_can_not_take_pieces_is_a_fault_where_the_contract_is_kept_to() {
    let only = ["--only", "cut-get", "--only", "close"];
    let run = matrix(&["--fault", "needs-whole-heads"], &only);
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let wrong = cell(&run, "cut-get")["wrong"].as_str().unwrap().to_owned();
    // Two pieces may reach a busy server as one; not at every place.
    assert!(wrong.starts_with("cut at byte "), "{wrong}");
    assert!(cell(&run, "close")["wrong"].is_null());
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn odd_behaviour_beyond_the_contract_is_shown_and_no_fault() {
    let run = matrix(
        &["--fault", "closes-each"],
        &[
            "--only",
            "http10-keep-alive",
            "--only",
            "options",
            "--only",
            "pipelined",
        ],
    );
    assert_eq!(run.status, Some(0), "{}", run.record["servers"][0]);
    assert_eq!(cell(&run, "pipelined")["text"], "200, closed");
    assert_eq!(cell(&run, "pipelined")["agreement"], "permitted");
    assert_eq!(cell(&run, "http10-keep-alive")["text"], "200, closed");
    let text = cell(&run, "options")["text"].as_str().unwrap().to_owned();
    assert_eq!(text, "405 method_not_allowed, closed");
}

#[test]
fn names_and_documents_are_guarded() {
    let bench = Bench::new().with("one", &[]);
    let unknown = bench
        .command("protocol", &["--only", "length-negativ"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    let text = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(text.contains("did you mean \"length-negative\""), "{text}");
    let part = bench.command("protocol", &["--write"]).output().unwrap();
    assert_eq!(part.status.code(), Some(2));
    let list = bench.command("protocol", &["--list"]).output().unwrap();
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        text.contains("would test one") && text.contains("9112 §6.3"),
        "{text}"
    );
}
