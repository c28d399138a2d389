//! Load from others on the machine.
//!
//! Current values come from a [`Now`](crate::Now), measured for a short while. If there is none,
//! or it saw too little work, they come from the kernel's longer averages.

use super::{Context, fail, finding, ok, unknown, unknown_because, warn};
use crate::machine;
use crate::meter::{CpuTimes, cpu_pressure};
use crate::{DURING, Finding, Level};
use words::counted;

const STEAL_WHY: &str = "CPU steal is time in which our virtual CPU had work but the host ran something else: it shows up as server latency";
const STEAL_FIX: &str = "use a machine with its own CPUs (dedicated or bare metal)";
const OTHERS_FIX: &str =
    "stop other processes, such as a build, or wait for them; `top` shows them";

/// CPU steal, as a share of working time: figures are noisier from 1 % on, and the ninth gate of METHODOLOGY
/// withholds ranks from 10 % on.
const STEAL_WARN: f64 = 0.01;
const STEAL_FAIL: f64 = 0.10;
/// Share of all CPU time used by other processes that gives a warning.
const OTHERS_WARN: f64 = 0.05;

/// For the time during a run see [`steal_during`].
pub(super) fn steal(context: &Context<'_>) -> Finding {
    let id = "steal";
    let file = "proc/stat";
    let Some(times) = CpuTimes::read(context.root, &context.cpus()) else {
        return unknown(id, file, STEAL_WHY);
    };
    let since_boot = times.steal_share().map(percent);
    match (context.now.stolen.steal, times.steal_share()) {
        (Some(now), _) => {
            let boot = since_boot.map_or_else(String::new, |boot| format!("; {boot} since boot"));
            steal_finding(id, now, &format!("{}{boot}", context.window()))
        }
        (None, Some(boot)) => steal_finding(id, boot, "since boot"),
        (None, None) => {
            let found = "the machine has had too little work so far";
            unknown_because(id, found, STEAL_WHY)
        }
    }
}

/// CPU steal during a run.
pub(crate) fn steal_during(share: f64) -> Finding {
    steal_finding(&format!("steal{DURING}"), share, "during the run")
}

fn steal_finding(id: &str, share: f64, when: &str) -> Finding {
    let (level, fix) = match share {
        share if share >= STEAL_FAIL => (Level::Fail, Some(STEAL_FIX)),
        share if share >= STEAL_WARN => (Level::Warn, Some(STEAL_FIX)),
        _ => (Level::Ok, None),
    };
    let found = format!("{} of working time {when}", percent(share));
    finding(id, level, found, STEAL_WHY, fix)
}

/// CPU time used by neither the harness nor a server, as a share of all CPU time.
pub(crate) fn other_load(share: f64) -> Finding {
    let why = "other processes competed with server and load generator for CPU time and caches";
    let id = format!("load{DURING}");
    others(&id, share, "during the run".to_owned(), why)
}

fn others(id: &str, share: f64, when: String, why: &str) -> Finding {
    let found = format!("other processes used {} of all CPUs {when}", percent(share));
    match share {
        share if share >= OTHERS_WARN => warn(id, found, why, Some(OTHERS_FIX)),
        _ => ok(id, found, why),
    }
}

pub(super) fn load(context: &Context<'_>) -> Finding {
    let id = "load";
    let why = "other processes compete with server and load generator for CPU time and caches";
    let file = "proc/loadavg";
    if let Some(share) = context.now.stolen.other {
        return others(id, share, context.window(), why);
    }
    let average = context.root.text(file).and_then(|text| {
        let first = text.split_whitespace().next()?;
        first.parse::<f64>().ok()
    });
    let Some(average) = average else {
        return unknown(id, file, why);
    };
    let cpus = context.topology.online.len();
    let found = format!(
        "{average:.2} threads on average over the last minute, {}",
        counted(cpus, "CPU")
    );
    // A tenth of the machine; an idle desktop shows about 0.3 of one CPU.
    if average > (cpus as f64 * 0.1).max(0.3) {
        warn(id, found, why, Some(OTHERS_FIX))
    } else {
        ok(id, found, why)
    }
}

pub(super) fn pressure(context: &Context<'_>) -> Finding {
    let id = "pressure";
    let why = "a thread that has work but no CPU sends or responds late; this is the share of time in which some thread waited";
    let file = "proc/pressure/cpu";
    let average = || cpu_pressure(context.root, "avg10").map(|percent: f64| percent / 100.0);
    let (share, when) = match (context.now.stolen.pressure, average()) {
        (Some(now), _) => (now, context.window()),
        (None, Some(average)) => (average, "in the last 10 s".to_owned()),
        (None, None) => return unknown(id, file, why),
    };
    let found = format!("{} of the time {when}", percent(share));
    match share {
        share if share >= 0.25 => fail(id, found, why, Some(OTHERS_FIX)),
        share if share >= 0.05 => warn(id, found, why, Some(OTHERS_FIX)),
        _ => ok(id, found, why),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(super) fn virtualisation(context: &Context<'_>) -> Finding {
    let id = "virtualisation";
    let why = "a virtual CPU can lose time, cache and clock frequency to neighbours that the guest can't see";
    let fix = "publish results from bare metal; on this machine rely on CPU time rather than on rates and latency";
    let container = machine::container(context.root);
    let inside = container.map(|name| format!("container ({name})"));
    match (machine::hypervisor(context.root), inside) {
        (None, inside) if !machine::shows_hypervisors(context.root) => {
            let inside = inside.map_or_else(String::new, |inside| format!("; {inside}"));
            let files = "proc/cpuinfo nor /sys/class/dmi/id/sys_vendor";
            unknown(id, &format!("{files}{inside}"), why)
        }
        (None, None) => ok(id, "none found", why),
        (None, Some(inside)) => ok(id, inside, why),
        (Some(name), None) => warn(id, format!("virtual machine ({name})"), why, Some(fix)),
        (Some(name), Some(inside)) => warn(
            id,
            format!("virtual machine ({name}), {inside}"),
            why,
            Some(fix),
        ),
    }
}
