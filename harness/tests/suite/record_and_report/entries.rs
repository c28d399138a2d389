//! A run with everything that can be entered: servers, a twin, another build, the control.

use std::collections::BTreeMap;

use catalog::Stage;
use record::*;
use report::{Colour, FORMATS, WIDTH, summarise, terminal};
use store::*;
use unicode_width::UnicodeWidthStr;

use crate::record_and_report::sample;

/// Entries and their speeds; a round is 20 trials.
const ENTRIES: [(&str, f64); 10] = [
    ("actix-web", 1.0),
    ("actix-web@1a2b3c4", 1.12),
    ("actix-web@1a2b3c4~2", 1.121),
    ("axum", 0.88),
    ("axum~2", 0.882),
    ("axum@1a2b3c4", 0.8),
    ("control", 2.6),
    ("control~2", 2.62),
    ("hyper", 0.9),
    ("may-minihttp", 1.4),
];

const WHAT_IT_IS: &str = "not a server: the harness's own responder";

fn record() -> Record {
    let mut record = sample::record();
    record.run.workloads.remove("ping");
    record.run.rates_per_s.remove("ping");
    let other_build = |name: &str| Server {
        name: format!("{name}@1a2b3c4"),
        display: name.into(),
        ..record
            .servers
            .iter()
            .find(|s| s.name == name)
            .unwrap()
            .clone()
    };
    let builds = ["actix-web", "axum"].map(other_build);
    record.servers.extend(builds);
    record.trials = (1..=10).flat_map(round).collect();
    record
}

fn round(round: u32) -> Vec<Trial> {
    let all = ENTRIES
        .iter()
        .flat_map(|entry| Stage::ALL.map(|stage| (entry, stage)));
    let of = |(index, (&(server, speed), stage)): (u32, (&(&str, f64), Stage))| {
        // Each round in another order, each trial with ± 1 % of its own.
        let place = (index * 7 + round * 3) % 20;
        let own = f64::from((index * 13 + round * 5) % 17) / 16.0 - 0.5;
        trial(round, place, server, stage, speed * (1.0 + own / 50.0))
    };
    (0..).zip(all).map(of).collect()
}

fn trial(round: u32, place: u32, server: &str, stage: Stage, speed: f64) -> Trial {
    let (rate, latency_us) = match stage {
        Stage::Peak => (50_000.0 * speed, 64e6 / (50_000.0 * speed)),
        Stage::Paced => (24_000.0, 90.0 / speed),
    };
    let figures = [
        ("requests_per_s", rate),
        ("latency_mean_us", latency_us),
        ("latency_p50_us", 0.9 * latency_us),
        ("latency_p99_us", 4.0 * latency_us),
        ("latency_p999_us", 7.0 * latency_us),
        ("first_byte_p99_us", 3.9 * latency_us),
        ("jitter_us", latency_us / 3.0),
        ("cpu_us_per_request", 18.0 / speed),
        ("driver_busy_ratio", 0.6),
        ("server_busy_ratio", 0.97),
        ("start_ms", 4.0),
        ("rss_idle_bytes", 4e6),
        ("rss_peak_bytes", 9e6),
        ("first_request_us", 300.0),
    ];
    Trial {
        figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
        errors: BTreeMap::new(),
        first_error: None,
        histograms: BTreeMap::new(),
        intervals: vec![],
        ..sample::trial(round, round * 20 + place, server, stage)
    }
}

fn markdown(record: &Record) -> String {
    let format = FORMATS.iter().find(|format| format.name == "markdown");
    (format.unwrap().render)(record, &summarise(record))
}

#[test]
fn every_entry_can_be_told_from_every_other() {
    let record = record();
    let text = markdown(&record);
    insta::assert_snapshot!(text);
    let plain = terminal(&record, &summarise(&record), Colour::Never);
    for text in [&text, &plain] {
        assert!(text.lines().all(|line| line.width() <= WIDTH), "{text}");
    }
}

#[test]
fn the_control_is_last_unranked_and_explained_once() {
    let text = markdown(&record());
    let rows = |first: &str| -> Vec<String> {
        let of_table = text
            .split("### ")
            .find(|part| part.starts_with(first))
            .unwrap();
        let cells = of_table.lines().filter(|line| line.starts_with('|'));
        cells.map(|line| line.replace("| ", "|")).collect()
    };
    let mixed = rows("mixed");
    let named: Vec<&String> = mixed
        .iter()
        .filter(|row| row.contains("|control"))
        .collect();
    assert_eq!(named.len(), 2, "{mixed:#?}");
    assert!(named.iter().all(|row| row.starts_with("|–")), "{named:?}");
    assert!(mixed[mixed.len() - 1].contains("|control~2"), "{mixed:#?}");
    assert!(rows("Servers").last().unwrap().contains("control~2"));
    assert_eq!(text.matches(WHAT_IT_IS).count(), 1);
}

/// What it is stands apart from what is wrong with one of its rows.
#[test]
fn a_marked_control_is_explained_once_too() {
    let mut record = record();
    let late = |trial: &&mut Trial| trial.server == "control~2" && trial.stage == Stage::Paced;
    for trial in record.trials.iter_mut().filter(late) {
        trial.figures.insert("achieved_ratio".into(), 0.9);
    }
    let text = markdown(&record);
    assert_eq!(text.matches(WHAT_IT_IS).count(), 1, "{text}");
    let marked = text
        .lines()
        .find(|line| line.contains("control~2"))
        .unwrap();
    let first = text
        .lines()
        .find(|line| line.contains("control ["))
        .unwrap();
    let marks = |line: &str| line.matches('[').count();
    assert_eq!((marks(first), marks(marked)), (1, 2), "{marked}");
}

#[test]
fn twins_tie_and_their_difference_is_the_noise_floor() {
    let summary = summarise(&record());
    let rank = |server: &str| {
        let mut rows = summary.rows.iter().filter(|row| row.server == server);
        rows.find_map(|row| row.rank)
    };
    assert_eq!(rank("axum"), rank("axum~2"));
    assert_ne!(rank("axum"), rank("axum@1a2b3c4"));
    let floor = summary.rankings[0].noise_floor.as_ref().unwrap();
    let first: Vec<&str> = floor.pairs.iter().map(|pair| pair.first.as_str()).collect();
    assert_eq!(first, ["actix-web@1a2b3c4", "axum", "control"]);
}

#[test]
fn what_is_said_of_the_whole_workload_stands_below_its_table_once() {
    let mut record = record();
    for trial in &mut record.trials {
        let place = f64::from(trial.position % 20);
        for (figure, sign) in [("requests_per_s", 1.0), ("latency_mean_us", -1.0)] {
            if trial.stage == Stage::Peak {
                let value = trial.figures.get_mut(figure).unwrap();
                *value *= 1.0 + sign * place / 300.0;
            }
        }
    }
    let summary = summarise(&record);
    let csv = FORMATS.iter().find(|format| format.name == "csv").unwrap();
    for text in [
        markdown(&record),
        terminal(&record, &summary, Colour::Never),
    ] {
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = "the rate rises from the first to the last trial of a round (rank correlation +";
        assert_eq!(one_line.matches(said).count(), 1, "{text}");
    }
    assert!(!(csv.render)(&record, &summary).contains("from the first to the last trial"));
    assert_eq!(summary.rankings[0].notes.len(), 1);
    assert!(
        summary
            .rows
            .iter()
            .all(|row| row.reasons.is_empty() || row.server == "broken")
    );
}

/// A file from before the noise floor and the notes were told.
#[test]
fn an_older_export_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let record = record();
    let mut document: serde_json::Value =
        serde_json::from_str(&to_json(&record, &summarise(&record))).unwrap();
    for member in ["noise_floor", "notes"] {
        let ranking = document["rankings"][0].as_object_mut().unwrap();
        assert!(ranking.remove(member).is_some());
    }
    std::fs::write(&path, document.to_string()).unwrap();
    let (_, summary) = read_json(&path).unwrap();
    assert_eq!(summary.rankings[0].noise_floor, None);
    assert!(summary.rankings[0].notes.is_empty());
}
