//! Which CPUs the server gets, and which the load generator.

use thiserror::Error;

use super::cpu_list;
use super::topology::{Core, Topology, intersection};

/// Maximum cores per side unless CPUs are given by hand. With the usual 64 connections, more load generator
/// threads would have fewer than four connections each.
pub const MAX_CORES_PER_SIDE: usize = 16;

/// The CPUs of both sides. The server is started with as many workers as it has CPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// CPUs of the server, ascending.
    pub server: Vec<u32>,
    /// CPUs of the load generator, ascending; one pinned thread on each.
    pub driver: Vec<u32>,
    /// Whether both sides share a CPU, because there is only one.
    pub shared: bool,
    /// What could not be satisfied, in a sentence or two.
    pub note: Option<String>,
}

/// Why CPUs could not be assigned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct LayoutError(String);

const SERVER: &str = "--server-cpus";
const DRIVER: &str = "--driver-cpus";

impl Layout {
    /// Uses the values of `--server-cpus` and `--driver-cpus`, or chooses a layout if neither is given. If only one
    /// is given, the other side gets free cores, from the same NUMA node if possible.
    ///
    /// # Errors
    /// If a value is not a list, or names a CPU that is offline, not allowed or in both lists.
    pub fn new(
        topology: &Topology,
        server: Option<&str>,
        driver: Option<&str>,
    ) -> Result<Self, LayoutError> {
        let server = given(topology, SERVER, server)?;
        let driver = given(topology, DRIVER, driver)?;
        let (server, driver) = match (server, driver) {
            (None, None) => return Self::choose(topology),
            (Some(server), Some(driver)) => {
                let both = intersection(&server, &driver);
                if !both.is_empty() {
                    return Err(LayoutError(format!(
                        "--server-cpus and --driver-cpus both name {}: give each side CPUs of its own",
                        cpu_list::format(&both)
                    )));
                }
                (server, driver)
            }
            (Some(server), None) => {
                let driver = rest(topology, SERVER, &server)?;
                (server, driver)
            }
            (None, Some(driver)) => (rest(topology, DRIVER, &driver)?, driver),
        };
        Ok(Self::of(topology, server, driver, Vec::new()))
    }

    /// Chooses from the topology:
    ///
    /// 1. whole physical cores, with all their siblings, of the fastest kind;
    /// 2. from the NUMA node that has the most of them, if any has at least two;
    /// 3. half of them, rounded down, for the server and the rest for the load generator: at most
    ///    [`MAX_CORES_PER_SIDE`] each, and no more CPUs than a container's CPU quota can keep busy;
    /// 4. isolated CPUs for the load generator, whose threads are pinned one by one. The server gets them only if
    ///    there are no others: the scheduler does not balance threads over isolated CPUs, so a server that
    ///    doesn't pin its workers would run all of them on one.
    ///
    /// If there is one core with two siblings, each side gets one; a single CPU is shared. The note mentions every
    /// exception.
    ///
    /// # Errors
    /// If no CPU is usable.
    pub fn choose(topology: &Topology) -> Result<Self, LayoutError> {
        let cores = candidates(topology);
        match cores.as_slice() {
            [] => Err(LayoutError(
                "this process isn't allowed to run on any online CPU: start it without taskset, or widen the container's cpuset".to_owned(),
            )),
            [core] => Ok(Self::of_one_core(topology, core)),
            _ => Ok(Self::of_cores(topology, cores)),
        }
    }

    /// The CPUs of both sides, ascending, each once.
    pub fn both(&self) -> Vec<u32> {
        union(&self.server, &self.driver)
    }

    fn of_one_core(topology: &Topology, core: &Core) -> Self {
        match core.cpus.split_at(core.cpus.len() / 2) {
            ([], driver) => {
                let note = "there is only one CPU: server and load generator share it, so figures include both".to_owned();
                Self::of(topology, driver.to_vec(), driver.to_vec(), vec![note])
            }
            (server, driver) => Self::of(topology, server.to_vec(), driver.to_vec(), Vec::new()),
        }
    }

    fn of_cores(topology: &Topology, mut cores: Vec<Core>) -> Self {
        let notes = fit_quota(topology, &mut cores);
        let isolated = |core: &Core| core.cpus.iter().any(|cpu| topology.isolated.contains(cpu));
        // The server takes cores from the front, the load generator from the back.
        cores.sort_by_key(isolated);
        let free = cores.iter().filter(|core| !isolated(core)).count();
        let half = (cores.len() / 2).clamp(1, MAX_CORES_PER_SIDE);
        let for_server = if free == 0 { half } else { half.min(free) };
        let for_driver = (cores.len() - for_server).min(MAX_CORES_PER_SIDE);
        let (server, others) = cores.split_at(for_server);
        let driver = others.split_at(others.len() - for_driver).1;
        Self::of(topology, cpus_of(server), cpus_of(driver), notes)
    }

    /// Sorts both sides and adds notes that apply however the CPUs were chosen.
    fn of(topology: &Topology, server: Vec<u32>, driver: Vec<u32>, mut notes: Vec<String>) -> Self {
        let shared = server.iter().any(|cpu| driver.contains(cpu));
        if !shared && topology.share_a_core(&server, &driver) {
            notes.push(
                "server and load generator run on siblings of one core and slow each other"
                    .to_owned(),
            );
        }
        let both = union(&server, &driver);
        if topology.nodes_of(&both).len() > 1 {
            notes.push("the CPUs are on several NUMA nodes".to_owned());
        }
        for (side, cpus) in [("server", &server), ("load generator", &driver)] {
            let kinds = cpus.iter().filter_map(|cpu| topology.core_of(*cpu));
            let (slow, fast) = kinds.fold((u32::MAX, 0), |(slow, fast), core| {
                (slow.min(core.capacity), fast.max(core.capacity))
            });
            if !alike(slow, fast) {
                notes.push(format!(
                    "the {side}'s cores are not equally fast, and which thread gets which core is random"
                ));
            }
        }
        let isolated = intersection(&server, &topology.isolated).len();
        if isolated > 1 {
            notes.push("the server's CPUs are isolated: the scheduler will not spread its threads over them unless it pins them itself".to_owned());
        }
        if let Some(quota) = topology.quota_cpus
            && (both.len() as f64) > quota
        {
            notes.push(format!(
                "the container's CPU quota is {quota:.2} CPUs, less than the {} CPUs in use: both sides will be throttled",
                both.len()
            ));
        }
        Self {
            server: sorted(server),
            driver: sorted(driver),
            shared,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

/// A flag's CPUs, all of them online and usable.
fn given(
    topology: &Topology,
    flag: &str,
    text: Option<&str>,
) -> Result<Option<Vec<u32>>, LayoutError> {
    let refuse = |why: String| Err(LayoutError(format!("{flag}: {why}")));
    let Some(text) = text else { return Ok(None) };
    let cpus = match cpu_list::parse(text) {
        Ok(cpus) => cpus,
        Err(error) => return refuse(error.to_string()),
    };
    if cpus.is_empty() {
        return refuse("no CPU is named".to_owned());
    }
    let offline = without(&cpus, &topology.online);
    if !offline.is_empty() {
        return refuse(format!(
            "not online: {} (online: {})",
            cpu_list::format(&offline),
            cpu_list::format(&topology.online),
        ));
    }
    let refused = without(&cpus, &topology.usable);
    if !refused.is_empty() {
        return refuse(format!(
            "this process isn't allowed to run on {} (only on {}): start it without taskset, or widen the \
             container's cpuset",
            cpu_list::format(&refused),
            cpu_list::format(&topology.usable),
        ));
    }
    Ok(Some(cpus))
}

/// CPUs for the side that was not given by hand: free cores of the same nodes, else of any node, else siblings of
/// the used cores.
fn rest(topology: &Topology, flag: &str, taken: &[u32]) -> Result<Vec<u32>, LayoutError> {
    let nodes = topology.nodes_of(taken);
    let free: Vec<Core> = usable_cores(topology)
        .into_iter()
        .filter(|core| !topology.share_a_core(&core.cpus, taken))
        .collect();
    let near: Vec<Core> = free
        .iter()
        .filter(|core| nodes.contains(&core.node))
        .cloned()
        .collect();
    let mut cores = if near.is_empty() { free } else { near };
    cores.truncate(MAX_CORES_PER_SIDE);
    let cpus = if cores.is_empty() {
        without(&topology.usable, taken)
    } else {
        cpus_of(&cores)
    };
    if cpus.is_empty() {
        return Err(LayoutError(format!(
            "{flag} leaves no CPU for the other side: name fewer CPUs, or set both --server-cpus and \
             --driver-cpus"
        )));
    }
    Ok(cpus)
}

/// The cores to assign, after rules 1 and 2 of [`Layout::choose`].
fn candidates(topology: &Topology) -> Vec<Core> {
    let mut cores = usable_cores(topology);
    let whole = |core: &Core| {
        topology
            .core_of(core.cpus.first().copied().unwrap_or_default())
            .is_some_and(|all| all.cpus == core.cpus)
    };
    narrow(&mut cores, whole);
    // Two cores are needed, so a single core that is faster than all others is ignored.
    let mut capacities: Vec<u32> = cores.iter().map(|core| core.capacity).collect();
    capacities.sort_unstable_by(|one, other| other.cmp(one));
    let fast = capacities.get(1).copied().unwrap_or(0);
    narrow(&mut cores, |core| alike(core.capacity, fast));
    let on_node = |node: u32| cores.iter().filter(|core| core.node == node).count();
    let mut nodes: Vec<u32> = cores.iter().map(|core| core.node).collect();
    nodes.dedup();
    let largest = nodes
        .into_iter()
        .max_by_key(|node| (on_node(*node), std::cmp::Reverse(*node)));
    if let Some(largest) = largest {
        narrow(&mut cores, |core| core.node == largest);
    }
    cores
}

/// According to firmware, cores of one kind differ by a few per cent, efficiency cores by a third or more.
fn alike(capacity: u32, fast: u32) -> bool {
    capacity * 5 >= fast * 4
}

/// Keeps only some cores, unless fewer than two would remain.
fn narrow(cores: &mut Vec<Core>, keep: impl Fn(&Core) -> bool) {
    if cores.iter().filter(|core| keep(core)).count() >= 2 {
        cores.retain(keep);
    }
}

/// Drops cores, then siblings, until a container's quota can keep all CPUs busy; at least two CPUs remain.
fn fit_quota(topology: &Topology, cores: &mut Vec<Core>) -> Vec<String> {
    let Some(quota) = topology.quota_cpus else {
        return Vec::new();
    };
    let total = |cores: &[Core]| cores.iter().map(|core| core.cpus.len()).sum::<usize>();
    let before = total(cores);
    while cores.len() > 2 && total(cores) as f64 > quota {
        cores.pop();
    }
    if total(cores) as f64 > quota {
        for core in cores.iter_mut() {
            core.cpus.truncate(1);
        }
    }
    if total(cores) == before {
        return Vec::new();
    }
    vec![format!(
        "the container's CPU quota is {quota:.2} CPUs, so {} of {before} CPUs are used",
        total(cores)
    )]
}

fn usable_cores(topology: &Topology) -> Vec<Core> {
    topology
        .cores
        .iter()
        .map(|core| Core {
            cpus: intersection(&core.cpus, &topology.usable),
            ..core.clone()
        })
        .filter(|core| !core.cpus.is_empty())
        .collect()
}

fn cpus_of(cores: &[Core]) -> Vec<u32> {
    cores.iter().flat_map(|core| core.cpus.clone()).collect()
}

fn without(cpus: &[u32], taken: &[u32]) -> Vec<u32> {
    cpus.iter()
        .copied()
        .filter(|cpu| !taken.contains(cpu))
        .collect()
}

fn union(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut both = sorted([one, other].concat());
    both.dedup();
    both
}

fn sorted(mut cpus: Vec<u32>) -> Vec<u32> {
    cpus.sort_unstable();
    cpus
}
