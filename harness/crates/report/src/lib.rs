//! One file per format. Each is a function from a record and its summary to text; nothing here starts, writes
//! or prints anything.
//!
//! To add a format, add a file here, a line in [`FORMATS`] or [`TRACKERS`], and a snapshot test.

mod bencher;
mod chart;
mod compare;
mod cost;
mod csv;
mod drives;
mod figure;
mod github_action_benchmark;
mod grid;
mod history;
mod html;
mod markdown;
mod microbench;
mod notes;
mod number;
mod page;
mod protocol;
mod servers_table;
mod standing;
mod terminal;
mod tracked;
mod trials;
mod workload_table;

pub use compare::{COMPARISON_SCHEMA_VERSION, Meeting};
pub use cost::{cost_changes, cost_lines, cost_page};
pub use drives::{DriveDifference, DriveFigure, Drives};
pub use grid::{Align, Grid, WIDTH, wrapped};
pub use history::{HISTORY_SCHEMA_VERSION, History};
pub use markdown::{Illustrated, illustrated};
pub use microbench::{microbench_lines, microbench_page};
pub use number::{ABSENT, significant};
pub use protocol::{
    SECTION_BEGIN, SECTION_END, fuzz_lines, protocol_lines, protocol_page, protocol_section,
    with_section,
};
pub use standing::{Ranked, STANDING_SCHEMA_VERSION};
pub use terminal::{Colour, terminal, terminal_wide};

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

/// The formats written after every run; [`formats`] has all of them. The terminal uses [`terminal`].
pub const FORMATS: [Format; 5] = [
    Format {
        name: "markdown",
        file: "table.md",
        render: markdown::markdown,
    },
    Format {
        name: "csv",
        file: "table.csv",
        render: csv::csv,
    },
    Format {
        name: "html",
        file: "report.html",
        render: html::html,
    },
    Format {
        name: "trials",
        file: "trials.csv",
        render: trials::csv,
    },
    Format {
        name: "json",
        file: "record.json",
        render: to_json,
    },
];

/// All formats: those written after every run, then those on request.
pub fn formats() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().chain(&TRACKERS)
}

/// The formats of services that track figures over runs; only written on request.
pub const TRACKERS: [Format; 3] = [
    Format {
        name: "bencher",
        file: "bencher.json",
        render: bencher::bencher,
    },
    Format {
        name: "github-action-benchmark-bigger",
        file: "github-action-benchmark-bigger.json",
        render: github_action_benchmark::bigger,
    },
    Format {
        name: "github-action-benchmark-smaller",
        file: "github-action-benchmark-smaller.json",
        render: github_action_benchmark::smaller,
    },
];
