//! Gate 9: what a server has other processes do is the server's work, also once they have ended.

use record::Trial;

use crate::outcome::{Outcome, assert_passes_when_quiet};
use crate::support::Bench;

const FLAGS: [&str; 4] = ["--duration", "1s", "--rate", "400"];

fn trials(outcome: &Outcome) -> impl Iterator<Item = &Trial> {
    let trials = outcome.record.trials.iter();
    trials.filter(|trial| trial.server == "forks")
}

#[test]
fn work_of_processes_that_end_is_the_servers() {
    for schedule in ["--slice=10ms", "--isolated"] {
        let bench = Bench::new()
            .with("right", &[])
            .turning("forks", "--fault works-in-children");
        let outcome = Outcome::of(&bench, &[&FLAGS[..], &[schedule]].concat());
        assert_eq!(trials(&outcome).count(), 2);
        for trial in trials(&outcome) {
            let figure = |name: &str| trial.figures.get(name).copied();
            // Of bursts such as these the mean says more than a typical slice.
            let each = figure("cpu_mean_us_per_request").or(figure("cpu_us_per_request"));
            let each = each.unwrap_or_else(|| panic!("{trial:?}"));
            // One request in 20 has a process take 10 ms: 500 µs each, and more to start and end it and for the
            // server's own work. Counted twice it is more than this allows.
            assert!(each > 400.0 && each < 1_000.0, "{each} µs: {trial:?}");
            assert!(figure("cpu_by_control_group").is_some(), "{trial:?}");
        }
    }
}

#[test]
fn work_of_processes_that_end_is_no_other_programs() {
    let bench = Bench::new().turning("forks", "--fault works-in-children");
    assert_passes_when_quiet(&bench, &FLAGS, |outcome| {
        let others = |trial: &Trial| trial.figures.get("other_cpu_ratio").copied();
        trials(outcome).all(|trial| others(trial).is_some_and(|share| share < 0.1))
    });
}
