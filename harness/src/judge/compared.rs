//! The figures that runs are compared by, and which way each is better.

use crate::catalog::Stage;
use crate::stats::Better;

/// Over what a figure is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One stage of one workload.
    Stage(Stage),
    /// The process, whatever it was asked.
    Process,
}

/// A figure that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// Its name in the record; the same name may stand for both stages.
    pub name: &'static str,
    /// Over what it is taken.
    pub scope: Scope,
    /// Which of two values is the better one.
    pub better: Better,
    /// The machine moves the control's by about the same factor, so it is divided by it where
    /// both runs have a control.
    pub by_control: bool,
}

/// Every figure that is compared, in the order in which they are shown.
pub const COMPARED: [Compared; 10] = [
    of(Stage::Peak, "requests_per_s", Better::Higher, true),
    of(Stage::Peak, "latency_p50_us", Better::Lower, false),
    of(Stage::Peak, "latency_p99_us", Better::Lower, false),
    of(Stage::Paced, "cpu_us_per_request", Better::Lower, true),
    of(Stage::Paced, "latency_p50_us", Better::Lower, false),
    of(Stage::Paced, "latency_p99_us", Better::Lower, false),
    of(Stage::Paced, "latency_p999_us", Better::Lower, false),
    of(Stage::Paced, "first_byte_p99_us", Better::Lower, false),
    process(RSS_PEAK),
    process("start_ms"),
];

/// Grows with what a process was asked, so it is compared at equal load only.
pub(super) const RSS_PEAK: &str = "rss_peak_bytes";

const fn of(stage: Stage, name: &'static str, better: Better, by_control: bool) -> Compared {
    Compared {
        name,
        scope: Scope::Stage(stage),
        better,
        by_control,
    }
}

const fn process(name: &'static str) -> Compared {
    Compared {
        name,
        scope: Scope::Process,
        better: Better::Lower,
        by_control: false,
    }
}

/// Their names, each once.
pub fn compared_names() -> Vec<&'static str> {
    let mut names = Vec::new();
    for compared in COMPARED {
        if !names.contains(&compared.name) {
            names.push(compared.name);
        }
    }
    names
}
