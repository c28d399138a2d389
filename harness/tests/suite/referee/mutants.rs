//! The fixture's faults, each with the check or the gate that must refuse it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use referee::{CheckOptions, check_process};

use crate::referee::fixture::{Fixture, command};
use crate::referee::{failed, most, shown};

/// So many wrong servers at a time: most of the time goes by in waiting for them.
const AT_ONCE: usize = 8;

/// Who refuses a fault.
enum By {
    /// Each of these checks.
    Checks(&'static [&'static str]),
    /// Each of the first checks, and none of the second, which are close to them.
    ChecksOnly(&'static [&'static str], &'static [&'static str]),
    /// A gate of a measured run, or a case of the protocol matrix, with the test that shows it.
    Gate(&'static str),
}
use By::{Checks, ChecksOnly, Gate};

const MUTANTS: &[(&str, By)] = &[
    // What an answer says.
    (
        "wrong-body",
        Checks(&["ping", "users-pages", "user-by-id", "orders-create"]),
    ),
    (
        "wrong-status",
        Checks(&["ping", "users-defaults", "orders-create"]),
    ),
    (
        "swapped-routes",
        Checks(&["users-defaults", "orders-none-at-start"]),
    ),
    (
        "cached-pages",
        ChecksOnly(
            &["orders-out-of-stock", "orders-concurrent"],
            &["users-pages"],
        ),
    ),
    (
        "memoises",
        ChecksOnly(
            &["orders-fresh"],
            &["users-pages", "orders-refused-not-counted"],
        ),
    ),
    (
        "memoises-users",
        ChecksOnly(
            &["work-repeated"],
            &["work-recognised", "orders-fresh", "any-client"],
        ),
    ),
    (
        "memoises-first-page",
        ChecksOnly(&["work-common"], &["work-repeated", "work-recognised"]),
    ),
    (
        "recognises-load",
        ChecksOnly(
            &["work-recognised"],
            &["work-repeated", "work-common", "any-client"],
        ),
    ),
    (
        "no-date-for-load",
        ChecksOnly(&["any-client"], &["header-date", "header-date-moves"]),
    ),
    (
        "ignores-page",
        Checks(&["users-pages", "users-past-the-end", "orders-newest-first"]),
    ),
    ("wrong-total", Checks(&["users-defaults", "users-status"])),
    (
        "wrong-user",
        ChecksOnly(&["users-all"], &["users-defaults", "user-by-id"]),
    ),
    (
        "wrong-price",
        ChecksOnly(&["orders-catalogue"], &["orders-create"]),
    ),
    (
        "loose-numbers",
        Checks(&["users-limit-range", "orders-page-range", "user-id-invalid"]),
    ),
    (
        "any-size",
        Checks(&[
            "orders-body-limit",
            "error-precedence",
            "error-precedence-drawn",
        ]),
    ),
    (
        "any-type",
        Checks(&["orders-content-type", "error-precedence"]),
    ),
    (
        "parses-first",
        ChecksOnly(
            &["error-precedence", "error-precedence-drawn"],
            &["orders-content-type", "orders-malformed-json"],
        ),
    ),
    (
        "plain-errors",
        Checks(&["route-unknown", "method-not-allowed", "users-limit-range"]),
    ),
    ("no-allow", Checks(&["allow-header"])),
    // How long it waits, and what large bodies say.
    (
        "waits-too-short",
        ChecksOnly(&["wait-returns", "wait-ceiling"], &["wait-range"]),
    ),
    (
        "waits-in-turn",
        ChecksOnly(&["wait-together"], &["wait-returns"]),
    ),
    (
        "waits-for-few",
        ChecksOnly(&["wait-ceiling"], &["wait-returns", "wait-together"]),
    ),
    (
        "short-downloads",
        ChecksOnly(&["download-pages"], &["download-range", "users-pages"]),
    ),
    ("small-uploads", Checks(&["upload-limit", "upload-sum"])),
    ("skips-uploads", Checks(&["upload-sum", "upload-limit"])),
    (
        "always-gzip",
        ChecksOnly(
            &["compressed-identity"],
            &["compressed-gzip", "compressed-br", "download-pages"],
        ),
    ),
    (
        "plain-as-compressed",
        ChecksOnly(
            &["compressed-gzip", "compressed-br"],
            &["compressed-identity"],
        ),
    ),
    (
        "cuts-compressed",
        ChecksOnly(
            &["compressed-gzip", "compressed-br"],
            &["compressed-identity"],
        ),
    ),
    (
        "upstream-connects",
        ChecksOnly(&["upstream-passes-on"], &["upstream-failed"]),
    ),
    (
        "upstream-hides-errors",
        ChecksOnly(&["upstream-failed"], &["upstream-passes-on"]),
    ),
    // How it is sent.
    ("slow-first-byte", Checks(&["first-byte"])),
    ("trickled-body", ChecksOnly(&["last-byte"], &["first-byte"])),
    (
        "truncated-body",
        Checks(&["first-byte", "ping", "header-content-length"]),
    ),
    ("wrong-length", Checks(&["ping", "users-pages"])),
    ("extra-bytes", Checks(&["connection-reuse"])),
    ("two-dates", ChecksOnly(&["header-once"], &["header-date"])),
    ("stale-date", Checks(&["header-date-moves"])),
    ("old-date", Checks(&["header-date"])),
    ("wrong-content-type", Checks(&["header-content-type"])),
    (
        "resets-posts",
        Checks(&["orders-create", "connection-reuse"]),
    ),
    ("closes-silently", Checks(&["connection-reuse"])),
    (
        "closes-each",
        Gate(
            "8: gates/connections.rs, a_server_that_closes_each_connection_is_marked_in_every_format",
        ),
    ),
    (
        "closes-posts",
        Gate("8: gates/connections.rs, where_all_close_the_control_answers_by_the_contract"),
    ),
    (
        "closes-some",
        Gate(
            "8: gates/connections.rs, a_server_that_closes_some_connections_is_noted_and_still_the_controls",
        ),
    ),
    // What unusual clients see.
    (
        "dies-on-bad-head",
        Gate(
            "protocol: suite/protocol/matrix.rs, a_server_that_dies_on_a_bad_header_is_a_fault_of_that_case_alone",
        ),
    ),
    (
        "stunned-by-bad-head",
        Gate(
            "protocol: suite/protocol/matrix.rs, a_server_that_answers_no_more_after_a_case_is_a_fault_of_that_case",
        ),
    ),
    (
        "needs-whole-heads",
        Gate(
            "protocol: suite/protocol/matrix.rs, a_server_that_can_not_take_pieces_is_a_fault_where_the_contract_is_kept_to",
        ),
    ),
    // What happens to orders.
    ("repeats-id", Checks(&["orders-ids", "orders-concurrent"])),
    (
        "races-ids",
        ChecksOnly(&["orders-concurrent"], &["orders-ids"]),
    ),
    ("loses-orders", Checks(&["orders-ids", "orders-concurrent"])),
    (
        "oversells",
        Checks(&["orders-out-of-stock", "orders-limited-concurrent"]),
    ),
    (
        "races-stock",
        ChecksOnly(&["orders-limited-concurrent"], &["orders-out-of-stock"]),
    ),
    (
        "torn-pages",
        ChecksOnly(&["orders-read-while-written"], &["orders-newest-first"]),
    ),
    ("keeps-too-few", Checks(&["orders-kept"])),
    ("keeps-all", Checks(&["orders-kept"])),
    // The process.
    ("never-ready", Checks(&["first-byte", "ping"])),
    ("refuses-silently", Checks(&["start-bad-value"])),
    ("shares-port", Checks(&["start-taken-port"])),
    ("prints-requests", Checks(&["prints-nothing"])),
    ("lingers", Checks(&["stop-exits"])),
    ("waits-for-clients", Checks(&["stop-exits"])),
    (
        "stops-with-error",
        ChecksOnly(&["stop-exits"], &["stop-responses"]),
    ),
    (
        "stops-at-once",
        Gate("a figure: suite/referee/mod.rs, requests_lost_at_a_stop_are_counted_and_pass"),
    ),
    (
        "cuts-off-at-stop",
        ChecksOnly(&["stop-interrupt", "stop-responses"], &["stop-exits"]),
    ),
    (
        "ignores-interrupt",
        ChecksOnly(&["stop-interrupt"], &["stop-exits", "stop-responses"]),
    ),
    (
        "leaves-child",
        ChecksOnly(&["stop-frees-port"], &["stop-exits"]),
    ),
    (
        "exits-at-start",
        Gate("1: suite/cli/pipeline.rs, a_server_that_ends_at_once_is_refused"),
    ),
    // What shows only under load.
    (
        "exits-under-load",
        Gate("2: suite/cli/pipeline.rs, a_server_that_exits_under_load_is_refused"),
    ),
    (
        "hangs",
        Gate("2: suite/cli/pipeline.rs, a_server_that_hangs_is_refused"),
    ),
    (
        "wrong-under-load",
        Gate("2: suite/cli/pipeline.rs, a_server_that_is_sometimes_wrong_is_refused"),
    ),
    (
        "stops-listening",
        Gate("8: gates/answers.rs, a_server_that_takes_too_few_connections_counts_for_nothing"),
    ),
    (
        "leaks-connections",
        Gate("2: suite/cli/pipeline.rs, a_server_that_leaks_connections_is_refused"),
    ),
    (
        "leaks-memory",
        Gate("a mark: gates/answers.rs, a_server_whose_memory_grows_is_marked"),
    ),
    (
        "grows-once",
        Gate("a mark: gates/answers.rs, a_server_whose_memory_grew_and_stopped_is_marked"),
    ),
    (
        "works-in-children",
        Gate("9, passed: gates/processes.rs, work_of_processes_that_end_is_the_servers"),
    ),
];

#[test]
fn every_fault_is_refused_by_what_is_meant_for_it() {
    let next = AtomicUsize::new(0);
    let faults: Vec<String> = thread::scope(|scope| {
        let work = || {
            let mut faults = Vec::new();
            while let Some((fault, by)) = MUTANTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                faults.extend(not_refused(fault, by));
            }
            faults
        };
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with the referee's judgement of a fault.
fn not_refused(fault: &str, by: &By) -> Option<String> {
    let (refuse, pass) = match by {
        Checks(refuse) => (*refuse, &[][..]),
        ChecksOnly(refuse, pass) => (*refuse, *pass),
        Gate(_) => return None,
    };
    let only = refuse.iter().chain(pass).map(ToString::to_string).collect();
    let options = CheckOptions {
        only,
        // A machine that others use too: the faults are slower than this, what is right is not.
        first_byte_limit: Duration::from_millis(15),
        ..most()
    };
    let mut fixture = Fixture::start(&["--fault", fault]);
    let report = check_process(&mut fixture, &options);
    let refused: BTreeSet<_> = refuse.iter().copied().collect();
    let found = failed(&report);
    (found != refused).then(|| {
        format!(
            "{fault}: due {refused:?}, got {found:?}\n{}",
            shown(&report)
        )
    })
}

#[test]
fn every_fault_of_the_fixture_has_its_line() {
    let output = command().args(["--fault", "help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let faults: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    let listed: BTreeSet<_> = MUTANTS.iter().map(|(fault, _)| *fault).collect();
    assert_eq!(faults, listed);
    assert_eq!(listed.len(), MUTANTS.len(), "a fault is listed twice");
}

/// A line that names a test which is no more proves nothing.
#[test]
fn the_tests_of_the_gates_are_there() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/");
    for (fault, by) in MUTANTS {
        let Gate(shown_by) = by else { continue };
        let (file, test) = shown_by
            .split_once(": ")
            .unwrap()
            .1
            .split_once(", ")
            .unwrap();
        let text = std::fs::read_to_string(format!("{tests}{file}")).unwrap();
        let at = text.find(&format!("fn {test}()"));
        let body = &text[at.unwrap_or_else(|| panic!("no {test} in {file}"))..];
        let body = &body[..body.find("\n}").unwrap()];
        assert!(body.contains(fault), "{test} does not run {fault}");
    }
}
