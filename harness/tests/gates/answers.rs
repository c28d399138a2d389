//! Gates 1, 2, 3, 7 and 8: what a server answers.

use std::sync::OnceLock;

use catalog::Stage;
use judge::{Effect, Reason, gates};
use record::Verdict;
use report::summarise;

use crate::outcome::{Outcome, assert_shown, row};
use crate::support::Bench;

/// The sound fixture: pages and orders, both stages, a rate that it can keep.
pub(crate) fn sound() -> &'static Outcome {
    static SOUND: OnceLock<Outcome> = OnceLock::new();
    SOUND.get_or_init(|| {
        let bench = Bench::new().with("right", &[]);
        let flags = ["--workload", "mixed", "--rate", "200", "--rounds", "3"];
        Outcome::of(&bench, &flags)
    })
}

#[test]
fn a_sound_server_passes_the_gates_on_its_answers() {
    let sound = sound();
    assert_eq!(sound.run.status, Some(0), "{}", sound.run.stderr);
    let record = &sound.record;
    // Gates 1 and 7.
    assert_eq!(gates::on_server(&record.run, &record.servers[0]), []);
    // Gates 2, 3 and 8, all of which had something to look at.
    let grave = |reason: &Reason| reason.effect() >= Effect::Invalidates;
    let found: Vec<Reason> = sound.on_trials().into_iter().filter(grave).collect();
    assert_eq!(found, []);
    assert_eq!(record.trials.len(), 6);
    for trial in &record.trials {
        assert!(trial.figures["orders_accepted"] > 0.0, "{trial:?}");
        assert!(trial.figures["bytes_received"] > 0.0);
        assert_eq!(trial.figures["connections_established"], 8.0);
        assert_eq!(trial.figures["ids_repeated"], 0.0);
    }
}

/// Fails unless every trial of the row counts for nothing, for this reason.
fn assert_invalid(outcome: &Outcome, words: &str) {
    let summary = summarise(&outcome.record);
    let found = row(&summary, "bad", Stage::Peak);
    assert_eq!(found.verdict, Verdict::Failed, "{found:?}");
    assert!(found.figures.is_empty(), "a wrong answer is no throughput");
    assert_eq!(outcome.run.status, Some(1), "{}", outcome.run.stdout);
    assert_shown(&outcome.record, words);
}

const PEAK: [&str; 2] = ["--stage", "peak"];

/// Gate 2: a hang that the timeout is too long for. An isolated trial does not wait for it.
#[test]
fn a_server_that_hangs_until_the_end_counts_for_nothing() {
    let bench = Bench::new().turning("bad", "--fault hangs --fault-after 1000");
    let outcome = Outcome::of(
        &bench,
        &[&PEAK[..], &["--isolated", "--duration", "2s"]].concat(),
    );
    let silent = |reason: &Reason| matches!(reason, Reason::Silent { connections: 8.0 });
    assert!(
        outcome.on_trials().iter().any(silent),
        "{:?}",
        outcome.record.trials
    );
    assert_invalid(&outcome, "without a response at the end of the load");
}

/// Gate 3.
#[test]
fn accepted_orders_that_are_lost_under_load_are_missed() {
    let bench = Bench::new().turning("bad", "--fault loses-orders");
    let outcome = Outcome::of(&bench, &[&PEAK[..], &["--workload", "orders"]].concat());
    let lost = |reason: &Reason| matches!(reason, Reason::OrdersNotConserved { accepted, growth, .. } if growth < accepted);
    assert!(
        outcome.on_trials().iter().any(lost),
        "{:?}",
        outcome.on_trials()
    );
    assert_invalid(&outcome, "it loses or invents orders");
}

/// Gate 3.
#[test]
fn a_server_that_repeats_ids_under_load_counts_for_nothing() {
    let bench = Bench::new().turning("bad", "--fault repeats-id");
    let outcome = Outcome::of(&bench, &[&PEAK[..], &["--workload", "orders"]].concat());
    let repeated =
        |reason: &Reason| matches!(reason, Reason::IdsRepeated { ids: count } if *count > 0.0);
    assert!(
        outcome.on_trials().iter().any(repeated),
        "{:?}",
        outcome.on_trials()
    );
    assert_invalid(&outcome, "order ids were issued twice");
}

/// 1,000 requests in a trial, however fast the machine is: what is kept for each of them stays
/// below the fixture's limit.
const THOUSAND: [&str; 8] = [
    "--stage",
    "paced",
    "--rate",
    "1000",
    "--duration",
    "1s",
    "--rounds",
    "3",
];

fn on_memory(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::MemoryGrows { .. } | Reason::MemoryGrew { .. }
    )
}

/// Runs a server of which some trial is marked in this way.
fn assert_memory_is_marked(bench: &Bench, marked: impl Fn(&Reason) -> bool, words: &str) {
    let outcome = Outcome::of(bench, &THOUSAND);
    assert!(
        outcome.on_trials().iter().any(marked),
        "{:?}",
        outcome.record.trials
    );
    assert_shown(&outcome.record, words);
}

/// No gate, because a garbage collector that has not run yet looks the same: a mark on the row.
#[test]
fn a_server_whose_memory_grows_is_marked() {
    let bench = Bench::new().turning("bad", "--fault leaks-memory");
    let marked = |reason: &Reason| matches!(reason, Reason::MemoryGrows { .. });
    assert_memory_is_marked(&bench, marked, "memory kept growing");
}

#[test]
fn a_server_whose_memory_grew_and_stopped_is_marked() {
    // In the first half of the load.
    let bench = Bench::new().turning("bad", "--fault grows-once --fault-after 250");
    let marked = |reason: &Reason| matches!(reason, Reason::MemoryGrew { stopped: true, .. });
    assert_memory_is_marked(&bench, marked, "per request, then stopped");
}

#[test]
fn a_server_whose_memory_stays_is_not_marked() {
    let sound = sound();
    let mut trials = sound.record.trials.iter();
    assert!(trials.any(|trial| trial.figures.contains_key("rss_peak_bytes")));
    assert!(!sound.on_trials().iter().any(on_memory));
}

/// Gate 8: a server that takes no more connections half way.
#[test]
fn a_server_that_takes_too_few_connections_counts_for_nothing() {
    let bench = Bench::new().turning("bad", "--fault stops-listening");
    let outcome = Outcome::of(&bench, &[&PEAK[..], &["--connections", "400"]].concat());
    assert_invalid(&outcome, "of 400");
}

/// Gate 8: bytes behind a body whose length was right.
#[test]
fn bytes_that_belong_to_no_answer_count_for_nothing() {
    // It is right for the few answers before the load too.
    let bench = Bench::new().turning("bad", "--fault extra-bytes --fault-after 50");
    let outcome = Outcome::of(&bench, &PEAK);
    assert_invalid(&outcome, "bytes");
}
