//! Measured quantiles beside known ones.

use serde::Serialize;

use super::Goal;
use record::{Accuracy, Crosscheck};

/// The quantiles in the order they are shown.
const NAMES: [&str; 5] = ["p50", "p90", "p99", "p999", "max"];

/// A server whose delays are known, and what each tool said of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Known {
    /// Its delays.
    pub delay: String,
    /// Connections asked for.
    pub connections: u32,
    /// What each tool said.
    pub tools: Vec<Quantiles>,
}

/// What one tool said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantiles {
    /// The tool, and how it was asked.
    pub tool: String,
    /// Whether it is ours.
    pub ours: bool,
    /// Right answers per second.
    pub requests_per_s: Option<f64>,
    /// Quantile by quantile.
    pub points: Vec<Point>,
    /// Whether the server itself, by its own clock, was further from paper than a tool may be:
    /// something else had its CPU, and the tool can't be held to account.
    pub disturbed: bool,
    /// Why there are none.
    pub failure: Option<String>,
}

/// One quantile, nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its name.
    pub name: &'static str,
    /// What follows from the definition of the delays.
    pub paper_ns: Option<f64>,
    /// Of the delays that the server gave the requests that reached it.
    pub given_ns: Option<f64>,
    /// What the tool said.
    pub measured_ns: Option<f64>,
    /// Whether that is as close to paper as it should be (the greatest of drawn delays: to what was
    /// given, since one late answer of the server makes it). Absent where nothing is known.
    pub goal: Option<Goal>,
}

/// Whether the delays that the server gave are not those on paper. Of a stall only the greatest can be
/// compared, since what waits in the client does not reach the server; of drawn delays all others.
fn disturbed(one: &Accuracy) -> bool {
    let stalls = one.delay.starts_with("stall");
    let mut known = one.paper_ns.iter();
    known.any(|(name, &paper)| {
        let given = one.given_ns.get(name).filter(|_| stalls == (name == "max"));
        given.is_some_and(|&given| !Goal::close(&one.delay, paper, given).met)
    })
}

/// What a tool's quantile is held against.
fn known_ns(one: &Accuracy, name: &str) -> Option<f64> {
    let paper = one.paper_ns.get(name).copied();
    match name == "max" && !one.delay.starts_with("stall") {
        true => paper.and(one.given_ns.get(name).copied()).or(paper),
        false => paper,
    }
}

/// All of them, in the order they were measured.
pub fn known(record: &Crosscheck) -> Vec<Known> {
    let mut all: Vec<Known> = Vec::new();
    for one in &record.accuracy {
        let latency = one.reading.as_ref().map(|reading| &reading.latency);
        let points = NAMES.into_iter().map(|name| {
            let paper_ns = one.paper_ns.get(name).copied();
            let measured_ns = latency.and_then(|latency| latency.point(name));
            Point {
                name,
                paper_ns,
                given_ns: one.given_ns.get(name).copied(),
                measured_ns,
                goal: known_ns(one, name)
                    .zip(measured_ns)
                    .map(|(known, measured)| Goal::close(&one.delay, known, measured)),
            }
        });
        let quantiles = Quantiles {
            tool: one.tool.clone(),
            ours: one.ours,
            requests_per_s: one.reading.as_ref().map(|reading| reading.requests_per_s),
            points: points.collect(),
            disturbed: disturbed(one),
            failure: one.failure.clone(),
        };
        match all.iter_mut().find(|known| known.delay == one.delay) {
            Some(known) => known.tools.push(quantiles),
            None => all.push(Known {
                delay: one.delay.clone(),
                connections: one.connections,
                tools: vec![quantiles],
            }),
        }
    }
    all
}
