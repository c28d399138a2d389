//! What was taken, and what changed, between two looks at a tree.

use machine::{Finding, Level, Moment};
use machine::{Layout, Recheck, Root, StealMeter, Topology};

#[test]
fn steal_and_other_load_are_what_was_added_since_the_start() {
    let tree = crate::trees::smt_off();
    let stat = |cpu0: &str, own: &str| {
        tree.put(
            "proc/stat",
            &format!("cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 {cpu0}\ncpu1 0 0 0 0 0 0 0 0 0 0"),
        );
        tree.put(
            "proc/self/stat",
            &format!("1 (a b) R 1 1 1 0 -1 0 0 0 0 0 {own} 20 0"),
        );
    };
    // user nice system idle iowait irq softirq steal; utime stime cutime cstime
    stat("1000 0 1000 1000 0 0 0 5000 0 0", "10 10 10 10");
    let meter = StealMeter::start(&tree.root(), &[0], &[0, 1]);
    assert_eq!(meter.stop().steal, None, "nothing has happened");
    stat("1300 0 1200 1400 0 0 0 5100 0 0", "110 110 110 110");
    let stolen = meter.stop();
    // 100 of 300 + 200 + 100; 500 - 400 of 1000.
    assert!((stolen.steal.unwrap() - 1.0 / 6.0).abs() < 1e-9);
    assert!((stolen.other.unwrap() - 0.1).abs() < 1e-9);
}

#[test]
fn threads_that_waited_are_a_share_of_the_time_that_passed() {
    let tree = crate::trees::smt_off();
    let pressure = |total_us: u64| {
        let line = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={total_us}");
        tree.put("proc/pressure/cpu", &line);
    };
    let unknown = StealMeter::start(&tree.root(), &[0], &[0]);
    pressure(5_000);
    assert_eq!(unknown.stop().pressure, None, "unknown at the start");
    let meter = StealMeter::start(&tree.root(), &[0], &[0]);
    assert_eq!(meter.stop().pressure, Some(0.0));
    // An hour of waiting in less than an hour.
    pressure(3_600_000_000);
    assert_eq!(meter.stop().pressure, Some(1.0));
}

#[test]
fn a_change_during_the_run_is_found() {
    let tree = crate::trees::laptop();
    tree.put("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999");
    let topology = tree.topology();
    let layout = Layout::choose(&topology).unwrap();
    let recheck = Recheck::start(&tree.root(), &topology, &layout);
    assert_eq!(recheck.finish(), []);
    // What was unknown and is known now has changed as well.
    for (path, content) in [
        (
            "sys/devices/system/cpu/cpu3/cpufreq/scaling_governor",
            "performance",
        ),
        ("sys/devices/system/cpu/intel_pstate/no_turbo", "1"),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "hpet",
        ),
        ("sys/devices/system/cpu/online", "0-6"),
        ("proc/self/cgroup", "0::/box"),
        ("sys/fs/cgroup/box/cpu.max", "300000 100000"),
        ("proc/self/limits", "Max open files  1024  2048  files"),
        ("proc/sys/net/ipv4/ip_local_port_range", "15000\t60999"),
        ("proc/sys/net/core/somaxconn", "128"),
        ("proc/sys/net/ipv4/tcp_tw_reuse", "0"),
        ("sys/class/net/lo/mtu", "1500"),
        (
            "sys/kernel/mm/transparent_hugepage/enabled",
            "[always] madvise never",
        ),
        (
            "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count",
            "5",
        ),
    ] {
        tree.put(path, content);
    }
    let after = recheck.finish();
    let subjects: Vec<&str> = after.iter().map(Finding::subject).collect();
    assert_eq!(
        subjects,
        [
            "governor",
            "turbo",
            "clock-source",
            "cpus",
            "quota",
            "descriptors",
            "ports",
            "somaxconn",
            "tcp-tw-reuse",
            "loopback-mtu",
            "huge-pages",
            "thermal"
        ]
    );
    assert_eq!(after[0].id, "governor-changed");
    assert_eq!(after[0].found, "was powersave, is performance, powersave");
    assert_eq!(after[2].found, "was unknown, is hpet");
    assert_eq!(after[3].found, "was 0-7 online, is 0-6 online");
    assert_eq!(after[4].found, "was unknown, is 3.00 CPUs of time");
    assert_eq!(after[6].found, "was 32768 to 60999, is 15000 to 60999");
    assert_eq!(after[11].found, "throttled 2 times during the run");
    for finding in &after {
        assert_eq!(finding.level, Level::Warn);
        assert_eq!(finding.moment(), Moment::Changed);
    }
}

#[test]
fn what_was_taken_during_the_run_is_told_from_what_changed() {
    let tree = crate::trees::smt_off();
    tree.put(
        "proc/stat",
        "cpu0 0 0 0 0 0 0 0 0 0 0\ncpu4 0 0 0 0 0 0 0 0 0 0",
    );
    tree.put(
        "proc/self/stat",
        "1 (a b) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0",
    );
    let topology = tree.topology();
    let layout = Layout::choose(&topology).unwrap();
    let recheck = Recheck::start(&tree.root(), &topology, &layout);
    tree.put(
        "proc/stat",
        "cpu0 800 0 0 0 0 0 0 200 0 0\ncpu4 0 0 0 1000 0 0 0 0 0 0",
    );
    let after = recheck.finish();
    let told: Vec<_> = after
        .iter()
        .map(|f| (f.id.as_str(), f.level, f.moment()))
        .collect();
    assert_eq!(
        told,
        [
            ("steal-during", Level::Fail, Moment::During),
            ("load-during", Level::Warn, Moment::During)
        ]
    );
}

#[test]
fn this_machine_does_not_change_in_a_moment() {
    let root = Root::host();
    let topology = Topology::read(&root).unwrap();
    let layout = Layout::choose(&topology).unwrap();
    let recheck = Recheck::start(&root, &topology, &layout);
    let changed = |finding: &Finding| finding.moment() == Moment::Changed;
    let after = recheck.finish();
    assert!(!after.iter().any(changed), "{after:?}");
}
