//! The memory limit of a container.

use super::{About, Context};
use crate::Finding;
use crate::{cgroup, machine};

/// All servers of a round run at once, each with its data, threads and connections.
const LEAST: u64 = 1 << 30;

pub(super) fn limit(context: &Context<'_>) -> Finding {
    let why = "the kernel kills a process of a control group that exceeds its memory limit";
    let about = About("memory-limit", why);
    let machine = machine::meminfo(context.root, "MemTotal:").unwrap_or(u64::MAX);
    match cgroup::memory_limit(context.root).filter(|limit| *limit < machine) {
        None if !context.topology.known.quota => {
            about.unknown("sys/fs/cgroup or /proc/self/cgroup")
        }
        None => about.ok("no limit on memory"),
        Some(limit) => {
            let found = format!(
                "{} MiB for load generator and servers together",
                limit >> 20
            );
            match limit < LEAST {
                true => about.warn(found, "start the container with a larger --memory"),
                false => about.ok(found),
            }
        }
    }
}
