//! What the files of measurements have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a file of a measurement begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of its format, see [`Document::VERSION`](super::Document::VERSION).
    pub schema_version: u32,
    /// What was measured, see [`Document::KIND`](super::Document::KIND).
    pub kind: String,
    /// `<utc>-<rev>-<kind>`, the folder's name.
    pub id: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// The harness's version.
    pub harness_version: String,
    /// The workspace's git revision, with `-dirty` if it had changes.
    pub revision: Option<String>,
    /// The command line, without the program's path.
    pub command: Vec<String>,
    /// The processor's name.
    pub cpu: String,
    /// The compiler's version.
    pub rustc: String,
    /// A hash of the first requests of each workload, which shows on --resume that one was edited. Older files have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests_sha256: BTreeMap<String, String>,
}

impl Head {
    pub(super) fn kind_and_version(&self) -> (&str, u32) {
        (&self.kind, self.schema_version)
    }
}
