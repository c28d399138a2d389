//! Tests on real processes: children of the test, and the test itself.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::Processes;

/// A shell in its own process group; the whole group is killed on drop.
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    fn group(&self) -> u32 {
        self.child.id()
    }

    /// Runs a line, then waits for a line of output.
    fn run(&mut self, line: &str) -> String {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    /// Waits until it sleeps, so that all its CPU time so far is counted.
    fn settle(&self) {
        wait_for_sleep(self.group(), "sh");
    }
}

/// Waits until a process runs this program and sleeps.
fn wait_for_sleep(pid: u32, program: &str) {
    let asleep = format!("{pid} ({program}) S ");
    let limit = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.starts_with(&asleep)) {
        assert!(Instant::now() < limit, "{pid} is not {program} asleep");
        std::thread::yield_now();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok();
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

#[test]
fn a_process_is_found_with_its_descendants_and_nothing_else() {
    let mut shell = Shell::start();
    let child = shell.run("sh -c 'sleep 60; :' & echo $!").parse().unwrap();
    let other: u32 = shell.run("sleep 60 & echo $!").parse().unwrap();
    wait_for_sleep(child, "sh");
    let mut found = Processes::under(child);
    let pids = found.pids();
    assert!(pids.contains(&child) && pids.len() == 2, "{pids:?}");
    assert!(Processes::under(shell.group()).pids().contains(&other));
    assert_eq!(found.sample_light().processes, 2);
    assert_eq!(Processes::under(u32::MAX).pids(), []);
}

/// Only this process, whatever its group.
fn myself() -> Processes {
    let group = rustix::process::getpgrp().as_raw_nonzero().get();
    let mut processes = Processes::in_group(u32::try_from(group).unwrap(), None);
    processes.retain(std::process::id());
    processes
}

/// The kernel's unit for the CPU time of ended processes.
const TICK_NS: u64 = 10_000_000;

/// Work for the shell that takes a measurable time and starts no other process.
const WORK: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done";

#[test]
fn a_group_is_found_and_summed() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    let mut processes = Processes::in_group(shell.group(), None);
    assert_eq!(processes.pids(), [shell.group()]);
    let one = processes.sample();
    assert_eq!((one.light.processes, one.light.threads), (1, Some(1)));
    assert!(one.light.rss_bytes.unwrap() > 100_000, "{one:?}");
    assert!(one.peak_rss_bytes >= one.light.rss_bytes, "{one:?}");
    assert!(one.descriptors.unwrap() >= 3, "{one:?}");
    assert_eq!(one.sockets, Some(0));
    assert!(one.voluntary_switches.is_some() && one.involuntary_switches.is_some());
    assert!(one.minor_faults.unwrap() > 0);

    // A second process is found at once, and counts in full after a refresh.
    let second: u32 = shell.run("sleep 1000 & echo $!").parse().unwrap();
    let joined = processes.sample();
    assert!(processes.pids().contains(&second));
    assert_eq!((joined.light.processes, joined.light.threads), (2, Some(1)));
    assert_eq!(joined.descriptors, one.descriptors);
    processes.refresh();
    let two = processes.sample();
    assert_eq!((two.light.processes, two.light.threads), (2, Some(2)));
    assert!(two.descriptors > one.descriptors);

    // A process that is left out stays out.
    let others = Processes::in_group(shell.group(), Some(second));
    assert_eq!(others.pids(), [shell.group()]);
}

#[test]
fn cpu_time_is_the_processes_own() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    shell.settle();
    let mut processes = Processes::in_group(shell.group(), None);
    let idle = processes.sample_light();
    let start = Instant::now();
    shell.run(WORK);
    let wall_ns = u64::try_from(start.elapsed().as_nanos()).unwrap();
    let busy = processes.sample_light();
    let used = busy.cpu_ns.unwrap() - idle.cpu_ns.unwrap();
    // One thread can't use more than the time that passed, and the loop used some of it (a millisecond for 300,000
    // iterations would be ten times faster than any machine).
    assert!(used > 1_000_000 && used <= wall_ns, "{used} of {wall_ns}");
    assert_eq!(busy.in_ticks_ns, Some(0));
    // User and system time cover the same time, in coarser steps.
    let split = busy.user_ns.unwrap() + busy.system_ns.unwrap();
    let total = busy.cpu_ns.unwrap();
    assert!(
        split.abs_diff(total) <= 3 * TICK_NS,
        "{split} of {total} ns"
    );
}

#[test]
fn cpu_time_of_a_child_that_was_never_seen_counts() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    let mut processes = Processes::in_group(shell.group(), None);
    let before = processes.sample_light();
    // A subshell prints what it has used in user space.
    let used = shell.run(&format!("({WORK} >&2; times) 2>/dev/null"));
    // The rest of the output: its children's times.
    assert_eq!(shell.run("").split_whitespace().count(), 2);
    assert_eq!(shell.run("echo waited"), "waited");
    let after = processes.sample_light();
    let grown = after.cpu_ns.unwrap() - before.cpu_ns.unwrap();
    // As in `0m0.210000s 0m0.010000s`.
    let of_word = |word: &str| -> f64 {
        let (minutes, seconds) = word.split_once('m').unwrap();
        let seconds: f64 = seconds.trim_end_matches('s').parse().unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds
    };
    let used_ns = (used.split_whitespace().map(of_word).sum::<f64>() * 1e9) as u64;
    assert!(used_ns > TICK_NS, "{used}");
    assert!(grown + 2 * TICK_NS >= used_ns, "{grown} of {used_ns} ns");
    assert!(grown < 2 * used_ns, "{grown} of {used_ns} ns");
    assert!(after.in_ticks_ns > before.in_ticks_ns, "{after:?}");
}

/// Its parent is outside the group, so only its last sample is known.
#[test]
fn cpu_time_of_a_process_that_nobody_there_waits_for_stays() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    let mut child = Command::new("sh")
        .args(["-c", &format!("{WORK}; exec sleep 1000")])
        .process_group(shell.group() as i32)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_sleep(child.id(), "sleep");
    let mut processes = Processes::in_group(shell.group(), None);
    let before = processes.sample_light();
    assert_eq!(before.processes, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let after = processes.sample_light();
    assert_eq!((after.processes, processes.ended()), (1, 1));
    assert!(after.cpu_ns >= before.cpu_ns, "{before:?} {after:?}");
}

/// First it is the process's own, then its parent's, which has waited for it, then the shell's.
#[test]
fn cpu_time_that_is_handed_on_counts_once() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    let child = format!("({WORK}; exec sleep 1000) >/dev/null & echo $!; wait; exec sleep 1000");
    let child: u32 = shell
        .run(&format!("sh -c '{child}' & parent=$!"))
        .parse()
        .unwrap();
    let parent: u32 = shell.run("echo $parent").parse().unwrap();
    wait_for_sleep(child, "sleep");
    let mut processes = Processes::in_group(shell.group(), None);
    let alive = processes.sample_light();
    assert_eq!(alive.processes, 3);
    shell.run(&format!("kill -9 {child}; echo killed"));
    wait_for_sleep(parent, "sleep");
    let once = processes.sample_light();
    assert_eq!(once.processes, 2);
    assert_eq!(
        shell.run("kill -9 $parent; wait $parent 2>/dev/null; echo gone"),
        "gone"
    );
    let twice = processes.sample_light();
    assert_eq!(twice.processes, 1);
    let ns = |sample: super::LightSample| sample.cpu_ns.unwrap();
    let work = ns(alive);
    assert!(work > 10 * TICK_NS, "{alive:?}");
    for later in [once, twice] {
        assert!(ns(later) >= work, "{alive:?} {later:?}");
        assert!(ns(later) < work + work / 2, "{alive:?} {later:?}");
    }
}

#[test]
fn cpu_time_of_a_process_that_ended_stays() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    // It works, then waits forever.
    let child = format!("({WORK} >&2; exec sleep 1000) 2>/dev/null & child=$!; echo $child");
    let child: u32 = shell.run(&child).parse().unwrap();
    // Before that, its memory is that of a program still being loaded.
    wait_for_sleep(child, "sleep");
    shell.settle();
    let mut processes = Processes::in_group(shell.group(), None);
    let before = processes.sample();
    assert_eq!(before.light.processes, 2);
    assert_eq!(
        shell.run("kill -9 $child; wait $child 2>/dev/null; echo gone"),
        "gone"
    );
    let after = processes.sample();
    assert_eq!((after.light.processes, processes.ended()), (1, 1));
    assert!(
        after.light.cpu_ns >= before.light.cpu_ns,
        "{before:?} {after:?}"
    );
    assert!(after.light.user_ns >= before.light.user_ns);
    assert!(after.minor_faults >= before.minor_faults);
    // The current memory, not what was used before.
    assert!(after.light.rss_bytes < before.light.rss_bytes);
}

#[test]
fn cpu_time_of_a_thread_that_ended_stays() {
    let mut processes = myself();
    let before = processes.sample_light().cpu_ns.unwrap();
    // The thread's own clock shows what it used; it has ended when the sample is taken.
    let used = std::thread::spawn(|| {
        let clock = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            u64::try_from(time.tv_sec).unwrap() * 1_000_000_000
                + u64::try_from(time.tv_nsec).unwrap()
        };
        let start = clock();
        while clock() - start < 30_000_000 {
            std::hint::spin_loop();
        }
        clock() - start
    })
    .join()
    .unwrap();
    let after = processes.sample_light().cpu_ns.unwrap();
    assert!(after - before >= used, "{} < {used}", after - before);
}

#[test]
fn a_process_that_is_gone_gives_nothing() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    let mut processes = Processes::in_group(shell.group(), None);
    shell.child.kill().unwrap();
    shell.child.wait().unwrap();
    let sample = processes.sample();
    assert_eq!(sample, super::Sample::default());
    assert_eq!(processes.established(), None);
    assert_eq!((processes.pids(), processes.ended()), (vec![], 1));
    processes.refresh();
    assert!(processes.pids().is_empty());
}

#[test]
fn a_zombie_is_gone() {
    let mut shell = Shell::start();
    assert_eq!(shell.run("echo up"), "up");
    let mut processes = Processes::in_group(shell.group(), None);
    shell.child.kill().unwrap();
    // Don't wait for it: wait until the kernel has ended it without reaping it.
    let pid = rustix::process::Pid::from_child(&shell.child);
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).unwrap();
    assert_eq!(processes.sample_light(), super::LightSample::default());
    assert!(Processes::in_group(shell.group(), None).pids().is_empty());
}

/// Prints what a sample costs, for the comment at `sample_light`.
#[test]
#[ignore = "a measurement; run with --release --ignored --nocapture"]
fn cost_of_a_sample() {
    let threads = 8;
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let idle: Vec<_> = (0..threads)
        .map(|_| {
            let wait = wait.clone();
            std::thread::spawn(move || {
                let _ = wait.lock().map(|wait| wait.recv());
            })
        })
        .collect();
    let mut processes = myself();
    let time = |name: &str, work: &mut dyn FnMut()| {
        let mut times: Vec<u128> = (0..2000)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed().as_nanos()
            })
            .collect();
        times.sort_unstable();
        println!("{name}: median {} ns, p99 {} ns", times[1000], times[1980]);
    };
    time("sample_light", &mut || {
        processes.sample_light();
    });
    time("sample", &mut || {
        processes.sample();
    });
    time("refresh", &mut || processes.refresh());
    drop(end);
    for thread in idle {
        thread.join().unwrap();
    }
}
