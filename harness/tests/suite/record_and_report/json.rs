//! `record.json`: it keeps to its schema, the schema refuses what is incomplete, and it comes back.

use std::fs;

use record::*;
use report::summarise;
use serde_json::Value;
use store::*;

use crate::record_and_report::{sample, summary::summary};

fn export() -> Value {
    serde_json::from_str(&to_json(&sample::record(), &summary())).unwrap()
}

fn validator() -> jsonschema::Validator {
    let schema = serde_json::from_str(JSON_SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn an_export_keeps_to_the_schema() {
    let validator = validator();
    let document = export();
    let errors: Vec<_> = validator
        .iter_errors(&document)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// Every text that a run's judgement has is there once more with what it says.
#[test]
fn the_reasons_of_a_run_keep_to_the_schema() {
    let mut document = export();
    let judged = summarise(&sample::record());
    document["reasons"] = serde_json::to_value(&judged.reasons).unwrap();
    let validator = validator();
    let errors: Vec<_> = validator
        .iter_errors(&document)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let of_rows = judged.rows.iter().map(|row| row.reasons.len());
    let of_servers = judged.servers.iter().map(|row| row.reasons.len());
    let of_workloads = judged
        .rankings
        .iter()
        .map(|ranking| 1 + ranking.notes.len());
    let texts: usize = of_rows.chain(of_servers).chain(of_workloads).sum();
    assert!(judged.reasons.len() >= texts, "{:#?}", judged.reasons);
    assert!(
        judged
            .reasons
            .iter()
            .any(|row| row.reason["effect"] == "fails")
    );
}

#[test]
fn the_members_are_in_the_order_a_reader_wants_them() {
    let members: Vec<_> = export().as_object().unwrap().keys().cloned().collect();
    let expected = [
        "schema_version",
        "run",
        "environment",
        "servers",
        "trials",
        "summary",
        "server_summary",
        "rankings",
        "reasons",
    ];
    assert_eq!(members, expected);
}

#[test]
fn a_summary_row_holds_its_figures_by_name() {
    let document = export();
    let row = &document["summary"][1];
    assert_eq!(row["server"], "actix-web");
    assert_eq!(row["workload"], "mixed");
    assert_eq!(row["stage"], "paced");
    assert_eq!(row["verdict"], "ok");
    assert_eq!(row["reasons"], Value::Array(vec![]));
    assert_eq!(row["latency_p50_us"]["median"], 75.23);
    assert_eq!(row["latency_p50_us"]["n"], 10);
    let axum = &document["summary"][3]["ratio_to_best"]["cpu_us_per_request"];
    assert_eq!(
        (&axum["ratio"], &axum["best"]),
        (&1.13.into(), &"actix-web".into())
    );
    assert!(row["latency_p50_us"]["low"].is_number() && row["latency_p50_us"]["high"].is_number());
}

/// Takes away each member of each object in turn; figures and other free names excepted.
#[test]
fn the_schema_refuses_an_export_without_any_one_of_its_members() {
    let validator = validator();
    let whole = export();
    let mut tried = 0;
    for path in [
        "",
        "/run",
        "/environment",
        "/environment/findings/1",
        "/servers/0",
        "/servers/0/build",
        "/servers/0/check",
        "/servers/4/failure",
        "/trials/0",
        "/trials/2/failure",
        "/reasons/0",
        "/rankings/0",
        "/rankings/0/noise_floor",
        "/rankings/0/noise_floor/pairs/0",
        "/summary/1/rank",
        "/summary/1/latency_p50_us",
        "/summary/3/ratio_to_best/cpu_us_per_request",
        "/server_summary/0/start_ms",
    ] {
        let members: Vec<_> = whole
            .pointer(path)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .collect();
        for member in members {
            let mut less = whole.clone();
            less.pointer_mut(path)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(member);
            assert!(!validator.is_valid(&less), "{path}/{member} may be missing");
            tried += 1;
        }
    }
    for member in [
        "server",
        "display",
        "workload",
        "stage",
        "verdict",
        "reasons",
        "rank",
        "lower_bound",
        "ratio_to_best",
    ] {
        let mut less = whole.clone();
        less["summary"][0].as_object_mut().unwrap().remove(member);
        assert!(
            !validator.is_valid(&less),
            "summary/{member} may be missing"
        );
    }
    assert!(tried > 70, "only {tried} members were tried");
}

#[test]
fn the_schema_refuses_what_is_wrong_in_kind() {
    let validator = validator();
    for (path, wrong) in [
        ("/schema_version", Value::from(1)),
        ("/run/ended", Value::from("maybe")),
        ("/summary/0/verdict", Value::from("good")),
        ("/summary/0/requests_per_s", Value::from(131_234.5)),
        ("/trials/0/figures/requests_per_s", Value::Null),
        ("/trials/0/round", Value::from(0)),
    ] {
        let mut document = export();
        *document.pointer_mut(path).unwrap() = wrong;
        assert!(!validator.is_valid(&document), "{path}");
    }
}

#[test]
fn it_comes_back_equal_but_for_the_intervals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let mut record = sample::record();
    // Written over what is there, as `report` does.
    fs::write(&path, "old").unwrap();
    write_json(&record, &summary(), &path).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    record
        .trials
        .iter_mut()
        .for_each(|trial| trial.intervals.clear());
    assert_eq!(read_json(&path).unwrap(), (record, summary()));
}

#[test]
fn a_newer_or_broken_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.json");
    let newer = SCHEMA_VERSION + 1;
    let text = format!(r#"{{"schema_version": {newer}, "run": "something new"}}"#);
    fs::write(&path, text).unwrap();
    let error = read_json(&path).unwrap_err();
    assert!(
        matches!(error, ExportError::TooNew { found, .. } if found == newer),
        "{error}"
    );
    fs::write(&path, r#"{"schema_version": 1}"#).unwrap();
    let error = read_json(&path).unwrap_err();
    assert!(matches!(error, ExportError::Format { .. }), "{error}");
    assert!(error.to_string().contains("record.json") && error.to_string().contains("run"));
    let error = write_json(
        &sample::record(),
        &summary(),
        &folder.path().join("no/record.json"),
    );
    assert!(matches!(
        error.unwrap_err(),
        ExportError::Io { doing: "write", .. }
    ));
}
