//! What others took of the CPUs, on a tree that is edited as time goes by.

use std::time::Duration;

use crate::trees::Tree;
use machine::OthersMeter;

/// user, idle and softirq of each CPU since boot, and the CPU time of the harness; all in ticks of
/// 10 ms.
fn put(tree: &Tree, cpus: &[(u32, u32, u32)], harness: u32) {
    let line = |(cpu, (user, idle, softirq)): (usize, &(u32, u32, u32))| {
        format!("cpu{cpu} {user} 0 0 {idle} 0 0 {softirq} 0 0 0")
    };
    let lines: Vec<String> = cpus.iter().enumerate().map(line).collect();
    tree.put(
        "proc/stat",
        &format!("cpu  1 1 1 1 1 1 1 1 0 0\n{}", lines.join("\n")),
    );
    let own = format!("1 (a b) R 1 1 1 0 -1 0 0 0 0 0 {harness} 0 0 0 20 0");
    tree.put("proc/self/stat", &own);
}

#[test]
fn what_is_neither_the_harness_nor_the_server_is_others() {
    let tree = Tree::empty();
    put(&tree, &[(1_000, 1_000, 0), (0, 0, 0), (0, 0, 0)], 10);
    let meter = OthersMeter::start(&tree.root(), &[0, 1]);
    // Of 400 ticks on two CPUs, 350 with work: 150 the server's, 120 the harness's.
    put(
        &tree,
        &[(1_180, 1_000, 20), (130, 50, 20), (500, 0, 0)],
        130,
    );
    let others = meter.stop(Some(Duration::from_millis(1_500))).unwrap();
    assert!((others - 80.0 / 400.0).abs() < 1e-9, "{others}");
    // Unpinned: every CPU, the third too.
    put(&tree, &[(1_000, 1_000, 0), (0, 0, 0), (0, 0, 0)], 10);
    let meter = OthersMeter::start(&tree.root(), &[]);
    put(
        &tree,
        &[(1_180, 1_000, 20), (130, 50, 20), (500, 0, 0)],
        130,
    );
    let others = meter.stop(Some(Duration::from_millis(1_500))).unwrap();
    assert!((others - 580.0 / 900.0).abs() < 1e-9, "{others}");
}

#[test]
fn work_that_the_ticks_missed_is_not_blamed_on_others() {
    let tree = Tree::empty();
    put(&tree, &[(0, 0, 0)], 0);
    let meter = OthersMeter::start(&tree.root(), &[0]);
    // Ours is 0.9 s exactly; the ticks of a CPU that is often idle saw 0.3 s of it.
    put(&tree, &[(30, 170, 0)], 40);
    assert_eq!(meter.stop(Some(Duration::from_millis(500))), Some(0.0));
}

#[test]
fn what_cannot_be_told_is_absent() {
    let tree = Tree::empty();
    let meter = OthersMeter::start(&tree.root(), &[0]);
    assert_eq!(meter.stop(Some(Duration::ZERO)), None, "no such files");
    put(&tree, &[(0, 0, 0)], 0);
    let meter = OthersMeter::start(&tree.root(), &[0]);
    put(&tree, &[(99, 0, 0)], 0);
    assert_eq!(meter.stop(Some(Duration::ZERO)), None, "under a second");
    put(&tree, &[(100, 0, 0)], 0);
    assert_eq!(meter.stop(Some(Duration::ZERO)), Some(1.0));
    assert_eq!(meter.stop(None), None, "the server's time is unknown");
}
