//! Instructions in user mode, counted by valgrind's callgrind.
//!
//! Callgrind runs the server on a simulated CPU. `vgdb` asks it for its count so far and sets it back to
//! zero. Repeats of one process agree to some 0.1 % with one worker.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::Counted;
use super::load::Loaded;
use record::figure;
use runner::Launch;

/// The start of the names of its files.
const OUT: &str = "callgrind.out";

/// Runs a server under callgrind.
#[derive(Debug)]
pub struct Callgrind {
    folder: PathBuf,
}

impl Callgrind {
    /// Keeps its files in that folder.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The command that starts the server under callgrind, its child processes included.
    pub fn launch(&self, launch: &Launch) -> Launch {
        let out = self.folder.join(format!("{OUT}.%p"));
        let out = format!("--callgrind-out-file={}", out.display());
        let mut command = [
            "valgrind",
            "--tool=callgrind",
            "--trace-children=yes",
            "--fair-sched=try",
        ]
        .map(str::to_owned)
        .to_vec();
        command.extend([out, "--".to_owned()]);
        command.extend(launch.command.iter().cloned());
        Launch {
            command,
            folder: launch.folder.clone(),
        }
    }

    /// The instructions of a load.
    ///
    /// # Errors
    /// If callgrind doesn't report its count.
    pub(super) fn around(&self, loaded: &mut Loaded, requests: u64) -> Result<Counted> {
        self.dump(loaded)?;
        loaded.send(requests)?;
        let instructions = self.dump(loaded)?;
        Ok(Counted::from([(
            figure::INSTRUCTIONS.to_owned(),
            instructions as f64,
        )]))
    }

    /// Writes a profile since the last one, and returns its instructions.
    ///
    /// # Errors
    /// If callgrind doesn't write it.
    pub fn dump(&self, loaded: &Loaded) -> Result<u64> {
        self.remove()?;
        let pids = loaded.processes().pids();
        ensure!(!pids.is_empty(), "the server has ended");
        for pid in pids {
            let asked = Command::new("vgdb")
                .args([format!("--pid={pid}"), "dump".to_owned()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            let done = asked.context("cannot start vgdb, which is a part of valgrind")?;
            if !done.success() {
                bail!("callgrind did not report its count: vgdb ended with {done}");
            }
        }
        let profiles = self.profiles()?;
        ensure!(!profiles.is_empty(), "callgrind wrote no profile");
        profiles.iter().map(|path| instructions(path)).sum()
    }

    /// The profiles of the last dump, one per process.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn profiles(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let ours = entry.file_name().to_string_lossy().starts_with(OUT);
            // A file that is still empty is for the profile at the end.
            if ours && entry.metadata()?.len() > 0 {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    fn remove(&self) -> Result<()> {
        for path in self.profiles()? {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// The sum of a profile: its line `totals:`, or `summary:` if it was written by an older version.
fn instructions(path: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(path)?;
    let number = |word: &str| text.lines().rev().find_map(|line| line.strip_prefix(word));
    let found = number("totals: ").or_else(|| number("summary: "));
    let found = found.and_then(|words| words.split_whitespace().next()?.parse().ok());
    found.with_context(|| format!("{} has no line `totals:`", path.display()))
}
