//! Gates 4, 5 and 6: what the load generator could do, and what follows for the figures.

use std::fs;
use std::sync::OnceLock;

use catalog::Stage;
use judge::{Reason, gates};
use record::{CONTROL, Record};
use report::summarise;

use crate::disturb::{self, MANY, Spinners};
use crate::outcome::{Outcome, assert_passes_when_quiet, assert_shown, row};
use crate::support::Bench;

/// Both sides' CPUs as flags.
fn on_cpus(server: u32, driver: u32) -> [String; 4] {
    let (server, driver) = (server.to_string(), driver.to_string());
    let flag = |name: &str| name.to_owned();
    [flag("--server-cpus"), server, flag("--driver-cpus"), driver]
}

/// The sound fixture, with the load generator's CPU taken by busy threads; and the tables as
/// they were written.
pub(crate) struct Starved {
    pub(crate) outcome: Outcome,
    markdown: String,
    csv: String,
}

/// None on a machine with one CPU.
pub(crate) fn starved() -> Option<&'static Starved> {
    static STARVED: OnceLock<Option<Starved>> = OnceLock::new();
    let measure = || {
        let (server, driver) = disturb::two_cpus()?;
        let bench = Bench::new().with("right", &[]);
        let cpus = on_cpus(server, driver);
        // Long enough for the shares of CPU time to be told, and rounds enough for ranks.
        let mut flags = vec!["--rounds", "3", "--duration", "1s", "--rate", "200"];
        flags.extend(cpus.iter().map(String::as_str));
        let _alone = disturb::alone();
        let _spinners = Spinners::on(driver, MANY);
        let outcome = Outcome::beside(&bench, &flags);
        let file = |name: &str| fs::read_to_string(bench.out().join(name)).unwrap();
        Some(Starved {
            outcome,
            markdown: file("table.md"),
            csv: file("table.csv"),
        })
    };
    STARVED.get_or_init(measure).as_ref()
}

/// Gate 4.
#[test]
fn a_starved_load_generator_makes_the_rate_a_lower_bound() {
    let Some(starved) = starved() else { return };
    let summary = summarise(&starved.outcome.record);
    let row = row(&summary, "right", Stage::Peak);
    assert!(row.lower_bound, "{row:?}");
    let words = "waited for a CPU ";
    assert!(
        row.reasons.iter().any(|reason| reason.contains(words)),
        "{row:?}"
    );
    assert_shown(&starved.outcome.record, words);
}

/// Gate 4, in each form in which the run was written.
#[test]
fn a_lower_bound_is_printed_as_one_everywhere() {
    let Some(starved) = starved() else { return };
    let line = |text: &str| -> String {
        let lines = text.lines();
        lines
            .filter(|line| line.starts_with('|') && line.contains("right"))
            .take(1)
            .collect()
    };
    for text in [&starved.outcome.run.stdout, &starved.markdown] {
        assert!(line(text).contains('≥'), "{text}");
    }
    let bounded = |line: &&str| line.split(',').nth(17) == Some("true");
    let lines: Vec<&str> = starved.csv.lines().filter(bounded).collect();
    assert_eq!(lines.len(), 1, "{}", starved.csv);
    assert!(lines[0].starts_with("right,ping,peak,requests_per_s,"));
    let rows = starved.outcome.run.record["summary"].as_array().unwrap();
    for row in rows {
        assert_eq!(row["lower_bound"], row["stage"] == "peak", "{row}");
    }
}

/// Gate 4: a server that is slower than any load generator.
#[test]
fn a_load_generator_with_time_left_bounds_nothing() {
    let slow = Bench::new().turning("slow", "--fault slow-first-byte");
    assert_passes_when_quiet(&slow, &["--stage", "peak"], |outcome| {
        let summary = summarise(&outcome.record);
        let row = row(&summary, "slow", Stage::Peak);
        assert!(row.figures.contains_key("driver_busy_ratio"), "{row:?}");
        !row.lower_bound
    });
}

/// Gate 4, with trials of the sound fixture standing for the control's.
#[test]
fn a_rate_near_the_controls_is_a_lower_bound_and_a_far_one_is_not() {
    let bench = Bench::new()
        .turning("slow", "--fault slow-first-byte")
        .with("fast", &[]);
    let outcome = Outcome::of(&bench, &["--stage", "peak", "--rounds", "3"]);
    let record = with_control(&outcome.record, "fast");
    let summary = summarise(&record);
    let near = |server| {
        let reasons = &row(&summary, server, Stage::Peak).reasons;
        reasons
            .iter()
            .any(|reason| reason.contains("of the control's"))
    };
    assert!(near("fast") && row(&summary, "fast", Stage::Peak).lower_bound);
    assert!(
        !near("slow"),
        "20 ms an answer is not what a load generator reaches"
    );
    assert_shown(&record, "the rate is 100 % of the control's");
}

/// The record with a control whose trials are those of a server.
pub(crate) fn with_control(record: &Record, server: &str) -> Record {
    with_trials_as(record, server, CONTROL)
}

/// The record, with trials of one of its servers standing for those of another entry too.
pub(crate) fn with_trials_as(record: &Record, server: &str, entry: &str) -> Record {
    let mut record = record.clone();
    let mut trials: Vec<_> = record.trials.clone();
    trials.retain(|trial| trial.server == server);
    trials
        .iter_mut()
        .for_each(|trial| trial.server = entry.to_owned());
    record.trials.extend(trials);
    record
}

/// Gate 5: each connection is made again after each answer, in no request's latency.
#[test]
fn rate_and_latency_that_do_not_belong_together_are_said() {
    let bench = Bench::new().with("closing", &["--fault", "closes-each"]);
    let flags = ["--stage", "peak", "--connections", "1", "--rounds", "4"];
    let outcome = Outcome::of(&bench, &flags);
    let littles = |reason: &Reason| matches!(reason, Reason::LittlesLaw { off, .. } if *off < 0.0);
    assert!(
        outcome.on_trials().iter().any(littles),
        "{:?}",
        outcome.on_trials()
    );
    assert_shown(&outcome.record, "closes its connections");
}

/// Gate 5.
#[test]
fn little_s_law_holds_for_a_sound_server() {
    let bench = Bench::new().with("right", &[]);
    let flags = ["--stage", "peak", "--duration", "500ms"];
    assert_passes_when_quiet(&bench, &flags, |outcome| {
        let broken = |reason: &Reason| matches!(reason, Reason::LittlesLaw { .. });
        !outcome.on_trials().iter().any(broken)
    });
}

/// Gate 6: more than any server on a loopback answers over eight connections.
#[test]
fn a_rate_beyond_the_server_is_said() {
    let bench = Bench::new().with("right", &[]);
    let outcome = Outcome::of(&bench, &["--stage", "paced", "--rate", "5000000"]);
    let missed =
        |reason: &Reason| matches!(reason, Reason::RateMissed { achieved: share } if *share < 0.9);
    assert!(
        outcome.on_trials().iter().any(missed),
        "{:?}",
        outcome.on_trials()
    );
    assert_shown(
        &outcome.record,
        "of the target rate was achieved (99.5 % needed)",
    );
}

/// Gate 6.
#[test]
fn requests_sent_late_by_a_starved_load_generator_are_said() {
    let Some(starved) = starved() else { return };
    let trials = starved.outcome.trials(Stage::Paced);
    let found = trials.flat_map(|trial| gates::on_trial(&starved.outcome.record.run, trial));
    let late = |reason: &Reason| matches!(reason, Reason::SentLate { .. });
    assert!(found.into_iter().any(|reason| late(&reason)));
    assert_shown(&starved.outcome.record, "the load generator sent late: p99");
}

/// Gate 6: each trial, which is allowed a lag of a millisecond.
#[test]
fn a_rate_that_is_kept_in_time_is_not_blamed() {
    let bench = Bench::new().with("right", &[]);
    let flags = ["--stage", "paced", "--rate", "200", "--duration", "1s"];
    assert_passes_when_quiet(&bench, &flags, |outcome| {
        let blamed =
            |reason: &Reason| matches!(reason, Reason::RateMissed { .. } | Reason::SentLate { .. });
        !outcome.on_trials().iter().any(blamed)
    });
}
