//! A description of the machine.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::{Layout, Root, Topology, cpu_list};
use crate::Environment;

const CPU: &str = "sys/devices/system/cpu";
const CLOCK: &str = "sys/devices/system/clocksource/clocksource0";

/// Reads the machine's description; `rustc` is the output of `rustc --version`.
///
/// Findings stay empty and `pinned` false: only the caller knows them.
pub fn read(root: &Root, topology: &Topology, layout: &Layout, rustc: &str) -> Environment {
    let mut environment = Environment {
        cpu_model: cpu_model(root),
        logical_cpus: number_of(topology.online.len()),
        physical_cores: number_of(topology.cores.len()),
        numa_nodes: topology.nodes,
        memory_bytes: meminfo(root, "MemTotal:").unwrap_or(0),
        kernel: root.text("proc/sys/kernel/osrelease").unwrap_or_default(),
        rustc: rustc.trim().to_owned(),
        governor: governor(root, &topology.online),
        virtualisation: virtualisation(root),
        clock_source: clock_source(root),
        server_cpus: layout.server.clone(),
        driver_cpus: layout.driver.clone(),
        ..Environment::default()
    };
    environment.fingerprint = fingerprint(&environment);
    environment
}

/// A SHA-256, in hexadecimal, over everything that must be equal to compare the figures of two runs: CPU model,
/// counts of CPUs, cores and nodes, memory to the nearest GiB (a kernel update changes it by megabytes), kernel
/// release, governor, clock source, virtualisation and the CPUs of both sides.
///
/// The compiler is not included: comparing two compilers on one machine is a valid use, and each server's
/// record names its own.
pub fn fingerprint(environment: &Environment) -> String {
    let values = members(environment).map(|(_, value)| value);
    let digest = Sha256::digest(values.join("\n"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The members of the fingerprint, with their names in the record.
fn members(environment: &Environment) -> [(&'static str, String); 11] {
    const GIB: u64 = 1 << 30;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let memory_gib = (environment.memory_bytes + GIB / 2) / GIB;
    [
        ("cpu_model", environment.cpu_model.clone()),
        ("logical_cpus", environment.logical_cpus.to_string()),
        ("physical_cores", environment.physical_cores.to_string()),
        ("numa_nodes", environment.numa_nodes.to_string()),
        ("memory_gib", memory_gib.to_string()),
        ("kernel", environment.kernel.clone()),
        ("governor", known(&environment.governor)),
        ("clock_source", known(&environment.clock_source)),
        ("virtualisation", known(&environment.virtualisation)),
        ("server_cpus", cpu_list::format(&environment.server_cpus)),
        ("driver_cpus", cpu_list::format(&environment.driver_cpus)),
    ]
}

/// A property in which two machines differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineDifference {
    /// Its name, as in `kernel`.
    pub member: &'static str,
    /// Its value on the first.
    pub base: String,
    /// Its value on the second.
    pub new: String,
}

/// Why the figures of two machines can't be compared: members of the fingerprint that differ, and whether
/// servers were pinned. Empty if they can be compared.
pub fn differences(base: &Environment, new: &Environment) -> Vec<MachineDifference> {
    let mut pairs: Vec<_> = members(base).into_iter().zip(members(new)).collect();
    let pinned = |machine: &Environment| ("pinned", machine.pinned.to_string());
    pairs.push((pinned(base), pinned(new)));
    if pairs.iter().all(|((_, base), (_, new))| base == new) {
        // Made by a harness whose fingerprint had more members.
        let made = |machine: &Environment| ("fingerprint", machine.fingerprint.clone());
        pairs.push((made(base), made(new)));
    }
    pairs
        .into_iter()
        .filter(|((_, base), (_, new))| base != new)
        .map(|((member, base), (_, new))| MachineDifference { member, base, new })
        .collect()
}

/// The governors of some CPUs, without duplicates, as in `performance` or `performance, powersave`.
pub(super) fn governor(root: &Root, cpus: &[u32]) -> Option<String> {
    let governors: BTreeSet<String> = cpus
        .iter()
        .filter_map(|cpu| root.text(&format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor")))
        .collect();
    let governors: Vec<String> = governors.into_iter().collect();
    (!governors.is_empty()).then(|| governors.join(", "))
}

pub(super) fn clock_source(root: &Root) -> Option<String> {
    root.text(&format!("{CLOCK}/current_clocksource"))
}

pub(super) fn clock_sources(root: &Root) -> Vec<String> {
    let text = root
        .text(&format!("{CLOCK}/available_clocksource"))
        .unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// A line of `/proc/meminfo`, in bytes.
pub(super) fn meminfo(root: &Root, name: &str) -> Option<u64> {
    let text = root.text("proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Hypervisor and container runtime, as in `virtual machine (KVM), container (docker)`.
fn virtualisation(root: &Root) -> Option<String> {
    let machine = hypervisor(root).map(|name| format!("virtual machine ({name})"));
    let inside = container(root).map(|name| format!("container ({name})"));
    let both: Vec<String> = machine.into_iter().chain(inside).collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// The hypervisor we run under; `unknown` if only the processor's flags reveal that there is one.
pub(super) fn hypervisor(root: &Root) -> Option<String> {
    let firmware: Vec<String> = ["sys_vendor", "product_name"]
        .iter()
        .filter_map(|name| root.text(&format!("sys/class/dmi/id/{name}")))
        .collect();
    let firmware = firmware.join(" ");
    // A cloud's bare-metal machine has the cloud's name in its firmware, but not the flag.
    let flagged = cpu_flags(root)
        .split_whitespace()
        .any(|flag| flag == "hypervisor");
    let clocks = clock_sources(root).join(" ");
    let by_firmware = [
        ("VMware", "VMware"),
        ("VirtualBox", "VirtualBox"),
        ("innotek", "VirtualBox"),
        ("Virtual Machine", "Hyper-V"),
        ("QEMU", "KVM"),
        ("KVM", "KVM"),
        ("Google Compute Engine", "KVM"),
        ("OpenStack", "KVM"),
    ];
    let named = |text: &str, names: &[(&str, &str)]| {
        names
            .iter()
            .find(|(mark, _)| text.contains(mark))
            .map(|(_, name)| (*name).to_owned())
    };
    let by_clock = [
        ("kvm-clock", "KVM"),
        ("hyperv_clocksource", "Hyper-V"),
        ("xen", "Xen"),
    ];
    if let Some(kind) = root.text("sys/hypervisor/type") {
        return Some(kind);
    }
    let found = named(&firmware, &by_firmware).or_else(|| named(&clocks, &by_clock));
    match (found, flagged) {
        (Some(name), _) => Some(name),
        (None, true) => Some("unknown".to_owned()),
        (None, false) => None,
    }
}

/// Whether a hypervisor would be visible, in the processor's flags or the firmware's name for the machine.
pub(super) fn shows_hypervisors(root: &Root) -> bool {
    cpuinfo(root, "flags").is_some() || root.text("sys/class/dmi/id/sys_vendor").is_some()
}

/// The container runtime we run in.
pub(super) fn container(root: &Root) -> Option<String> {
    // systemd's container interface: the file holds the runtime's name.
    if let Some(name) = root.text("run/systemd/container")
        && !name.is_empty()
    {
        return Some(name);
    }
    if root.exists(".dockerenv") {
        return Some("docker".to_owned());
    }
    if root.exists("run/.containerenv") {
        return Some("podman".to_owned());
    }
    let groups = root.text("proc/self/cgroup")?;
    ["kubepods", "docker", "containerd", "lxc"]
        .iter()
        .find(|name| groups.contains(**name))
        .map(|name| (*name).to_owned())
}

fn cpu_flags(root: &Root) -> String {
    cpuinfo(root, "flags").unwrap_or_default()
}

/// The model name on x86, POWER and others. ARM has none, so use the board's name or the part number.
/// The processor's name.
pub fn cpu_model(root: &Root) -> String {
    let named = ["model name", "cpu model", "cpu"]
        .iter()
        .find_map(|name| cpuinfo(root, name));
    let board = || {
        let model = root.text("sys/firmware/devicetree/base/model")?;
        // Device-tree strings end in a zero byte.
        Some(model.trim_end_matches('\0').to_owned())
    };
    let part = || {
        let implementer = cpuinfo(root, "CPU implementer")?;
        let part = cpuinfo(root, "CPU part")?;
        Some(format!("implementer {implementer} part {part}"))
    };
    named
        .or_else(board)
        .or_else(part)
        .unwrap_or_else(|| "unknown".to_owned())
}

/// The first value of a name in `/proc/cpuinfo`.
fn cpuinfo(root: &Root, name: &str) -> Option<String> {
    let text = root.text("proc/cpuinfo")?;
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

fn number_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
