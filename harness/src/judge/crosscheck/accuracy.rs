//! Measured quantiles beside known ones.

use serde::Serialize;

use super::Goal;
use crate::record::Crosscheck;

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
    /// Whether that is as close to paper as it should be; absent where paper says nothing.
    pub goal: Option<Goal>,
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
                goal: paper_ns
                    .zip(measured_ns)
                    .map(|(paper, measured)| Goal::close(&one.delay, paper, measured)),
            }
        });
        let quantiles = Quantiles {
            tool: one.tool.clone(),
            ours: one.ours,
            requests_per_s: one.reading.as_ref().map(|reading| reading.requests_per_s),
            points: points.collect(),
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
