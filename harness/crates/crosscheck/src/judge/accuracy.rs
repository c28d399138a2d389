//! Compares measured quantiles with known ones.

use serde::Serialize;

use super::Goal;
use record::{Accuracy, Crosscheck};

/// The quantiles, in display order.
const NAMES: [&str; 5] = ["p50", "p90", "p99", "p999", "max"];

/// A server with known delays, and what each tool measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownServer {
    /// Its delays.
    pub delay: String,
    /// Number of connections.
    pub connections: u32,
    /// What each tool measured.
    pub tools: Vec<Quantiles>,
}

/// What one tool measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quantiles {
    /// The tool and its mode.
    pub tool: String,
    /// Whether it is ours.
    pub ours: bool,
    /// Valid responses per second.
    pub requests_per_s: Option<f64>,
    /// Quantile by quantile.
    pub points: Vec<Point>,
    /// Whether the server's own clock shows delays further from the definition than a tool may be: something
    /// else used its CPU, so the tool can't be judged.
    pub disturbed: bool,
    /// Why there are no quantiles.
    pub failure: Option<String>,
}

/// One quantile, nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Its name.
    pub name: &'static str,
    /// The value by the definition of the delays.
    pub paper_ns: Option<f64>,
    /// The value of the delays that the server applied, by its own clock.
    pub given_ns: Option<f64>,
    /// The value that the tool measured.
    pub measured_ns: Option<f64>,
    /// Whether that is close enough to the definition. The maximum of random delays is compared with the
    /// applied delays instead, because a single late response determines it. Absent if nothing is known.
    pub goal: Option<Goal>,
}

/// Whether the applied delays differ from the definition. For a stall only the maximum is compared, because the
/// server doesn't see requests that wait in the client; for random delays, all but the maximum.
fn disturbed(one: &Accuracy) -> bool {
    let stalls = one.delay.starts_with("stall");
    let mut known = one.paper_ns.iter();
    known.any(|(name, &paper)| {
        let given = one.given_ns.get(name).filter(|_| stalls == (name == "max"));
        given.is_some_and(|&given| !Goal::close(&one.delay, paper, given).met)
    })
}

/// The value that a tool's quantile is compared with.
fn known_ns(one: &Accuracy, name: &str) -> Option<f64> {
    let paper = one.paper_ns.get(name).copied();
    match name == "max" && !one.delay.starts_with("stall") {
        true => paper.and(one.given_ns.get(name).copied()).or(paper),
        false => paper,
    }
}

/// All servers, in the order they were measured.
pub fn known(record: &Crosscheck) -> Vec<KnownServer> {
    let mut all: Vec<KnownServer> = Vec::new();
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
            None => all.push(KnownServer {
                delay: one.delay.clone(),
                connections: one.connections,
                tools: vec![quantiles],
            }),
        }
    }
    all
}
