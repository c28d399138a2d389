//! `--resume`: an interrupted run is finished as it began, or refused and left alone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use catalog::Stage;
use catalog::plan::Plan;
use record::{Failure, Record, Step, StoppedBy, Trial};
use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;
use store::Store;

use crate::cli::support::{Bench, Run, SHORT, fixture};
use crate::cli::unfinished::{
    Harness, OWN, all_gone, assert_whole, begin, copy, give_program, record, resume, trials,
};

/// Lets a harness store so many trials in all, then stops it with Ctrl-C.
fn interrupt_after(mut harness: Harness, count: i64, folder: &Path) -> Record {
    harness.wait_until(|| trials(folder) >= count);
    harness.send(Signal::INT);
    interrupted(harness, folder)
}

fn interrupted(harness: Harness, folder: &Path) -> Record {
    let run = harness.end(folder);
    assert_eq!(run.status, Some(130), "{}", run.stderr);
    assert!(run.stderr.contains("--resume"), "{}", run.stderr);
    record(folder)
}

/// Fails unless a run is refused for these reasons and its record is as it was.
fn assert_refused(mut command: Command, folder: &Path, words: &[&str]) {
    let database = folder.join("run.sqlite");
    let before = fs::read(&database).ok();
    let run = Run::of(command.output().unwrap(), folder);
    assert_eq!(run.status, Some(2), "{words:?}: {}", run.stderr);
    for word in words {
        assert!(run.stderr.contains(word), "no {word:?} in: {}", run.stderr);
    }
    let after = fs::read(&database).ok();
    assert!(before == after, "{words:?}: the record was changed");
    assert!(!folder.join("run.sqlite-journal").exists());
}

#[test]
fn a_run_interrupted_twice_is_finished_in_its_own_order() {
    let fails = r#"run = ["./none", "{addr}"]
build = ["sh", "-c", "echo again >> built; exit 3"]"#;
    let bench = Bench::new().with("right", &[]).with_manifest("bad", fails);
    let out = bench.out();
    let harness = Harness::start(begin(&bench, &SHORT, &["--rounds", "4"]));
    let first = interrupt_after(harness, 1, &out);
    assert!(!first.run.rates_per_s.is_empty());

    let mut harness = Harness::start(resume(&bench, &out, &[]));
    harness.wait_until(|| trials(&out) > first.trials.len() as i64);
    // It stands still meanwhile, and still has the run.
    harness.send(Signal::STOP);
    let another = ["is being written by another harness", "wait for it"];
    assert_refused(resume(&bench, &out, &[]), &out, &another);
    harness.send(Signal::INT);
    harness.send(Signal::CONT);
    let second = interrupted(harness, &out);
    assert_eq!(second.run.resumed_at.len(), 1);

    let run = Harness::start(resume(&bench, &out, &[])).end(&out);
    assert_eq!(run.status, Some(1), "for a server failed: {}", run.stderr);
    let last = record(&out);
    assert_whole(&last, 4);
    assert_eq!(last.run.entries, ["right"]);
    assert_eq!(last.run.stopped_by, Some(StoppedBy::Rounds));
    assert_eq!(last.run.resumed_at.len(), 2);
    assert_eq!(last.run.rates_per_s, first.run.rates_per_s);
    assert_eq!(last.run.started_at, first.run.started_at);
    assert_eq!(last.trials[..first.trials.len()], first.trials);
    assert_eq!(last.trials[..second.trials.len()], second.trials);
    assert_eq!(last.servers, first.servers);
    let built = fs::read_to_string(bench.dir.path().join("bad/built")).unwrap();
    assert_eq!(built, "again\n", "a server that failed was built again");
    all_gone(&bench);

    let complete = ["is complete", "harness report"];
    assert_refused(resume(&bench, &out, &[]), &out, &complete);
}

#[test]
fn a_workload_from_a_file_is_passed_again() {
    let bench = Bench::new().with("right", &[]);
    let file = bench.dir.path().join("own.toml");
    let ping = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/ping.toml");
    fs::copy(ping, &file).unwrap();
    let own = ["--workload", file.to_str().unwrap()];
    let out = bench.out();
    let harness = Harness::start(begin(
        &bench,
        &SHORT,
        &[&own[..], &["--rounds", "3"]].concat(),
    ));
    interrupt_after(harness, 1, &out);
    assert_refused(
        resume(&bench, &out, &[]),
        &out,
        &["\"own\"", "pass that again with --workload FILE"],
    );
    assert_refused(
        resume(&bench, &out, &["--workload", "ping"]),
        &out,
        &["leave out --workload ping"],
    );
    let run = Harness::start(resume(&bench, &out, &own)).end(&out);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let rounds = |name: &str| {
        let trials = record(&out).trials;
        trials.iter().filter(|trial| trial.workload == name).count()
    };
    assert_eq!(rounds("own"), rounds("ping"));
    all_gone(&bench);
}

/// Another build of the fixture: what follows the end of its file changes nothing but its hash.
fn other_build(bench: &Bench) -> PathBuf {
    let other = bench.dir.path().join("other");
    copy(&fixture(), &other);
    let append = "printf %s \"$0\" >> \"$0\"";
    let status = Command::new("sh").args(["-c", append]).arg(&other).status();
    assert!(status.unwrap().success());
    other
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_twin_another_build_and_the_control_are_taken_up_too() {
    let bench = Bench::new().with("right", &[]);
    let out = bench.out();
    let other = other_build(&bench);
    let binary = format!("right={}", other.display());
    let flags = ["--stage", "peak", "--rounds", "2"];
    let entries = ["--twin", "right", "--binary", &binary];
    let command = begin(&bench, &SHORT[1..], &[flags, entries].concat());
    let mut harness = Harness::start(command);
    harness.wait_for_line("capturing responses for the control");
    harness.send(Signal::INT);
    assert_eq!(interrupted(harness, &out).trials, []);
    // Taken again from where it was copied to.
    fs::remove_file(other).unwrap();
    let first = interrupt_after(Harness::start(resume(&bench, &out, &[])), 2, &out);
    let name = first.servers[1].name.clone();
    let expected = ["right", &name, "right~2", "control", "control~2"];
    assert_eq!(first.run.entries, expected);

    let manifest = bench.dir.path().join("right/server.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let closes = "\"--fault\", \"closes-each\", \"--addr\"";
    fs::write(&manifest, text.replace("\"--addr\"", closes)).unwrap();
    let another = [
        "the control has changed since the run began",
        "Then: replays the answers of right. Now: replays answers made from the contract (not those of \
         right: GET /ping: the server closes the connection after its response;",
    ];
    assert_refused(resume(&bench, &out, &[]), &out, &another);
    fs::write(&manifest, text).unwrap();

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let build = first.servers[1].build.as_ref().unwrap();
    let kept = root.join(build.binary.as_ref().unwrap());
    let away = bench.dir.path().join("away");
    copy(&kept, &away);
    fs::remove_file(&kept).unwrap();
    let gone = [
        &format!("the run's copy of the binary of {name} is gone"),
        "pass it again with --binary right=PATH",
    ];
    assert_refused(resume(&bench, &out, &[]), &out, &gone);
    let wrong = format!("right={}", fixture().display());
    let command = resume(&bench, &out, &["--binary", &wrong]);
    assert_refused(command, &out, &["is not a build of this run"]);

    copy(&away, &kept);
    // As a control leaves them that is killed with its harness.
    fs::write(out.join("logs/capture.1-0.answers"), "answers2").unwrap();
    let run = Harness::start(resume(&bench, &out, &[])).end(&out);
    let last = record(&out);
    assert_whole(&last, 2);
    assert_eq!(last.run.entries, expected, "{}", run.stderr);
    assert_eq!(last.run.resumed_at.len(), 2);
    assert_eq!(last.trials[..first.trials.len()], first.trials);
    let logs = fs::read_dir(out.join("logs")).unwrap();
    let mut logs = logs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!logs.any(|name| name.ends_with(".answers")));
    // It was made for this test alone.
    fs::remove_file(kept).unwrap();
}

/// An interrupted run of one server that has its program in its own folder.
fn unfinished() -> Bench {
    let bench = Bench::new().with_manifest("right", OWN);
    give_program(&bench, "right");
    let command = begin(&bench, &SHORT, &["--rounds", "4"]);
    interrupt_after(Harness::start(command), 1, &bench.out());
    bench
}

#[test]
fn a_run_that_is_not_the_same_any_more_is_refused_and_left_alone() {
    let bench = unfinished();
    refuses_another_machine_or_harness(&bench);
    refuses_another_server(&bench);
    refuses_other_flags(&bench);
    let out = bench.out();

    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\""]);
    let inner = resume(&bench, &out, &[]);
    few.arg(inner.get_program()).args(inner.get_args());
    let words = ["8 connections", "ulimit -n 144"];
    assert_refused(few, &out, &words);

    let held = File::open(&out).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let words = ["is being written by another harness"];
    assert_refused(resume(&bench, &out, &[]), &out, &words);
}

fn refuses_another_machine_or_harness(bench: &Bench) {
    let begin_new = "start a new run";
    for (change, words) in [
        (
            "UPDATE environment SET kernel = '0.0.1'",
            "the kernel was 0.0.1 and is",
        ),
        (
            "UPDATE environment SET cpu_model = 'Z80'",
            "the CPU was Z80 and is",
        ),
        (
            "UPDATE environment SET rustc = 'rustc 0.1'",
            "the compiler was rustc 0.1 and is",
        ),
        (
            "UPDATE environment SET fingerprint = '00'",
            "the machine's fingerprint",
        ),
        (
            "UPDATE run SET harness_sha256 = '00'",
            "the harness was rebuilt",
        ),
        (
            "UPDATE workload SET requests_sha256 = '00'",
            "the requests of the workload ping",
        ),
    ] {
        let changed = bench.dir.path().join("changed");
        copy(&bench.out(), &changed);
        let connection = Connection::open(changed.join("run.sqlite")).unwrap();
        assert_eq!(connection.execute(change, ()).unwrap(), 1, "{change}");
        drop(connection);
        let command = resume(bench, &changed, &[]);
        assert_refused(command, &changed, &[words, begin_new]);
        fs::remove_dir_all(changed).unwrap();
    }
}

fn refuses_another_server(bench: &Bench) {
    let out = bench.out();
    let folder = bench.dir.path().join("right");
    let manifest = folder.join("server.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let kept = "Trials measured before are kept";

    fs::remove_file(&manifest).unwrap();
    let words = ["no server \"right\"", "--manifest, pass that again"];
    assert_refused(resume(bench, &out, &[]), &out, &words);

    fs::write(&manifest, format!("{text}build = [\"false\"]\n")).unwrap();
    let words = ["right could be measured", "now fails to build", kept];
    assert_refused(resume(bench, &out, &[]), &out, &words);

    let wrong = text.replace("./own\",", "./own\", \"--fault\", \"slow-first-byte\",");
    fs::write(&manifest, wrong).unwrap();
    let words = [
        "right could be measured",
        "now fails to pass the checks",
        kept,
    ];
    assert_refused(resume(bench, &out, &[]), &out, &words);

    let fixture = fixture();
    let elsewhere = fixture.to_str().unwrap();
    fs::write(&manifest, text.replace("./own", elsewhere)).unwrap();
    let words = ["right is not the program", "begin a new run", kept];
    assert_refused(resume(bench, &out, &[]), &out, &words);

    fs::write(&manifest, text).unwrap();
    let status = Command::new("sh")
        .current_dir(folder)
        .args(["-c", "printf x >> own"])
        .status();
    assert!(status.unwrap().success());
    let words = ["right is not the program", "SHA-256", kept];
    assert_refused(resume(bench, &out, &[]), &out, &words);
}

fn refuses_other_flags(bench: &Bench) {
    let out = bench.out();
    for flag in [
        "--profile=quick",
        "--rounds=9",
        "--precision=2%",
        "--budget=1m",
        "--twin=right",
        "--no-control",
        "--duration=1s",
        "--warmup=1s",
        "--connections=9",
        "--engine=io_uring",
        "--rate=100",
        "--seed=1",
        "--first-byte-limit=9ms",
        "--timeout=1s",
        "--ready-timeout=1s",
        "--out=elsewhere",
        "--server=right",
        "--stage=peak",
        "--server-cpus=0",
        "--driver-cpus=0",
        "--no-pin",
    ] {
        let name = flag.split('=').next().unwrap();
        let words = ["cannot be used with", name];
        assert_refused(resume(bench, &out, &[flag]), &out, &words);
    }
}

#[test]
fn what_is_no_run_is_refused_in_words() {
    let bench = Bench::new();
    let folder = |name: &str| {
        let folder = bench.dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        folder
    };
    let missing = bench.dir.path().join("missing");
    let none = ["no run.sqlite in", "create one with `harness bench`"];
    assert_refused(resume(&bench, &missing, &[]), &missing, &none);
    let empty = folder("empty");
    assert_refused(resume(&bench, &empty, &[]), &empty, &none);

    let nothing = ["before it stored anything", "start a new one"];
    let killed = folder("killed");
    File::create(killed.join("run.sqlite")).unwrap();
    assert_refused(resume(&bench, &killed, &[]), &killed, &nothing);
    let without_run = folder("without-run");
    drop(Store::create(&without_run.join("run.sqlite")).unwrap());
    assert_refused(resume(&bench, &without_run, &[]), &without_run, &nothing);
    let text = folder("text");
    fs::write(text.join("run.sqlite"), "some other text ".repeat(99)).unwrap();
    assert_refused(resume(&bench, &text, &[]), &text, &nothing);

    let older = folder("older");
    store_as_version_1(&older.join("run.sqlite"));
    let words = ["was stored by an older harness", "start a new run"];
    assert_refused(resume(&bench, &older, &[]), &older, &words);
    // The same once it was shown, which brings it up to date.
    drop(Store::open(&older.join("run.sqlite")).unwrap());
    assert_refused(resume(&bench, &older, &[]), &older, &words);

    let newer = folder("newer");
    copy(&older.join("run.sqlite"), &newer.join("run.sqlite"));
    let connection = Connection::open(newer.join("run.sqlite")).unwrap();
    connection
        .pragma_update(None, "user_version", 9_999)
        .unwrap();
    drop(connection);
    assert_refused(resume(&bench, &newer, &[]), &newer, &["version 9999"]);
}

/// A run as a harness before version 2 stored it.
fn store_as_version_1(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch(include_str!("../../../crates/store/src/v1.sql"))
        .unwrap();
    connection
        .execute_batch(
            "PRAGMA application_id = 0x48524e53; PRAGMA user_version = 1;
             INSERT INTO run VALUES (1, 'old', '2026-11-21T03:45:00Z', NULL, 'interrupted', '0.1.0',
                 NULL, '[]', 'quick', '1', 5, 64, 1000, 4000, 4000, 2000, 5.0, 'none')",
        )
        .unwrap();
}

/// A run of one server that was killed before anything but its plan was stored.
fn killed_early(more: &[&str]) -> Bench {
    let bench = Bench::new().with("right", &[]);
    let mut harness = Harness::start(begin(&bench, &SHORT, more));
    harness.wait_for_line("building right");
    harness.send(Signal::KILL);
    harness.end(&bench.out());
    all_gone(&bench);
    bench
}

/// Puts the first trials of the plan into a record, as another process would have.
fn put_trials(folder: &Path, failures: &[Option<(Step, &str)>]) {
    let stored = record(folder);
    let run = &stored.run;
    let plan = Plan {
        entries: run.entries.clone(),
        workloads: run.workloads.keys().cloned().collect(),
        stages: run.stages.clone(),
        rounds: run.rounds,
        seed: run.seed,
        interleaved: run.schedule.is_interleaved(),
        partial: BTreeMap::new(),
    };
    let mut store = Store::open(&folder.join("run.sqlite")).unwrap();
    for (place, (step, failure)) in plan.steps().iter().zip(failures).enumerate() {
        let figures = match failure {
            Some(_) => BTreeMap::new(),
            None => [("requests_per_s".to_owned(), 1_000.0)].into(),
        };
        let trial = Trial {
            round: step.round,
            position: u32::try_from(place).unwrap(),
            server: step.server.clone(),
            workload: step.workload.clone(),
            stage: step.stage,
            started_unix_ns: 1_795_232_700_000_000_000,
            failure: failure.map(|(step, reason)| Failure {
                step,
                reason: reason.to_owned(),
                log_tail: String::new(),
            }),
            figures,
            errors: BTreeMap::new(),
            first_error: None,
            histograms: BTreeMap::new(),
            intervals: Vec::new(),
        };
        store.put_trial(&trial).unwrap();
    }
}

#[test]
fn a_budget_spent_before_ends_the_run_after_the_round_that_was_begun() {
    let flags = ["--budget", "1s", "--rounds", "9999", "--rate", "300"];
    let bench = killed_early(&flags);
    put_trials(&bench.out(), &[None, None, None]);
    let run = Harness::start(resume(&bench, &bench.out(), &[])).end(&bench.out());
    let last = record(&bench.out());
    assert_eq!(
        last.run.stopped_by,
        Some(StoppedBy::Budget),
        "{}",
        run.stderr
    );
    assert_eq!(last.run.stages, Stage::ALL);
    assert_whole(&last, 2);
    assert_eq!(last.run.rates_per_s["ping"], 300.0);
}

#[test]
fn a_server_that_was_given_up_stays_so_for_the_same_reason() {
    let bench = killed_early(&["--rounds", "3", "--rate", "300"]);
    let reason = "skipped after 3 consecutive failures; the last: it ended";
    let ended = Some((Step::Boot, "it ended"));
    let given_up = Some((Step::Drive, reason));
    put_trials(&bench.out(), &[ended, ended, ended, given_up]);
    let run = Harness::start(resume(&bench, &bench.out(), &[])).end(&bench.out());
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let last = record(&bench.out());
    assert_whole(&last, 3);
    for trial in &last.trials[3..] {
        assert_eq!(trial.failure.as_ref().unwrap().reason, reason);
    }
}
