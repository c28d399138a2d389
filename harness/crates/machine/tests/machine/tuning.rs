//! `scripts/tune-host` and `scripts/restore-host` on trees.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::trees::{self, Tree};
use machine::Level;
use machine::{Layout, Needs, Now};

const GOVERNOR: &str = "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor";
const NO_TURBO: &str = "sys/devices/system/cpu/intel_pstate/no_turbo";
const SOMAXCONN: &str = "proc/sys/net/core/somaxconn";
const PORTS: &str = "proc/sys/net/ipv4/ip_local_port_range";
const TW_REUSE: &str = "proc/sys/net/ipv4/tcp_tw_reuse";
const STATE: &str = "var/tmp/bench-host/tune-host.state";

fn untuned() -> Tree {
    let tree = trees::laptop();
    tree.put(SOMAXCONN, "128");
    tree.put(PORTS, "32768\t60999");
    tree.put(TW_REUSE, "0");
    tree
}

fn path_of(script: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../scripts")
        .join(script)
}

fn run(script: &str, tree: &Tree, arguments: &[&str]) -> Output {
    Command::new(path_of(script))
        .args(arguments)
        .arg("--root")
        .arg(tree.path())
        .env_remove("HOST_STATE_DIR")
        .output()
        .unwrap()
}

/// Runs a script that must succeed; its standard output.
fn done(script: &str, tree: &Tree, arguments: &[&str]) -> String {
    let output = run(script, tree, arguments);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn settings(tree: &Tree) -> [String; 5] {
    [GOVERNOR, NO_TURBO, SOMAXCONN, PORTS, TW_REUSE].map(|path| tree.get(path))
}

#[test]
fn what_was_set_is_put_back() {
    let tree = untuned();
    let before = settings(&tree);
    let said = done("tune-host", &tree, &["--no-turbo"]);
    assert_eq!(
        settings(&tree),
        ["performance", "1", "4096", "15000 60999", "2"]
    );
    assert!(said.contains("powersave -> performance"), "{said}");
    assert!(
        said.contains("12 changed. To undo: sudo scripts/restore-host"),
        "{said}"
    );
    assert!(done("restore-host", &tree, &[]).contains("Restored."));
    // The kernel takes a space for the tab.
    assert_eq!(settings(&tree), before.map(|text| text.replace('\t', " ")));
    assert!(!tree.path().join("var/tmp/bench-host").exists());
}

#[test]
fn running_twice_keeps_the_first_values() {
    let tree = untuned();
    done("tune-host", &tree, &[]);
    assert_eq!(tree.get(NO_TURBO), "0", "only when asked for");
    // Somebody changes one in between; then the second run sets it again.
    tree.put(SOMAXCONN, "256");
    done("tune-host", &tree, &["--no-turbo"]);
    assert_eq!(tree.get(SOMAXCONN), "4096");
    done("restore-host", &tree, &[]);
    assert_eq!(tree.get(SOMAXCONN), "128");
    assert_eq!(
        (tree.get(GOVERNOR).as_str(), tree.get(NO_TURBO).as_str()),
        ("powersave", "0")
    );
    let said = done("restore-host", &tree, &[]);
    assert!(said.contains("Nothing to restore"), "{said}");
    assert_eq!(tree.get(SOMAXCONN), "128");
    // Somebody put a value back by hand, as the kernel does for a CPU that was away.
    done("tune-host", &tree, &[]);
    tree.put(SOMAXCONN, "128");
    let said = done("restore-host", &tree, &[]);
    assert!(said.contains("is 128 already"), "{said}");
}

#[test]
fn a_boot_has_put_everything_back() {
    const BOOT: &str = "proc/sys/kernel/random/boot_id";
    let tree = untuned();
    tree.put(BOOT, "first");
    done("tune-host", &tree, &[]);
    // The next boot: defaults again, but for what somebody has set for good.
    let boot_anew = |id: &str| {
        tree.put(BOOT, id).put(GOVERNOR, "schedutil");
        tree.put(SOMAXCONN, "256").put(PORTS, "32768\t60999");
    };
    boot_anew("second");
    let said = done("restore-host", &tree, &["--dry-run"]);
    assert!(said.contains("rebooted"), "{said}");
    assert!(tree.path().join(STATE).exists());
    done("restore-host", &tree, &[]);
    assert_eq!(tree.get(SOMAXCONN), "256", "not the first boot's 128");
    assert!(!tree.path().join("var/tmp/bench-host").exists());
    // Tuned in one boot and again in the next, without restoring in between.
    done("tune-host", &tree, &[]);
    boot_anew("third");
    tree.put(SOMAXCONN, "512");
    done("tune-host", &tree, &[]);
    assert_eq!(tree.get(SOMAXCONN), "4096");
    done("restore-host", &tree, &[]);
    assert_eq!(tree.get(SOMAXCONN), "512");
    assert_eq!(tree.get(GOVERNOR), "schedutil");
}

#[test]
fn what_cannot_be_read_or_written_is_passed_over() {
    let tree = untuned();
    // To read a folder as a file fails for root, too.
    std::fs::remove_file(tree.path().join(GOVERNOR)).unwrap();
    std::fs::create_dir(tree.path().join(GOVERNOR)).unwrap();
    let said = done("tune-host", &tree, &[]);
    assert!(said.contains("cannot be read, passed over"), "{said}");
    assert_eq!(tree.get(SOMAXCONN), "4096", "the rest is done");
    done("restore-host", &tree, &[]);
    assert_eq!(tree.get(SOMAXCONN), "128");
}

#[test]
fn a_dry_run_changes_nothing() {
    let tree = untuned();
    let before = settings(&tree);
    let said = done("tune-host", &tree, &["--dry-run", "--no-turbo"]);
    assert!(said.contains("128, would be 4096"), "{said}");
    assert_eq!(settings(&tree), before);
    assert!(!tree.path().join("var").exists());
    done("tune-host", &tree, &[]);
    let said = done("restore-host", &tree, &["--dry-run"]);
    assert!(said.contains("4096, would be 128"), "{said}");
    assert_eq!(tree.get(SOMAXCONN), "4096");
    assert!(tree.path().join(STATE).exists());
}

#[test]
fn what_is_absent_is_passed_over_and_what_is_enough_stays() {
    let tree = trees::one_cpu();
    let said = done("tune-host", &tree, &["--no-turbo"]);
    assert_eq!(said.matches("not here, passed over").count(), 5, "{said}");
    assert!(said.contains("Nothing to change."), "{said}");
    assert!(!tree.path().join("var/tmp/bench-host").exists());
    tree.put(SOMAXCONN, "65535")
        .put(PORTS, "1024 65535")
        .put(TW_REUSE, "1");
    done("tune-host", &tree, &[]);
    assert_eq!(tree.get(SOMAXCONN), "65535");
    assert_eq!(tree.get(PORTS), "1024 65535");
    assert_eq!(tree.get(TW_REUSE), "1");
}

#[test]
fn it_mends_what_the_findings_name_it_for() {
    let tree = untuned();
    let topology = tree.topology();
    let layout = Layout::choose(&topology).unwrap();
    // As many connections as the scripts care for.
    let needs = Needs { connections: 4096 };
    let mendable = || -> Vec<String> {
        machine::findings(&tree.root(), &topology, &layout, needs, &Now::default())
            .into_iter()
            .filter(|finding| finding.level > Level::Ok)
            .filter(|finding| {
                finding
                    .fix
                    .as_deref()
                    .is_some_and(|fix| fix.starts_with("sudo scripts/"))
            })
            .map(|finding| finding.id)
            .collect()
    };
    assert_eq!(
        mendable(),
        ["governor", "turbo", "somaxconn", "tcp-tw-reuse"]
    );
    done("tune-host", &tree, &["--no-turbo"]);
    assert_eq!(mendable(), Vec::<String>::new());
}

#[test]
fn a_state_that_leads_elsewhere_is_not_followed() {
    let tree = untuned();
    tree.put("etc/passwd", "as it was");
    tree.put(STATE, "etc/passwd\tbroken\nproc/sys/net/../../../etc/passwd\tbroken\nproc/sys/net/core/somaxconn\t99");
    let output = run("restore-host", &tree, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(tree.get("etc/passwd"), "as it was");
    assert_eq!(tree.get(SOMAXCONN), "99");
    // A link in place of the folder may be another user's.
    std::fs::remove_dir_all(tree.path().join("var/tmp/bench-host")).unwrap();
    std::fs::create_dir(tree.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../../elsewhere", tree.path().join("var/tmp/bench-host")).unwrap();
    let output = run("tune-host", &tree, &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(tree.get(SOMAXCONN), "99");
}

#[test]
fn without_root_nothing_is_tried() {
    for script in ["tune-host", "restore-host"] {
        let mut command = Command::new("bash");
        command
            .arg("-s")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if rustix::process::geteuid().is_root() {
            // `nobody` may not enter the folder of the workspace, so it reads the script
            // from its input, and stands in a folder all may enter.
            command.uid(65534).gid(65534).current_dir("/");
        }
        let mut child = command.spawn().unwrap();
        let text = std::fs::read(path_of(script)).unwrap();
        // It may end before it has read all.
        let _ = child.stdin.take().unwrap().write_all(&text);
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("needs root"), "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_and_bad_flags() {
    for script in ["tune-host", "restore-host"] {
        let said = done(script, &Tree::empty(), &["--help"]);
        assert!(said.contains("--dry-run"), "{said}");
        let output = run(script, &Tree::empty(), &["--nonsense"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            String::from_utf8(output.stderr)
                .unwrap()
                .contains("--nonsense")
        );
    }
}
