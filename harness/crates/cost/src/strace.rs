//! System calls by name, counted by `strace -c`, which is attached during a load.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::Counted;
use super::load::Loaded;

/// What it counts.
pub(super) const FIGURE: &str = "syscalls_per_request";

/// The system calls of a load.
///
/// # Errors
/// If strace can't attach, for example where `kernel.yama.ptrace_scope` forbids it.
pub(super) fn around(folder: &Path, loaded: &mut Loaded, requests: u64) -> Result<Counted> {
    let table = folder.join("strace.txt");
    let mut command = Command::new("strace");
    command.args(["-c", "-f", "-o"]).arg(&table);
    for pid in loaded.processes().pids() {
        command.args(["-p", &pid.to_string()]);
    }
    let mut strace = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start strace")?;
    let attached = wait_attached(&mut strace);
    let sent = attached.and_then(|()| loaded.send(requests));
    // It detaches and writes its table.
    kill_process(Pid::from_child(&strace), Signal::INT)?;
    strace.wait()?;
    sent?;
    let text = std::fs::read_to_string(&table)?;
    let calls = calls(&text)?.into_iter();
    Ok(calls.map(|(name, count)| (name, count as f64)).collect())
}

/// Waits for the message that strace prints once it is attached to all threads.
fn wait_attached(strace: &mut Child) -> Result<()> {
    let messages = strace
        .stderr
        .take()
        .context("strace has no standard error")?;
    let mut last = String::new();
    for line in BufReader::new(messages).lines() {
        last = line?;
        if last.contains("attached") {
            return Ok(());
        }
    }
    ensure!(!last.is_empty(), "strace ended without a message");
    anyhow::bail!("{last}")
}

/// Parses the table of `strace -c`: share, seconds, each, calls, errors (or nothing), name.
///
/// # Errors
/// If it is no such table.
pub fn calls(table: &str) -> Result<BTreeMap<String, u64>> {
    let mut calls = BTreeMap::new();
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some(first), Some(name)) = (words.first(), words.last()) else {
            continue;
        };
        if first.parse::<f64>().is_ok() && *name != "total" {
            let count = words.get(3).and_then(|word| word.parse().ok());
            let count = count.context("strace printed an unexpected table")?;
            calls.insert((*name).to_owned(), count);
        }
    }
    ensure!(!calls.is_empty(), "strace printed no table");
    Ok(calls)
}
