//! What a control group leaves us of the machine: CPU time and CPUs.
//!
//! Version 2 is described in the kernel's `Documentation/admin-guide/cgroup-v2.rst`
//! (`cpu.max`, `cpuset.cpus.effective`), version 1 in `scheduler/sched-bwc.rst` and
//! `admin-guide/cgroup-v1/cpusets.rst`.

use super::{Root, cpu_list};

/// The least CPU time per time that our group or one above it allows, in CPUs; `None`
/// where nothing limits it.
pub(super) fn quota_cpus(root: &Root) -> Option<f64> {
    let two = folders(root, "").into_iter().filter_map(|folder| {
        let text = root.text(&format!("{folder}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        ratio(quota.parse().ok()?, period.parse().ok()?)
    });
    let one = folders(root, "cpu").into_iter().filter_map(|folder| {
        // -1 stands for no limit; `ratio` refuses it.
        let quota = root.number(&format!("{folder}/cpu.cfs_quota_us"))?;
        let period = root.number(&format!("{folder}/cpu.cfs_period_us"))?;
        ratio(quota, period)
    });
    two.chain(one).reduce(f64::min)
}

/// Whether a limit would show. The topmost group has none and so no file of one; then it is
/// enough that its folder can be looked into.
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

/// The CPUs our group may run on, where a cpuset says so.
pub(super) fn cpuset(root: &Root) -> Option<Vec<u32>> {
    let two = folders(root, "")
        .into_iter()
        .map(|folder| format!("{folder}/cpuset.cpus.effective"));
    let one = folders(root, "cpuset")
        .into_iter()
        .map(|folder| format!("{folder}/cpuset.effective_cpus"));
    // The nearest group that has the controller; those above it only hold more.
    two.chain(one)
        .filter_map(|path| cpu_list::parse(&root.text(&path)?).ok())
        .find(|cpus| !cpus.is_empty())
}

fn ratio(quota_us: f64, period_us: f64) -> Option<f64> {
    (quota_us > 0.0 && period_us > 0.0).then(|| quota_us / period_us)
}

/// The folders of our group and of those above it, nearest first; the controller is empty
/// for version 2.
///
/// In a container `/proc/self/cgroup` may name a path of the host which does not exist
/// under the container's own mount; then the folders above it still do.
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
