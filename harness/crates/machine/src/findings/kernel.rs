//! Kernel settings that change what a request costs.

use super::{About, Context};
use crate::Finding;
use crate::machine;

pub(super) fn mitigations(context: &Context<'_>) -> Finding {
    let why = "mitigations of CPU vulnerabilities make system calls more expensive, and differ between machines";
    let about = About("mitigations", why);
    let folder = "sys/devices/system/cpu/vulnerabilities";
    let names = context.root.names(folder);
    if names.is_empty() {
        return about.unknown(folder);
    }
    let states: Vec<String> = names
        .iter()
        .filter_map(|name| context.root.text(&format!("{folder}/{name}")))
        .collect();
    let count = |start: &str| {
        states
            .iter()
            .filter(|state| state.starts_with(start))
            .count()
    };
    let found = format!(
        "{} mitigated, {} vulnerable",
        count("Mitigation"),
        count("Vulnerable")
    );
    let switched_off = context.root.text("proc/cmdline").is_some_and(|line| {
        line.split_whitespace()
            .any(|word| word == "mitigations=off")
    });
    if switched_off {
        let found = format!("switched off ({found})");
        let fix = "to compare with default machines, remove mitigations=off from GRUB_CMDLINE_LINUX in /etc/default/grub, then: sudo update-grub && sudo reboot";
        return about.warn(found, fix);
    }
    about.ok(found)
}

pub(super) fn huge_pages(context: &Context<'_>) -> Finding {
    let why = "with `always` the kernel allocates memory in steps of 2 MiB at times it chooses, which affects RSS and latency";
    let about = About("huge-pages", why);
    let file = "sys/kernel/mm/transparent_hugepage/enabled";
    let Some(text) = context.root.text(file) else {
        return about.unknown(file);
    };
    // The current value is in brackets: `always [madvise] never`.
    let chosen = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))
        .unwrap_or(&text)
        .to_owned();
    if chosen == "always" {
        let fix = "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled";
        return about.warn(chosen, fix);
    }
    about.ok(chosen)
}

pub(super) fn swap(context: &Context<'_>) -> Finding {
    let why = "reading a page back from disk adds milliseconds of latency";
    let about = About("swap", why);
    let total = machine::meminfo(context.root, "SwapTotal:");
    let free = machine::meminfo(context.root, "SwapFree:");
    let (Some(total), Some(free)) = (total, free) else {
        return about.unknown("proc/meminfo");
    };
    let used = total.saturating_sub(free);
    let available = machine::meminfo(context.root, "MemAvailable:").unwrap_or(u64::MAX);
    if total == 0 {
        return about.ok("none");
    }
    let found = format!("{} of {} MiB used", used >> 20, total >> 20);
    // Long-idle pages in swap do no harm; pages move in and out only when memory is short.
    if used > 0 && available < 1 << 30 {
        let found = format!("{found}, {} MiB of memory left", available >> 20);
        let fix = "stop what uses the memory; `top -o %MEM` shows it";
        return about.warn(found, fix);
    }
    about.ok(found)
}
