//! Samples a server with `perf record`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::segments::Segments;
use super::tree::CallTree;
use super::{Profiler, Sent, perf_script};
use crate::load::Loaded;
use crate::perf::wait_open;
use loadgen::Pace;

/// Samples per second: not a multiple of the timers that servers use, which would hide or double their work.
const FREQUENCY: &str = "999";
/// Stacks are copied with each sample, because optimised code keeps no frame pointers; bytes of each.
const STACKS: &str = "dwarf,16384";
/// The connections of the load.
const CONNECTIONS: usize = 64;
/// How long the highest rate is measured.
const PEAK: Duration = Duration::from_secs(1);
/// The share of the highest rate that is the paced one.
const PACED: f64 = 0.5;

/// What perf can sample by here: the processor's cycles, else the system's clock.
///
/// # Errors
/// Why it can't, and what to do about it.
pub fn event(counters: &Result<(), String>) -> Result<&'static str, String> {
    let events: &[&str] = match counters {
        Ok(()) => &["cycles", "cpu-clock"],
        Err(_) => &["cpu-clock"],
    };
    for event in events {
        let tried = Command::new("perf")
            .args(["record", "-q", "-e", event, "-o", "/dev/null", "--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match tried {
            Err(_) => return Err("perf is not installed (apt-get install linux-perf)".to_owned()),
            Ok(status) if status.success() => return Ok(event),
            Ok(_) => {}
        }
    }
    Err("perf isn't allowed to sample processes here: run `sysctl kernel.perf_event_paranoid=1` as root, or run the harness as root".to_owned())
}

/// Samples a server at a paced rate.
///
/// # Errors
/// If perf fails, or a response is wrong.
pub(super) fn record(
    loaded: &mut Loaded,
    profiler: &Profiler,
    scratch: &Path,
) -> Result<(CallTree, Sent)> {
    let Profiler::Perf {
        event,
        rate,
        duration,
    } = profiler
    else {
        bail!("not a profile of perf");
    };
    let rate = match rate {
        Some(rate) => *rate,
        None => {
            let peak = loaded.drive(CONNECTIONS, Pace::Closed, PEAK)?;
            PACED * peak.requests as f64 / peak.window.as_secs_f64()
        }
    };
    ensure!(
        rate > 0.0,
        "the server answered nothing in {} s",
        PEAK.as_secs()
    );
    let data = scratch.join("perf.data");
    let pids: Vec<String> = loaded
        .processes()
        .pids()
        .iter()
        .map(u32::to_string)
        .collect();
    let mut perf = Command::new("perf")
        .args([
            "record",
            "-q",
            "-e",
            event,
            "-F",
            FREQUENCY,
            "--call-graph",
            STACKS,
        ])
        .args(["-p", &pids.join(","), "-o"])
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start perf")?;
    let driven = wait_open(&mut perf)
        .and_then(|()| loaded.drive(CONNECTIONS, Pace::Rate { per_second: rate }, *duration));
    // It may have ended by itself.
    let _ = kill_process(Pid::from_child(&perf), Signal::INT);
    perf.wait()?;
    let measured = driven?;
    let script = Command::new("perf")
        // Inlined functions are looked up here; perf takes seconds for each.
        .args(["script", "--no-inline", "-F", perf_script::MEMBERS, "-i"])
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .context("cannot start perf script")?;
    let _ = std::fs::remove_file(&data);
    if !script.status.success() {
        let said = String::from_utf8_lossy(&script.stderr);
        bail!("perf script ended with {}: {}", script.status, said.trim());
    }
    let mut tree = CallTree::default();
    let mut segments = Segments::default();
    let text = String::from_utf8_lossy(&script.stdout);
    perf_script::read(&text, &mut tree, |object, offset| {
        segments.address(object, offset)
    })?;
    let sent = Sent {
        event,
        requests: measured.answered_total,
        rate: Some(rate),
    };
    Ok((tree, sent))
}
