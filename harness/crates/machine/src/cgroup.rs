//! Limits and counters of our control group: CPU time, CPUs and memory.
//!
//! Version 2 is described in the kernel's `Documentation/admin-guide/cgroup-v2.rst`
//! (`cpu.max`, `cpu.stat`, `cpuset.cpus.effective`, `memory.max`, `memory.events`), version 1 in
//! `scheduler/sched-bwc.rst`, `admin-guide/cgroup-v1/cpusets.rst` and `memory.rst`.

use super::{Root, cpu_list};

/// The strictest CPU quota of our group and those above it, in CPUs; `None` if there is no limit.
pub(super) fn quota_cpus(root: &Root) -> Option<f64> {
    let two = folders(root, "").into_iter().filter_map(|folder| {
        let text = root.text(&format!("{folder}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        ratio(quota.parse().ok()?, period.parse().ok()?)
    });
    let one = folders(root, "cpu").into_iter().filter_map(|folder| {
        // -1 means no limit; `ratio` refuses it.
        let quota = root.number(&format!("{folder}/cpu.cfs_quota_us"))?;
        let period = root.number(&format!("{folder}/cpu.cfs_period_us"))?;
        ratio(quota, period)
    });
    two.chain(one).reduce(f64::min)
}

/// Whether a quota would be visible. The root group has no limit and so no file for one; then it is enough
/// that its folder is readable.
pub(super) fn shows_quota(root: &Root) -> bool {
    let mounted = [
        "cgroup",
        "cgroup/unified",
        "cgroup/cpu",
        "cgroup/cpu,cpuacct",
    ]
    .iter()
    .any(|mount| root.exists(&format!("sys/fs/{mount}/cgroup.procs")));
    let has_file = |controller: &str, file: &str| {
        folders(root, controller)
            .iter()
            .any(|folder| root.exists(&format!("{folder}/{file}")))
    };
    let limited = has_file("", "cpu.max") || has_file("cpu", "cpu.cfs_quota_us");
    root.text("proc/self/cgroup").is_some() && (mounted || limited)
}

/// The CPUs our group may run on, if a cpuset says so.
pub(super) fn cpuset(root: &Root) -> Option<Vec<u32>> {
    // The nearest group that has the controller; groups above it only have more CPUs.
    files(
        root,
        "cpuset.cpus.effective",
        "cpuset",
        "cpuset.effective_cpus",
    )
    .filter_map(|file| cpu_list::parse(&root.text(&file)?).ok())
    .find(|cpus| !cpus.is_empty())
}

/// The strictest memory limit of our group and those above it, bytes; `None` if there is none.
pub(super) fn memory_limit(root: &Root) -> Option<u64> {
    // `max` is not a number. Version 1 uses a number near 2^63 instead, which is no limit either.
    files(root, "memory.max", "memory", "memory.limit_in_bytes")
        .filter_map(|file| root.number(&file))
        .min()
}

/// Counts the periods in which our group, or one above it, was throttled.
#[derive(Debug)]
pub struct ThrottleMeter {
    root: Root,
    before: Option<u64>,
}

impl ThrottleMeter {
    /// Starts counting.
    pub fn start(root: &Root) -> Self {
        Self {
            root: root.clone(),
            before: throttled(root),
        }
    }

    /// The periods since the start; `None` if no group counts them.
    pub fn stop(&self) -> Option<u64> {
        let after = throttled(&self.root)?;
        Some(after.saturating_sub(self.before?))
    }
}

fn throttled(root: &Root) -> Option<u64> {
    files(root, "cpu.stat", "cpu", "cpu.stat")
        .filter_map(|file| counter(root, &file, "nr_throttled"))
        .reduce(|sum, count| sum + count)
}

/// Number of processes in our group that the kernel killed when memory ran out; of the whole machine if the
/// group doesn't count them.
pub fn oom_kills(root: &Root) -> Option<u64> {
    // The nearest group: those above it also count processes of other groups.
    files(root, "memory.events", "memory", "memory.oom_control")
        .chain(["proc/vmstat".to_owned()])
        .find_map(|file| counter(root, &file, "oom_kill"))
}

/// The folder of our own version 2 group, if it enables no controllers for its children.
pub(super) fn without_controllers(root: &Root) -> Option<String> {
    let me = std::process::id().to_string();
    let has_us = |folder: &String| {
        let members = root.text(&format!("{folder}/cgroup.procs"));
        members.is_some_and(|members| members.lines().any(|pid| pid == me))
    };
    let own = folders(root, "").into_iter().find(has_us)?;
    let controllers = root.text(&format!("{own}/cgroup.subtree_control"))?;
    controllers.is_empty().then_some(own)
}

/// The number after a name in a file of `name number` lines.
fn counter(root: &Root, file: &str, name: &str) -> Option<u64> {
    number_behind(&root.text(file)?, name)
}

/// The number after a name in `name number` lines.
pub(super) fn number_behind(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn ratio(quota_us: f64, period_us: f64) -> Option<f64> {
    (quota_us > 0.0 && period_us > 0.0).then(|| quota_us / period_us)
}

/// The files named `two` of our group and of those above it, nearest first, then those of version 1: named `one`,
/// under `controller`.
fn files(root: &Root, two: &str, controller: &str, one: &str) -> impl Iterator<Item = String> {
    let of = |controller, file: &str| {
        let file = file.to_owned();
        let folders = folders(root, controller).into_iter();
        folders.map(move |folder| format!("{folder}/{file}"))
    };
    of("", two).chain(of(controller, one))
}

/// The folders of our group and of those above it, nearest first; `controller` is empty for version 2.
///
/// In a container `/proc/self/cgroup` may name a path of the host that doesn't exist under the container's own
/// mount, but the folders above it do.
fn folders(root: &Root, controller: &str) -> Vec<String> {
    let Some(groups) = root.text("proc/self/cgroup") else {
        return Vec::new();
    };
    let Some(path) = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let _hierarchy = fields.next()?;
        let mut controllers = fields.next()?.split(',');
        let path = fields.next()?;
        controllers.any(|name| name == controller).then_some(path)
    }) else {
        return Vec::new();
    };
    // A group outside our namespace is shown with `..`, which must not leave the mount.
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != "..")
        .collect();
    let mounts: &[&str] = match controller {
        "" => &["sys/fs/cgroup", "sys/fs/cgroup/unified"],
        "cpu" => &["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"],
        "memory" => &["sys/fs/cgroup/memory"],
        _ => &["sys/fs/cgroup/cpuset"],
    };
    let mut folders = Vec::new();
    for mount in mounts {
        for length in (0..=parts.len()).rev() {
            let mut folder = (*mount).to_owned();
            for part in parts.iter().take(length) {
                folder.push('/');
                folder.push_str(part);
            }
            folders.push(folder);
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A tree with this `proc/self/cgroup` and these files.
    fn tree(groups: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in [&[("proc/self/cgroup", groups)], files].concat() {
            put(&tree, path, text);
        }
        tree
    }

    fn put(tree: &tempfile::TempDir, path: &str, text: &str) {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn root(tree: &tempfile::TempDir) -> Root {
        Root::at(tree.path())
    }

    const TWO: &str = "0::/box/inner\n";
    const ONE: &str = "4:memory:/box\n3:cpu,cpuacct:/box\n0::/\n";

    #[test]
    fn throttled_periods_are_those_between_start_and_stop() {
        for (groups, file) in [
            (TWO, "sys/fs/cgroup/box/inner/cpu.stat"),
            (TWO, "sys/fs/cgroup/box/cpu.stat"),
            (ONE, "sys/fs/cgroup/cpu,cpuacct/box/cpu.stat"),
        ] {
            let tree = tree(groups, &[(file, "nr_periods 9\nnr_throttled 4\n")]);
            let meter = ThrottleMeter::start(&root(&tree));
            assert_eq!(meter.stop(), Some(0), "{file}");
            put(
                &tree,
                file,
                "nr_periods 20\nnr_throttled 7\nthrottled_usec 5\n",
            );
            assert_eq!(meter.stop(), Some(3), "{file}");
        }
        // The root group has the file, but is never throttled.
        let top = tree("0::/\n", &[("sys/fs/cgroup/cpu.stat", "usage_usec 5\n")]);
        assert_eq!(ThrottleMeter::start(&root(&top)).stop(), None);
    }

    #[test]
    fn the_least_memory_limit_holds() {
        let limits = [
            ("sys/fs/cgroup/box/inner/memory.max", "max\n"),
            ("sys/fs/cgroup/box/memory.max", "1048576\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
        ];
        assert_eq!(memory_limit(&root(&tree(TWO, &limits))), Some(1 << 20));
        assert_eq!(memory_limit(&root(&tree(TWO, &limits[..1]))), None);
        let one = [("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "4096\n")];
        assert_eq!(memory_limit(&root(&tree(ONE, &one))), Some(4096));
    }

    #[test]
    fn kills_are_those_of_the_nearest_group_that_counts_them() {
        let files = [
            (
                "sys/fs/cgroup/box/inner/memory.events",
                "oom 9\noom_kill 2\noom_group_kill 0\n",
            ),
            ("sys/fs/cgroup/box/memory.events", "oom_kill 5\n"),
            ("proc/vmstat", "pgfault 1\noom_kill 8\n"),
        ];
        assert_eq!(oom_kills(&root(&tree(TWO, &files))), Some(2));
        assert_eq!(oom_kills(&root(&tree(TWO, &files[1..]))), Some(5));
        assert_eq!(oom_kills(&root(&tree(TWO, &files[2..]))), Some(8));
        assert_eq!(oom_kills(&root(&tree(TWO, &[]))), None);
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        let one = [("sys/fs/cgroup/memory/box/memory.oom_control", control)];
        assert_eq!(oom_kills(&root(&tree(ONE, &one))), Some(3));
    }
}
