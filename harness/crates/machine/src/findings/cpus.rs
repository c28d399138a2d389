//! Which CPUs the two sides run on.

use super::{Context, fail, ok, unknown, warn};
use crate::Finding;
use crate::cpu_list;
use crate::topology::intersection;

const BY_HAND: &str = "give each side whole cores of one node with --server-cpus and --driver-cpus";
const QUOTA_FIX: &str =
    "start the container with --cpuset-cpus (which CPUs) instead of --cpus (how much CPU time)";

pub(super) fn layout(context: &Context<'_>) -> Finding {
    let id = "layout";
    let why =
        "if server and load generator compete for CPU time, each distorts the other's figures";
    let layout = context.layout;
    let found = format!(
        "server on {}, load generator on {}",
        cpu_list::format(&layout.server),
        cpu_list::format(&layout.driver)
    );
    let notes: Vec<String> = layout.note.iter().cloned().chain(idle(context)).collect();
    if notes.is_empty() {
        return ok(id, found, why);
    }
    let cores = context.topology.cores.len();
    let fix = match () {
        () if cores < 2 => "use a machine with two cores or more",
        () if layout.shared => "allow more CPUs: run without taskset, or with a wider cpuset",
        () => BY_HAND,
    };
    warn(id, format!("{found}: {}", notes.join("; ")), why, Some(fix))
}

/// CPUs that stay idle because there are fewer connections than threads.
fn idle(context: &Context<'_>) -> Option<String> {
    let connections = context.needs.connections as usize;
    let sides = [
        ("server", context.layout.server.len()),
        ("load generator", context.layout.driver.len()),
    ];
    let idle: Vec<String> = sides
        .iter()
        .filter(|(_, cpus)| *cpus > connections)
        .map(|(side, cpus)| format!("{} of the {cpus} CPUs of the {side}", cpus - connections))
        .collect();
    (!idle.is_empty()).then(|| {
        format!(
            "with --connections {connections} {} stay idle",
            idle.join(" and ")
        )
    })
}

pub(super) fn smt(context: &Context<'_>) -> Finding {
    let id = "smt";
    let why = "two siblings share one core's execution units and caches: a busy one slows the other by a third or so";
    let (topology, layout) = (context.topology, context.layout);
    if !topology.known.siblings {
        let file = "sys/devices/system/cpu/cpuN/topology/thread_siblings_list";
        return unknown(id, file, why);
    }
    let siblings = topology.cores.iter().any(|core| core.cpus.len() > 1);
    if !siblings {
        return ok(id, "one CPU per core", why);
    }
    if topology.share_a_core(&layout.server, &layout.driver) {
        let fix = match topology.cores.len() {
            1 => "use a machine with two cores or more",
            _ => BY_HAND,
        };
        let found = "both sides run on siblings of one core";
        return warn(id, found, why, Some(fix));
    }
    ok(id, "siblings are on the same side", why)
}

pub(super) fn numa(context: &Context<'_>) -> Finding {
    let id = "numa";
    let why = "memory on another node is slower, and on which node a page is allocated is random";
    if !context.topology.known.nodes {
        return unknown(id, "sys/devices/system/node", why);
    }
    if context.topology.nodes <= 1 {
        return ok(id, "one node", why);
    }
    if context.topology.nodes_of(&context.cpus()).len() > 1 {
        let found = "the CPUs in use are on several nodes";
        return warn(id, found, why, Some(BY_HAND));
    }
    let balancing = context.root.number("proc/sys/kernel/numa_balancing");
    if balancing.is_some_and(|value: u32| value != 0) {
        let found =
            "one node in use, but the kernel samples page accesses to move pages (numa_balancing)";
        let fix = "sudo sysctl -w kernel.numa_balancing=0";
        return warn(id, found, why, Some(fix));
    }
    ok(
        id,
        format!("one of {} nodes in use", context.topology.nodes),
        why,
    )
}

pub(super) fn isolated(context: &Context<'_>) -> Finding {
    let id = "isolated";
    let why = "isolated CPUs keep other processes away, but the scheduler does not spread a process's threads over several of them";
    let file = "sys/devices/system/cpu/isolated";
    if !context.root.exists(file) {
        return unknown(id, file, why);
    }
    let isolated = &context.topology.isolated;
    if isolated.is_empty() {
        return ok(id, "none", why);
    }
    let found = cpu_list::format(isolated);
    if intersection(&context.layout.server, isolated).len() > 1 {
        let fix = "give the server CPUs that are not isolated with --server-cpus";
        let found = format!("{found}, several of them used by the server");
        return warn(id, found, why, Some(fix));
    }
    ok(id, found, why)
}

pub(super) fn quota(context: &Context<'_>) -> Finding {
    let id = "quota";
    let why = "a control group that has used up its CPU time is stopped until its next period, up to 100 ms later";
    let given = context.cpus().len();
    match context.topology.quota_cpus {
        None if !context.topology.known.quota => {
            unknown(id, "sys/fs/cgroup nor /proc/self/cgroup", why)
        }
        None => ok(id, "no limit on CPU time", why),
        Some(quota) if quota < given as f64 => {
            let found = format!("a quota of {quota:.2} CPUs for {given} CPUs in use");
            fail(id, found, why, Some(QUOTA_FIX))
        }
        Some(quota) if quota >= (given + 1) as f64 => {
            let found = format!("a quota of {quota:.2} CPUs for {given} CPUs in use");
            ok(id, found, why)
        }
        Some(quota) => {
            let found =
                format!("a quota of {quota:.2} CPUs, just enough for the {given} CPUs in use");
            warn(id, found, why, Some(QUOTA_FIX))
        }
    }
}
