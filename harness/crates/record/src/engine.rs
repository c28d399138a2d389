//! What moved the bytes of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The engine of the load generator, by its name. Figures of different engines are never set beside each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Engine(pub String);

impl Engine {
    /// The engine of all runs before there was a choice, and of those that made none.
    const DEFAULT: &str = "epoll";

    /// What a caption says of it: nothing of the default.
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
