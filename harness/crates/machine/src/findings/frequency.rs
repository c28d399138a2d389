//! The clock frequency of the CPUs.

use super::{About, Context, TUNE};
use crate::Finding;
use crate::{Root, machine};
use words::counted;

const CPU: &str = "sys/devices/system/cpu";
/// The fix if a CPU gets too hot.
pub(crate) const COOLER: &str =
    "let it cool down and improve the cooling, or: sudo scripts/tune-host --no-turbo";

pub(super) fn governor(context: &Context<'_>) -> Finding {
    let why = "other governors lower the clock frequency of idle CPUs, so latency at a low rate shows the governor rather than the server";
    let about = About("governor", why);
    match machine::governor(context.root, &context.cpus()) {
        None => about.unknown("sys/devices/system/cpu/cpuN/cpufreq/scaling_governor"),
        Some(governor) if governor == "performance" => about.ok(governor),
        Some(governor) => about.warn(governor, TUNE),
    }
}

pub(super) fn turbo(context: &Context<'_>) -> Finding {
    let why = "with turbo the clock frequency depends on temperature and on how many cores are busy, so later trials may run slower than earlier ones";
    let about = About("turbo", why);
    let fix = "sudo scripts/tune-host --no-turbo";
    match turbo_on(context.root) {
        None => about.unknown("sys/devices/system/cpu/intel_pstate/no_turbo or cpufreq/boost"),
        Some(true) => about.warn("on", fix),
        Some(false) => about.ok("off"),
    }
}

/// intel_pstate has a file for "off", other drivers for "on".
pub(crate) fn turbo_on(root: &Root) -> Option<bool> {
    let off: Option<u32> = root.number(&format!("{CPU}/intel_pstate/no_turbo"));
    let on: Option<u32> = root.number(&format!("{CPU}/cpufreq/boost"));
    off.map(|off| off == 0).or(on.map(|on| on != 0))
}

pub(super) fn thermal(context: &Context<'_>) -> Finding {
    let why = "a CPU that gets too hot lowers its clock frequency; a machine that did so before will do so again under load";
    let about = About("thermal", why);
    match throttle_count(context.root, &context.cpus()) {
        None if cooled(context.root) => {
            let found = "the kernel is limiting the clock frequency of a CPU right now";
            about.warn(found, COOLER)
        }
        None => about.unknown("sys/devices/system/cpu/cpuN/thermal_throttle"),
        Some(0) => about.ok("never throttled since boot"),
        Some(count) => {
            let found = format!("throttled {} since boot", counted(count, "time"));
            about.warn(found, COOLER)
        }
    }
}

/// Whether a CPU is slowed down as a cooling device right now, for machines that don't count how often (AMD, ARM).
/// If not, that proves nothing: the hardware may do so by itself. See the kernel's
/// `driver-api/thermal/sysfs-api.rst`.
fn cooled(root: &Root) -> bool {
    let folder = "sys/class/thermal";
    root.names(folder).iter().any(|name| {
        let kind = root.text(&format!("{folder}/{name}/type"));
        let state: Option<i64> = root.number(&format!("{folder}/{name}/cur_state"));
        let slows = |kind: String| kind == "Processor" || kind.contains("cpufreq");
        kind.is_some_and(slows) && state.is_some_and(|state| state > 0)
    })
}

/// How often some CPUs, or their packages, were throttled since boot (x86 only).
pub(crate) fn throttle_count(root: &Root, cpus: &[u32]) -> Option<u64> {
    let counts = cpus.iter().flat_map(|cpu| {
        ["core_throttle_count", "package_throttle_count"]
            .into_iter()
            .filter_map(move |name| {
                root.number::<u64>(&format!("{CPU}/cpu{cpu}/thermal_throttle/{name}"))
            })
    });
    // Each CPU of a package shows the package's count, so the sum is too high. But 0 stays 0, and any
    // increase stays an increase.
    counts.fold(None, |sum, count| Some(sum.unwrap_or(0) + count))
}
