//! A control group for one server, whose CPU time the kernel counts.
//!
//! Every version 2 group has a `cpu.stat` with the CPU time of everything that ran in it, ended processes
//! included, in microseconds (the kernel's `Documentation/admin-guide/cgroup-v2.rst`). It needs no controller,
//! and a group without controllers changes nothing for its processes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{Root, cgroup};

/// Prefix of the group's folder; the id of the process that created it follows.
const NAME: &str = "harness-";
/// Killed processes leave their group with a short delay.
const REMOVE_TRIES: u32 = 100;

/// CPU time since the group was created, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuUsage {
    /// User and kernel time.
    pub total_ns: u64,
    /// In user space.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
}

/// Reads the CPU time of a group.
#[derive(Debug)]
pub struct CpuMeter(File);

impl CpuMeter {
    /// `None` if the group has no such file.
    pub fn open(folder: &Path) -> Option<Self> {
        File::open(folder.join("cpu.stat")).ok().map(Self)
    }

    /// `None` if the group is gone.
    pub fn read(&self) -> Option<CpuUsage> {
        // The file has about a dozen lines of a name and a number.
        let mut buffer = [0_u8; 2048];
        let length = self.0.read_at(&mut buffer, 0).ok()?;
        let text = str::from_utf8(buffer.get(..length)?).ok()?;
        let ns = |name| Some(1_000 * cgroup::number_behind(text, name)?);
        Some(CpuUsage {
            total_ns: ns("usage_usec")?,
            user_ns: ns("user_usec")?,
            system_ns: ns("system_usec")?,
        })
    }
}

/// Creates a group below our own and moves this process into it; processes it starts later are in it too.
/// Returns the group's folder; `None` if the system has no version 2 groups or doesn't allow it.
pub fn enter(root: &Root) -> Option<PathBuf> {
    let above = cgroup::without_controllers(root)?;
    remove_left_behind(root, &above);
    let folder = root.path(&format!("{above}/{NAME}{}", std::process::id()));
    fs::create_dir(&folder).ok()?;
    // 0 means the process that writes.
    if fs::write(folder.join("cgroup.procs"), "0").is_err() {
        let _ = fs::remove_dir(&folder);
        return None;
    }
    Some(folder)
}

/// Removes a group whose processes were killed. It stays if one of them is still alive.
pub fn remove(folder: &Path) {
    for _ in 0..REMOVE_TRIES {
        if fs::remove_dir(folder).is_ok() || !folder.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Removes groups that a killed harness left behind.
fn remove_left_behind(root: &Root, above: &str) {
    for name in root.names(above) {
        let maker = name.strip_prefix(NAME);
        if maker.is_some_and(|pid| !root.exists(&format!("proc/{pid}"))) {
            let _ = fs::remove_dir(root.path(&format!("{above}/{name}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree in which this process is in the group `box` below the root.
    fn tree(controllers: &str) -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let me = std::process::id();
        for (path, text) in [
            ("proc/self/cgroup", "4:memory:/\n0::/box\n".to_owned()),
            ("sys/fs/cgroup/box/cgroup.procs", format!("1\n{me}\n")),
            (
                "sys/fs/cgroup/box/cgroup.subtree_control",
                controllers.to_owned(),
            ),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = Root::at(folder.path());
        (folder, root)
    }

    #[test]
    fn a_group_is_made_below_ours_and_removed() {
        let (folder, root) = tree("");
        let group = enter(&root).unwrap();
        let own = folder.path().join("sys/fs/cgroup/box");
        assert_eq!(group, own.join(format!("harness-{}", std::process::id())));
        let joined = group.join("cgroup.procs");
        assert_eq!(fs::read_to_string(&joined).unwrap(), "0");
        // The kernel's files vanish with the folder; those of a test tree don't.
        fs::remove_file(joined).unwrap();
        remove(&group);
        assert!(!group.exists());
    }

    #[test]
    fn none_is_made_where_it_would_have_controllers_or_is_not_ours() {
        assert_eq!(enter(&tree("cpu memory\n").1), None);
        let (folder, root) = tree("");
        fs::write(
            folder.path().join("sys/fs/cgroup/box/cgroup.procs"),
            "1\n2\n",
        )
        .unwrap();
        assert_eq!(enter(&root), None);
        assert_eq!(enter(&Root::at("/nonexistent")), None);
    }

    #[test]
    fn a_group_left_behind_is_removed_and_one_in_use_is_not() {
        let (folder, root) = tree("");
        let own = folder.path().join("sys/fs/cgroup/box");
        let (gone, lives) = (own.join("harness-4000001"), own.join("harness-7"));
        for group in [&gone, &lives] {
            fs::create_dir(group).unwrap();
        }
        fs::create_dir_all(folder.path().join("proc/7")).unwrap();
        enter(&root).unwrap();
        assert!(!gone.exists() && lives.exists());
    }

    #[test]
    fn cpu_time_is_read_by_name() {
        let (folder, _) = tree("");
        let text = "usage_usec 535571509\nuser_usec 482743775\nsystem_usec 52827734\nnice_usec 0\n";
        let file = folder.path().join("cpu.stat");
        fs::write(&file, text).unwrap();
        let meter = CpuMeter::open(folder.path()).unwrap();
        let expected = CpuUsage {
            total_ns: 535_571_509_000,
            user_ns: 482_743_775_000,
            system_ns: 52_827_734_000,
        };
        assert_eq!(meter.read(), Some(expected));
        fs::write(&file, "usage_usec 1\n").unwrap();
        assert_eq!(meter.read(), None);
        assert!(CpuMeter::open(&folder.path().join("none")).is_none());
    }
}
