//! Kernel limits and settings for connections.

use super::{About, Context, TUNE};
use crate::Finding;
use crate::{Root, machine};

/// The minimum that `scripts/tune-host` sets; it doesn't help if more is needed.
const TUNED_SOMAXCONN: u64 = 4096;
/// Number of ports from 15000 to 60999.
const TUNED_PORTS: u64 = 46_000;

pub(super) fn descriptors(context: &Context<'_>) -> Finding {
    let why = "every connection needs a file descriptor on each side; without one it is refused or has to wait";
    let about = About("descriptors", why);
    let needed = context.needs.descriptors();
    let Some((soft, hard)) = descriptor_limits(context.root) else {
        return about.unknown("proc/self/limits");
    };
    if hard < needed {
        let found = format!("limit {hard}, needed {needed}");
        // Applies to the current shell and its children; only root may raise a hard limit.
        let mut fix = format!("sudo prlimit --pid $$ --nofile={needed}:{needed}");
        if machine::container(context.root).is_some() {
            fix += &format!(", or start the container with --ulimit nofile={needed}");
        }
        return about.fail(found, fix.as_str());
    }
    if soft < needed {
        let found = format!(
            "limit {soft}, needed {needed}: the harness raises it; up to {hard} is allowed"
        );
        return about.ok(found);
    }
    about.ok(format!("limit {soft}, needed {needed}"))
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
    let why = "every connection uses a local port, and keeps it for a minute after it is closed";
    let about = About("ports", why);
    let file = "proc/sys/net/ipv4/ip_local_port_range";
    let range = context.root.text(file).and_then(|text| {
        let mut bounds = text.split_whitespace().map(str::parse::<u64>);
        Some((bounds.next()?.ok()?, bounds.next()?.ok()?))
    });
    let Some((first, last)) = range else {
        return about.unknown(file);
    };
    let count = (last + 1).saturating_sub(first);
    let needed = context.needs.ports();
    let found = format!("{first} to {last}, {count} ports; needed {needed}");
    let fix = match needed {
        needed if needed <= TUNED_PORTS => TUNE,
        _ => "use fewer --connections: one address has at most 64 thousand ports",
    };
    match count {
        count if count < u64::from(context.needs.connections) => about.fail(found, fix),
        count if count < needed => about.warn(found, fix),
        _ => about.ok(found),
    }
}

pub(super) fn somaxconn(context: &Context<'_>) -> Finding {
    let why =
        "connections beyond the queue of a listening socket are dropped and retried a second later";
    let about = About("somaxconn", why);
    let file = "proc/sys/net/core/somaxconn";
    match context.root.number::<u64>(file) {
        None => about.unknown(file),
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
            about.warn(found, if enough { TUNE } else { more.as_str() })
        }
        Some(queue) => about.ok(queue.to_string()),
    }
}

pub(super) fn tw_reuse(context: &Context<'_>) -> Finding {
    let why = "allows reusing the port of a closed connection at once instead of a minute later (2, the default: only on loopback)";
    let about = About("tcp-tw-reuse", why);
    let file = "proc/sys/net/ipv4/tcp_tw_reuse";
    match context.root.number::<u64>(file) {
        None => about.unknown(file),
        Some(0) => about.warn("0 (off)", TUNE),
        Some(1) => about.ok("1 (on)"),
        Some(value) => about.ok(format!("{value} (only on loopback)")),
    }
}

pub(super) fn loopback_mtu(context: &Context<'_>) -> Finding {
    let why = "with packets smaller than the default 65536 bytes, responses are split that other machines send whole";
    let about = About("loopback-mtu", why);
    let file = "sys/class/net/lo/mtu";
    match context.root.number::<u64>(file) {
        None => about.unknown(file),
        Some(mtu) if mtu < 65536 => {
            let fix = "sudo ip link set dev lo mtu 65536";
            about.warn(mtu.to_string(), fix)
        }
        Some(mtu) => about.ok(mtu.to_string()),
    }
}
