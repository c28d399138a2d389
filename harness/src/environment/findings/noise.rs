//! What others take of the machine.

use super::{Context, fail, finding, ok, unknown, warn};
use crate::environment::machine;
use crate::environment::meter::CpuTimes;
use crate::record::{Finding, Level};

const STEAL_WHY: &str = "stolen time is when our virtual CPU had work but the host ran another: it shows as latency of the server";
const STEAL_FIX: &str = "use a machine with CPUs of its own (dedicated or bare metal)";

/// Shares of the time a CPU had work, in which it was taken from us, from which on figures are noisier (1 %), and
/// from which on METHOD's ninth gate withholds ranks (10 %).
const STEAL_WARN: f64 = 0.01;
const STEAL_FAIL: f64 = 0.10;

/// Since boot: what the host is like. What it was during a run, [`steal_during`] says.
pub(super) fn steal(context: &Context<'_>) -> Finding {
    let times = CpuTimes::read(context.root, &context.cpus());
    let Some(times) = times else {
        return unknown("steal", "proc/stat", STEAL_WHY);
    };
    match times.steal_share() {
        None => ok(
            "steal",
            "the machine has done too little yet to say",
            STEAL_WHY,
        ),
        Some(share) => steal_finding("steal", share, "since boot"),
    }
}

/// The share of a run.
pub(in crate::environment) fn steal_during(share: f64) -> Finding {
    steal_finding("steal-during", share, "during the run")
}

fn steal_finding(id: &str, share: f64, when: &str) -> Finding {
    let (level, fix) = match share {
        share if share >= STEAL_FAIL => (Level::Fail, Some(STEAL_FIX)),
        share if share >= STEAL_WARN => (Level::Warn, Some(STEAL_FIX)),
        _ => (Level::Ok, None),
    };
    let found = format!("{:.1} % of busy time {when}", share * 100.0);
    finding(id, level, found, STEAL_WHY, fix)
}

/// CPU time that neither the harness nor a server used, as a share of all CPUs' time.
pub(in crate::environment) fn other_load(share: f64) -> Finding {
    let why = "other processes took CPU time and caches from server and load generator";
    let level = if share >= 0.05 {
        Level::Warn
    } else {
        Level::Ok
    };
    let fix = (level > Level::Ok).then_some("end what else runs, see top");
    let found = format!(
        "other processes used {:.1} % of all CPUs during the run",
        share * 100.0
    );
    finding("load-during", level, found, why, fix)
}

pub(super) fn pressure(context: &Context<'_>) -> Finding {
    let id = "pressure";
    let why = "the share of time in which some thread waited for a CPU before the run began";
    let file = "proc/pressure/cpu";
    let Some(share) = context.root.text(file).as_deref().and_then(some_avg10) else {
        return unknown(id, file, why);
    };
    let found = format!("{share:.1} % of the last 10 s");
    let fix = Some("wait until other work has ended, see top");
    match share {
        share if share >= 25.0 => fail(id, found, why, fix),
        share if share >= 5.0 => warn(id, found, why, fix),
        _ => ok(id, found, why),
    }
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, see the kernel's `accounting/psi.rst`.
fn some_avg10(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let share = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix("avg10="))?;
    share.parse().ok()
}

pub(super) fn load(context: &Context<'_>) -> Finding {
    let id = "load";
    let why = "other processes take CPU time and caches from server and load generator";
    let file = "proc/loadavg";
    let average = context.root.text(file).and_then(|text| {
        let first = text.split_whitespace().next()?;
        first.parse::<f64>().ok()
    });
    let Some(average) = average else {
        return unknown(id, file, why);
    };
    let cpus = context.topology.online.len();
    let found = format!("{average:.2} threads on average of the last minute, {cpus} CPUs");
    // A tenth of the machine; three tenths of one CPU are what an idle desktop shows.
    if average > (cpus as f64 * 0.1).max(0.3) {
        let fix = "wait until other work (a build, say) has ended, see top";
        warn(id, found, why, Some(fix))
    } else {
        ok(id, found, why)
    }
}

pub(super) fn virtualisation(context: &Context<'_>) -> Finding {
    let id = "virtualisation";
    let why =
        "a virtual CPU can lose time, cache and clock to neighbours that nobody in the guest sees";
    let fix = "publish from bare metal; here prefer figures of cost to figures of speed";
    let container = machine::container(context.root);
    let inside = container.map(|name| format!("container ({name})"));
    match (machine::hypervisor(context.root), inside) {
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
