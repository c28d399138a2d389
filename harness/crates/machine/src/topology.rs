//! CPUs, the cores and NUMA nodes they belong to, and which of them we may use.
//!
//! Read from `/sys/devices/system/cpu` and `/sys/devices/system/node` as the kernel's
//! `Documentation/admin-guide/cputopology.rst` and `ABI/stable/sysfs-devices-node`
//! describe them.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Root, cgroup, cpu_list};

const CPU: &str = "sys/devices/system/cpu";
const NODE: &str = "sys/devices/system/node";
/// Where the kernel lists the efficient cores of Intel's hybrid processors, also before it
/// gave them a `cpu_capacity` (`tools/perf/Documentation/intel-hybrid.txt`).
const EFFICIENT: &[&str] = &["sys/devices/cpu_atom/cpus", "sys/devices/cpu_lowpower/cpus"];
/// What stands for the capacity of those that have none: well below that of a fast core.
const EFFICIENT_CAPACITY: u32 = 512;

/// The machine's CPUs.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// Logical CPUs online, ascending.
    pub online: Vec<u32>,
    /// CPUs the affinity of this process allows, ascending; the cpuset of its control
    /// group is already taken into it by the kernel.
    pub allowed: Vec<u32>,
    /// CPUs taken out of the scheduler's balancing (`isolcpus=`), ascending.
    pub isolated: Vec<u32>,
    /// CPUs a thread of ours can be pinned to: those allowed and, where the affinity is
    /// just the kernel's default of all that are not isolated, also the isolated ones.
    pub usable: Vec<u32>,
    /// Physical cores with at least one CPU online, by their first CPU.
    pub cores: Vec<Core>,
    /// Sockets.
    pub packages: u32,
    /// NUMA nodes with CPUs.
    pub nodes: u32,
    /// CPU time per time a control group allows, in CPUs; absent where it is not limited.
    pub quota_cpus: Option<f64>,
    /// Which of these are known, and not just the plainest reading.
    pub known: Known,
}

/// What the tree showed of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Which CPUs are siblings.
    pub siblings: bool,
    /// Which NUMA nodes there are. A kernel built without NUMA has no folder of nodes.
    pub nodes: bool,
    /// Whether CPU time is limited.
    pub quota: bool,
}

/// A physical core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// Its logical CPUs online (SMT siblings), ascending.
    pub cpus: Vec<u32>,
    /// The socket.
    pub package: u32,
    /// The NUMA node.
    pub node: u32,
    /// Its speed relative to the machine's fastest core, which has 1024 (`cpu_capacity`);
    /// where the kernel does not say, 512 for a core it lists as efficient and else 1024.
    pub capacity: u32,
}

/// Why the CPUs could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopologyError {
    /// Neither `/sys` nor `/proc/cpuinfo` lists any.
    #[error(
        "no CPU is listed in /sys/devices/system/cpu/online nor in /proc/cpuinfo; are /sys and /proc mounted?"
    )]
    NoCpu,
}

impl Topology {
    /// Reads the tree under a root.
    ///
    /// What a container or an old kernel does not show gets the plainest reading: every
    /// CPU a core of its own, one socket, one node, nothing isolated, all allowed.
    ///
    /// # Errors
    /// Where not even the CPUs online can be found.
    pub fn read(root: &Root) -> Result<Self, TopologyError> {
        let online = online(root).ok_or(TopologyError::NoCpu)?;
        let isolated = list(root, &format!("{CPU}/isolated")).unwrap_or_default();
        let allowed =
            allowed(root).map_or_else(|| online.clone(), |cpus| intersection(&cpus, &online));
        let usable = usable(root, &online, &allowed, &isolated);
        let cores = cores(root, &online);
        Ok(Self {
            packages: count(cores.iter().map(|core| core.package)),
            nodes: count(cores.iter().map(|core| core.node)),
            quota_cpus: cgroup::quota_cpus(root),
            known: Known {
                siblings: online.iter().all(|cpu| siblings(root, *cpu).is_some()),
                nodes: root.exists(NODE) || root.exists(CPU),
                quota: cgroup::shows_quota(root),
            },
            online,
            allowed,
            isolated,
            usable,
            cores,
        })
    }

    /// The core a CPU belongs to.
    #[must_use]
    pub fn core_of(&self, cpu: u32) -> Option<&Core> {
        self.cores.iter().find(|core| core.cpus.contains(&cpu))
    }

    /// The NUMA nodes some CPUs belong to, ascending.
    #[must_use]
    pub fn nodes_of(&self, cpus: &[u32]) -> Vec<u32> {
        let mut nodes: Vec<u32> = cpus
            .iter()
            .filter_map(|cpu| self.core_of(*cpu))
            .map(|core| core.node)
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Whether two sets of CPUs have a core in common.
    #[must_use]
    pub fn share_a_core(&self, one: &[u32], other: &[u32]) -> bool {
        self.cores.iter().any(|core| {
            let holds = |cpus: &[u32]| core.cpus.iter().any(|cpu| cpus.contains(cpu));
            holds(one) && holds(other)
        })
    }
}

pub(super) fn intersection(one: &[u32], other: &[u32]) -> Vec<u32> {
    one.iter()
        .copied()
        .filter(|cpu| other.contains(cpu))
        .collect()
}

fn list(root: &Root, path: &str) -> Option<Vec<u32>> {
    cpu_list::parse(&root.text(path)?).ok()
}

fn online(root: &Root) -> Option<Vec<u32>> {
    let cpus = list(root, &format!("{CPU}/online")).or_else(|| {
        let text = root.text("proc/cpuinfo")?;
        let cpus = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == "processor").then(|| value.trim().parse().ok())?
        });
        Some(cpus.collect())
    })?;
    (!cpus.is_empty()).then_some(cpus)
}

/// The process's, not the calling thread's: a driver thread that pinned itself must not
/// make the machine look small.
fn allowed(root: &Root) -> Option<Vec<u32>> {
    let status = root.text("proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    cpu_list::parse(line).ok()
}

/// With `isolcpus=` every process starts with an affinity that leaves the isolated CPUs
/// out, yet may still pin itself to them as far as its cpuset goes. An affinity narrowed
/// by hand (`taskset`) is kept to.
fn usable(root: &Root, online: &[u32], allowed: &[u32], isolated: &[u32]) -> Vec<u32> {
    let cpuset = cgroup::cpuset(root).unwrap_or_else(|| online.to_vec());
    let reachable = intersection(online, &cpuset);
    let default: Vec<u32> = reachable
        .iter()
        .copied()
        .filter(|cpu| !isolated.contains(cpu))
        .collect();
    if !default.is_empty() && allowed == default {
        reachable
    } else {
        allowed.to_vec()
    }
}

fn cores(root: &Root, online: &[u32]) -> Vec<Core> {
    let nodes = node_of_cpu(root);
    let efficient: Vec<u32> = EFFICIENT
        .iter()
        .filter_map(|path| list(root, path))
        .flatten()
        .collect();
    let unsaid = |cpu| match efficient.contains(&cpu) {
        true => EFFICIENT_CAPACITY,
        false => 1024,
    };
    let mut cores: BTreeMap<u32, Core> = BTreeMap::new();
    for &cpu in online {
        let topology = format!("{CPU}/cpu{cpu}/topology");
        let siblings = siblings(root, cpu)
            .map(|cpus| intersection(&cpus, online))
            .filter(|cpus| cpus.contains(&cpu))
            .unwrap_or_else(|| vec![cpu]);
        let Some(&first) = siblings.first() else {
            continue;
        };
        cores.entry(first).or_insert_with(|| Core {
            cpus: siblings,
            // -1 where firmware does not say.
            package: root
                .number(&format!("{topology}/physical_package_id"))
                .unwrap_or(0),
            node: nodes.get(&cpu).copied().unwrap_or(0),
            capacity: root
                .number(&format!("{CPU}/cpu{cpu}/cpu_capacity"))
                .unwrap_or_else(|| unsaid(cpu)),
        });
    }
    cores.into_values().collect()
}

/// The older name, then the newer one.
fn siblings(root: &Root, cpu: u32) -> Option<Vec<u32>> {
    let topology = format!("{CPU}/cpu{cpu}/topology");
    list(root, &format!("{topology}/thread_siblings_list"))
        .or_else(|| list(root, &format!("{topology}/core_cpus_list")))
}

fn node_of_cpu(root: &Root) -> BTreeMap<u32, u32> {
    let mut nodes = BTreeMap::new();
    for name in root.names(NODE) {
        let Some(node) = name.strip_prefix("node").and_then(|id| id.parse().ok()) else {
            continue;
        };
        for cpu in list(root, &format!("{NODE}/{name}/cpulist")).unwrap_or_default() {
            nodes.insert(cpu, node);
        }
    }
    nodes
}

fn count(ids: impl Iterator<Item = u32>) -> u32 {
    let distinct: std::collections::BTreeSet<u32> = ids.collect();
    u32::try_from(distinct.len()).unwrap_or(u32::MAX)
}
