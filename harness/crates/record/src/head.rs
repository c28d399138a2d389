//! What the files of measurements have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Document;

/// What a file of a measurement begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of its format, see [`Document::VERSION`].
    pub schema_version: u32,
    /// What was measured, see [`Document::KIND`].
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
    /// The processor's name; empty where nothing was timed, or the whole environment is given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cpu: String,
    /// The compiler's version; empty likewise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rustc: String,
    /// A hash of the first requests of each workload, which shows on --resume that one was edited. Older files have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests_sha256: BTreeMap<String, String>,
}

impl Head {
    /// That of a file of this kind and its newest version, with nothing else in it.
    pub fn of<D: Document>() -> Self {
        Self {
            schema_version: D::VERSION,
            kind: D::KIND.to_owned(),
            ..Self::default()
        }
    }
}
