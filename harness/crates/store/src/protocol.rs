//! `protocol.json`, written and read.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::write_whole;
use record::{PROTOCOL_KIND, PROTOCOL_SCHEMA_VERSION, Protocol};

/// Why `protocol.json` could not be read.
#[derive(Debug, Error)]
pub enum ProtocolError {
    /// The file system refused.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It doesn't match [`Protocol`], or has another version.
    #[error("{} is no protocol matrix this harness can read: {why}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The mismatch.
        why: String,
    },
}

/// Writes the file whole or not at all.
///
/// # Errors
/// Where the folder can't be written or is full.
pub fn write_protocol(matrix: &Protocol, path: &Path) -> io::Result<()> {
    write_whole(path, &matrix.to_json())
}

/// Reads a file.
///
/// # Errors
/// Where it can't be read, is something else, or of a newer version.
pub fn read_protocol(path: &Path) -> Result<Protocol, ProtocolError> {
    let text = std::fs::read_to_string(path).map_err(|source| ProtocolError::Io {
        path: path.into(),
        source,
    })?;
    let format = |why: String| ProtocolError::Format {
        path: path.into(),
        why,
    };
    let matrix: Protocol =
        serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
    if matrix.kind != PROTOCOL_KIND || matrix.schema_version > PROTOCOL_SCHEMA_VERSION {
        return Err(format(format!(
            "it is a {} of version {}, and version {PROTOCOL_SCHEMA_VERSION} is known",
            matrix.kind, matrix.schema_version
        )));
    }
    Ok(matrix)
}
