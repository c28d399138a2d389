//! The root under which `/sys`, `/proc` and `/etc` are read.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The folder that holds `sys`, `proc` and so on: `/`, or a tree in a test.
///
/// Paths passed to its methods are relative to it. A file that is missing, unreadable or not text reads as `None`:
/// most machines lack some of these files, and each caller decides what that means.
#[derive(Debug, Clone)]
pub struct Root(PathBuf);

impl Root {
    /// This machine.
    pub fn host() -> Self {
        Self(PathBuf::from("/"))
    }

    /// A tree in a folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Whether a file or folder exists.
    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The text of a file, trimmed.
    pub fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim().to_owned())
    }

    /// The number in a file.
    pub fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The names in a folder, sorted; empty if there is no such folder.
    pub fn names(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(path)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        // Joining an absolute path would leave the tree.
        self.0.join(Path::new(path.trim_start_matches('/')))
    }
}
