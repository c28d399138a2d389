//! `run.sqlite`: what goes in comes out, also when the writer is killed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use catalog::Stage;
use proptest::prelude::*;
use record::figure;
use record::*;
use rusqlite::Connection;
use store::*;

use crate::record_and_report::sample;

fn write(path: &Path, record: &Record) -> Store {
    let mut store = Store::create(path).unwrap();
    store.put_run(&record.run).unwrap();
    store.put_environment(&record.environment).unwrap();
    for server in &record.servers {
        store.put_server(server).unwrap();
    }
    for trial in &record.trials {
        store.put_trial(trial).unwrap();
    }
    store
}

#[test]
fn a_record_comes_back_equal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    let record = sample::record();
    assert_eq!(write(&path, &record).load().unwrap(), record);
    assert_eq!(Store::open(&path).unwrap().load().unwrap(), record);
}

/// Before there was a choice, there was epoll alone.
#[test]
fn the_engine_is_stored_and_a_record_without_one_is_of_epoll() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = sample::record();
    record.run.engine = Engine("io_uring".into());
    let mut store = write(&folder.path().join("run.sqlite"), &record);
    assert_eq!(store.load().unwrap(), record);

    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version-1");
    let (exported, _) = read_json(&data.join("record.json")).unwrap();
    let copy = folder.path().join("old.sqlite");
    fs::copy(data.join("run.sqlite"), &copy).unwrap();
    let stored = Store::open(&copy).unwrap().load().unwrap();
    for (old, trials) in [(exported, 1), (stored, 400)] {
        assert_eq!(old.run.engine, Engine("epoll".into()));
        assert_eq!(old.trials.len(), trials);
    }
}

#[test]
fn every_figure_of_a_stored_run_is_defined() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for run in ["tests/data/version-1", "../bench-results/reference"] {
        let copy = folder.path().join("run.sqlite");
        fs::copy(root.join(run).join("run.sqlite"), &copy).unwrap();
        let record = Store::open(&copy).unwrap().load().unwrap();
        assert!(record.trials.len() > 100, "{}", record.trials.len());
        for id in record.trials.iter().flat_map(|trial| trial.figures.keys()) {
            assert!(figure::find(id).is_some(), "{id} of {run} is not defined");
        }
    }
}

#[test]
fn what_is_put_again_replaces_what_was_there_and_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = sample::record();
    let mut store = write(&folder.path().join("run.sqlite"), &record);

    record.run.rates_per_s.remove("ping");
    record.run.rounds = 12;
    store.put_run(&record.run).unwrap();
    record.environment.findings.remove(0);
    store.put_environment(&record.environment).unwrap();
    record.servers[0].build = None;
    record.servers[0].check = None;
    record.servers[0].failure = record.servers[4].failure.clone();
    store.put_server(&record.servers[0]).unwrap();

    assert_eq!(store.load().unwrap(), record);
}

#[test]
fn the_end_is_noted_with_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = sample::record();
    record.run.ended = Ended::Open;
    record.run.ended_at = None;
    let mut store = write(&folder.path().join("run.sqlite"), &record);
    store.finish(Ended::Interrupted).unwrap();
    let run = store.load().unwrap().run;
    assert_eq!(run.ended, Ended::Interrupted);
    let ended_at: jiff::Timestamp = run.ended_at.unwrap().parse().unwrap();
    assert!(ended_at > "2024-01-01T00:00:00Z".parse().unwrap());
}

#[test]
fn a_trial_is_stored_whole_or_not_at_all_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let record = sample::record();
    let mut store = write(&folder.path().join("run.sqlite"), &record);
    let mut again = record.trials[0].clone();
    again.position = 99;
    assert!(store.put_trial(&again).is_err());
    let mut too_many = sample::trial(7, 77, "axum", Stage::Peak);
    too_many.errors.insert("timeout".into(), u64::MAX);
    assert!(store.put_trial(&too_many).is_err());
    assert_eq!(store.load().unwrap(), record);
}

#[test]
fn a_figure_that_is_no_number_is_absent() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = write(&folder.path().join("run.sqlite"), &sample::record());
    let mut trial = sample::trial(2, 50, "axum", Stage::Peak);
    let expected = trial.clone();
    trial.figures.insert("achieved_ratio".into(), f64::NAN);
    trial.figures.insert("jitter_us".into(), f64::INFINITY);
    store.put_trial(&trial).unwrap();
    assert_eq!(store.load().unwrap().trials[3], expected);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    fs::write(&path, "mine").unwrap();
    let error = Store::create(&path).unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}

#[test]
fn what_is_no_record_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.sqlite");
    let error = Store::open(&missing).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(error.to_string().contains("missing.sqlite"));
    assert!(!missing.exists());

    let error = Store::create(&folder.path().join("no/such/run.sqlite")).unwrap_err();
    assert!(matches!(error, StoreError::Create { .. }), "{error}");

    let text = folder.path().join("text.sqlite");
    fs::write(
        &text,
        "some text that is long enough to be read ".repeat(40),
    )
    .unwrap();
    let other = folder.path().join("other.sqlite");
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE run (a); PRAGMA user_version = 1")
        .unwrap();
    let empty = folder.path().join("empty.sqlite");
    fs::write(&empty, "").unwrap();
    for path in [&text, &other, &empty] {
        let error = Store::open(path).unwrap_err();
        assert!(matches!(error, StoreError::NotARecord { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }

    let unused = folder.path().join("unused.sqlite");
    let error = Store::create(&unused).unwrap().load().unwrap_err();
    assert!(matches!(error, StoreError::NotARecord { .. }), "{error}");
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    drop(write(&path, &sample::record()));
    let newer = SCHEMA_VERSION + 1;
    Connection::open(&path)
        .unwrap()
        .pragma_update(None, "user_version", newer)
        .unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(
        matches!(error, StoreError::TooNew { found, known, .. } if found == newer && known == SCHEMA_VERSION),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_value_no_harness_writes_is_called_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    drop(write(&path, &sample::record()));
    Connection::open(&path)
        .unwrap()
        .execute("UPDATE run SET seed = 'twelve'", ())
        .unwrap();
    let error = Store::open(&path).unwrap().load().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("seed"));
}

#[test]
fn text_is_freed_of_hidden_paths_wherever_it_is_free_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    let mut record = sample::record();
    let root = folder.path().to_str().unwrap();
    record.run.command.push(format!("--out={root}/out"));
    record.environment.findings[0].found = format!("{root} is full");
    record.servers[4].failure.as_mut().unwrap().log_tail = format!("at {root}/servers/x.rs:1");
    record.servers[4].check.as_mut().unwrap().failures = vec![format!("{root}/y")];
    record.servers[0].build.as_mut().unwrap().binary = Some(format!("{root}/target/axum"));
    let wrapped = ("rustflags".to_owned(), format!("-L{root}/lib"));
    record.servers[0].build.as_mut().unwrap().flags = Some([wrapped].into());
    record.trials[2].failure.as_mut().unwrap().reason = format!("no {root}/target/axum");
    record.trials[0].first_error = Some(format!("{root}: no answer"));

    let mut store = Store::create(&path)
        .unwrap()
        .hiding(HiddenPaths::new([(folder.path(), ".")]));
    store.put_run(&record.run).unwrap();
    store.put_environment(&record.environment).unwrap();
    record
        .servers
        .iter()
        .for_each(|s| store.put_server(s).unwrap());
    record
        .trials
        .iter()
        .for_each(|t| store.put_trial(t).unwrap());

    let loaded = store.load().unwrap();
    assert!(!format!("{loaded:?}").contains(root));
    assert!(!to_json(&loaded, &Summary::default()).contains(root));
    assert_eq!(loaded.run.command.last().unwrap(), "--out=./out");
    drop(store);
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(root.len()).any(|w| w == root.as_bytes()));
}

/// Between two calls there is one file, and a plain copy of it is a whole record.
#[test]
fn a_copy_of_the_one_file_between_two_calls_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let live = folder.path().join("live");
    fs::create_dir(&live).unwrap();
    let record = sample::record();
    let mut store = write(&live.join("run.sqlite"), &record);
    for n in 0..5 {
        let trial = sample::trial(2 + n, 100 + n, "axum", Stage::Peak);
        store.put_trial(&trial).unwrap();
        let files: Vec<_> = fs::read_dir(&live).unwrap().map(Result::unwrap).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let copy = folder.path().join(format!("copy-{n}.sqlite"));
        fs::copy(live.join("run.sqlite"), &copy).unwrap();
        let copied = Store::open(&copy).unwrap().load().unwrap();
        assert_eq!(copied.trials.len(), record.trials.len() + n as usize + 1);
        assert_eq!(copied.trials.last(), Some(&trial));
    }
}

/// The worst moment: half of a transaction is in the main file already. A machine that stops
/// there leaves exactly the two files copied here.
#[test]
fn a_copy_in_the_middle_of_a_transaction_is_the_state_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.sqlite");
    let record = sample::record();
    drop(write(&path, &record));
    let before = fs::read(&path).unwrap();

    let mut other = Connection::open(&path).unwrap();
    // Too small a cache: pages go to the file before the transaction ends.
    other.execute_batch("PRAGMA cache_size = 2").unwrap();
    let unfinished = other.transaction().unwrap();
    unfinished
        .execute("UPDATE run SET profile = 'half'", ())
        .unwrap();
    for n in 0..2000 {
        unfinished
            .execute("INSERT INTO interval SELECT 1, 100 + ?1, 0, 1, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL", [n])
            .unwrap();
    }
    let copy = folder.path().join("copy.sqlite");
    fs::copy(&path, &copy).unwrap();
    let journal = folder.path().join("run.sqlite-journal");
    fs::copy(journal, folder.path().join("copy.sqlite-journal")).unwrap();
    assert_ne!(fs::read(&copy).unwrap(), before, "nothing was half written");

    assert_eq!(Store::open(&copy).unwrap().load().unwrap(), record);
}

const WRITER_PATH: &str = "HARNESS_TEST_WRITER_PATH";

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "run by a_writer_killed_at_any_point_leaves_a_readable_record"]
fn writer() {
    let Some(path) = std::env::var_os(WRITER_PATH) else {
        return;
    };
    let mut store = write(Path::new(&path), &sample::record());
    let mut stdout = std::io::stdout().lock();
    for n in 0..10_000 {
        let mut trial = sample::trial(2 + n, 100 + n, "axum", Stage::Peak);
        trial.intervals = vec![trial.intervals[0].clone(); 200];
        store.put_trial(&trial).unwrap();
        writeln!(stdout, "stored {n}").unwrap();
    }
}

#[test]
fn a_writer_killed_at_any_point_leaves_a_readable_record() {
    let folder = tempfile::tempdir().unwrap();
    for kill_after in [0, 1, 2, 5, 9, 14] {
        let path = folder.path().join(format!("{kill_after}.sqlite"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "record_and_report::store::writer",
                "--ignored",
                "--nocapture",
            ])
            .env(WRITER_PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let last = format!("stored {kill_after}");
        assert!(lines.any(|line| line.unwrap().ends_with(&last)));
        // SIGKILL, while it is busy with one of the next trials.
        child.kill().unwrap();
        child.wait().unwrap();
        let later = lines
            .map_while(Result::ok)
            .filter(|l| l.contains("stored"))
            .count();

        let mut store = Store::open(&path).unwrap();
        let record = store.load().unwrap();
        let stored = record.trials.len() - sample::record().trials.len();
        let said = kill_after + 1 + later;
        assert!((said..=said + 1).contains(&stored), "{stored} of {said}");
        for trial in &record.trials[3..] {
            assert_eq!(trial.intervals.len(), 200, "a trial is there in part");
        }
        // It can be taken up again.
        store
            .put_trial(&sample::trial(99_999, 99_999, "axum", Stage::Paced))
            .unwrap();
        store.finish(Ended::Interrupted).unwrap();
    }
}

fn finite() -> impl Strategy<Value = f64> {
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    NORMAL | SUBNORMAL | ZERO | POSITIVE | NEGATIVE
}

fn count() -> impl Strategy<Value = u64> {
    0..=u64::try_from(i64::MAX).unwrap()
}

prop_compose! {
    fn any_interval()(
        start_unix_ns in any::<i64>(), length_ns in any::<i64>(), requests in count(),
        errors in count(), p50_ns in proptest::option::of(count()),
        p99_ns in proptest::option::of(count()), jitter_ns in proptest::option::of(finite()),
        cpu_ns in proptest::option::of(count()), rss_bytes in proptest::option::of(count()),
        threads in any::<Option<u32>>(),
    ) -> Interval {
        Interval { start_unix_ns, length_ns, requests, errors, p50_ns, p99_ns, jitter_ns, cpu_ns,
            rss_bytes, threads }
    }
}

prop_compose! {
    fn any_trial()(
        server in ".*", workload in ".*", paced in any::<bool>(), started_unix_ns in any::<i64>(),
        failure in proptest::option::of((".*", ".*")),
        figures in proptest::collection::btree_map(".*", finite(), 0..6),
        errors in proptest::collection::btree_map(".*", count(), 0..4),
        first_error in proptest::option::of(".*"),
        histogram in proptest::collection::vec(any::<u8>(), 0..64),
        intervals in proptest::collection::vec(any_interval(), 0..4),
    ) -> Trial {
        Trial {
            round: 1, position: 0, server, workload,
            stage: if paced { Stage::Paced } else { Stage::Peak },
            started_unix_ns,
            failure: failure.map(|(reason, log_tail)| Failure { step: Step::Accept, reason, log_tail }),
            figures, errors, first_error,
            histograms: [("wire".to_owned(), Histogram { v2: histogram })].into(),
            intervals,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_trial_comes_back_equal(
        trial in any_trial(), seed in any::<u64>(), words in proptest::collection::vec(".*", 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut record = sample::record();
        record.run.seed = seed;
        record.run.command = words;
        record.trials = vec![trial];
        let mut store = write(&folder.path().join("run.sqlite"), &record);
        prop_assert_eq!(store.load().unwrap(), record);
    }
}
