//! Trees of `/sys` and `/proc`; see README.md for where each is from.

#![allow(
    clippy::unwrap_used,
    reason = "a tree that cannot be written is a failed test"
)]
#![allow(dead_code, reason = "each test file uses some of them")]

use std::fs;

use machine::{Root, Topology};
use tempfile::TempDir;

const CPU: &str = "sys/devices/system/cpu";

/// A tree in a folder that goes with it.
pub(crate) struct Tree {
    folder: TempDir,
}

impl Tree {
    pub(crate) fn empty() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// Unpacks a captured tree.
    pub(crate) fn captured(text: &str) -> Self {
        let tree = Self::empty();
        for file in text.split("\n== ") {
            let (path, content) = file.split_once('\n').unwrap_or((file, ""));
            tree.put(path.trim_start_matches("== "), content);
        }
        tree
    }

    /// Writes, or overwrites, a file.
    pub(crate) fn put(&self, path: &str, content: &str) -> &Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{content}\n")).unwrap();
        self
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join(path)).unwrap();
        text.trim().to_owned()
    }

    pub(crate) fn root(&self) -> Root {
        Root::at(self.folder.path())
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn topology(&self) -> Topology {
        Topology::read(&self.root()).unwrap()
    }

    fn cpu(&self, cpu: u32, siblings: &str, package: u32) -> &Self {
        let topology = format!("{CPU}/cpu{cpu}/topology");
        self.put(&format!("{topology}/thread_siblings_list"), siblings);
        self.put(
            &format!("{topology}/physical_package_id"),
            &package.to_string(),
        )
    }

    fn governor(&self, cpus: std::ops::Range<u32>, governor: &str) -> &Self {
        for cpu in cpus {
            self.put(
                &format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor"),
                governor,
            );
        }
        self
    }

    fn allowed(&self, list: &str) -> &Self {
        self.put(
            "proc/self/status",
            &format!("Name:\tharness\nCpus_allowed_list:\t{list}"),
        )
    }
}

pub(crate) fn captured() -> Tree {
    Tree::captured(include_str!("captured-two-core-vm.txt"))
}

pub(crate) fn laptop() -> Tree {
    let tree = Tree::empty();
    tree.put(&format!("{CPU}/online"), "0-7")
        .put(&format!("{CPU}/isolated"), "");
    for cpu in 0..8 {
        let core = cpu % 4;
        tree.cpu(cpu, &format!("{core},{}", core + 4), 0);
        tree.put(
            &format!("{CPU}/cpu{cpu}/thermal_throttle/core_throttle_count"),
            "3",
        );
    }
    tree.governor(0..8, "powersave")
        .put(&format!("{CPU}/intel_pstate/no_turbo"), "0")
        .put("sys/devices/system/node/node0/cpulist", "0-7")
        .put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Made Laptop CPU\nflags\t\t: fpu tsc")
        .put("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 9000000 kB\nSwapTotal: 2000000 kB\nSwapFree: 1999000 kB")
        .put("proc/loadavg", "0.10 0.20 0.30 1/400 1234")
        .put("proc/self/limits", "Max open files            1024                 4096                 files")
        .allowed("0-7");
    tree
}

pub(crate) fn two_sockets() -> Tree {
    let tree = Tree::empty();
    tree.put(&format!("{CPU}/online"), "0-63")
        .put(&format!("{CPU}/isolated"), "");
    for cpu in 0..64 {
        let core = cpu % 32;
        tree.cpu(cpu, &format!("{core},{}", core + 32), core / 16);
    }
    tree.governor(0..64, "performance")
        .put("sys/devices/system/node/node0/cpulist", "0-15,32-47")
        .put("sys/devices/system/node/node1/cpulist", "16-31,48-63")
        // A node of memory only.
        .put("sys/devices/system/node/node2/cpulist", "")
        .put("proc/sys/kernel/numa_balancing", "1")
        .allowed("0-63");
    tree
}

pub(crate) fn smt_off() -> Tree {
    let tree = Tree::empty();
    tree.put(&format!("{CPU}/online"), "0-7")
        .put(&format!("{CPU}/isolated"), "");
    for cpu in 0..8 {
        tree.cpu(cpu, &cpu.to_string(), 0);
    }
    tree.governor(0..8, "performance")
        .put(&format!("{CPU}/cpufreq/boost"), "0")
        .put("sys/devices/system/node/node0/cpulist", "0-15")
        .put(
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "tsc",
        )
        .allowed("0-7");
    tree
}

pub(crate) fn one_cpu() -> Tree {
    let tree = Tree::empty();
    tree.put(
        "proc/cpuinfo",
        "processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd08",
    );
    tree
}

pub(crate) fn quota(max: &str) -> Tree {
    let tree = laptop();
    tree.put("proc/self/cgroup", "0::/harness")
        .put("sys/fs/cgroup/harness/cpu.max", max)
        .put("sys/fs/cgroup/cpu.max", "max 100000")
        .put("run/.containerenv", "");
    tree
}

pub(crate) fn isolated() -> Tree {
    let tree = smt_off();
    tree.put(&format!("{CPU}/isolated"), "4-7").allowed("0-3");
    tree
}

/// As is usual on a machine kept for measuring: the first two cores do the rest.
pub(crate) fn mostly_isolated() -> Tree {
    let tree = smt_off();
    tree.put(&format!("{CPU}/isolated"), "2-7").allowed("0-1");
    tree
}

pub(crate) fn sixty_four_cores() -> Tree {
    let tree = Tree::empty();
    tree.put(&format!("{CPU}/online"), "0-127")
        .put(&format!("{CPU}/isolated"), "");
    for cpu in 0..128 {
        let core = cpu % 64;
        tree.cpu(cpu, &format!("{core},{}", core + 64), 0);
    }
    tree.governor(0..128, "performance")
        .put("sys/devices/system/node/node0/cpulist", "0-127")
        .allowed("0-127");
    tree
}

/// A phone's or a small board's processor: slow cores first, and one that is faster than all.
pub(crate) fn big_little() -> Tree {
    let tree = Tree::empty();
    tree.put(&format!("{CPU}/online"), "0-7");
    for (cpu, capacity) in (0..8).zip([250, 250, 250, 250, 780, 780, 780, 1024]) {
        tree.cpu(cpu, &cpu.to_string(), 0).put(
            &format!("{CPU}/cpu{cpu}/cpu_capacity"),
            &capacity.to_string(),
        );
    }
    tree.allowed("0-7");
    tree
}

/// The same as [`hybrid`] on a kernel that knows no capacities of such processors.
pub(crate) fn older_hybrid() -> Tree {
    let tree = hybrid();
    for cpu in 0..12 {
        fs::remove_file(tree.path().join(format!("{CPU}/cpu{cpu}/cpu_capacity"))).unwrap();
    }
    tree.put("sys/devices/cpu_core/cpus", "0-7")
        .put("sys/devices/cpu_atom/cpus", "8-11");
    tree
}

pub(crate) fn hybrid() -> Tree {
    let tree = Tree::empty();
    tree.put(&format!("{CPU}/online"), "0-11");
    for cpu in 0..8 {
        let first = cpu / 2 * 2;
        tree.cpu(cpu, &format!("{first}-{}", first + 1), 0);
        // One favoured core, as turbo boost 3.0 has it.
        let capacity = if cpu < 2 { "1024" } else { "1009" };
        tree.put(&format!("{CPU}/cpu{cpu}/cpu_capacity"), capacity);
    }
    for cpu in 8..12 {
        tree.cpu(cpu, &cpu.to_string(), 0);
        tree.put(&format!("{CPU}/cpu{cpu}/cpu_capacity"), "623");
    }
    tree.allowed("0-11");
    tree
}
