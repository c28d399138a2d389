//! `protocol.json` and `cost.json`, written and read.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::write_whole;
use record::Document;

/// Why a document could not be read.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// The file system refused.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It doesn't match the type, or has another version.
    #[error("{} is not a stored {what} that this harness can read: {why}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
        /// The mismatch.
        why: String,
    },
}

/// Writes the file whole or not at all.
///
/// # Errors
/// Where the folder can't be written or is full.
pub fn write_document<D: Document>(document: &D, path: &Path) -> io::Result<()> {
    write_whole(path, &document.to_json())
}

/// Reads a file.
///
/// # Errors
/// Where it can't be read, is something else, or of a newer version.
pub fn read_document<D: Document + DeserializeOwned>(path: &Path) -> Result<D, DocumentError> {
    let text = std::fs::read_to_string(path).map_err(|source| DocumentError::Io {
        path: path.into(),
        source,
    })?;
    let format = |why: String| DocumentError::Format {
        path: path.into(),
        what: D::WHAT,
        why,
    };
    let document: D = serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
    let (kind, version) = (&document.head().kind, document.head().schema_version);
    if kind != D::KIND || version > D::VERSION {
        return Err(format(format!(
            "it is a {kind} of version {version}, and version {} is known",
            D::VERSION
        )));
    }
    Ok(document)
}
