//! A summary made by hand: a sure rank, a tie, a marked row, a failed one, a lower bound,
//! figures that could not be read.

use std::collections::BTreeMap;

use catalog::Stage;
use record::*;

use crate::record_and_report::sample;

pub(crate) fn summary() -> Summary {
    let mut rows = vec![];
    for workload in ["mixed", "ping"] {
        rows.extend(server(
            "actix-web",
            "actix-web",
            workload,
            1.0,
            Some((1, 1)),
        ));
        rows.extend(server("axum", "axum", workload, 1.13, Some((2, 3))));
        rows.extend(server("hyper", "hyper", workload, 1.15, Some((2, 3))));
        rows.extend(server(
            "may-minihttp",
            "may_minihttp",
            workload,
            7.77,
            Some((4, 4)),
        ));
        rows.extend(failed(workload));
    }
    mark(&mut rows);
    let servers = sample::record().servers.iter().map(server_row).collect();
    let rankings = vec![
        ranking("mixed", Some(24_000.0)),
        ranking("ping", Some(52_500.5)),
    ];
    Summary {
        rows,
        servers,
        rankings,
        reasons: vec![reason()],
    }
}

/// What the marked row says, for programs.
fn reason() -> ReasonRow {
    ReasonRow {
        server: Some("may-minihttp".into()),
        workload: Some("mixed".into()),
        stage: Some(Stage::Paced),
        text: "2 of 10 trials invalid: timeout (gate 2)".into(),
        reason: serde_json::json!({
            "kind": "errors",
            "parameters": { "total": 3, "kinds": { "timeout": 3 }, "first": null },
            "effect": "invalidates",
            "trials": { "rounds": [2, 7], "ran": 10 },
        }),
    }
}

fn ranking(workload: &str, rate_per_s: Option<f64>) -> Ranking {
    Ranking {
        workload: workload.into(),
        stage: Stage::Paced,
        ranked_by: "cpu_us_per_request".into(),
        reason: "the load generator was the limit of at least one peak rate".into(),
        rate_per_s,
        connections: 64,
        noise_floor: Some(NoiseFloor {
            delta: 0.021,
            pairs: vec![Pair {
                first: "control".into(),
                second: "control~2".into(),
                ratio: 1.007,
                low: Some(0.994),
                high: Some(1.021),
            }],
        }),
        notes: vec![],
    }
}

/// Two rows of one server, whose costs are `factor` times the best one's.
fn server(
    name: &str,
    display: &str,
    workload: &str,
    factor: f64,
    rank: Option<(u32, u32)>,
) -> [Row; 2] {
    let peak = Row {
        server: name.into(),
        display: display.into(),
        workload: workload.into(),
        stage: Stage::Peak,
        verdict: Verdict::Ok,
        reasons: vec![],
        rank: None,
        lower_bound: false,
        ratio_to_best: ratios(
            name,
            factor,
            &[("requests_per_s", true), ("cpu_us_per_request", false)],
        ),
        figures: [
            ("requests_per_s".into(), about(131_234.5 / factor, 0.021)),
            ("cpu_us_per_request".into(), about(7.4 * factor, 0.03)),
        ]
        .into(),
    };
    let paced = Row {
        stage: Stage::Paced,
        rank: rank.map(|(low, high)| RankInterval { low, high }),
        ratio_to_best: ratios(
            name,
            factor,
            &[
                ("cpu_us_per_request", false),
                ("latency_p50_us", false),
                ("latency_p99_us", false),
                ("latency_p999_us", false),
                ("first_byte_p99_us", false),
                ("jitter_us", false),
                ("context_switches_per_request", false),
            ],
        ),
        figures: [
            ("cpu_us_per_request".into(), about(12.43 * factor, 0.031)),
            ("latency_p50_us".into(), about(75.23 * factor, 0.012)),
            ("latency_p99_us".into(), about(1234.5 * factor, 0.12)),
            ("latency_p999_us".into(), about(9876.5 * factor, 0.45)),
            ("first_byte_p99_us".into(), about(1201.0 * factor, 0.118)),
            ("jitter_us".into(), about(310.0 * factor, 0.14)),
            (
                "context_switches_per_request".into(),
                about(0.042 * factor, 0.06),
            ),
        ]
        .into(),
        ..peak.clone()
    };
    [peak, paced]
}

/// Ratios to `actix-web` of a server whose costs are `factor` times its. `true` is a rate.
fn ratios(name: &str, factor: f64, figures: &[(&str, bool)]) -> BTreeMap<String, RatioToBest> {
    let best = name == "actix-web";
    let of = |&(figure, rate): &(&str, bool)| {
        let ratio = if rate { 1.0 / factor } else { factor };
        let interval = |by: f64| (!best).then_some(ratio * by);
        let own = RatioToBest {
            ratio,
            low: interval(0.97),
            high: interval(1.04),
            rounds: 10,
            best: "actix-web".into(),
            by_machine: figure == "latency_p999_us" && !best,
        };
        (figure.to_owned(), own)
    };
    figures.iter().map(of).collect()
}

/// What a server that failed before any trial has: no figure at all.
fn failed(workload: &str) -> [Row; 2] {
    server("broken", "broken | pipe", workload, 1.0, None).map(|row| Row {
        verdict: Verdict::Failed,
        reasons: vec![
            "check: orders.create: POST /api/v1/orders answered 500 instead of 201".into(),
        ],
        ratio_to_best: BTreeMap::new(),
        figures: Estimates::new(),
        ..row
    })
}

fn mark(rows: &mut [Row]) {
    for row in rows.iter_mut().filter(|row| row.workload == "mixed") {
        match (row.server.as_str(), row.stage) {
            ("may-minihttp", Stage::Paced) => {
                row.verdict = Verdict::Marked;
                row.reasons = vec!["2 of 10 trials invalid: timeout (gate 2)".into()];
                row.figures.remove("first_byte_p99_us");
                row.ratio_to_best.remove("first_byte_p99_us");
            }
            ("actix-web", Stage::Peak) => row.lower_bound = true,
            _ => {}
        }
    }
}

fn server_row(server: &Server) -> ServerRow {
    let failure = server.failure.as_ref();
    let mut figures = Estimates::new();
    if failure.is_none() {
        figures.insert("rss_idle_bytes".into(), about(4_300_000.0, 0.01));
        figures.insert("rss_peak_bytes".into(), about(14_600_000.0, 0.05));
        figures.insert("start_ms".into(), about(12.3, 0.2));
        figures.insert("first_request_us".into(), about(412.0, 0.3));
    }
    ServerRow {
        server: server.name.clone(),
        display: server.display.clone(),
        class: server.class.clone(),
        version: server.upstream_version.clone(),
        verdict: failure.map_or(Verdict::Ok, |_| Verdict::Failed),
        reasons: failure
            .map(|f| format!("check: {}", f.reason))
            .into_iter()
            .collect(),
        checks_passed: server.check.as_ref().map(|c| c.passed),
        checks_total: server.check.as_ref().map(|c| c.total),
        lost_at_stop: server.check.as_ref().and_then(|c| c.lost_at_stop),
        sent_at_stop: server.check.as_ref().and_then(|c| c.sent_at_stop),
        stripped_bytes: server.build.as_ref().and_then(|b| b.stripped_bytes),
        figures,
    }
}

/// An estimate whose interval reaches `spread` above and half of that below.
fn about(median: f64, spread: f64) -> Estimate {
    Estimate {
        median,
        low: median * (1.0 - spread / 2.0),
        high: median * (1.0 + spread),
        n: 10,
    }
}
