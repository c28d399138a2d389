//! Files that tools need besides their flags.

use std::path::Path;

use anyhow::{Context, Result};

/// Files that tools need.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// The one request as a workload, so that our load generator checks each response completely.
    workload: String,
    /// Makes wrk print all its results.
    wrk_script: String,
}

impl Files {
    /// The file with the one request.
    pub(super) fn workload(&self) -> &str {
        &self.workload
    }

    /// The script for wrk.
    pub(super) fn wrk_script(&self) -> &str {
        &self.wrk_script
    }

    /// Creates `folder` and writes the files into it, for requests to `path`.
    pub(super) fn write(folder: &Path, path: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let workload = format!(
            "about = \"The request of a crosscheck\"\n\n[[request]]\npath = {}\n",
            toml_text(path)
        );
        Ok(Self {
            workload: write(folder, "crosscheck.toml", &workload)?,
            wrk_script: write(folder, "wrk.lua", include_str!("wrk.lua"))?,
        })
    }
}

/// A basic string of TOML, whose escapes include JSON's.
fn toml_text(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

fn write(folder: &Path, name: &str, text: &str) -> Result<String> {
    let path = std::path::absolute(folder.join(name))?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let word = path.to_str().map(str::to_owned);
    word.with_context(|| format!("the path {} is not UTF-8", path.display()))
}

#[cfg(test)]
impl Files {
    /// Files with these names that don't exist.
    pub(super) fn named(workload: &str, wrk_script: &str) -> Self {
        Self {
            workload: workload.to_owned(),
            wrk_script: wrk_script.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_requests_is_one_the_harness_reads() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::write(folder.path(), "/a/b%20\"c\\").unwrap();
        let workload = catalog::Workload::load(Path::new(&files.workload)).unwrap();
        let calls = workload.draw(1, 1);
        assert_eq!(calls[0].target, "/a/b%20\"c\\");
        assert!(Path::new(&files.wrk_script).is_file());
    }
}
