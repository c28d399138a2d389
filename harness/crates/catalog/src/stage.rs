//! How load is applied to a server.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How load is applied to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Closed loop: a fixed number of connections, each with one request in flight.
    Peak,
    /// Open loop: a fixed absolute rate, the same for all servers of a run.
    Paced,
}

impl Stage {
    /// All stages, in the order they are shown.
    pub const ALL: [Self; 2] = [Self::Peak, Self::Paced];

    /// The name used in flags, files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peak => "peak",
            Self::Paced => "paced",
        }
    }

    /// A one-line description.
    pub fn about(self) -> &'static str {
        match self {
            Self::Peak => {
                "closed loop: each connection sends its next request as soon as it has a response"
            }
            Self::Paced => "open loop: the same fixed rate for every server",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
