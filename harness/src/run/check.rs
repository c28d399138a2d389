//! Has the referee check a server on a process of its own.

use std::time::Duration;

use super::Interrupt;
use super::accept::Referee;
use super::boot::{BootOptions, boot};
use super::build::Built;
use crate::conform::{self, CheckOptions, CheckReport};
use crate::record::{self, Failure, Step};

/// What a server is held to before it is measured.
#[derive(Debug, Clone)]
pub struct CheckLimits {
    /// Only these checks; all where empty.
    pub only: Vec<String>,
    /// The most the first byte may take at idle, median of 100 warm requests.
    pub first_byte: Duration,
    /// Inputs are drawn from it.
    pub seed: u64,
}

/// A server that passed every check: the only kind that can be measured.
#[derive(Debug, Clone)]
pub struct Verified {
    built: Built,
}

impl Verified {
    /// What was built.
    pub fn built(&self) -> &Built {
        &self.built
    }

    /// The same program under another name, from a separate copy of its binary.
    ///
    /// # Errors
    /// Where the binary can't be copied.
    pub(super) fn twin(&self, name: &str) -> anyhow::Result<Self> {
        Ok(Self {
            built: self.built.twin(name)?,
        })
    }
}

/// What came of a check.
#[derive(Debug)]
pub struct Checked {
    /// Each check's result; absent where the server could not be asked.
    pub report: Option<CheckReport>,
    /// What is recorded of it.
    pub record: Option<record::Check>,
    /// The server, or why it is not measured.
    pub verdict: Result<Verified, Failure>,
}

/// Boots the server, lets the referee check it, and ends it as the contract says.
pub fn check(
    built: Built,
    boot_options: &BootOptions,
    limits: &CheckLimits,
    referee: &Referee,
    interrupt: &Interrupt,
) -> Checked {
    let mut running = match boot(&built.launch, boot_options, referee, interrupt) {
        Ok(running) => running,
        Err(failure) => {
            return Checked {
                report: None,
                record: None,
                verdict: Err(failure),
            };
        }
    };
    let report = conform::check(
        running.addr,
        &CheckOptions {
            only: limits.only.clone(),
            first_byte_limit: limits.first_byte,
            seed: limits.seed,
            ..CheckOptions::default()
        },
    );
    let record = summarise(&report);
    let verdict = match first_failure(&record) {
        Some(reason) => Err(running.failure(Step::Check, reason)),
        None => running.stop().map(|()| Verified { built }),
    };
    Checked {
        report: Some(report),
        record: Some(record),
        verdict,
    }
}

pub(super) fn summarise(report: &CheckReport) -> record::Check {
    let failures: Vec<String> = report
        .results
        .iter()
        .filter_map(|result| {
            let why = result.outcome.as_ref().err()?;
            Some(format!("{}: {why}", result.id))
        })
        .collect();
    record::Check {
        passed: (report.results.len() - failures.len()) as u32,
        total: report.results.len() as u32,
        first_byte_us: report.first_byte.map(|time| time.as_secs_f64() * 1e6),
        failures,
    }
}

fn first_failure(check: &record::Check) -> Option<String> {
    let first = check.failures.first()?;
    let more = match check.failures.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more; see `harness check`)"),
    };
    Some(format!("{first}{more}"))
}
