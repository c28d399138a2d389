//! Files written whole, and `record.json` read back.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use record::{Ranking, ReasonRow, Record, Row, SCHEMA_VERSION, ServerRow, Summary, to_json};

/// Why `record.json` could not be written or read.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The file system refused.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `write`.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// It doesn't match the schema.
    #[error("{} is not a record that this harness can read: {source}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The mismatch.
        source: serde_json::Error,
    },
    /// Written by a newer harness.
    #[error("{} has version {found}, but this harness reads only up to {SCHEMA_VERSION}: use the harness that wrote it, or a newer one", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
    },
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

#[derive(Deserialize)]
struct SummaryMembers {
    summary: Vec<Row>,
    server_summary: Vec<ServerRow>,
    rankings: Vec<Ranking>,
    #[serde(default)]
    reasons: Vec<ReasonRow>,
}

/// Writes `record.json` atomically.
///
/// # Errors
/// [`ExportError::Io`] if the folder can't be written or is full; an existing file is unchanged.
pub fn write_json(record: &Record, summary: &Summary, path: &Path) -> Result<(), ExportError> {
    write_whole(path, &to_json(record, summary)).map_err(|source| ExportError::Io {
        path: path.into(),
        doing: "write",
        source,
    })
}

/// Reads `record.json`; the intervals of its trials are empty.
///
/// # Errors
/// [`ExportError::TooNew`] if its version is higher than [`SCHEMA_VERSION`], [`ExportError::Format`] if it
/// isn't a record.
pub fn read_json(path: &Path) -> Result<(Record, Summary), ExportError> {
    let text = fs::read_to_string(path).map_err(|source| ExportError::Io {
        path: path.into(),
        doing: "read",
        source,
    })?;
    let format = |source| ExportError::Format {
        path: path.into(),
        source,
    };
    // Checked first, so that a newer record isn't reported as broken.
    let Version { schema_version } = serde_json::from_str(&text).map_err(format)?;
    if schema_version > SCHEMA_VERSION {
        return Err(ExportError::TooNew {
            path: path.into(),
            found: schema_version,
        });
    }
    let record = serde_json::from_str(&text).map_err(format)?;
    let members: SummaryMembers = serde_json::from_str(&text).map_err(format)?;
    let summary = Summary {
        rows: members.summary,
        servers: members.server_summary,
        rankings: members.rankings,
        reasons: members.reasons,
    };
    Ok((record, summary))
}

/// Writes a temporary file next to `path` and renames it, so that a kill leaves no partial file.
///
/// # Errors
/// If the folder can't be written or is full; an existing file is unchanged.
pub fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut name = OsString::from(path);
    name.push(".partial");
    let partial = PathBuf::from(name);
    let mut file = BufWriter::new(File::create(&partial)?);
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.flush())
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        // Report the error of the write, not of the clean-up.
        let _ = fs::remove_file(&partial);
    }
    written
}
