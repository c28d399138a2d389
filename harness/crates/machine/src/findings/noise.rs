//! Load from others on the machine.
//!
//! Current values come from a [`Now`](crate::Now), measured for a short while. If there is none,
//! or it saw too little work, they come from the kernel's longer averages.

use super::{About, Context};
use crate::machine;
use crate::meter::{CpuTimes, cpu_pressure};
use crate::{DURING, Finding};
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
    let about = About("steal", STEAL_WHY);
    let Some(times) = CpuTimes::read(context.root, &context.cpus()) else {
        return about.unknown("proc/stat");
    };
    let since_boot = times.steal_share().map(percent);
    match (context.now.stolen.steal, times.steal_share()) {
        (Some(now), _) => {
            let boot = since_boot.map_or_else(String::new, |boot| format!("; {boot} since boot"));
            steal_share(about, now, &format!("{}{boot}", context.window()))
        }
        (None, Some(boot)) => steal_share(about, boot, "since boot"),
        (None, None) => about.unknown_because("the machine has had too little work so far"),
    }
}

/// CPU steal during a run.
pub(crate) fn steal_during(share: f64) -> Finding {
    let id = format!("steal{DURING}");
    steal_share(About(&id, STEAL_WHY), share, "during the run")
}

fn steal_share(about: About<'_>, share: f64, when: &str) -> Finding {
    let found = format!("{} of working time {when}", percent(share));
    match share {
        share if share >= STEAL_FAIL => about.fail(found, STEAL_FIX),
        share if share >= STEAL_WARN => about.warn(found, STEAL_FIX),
        _ => about.ok(found),
    }
}

/// CPU time used by neither the harness nor a server, as a share of all CPU time.
pub(crate) fn other_load(share: f64) -> Finding {
    let why = "other processes competed with server and load generator for CPU time and caches";
    let id = format!("load{DURING}");
    others(About(&id, why), share, "during the run")
}

fn others(about: About<'_>, share: f64, when: &str) -> Finding {
    let found = format!("other processes used {} of all CPUs {when}", percent(share));
    match share {
        share if share >= OTHERS_WARN => about.warn(found, OTHERS_FIX),
        _ => about.ok(found),
    }
}

pub(super) fn load(context: &Context<'_>) -> Finding {
    let why = "other processes compete with server and load generator for CPU time and caches";
    let about = About("load", why);
    let file = "proc/loadavg";
    if let Some(share) = context.now.stolen.other {
        return others(about, share, &context.window());
    }
    let average = context.root.text(file).and_then(|text| {
        let first = text.split_whitespace().next()?;
        first.parse::<f64>().ok()
    });
    let Some(average) = average else {
        return about.unknown(file);
    };
    let cpus = context.topology.online.len();
    let found = format!(
        "{average:.2} threads on average over the last minute, {}",
        counted(cpus, "CPU")
    );
    // A tenth of the machine; an idle desktop shows about 0.3 of one CPU.
    if average > (cpus as f64 * 0.1).max(0.3) {
        about.warn(found, OTHERS_FIX)
    } else {
        about.ok(found)
    }
}

pub(super) fn pressure(context: &Context<'_>) -> Finding {
    let why = "a thread that has work but no CPU sends or responds late; this is the share of time in which some thread waited";
    let about = About("pressure", why);
    let file = "proc/pressure/cpu";
    let average = || cpu_pressure(context.root, "avg10").map(|percent: f64| percent / 100.0);
    let (share, when) = match (context.now.stolen.pressure, average()) {
        (Some(now), _) => (now, context.window()),
        (None, Some(average)) => (average, "in the last 10 s".to_owned()),
        (None, None) => return about.unknown(file),
    };
    let found = format!("{} of the time {when}", percent(share));
    match share {
        share if share >= 0.25 => about.fail(found, OTHERS_FIX),
        share if share >= 0.05 => about.warn(found, OTHERS_FIX),
        _ => about.ok(found),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

pub(super) fn virtualisation(context: &Context<'_>) -> Finding {
    let why = "a virtual CPU can lose time, cache and clock frequency to neighbours that the guest can't see";
    let about = About("virtualisation", why);
    let fix = "publish results from bare metal; on this machine rely on CPU time rather than on rates and latency";
    let container = machine::container(context.root);
    let inside = container.map(|name| format!("container ({name})"));
    match (machine::hypervisor(context.root), inside) {
        (None, inside) if !machine::shows_hypervisors(context.root) => {
            let inside = inside.map_or_else(String::new, |inside| format!("; {inside}"));
            let files = "proc/cpuinfo or /sys/class/dmi/id/sys_vendor";
            about.unknown(&format!("{files}{inside}"))
        }
        (None, None) => about.ok("none found"),
        (None, Some(inside)) => about.ok(inside),
        (Some(name), None) => about.warn(format!("virtual machine ({name})"), fix),
        (Some(name), Some(inside)) => {
            about.warn(format!("virtual machine ({name}), {inside}"), fix)
        }
    }
}
