//! The machine's description and findings on trees.

use std::time::Duration;

use crate::trees::{self, Tree};
use machine::{Environment, Finding, Level};
use machine::{Layout, Needs, Now, Root, Stolen, Topology};

const NEEDS: Needs = Needs { connections: 64 };

fn found(tree: &Tree, needs: Needs) -> Vec<Finding> {
    found_now(tree, needs, &Now::default())
}

fn found_now(tree: &Tree, needs: Needs, now: &Now) -> Vec<Finding> {
    let topology = tree.topology();
    let layout = Layout::choose(&topology).unwrap();
    machine::findings(&tree.root(), &topology, &layout, needs, now)
}

/// With the CPUs given by hand.
fn by_hand(tree: &Tree, server: &str, driver: &str, id: &str) -> Finding {
    let topology = tree.topology();
    let layout = Layout::new(&topology, Some(server), Some(driver)).unwrap();
    let now = Now::default();
    let all = machine::findings(&tree.root(), &topology, &layout, NEEDS, &now);
    all.into_iter().find(|finding| finding.id == id).unwrap()
}

fn one(tree: &Tree, id: &str) -> Finding {
    let all = found(tree, NEEDS);
    all.into_iter().find(|finding| finding.id == id).unwrap()
}

fn level(tree: &Tree, id: &str) -> Level {
    one(tree, id).level
}

fn described(tree: &Tree) -> Environment {
    let topology = tree.topology();
    let layout = Layout::choose(&topology).unwrap();
    machine::read(&tree.root(), &topology, &layout, "rustc 1.95.0\n")
}

#[test]
fn the_captured_machine_is_described() {
    let environment = described(&trees::captured());
    assert_eq!(environment.cpu_model, "Intel(R) Xeon(R) Processor");
    assert_eq!(
        (
            environment.logical_cpus,
            environment.physical_cores,
            environment.numa_nodes
        ),
        (2, 2, 1)
    );
    assert_eq!(environment.memory_bytes, 24_684_092 * 1024);
    assert_eq!(environment.kernel, "6.18.44");
    assert_eq!(environment.rustc, "rustc 1.95.0");
    assert_eq!(environment.governor, None);
    assert_eq!(environment.clock_source.as_deref(), Some("tsc"));
    let virtualisation = environment.virtualisation.unwrap();
    assert_eq!(virtualisation, "virtual machine (KVM), container (docker)");
    assert_eq!(
        (environment.server_cpus, environment.driver_cpus),
        (vec![0], vec![1])
    );
}

#[test]
fn the_fingerprint_follows_what_must_be_equal_and_nothing_else() {
    let tree = trees::laptop();
    let first = described(&tree).fingerprint;
    assert_eq!(first.len(), 64);
    // A kernel update takes a few megabytes; the load changes all the time.
    tree.put("proc/meminfo", "MemTotal: 16010000 kB");
    tree.put("proc/loadavg", "9.00 9.00 9.00 1/400 1234");
    assert_eq!(described(&tree).fingerprint, first);
    for (path, content, member) in [
        ("proc/meminfo", "MemTotal: 32000000 kB", "memory_gib"),
        ("proc/sys/kernel/osrelease", "6.1.0", "kernel"),
        (
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "performance",
            "governor",
        ),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "hpet",
            "clock_source",
        ),
        ("proc/self/status", "Cpus_allowed_list:\t0-3", "server_cpus"),
        ("proc/cpuinfo", "model name\t: Another CPU", "cpu_model"),
        (".dockerenv", "", "virtualisation"),
    ] {
        let before = described(&tree);
        tree.put(path, content);
        let after = described(&tree);
        assert_ne!(after.fingerprint, before.fingerprint, "{path}");
        let named: Vec<&str> = machine::differences(&before, &after)
            .iter()
            .map(|difference| difference.member)
            .collect();
        assert!(named.contains(&member), "{path}: {named:?}");
    }
}

#[test]
fn machines_differ_by_name_in_pinning_and_where_only_the_fingerprint_does() {
    let machine = described(&trees::laptop());
    assert_eq!(machine::differences(&machine, &machine.clone()), []);
    let mut other = machine.clone();
    other.pinned = !other.pinned;
    let found = machine::differences(&machine, &other);
    assert_eq!((found.len(), found[0].member), (1, "pinned"));
    let mut other = machine.clone();
    other.fingerprint = "of a harness that looks at more".into();
    let found = machine::differences(&machine, &other);
    assert_eq!((found.len(), found[0].member), (1, "fingerprint"));
}

#[test]
fn a_machine_without_a_model_name_has_its_part_number() {
    assert_eq!(
        described(&trees::one_cpu()).cpu_model,
        "implementer 0x41 part 0xd08"
    );
}

#[test]
fn hypervisors_and_containers_are_told_apart() {
    let name = |files: &[(&str, &str)]| {
        let tree = trees::smt_off();
        for (path, content) in files {
            tree.put(path, content);
        }
        described(&tree).virtualisation
    };
    let vendor = "sys/class/dmi/id/sys_vendor";
    let product = "sys/class/dmi/id/product_name";
    assert_eq!(name(&[]), None);
    // A cloud's bare-metal machine: its name, but no hypervisor.
    assert_eq!(
        name(&[(vendor, "Amazon EC2"), (product, "c7i.metal-24xl")]),
        None
    );
    let flag = ("proc/cpuinfo", "flags : fpu hypervisor tsc");
    assert_eq!(name(&[flag]).as_deref(), Some("virtual machine (unknown)"));
    assert_eq!(
        name(&[(vendor, "QEMU")]).as_deref(),
        Some("virtual machine (KVM)")
    );
    let hyper_v = [
        (vendor, "Microsoft Corporation"),
        (product, "Virtual Machine"),
    ];
    assert_eq!(name(&hyper_v).as_deref(), Some("virtual machine (Hyper-V)"));
    let podman = name(&[("run/.containerenv", "")]);
    assert_eq!(podman.as_deref(), Some("container (podman)"));
    let pod = name(&[("proc/self/cgroup", "0::/kubepods.slice/pod1")]);
    assert_eq!(pod.as_deref(), Some("container (kubepods)"));
}

#[test]
fn every_tree_gets_every_finding_once() {
    let ids = |tree: &Tree| -> Vec<String> {
        found(tree, NEEDS)
            .into_iter()
            .map(|finding| finding.id)
            .collect()
    };
    let expected = ids(&trees::captured());
    assert!(expected.len() >= 20);
    for tree in [
        trees::laptop(),
        trees::two_sockets(),
        trees::smt_off(),
        trees::one_cpu(),
        trees::isolated(),
    ] {
        assert_eq!(ids(&tree), expected);
    }
}

#[test]
fn what_cannot_be_seen_is_unknown_and_no_warning() {
    for finding in found(&trees::one_cpu(), NEEDS) {
        // The one thing that is known of this machine.
        if finding.id == "layout" {
            assert_eq!(finding.level, Level::Warn);
            assert!(finding.found.contains("only one CPU"), "{finding:?}");
        } else {
            assert!(finding.is_unknown(), "{finding:?}");
            assert_eq!((finding.level, finding.fix), (Level::Ok, None));
        }
    }
    let governor = one(&trees::one_cpu(), "governor");
    assert_eq!(
        governor.found,
        "unknown: cannot read /sys/devices/system/cpu/cpuN/cpufreq/scaling_governor"
    );
}

#[test]
fn a_hidden_folder_leaves_nothing_ok_that_was_read_from_it() {
    for (hidden, ids) in [
        (
            "sys/devices/system/cpu",
            &["smt", "isolated", "mitigations"][..],
        ),
        ("sys/devices/system", &["numa", "clock-source"]),
        ("sys/fs/cgroup", &["quota", "memory-limit"]),
        ("proc/self", &["quota", "memory-limit", "descriptors"]),
        ("proc/pressure", &["pressure"]),
        (
            "proc",
            &[
                "steal",
                "load",
                "ports",
                "somaxconn",
                "tcp-tw-reuse",
                "swap",
            ],
        ),
        ("sys/class", &["loopback-mtu"]),
        ("sys/kernel", &["huge-pages"]),
    ] {
        let tree = trees::captured();
        let seen = found(&tree, NEEDS);
        // What is left is the processors' list.
        let online = tree.get("proc/cpuinfo");
        std::fs::remove_dir_all(tree.path().join(hidden)).unwrap();
        tree.put("proc/cpuinfo", &online);
        let after = found(&tree, NEEDS);
        for id in ids {
            let of = |all: &[Finding]| all.iter().find(|f| f.id == *id).unwrap().clone();
            assert!(!of(&seen).is_unknown(), "{id}: {:?}", of(&seen));
            assert!(
                of(&after).is_unknown(),
                "without {hidden}: {:?}",
                of(&after)
            );
        }
    }
    let tree = trees::smt_off();
    tree.put("proc/cpuinfo", "processor\t: 0\nflags\t: fpu tsc");
    assert_eq!(one(&tree, "virtualisation").found, "none found");
    std::fs::remove_file(tree.path().join("proc/cpuinfo")).unwrap();
    assert!(one(&tree, "virtualisation").is_unknown());
}

#[test]
fn what_happens_now_counts_before_what_happened_earlier() {
    let tree = trees::captured();
    let levels = |stolen| {
        let window = Duration::from_millis(1200);
        let all = found_now(&tree, NEEDS, &Now { window, stolen });
        ["steal", "pressure", "load"].map(|id| {
            let finding = all.iter().find(|finding| finding.id == id).unwrap();
            (finding.level, finding.found.clone())
        })
    };
    use Level::{Fail, Ok, Warn};
    let quiet = levels(Stolen {
        steal: Some(0.002),
        other: Some(0.01),
        pressure: Some(0.0),
    });
    assert_eq!(quiet.clone().map(|(level, _)| level), [Ok, Ok, Ok]);
    for (_, found) in &quiet {
        assert!(found.contains("over 1.2 s"), "{found}");
    }
    assert!(quiet[0].1.contains("since boot"), "{quiet:?}");
    let busy = levels(Stolen {
        steal: Some(0.2),
        other: Some(0.4),
        pressure: Some(0.07),
    });
    assert_eq!(busy.map(|(level, _)| level), [Fail, Warn, Warn]);
    // Where the window showed nothing, the kernel's own averages do.
    let unknown = levels(Stolen::default());
    assert_eq!(unknown.clone().map(|(level, _)| level), [Warn, Fail, Warn]);
    assert!(unknown.iter().all(|(_, found)| !found.contains("1.2 s")));
}

#[test]
fn cpus_that_would_stay_idle_are_warned_of() {
    let idle = |connections| {
        let all = found(&trees::two_sockets(), Needs { connections });
        let layout = all.into_iter().find(|f| f.id == "layout").unwrap();
        (layout.level, layout.found)
    };
    assert_eq!(idle(16).0, Level::Ok);
    let (level, found) = idle(10);
    assert_eq!(level, Level::Warn);
    assert!(
        found.contains("with --connections 10 6 of the 16 CPUs of the server and 6 of the 16"),
        "{found}"
    );
}

#[test]
fn what_is_amiss_can_be_mended() {
    for tree in [
        trees::captured(),
        trees::laptop(),
        trees::two_sockets(),
        trees::isolated(),
        trees::one_cpu(),
        trees::quota("100000 100000"),
    ] {
        for finding in found(
            &tree,
            Needs {
                connections: 30_000,
            },
        ) {
            let amiss = finding.level > Level::Ok;
            assert_eq!(finding.fix.is_some(), amiss, "{finding:?}");
            assert!(!finding.why.is_empty());
        }
    }
}

#[test]
fn the_captured_machine_is_a_busy_guest() {
    let tree = trees::captured();
    let warned: Vec<String> = found(&tree, NEEDS)
        .into_iter()
        .filter(|finding| finding.level > Level::Ok)
        .map(|finding| finding.id)
        .collect();
    // It was building this workspace when it was captured.
    assert_eq!(warned, ["steal", "pressure", "load", "virtualisation"]);
}

#[test]
fn an_untuned_laptop_is_warned_of() {
    let tree = trees::laptop();
    let governor = one(&tree, "governor");
    assert_eq!(
        (governor.level, governor.found.as_str()),
        (Level::Warn, "powersave")
    );
    assert_eq!(governor.fix.as_deref(), Some("sudo scripts/tune-host"));
    assert_eq!(level(&tree, "turbo"), Level::Warn);
    assert!(one(&tree, "thermal").found.contains("24 times"));
    assert_eq!(level(&tree, "smt"), Level::Ok);
    assert_eq!(level(&tree, "load"), Level::Ok);
}

#[test]
fn a_tuned_machine_is_not() {
    for finding in found(&trees::smt_off(), NEEDS) {
        assert_eq!(finding.level, Level::Ok, "{finding:?}");
    }
}

#[test]
fn cpus_shared_or_far_apart_are_warned_of() {
    let tree = trees::two_sockets();
    let with = |server, driver, id| by_hand(&tree, server, driver, id);
    assert_eq!(with("0", "1", "smt").level, Level::Ok);
    assert_eq!(with("0", "32", "smt").level, Level::Warn);
    assert!(with("0", "16", "numa").found.contains("several nodes"));
    assert!(with("0", "1", "numa").found.contains("numa_balancing"));
    tree.put("proc/sys/kernel/numa_balancing", "0");
    assert_eq!(with("0", "1", "numa").level, Level::Ok);
}

#[test]
fn isolated_cpus_are_warned_of_only_on_the_servers_side() {
    let tree = trees::isolated();
    assert_eq!(level(&tree, "isolated"), Level::Ok);
    let isolated = by_hand(&tree, "4-7", "0-3", "isolated");
    assert_eq!(isolated.level, Level::Warn);
}

#[test]
fn a_quota_is_warned_of_and_one_too_small_fails() {
    assert_eq!(level(&trees::quota("150000 100000"), "quota"), Level::Fail);
    assert_eq!(level(&trees::quota("200000 100000"), "quota"), Level::Warn);
    assert_eq!(level(&trees::quota("max 100000"), "quota"), Level::Ok);
}

#[test]
fn a_small_memory_limit_is_warned_of() {
    let with = |max: &str| {
        let tree = trees::quota("max 100000");
        tree.put("sys/fs/cgroup/harness/memory.max", max);
        one(&tree, "memory-limit")
    };
    let small = with("536870912");
    assert_eq!(small.level, Level::Warn);
    assert!(small.found.contains("512 MiB"), "{}", small.found);
    assert_eq!(with("2147483648").level, Level::Ok);
    // More than the machine has, and none.
    for none in ["9223372036854771712", "max"] {
        assert_eq!(with(none).found, "no limit on memory");
    }
}

#[test]
fn limits_are_held_against_what_is_needed() {
    let tree = trees::laptop();
    tree.put("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999");
    tree.put("proc/sys/net/core/somaxconn", "128");
    let levels = |connections: u32| -> Vec<Level> {
        let all = found(&tree, Needs { connections });
        ["descriptors", "ports", "somaxconn"]
            .iter()
            .map(|id| all.iter().find(|finding| finding.id == *id).unwrap().level)
            .collect()
    };
    use Level::{Fail, Ok, Warn};
    assert_eq!(levels(64), [Ok, Ok, Ok]);
    // Between the soft limit of 1024 and the hard one of 4096 the harness helps itself.
    assert_eq!(levels(1024), [Ok, Ok, Warn]);
    assert_eq!(levels(2000), [Fail, Ok, Warn]);
    assert_eq!(levels(20_000), [Fail, Warn, Warn]);
    assert_eq!(levels(40_000), [Fail, Fail, Warn]);
}

#[test]
fn single_files_decide_single_findings() {
    use Level::{Fail, Ok, Warn};
    let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    let cases = [
        ("clock-source", clock, "tsc", Ok),
        ("clock-source", clock, "hpet", Warn),
        ("clock-source", clock, "refined-jiffies", Fail),
        ("tcp-tw-reuse", "proc/sys/net/ipv4/tcp_tw_reuse", "0", Warn),
        ("tcp-tw-reuse", "proc/sys/net/ipv4/tcp_tw_reuse", "2", Ok),
        ("loopback-mtu", "sys/class/net/lo/mtu", "65536", Ok),
        ("loopback-mtu", "sys/class/net/lo/mtu", "1500", Warn),
        ("turbo", "sys/devices/system/cpu/cpufreq/boost", "1", Warn),
        (
            "pressure",
            "proc/pressure/cpu",
            "some avg10=1.00 avg60=0 avg300=0 total=0",
            Ok,
        ),
        (
            "pressure",
            "proc/pressure/cpu",
            "some avg10=9.00 avg60=0 avg300=0 total=0",
            Warn,
        ),
        (
            "pressure",
            "proc/pressure/cpu",
            "some avg10=60.00 avg60=0 avg300=0 total=0",
            Fail,
        ),
        ("load", "proc/loadavg", "2.50 0 0 1/1 1", Warn),
        ("load", "proc/loadavg", "0.05 0 0 1/1 1", Ok),
        ("steal", "proc/stat", "cpu0 900 0 0 5000 0 0 0 2 0 0", Ok),
        ("steal", "proc/stat", "cpu0 900 0 0 5000 0 0 0 20 0 0", Warn),
        (
            "steal",
            "proc/stat",
            "cpu0 900 0 0 5000 0 0 0 200 0 0",
            Fail,
        ),
        (
            "huge-pages",
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] madvise never",
            Warn,
        ),
        (
            "huge-pages",
            "sys/kernel/mm/transparent_hugepage/enabled",
            "always madvise [never]",
            Ok,
        ),
        (
            "swap",
            "proc/meminfo",
            "MemAvailable: 90000 kB\nSwapTotal: 900000 kB\nSwapFree: 10 kB",
            Warn,
        ),
        (
            "thermal",
            "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
            "0",
            Ok,
        ),
    ];
    for (id, path, content, expected) in cases {
        let tree = trees::smt_off();
        tree.put(path, content);
        assert_eq!(level(&tree, id), expected, "{path}: {content}");
    }
    let tree = trees::smt_off();
    tree.put(
        "sys/devices/system/cpu/vulnerabilities/meltdown",
        "Vulnerable",
    );
    assert_eq!(level(&tree, "mitigations"), Ok);
    tree.put("proc/cmdline", "quiet mitigations=off");
    assert_eq!(level(&tree, "mitigations"), Warn);
}

#[test]
fn this_machine_can_be_looked_at() {
    let root = Root::host();
    let topology = Topology::read(&root).unwrap();
    let layout = Layout::choose(&topology).unwrap();
    let environment = machine::read(&root, &topology, &layout, "rustc");
    assert!(environment.memory_bytes > 1 << 20);
    assert!(!environment.kernel.is_empty());
    let findings = machine::findings(&root, &topology, &layout, NEEDS, &Now::default());
    assert!(findings.iter().all(|finding| !finding.why.is_empty()));
}
