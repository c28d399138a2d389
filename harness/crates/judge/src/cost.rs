//! Whether a request costs more than before.

use catalog::names;
use record::figure::{self, COSTS, Figure};
use record::{Costs, ServerCost};

/// A limit on how much a cost may grow, as in `instructions>0.5%` or `allocations>0`.
#[derive(Debug, Clone, Copy)]
pub struct CostLimit {
    /// The cost.
    pub figure: &'static Figure,
    /// How much it may grow.
    pub growth: Growth,
}

/// How much a cost may grow per request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Growth {
    /// In percent of the base.
    Percent(f64),
    /// In units of the figure.
    By(f64),
}

impl CostLimit {
    /// Reads a limit. The figure is named by its id, with or without `_per_request`.
    ///
    /// # Errors
    /// A message for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hint = "expected a limit such as instructions>0.5% or allocations>0";
        let (name, limit) = text.split_once('>').ok_or_else(|| hint.to_owned())?;
        let short = |figure: &Figure| short_name(figure.id);
        let figure = COSTS
            .iter()
            .find(|figure| figure.id == name || short(figure) == name)
            .ok_or_else(|| {
                let known: Vec<&str> = COSTS.iter().map(short).collect();
                names::unknown("cost", name, &known)
            })?;
        let number = |text: &str| {
            let number = text.trim().parse().ok();
            number
                .filter(|n: &f64| n.is_finite() && *n >= 0.0)
                .ok_or_else(|| hint.to_owned())
        };
        let growth = match limit.strip_suffix('%') {
            Some(percent) => Growth::Percent(number(percent)?),
            None => Growth::By(number(limit)?),
        };
        Ok(Self { figure, growth })
    }

    fn is_exceeded(&self, base: f64, new: f64) -> bool {
        match self.growth {
            Growth::Percent(percent) => new > base * (1.0 + percent / 100.0),
            // A table that doubles now and then costs a few thousandths of an allocation per request.
            Growth::By(by) => (new - base - by) >= LEAST,
        }
    }
}

/// The least growth that counts against a limit without a percentage.
const LEAST: f64 = 0.05;

/// A figure's id without its ending.
fn short_name(id: &str) -> &str {
    id.trim_end_matches("_per_request")
        .trim_end_matches("_per_response")
}

/// How a cost of one server and workload differs between two builds.
#[derive(Debug, Clone, Copy)]
pub struct CostChange<'a> {
    /// The server.
    pub server: &'a ServerCost,
    /// The workload.
    pub workload: &'a str,
    /// The cost.
    pub figure: &'static Figure,
    /// The base's median.
    pub base: f64,
    /// The new build's median.
    pub new: f64,
    /// It grew by more than a limit allows.
    pub exceeds: bool,
}

/// Every cost that both have. `base_of` finds the base of a server.
pub fn cost_changes<'a>(
    new: &'a Costs,
    base_of: impl Fn(&ServerCost) -> Option<&'a ServerCost>,
    limits: &[CostLimit],
) -> Vec<CostChange<'a>> {
    let mut changes = Vec::new();
    for server in &new.servers {
        let Some(base) = base_of(server) else {
            continue;
        };
        for cost in &server.workloads {
            let Some(before) = base.workload(&cost.name) else {
                continue;
            };
            for figure in COSTS {
                if let (Some(base), Some(new)) = (before.median(figure.id), cost.median(figure.id))
                {
                    let limits = limits.iter().filter(|limit| limit.figure.id == figure.id);
                    changes.push(CostChange {
                        server,
                        workload: &cost.name,
                        figure,
                        base,
                        new,
                        exceeds: limits.into_iter().any(|limit| limit.is_exceeded(base, new)),
                    });
                }
            }
        }
    }
    changes
}

/// The limits that nothing could be held against, because a figure is absent in all servers of either side.
pub fn unjudged<'l>(changes: &[CostChange<'_>], limits: &'l [CostLimit]) -> Vec<&'l CostLimit> {
    let judged = |limit: &&CostLimit| {
        !changes
            .iter()
            .any(|change| change.figure.id == limit.figure.id)
    };
    limits.iter().filter(judged).collect()
}

/// The figures by which two builds are compared when nothing else is asked for.
pub const USUAL_COSTS: [&str; 3] = [
    figure::INSTRUCTIONS,
    figure::ALLOCATIONS,
    "syscalls_per_request",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_relative_or_absolute() {
        let limit = CostLimit::parse("instructions>0.5%").unwrap();
        assert_eq!(limit.figure.id, figure::INSTRUCTIONS);
        assert!(limit.is_exceeded(1000.0, 1006.0) && !limit.is_exceeded(1000.0, 1004.0));
        let limit = CostLimit::parse("allocations_per_request>0").unwrap();
        assert!(limit.is_exceeded(12.0, 13.0) && !limit.is_exceeded(12.0, 12.004));
        let limit = CostLimit::parse("bytes_sent>16").unwrap();
        assert!(limit.is_exceeded(100.0, 117.0) && !limit.is_exceeded(100.0, 116.0));
    }

    #[test]
    fn a_wrong_limit_names_what_is_known() {
        let error = CostLimit::parse("instruction>1%").unwrap_err();
        assert!(error.contains("did you mean \"instructions\""), "{error}");
        for wrong in [
            "instructions",
            "instructions>",
            "instructions>x",
            "allocations>-1",
            "allocations>NaN",
        ] {
            assert!(CostLimit::parse(wrong).is_err(), "{wrong}");
        }
    }
}
