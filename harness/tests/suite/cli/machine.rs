//! Gate 10: a machine that changes while it measures.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::cli::interrupts::under_way;
use crate::cli::support::{Bench, Run};

/// The limit on descriptors is the one setting that any user may change, for a process of
/// theirs.
#[test]
fn a_setting_that_changes_during_the_run_marks_every_row() {
    let bench = Bench::new().with("right", &[]);
    let harness = under_way(&bench, "20");
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(4096) - 1;
    let lower = Rlimit {
        current: Some(hard),
        maximum: Some(hard),
    };
    prlimit(Some(Pid::from_child(&harness)), Resource::Nofile, lower).unwrap();
    let run = Run::of(harness.wait_with_output().unwrap(), &bench.out());
    let rows = run.rows("right");
    assert!(!rows.is_empty());
    for (verdict, reasons) in rows {
        assert_ne!(verdict, "ok", "{reasons}");
        assert!(
            reasons.contains("changed during the run (descriptors"),
            "{reasons}"
        );
    }
    let line = format!("Changed during the run: descriptors: was {}", hard + 1);
    assert!(run.stdout.contains(&line), "{}", run.stdout);
}

#[test]
fn a_machine_that_stays_as_it_is_marks_none() {
    let bench = Bench::new().with("right", &[]);
    let run = bench.bench(&["--stage", "peak"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(!run.rows("right").is_empty());
    assert!(
        !run.stdout.contains("hanged during the run"),
        "{}",
        run.stdout
    );
}
