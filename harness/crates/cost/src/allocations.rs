//! Allocations, counted by a build of the server with a counting allocator.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Counted;
use super::load::Loaded;
use record::figure;
use runner::Launch;

/// What it counts.
pub(super) const FIGURES: [&str; 2] = [figure::ALLOCATIONS, figure::ALLOCATED];
/// Tells the server where to answer; see `servers/contract/src/counted.rs`.
const VARIABLE: &str = "ALLOCATION_COUNTS";

/// Asks a server for its counts.
#[derive(Debug)]
pub(super) struct Allocations {
    socket: PathBuf,
}

impl Allocations {
    pub(super) fn new(folder: &Path) -> Self {
        let socket = folder.join("allocations.socket");
        // A leftover of an earlier process, which the next one could not bind.
        let _ = std::fs::remove_file(&socket);
        Self { socket }
    }

    /// The command that starts the server with a socket for its counts.
    pub(super) fn launch(&self, launch: &Launch) -> Launch {
        let variable = format!("{VARIABLE}={}", self.socket.display());
        let mut command = vec!["env".to_owned(), variable];
        command.extend(launch.command.iter().cloned());
        Launch {
            command,
            folder: launch.folder.clone(),
        }
    }

    /// The allocations of a load.
    ///
    /// # Errors
    /// If the server does not report its counts.
    pub(super) fn around(&self, loaded: &mut Loaded, requests: u64) -> Result<Counted> {
        let before = self.read()?;
        loaded.send(requests)?;
        let after = self.read()?;
        let grown = |index: usize| after[index].saturating_sub(before[index]) as f64;
        let each = FIGURES.iter().enumerate();
        Ok(each
            .map(|(index, name)| ((*name).to_owned(), grown(index)))
            .collect())
    }

    fn read(&self) -> Result<[u64; 2]> {
        let mut stream = UnixStream::connect(&self.socket)
            .context("the server does not count its allocations: does it call Flags::read()?")?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let numbers: Option<Vec<u64>> = text
            .split_whitespace()
            .map(|word| word.parse().ok())
            .collect();
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        numbers.with_context(|| format!("the server reported its allocations as {text:?}"))
    }
}
