//! CPUs, their cores and NUMA nodes, and which of them we may use.
//!
//! Read from `/sys/devices/system/cpu` and `/sys/devices/system/node` as the kernel's
//! `Documentation/admin-guide/cputopology.rst` and `ABI/stable/sysfs-devices-node`
//! describe them.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Root, cgroup, cpu_list};

const CPU: &str = "sys/devices/system/cpu";
const NODE: &str = "sys/devices/system/node";
/// Where the kernel lists the efficiency cores of Intel's hybrid processors, even in versions without a
/// `cpu_capacity` for them (`tools/perf/Documentation/intel-hybrid.txt`).
const EFFICIENT: &[&str] = &["sys/devices/cpu_atom/cpus", "sys/devices/cpu_lowpower/cpus"];
/// Capacity assumed for efficiency cores without one: well below that of a fast core.
const EFFICIENT_CAPACITY: u32 = 512;

/// The machine's CPUs.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// Logical CPUs online, ascending.
    pub online: Vec<u32>,
    /// CPUs that the affinity of this process allows, ascending; the kernel has already applied the cpuset of its
    /// control group.
    pub allowed: Vec<u32>,
    /// CPUs excluded from the scheduler's balancing (`isolcpus=`), ascending.
    pub isolated: Vec<u32>,
    /// CPUs that our threads can be pinned to: those allowed and, if the affinity is just the kernel's default of
    /// all CPUs that are not isolated, also the isolated ones.
    pub usable: Vec<u32>,
    /// Physical cores with at least one CPU online, in the order of their first CPU.
    pub cores: Vec<Core>,
    /// Sockets.
    pub packages: u32,
    /// NUMA nodes with CPUs.
    pub nodes: u32,
    /// The CPU quota of a control group, in CPUs; absent if there is no limit.
    pub quota_cpus: Option<f64>,
    /// Which of these are known, rather than defaults.
    pub known: Visible,
}

/// What the tree shows about the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visible {
    /// Whether siblings are known.
    pub siblings: bool,
    /// Whether NUMA nodes are known. A kernel built without NUMA has no folder of nodes.
    pub nodes: bool,
    /// Whether a limit on CPU time would be visible.
    pub quota: bool,
}

/// A physical core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// Its online logical CPUs (SMT siblings), ascending.
    pub cpus: Vec<u32>,
    /// The socket.
    pub package: u32,
    /// The NUMA node.
    pub node: u32,
    /// Its speed relative to the machine's fastest core, which has 1024 (`cpu_capacity`). If the kernel
    /// doesn't say, 512 for efficiency cores and 1024 for others.
    pub capacity: u32,
}

/// Why the CPUs could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopologyError {
    /// Neither `/sys` nor `/proc/cpuinfo` lists any CPU.
    #[error(
        "neither /sys/devices/system/cpu/online nor /proc/cpuinfo lists a CPU; are /sys and /proc mounted?"
    )]
    NoCpu,
}

impl Topology {
    /// Reads the tree under a root.
    ///
    /// Whatever a container or an old kernel doesn't show gets a default: every CPU is its own core, one
    /// socket, one node, nothing isolated, all allowed.
    ///
    /// # Errors
    /// If not even the online CPUs can be found.
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
            known: Visible {
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
    pub fn core_of(&self, cpu: u32) -> Option<&Core> {
        self.cores.iter().find(|core| core.cpus.contains(&cpu))
    }

    /// The NUMA nodes some CPUs belong to, ascending.
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

    /// Whether two sets of CPUs share a core.
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

/// The affinity of the process, not of the calling thread: a load generator thread that pinned itself must not
/// make the machine look small.
fn allowed(root: &Root) -> Option<Vec<u32>> {
    let status = root.text("proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    cpu_list::parse(line).ok()
}

/// With `isolcpus=` every process starts with an affinity that excludes isolated CPUs, but may still pin itself to
/// them within its cpuset. An affinity narrowed by hand (`taskset`) is respected.
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
            // -1 if firmware doesn't say.
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

/// Tries the older name, then the newer one.
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
