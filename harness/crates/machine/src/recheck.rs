//! What changed during a run.

use super::findings::{self, About};
use super::meter::{StealMeter, Stolen};
use super::{Layout, Root, Topology, cgroup, cpu_list, machine};
use crate::{CHANGED, Finding};
use words::counted;

/// The state of the machine before a run, to compare with its state after.
#[derive(Debug, Clone)]
pub struct Recheck {
    root: Root,
    cpus: Vec<u32>,
    before: Look,
    meter: StealMeter,
}

/// What must not change.
#[derive(Debug, Clone)]
struct Look {
    settings: Vec<(&'static str, Option<String>)>,
    throttled: Option<u64>,
}

/// Reads a setting as text; `None` if it can't be read.
type Read = fn(&Root, &[u32]) -> Option<String>;

/// The settings, each with the id of the finding that shows it before the run.
const SETTINGS: &[(&str, Read)] = &[
    ("governor", machine::governor),
    ("turbo", |root, _| {
        let on = findings::turbo_on(root)?;
        Some(if on { "on" } else { "off" }.to_owned())
    }),
    ("clock-source", |root, _| machine::clock_source(root)),
    // Not the affinity of this process: its threads pin themselves.
    ("cpus", |root, _| {
        let online = cpu_list::format(&Topology::read(root).ok()?.online);
        let cpuset = cgroup::cpuset(root).map(|cpus| cpu_list::format(&cpus));
        let cpuset = cpuset.map_or_else(String::new, |cpus| format!(", cpuset {cpus}"));
        Some(format!("{online} online{cpuset}"))
    }),
    ("quota", |root, _| match cgroup::quota_cpus(root) {
        Some(quota) => Some(format!("{quota:.2} CPUs of time")),
        None => cgroup::shows_quota(root).then(|| "no limit".to_owned()),
    }),
    // Not the soft limit, which the harness raises itself.
    ("descriptors", |root, _| {
        let (_, hard) = findings::descriptor_limits(root)?;
        Some(hard.to_string())
    }),
    ("ports", |root, _| {
        let range = root.text("proc/sys/net/ipv4/ip_local_port_range")?;
        Some(range.split_whitespace().collect::<Vec<_>>().join(" to "))
    }),
    ("somaxconn", |root, _| {
        root.text("proc/sys/net/core/somaxconn")
    }),
    ("tcp-tw-reuse", |root, _| {
        root.text("proc/sys/net/ipv4/tcp_tw_reuse")
    }),
    ("loopback-mtu", |root, _| root.text("sys/class/net/lo/mtu")),
    ("huge-pages", |root, _| {
        root.text("sys/kernel/mm/transparent_hugepage/enabled")
    }),
];

impl Recheck {
    /// Reads the state before the run.
    pub fn start(root: &Root, topology: &Topology, layout: &Layout) -> Self {
        let cpus = layout.both();
        Self {
            before: Look::take(root, &cpus),
            meter: StealMeter::start(root, &cpus, &topology.online),
            root: root.clone(),
            cpus,
        }
    }

    /// CPU time lost to the host and to other processes since the start.
    pub fn stolen(&self) -> Stolen {
        self.meter.stop()
    }

    /// Reads the state again. Returns what others used during the run (`steal-during`, `load-during`, if
    /// known), and a warning for every setting that has changed (`governor-changed` and so on).
    pub fn finish(&self) -> Vec<Finding> {
        let stolen = self.stolen();
        let mut found = Vec::new();
        found.extend(stolen.steal.map(findings::steal_during));
        found.extend(stolen.other.map(findings::other_load));
        found.extend(self.before.changes(&Look::take(&self.root, &self.cpus)));
        found
    }
}

impl Look {
    fn take(root: &Root, cpus: &[u32]) -> Self {
        let read = |(id, read): &(&'static str, Read)| (*id, read(root, cpus));
        Self {
            settings: SETTINGS.iter().map(read).collect(),
            throttled: findings::throttle_count(root, cpus),
        }
    }

    fn changes(&self, after: &Self) -> Vec<Finding> {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let both = self.settings.iter().zip(&after.settings);
        let mut found: Vec<Finding> = both
            .filter(|((_, before), (_, after))| before != after)
            .map(|((id, before), (_, after))| {
                let text = format!("was {}, is {}", word(before), word(after));
                changed(id, text, "leave the machine's settings alone and run again")
            })
            .collect();
        if let (Some(before), Some(after)) = (self.throttled, after.throttled)
            && after > before
        {
            let text = format!(
                "throttled {} during the run",
                counted(after - before, "time")
            );
            found.push(changed("thermal", text, findings::COOLER));
        }
        found
    }
}

fn changed(subject: &str, found: String, fix: &str) -> Finding {
    let why = "trials from before and after the change can't be compared";
    let id = format!("{subject}{CHANGED}");
    About(&id, why).warn(found, fix)
}
