//! How the entries of a round share the time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the entries of a round share the time. Runs of different schedules are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Schedule {
    /// One process at a time: each trial has a fresh process and the machine to itself. The only
    /// schedule before version 4 of the record.
    #[default]
    Isolated,
    /// All entries of a round run at once and get the load in turn, in short slices.
    Interleaved {
        /// The length of a slice, lead-in included, milliseconds. A stage whose slowest entry
        /// needs longer ones has them.
        slice_ms: f64,
        /// The start of each slice, whose latencies and rate do not count, milliseconds.
        lead_in_ms: f64,
    },
}

impl Schedule {
    /// The name used in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Isolated => "isolated",
            Self::Interleaved { .. } => "interleaved",
        }
    }

    /// Whether all entries of a round take turns.
    pub fn is_interleaved(self) -> bool {
        matches!(self, Self::Interleaved { .. })
    }

    /// The length of a slice, milliseconds; absent in an isolated run.
    pub fn slice_ms(self) -> Option<f64> {
        match self {
            Self::Isolated => None,
            Self::Interleaved { slice_ms, .. } => Some(slice_ms),
        }
    }

    /// The lead-in of a slice, milliseconds; absent in an isolated run.
    pub fn lead_in_ms(self) -> Option<f64> {
        match self {
            Self::Isolated => None,
            Self::Interleaved { lead_in_ms, .. } => Some(lead_in_ms),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Isolated => f.write_str(self.name()),
            Self::Interleaved { slice_ms, .. } => {
                write!(f, "{}, slices of {slice_ms} ms", self.name())
            }
        }
    }
}
