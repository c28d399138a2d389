//! The clock that all times are read from.

use super::{About, Context};
use crate::Finding;
use crate::machine;

/// Clock sources that the vDSO can read without a system call (`VDSO_CLOCKMODE_*` in the kernel).
const FAST: &[&str] = &[
    "tsc",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
    "arch_sys_counter",
];

pub(super) fn clock_source(context: &Context<'_>) -> Finding {
    let why = "each request reads the clock several times: a slow clock source costs CPU time on both sides, a coarse one hides small latencies";
    let about = About("clock-source", why);
    let Some(current) = machine::clock_source(context.root) else {
        let file = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        return about.unknown(file);
    };
    if FAST.contains(&current.as_str()) {
        return about.ok(current);
    }
    let fix = machine::clock_sources(context.root)
        .iter()
        .any(|source| source == "tsc")
        .then_some(
            "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
        );
    if current.contains("jiffies") {
        about.fail(format!("{current}: resolution of milliseconds"), fix)
    } else {
        about.warn(format!("{current}: reading it takes a system call"), fix)
    }
}
