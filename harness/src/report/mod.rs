//! One file per format. Each is a function from a record and its summary to text;
//! nothing here starts, writes or prints anything.
//!
//! A new format is one file here, its line in [`FORMATS`] and a golden test.

mod chart;
mod compare;
mod csv;
mod figure;
mod grid;
mod history;
mod html;
mod markdown;
mod number;
mod page;
mod servers_table;
mod standing;
mod terminal;
mod trials;
mod workload_table;

pub use compare::{COMPARISON_SCHEMA_VERSION, Meeting};
pub use grid::{WIDTH, wrapped};
pub use history::{HISTORY_SCHEMA_VERSION, History};
pub use markdown::{Illustrated, illustrated};
pub use standing::{Ranked, STANDING_SCHEMA_VERSION};
pub use terminal::{Colour, terminal};

use crate::record::{Record, Summary, to_json};

/// A way to write down a run.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The name used in flags.
    pub name: &'static str,
    /// The file it becomes in a run's folder.
    pub file: &'static str,
    /// The whole text of that file.
    pub render: fn(&Record, &Summary) -> String,
}

/// The formats written after every run. The terminal's is [`terminal`].
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
