//! The memory limit of a container.

use super::{Context, ok, unknown, warn};
use crate::Finding;
use crate::{cgroup, machine};

/// All servers of a round run at once, each with its data, threads and connections.
const LEAST: u64 = 1 << 30;

pub(super) fn limit(context: &Context<'_>) -> Finding {
    let id = "memory-limit";
    let why = "the kernel kills a process of a control group that exceeds its memory limit";
    let machine = machine::meminfo(context.root, "MemTotal:").unwrap_or(u64::MAX);
    match cgroup::memory_limit(context.root).filter(|limit| *limit < machine) {
        None if !context.topology.known.quota => {
            unknown(id, "sys/fs/cgroup nor /proc/self/cgroup", why)
        }
        None => ok(id, "no limit on memory", why),
        Some(limit) => {
            let found = format!(
                "{} MiB for load generator and servers together",
                limit >> 20
            );
            match limit < LEAST {
                true => warn(
                    id,
                    found,
                    why,
                    Some("start the container with a larger --memory"),
                ),
                false => ok(id, found, why),
            }
        }
    }
}
