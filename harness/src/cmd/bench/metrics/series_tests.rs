use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use catalog::Stage;
use loadgen::Control;
use record::{Failure, Step};

const DASHBOARD: &str = include_str!("../../../../../scripts/grafana-dashboard.json");

fn run() -> Run {
    Run {
        id: "20261124T220000Z-1a2b3c4".into(),
        profile: "quick".into(),
        revision: Some("1a2b3c4\"\\".into()),
        seed: u64::MAX,
        connections: 64,
        ..Run::default()
    }
}

fn step(server: &str, round: u32) -> plan::Step {
    plan::Step {
        round,
        server: server.into(),
        workload: "mixed".into(),
        stage: Stage::Peak,
    }
}

fn trial(server: &str, position: u32) -> Trial {
    Trial {
        round: 2,
        position,
        server: server.into(),
        workload: "mixed".into(),
        stage: Stage::Peak,
        started_unix_ns: 0,
        failure: None,
        figures: BTreeMap::from([
            ("requests_per_s".into(), 50_000.0),
            ("latency_p50_us".into(), 500.0),
            ("latency_p99_us".into(), 2_000.0),
            ("latency_p999_us".into(), 4_000.0),
            ("jitter_us".into(), 250.0),
            ("cpu_us_per_request".into(), 12.5),
            ("rss_peak_bytes".into(), 16_777_216.0),
        ]),
        errors: BTreeMap::new(),
        first_error: None,
        histograms: BTreeMap::new(),
        intervals: Vec::new(),
    }
}

/// A series, and the control of a current load that it sees.
fn measuring() -> (Series, Arc<Control>) {
    let live = Live::default();
    let series = Series::new(&run(), (40, 0), live.clone());
    let left = Duration::from_secs(90);
    series.happens(&Happening::Rates(&BTreeMap::from([(
        "mixed".into(),
        24_000.0,
    )])));
    series.happens(&Happening::Trials(&[step("alder", 2)], 4, 40, left));
    let control = Arc::new(Control::default());
    live.begin(vec![("alder".to_owned(), Arc::clone(&control))]);
    (series, control)
}

const ALDER: &str = "{server=\"alder\",workload=\"mixed\",stage=\"peak\"}";

/// The value of the line that starts with `name`, if there is one.
fn value(text: &str, name: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|l| l.split_once(' ').is_some_and(|(n, _)| n == name))?;
    line.split_once(' ')?.1.parse().ok()
}

#[test]
fn what_is_not_known_yet_is_not_there() {
    let series = Series::new(&run(), (40, 3), Live::default());
    let text = series.text();
    assert_eq!(value(&text, "harness_trials_planned"), Some(40.0));
    assert_eq!(value(&text, "harness_trials_finished_total"), Some(3.0));
    assert_eq!(value(&text, "harness_phase{phase=\"build\"}"), Some(1.0));
    for absent in [
        "harness_round",
        "harness_remaining",
        "harness_trial_",
        "harness_load",
        "harness_paced",
    ] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
}

#[test]
fn a_trial_is_told_while_it_runs_and_its_figures_after_it() {
    let (series, control) = measuring();
    control.count(1_000, 0);
    let text = series.text();
    assert_eq!(
        value(&text, &format!("harness_current_trial{ALDER}")),
        Some(1.0)
    );
    assert_eq!(
        value(&text, &format!("harness_load_requests_total{ALDER}")),
        Some(1_000.0)
    );
    assert_eq!(value(&text, "harness_round"), Some(2.0));
    assert_eq!(value(&text, "harness_phase{phase=\"measure\"}"), Some(1.0));
    assert_eq!(value(&text, "harness_phase{phase=\"build\"}"), Some(0.0));
    assert_eq!(
        value(
            &text,
            "harness_paced_requests_per_second{workload=\"mixed\"}"
        ),
        Some(24_000.0)
    );
    let left = value(&text, "harness_remaining_seconds").unwrap();
    assert!(left > 0.0 && left <= 90.0, "{left}");
    assert!(
        !text.contains("harness_trial_requests_per_second{"),
        "{text}"
    );

    control.count(500, 2);
    series.happens(&Happening::Measured(&trial("alder", 4)));
    let text = series.text();
    assert!(!text.contains("harness_current_trial{"), "{text}");
    assert_eq!(value(&text, "harness_trials_finished_total"), Some(5.0));
    assert_eq!(value(&text, "harness_trials_failed_total"), Some(0.0));
    for (name, expected) in [
        ("load_requests_total", 1_500.0),
        ("load_errors_total", 2.0),
        ("trial_requests_per_second", 50_000.0),
        ("trial_latency_p50_seconds", 0.0005),
        ("trial_latency_p99_seconds", 0.002),
        ("trial_latency_p999_seconds", 0.004),
        ("trial_jitter_seconds", 0.00025),
        ("trial_cpu_per_request_seconds", 12.5e-6),
        ("trial_rss_peak_bytes", 16_777_216.0),
        ("trial_failed", 0.0),
    ] {
        let told = value(&text, &format!("harness_{name}{ALDER}"));
        let told = told.unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(
            (told / expected - 1.0).abs() < 1e-12 || told == expected,
            "{name}: {told}"
        );
    }
}

/// Otherwise a trial would begin with the requests of the previous one, or of a calibration.
#[test]
fn a_load_is_counted_once_and_for_its_own_trial() {
    let (series, control) = measuring();
    control.count(1_000, 0);
    series.happens(&Happening::Measured(&trial("alder", 4)));
    series.happens(&Happening::Trials(
        &[step("birch", 2)],
        5,
        40,
        Duration::ZERO,
    ));
    let birch = ALDER.replace("alder", "birch");
    let text = series.text();
    assert_eq!(
        value(&text, &format!("harness_load_requests_total{ALDER}")),
        Some(1_000.0)
    );
    assert_eq!(
        value(&text, &format!("harness_load_requests_total{birch}")),
        Some(0.0)
    );
    // The next round of the same entry adds to its count.
    series.happens(&Happening::Measured(&trial("birch", 5)));
    series.happens(&Happening::Trials(
        &[step("alder", 3)],
        6,
        40,
        Duration::ZERO,
    ));
    let control = Arc::new(Control::default());
    series
        .live
        .begin(vec![("alder".to_owned(), Arc::clone(&control))]);
    control.count(7, 0);
    let text = series.text();
    assert_eq!(
        value(&text, &format!("harness_load_requests_total{ALDER}")),
        Some(1_007.0)
    );
    assert_eq!(value(&text, "harness_remaining_seconds"), Some(0.0));
}

#[test]
fn a_trial_that_fails_takes_back_the_figures_of_the_one_before() {
    let (series, _control) = measuring();
    series.happens(&Happening::Measured(&trial("alder", 4)));
    let failed = Trial {
        failure: Some(Failure {
            step: Step::Drive,
            reason: "it ended".into(),
            log_tail: String::new(),
        }),
        ..trial("alder", 5)
    };
    series.happens(&Happening::Measured(&failed));
    let text = series.text();
    assert_eq!(
        value(&text, &format!("harness_trial_failed{ALDER}")),
        Some(1.0)
    );
    assert_eq!(value(&text, "harness_trials_failed_total"), Some(1.0));
    for gone in [
        "harness_trial_requests_per_second{",
        "harness_trial_rss_peak_bytes{",
    ] {
        assert!(!text.contains(gone), "{text}");
    }
}

/// The rules of OpenMetrics 1.0 that readers depend on.
#[test]
fn the_text_keeps_to_open_metrics() {
    let (series, _control) = measuring();
    series.happens(&Happening::Measured(&trial("alder", 4)));
    let text = series.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1);
    let mut types = BTreeMap::new();
    let mut helps = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "TYPE", name, kind] => assert_eq!(types.insert(name, kind), None, "{name}"),
            ["#", "HELP", name, _] => assert!(helps.insert(name), "{name}"),
            ["#", "UNIT", name, unit] => assert!(name.ends_with(&format!("_{unit}")), "{name}"),
            ["#", "EOF"] => {}
            _ => {
                let name = line.split(['{', ' ']).next().unwrap();
                let family = ["_total", "_info"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix))
                    .unwrap_or(name);
                let kind = types
                    .get(family)
                    .unwrap_or_else(|| panic!("{line} has no TYPE"));
                assert_eq!(*kind == "counter", name.ends_with("_total"), "{line}");
                assert_eq!(*kind == "info", name.ends_with("_info"), "{line}");
            }
        }
    }
    assert_eq!(types.keys().copied().collect::<BTreeSet<_>>(), helps);
    assert!(text.contains("revision=\"1a2b3c4\\\"\\\\\""), "{text}");
    assert!(text.contains(&format!("seed=\"{}\"", u64::MAX)), "{text}");
}

/// Every metric name with our prefix in a text.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("harness_"))
        .collect()
}

fn strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(members) => members.values().for_each(|member| strings(member, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_what_is_told_and_for_all_of_it() {
    let (series, _control) = measuring();
    series.happens(&Happening::Measured(&trial("alder", 4)));
    series.happens(&Happening::Trials(
        &[step("alder", 3)],
        5,
        40,
        Duration::ZERO,
    ));
    let text = series.text();
    let told: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut all = Vec::new();
    strings(&dashboard, &mut all);
    let all = all.join("\n");
    assert_eq!(names(&all), told);
}
