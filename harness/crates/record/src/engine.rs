//! The I/O backend of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The I/O backend of the load generator. Figures measured with different backends are never compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Engine(pub String);

impl Engine {
    /// The default, and the only backend of older runs.
    const DEFAULT: &str = "epoll";

    /// The suffix for a caption; empty for the default.
    pub fn remark(&self) -> String {
        match self.0.as_str() {
            Self::DEFAULT => String::new(),
            other => format!(", over {other}"),
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
