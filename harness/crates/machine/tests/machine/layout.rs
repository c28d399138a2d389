//! Topology and layout on trees.

use crate::trees::{self, Tree};
use machine::{Layout, Topology, TopologyError, cpu_list};

/// Server, load generator.
fn chosen(tree: &Tree) -> (String, String, Option<String>) {
    shown(&Layout::choose(&tree.topology()).unwrap())
}

fn shown(layout: &Layout) -> (String, String, Option<String>) {
    (
        cpu_list::format(&layout.server),
        cpu_list::format(&layout.driver),
        layout.note.clone(),
    )
}

fn lists(server: &str, driver: &str) -> (String, String, Option<String>) {
    (server.to_owned(), driver.to_owned(), None)
}

#[test]
fn the_captured_machine() {
    let tree = trees::captured();
    let topology = tree.topology();
    assert_eq!(topology.online, [0, 1]);
    assert_eq!(
        (topology.cores.len(), topology.packages, topology.nodes),
        (2, 1, 1)
    );
    // A quota of -1 is none.
    assert_eq!(topology.quota_cpus, None);
    assert_eq!(chosen(&tree), lists("0", "1"));
}

#[test]
fn siblings_stay_together() {
    let tree = trees::laptop();
    assert_eq!(tree.topology().cores.len(), 4);
    assert_eq!(chosen(&tree), lists("0-1,4-5", "2-3,6-7"));
}

#[test]
fn one_node_of_two_is_used() {
    let tree = trees::two_sockets();
    let topology = tree.topology();
    assert_eq!(
        (topology.cores.len(), topology.packages, topology.nodes),
        (32, 2, 2)
    );
    assert_eq!(chosen(&tree), lists("0-7,32-39", "8-15,40-47"));
    // With most of the first node taken away the second is the larger.
    tree.put(
        "proc/self/status",
        "Cpus_allowed_list:\t0-3,16-31,32-35,48-63",
    );
    assert_eq!(chosen(&tree), lists("16-23,48-55", "24-31,56-63"));
}

#[test]
fn an_odd_core_goes_to_the_load_generator() {
    let tree = trees::smt_off();
    assert_eq!(chosen(&tree), lists("0-3", "4-7"));
    tree.put("proc/self/status", "Cpus_allowed_list:\t0-4");
    assert_eq!(chosen(&tree), lists("0-1", "2-4"));
}

#[test]
fn one_cpu_is_shared_and_says_so() {
    let layout = Layout::choose(&trees::one_cpu().topology()).unwrap();
    assert!(layout.shared);
    assert_eq!((layout.server, layout.driver), (vec![0], vec![0]));
    assert!(layout.note.unwrap().contains("only one CPU"));
}

#[test]
fn one_core_is_split_between_its_siblings_and_says_so() {
    let tree = trees::laptop();
    tree.put("proc/self/status", "Cpus_allowed_list:\t1,5");
    let (server, driver, note) = chosen(&tree);
    assert_eq!((server.as_str(), driver.as_str()), ("1", "5"));
    assert!(note.unwrap().contains("siblings of one core"));
}

#[test]
fn one_core_a_node_is_used_across_nodes_and_says_so() {
    let tree = trees::two_sockets();
    tree.put("proc/self/status", "Cpus_allowed_list:\t3,35,20,52");
    let (server, driver, note) = chosen(&tree);
    assert_eq!((server.as_str(), driver.as_str()), ("3,35", "20,52"));
    assert!(note.unwrap().contains("NUMA"));
}

#[test]
fn a_quota_makes_the_layout_smaller() {
    // Two CPUs of time on eight: one sibling of each of two cores.
    let (server, driver, note) = chosen(&trees::quota("200000 100000"));
    assert_eq!((server.as_str(), driver.as_str()), ("0", "1"));
    assert!(note.unwrap().contains("2 of 8 CPUs are used"));
    // Four: two whole cores.
    let (server, driver, _) = chosen(&trees::quota("400000 100000"));
    assert_eq!((server.as_str(), driver.as_str()), ("0,4", "1,5"));
    // Three: two and a half would throttle two whole cores.
    let (server, driver, note) = chosen(&trees::quota("300000 100000"));
    assert_eq!((server.as_str(), driver.as_str()), ("0", "1"));
    assert!(!note.unwrap().contains("throttled"));
    // One and a half cannot feed two.
    let (server, driver, note) = chosen(&trees::quota("150000 100000"));
    assert_eq!((server.as_str(), driver.as_str()), ("0", "1"));
    assert!(note.unwrap().contains("throttled"));
    assert_eq!(
        chosen(&trees::quota("max 100000")),
        lists("0-1,4-5", "2-3,6-7")
    );
}

#[test]
fn the_narrowest_group_above_counts() {
    let tree = trees::quota("max 100000");
    tree.put("proc/self/cgroup", "1:name=systemd:/\n0::/outer/inner");
    tree.put("sys/fs/cgroup/outer/cpu.max", "300000 100000");
    tree.put("sys/fs/cgroup/outer/inner/cpu.max", "600000 100000");
    assert_eq!(tree.topology().quota_cpus, Some(3.0));
}

#[test]
fn a_group_of_version_one_counts_also_under_the_hosts_name() {
    let tree = trees::laptop();
    // The container's mount shows its own group as the top; the name is the host's.
    tree.put(
        "proc/self/cgroup",
        "4:cpu,cpuacct:/docker/0123\n3:cpuset:/docker/0123",
    );
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000");
    tree.put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000");
    assert_eq!(tree.topology().quota_cpus, Some(2.5));
}

#[test]
fn isolated_cpus_go_to_the_load_generator() {
    let tree = trees::isolated();
    let topology = tree.topology();
    assert_eq!((topology.allowed.len(), topology.usable.len()), (4, 8));
    assert_eq!(chosen(&tree), lists("0-3", "4-7"));
    // A cpuset without them keeps them out of reach.
    tree.put("proc/self/cgroup", "0::/box");
    tree.put("sys/fs/cgroup/box/cpuset.cpus.effective", "0-3");
    assert_eq!(chosen(&tree), lists("0-1", "2-3"));
}

#[test]
fn an_affinity_narrowed_by_hand_is_kept_to() {
    let tree = trees::isolated();
    tree.put("proc/self/status", "Cpus_allowed_list:\t0-1");
    assert_eq!(chosen(&tree), lists("0", "1"));
}

#[test]
fn of_many_isolated_cpus_the_load_generator_gets_all_and_the_server_none() {
    assert_eq!(chosen(&trees::mostly_isolated()), lists("0-1", "2-7"));
}

#[test]
fn of_many_cores_each_side_gets_sixteen_with_their_siblings() {
    let tree = trees::sixty_four_cores();
    let topology = tree.topology();
    assert_eq!((topology.cores.len(), topology.packages), (64, 1));
    assert_eq!(chosen(&tree), lists("0-15,64-79", "48-63,112-127"));
}

#[test]
fn slow_cores_are_left_out() {
    assert_eq!(chosen(&trees::hybrid()), lists("0-3", "4-7"));
    assert_eq!(chosen(&trees::older_hybrid()), lists("0-3", "4-7"));
    // Nothing but slow ones is enough, too.
    let tree = trees::hybrid();
    tree.put("proc/self/status", "Cpus_allowed_list:\t8-11");
    assert_eq!(chosen(&tree), lists("8-9", "10-11"));
}

#[test]
fn one_core_faster_than_all_others_does_not_bring_in_the_slow_ones() {
    let tree = trees::big_little();
    let (server, driver, note) = chosen(&tree);
    assert_eq!((server.as_str(), driver.as_str()), ("4-5", "6-7"));
    assert!(note.unwrap().contains("not equally fast"));
    let layout = Layout::new(&tree.topology(), Some("3-4"), Some("5-6")).unwrap();
    assert!(layout.note.unwrap().contains("the server's cores"));
}

#[test]
fn cpus_given_by_hand_are_used() {
    let topology = trees::laptop().topology();
    let layout = Layout::new(&topology, Some("0,4"), Some("1-3,5-7")).unwrap();
    assert_eq!(shown(&layout), lists("0,4", "1-3,5-7"));
    // The other side gets untouched cores, else siblings.
    let layout = Layout::new(&topology, Some("1"), None).unwrap();
    assert_eq!(shown(&layout), lists("1", "0,2-4,6-7"));
    let layout = Layout::new(&topology, None, Some("0-3")).unwrap();
    assert_eq!(layout.server, [4, 5, 6, 7]);
    assert!(layout.note.unwrap().contains("siblings"));
    // The note is the same for a choice of ours and of the user's.
    let layout = Layout::new(&topology, Some("0-1"), Some("4-5")).unwrap();
    assert!(layout.note.unwrap().contains("siblings"));
    assert_eq!(
        Layout::new(&topology, None, None),
        Layout::choose(&topology)
    );
}

#[test]
fn several_isolated_cpus_for_the_server_are_noted() {
    let topology = trees::isolated().topology();
    let layout = Layout::new(&topology, Some("4-5"), Some("6-7")).unwrap();
    assert!(layout.note.unwrap().contains("isolated"));
    let layout = Layout::new(&topology, Some("4"), Some("6-7")).unwrap();
    assert_eq!(layout.note, None);
}

#[test]
fn what_cannot_be_given_is_refused_in_words() {
    let tree = trees::laptop();
    tree.put("proc/self/status", "Cpus_allowed_list:\t0-5");
    let topology = tree.topology();
    let refused = |server, driver| {
        Layout::new(&topology, server, driver)
            .unwrap_err()
            .to_string()
    };
    let cases = [
        (Some("0-2"), Some("2-3"), "both name 2"),
        (
            Some("0,9"),
            None,
            "--server-cpus: not online: 9 (online: 0-7)",
        ),
        (
            None,
            Some("5-6"),
            "--driver-cpus: this process isn't allowed to run on 6",
        ),
        (Some("x"), None, "--server-cpus: `x` is not a list"),
        (Some(""), None, "--server-cpus: no CPU is named"),
        (Some("0-5"), None, "--server-cpus leaves no CPU"),
        (None, Some(" "), "--driver-cpus: no CPU is named"),
        (None, Some("3-1"), "the range 3-1 runs backwards"),
        (Some("0-99999"), None, "above the highest CPU number"),
        (
            Some("0"),
            Some("0"),
            "--server-cpus and --driver-cpus both name 0",
        ),
    ];
    for (server, driver, part) in cases {
        let error = refused(server, driver);
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn an_empty_tree_is_an_error() {
    assert_eq!(
        Topology::read(&Tree::empty().root()),
        Err(TopologyError::NoCpu)
    );
}

#[test]
fn this_machine_can_be_laid_out() {
    let topology = Topology::read(&machine::Root::host()).unwrap();
    let layout = Layout::choose(&topology).unwrap();
    for cpu in layout.both() {
        assert!(topology.usable.contains(&cpu), "{topology:?} {layout:?}");
    }
    assert_eq!(layout.shared, topology.usable.len() == 1);
}
