//! Which CPUs the two sides run on.

use super::{About, Context};
use crate::Finding;
use crate::cpu_list;
use crate::topology::intersection;

const BY_HAND: &str = "give each side whole cores of one node with --server-cpus and --driver-cpus";
const QUOTA_FIX: &str =
    "start the container with --cpuset-cpus (which CPUs) instead of --cpus (how much CPU time)";

pub(super) fn layout(context: &Context<'_>) -> Finding {
    let why =
        "if server and load generator compete for CPU time, each distorts the other's figures";
    let about = About("layout", why);
    let layout = context.layout;
    let found = format!(
        "server on {}, load generator on {}",
        cpu_list::format(&layout.server),
        cpu_list::format(&layout.driver)
    );
    let notes: Vec<String> = layout.note.iter().cloned().chain(idle(context)).collect();
    if notes.is_empty() {
        return about.ok(found);
    }
    let cores = context.topology.cores.len();
    let fix = match () {
        () if cores < 2 => "use a machine with two cores or more",
        () if layout.shared => "allow more CPUs: run without taskset, or with a wider cpuset",
        () => BY_HAND,
    };
    about.warn(format!("{found}: {}", notes.join("; ")), fix)
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
    let why = "two siblings share one core's execution units and caches: a busy one slows the other by a third or so";
    let about = About("smt", why);
    let (topology, layout) = (context.topology, context.layout);
    if !topology.known.siblings {
        let file = "sys/devices/system/cpu/cpuN/topology/thread_siblings_list";
        return about.unknown(file);
    }
    let siblings = topology.cores.iter().any(|core| core.cpus.len() > 1);
    if !siblings {
        return about.ok("one CPU per core");
    }
    if topology.share_a_core(&layout.server, &layout.driver) {
        let fix = match topology.cores.len() {
            1 => "use a machine with two cores or more",
            _ => BY_HAND,
        };
        let found = "both sides run on siblings of one core";
        return about.warn(found, fix);
    }
    about.ok("siblings are on the same side")
}

pub(super) fn numa(context: &Context<'_>) -> Finding {
    let why = "memory on another node is slower, and on which node a page is allocated is random";
    let about = About("numa", why);
    if !context.topology.known.nodes {
        return about.unknown("sys/devices/system/node");
    }
    if context.topology.nodes <= 1 {
        return about.ok("one node");
    }
    if context.topology.nodes_of(&context.cpus()).len() > 1 {
        let found = "the CPUs in use are on several nodes";
        return about.warn(found, BY_HAND);
    }
    let balancing = context.root.number("proc/sys/kernel/numa_balancing");
    if balancing.is_some_and(|value: u32| value != 0) {
        let found =
            "one node in use, but the kernel samples page accesses to move pages (numa_balancing)";
        let fix = "sudo sysctl -w kernel.numa_balancing=0";
        return about.warn(found, fix);
    }
    about.ok(format!("one of {} nodes in use", context.topology.nodes))
}

pub(super) fn isolated(context: &Context<'_>) -> Finding {
    let why = "isolated CPUs keep other processes away, but the scheduler does not spread a process's threads over several of them";
    let about = About("isolated", why);
    let file = "sys/devices/system/cpu/isolated";
    if !context.root.exists(file) {
        return about.unknown(file);
    }
    let isolated = &context.topology.isolated;
    if isolated.is_empty() {
        return about.ok("none");
    }
    let found = cpu_list::format(isolated);
    if intersection(&context.layout.server, isolated).len() > 1 {
        let fix = "give the server CPUs that are not isolated with --server-cpus";
        let found = format!("{found}, several of them used by the server");
        return about.warn(found, fix);
    }
    about.ok(found)
}

pub(super) fn quota(context: &Context<'_>) -> Finding {
    let why = "a control group that has used up its CPU time is stopped until its next period, up to 100 ms later";
    let about = About("quota", why);
    let given = context.cpus().len();
    match context.topology.quota_cpus {
        None if !context.topology.known.quota => {
            about.unknown("sys/fs/cgroup or /proc/self/cgroup")
        }
        None => about.ok("no limit on CPU time"),
        Some(quota) if quota < given as f64 => {
            let found = format!("a quota of {quota:.2} CPUs for {given} CPUs in use");
            about.fail(found, QUOTA_FIX)
        }
        Some(quota) if quota >= (given + 1) as f64 => {
            let found = format!("a quota of {quota:.2} CPUs for {given} CPUs in use");
            about.ok(found)
        }
        Some(quota) => {
            let found =
                format!("a quota of {quota:.2} CPUs, just enough for the {given} CPUs in use");
            about.warn(found, QUOTA_FIX)
        }
    }
}
