//! Gate 9: what a server has other processes do is the server's work, also once they have ended.

use harness::record::Trial;

use crate::outcome::assert_passes_when_quiet;
use crate::support::Bench;

/// A process takes 10 ms of CPU time for one request in 20: 500 µs for each. The server itself takes some
/// tens beside it, and starting and ending a process is a few more; what is counted twice is over 1,000.
fn is_charged(trial: &Trial) -> bool {
    let figure = |name: &str| trial.figures.get(name).copied();
    let each = figure("cpu_mean_us_per_request").or(figure("cpu_us_per_request"));
    assert!(trial.failure.is_none(), "{trial:?}");
    each.is_some_and(|us| us > 400.0 && us < 950.0)
        && figure("other_cpu_ratio").is_some_and(|share| share < 0.1)
}

#[test]
fn work_of_processes_that_end_is_the_servers() {
    for schedule in ["--slice=10ms", "--isolated"] {
        let bench = Bench::new()
            .with("right", &[])
            .turning("forks", "--fault works-in-children");
        let flags = ["--duration", "1s", "--rate", "400", schedule];
        assert_passes_when_quiet(&bench, &flags, |outcome| {
            let forks = |trial: &&Trial| trial.server == "forks";
            let mut trials = outcome.record.trials.iter().filter(forks);
            assert_eq!(trials.clone().count(), 2);
            trials.all(is_charged)
        });
    }
}
