//! SIGKILL at points all over a run's life: no process survives, what was stored can be shown, and
//! `--resume` finishes the run.

use std::path::Path;
use std::process::Command;

use rand::{RngExt as _, SeedableRng};
use rand_pcg::Pcg64Mcg;
use record::{Record, StoppedBy};
use rustix::process::Signal;
use store::read_json;

use crate::cli::support::{Bench, Run, SHORT, fixture};
use crate::cli::unfinished::{
    Harness, all_gone, ask, assert_whole, begin, give_program, record, resume, trials,
};

/// Every choice of these tests is drawn from it.
const SEED: u64 = 20_261_121;
/// Rounds of a run: each has two trials.
const ROUNDS: u32 = 3;

/// Where a harness is killed; so many spins later, so that it is somewhere behind it.
#[derive(Debug, Clone, Copy)]
enum Point {
    /// It was started.
    Start,
    /// Its folder is there.
    Folder,
    /// It has written a line that begins so.
    Line(&'static str),
    /// It has stored so many trials more.
    Trials(i64),
    /// It has stored that the run is complete, and writes the tables.
    Complete,
}

impl Point {
    /// The most spins: about as long as what comes next may last.
    fn most_spins(self) -> u32 {
        match self {
            Self::Start => 50_000_000,
            Self::Folder => 5_000_000,
            Self::Line("building") => 500_000,
            Self::Line(_) | Self::Complete => 2_000_000,
            Self::Trials(_) => 10_000_000,
        }
    }

    fn wait(self, harness: &mut Harness, out: &Path, before: i64) {
        let complete = "SELECT ended = 'complete' FROM run";
        match self {
            Self::Start => {}
            Self::Folder => harness.wait_until(|| out.exists()),
            Self::Line(start) => harness.wait_for_line(start),
            Self::Trials(more) => harness.wait_until(|| trials(out) >= before + more),
            Self::Complete => harness.wait_until(|| ask(out, complete) == Some(1)),
        }
    }
}

/// Starts a harness and kills it behind a point.
fn kill(bench: &Bench, command: Command, point: Point, rng: &mut Pcg64Mcg) {
    let before = trials(&bench.out());
    let mut harness = Harness::start(command);
    point.wait(&mut harness, &bench.out(), before);
    let spins = rng.random_range(0..point.most_spins());
    for _ in 0..spins {
        std::hint::spin_loop();
    }
    harness.send(Signal::KILL);
    let run = harness.end(&bench.out());
    println!(
        "{point:?} and {spins} spins: {:?}",
        run.stderr.lines().last()
    );
    all_gone(bench);
}

/// A right server that is built by a copy into its folder.
fn bench() -> Bench {
    let lines = format!(
        "run = [\"./own\", \"--addr\", \"{{addr}}\", \"--workers\", \"{{workers}}\"]\n\
         build = [\"cp\", {:?}, \"own\"]",
        fixture()
    );
    let bench = Bench::new().with_manifest("right", &lines);
    give_program(&bench, "right");
    bench
}

fn new_run(bench: &Bench) -> Command {
    begin(bench, &SHORT, &["--rounds", &ROUNDS.to_string()])
}

fn report(out: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command.arg("report").arg(out);
    Run::of(command.output().unwrap(), out)
}

/// The record is there, `harness report` shows it, and it has all that `earlier` had.
fn shown(bench: &Bench, earlier: Option<&Record>) -> Record {
    let out = bench.out();
    let found = report(&out);
    assert_eq!(found.status, Some(0), "{}", found.stderr);
    assert!(found.stdout.contains("Environment"), "{}", found.stdout);
    let record = record(&out);
    if let Some(earlier) = earlier {
        assert_eq!(record.trials[..earlier.trials.len()], earlier.trials);
        assert_eq!(record.servers[..earlier.servers.len()], earlier.servers);
        let rates = &earlier.run.rates_per_s;
        assert!(rates.is_empty() || record.run.rates_per_s == *rates);
    }
    record
}

/// A run that is killed behind each of some points, and taken up again each time, to its end.
fn killed_behind(points: &[Point], seed: u64) -> Record {
    let bench = bench();
    let out = bench.out();
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut command = new_run(&bench);
    let mut earlier = None;
    for &point in points {
        kill(&bench, command, point, &mut rng);
        earlier = Some(shown(&bench, earlier.as_ref()));
        command = resume(&bench, &out, &[]);
    }
    let last = Harness::start(command).end(&out);
    let record = shown(&bench, earlier.as_ref());
    assert_whole(&record, ROUNDS);
    assert_eq!(record.run.stopped_by, Some(StoppedBy::Rounds));
    let exported = out.join("record.json");
    if exported.exists() {
        let (half, _) = read_json(&exported).unwrap();
        assert_eq!(half.trials.len(), record.trials.len());
    }
    // Killed when all was stored, it has nothing to take up, and says so.
    assert_eq!(last.status, Some(2), "{}", last.stderr);
    assert!(last.stderr.contains("is complete"), "{}", last.stderr);
    all_gone(&bench);
    record
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_run_killed_while_it_builds_calibrates_measures_and_ends_is_finished() {
    let points = [
        Point::Line("building"),
        Point::Line("calibrating"),
        Point::Trials(1),
        Point::Complete,
    ];
    let record = killed_behind(&points, SEED);
    assert!(!record.run.resumed_at.is_empty());
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_run_killed_while_it_checks_begins_measures_and_ends_is_finished() {
    let points = [
        Point::Line("checking"),
        Point::Line("paced rates"),
        Point::Trials(2),
        Point::Complete,
    ];
    let record = killed_behind(&points, SEED + 1);
    assert!(record.run.resumed_at.len() >= 2);
}

#[test]
fn a_run_killed_before_anything_is_stored_says_so() {
    let mut rng = Pcg64Mcg::seed_from_u64(SEED);
    for point in [Point::Start, Point::Folder].repeat(3) {
        let bench = bench();
        let out = bench.out();
        kill(&bench, new_run(&bench), point, &mut rng);
        let found = report(&out);
        let taken_up = Run::of(resume(&bench, &out, &["--list"]).output().unwrap(), &out);
        if found.status == Some(0) {
            // So the plan is there. That a run killed this early is finished, other tests show.
            assert_eq!(taken_up.status, Some(0), "{}", taken_up.stderr);
            assert_eq!(record(&out).run.rounds, ROUNDS);
            continue;
        }
        for run in [found, taken_up] {
            let words = ["no run.sqlite in", "before it stored anything"];
            let said = words.iter().any(|word| run.stderr.contains(word));
            assert!(said, "{}", run.stderr);
        }
    }
}
