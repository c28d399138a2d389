//! Files that tools are given beside their flags.

use std::path::Path;

use anyhow::{Context, Result};

/// Files that tools are given.
#[derive(Debug, Clone)]
pub(super) struct Files {
    /// The one request as a workload, by which our load generator checks each answer whole.
    workload: String,
    /// What makes wrk say all it knows.
    wrk_script: String,
}

impl Files {
    /// The file of the one request.
    pub(super) fn workload(&self) -> &str {
        &self.workload
    }

    /// The script for wrk.
    pub(super) fn wrk_script(&self) -> &str {
        &self.wrk_script
    }

    /// Writes them into a folder, which is made; for requests of this path.
    pub(super) fn write(folder: &Path, path: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let workload = format!(
            "about = \"What a crosscheck asks for\"\n\n[[request]]\npath = {}\n",
            toml_text(path)
        );
        Ok(Self {
            workload: write(folder, "crosscheck.toml", &workload)?,
            wrk_script: write(folder, "wrk.lua", include_str!("wrk.lua"))?,
        })
    }
}

/// A basic string of TOML; JSON's escapes are among its own.
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
    /// Files of these names that are not there.
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
