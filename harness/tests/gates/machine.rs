//! Gates 9 and 10: what the machine allows.
//!
//! A hypervisor that takes CPU time can't be had here, so steal is read from a tree of
//! `/proc` that is edited as it would be.

use catalog::Stage;
use judge::{Reason, gates};
use machine::{Layout, Recheck, StealMeter};
use record::{Record, Schedule, Verdict};
use report::summarise;

use crate::answers::sound;
use crate::load::{starved, with_control, with_trials_as};
use crate::outcome::{Outcome, assert_passes_when_quiet, assert_shown, row};
use crate::support::{Bench, fixture};
use crate::trees;

/// Fails unless no ranks are given, figures are shown all the same, and the cause is told.
fn assert_withheld(record: &Record, cause: &str) {
    let summary = summarise(record);
    assert!(summary.rows.iter().all(|row| row.rank.is_none()));
    let peak = row(&summary, "right", Stage::Peak);
    assert!(peak.figures.contains_key("requests_per_s"), "{peak:?}");
    assert!(summary.rankings[0].noise_floor.is_none());
    assert_shown(record, "Not ranked [");
    assert_shown(record, "ranks are withheld: ");
    assert_shown(record, cause);
}

/// Whether some workload has its ranks withheld by noise.
fn noisy(record: &Record) -> bool {
    let summary = summarise(record);
    let causes = [
        "other programs",
        "hypervisor",
        "the control varied",
        "the ratio of the control's",
    ];
    let withheld = |cause: &&str| summary.rankings[0].reason.contains(*cause);
    causes.iter().any(withheld)
}

/// Gate 9.
#[test]
fn other_programs_withhold_the_ranks() {
    let Some(starved) = starved() else { return };
    assert_withheld(&starved.outcome.record, "other programs took ");
}

/// Gate 9: the time of the server and of the load generator is not that of others, however
/// many threads of theirs wait for each other.
#[test]
fn a_quiet_machine_withholds_nothing() {
    let bench = Bench::new().with("right", &[]);
    let flags = ["--rounds", "3", "--duration", "1s", "--connections", "64"];
    assert_passes_when_quiet(&bench, &flags, |outcome| {
        for trial in &outcome.record.trials {
            assert!(trial.figures.contains_key("other_cpu_ratio"), "{trial:?}");
        }
        !noisy(&outcome.record)
    });
}

/// Gate 9: what comes and goes between processes of the control. Interleaved, what both of its entries share
/// cancels, and what they don't share is left; isolated, neither cancels.
#[test]
fn a_control_that_does_not_repeat_withholds_the_ranks() {
    let every_other = format!(
        "if [ -e slow ]; then rm slow; slow='--fault slow-first-byte'; else : > slow; fi; \
         exec '{}' --addr {{addr}} --workers {{workers}} $slow",
        fixture().display()
    );
    let run = format!("run = {:?}", ["sh", "-c", &every_other]);
    // Slow enough under load that its own rate is no load generator's limit.
    let bench = Bench::new()
        .turning("right", "--fault slow-first-byte")
        .with_manifest("unsteady", &run);
    let outcome = Outcome::of(&bench, &["--stage", "peak", "--rounds", "6"]);
    let mut record = with_control(&outcome.record, "unsteady");
    record = with_trials_as(&record, "right", "control~2");
    record.servers.retain(|server| server.name != "unsteady");
    record.trials.retain(|trial| trial.server != "unsteady");
    assert_withheld(&record, "the ratio of the control's two copies");
    record.run.schedule = Schedule::Isolated;
    assert_withheld(&record, "the control varied by ");
    // Both entries slow in the same rounds.
    record.run.schedule = outcome.record.run.schedule;
    record.trials.retain(|trial| trial.server != "control~2");
    record = with_trials_as(&record, "control", "control~2");
    assert!(!noisy(&quietened(&record)));
}

/// Gate 9: steal, as the meter reads it from a tree in which it grows.
#[test]
fn stolen_time_withholds_the_ranks() {
    let tree = trees::smt_off();
    let stat = |work: u32, steal: u32| {
        tree.put(
            "proc/stat",
            &format!("cpu0 {work} 0 0 1000 0 0 0 {steal} 0 0"),
        );
        tree.put(
            "proc/self/stat",
            "1 (a) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0",
        );
    };
    stat(0, 0);
    let meter = StealMeter::start(&tree.root(), &[0], &[0]);
    stat(800, 200);
    let steal = meter.stop().steal.unwrap();
    let mut record = quietened(&sound().record);
    assert!(!noisy(&record));
    for trial in &mut record.trials {
        trial.figures.insert("steal_ratio".into(), steal);
    }
    assert_withheld(&record, "the hypervisor took 20 % of the CPU time");
}

/// The record as it would be on a machine of its own.
fn quietened(record: &Record) -> Record {
    let mut record = record.clone();
    for trial in &mut record.trials {
        for figure in ["steal_ratio", "other_cpu_ratio"] {
            trial.figures.insert(figure.into(), 0.0);
        }
    }
    record
}

/// Gate 10: looked at before and after, as `harness bench` does, while the run's own machine is
/// a tree in which the governor changes in between.
#[test]
fn a_machine_that_changes_during_the_run_marks_it() {
    let tree = trees::laptop();
    let topology = tree.topology();
    let layout = Layout::choose(&topology).unwrap();
    let recheck = Recheck::start(&tree.root(), &topology, &layout);
    let mut record = sound().record.clone();
    assert_eq!(changed(&record), []);
    tree.put(
        "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
        "performance",
    );
    record.environment.findings.extend(recheck.finish());
    assert_eq!(
        changed(&record),
        [Reason::Changed {
            findings: vec!["governor".into()]
        }]
    );
    let summary = summarise(&record);
    assert!(
        summary
            .rows
            .iter()
            .all(|row| row.verdict == Verdict::Marked)
    );
    assert_shown(
        &record,
        "the machine changed during the run (governor, see Environment)",
    );
    assert_shown(&record, "was powersave, is performance, powersave");
}

/// What gate 10 finds beyond what was so before the run.
fn changed(record: &Record) -> Vec<Reason> {
    let mut found = gates::on_machine(&record.environment);
    found.retain(|reason| matches!(reason, Reason::Changed { .. }));
    found
}

/// Gate 10: a machine that was left alone, looked at by `harness bench` itself.
#[test]
fn a_machine_that_stays_as_it_is_marks_nothing() {
    let record = &sound().record;
    assert!(!record.environment.findings.is_empty());
    assert_eq!(changed(record), []);
}
