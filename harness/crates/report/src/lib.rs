//! One file per format. Each is a function from a record and its summary to text; nothing here starts, writes
//! or prints anything. [`say`] has the words for what `judge` found.
//!
//! To add a format, add a file here, a line in [`FORMATS`] or [`TRACKERS`], and a snapshot test.

mod added;
mod bencher;
mod capacity;
mod chart;
mod compare;
mod cost;
mod csv;
mod drives;
mod fairness;
mod figure;
mod footprint;
mod github_action_benchmark;
mod grid;
mod history;
mod html;
mod ladder;
mod markdown;
mod microbench;
mod notes;
mod number;
mod page;
mod pattern;
mod profile;
mod protocol;
mod restart;
pub mod say;
mod servers_table;
mod soak;
mod standing;
mod terminal;
mod tracked;
mod trials;
mod upstream;
mod workload_table;

pub use capacity::{capacity_lines, capacity_page};
pub use chart::{LatencyLine, latency_chart};
pub use compare::{COMPARISON_SCHEMA_VERSION, Meeting};
pub use cost::{cost_changes, cost_lines, cost_page};
pub use drives::{DriveDifference, DriveFigure, DriveValue, Drives};
pub use fairness::{fairness_lines, fairness_page, fairness_section};
pub use footprint::{footprint_lines, footprint_page};
pub use grid::{Align, Grid, WIDTH, wrapped};
pub use history::{HISTORY_SCHEMA_VERSION, History};
pub use ladder::{ladder_lines, ladder_page};
pub use markdown::{Illustrated, illustrated};
pub use microbench::{microbench_lines, microbench_page};
pub use number::{ABSENT, short, significant};
pub use pattern::{pattern_lines, pattern_page};
pub use profile::profile_lines;
pub use protocol::{
    SECTION_BEGIN, SECTION_END, fuzz_lines, protocol_lines, protocol_page, protocol_section,
    with_section,
};
pub use restart::{restart_lines, restart_page};
pub use say::summarise;
pub use soak::{soak_lines, soak_page};
pub use standing::{Ranked, STANDING_SCHEMA_VERSION};
pub use terminal::{Colour, terminal, terminal_wide};
pub use upstream::{upstream_lines, upstream_page};

use record::{Record, Summary, to_json};

/// An output format for a run.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The name used in flags.
    pub name: &'static str,
    /// The file name in a run's folder.
    pub file: &'static str,
    /// Renders the text of that file.
    pub render: fn(&Record, &Summary) -> String,
}

impl Format {
    const fn new(
        name: &'static str,
        file: &'static str,
        render: fn(&Record, &Summary) -> String,
    ) -> Self {
        Self { name, file, render }
    }
}

/// The formats written after every run; [`formats`] has all of them. The terminal uses [`terminal`].
pub const FORMATS: [Format; 5] = [
    Format::new("markdown", "table.md", markdown::markdown),
    Format::new("csv", "table.csv", csv::csv),
    Format::new("html", "report.html", html::html),
    Format::new("trials", "trials.csv", trials::csv),
    Format::new("json", "record.json", to_json),
];

/// All formats: those written after every run, then those on request.
pub fn formats() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().chain(&TRACKERS)
}

/// The formats of services that track figures over runs; only written on request.
pub const TRACKERS: [Format; 3] = [
    Format::new("bencher", "bencher.json", bencher::bencher),
    Format::new(
        "github-action-benchmark-bigger",
        "github-action-benchmark-bigger.json",
        github_action_benchmark::bigger,
    ),
    Format::new(
        "github-action-benchmark-smaller",
        "github-action-benchmark-smaller.json",
        github_action_benchmark::smaller,
    ),
];
