//! How the entries of a round share the time.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the entries of a round share the time. Runs with different schedules are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Schedule {
    /// One process at a time: each trial has a fresh process and no other entry runs. The only schedule before
    /// version 4 of the record.
    #[default]
    Isolated,
    /// All entries of a round run at once and take turns under load, in short slices.
    Interleaved {
        /// The length of a slice including lead-in, milliseconds. A stage with a slow entry may use longer
        /// slices.
        slice_ms: f64,
        /// The start of each slice that doesn't count towards latency and rate, milliseconds.
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
