//! Kernel limits and settings for connections.

use super::{Context, TUNE, fail, ok, unknown, warn};
use crate::Finding;
use crate::{Root, machine};

/// The minimum that `scripts/tune-host` sets; it doesn't help if more is needed.
const TUNED_SOMAXCONN: u64 = 4096;
/// Number of ports from 15000 to 60999.
const TUNED_PORTS: u64 = 46_000;

pub(super) fn descriptors(context: &Context<'_>) -> Finding {
    let id = "descriptors";
    let why = "every connection needs a file descriptor on each side; without one it is refused or has to wait";
    let needed = context.needs.descriptors();
    let Some((soft, hard)) = descriptor_limits(context.root) else {
        return unknown(id, "proc/self/limits", why);
    };
    if hard < needed {
        let found = format!("limit {hard}, needed {needed}");
        // Applies to the current shell and its children; only root may raise a hard limit.
        let mut fix = format!("sudo prlimit --pid $$ --nofile={needed}:{needed}");
        if machine::container(context.root).is_some() {
            fix += &format!(", or start the container with --ulimit nofile={needed}");
        }
        return fail(id, found, why, Some(&fix));
    }
    if soft < needed {
        let found = format!(
            "limit {soft}, needed {needed}: the harness raises it; up to {hard} is allowed"
        );
        return ok(id, found, why);
    }
    ok(id, format!("limit {soft}, needed {needed}"), why)
}

/// The soft and the hard limit; `u64::MAX` means unlimited. The line is
/// `Max open files  1024  524288  files`.
pub(crate) fn descriptor_limits(root: &Root) -> Option<(u64, u64)> {
    let text = root.text("proc/self/limits")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut limits = line.split_whitespace().map(|word| match word {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    Some((limits.next()??, limits.next()??))
}

pub(super) fn ports(context: &Context<'_>) -> Finding {
    let id = "ports";
    let why = "every connection uses a local port, and keeps it for a minute after it is closed";
    let file = "proc/sys/net/ipv4/ip_local_port_range";
    let range = context.root.text(file).and_then(|text| {
        let mut bounds = text.split_whitespace().map(str::parse::<u64>);
        Some((bounds.next()?.ok()?, bounds.next()?.ok()?))
    });
    let Some((first, last)) = range else {
        return unknown(id, file, why);
    };
    let count = (last + 1).saturating_sub(first);
    let needed = context.needs.ports();
    let found = format!("{first} to {last}, {count} ports; needed {needed}");
    let fix = match needed {
        needed if needed <= TUNED_PORTS => TUNE,
        _ => "use fewer --connections: one address has at most 64 thousand ports",
    };
    match count {
        count if count < u64::from(context.needs.connections) => fail(id, found, why, Some(fix)),
        count if count < needed => warn(id, found, why, Some(fix)),
        _ => ok(id, found, why),
    }
}

pub(super) fn somaxconn(context: &Context<'_>) -> Finding {
    let id = "somaxconn";
    let why =
        "connections beyond the queue of a listening socket are dropped and retried a second later";
    let file = "proc/sys/net/core/somaxconn";
    match context.root.number::<u64>(file) {
        None => unknown(id, file, why),
        Some(queue) if queue < u64::from(context.needs.connections) => {
            let found = format!(
                "{queue}, less than the {} connections",
                context.needs.connections
            );
            let more = format!(
                "sudo sysctl -w net.core.somaxconn={}",
                context.needs.connections
            );
            let enough = u64::from(context.needs.connections) <= TUNED_SOMAXCONN;
            warn(id, found, why, Some(if enough { TUNE } else { &more }))
        }
        Some(queue) => ok(id, queue.to_string(), why),
    }
}

pub(super) fn tw_reuse(context: &Context<'_>) -> Finding {
    let id = "tcp-tw-reuse";
    let why = "allows reusing the port of a closed connection at once instead of a minute later (2, the default: only on loopback)";
    let file = "proc/sys/net/ipv4/tcp_tw_reuse";
    match context.root.number::<u64>(file) {
        None => unknown(id, file, why),
        Some(0) => warn(id, "0 (off)", why, Some(TUNE)),
        Some(1) => ok(id, "1 (on)", why),
        Some(value) => ok(id, format!("{value} (only on loopback)"), why),
    }
}

pub(super) fn loopback_mtu(context: &Context<'_>) -> Finding {
    let id = "loopback-mtu";
    let why = "with packets smaller than the default 65536 bytes, responses are split that other machines send whole";
    let file = "sys/class/net/lo/mtu";
    match context.root.number::<u64>(file) {
        None => unknown(id, file, why),
        Some(mtu) if mtu < 65536 => {
            let fix = "sudo ip link set dev lo mtu 65536";
            warn(id, mtu.to_string(), why, Some(fix))
        }
        Some(mtu) => ok(id, mtu.to_string(), why),
    }
}
