//! Gate 8 on servers that close their connections, and the control beside them.

use std::fs;

use catalog::Stage;
use judge::CONTROL;
use record::{Finding, Level, Record, Row, Trial, Verdict};
use report::summarise;

use crate::outcome::{Outcome, assert_shown, row};
use crate::support::Bench;

/// Of so many requests, those of the connections that stood at the start are few.
const RATE: [&str; 2] = ["--rate", "2000"];

/// A short run with the control, at a rate that every server keeps.
fn run(bench: &Bench, flags: &[&str]) -> Outcome {
    Outcome::with_control(bench, &[&RATE[..], flags].concat())
}

/// Connections and requests that the trials of an entry tell.
fn made(record: &Record, entry: &str) -> (f64, f64) {
    let own = record.trials.iter().filter(|trial| trial.server == entry);
    let sum = |figure: &str| own.clone().map(|trial| trial.figures[figure]).sum::<f64>();
    (sum("reconnects"), sum("requests_sent"))
}

fn mark(row: &Row) -> Option<&String> {
    let mut reasons = row.reasons.iter();
    reasons.find(|reason| reason.contains(" requests); "))
}

/// Fails unless the control was measured, every one of its answers right, and it is told whose answers
/// those were and why no other server's.
fn assert_control(record: &Record, found: &str, why: &str) {
    for entry in [CONTROL, "control~2"] {
        let own = |trial: &&Trial| trial.server == entry;
        let trials: Vec<&Trial> = record.trials.iter().filter(own).collect();
        assert!(!trials.is_empty(), "no {entry}");
        for trial in trials {
            assert_eq!((&trial.failure, &trial.first_error), (&None, &None));
        }
        assert_eq!(
            made(record, entry).0,
            0.0,
            "the control keeps its connections"
        );
    }
    let expected = Finding {
        id: CONTROL.into(),
        level: Level::Ok,
        found: found.into(),
        why: why.into(),
        fix: None,
    };
    assert_eq!(record.environment.control(), Some(&expected));
    assert_shown(record, &format!("The control {}", expected.told()));
    assert_shown(
        record,
        &format!("the harness's own responder, which {found}. It shows"),
    );
}

const ENDS: &str = "GET /ping: the server closes the connection after its response";

/// Gate 8, interleaved, in each form in which the run is written; and the control is made of the other server.
#[test]
fn a_server_that_closes_each_connection_is_marked_in_every_format() {
    let bench = Bench::new()
        .with("closing", &["--fault", "closes-each"])
        .with("keeping", &[]);
    let Outcome { run, record } = run(&bench, &[]);
    let summary = summarise(&record);
    for stage in Stage::ALL {
        let closing = row(&summary, "closing", stage);
        let mark = mark(closing).unwrap_or_else(|| panic!("{closing:?}"));
        assert!(
            mark.starts_with("every request opened a connection ("),
            "{mark}"
        );
        assert_eq!((closing.verdict, closing.rank), (Verdict::Marked, None));
        assert!(
            closing.figures.contains_key("requests_per_s"),
            "its figures stay"
        );
        assert!(
            closing
                .ratio_to_best
                .values()
                .all(|ratio| ratio.best == "keeping")
        );
        let words = mark.as_str();
        assert_shown(&record, words);
        for file in ["table.csv", "record.json", "report.html"] {
            let text = fs::read_to_string(bench.out().join(file)).unwrap();
            assert!(text.contains(words), "\"{words}\" is not in {file}");
        }
        let keeping = row(&summary, "keeping", stage);
        assert!(self::mark(keeping).is_none(), "{keeping:?}");
    }
    let (connections, requests) = made(&record, "closing");
    // None is made again behind the last answers of a stage.
    assert!(
        (connections..=connections + 16.0).contains(&requests),
        "{connections} {requests}"
    );
    assert_eq!(made(&record, "keeping").0, 0.0);
    let csv = fs::read_to_string(bench.out().join("trials.csv")).unwrap();
    for figure in ["reconnects", "requests_sent"] {
        assert!(csv.contains(&format!(",{figure},1,")), "{csv}");
    }
    let page = fs::read_to_string(bench.out().join("report.html")).unwrap();
    for words in [
        "The control replays the answers of keeping",
        ", which replays the answers of keeping.",
    ] {
        assert!(page.contains(words), "\"{words}\" is not on the page");
    }
    assert_control(
        &record,
        "replays the answers of keeping",
        &format!("not those of closing: {ENDS}"),
    );
    assert!(
        run.stderr.contains("can't replay responses of closing"),
        "{}",
        run.stderr
    );
}

/// Gate 8, isolated; where no server's answers can be replayed the control is made of the model, and servers
/// that all close are ranked among themselves.
#[test]
fn where_all_close_the_control_answers_by_the_contract() {
    let bench = Bench::new()
        .with("closing", &["--fault", "closes-each"])
        .with("posts", &["--fault", "closes-posts"]);
    let flags = [
        "--isolated",
        "--workload",
        "mixed,ping",
        "--connections",
        "4",
    ];
    let record = run(&bench, &flags).record;
    let summary = summarise(&record);
    let of = |server: &str, workload: &str, stage| {
        let mut rows = summary.rows.iter().filter(|row| row.workload == workload);
        let found = rows.find(|row| (row.server.as_str(), row.stage) == (server, stage));
        found.and_then(mark).cloned()
    };
    for stage in Stage::ALL {
        for workload in ["mixed", "ping"] {
            let closing = of("closing", workload, stage).unwrap();
            assert!(
                closing.starts_with("every request opened a connection ("),
                "{closing}"
            );
        }
        // Four of ten requests are orders.
        let posts = of("posts", "mixed", stage).unwrap();
        assert!(
            posts.contains("per 2 requests (") || posts.contains("per 3 requests ("),
            "{posts}"
        );
        assert_eq!(of("posts", "ping", stage), None);
    }
    let control = record.environment.control().unwrap();
    assert!(
        control.why.starts_with("not those of closing: "),
        "{control:?}"
    );
    let why = control.why.clone();
    assert!(
        why.ends_with(
            "; not those of posts: POST /api/v1/orders: the server closes the connection after its response"
        ),
        "{why}"
    );
    assert_control(&record, "replays answers made from the contract", &why);
}

/// As a server does that ends a connection after so many requests: a note, with the number of connections.
#[test]
fn a_server_that_closes_some_connections_is_noted_and_still_the_controls() {
    let bench = Bench::new().with("some", &["--fault", "closes-some"]);
    let record = run(&bench, &[]).record;
    let summary = summarise(&record);
    let (connections, requests) = made(&record, "some");
    assert!(
        (0.01..0.03).contains(&(connections / requests)),
        "{connections} {requests}"
    );
    let peak = row(&summary, "some", Stage::Peak);
    let mark = mark(peak).unwrap_or_else(|| panic!("{peak:?}"));
    assert!(mark.starts_with("one connection per "), "{mark}");
    assert!(!mark.contains("not ranked"), "{mark}");
    assert_control(&record, "replays the answers of some", "");
}

/// A server that fails while its answers are taken is passed over like one that closes.
#[test]
fn a_server_that_fails_as_its_answers_are_taken_leaves_the_control_to_the_next() {
    // There are some 2,000 pages to ask for.
    let bench = Bench::new()
        .turning("fails", "--fault exits-under-load --fault-after 1000")
        .with("keeping", &[]);
    let record = run(&bench, &["--workload", "users", "--stage", "peak"]).record;
    let why = &record.environment.control().unwrap().why;
    assert!(
        why.starts_with("not those of fails: the server ended with status 3; no response to GET "),
        "{why}"
    );
    assert_control(&record, "replays the answers of keeping", why);
}

#[test]
fn a_control_that_is_not_wanted_is_told() {
    let bench = Bench::new().with("right", &[]);
    let outcome = Outcome::of(&bench, &["--stage", "peak"]);
    let told = "The control is left out, as --no-control asks";
    assert_shown(&outcome.record, told);
}
