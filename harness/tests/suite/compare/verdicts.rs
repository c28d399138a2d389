//! What changed is found, what did not is not, and the control takes away what the machine did.

use catalog::Stage;
use judge::{Choice, Outcome};
use record::Record;

use crate::compare::sample::{Sample, change, compare, compare_with, outcomes, within};

const PEAK: Option<Stage> = Some(Stage::Peak);
const PACED: Option<Stage> = Some(Stage::Paced);
const ALIKE: [(&str, f64); 3] = [("a", 1.0), ("b", 1.3), ("c", 0.7)];

fn near(found: f64, wanted: f64, by: f64) -> bool {
    (found / wanted - 1.0).abs() < by
}

#[test]
fn a_known_change_is_found_and_an_equal_server_is_not() {
    let base = Sample::new(1, &ALIKE).record();
    let new = Sample::new(2, &[("a", 0.8), ("b", 1.3 * 1.25), ("c", 0.7)]).record();
    let found = compare(&base, &new);
    // 3 figures at peak, 5 paced, 2 of the process.
    assert_eq!(outcomes(&found, "a"), [Outcome::Regressed; 10]);
    assert_eq!(outcomes(&found, "b"), [Outcome::Improved; 10]);
    assert_eq!(outcomes(&found, "c"), [Outcome::Indistinguishable; 10]);
    assert_eq!(found.count(Outcome::Regressed), 10);
    assert_eq!(found.by_chance(), 2);
    assert!(found.not_judged.is_empty() && found.control.is_empty());

    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert!(near(rate.ratio.median, 0.8, 0.04), "{rate:?}");
    assert!(rate.ratio.interval.low < 0.8 && 0.8 < rate.ratio.interval.high);
    assert!(near(rate.base.median, 50_000.0, 0.02) && near(rate.new.median, 40_000.0, 0.02));
    assert!(near(rate.worse_by(), 0.2, 0.15) && rate.sure && !rate.by_control);
    assert!(near(rate.delta, 0.01, 1e-9), "{rate:?}");
    let cost = change(&found, "a", PACED, "cpu_us_per_request");
    assert!(near(cost.ratio.median, 1.25, 0.04) && near(cost.worse_by(), 0.25, 0.2));
    assert!(change(&found, "b", None, "start_ms").worse_by() < -0.15);
}

#[test]
fn the_other_way_round_is_the_mirror() {
    let base = Sample::new(1, &ALIKE).record();
    let new = Sample::new(2, &[("a", 0.8), ("b", 1.4), ("c", 0.69)]).record();
    let (there, back) = (compare(&base, &new), compare(&new, &base));
    assert_eq!(there.changes.len(), back.changes.len());
    for (there, back) in there.changes.iter().zip(&back.changes) {
        assert_eq!(there.place, back.place);
        assert!(near(there.ratio.median, 1.0 / back.ratio.median, 1e-9));
        assert!(near(
            there.ratio.interval.low,
            1.0 / back.ratio.interval.high,
            1e-9
        ));
        let mirrored = match back.outcome {
            Outcome::Regressed => Outcome::Improved,
            Outcome::Improved => Outcome::Regressed,
            Outcome::Indistinguishable => Outcome::Indistinguishable,
        };
        assert_eq!(there.outcome, mirrored);
    }
}

#[test]
fn what_lies_within_the_noise_floor_is_no_change() {
    let run = |seed, speed| {
        let mut sample = Sample::new(seed, &[("a", speed)]);
        sample.scatter = 0.001;
        sample.record()
    };
    let found = compare(&run(1, 1.0), &run(2, 0.995));
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert!(
        rate.ratio.interval.high < 1.0,
        "half a percent is known: {rate:?}"
    );
    assert_eq!(rate.outcome, Outcome::Indistinguishable);
    let found = compare(&run(1, 1.0), &run(2, 0.98));
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert_eq!(rate.outcome, Outcome::Regressed);
}

#[test]
fn the_larger_floor_of_both_runs_counts() {
    let run = |seed, speed, twin: f64| {
        let mut sample = Sample::new(seed, &[("a", speed), ("b", 1.0), ("b~2", twin)]);
        sample.scatter = 0.002;
        sample.record()
    };
    for (base, new) in [(1.08, 1.0), (1.0, 1.08)] {
        let found = compare(&run(1, 1.0, base), &run(2, 0.94, new));
        let rate = change(&found, "a", PEAK, "requests_per_s");
        assert!(rate.delta > 0.07, "{rate:?}");
        assert_eq!(rate.outcome, Outcome::Indistinguishable);
    }
    let found = compare(&run(1, 1.0, 1.0), &run(2, 0.94, 1.0));
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert_eq!(rate.outcome, Outcome::Regressed);
}

/// A run on a machine of this speed, which the control feels like any program.
fn on_machine(seed: u64, machine: f64, a: f64, control: bool) -> Record {
    let mut entries = vec![("a", a * machine), ("b", machine)];
    if control {
        entries.extend([("control", 3.0 * machine), ("control~2", 3.0 * machine)]);
    }
    Sample::new(seed, &entries).record()
}

#[test]
fn what_the_machine_did_to_both_cancels_where_a_control_ran() {
    let (base, new) = (on_machine(1, 1.0, 1.0, true), on_machine(2, 0.8, 1.0, true));
    let found = compare(&base, &new);
    for server in ["a", "b"] {
        let own = outcomes(&found, server);
        // Latency can't be divided; what the control's moved by is the floor.
        assert_eq!(own[..8], [Outcome::Indistinguishable; 8]);
    }
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert!(
        rate.by_control && near(rate.ratio.median, 1.0, 0.03),
        "{rate:?}"
    );
    assert!(
        near(rate.new.median, 40_000.0, 0.02),
        "shown as measured: {rate:?}"
    );
    let median = change(&found, "a", PACED, "latency_p50_us");
    assert!(!median.by_control && near(median.ratio.median, 1.25, 0.03));
    assert!(median.delta > 1.2_f64.ln(), "{median:?}");

    let moved = found
        .control
        .iter()
        .find(|c| c.place.figure == Some("requests_per_s"));
    let moved = moved.unwrap();
    assert!(
        moved.divided && near(moved.ratio.median, 0.8, 0.02),
        "{moved:?}"
    );
    assert_eq!(found.control.len(), 8);

    // Nobody could know without it.
    let (base, new) = (
        on_machine(1, 1.0, 1.0, false),
        on_machine(2, 0.8, 1.0, false),
    );
    assert_eq!(
        outcomes(&compare(&base, &new), "a"),
        [Outcome::Regressed; 10]
    );
}

#[test]
fn a_change_on_another_day_is_found_beside_the_control() {
    let (base, new) = (on_machine(1, 1.0, 1.0, true), on_machine(2, 0.8, 0.7, true));
    let found = compare(&base, &new);
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert!(near(rate.ratio.median, 0.7, 0.03) && rate.outcome == Outcome::Regressed);
    let cost = change(&found, "a", PACED, "cpu_us_per_request");
    assert!(near(cost.ratio.median, 1.0 / 0.7, 0.03) && cost.outcome == Outcome::Regressed);
    let b = change(&found, "b", PACED, "cpu_us_per_request");
    assert_eq!(b.outcome, Outcome::Indistinguishable);
}

#[test]
fn figures_are_not_divided_where_asked_or_where_the_control_is_another_program() {
    let (base, mut new) = (on_machine(1, 1.0, 1.0, true), on_machine(2, 0.8, 1.0, true));
    let raw = Choice {
        raw: true,
        ..Choice::default()
    };
    let as_measured = compare_with(&base, &new, &raw);
    new.run.harness_version = "0.2.0".into();
    let other_harness = compare(&base, &new);
    assert!(
        other_harness
            .notes
            .iter()
            .any(|note| report::say::note(note).contains("the harness"))
    );
    for found in [as_measured, other_harness] {
        let rate = change(&found, "a", PEAK, "requests_per_s");
        assert!(
            !rate.by_control && near(rate.ratio.median, 0.8, 0.03),
            "{rate:?}"
        );
        // The control shows that the machine may have done it.
        assert_eq!(rate.outcome, Outcome::Indistinguishable);
        assert!(found.control.iter().all(|moved| !moved.divided));
    }
}

#[test]
fn a_control_that_is_missing_in_most_rounds_divides_nothing() {
    let (base, mut new) = (on_machine(1, 1.0, 1.0, true), on_machine(2, 1.0, 1.0, true));
    new.trials
        .retain(|trial| !trial.server.starts_with("control") || trial.round <= 4);
    let found = compare(&base, &new);
    assert!(!change(&found, "a", PEAK, "requests_per_s").by_control);
    // One of its entries is enough.
    let mut new = on_machine(2, 1.0, 1.0, true);
    new.trials.retain(|trial| trial.server != "control~2");
    let found = compare(&base, &new);
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert!(rate.by_control && rate.new.n == 10, "{rate:?}");
}

#[test]
fn servers_of_one_run_are_compared_within_its_rounds() {
    let mut sample = Sample::new(1, &[("a", 1.0), ("b", 1.06), ("c", 1.0)]);
    sample.weather = 0.6;
    sample.scatter = 0.01;
    let record = sample.record();
    let found = within(&record, "a", "b");
    assert_eq!(outcomes(&found, "a"), [Outcome::Improved; 10]);
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert!(near(rate.ratio.median, 1.06, 0.01), "{rate:?}");
    assert_eq!(rate.display, ["a", "b"]);
    assert_eq!(
        outcomes(&within(&record, "a", "c"), "a"),
        [Outcome::Indistinguishable; 10]
    );
    // Between runs such rounds can't tell.
    sample.seed = 2;
    let found = compare(&record, &sample.record());
    let rate = change(&found, "a", PEAK, "requests_per_s");
    assert!(
        rate.ratio.interval.high / rate.ratio.interval.low > 1.5,
        "{rate:?}"
    );
}

#[test]
fn a_run_beside_itself_has_not_changed_at_all() {
    let record = Sample::new(1, &ALIKE).record();
    let choice = Choice {
        same_run: true,
        ..Choice::default()
    };
    let found = compare_with(&record, &record, &choice);
    assert_eq!(found.changes.len(), 30);
    for change in &found.changes {
        assert_eq!(
            (change.ratio.median, change.outcome),
            (1.0, Outcome::Indistinguishable)
        );
        assert!(!change.sure);
    }
}

#[test]
fn second_entries_and_the_control_are_compared_only_where_named() {
    let entries = [
        ("a", 1.0),
        ("a~2", 1.0),
        ("a@0123abc", 1.0),
        ("control", 3.0),
    ];
    let (base, new) = (
        Sample::new(1, &entries).record(),
        Sample::new(2, &entries).record(),
    );
    let names = |found: &judge::Comparison| {
        let mut names: Vec<String> = found
            .changes
            .iter()
            .filter_map(|c| c.place.server.clone())
            .collect();
        names.dedup();
        names
    };
    assert_eq!(names(&compare(&base, &new)), ["a", "a@0123abc"]);
    let choice = Choice {
        servers: vec!["a~2".into(), "control".into()],
        ..Choice::default()
    };
    let found = compare_with(&base, &new, &choice);
    assert_eq!(names(&found), ["a~2", "control"]);
    assert!(!change(&found, "control", PEAK, "requests_per_s").by_control);
    assert_eq!(outcomes(&within(&base, "a", "a@0123abc"), "a").len(), 10);
}

#[test]
fn filters_narrow_what_is_compared() {
    let mut sample = Sample::new(1, &ALIKE);
    sample.workloads = vec!["mixed", "ping"];
    let base = sample.record();
    sample.seed = 2;
    let new = sample.record();
    let choice = Choice {
        servers: vec!["b".into()],
        workloads: vec!["ping".into()],
        stages: vec![Stage::Paced],
        figures: vec!["latency_p99_us".into(), "start_ms".into()],
        ..Choice::default()
    };
    let found = compare_with(&base, &new, &choice);
    let places: Vec<_> = found
        .changes
        .iter()
        .map(|c| (c.place.stage, c.place.figure))
        .collect();
    assert_eq!(
        places,
        [(PACED, Some("latency_p99_us")), (None, Some("start_ms"))]
    );
    assert!(found.not_judged.is_empty(), "{:?}", found.not_judged);
}

#[test]
fn a_figure_of_the_process_is_one_over_all_workloads() {
    let mut sample = Sample::new(1, &[("a", 1.0)]);
    sample.workloads = vec!["mixed", "ping", "users"];
    let base = sample.record();
    sample.seed = 2;
    let mut new = sample.record();
    for trial in new
        .trials
        .iter_mut()
        .filter(|trial| trial.workload == "ping")
    {
        let start_ms = trial.figures["start_ms"] * 1.331;
        trial.figures.insert("start_ms".into(), start_ms);
    }
    // A round without one of its trials has no mean over the same workloads.
    new.trials.remove(0);
    let found = compare(&base, &new);
    let start = change(&found, "a", None, "start_ms");
    assert!(near(start.ratio.median, 1.1, 0.02), "{start:?}");
    assert_eq!((start.base.n, start.new.n), (10, 9));
    assert_eq!(
        found
            .changes
            .iter()
            .filter(|c| c.place.workload.is_none())
            .count(),
        2
    );
}

#[test]
fn starts_are_compared_where_a_process_serves_a_whole_round() {
    let of = |seed, speed| {
        let mut sample = Sample::new(seed, &[("a", speed)]);
        sample.workloads = vec!["mixed", "ping"];
        let mut record = sample.record();
        record.run.schedule = record::Schedule::Interleaved {
            slice_ms: 10.0,
            lead_in_ms: 2.0,
        };
        // Whichever trial is the first of its round has the figures of the start.
        for trial in &mut record.trials {
            let first = ["mixed", "ping"][trial.round as usize % 2];
            if trial.workload != first || trial.stage != Stage::Peak {
                trial.figures.remove("start_ms");
            }
        }
        record
    };
    let found = compare(&of(1, 1.0), &of(2, 0.8));
    let start = change(&found, "a", None, "start_ms");
    assert_eq!((start.base.n, start.new.n), (10, 10));
    assert!(near(start.ratio.median, 1.25, 0.04), "{start:?}");
    assert_eq!(start.outcome, Outcome::Regressed);
}

#[test]
fn one_doubtful_change_among_many_does_not_stand_the_correction() {
    let run = |seed, a, others: usize| {
        let names = ["b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
        let mut entries = vec![("a", a)];
        entries.extend(names.iter().take(others).map(|name| (*name, 1.0)));
        let mut sample = Sample::new(seed, &entries);
        sample.scatter = 0.1;
        sample.rounds = 5;
        sample.record()
    };
    let cost = Choice {
        figures: vec!["cpu_us_per_request".into()],
        ..Choice::default()
    };
    let alone = compare_with(&run(5, 1.0, 0), &run(6, 0.85, 0), &cost);
    let among = compare_with(&run(5, 1.0, 12), &run(6, 0.85, 12), &Choice::default());
    let of = |found| change(found, "a", PACED, "cpu_us_per_request").clone();
    let (alone, among) = (of(&alone), of(&among));
    assert_eq!((alone.outcome, alone.sure), (Outcome::Regressed, true));
    assert_eq!((among.outcome, among.sure), (Outcome::Regressed, false));
}

#[test]
fn at_most_one_in_twenty_is_called_changed_where_nothing_did() {
    let choice = Choice {
        figures: vec!["requests_per_s".into(), "cpu_us_per_request".into()],
        ..Choice::default()
    };
    let (mut compared, mut called, mut families) = (0, 0, 0);
    for pair in 0..30 {
        let run = |seed| {
            let mut sample = Sample::new(seed, &ALIKE);
            sample.scatter = 0.2;
            sample.record()
        };
        let found = compare_with(&run(1_000 + 2 * pair), &run(1_001 + 2 * pair), &choice);
        compared += found.changes.len();
        called += found.changes.len() - found.count(Outcome::Indistinguishable);
        families += usize::from(found.changes.iter().any(|change| change.sure));
    }
    assert_eq!(compared, 180);
    assert!(called <= compared / 20, "{called} of {compared}");
    assert!(
        families <= 3,
        "{families} of 60 comparisons have one that is sure"
    );
}
