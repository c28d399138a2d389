//! Servers that take turns: what one does wrong stays its own.

use std::process::Command;

use serde_json::Value;

use crate::cli::support::{Bench, Run, fixture};
use crate::cli::unfinished::all_gone;

const PEAK: [&str; 6] = [
    "--stage",
    "peak",
    "--rounds",
    "3",
    "--first-byte-limit",
    "1s",
];

/// The trials of a server.
fn trials<'r>(run: &'r Run, server: &str) -> Vec<&'r Value> {
    let trials = run.record["trials"]
        .as_array()
        .unwrap_or_else(|| panic!("no trials\n{}\n{}", run.stdout, run.stderr));
    let own = trials.iter().filter(|trial| trial["server"] == server);
    own.collect()
}

fn figure(trial: &Value, name: &str) -> f64 {
    let found = trial["figures"][name].as_f64();
    found.unwrap_or_else(|| panic!("no {name} in {trial}"))
}

/// Fails unless all trials of the right server count, each over all of its time.
fn assert_right_goes_on(run: &Run) {
    let own = trials(run, "right");
    assert_eq!(own.len(), 3);
    for trial in own {
        assert_eq!(trial["failure"], Value::Null, "{trial}");
        assert_eq!(trial["errors"], serde_json::json!({}), "{trial}");
        assert!(figure(trial, "requests") > 0.0);
    }
    for (verdict, reasons) in run.rows("right") {
        assert_ne!(verdict, "failed", "{reasons}");
    }
}

#[test]
fn a_server_that_crashes_fails_alone() {
    let bench = Bench::new()
        .with("right", &[])
        .turning("bad", "--fault exits-under-load --fault-after 1000");
    let run = bench.bench(&[&PEAK[..], &["--duration", "2s"]].concat());
    run.assert_failed("bad", "ended with status 3");
    assert_right_goes_on(&run);
    all_gone(&bench);
}

#[test]
fn a_server_that_hangs_loses_its_turn_and_no_one_elses() {
    let bench = Bench::new()
        .with("right", &[])
        .turning("bad", "--fault hangs --fault-after 1000");
    let run = bench.bench(&[&PEAK[..], &["--duration", "2s", "--timeout", "1s"]].concat());
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let rows = run.rows("bad");
    let told = |(verdict, reasons): &(String, String)| {
        verdict == "failed" && reasons.contains("were not answered within 1 s")
    };
    assert!(!rows.is_empty() && rows.iter().all(told), "{rows:?}");
    assert_right_goes_on(&run);
}

#[test]
fn a_server_that_does_not_rest_is_stopped_while_it_waits() {
    let script = format!(
        "while :; do :; done & exec '{}' --addr {{addr}} --workers {{workers}}",
        fixture().display()
    );
    let bench = Bench::new()
        .with("right", &[])
        .with_manifest("burns", &format!("run = {:?}", ["sh", "-c", &script]));
    let run = bench.bench(&[&PEAK[..], &["--duration", "1500ms"]].concat());
    assert_right_goes_on(&run);
    let own = trials(&run, "burns");
    assert_eq!(own.len(), 3);
    for trial in own {
        assert_eq!(figure(trial, "paused"), 1.0, "{trial}");
    }
    assert!(
        trials(&run, "right")
            .iter()
            .all(|trial| figure(trial, "paused") == 0.0)
    );
    let rows = run.rows("burns");
    assert!(rows[0].1.contains("it was stopped (SIGSTOP)"), "{rows:?}");
    // Also what was stopped ends with its group.
    all_gone(&bench);
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_slow_server_makes_slices_longer_and_takes_no_time_of_the_others() {
    let bench = Bench::new()
        .with("right", &[])
        .turning("slow", "--extra-instructions 8000000");
    let run = bench.bench(&[&PEAK[..], &["--duration", "400ms"]].concat());
    assert_right_goes_on(&run);
    assert_eq!(trials(&run, "slow").len(), 3, "{}", run.stdout);
    for server in ["right", "slow"] {
        for trial in trials(&run, server) {
            // 400 ms in slices of 10 ms are 44 without their lead-in.
            let slices = figure(trial, "slices");
            assert!((1.0..20.0).contains(&slices), "{trial}");
            let counted = figure(trial, "requests") / figure(trial, "requests_per_s");
            assert!(
                (0.2..=0.8).contains(&counted),
                "{counted} s of 0.4 s: {trial}"
            );
        }
    }
}

/// Runs of the two schedules say which they are, and are not compared.
#[test]
fn the_other_schedule_is_recorded_and_not_compared() {
    let bench = Bench::new().with("right", &[]);
    let in_turn = bench.bench(&PEAK);
    let alone = bench.dir.path().join("alone");
    let mut command = bench.command("bench", &crate::cli::support::SHORT);
    command
        .args(PEAK)
        .arg("--isolated")
        .arg("--out")
        .arg(&alone);
    let alone = Run::of(command.output().unwrap(), &alone);
    assert_eq!(in_turn.record["run"]["schedule"]["kind"], "interleaved");
    assert_eq!(in_turn.record["run"]["schedule"]["slice_ms"], 10.0);
    assert_eq!(
        alone.record["run"]["schedule"],
        serde_json::json!({"kind": "isolated"})
    );
    assert!(
        in_turn.stderr.contains("in turn, slices of 10 ms"),
        "{}",
        in_turn.stderr
    );
    assert!(alone.stderr.contains("one at a time"), "{}", alone.stderr);
    let compared = Command::new(env!("CARGO_BIN_EXE_harness"))
        .arg("compare")
        .arg(bench.out())
        .arg(bench.dir.path().join("alone"))
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&compared.stdout) + String::from_utf8_lossy(&compared.stderr);
    assert!(
        text.contains("run both with or both without --isolated"),
        "{text}"
    );
}

#[test]
fn slices_that_make_no_sense_are_refused() {
    let bench = Bench::new().with("right", &[]);
    for (flags, words) in [
        (
            &["--slice", "2ms", "--lead-in", "2ms"][..],
            "shorter than --slice",
        ),
        (&["--isolated", "--slice", "5ms"][..], "cannot be used with"),
    ] {
        let run = bench.bench(flags);
        assert_eq!(run.status, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert!(!bench.out().exists());
    }
}
