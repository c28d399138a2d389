//! System calls per request, and how late requests are sent.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Goal;
use record::Crosscheck;
use stats::median;

/// System calls of one tool at one number of connections.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallsPerRequest {
    /// The tool.
    pub tool: String,
    /// Number of connections.
    pub connections: u32,
    /// System calls of all kinds per request; absent if they could not be counted.
    pub per_request: Option<f64>,
    /// By name, most frequent first; at least 1 % each.
    pub by_name: Vec<(String, f64)>,
    /// The goal.
    pub goal: Option<Goal>,
    /// Why there is no count.
    pub failure: Option<String>,
}

/// From two runs of different length: the difference in calls / the difference in requests.
pub fn calls_per_request(record: &Crosscheck) -> Vec<CallsPerRequest> {
    let counted = record.syscalls.iter().map(|counted| {
        let mut by_name: Vec<(String, f64)> = Vec::new();
        if let [short, long] = &counted.runs[..]
            && long.requests > short.requests
        {
            let requests = (long.requests - short.requests) as f64;
            let names: BTreeSet<&String> = short.calls.keys().chain(long.calls.keys()).collect();
            let of = |calls: &BTreeMap<String, u64>, name: &String| {
                calls.get(name).copied().unwrap_or(0) as f64
            };
            by_name.extend(names.into_iter().map(|name| {
                let more = of(&long.calls, name) - of(&short.calls, name);
                (name.clone(), more / requests)
            }));
        }
        let total: f64 = by_name.iter().map(|(_, n)| n).sum();
        let per_request = (!by_name.is_empty()).then_some(total);
        by_name.retain(|(_, n)| *n >= 0.01);
        by_name.sort_by(|a, b| b.1.total_cmp(&a.1));
        CallsPerRequest {
            tool: counted.tool.clone(),
            connections: counted.connections,
            per_request,
            by_name,
            goal: per_request.and_then(|calls| Goal::calls(&counted.tool, calls)),
            failure: counted.failure.clone(),
        }
    });
    counted.collect()
}

/// How late an I/O backend sends at a rate: medians over the rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lag {
    /// The I/O backend.
    pub tool: String,
    /// Target requests per second, on one thread.
    pub rate_per_s: f64,
    /// Responses per second.
    pub achieved_per_s: Option<f64>,
    /// p99, nanoseconds: median, minimum and maximum over the rounds.
    pub p99_ns: Option<(f64, f64, f64)>,
    /// The goal.
    pub goal: Option<Goal>,
    /// Why a round is missing.
    pub failure: Option<String>,
}

/// By tool and rate, in the order they were first measured.
pub fn lags(record: &Crosscheck) -> Vec<Lag> {
    let mut lags: Vec<Lag> = Vec::new();
    for one in &record.send_lags {
        let same = |lag: &&Lag| lag.tool == one.tool && lag.rate_per_s == one.rate_per_s;
        if lags.iter().any(|lag| same(&lag)) {
            continue;
        }
        let all = || {
            let same = record.send_lags.iter();
            same.filter(move |other| other.tool == one.tool && other.rate_per_s == one.rate_per_s)
        };
        let readings = || all().filter_map(|lag| lag.reading.as_ref());
        let achieved: Vec<f64> = readings().map(|r| r.requests_per_s).collect();
        let late = readings().filter_map(|reading| reading.send_lag_p99_ns);
        let mut late: Vec<f64> = late.map(|ns| ns as f64).collect();
        late.sort_by(f64::total_cmp);
        let middle = median(&late);
        lags.push(Lag {
            tool: one.tool.clone(),
            rate_per_s: one.rate_per_s,
            achieved_per_s: median(&achieved),
            p99_ns: middle.map(|middle| (middle, late[0], late[late.len() - 1])),
            goal: middle.and_then(|middle| Goal::send_lag(one.rate_per_s, middle)),
            failure: all().find_map(|lag| lag.failure.clone()),
        });
    }
    lags
}
