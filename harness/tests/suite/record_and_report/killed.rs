//! A writer killed with SIGKILL at many moments: what it said was stored is there, and what it
//! was storing is there whole or not at all.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use catalog::Stage;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};
use record::*;
use store::*;

use rand::{RngExt as _, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::record_and_report::sample;

/// Where the writer writes; what is set makes [`writer`] more than an empty test.
const PATH: &str = "HARNESS_TEST_KILLED_PATH";
/// The writer is killed after so many different lines of its output, one after the other.
const LINES: usize = 64;
/// Spins until the kill, at most: about as long as two transactions take.
const SPINS: u32 = 400_000;
/// Every choice of the test is drawn from it.
const SEED: u64 = 0x5163_4b69_6c6c;

/// One call of the store.
enum Put {
    Environment(Environment),
    Run(Run),
    Server(Server),
    Trial(Box<Trial>),
    Finish,
}

/// What a run stores, in its order: the machine, the run, its servers, the run with its rates, trials.
fn puts() -> Vec<Put> {
    let record = sample::record();
    let mut before_rates = record.run.clone();
    before_rates.ended = Ended::Open;
    before_rates.ended_at = None;
    let with_rates = before_rates.clone();
    before_rates.rates_per_s.clear();
    let mut puts = vec![Put::Environment(record.environment), Put::Run(before_rates)];
    puts.extend(record.servers.into_iter().map(Put::Server));
    puts.push(Put::Run(with_rates));
    let mut rng = Pcg64Mcg::seed_from_u64(SEED);
    let histograms: Vec<Histogram> = (0..6).map(|_| histogram(&mut rng)).collect();
    let trial = |position| Put::Trial(Box::new(trial(position, &histograms, &mut rng)));
    puts.extend((0..LINES as u32 / 2).map(trial));
    puts.push(Put::Finish);
    puts
}

/// A trial of the size that a real one has: 4 s in intervals of 100 ms, five histograms.
fn trial(position: u32, histograms: &[Histogram], rng: &mut Pcg64Mcg) -> Trial {
    let mut trial = sample::trial(1 + position, position, "axum", Stage::Peak);
    trial.histograms = ["latency", "wire", "first_byte", "send_lag", "connect"]
        .map(|name| {
            let which = rng.random_range(0..histograms.len());
            (name.to_owned(), histograms[which].clone())
        })
        .into();
    let interval = trial.intervals[0].clone();
    trial.intervals = (0..40)
        .map(|place| Interval {
            start_unix_ns: interval.start_unix_ns + place * interval.length_ns,
            requests: rng.random_range(1_000..10_000),
            ..interval.clone()
        })
        .collect();
    trial
}

/// Latencies from 50 µs, most of them short and a few of many milliseconds.
fn histogram(rng: &mut Pcg64Mcg) -> Histogram {
    let mut latencies = hdrhistogram::Histogram::<u64>::new(3).unwrap();
    for _ in 0..2_000 {
        let share: f64 = rng.random_range(0.0005..1.0);
        latencies.record((50_000.0 / share) as u64).unwrap();
    }
    let mut v2 = Vec::new();
    V2Serializer::new().serialize(&latencies, &mut v2).unwrap();
    Histogram { v2 }
}

fn put(store: &mut Store, put: &Put) {
    match put {
        Put::Environment(environment) => store.put_environment(environment),
        Put::Run(run) => store.put_run(run),
        Put::Server(server) => store.put_server(server),
        Put::Trial(trial) => store.put_trial(trial),
        Put::Finish => store.finish(Ended::Complete),
    }
    .unwrap();
}

/// The record after these calls; none where the run itself was not stored. When the run ended
/// is left out.
fn expected(puts: &[Put]) -> Option<Record> {
    let mut run = None;
    let mut record = Record {
        servers: Vec::new(),
        trials: Vec::new(),
        protocol: None,
        costs: None,
        micro: None,
        added: record::Added::default(),
        environment: Environment::default(),
        ..sample::record()
    };
    for put in puts {
        match put {
            Put::Environment(environment) => record.environment = environment.clone(),
            Put::Run(stored) => run = Some(stored.clone()),
            Put::Server(server) => record.servers.push(server.clone()),
            Put::Trial(trial) => record.trials.push((**trial).clone()),
            Put::Finish => run.as_mut().unwrap().ended = Ended::Complete,
        }
    }
    run.map(|run| Record { run, ..record })
}

fn found(path: &Path) -> Option<Record> {
    let record = match Store::open(path).and_then(|mut store| store.load()) {
        Ok(record) => record,
        // Killed before there was a file, or a run in it.
        Err(StoreError::Open { .. } | StoreError::NotARecord { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let run = Run {
        ended_at: None,
        ..record.run
    };
    Some(Record { run, ..record })
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "run by a_record_holds_what_was_stored_whenever_its_writer_is_killed"]
fn writer() {
    let Some(path) = std::env::var_os(PATH) else {
        return;
    };
    let puts = puts();
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\nbefore create").unwrap();
    let mut store = Store::create(Path::new(&path)).unwrap();
    for one in &puts {
        writeln!(stdout, "before").unwrap();
        put(&mut store, one);
        writeln!(stdout, "after").unwrap();
    }
}

/// Kills a writer after line `number` and so many spins; how many calls it said it began, and how many
/// of them were over.
fn kill_writer(path: &Path, number: usize, spins: u32) -> (usize, usize) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "record_and_report::killed::writer",
            "--ignored",
            "--nocapture",
        ])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.starts_with("before") || line == "after");
    let mut said: Vec<String> = lines.by_ref().take(number + 1).collect();
    assert_eq!(said.len(), number + 1, "it ended before: {said:?}");
    for _ in 0..spins {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(lines);
    let count = |word: &str| said.iter().filter(|line| *line == word).count();
    (count("before"), count("after"))
}

#[test]
fn a_record_holds_what_was_stored_whenever_its_writer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let puts = puts();
    let mut rng = Pcg64Mcg::seed_from_u64(SEED);
    let kills: Vec<_> = (0..LINES)
        .map(|number| (number, rng.random_range(0..SPINS)))
        .collect();
    let (in_a_call, journals) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Most of the time goes by in waiting for the disk.
    let kill_and_look = |&(number, spins): &(usize, u32)| {
        let path = folder.path().join(format!("{number}.sqlite"));
        let (begun, stored) = kill_writer(&path, number, spins);
        in_a_call.fetch_add(begun - stored, Relaxed);
        let journal = path.with_extension("sqlite-journal");
        journals.fetch_add(usize::from(journal.exists()), Relaxed);
        let what = format!("line {number}, {spins} spins");
        look(&path, &puts, (begun, stored), &what);
    };
    std::thread::scope(|scope| {
        for some in kills.chunks(LINES / 4) {
            scope.spawn(|| some.iter().for_each(&kill_and_look));
        }
    });
    println!("{LINES} kills: {in_a_call:?} in a call, {journals:?} left a journal");
}

fn look(path: &Path, puts: &[Put], (begun, stored): (usize, usize), what: &str) {
    let record = found(path);
    let (without, with) = (expected(&puts[..stored]), expected(&puts[..begun]));
    assert!(
        record == without || record == with,
        "{what}, {begun} begun, {stored} stored: {record:?}"
    );
    let next = if record == with { begun } else { stored };
    if record.is_some() {
        go_on(path, puts, next, what);
    }
}

/// What was not stored can be put now.
fn go_on(path: &Path, puts: &[Put], next: usize, what: &str) {
    let end = puts.len().min(next + 3);
    let mut store = Store::open(path).unwrap();
    for one in &puts[next..end] {
        put(&mut store, one);
    }
    drop(store);
    assert_eq!(found(path), expected(&puts[..end]), "{what}");
}
