//! Instructions in user mode, counted by valgrind's callgrind.
//!
//! Callgrind runs the server on a simulated CPU. `vgdb` asks it for its count so far and sets it back to
//! zero.
//!
//! Two things differ between repeats of one process with one worker. A client that answers at once sometimes sends
//! the next request before the server has looked for it; the server then reads without waiting, and is woken once for
//! nothing. So the client pauses before each request. And whatever depends on the clock, as the allocator giving
//! memory back, costs each load some 10,000 instructions, so a load has at least 25 million.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Counted;
use super::load::Loaded;
use record::figure;
use runner::Launch;

/// Longer than a server under callgrind takes from sending a response to waiting for the next request.
const PAUSE: Duration = Duration::from_micros(200);
/// Instructions of a load at least, if that takes no more than `MOST_TIMES` the usual requests.
const ENOUGH: f64 = 25e6;
const MOST_TIMES: u64 = 16;
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

    /// By how much the long load has to be longer, from the cost of a short one.
    ///
    /// # Errors
    /// Those of [`Self::around`].
    pub(super) fn times(&self, loaded: &mut Loaded, [few, many]: [u64; 2]) -> Result<u64> {
        let short = self.around(loaded, few)?[figure::INSTRUCTIONS];
        let long = short / few as f64 * (many - few) as f64;
        Ok(((ENOUGH / long).ceil() as u64).clamp(1, MOST_TIMES))
    }

    /// The instructions of a load.
    ///
    /// # Errors
    /// If callgrind doesn't report its count.
    pub(super) fn around(&self, loaded: &mut Loaded, requests: u64) -> Result<Counted> {
        self.dump(loaded)?;
        loaded.send_with_pauses(requests, Some(PAUSE))?;
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
