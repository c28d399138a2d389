//! Parses each tool's output into one form.

mod drive;
mod hey;
mod oha;
mod wrk;

use anyhow::Result;

use super::tool::Kind;
use record::Reading;

/// Parses the standard output of a tool.
///
/// # Errors
/// What is missing in it.
pub(super) fn read(kind: Kind, output: &str) -> Result<Reading> {
    match kind {
        Kind::Ours(_) | Kind::Bare => drive::read(output),
        Kind::Wrk => wrk::read(output),
        Kind::Oha { .. } => oha::read(output),
        Kind::Hey => hey::read(output),
    }
}
