//! What is not compared, and why; what fails on one side only.

use catalog::Stage;
use judge::{Choice, Comparison, Outcome, Place};
use record::{Ended, Failure, Record, Step};
use report::say;

use crate::compare::sample::{Sample, compare, compare_with, outcomes};

/// Two runs that differ by chance alone.
fn runs() -> (Record, Record) {
    let of = |seed| Sample::new(seed, &[("a", 1.0), ("b", 1.3)]).record();
    (of(1), of(2))
}

/// What is said of what was not compared.
fn causes(found: &Comparison) -> Vec<(Place, &'static str)> {
    let said = say::not_compared(&found.not_judged).into_iter();
    said.map(|(cause, one)| (one.place.clone(), &*cause.leak()))
        .collect()
}

fn notes(found: &Comparison) -> Vec<String> {
    found.notes.iter().map(say::note).collect()
}

fn place(server: &str, stage: Option<Stage>, figure: Option<&'static str>) -> Place {
    Place {
        server: (!server.is_empty()).then(|| server.to_owned()),
        workload: stage.map(|_| "mixed".to_owned()),
        stage,
        figure,
    }
}

/// The stages in which figures of a server were compared.
fn compared(found: &Comparison, server: &str) -> Vec<Option<Stage>> {
    let own = found
        .changes
        .iter()
        .filter(|change| change.place.server.as_deref() == Some(server));
    let mut stages: Vec<_> = own.map(|change| change.place.stage).collect();
    stages.dedup();
    stages
}

const RSS: Option<&str> = Some("rss_peak_bytes");
const MEMORY: &str = "no paced stage had the same load in both, and memory depends on the load";
const ALL: [Option<Stage>; 3] = [Some(Stage::Peak), Some(Stage::Paced), None];

#[test]
fn a_server_in_one_run_only() {
    let (base, mut new) = runs();
    new.servers.retain(|server| server.name == "a");
    new.trials.retain(|trial| trial.server == "a");
    let found = compare(&base, &new);
    assert_eq!(causes(&found), [(place("b", None, None), "not in new")]);
    assert_eq!(
        causes(&compare(&new, &base)),
        [(place("b", None, None), "not in base")]
    );
    assert_eq!(
        (compared(&found, "a"), compared(&found, "b")),
        (ALL.to_vec(), vec![])
    );
}

#[test]
fn a_workload_or_a_stage_in_one_run_only() {
    let (base, mut new) = runs();
    new.run
        .workloads
        .insert("ping".into(), "the smallest".into());
    new.trials.retain(|trial| trial.stage == Stage::Peak);
    let found = compare(&base, &new);
    let workload = Place {
        workload: Some("ping".into()),
        ..Place::default()
    };
    let stage = Place {
        stage: Some(Stage::Paced),
        ..Place::default()
    };
    let memory = |server| (place(server, None, RSS), MEMORY);
    let wanted = [
        memory("a"),
        memory("b"),
        (workload, "not in base"),
        (stage, "not run in new"),
    ];
    assert_eq!(causes(&found), wanted);
    assert_eq!(compared(&found, "a"), [Some(Stage::Peak), None]);
    // What was not asked for is not missed.
    let choice = Choice {
        workloads: vec!["mixed".into()],
        stages: vec![Stage::Peak],
        ..Choice::default()
    };
    let found = compare_with(&base, &new, &choice);
    assert_eq!(causes(&found), []);
    let named = Choice {
        figures: vec!["rss_peak_bytes".into()],
        ..choice
    };
    let found = compare_with(&base, &new, &named);
    assert_eq!(causes(&found), [memory("a"), memory("b")]);
}

#[test]
fn other_connections() {
    let (base, mut new) = runs();
    new.run.connections = 256;
    for trial in &mut new.trials {
        trial
            .figures
            .insert("connections_established".into(), 256.0);
    }
    let found = compare(&base, &new);
    let why = "64 connections in base and 256 in new";
    assert_eq!(
        causes(&found),
        [
            (place("", Some(Stage::Peak), None), why),
            (place("", Some(Stage::Paced), None), why),
            (place("a", None, RSS), MEMORY),
            (place("b", None, RSS), MEMORY),
        ]
    );
    // A process starts before anybody connects.
    assert_eq!(outcomes(&found, "a"), [Outcome::Indistinguishable]);
}

#[test]
fn other_engines() {
    let (base, mut new) = runs();
    new.run.engine = record::Engine("io_uring".into());
    let found = compare(&base, &new);
    let all = causes(&found);
    for (stage, cause) in [Stage::Peak, Stage::Paced].into_iter().zip(&all) {
        assert_eq!(cause.0, place("", Some(stage), None));
        assert!(
            cause
                .1
                .starts_with("different I/O backends: epoll in base and io_uring in new"),
            "{all:?}"
        );
    }
    // A process starts before anybody connects.
    assert_eq!(outcomes(&found, "a"), [Outcome::Indistinguishable]);
}

#[test]
fn another_paced_rate() {
    let (base, mut new) = runs();
    new.run.rates_per_s.insert("mixed".into(), 21_000.0);
    let found = compare(&base, &new);
    let all = causes(&found);
    assert_eq!(all[0].0, place("", Some(Stage::Paced), None));
    assert!(
        all[0].1.starts_with("20000/s in base and 21000/s in new"),
        "{all:?}"
    );
    assert!(all[0].1.contains("--rate"), "{all:?}");
    assert_eq!(
        all[1..],
        [
            (place("a", None, RSS), MEMORY),
            (place("b", None, RSS), MEMORY)
        ]
    );
    assert_eq!(compared(&found, "a"), [Some(Stage::Peak), None]);
    assert_eq!(outcomes(&found, "a").len(), 4);
    new.run.rates_per_s.clear();
    let found = compare(&base, &new);
    let unknown = "the paced rate was not recorded in both";
    assert!(causes(&found).contains(&(place("", Some(Stage::Paced), None), unknown)));
}

#[test]
fn a_peak_rate_that_is_a_lower_bound_or_may_be() {
    for in_new in [true, false] {
        let (mut base, mut new) = runs();
        let side = if in_new { &mut new } else { &mut base };
        for trial in side.trials.iter_mut().filter(|trial| trial.server == "a") {
            trial.figures.insert("driver_busy_ratio".into(), 0.99);
            trial.figures.insert("server_busy_ratio".into(), 0.7);
        }
        for trial in side.trials.iter_mut().filter(|trial| trial.server == "b") {
            trial.figures.remove("driver_busy_ratio");
        }
        let found = compare(&base, &new);
        let called = if in_new { "in new" } else { "in base" };
        let all = causes(&found);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[0].0, place("a", Some(Stage::Peak), None));
        assert!(
            all[0].1.contains("lower bound (≥)") && all[0].1.ends_with(called),
            "{all:?}"
        );
        assert_eq!(all[1].0, place("b", Some(Stage::Peak), None));
        assert!(
            all[1].1.contains("may be the load generator's limit") && all[1].1.ends_with(called),
            "{all:?}"
        );
        assert_eq!(compared(&found, "a"), [Some(Stage::Paced), None]);
    }
}

#[test]
fn fewer_than_three_valid_rounds() {
    let (mut base, new) = runs();
    base.trials
        .retain(|trial| trial.server != "a" || trial.stage != Stage::Peak || trial.round < 3);
    let found = compare(&base, &new);
    let few = "fewer than 3 valid rounds (2 in base, 10 in new)";
    for figure in ["requests_per_s", "latency_p50_us", "latency_p99_us"] {
        let wanted = (place("a", Some(Stage::Peak), Some(figure)), few);
        assert!(causes(&found).contains(&wanted), "{:?}", causes(&found));
    }
    // Nor has a process two of whose rounds are whole.
    assert!(causes(&found).contains(&(place("a", None, Some("start_ms")), few)));
    assert_eq!(compared(&found, "a"), [Some(Stage::Paced), None]);
    assert_eq!(compared(&found, "b"), ALL);
}

#[test]
fn a_figure_that_could_not_be_read() {
    let (base, mut new) = runs();
    let unread = |record: &mut Record| {
        for trial in &mut record.trials {
            trial.figures.remove("cpu_us_per_request");
        }
    };
    unread(&mut new);
    let found = compare(&base, &new);
    let which = |server| place(server, Some(Stage::Paced), Some("cpu_us_per_request"));
    let wanted = [
        (which("a"), "not measured in new"),
        (which("b"), "not measured in new"),
    ];
    assert_eq!(causes(&found), wanted);
    let mut base = base;
    unread(&mut base);
    assert_eq!(causes(&compare(&base, &new))[0].1, "not measured in either");
}

#[test]
fn a_row_the_run_did_not_come_to() {
    let (base, mut new) = runs();
    new.run.ended = Ended::Interrupted;
    new.trials
        .retain(|trial| trial.server != "b" || trial.stage != Stage::Paced);
    let found = compare(&base, &new);
    let wanted = [
        (place("b", None, RSS), MEMORY),
        (place("b", Some(Stage::Paced), None), "no trial in new"),
    ];
    assert_eq!(causes(&found), wanted);
    assert!(
        found.turns.is_empty(),
        "not running is no failure: {:?}",
        found.turns
    );
    assert!(
        notes(&found).iter().any(|note| note == "new: interrupted"),
        "{:?}",
        found.notes
    );
}

fn does_not_boot(record: &mut Record, server: &str) {
    let found = record.servers.iter_mut().find(|found| found.name == server);
    found.unwrap().failure = Some(Failure {
        step: Step::Boot,
        reason: "exited before its first answer".into(),
        log_tail: String::new(),
    });
    record.trials.retain(|trial| trial.server != server);
}

#[test]
fn a_server_that_fails_on_one_side_regressed_or_improved() {
    let (base, mut new) = runs();
    does_not_boot(&mut new, "a");
    for (found, outcome, words) in [
        (
            compare(&base, &new),
            Outcome::Regressed,
            "failed in new: boot failed: exited before",
        ),
        (
            compare(&new, &base),
            Outcome::Improved,
            "failed in base: boot failed: exited before",
        ),
    ] {
        assert_eq!(found.turns.len(), 1);
        let turn = &found.turns[0];
        assert_eq!(
            (turn.outcome, &turn.place),
            (outcome, &place("a", None, None))
        );
        let cause = say::obstacle(&turn.cause);
        assert!(cause.starts_with(words), "{cause}");
        assert_eq!(found.count(outcome), 1);
        assert_eq!(
            (compared(&found, "a"), compared(&found, "b")),
            (vec![], ALL.to_vec())
        );
    }
    let mut base = base;
    does_not_boot(&mut base, "a");
    let found = compare(&base, &new);
    assert!(found.turns.is_empty());
    let all = causes(&found);
    assert_eq!(all[0].0, place("a", None, None));
    assert!(
        all[0].1.starts_with("failed in both; in new: boot failed"),
        "{all:?}"
    );
}

#[test]
fn a_row_that_fails_on_one_side_regressed_or_improved() {
    let (base, mut new) = runs();
    let peaks = new
        .trials
        .iter_mut()
        .filter(|t| t.server == "a" && t.stage == Stage::Peak);
    for trial in peaks.filter(|trial| trial.round <= 6) {
        trial.errors.insert("status".into(), 1_000);
        trial.first_error = Some("GET /ping: got 500, want 200".into());
        trial.figures.insert("requests_per_s".into(), 900_000.0);
    }
    let found = compare(&base, &new);
    let turn = &found.turns[0];
    assert_eq!(turn.outcome, Outcome::Regressed);
    assert_eq!(turn.place, place("a", Some(Stage::Peak), None));
    let cause = say::obstacle(&turn.cause);
    assert!(cause.contains("only 4 of 10 trials are valid"), "{cause}");
    // Its errors were no throughput, and its paced row is sound.
    assert_eq!(compared(&found, "a"), [Some(Stage::Paced), None]);
    assert_eq!(compare(&new, &base).turns[0].outcome, Outcome::Improved);
    // Whoever asks about something else is not told.
    let choice = Choice {
        figures: vec!["cpu_us_per_request".into()],
        ..Choice::default()
    };
    assert!(compare_with(&base, &new, &choice).turns.is_empty());
}

#[test]
fn stages_of_another_length_are_compared_but_memory_is_not() {
    let (base, mut new) = runs();
    new.run.peak_ms = 4_000;
    let found = compare(&base, &new);
    // Paced trials are as long.
    assert_eq!(outcomes(&found, "a"), [Outcome::Indistinguishable; 10]);
    new.run.paced_ms = 4_000;
    let found = compare(&base, &new);
    assert_eq!(outcomes(&found, "a"), [Outcome::Indistinguishable; 9]);
    let wanted = (place("a", None, RSS), MEMORY);
    assert!(causes(&found).contains(&wanted), "{:?}", causes(&found));
    let notes = notes(&found);
    let note = notes
        .iter()
        .find(|note| note.contains("different lengths"))
        .unwrap();
    assert!(
        note.contains("4 s peak and 4 s paced after 0.3 s of warm-up in new"),
        "{note}"
    );
}

#[test]
fn what_else_differs_is_noted() {
    let (mut base, mut new) = runs();
    assert_eq!(compare(&base, &new).notes, []);
    new.environment.rustc = "rustc 1.96.0".into();
    new.run
        .workloads
        .insert("mixed".into(), "other requests".into());
    for record in [&mut base, &mut new] {
        let build = serde_json::json!({
            "binary": null, "features": [], "rustc": null, "profile": null, "size_bytes": null,
            "stripped_bytes": null, "sha256": "00ff", "build_ms": 1,
        });
        record.servers[1].build = Some(serde_json::from_value(build).unwrap());
    }
    for trial in &mut new.trials {
        trial.figures.insert("steal_ratio".into(), 0.2);
    }
    new.trials[0].errors.insert("timeout".into(), 1);
    for (record, server) in [(&mut base, "a"), (&mut new, "b")] {
        let control = serde_json::json!({
            "id": "control", "level": "ok", "found": format!("replays the answers of {server}"),
            "why": "", "fix": null,
        });
        let control = serde_json::from_value(control).unwrap();
        record.environment.findings.push(control);
    }
    let notes = notes(&compare(&base, &new));
    for words in [
        "the control differs: replays the answers of a in base, replays the answers of b in new",
        "the compiler differs: rustc 1.95.0 in base, rustc 1.96.0 in new",
        "the description of workload mixed differs",
        "same binary in both: b;",
        "new, mixed: the hypervisor took 20 %",
        "new: 1 row is marked",
    ] {
        assert!(
            notes.iter().any(|note| note.contains(words)),
            "{words}: {notes:#?}"
        );
    }
    assert_eq!(notes.len(), 6, "{notes:#?}");
}

#[test]
fn other_build_flags_are_noted_by_server() {
    let (mut base, mut new) = runs();
    let flagged = |record: &mut Record, server: usize, flags: serde_json::Value| {
        let build = serde_json::json!({
            "binary": null, "features": [], "rustc": null, "profile": null, "flags": flags,
            "size_bytes": null, "stripped_bytes": null, "sha256": null, "build_ms": 1,
        });
        record.servers[server].build = Some(serde_json::from_value(build).unwrap());
    };
    let native = serde_json::json!({"rustflags": "-C target-cpu=native"});
    for server in [0, 1] {
        flagged(&mut base, server, native.clone());
        flagged(&mut new, server, native.clone());
    }
    assert_eq!(compare(&base, &new).notes, []);

    flagged(&mut new, 1, serde_json::json!({}));
    let expected = "built with different flags: b (base: rustflags \"-C target-cpu=native\"; new: cargo's defaults)";
    assert_eq!(notes(&compare(&base, &new)), [expected]);

    // A record of an older harness.
    flagged(&mut new, 1, serde_json::Value::Null);
    let expected = "built with different flags: b (base: rustflags \"-C target-cpu=native\"; new: not recorded)";
    assert_eq!(notes(&compare(&base, &new)), [expected]);

    let of_one_run = Choice {
        pairs: vec![("a".into(), "b".into())],
        same_run: true,
        ..Choice::default()
    };
    flagged(&mut base, 1, serde_json::json!({}));
    let found = compare_with(&base, &base, &of_one_run);
    let expected = "built with different flags: b (base: rustflags \"-C target-cpu=native\"; new: cargo's defaults)";
    assert_eq!(notes(&found), [expected]);
}
