//! The processor's own counters, read by `perf stat`, which is attached during a load.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::Counted;
use super::load::Loaded;
use record::figure;

/// perf's name of each event, and the figure it counts.
const EVENTS: [(&str, &str); 5] = [
    ("instructions:u", figure::INSTRUCTIONS),
    ("instructions:k", "kernel_instructions_per_request"),
    ("cycles", "cycles_per_request"),
    ("cache-misses", "cache_misses_per_request"),
    ("branch-misses", "branch_misses_per_request"),
];
/// What it counts.
pub(super) const FIGURES: [&str; 5] = {
    let mut figures = [""; 5];
    let mut at = 0;
    while at < EVENTS.len() {
        figures[at] = EVENTS[at].1;
        at += 1;
    }
    figures
};
/// Time limit for perf to have opened its counters.
const OPEN_WAIT: Duration = Duration::from_secs(2);

/// The events of a load.
///
/// # Errors
/// If perf can't attach, for example where `kernel.perf_event_paranoid` forbids it.
pub(super) fn around(folder: &Path, loaded: &mut Loaded, requests: u64) -> Result<Counted> {
    let table = folder.join("perf.csv");
    let pids: Vec<String> = loaded
        .processes()
        .pids()
        .iter()
        .map(u32::to_string)
        .collect();
    let names: Vec<&str> = EVENTS.iter().map(|(event, _)| *event).collect();
    let mut perf = Command::new("perf")
        .args([
            "stat",
            "-x",
            ",",
            "-e",
            &names.join(","),
            "-p",
            &pids.join(","),
            "-o",
        ])
        .arg(&table)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start perf")?;
    let opened = wait_open(&mut perf);
    let sent = opened.and_then(|()| loaded.send(requests));
    kill_process(Pid::from_child(&perf), Signal::INT)?;
    perf.wait()?;
    sent?;
    counts(&std::fs::read_to_string(&table)?)
}

/// Waits until perf has opened its counters: it says nothing, but its descriptors show.
pub(super) fn wait_open(perf: &mut Child) -> Result<()> {
    let begin = Instant::now();
    let descriptors = format!("/proc/{}/fd", perf.id());
    loop {
        if let Some(status) = perf.try_wait()? {
            bail!("perf ended with {status} before the load began");
        }
        let mut links = std::fs::read_dir(&descriptors)
            .into_iter()
            .flatten()
            .flatten();
        let is_counter = |link: std::fs::DirEntry| {
            let target = std::fs::read_link(link.path()).unwrap_or_default();
            target.to_string_lossy().contains("perf_event")
        };
        if links.any(is_counter) {
            // The counters are enabled right after the last one is opened.
            thread::sleep(Duration::from_millis(50));
            return Ok(());
        }
        if begin.elapsed() > OPEN_WAIT {
            bail!("perf opened no counter within {} s", OPEN_WAIT.as_secs());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Parses what `perf stat -x ,` writes: value, unit, event and more. An event that the machine doesn't support is
/// left out.
fn counts(csv: &str) -> Result<Counted> {
    let mut counted = Counted::new();
    for line in csv.lines().filter(|line| !line.starts_with('#')) {
        let mut members = line.split(',');
        let (Some(value), Some(event)) = (members.next(), members.nth(1)) else {
            continue;
        };
        let known = EVENTS.iter().find(|(name, _)| *name == event);
        if let (Ok(value), Some((_, figure))) = (value.parse(), known) {
            counted.insert((*figure).to_owned(), value);
        }
    }
    if counted.is_empty() {
        bail!("perf counted none of its events");
    }
    Ok(counted)
}

/// Whether perf can count instructions here.
pub(super) fn is_supported() -> Result<(), String> {
    let tried = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "instructions:u", "true"])
        .stdin(Stdio::null())
        .output();
    let Ok(output) = tried else {
        return Err("perf is not installed (apt-get install linux-perf)".to_owned());
    };
    let said = String::from_utf8_lossy(&output.stderr);
    match counts(&said) {
        Ok(_) => Ok(()),
        Err(_) if said.contains("perf_event_paranoid") => Err(
            "perf isn't allowed to read the processor's counters: run `sysctl kernel.perf_event_paranoid=1` as root"
                .to_owned(),
        ),
        Err(_) => Err(
            "the processor's counters can't be read: a virtual machine usually has none".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_perf_writes_is_understood() {
        let csv = "# started on Mon Nov 30 00:00:00 2026\n\n\
                   1200300,,instructions:u,5000000,100.00,0.9,insn per cycle\n\
                   <not supported>,,cache-misses,0,100.00,,\n\
                   77,,branch-misses,5000000,100.00,,\n";
        let counted = counts(csv).unwrap();
        assert_eq!(counted[figure::INSTRUCTIONS], 1_200_300.0);
        assert_eq!(counted["branch_misses_per_request"], 77.0);
        assert_eq!(counted.len(), 2);
        assert!(counts("<not supported>,,instructions:u,0,100.00,,\n").is_err());
    }

    #[test]
    fn every_event_has_a_defined_figure() {
        for id in FIGURES {
            assert!(figure::cost(id).is_some(), "{id}");
        }
    }
}
